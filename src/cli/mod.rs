//! The command line: one file a command, each thin.

mod args;
mod compare;
mod condition;
mod devices;
mod experiment;
mod failure;
mod fit;
mod info;
mod input;
mod json;
mod output;
mod predict;
mod progress;
mod relations;
mod sample;
mod score;
mod select;
mod summary;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::failure::{Failure, Outcome};

/// Parses, runs, reports.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; clap knows which stream.
            let code = if error.use_stderr() {
                failure::USAGE
            } else {
                0
            };
            if error.print().is_err() {
                return ExitCode::from(failure::FAILED);
            }
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(failure) => {
            if !failure.is_broken_pipe() {
                eprintln!("error: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn run(cli: Cli) -> Result<Outcome, Failure> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = cli.shared.threads {
        if threads == 0 {
            return Err(Failure::usage("--threads 0: at least 1 thread is needed"));
        }
        pool = pool.num_threads(threads);
    }
    let pool = pool
        .build()
        .map_err(|e| Failure::usage(format!("--threads: the threads cannot be started: {e}")))?;
    let shared = &cli.shared;
    pool.install(|| match &cli.command {
        None => experiment::run(shared, &cli.experiment),
        Some(Command::Fit(args)) => fit::run(shared, args),
        Some(Command::Select(args)) => select::run(shared, args),
        Some(Command::Compare(args)) => compare::run(shared, args),
        Some(Command::Predict(args)) => predict::run(shared, args),
        Some(Command::Score(args)) => score::run(shared, args),
        Some(Command::Sample(args)) => sample::run(shared, args),
        Some(Command::Condition(args)) => condition::run(shared, args),
        Some(Command::Info(args)) => info::run(shared, args),
        Some(Command::Devices(args)) => devices::run(shared, args),
    })
}
