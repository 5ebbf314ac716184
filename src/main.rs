//! The command `wgmm`: parse, run, print the error, exit code. The work is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
