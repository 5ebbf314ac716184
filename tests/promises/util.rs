//! The command as a whole program: a fresh directory, a run of the built binary in it, what came out.
//!
//! Failed assertions print the command, the directory with its files, the status and both streams.

use std::ffi::OsString;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wgmm");

/// A fresh directory that is gone with its last test.
#[derive(Debug)]
pub(crate) struct Dir {
    directory: TempDir,
}

impl Dir {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("wgmm-").expect("a temporary directory can be made");
        Self { directory }
    }

    /// Where `name` is, or would be, in this directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, making directories on the way, and says where it is.
    pub(crate) fn create(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("directories can be made");
        }
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// The text of a file that a command should have written.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name))
            .unwrap_or_else(|e| panic!("{name}: {e}; there is: {:?}", self.files()))
    }

    /// The names of all files here and below, in order: nothing half-written may be left.
    pub(crate) fn files(&self) -> Vec<String> {
        files_below(self.directory.path())
    }

    /// The built `wgmm`, to be run in this directory.
    pub(crate) fn wgmm(&self) -> TestCommand {
        TestCommand {
            directory: self.directory.path().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            stdin: Vec::new(),
        }
    }
}

fn files_below(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(current) = open.pop() {
        for entry in std::fs::read_dir(&current).expect("the directory can be listed") {
            let path = entry.expect("the directory can be listed").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).expect("a path below");
                names.push(name.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    names.sort();
    names
}

/// A run of `wgmm` to come.
#[derive(Clone, Debug)]
#[must_use = "a command does nothing until it is run"]
pub(crate) struct TestCommand {
    directory: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
}

impl TestCommand {
    /// One more argument.
    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub(crate) fn args<A: Into<OsString>>(mut self, more: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }

    /// An environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// What the command reads from standard input; nothing unless given.
    pub(crate) fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = content.into();
        self
    }

    /// Starts the command, all three streams piped.
    pub(crate) fn spawn(&self) -> Child {
        self.started(Command::new(PROGRAM))
    }

    /// Runs the command to its end in at most so many KiB of address space.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_within(self, kibibytes: u32) -> Finished {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -v {kibibytes}; exec \"$0\" \"$@\"");
        shell.args(["-c", &limited, PROGRAM]);
        let child = self.started(shell);
        self.finish(child)
    }

    /// Runs the command to its end.
    pub(crate) fn run(self) -> Finished {
        let child = self.spawn();
        self.finish(child)
    }

    fn started(&self, mut program: Command) -> Child {
        program
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{PROGRAM} cannot be run: {e}"))
    }

    /// Hands a command its input and waits for its end.
    pub(crate) fn finish(self, mut child: Child) -> Finished {
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let content = self.stdin.clone();
        // On a thread of its own: the command may fill its output before it has read all of its input.
        let writer = std::thread::spawn(move || match stdin.write_all(&content) {
            // A command need not read its input to the end.
            Err(e) if e.kind() != ErrorKind::BrokenPipe => panic!("stdin: {e}"),
            _ => {}
        });
        let output = child
            .wait_with_output()
            .expect("the command can be waited for");
        writer.join().expect("stdin can be written");
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Finished {
            command: self,
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A run that has ended. All `assert_…` print everything about it when they fail, and hand it back.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    command: TestCommand,
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = "-".repeat(72);
        writeln!(f, "\n{line}\nwgmm {:?}", self.command.arguments)?;
        if !self.command.variables.is_empty() {
            writeln!(f, "environment: {:?}", self.command.variables)?;
        }
        writeln!(f, "in {}", self.command.directory.display())?;
        writeln!(f, "files: {:?}", files_below(&self.command.directory))?;
        writeln!(f, "exit code: {:?}", self.code)?;
        writeln!(f, "stdin: {} bytes", self.command.stdin.len())?;
        writeln!(
            f,
            "stdout:\n{}\nstderr:\n{}\n{line}",
            self.stdout, self.stderr
        )
    }
}

impl Finished {
    #[track_caller]
    fn assert(&self, holds: bool, what: impl fmt::Display) -> &Self {
        assert!(holds, "{what}{self}");
        self
    }

    /// The exit code is this.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        self.assert(
            self.code == Some(code),
            format_args!("exit code is not {code}"),
        )
    }

    /// The exit code is 0.
    #[track_caller]
    pub(crate) fn assert_success(&self) -> &Self {
        self.assert_code(0)
    }

    /// The exit code is this, one line on stderr holds `message`, and stdout is empty.
    #[track_caller]
    pub(crate) fn assert_failure(&self, code: i32, message: &str) -> &Self {
        let named = self.stderr.lines().any(|line| line.contains(message));
        self.assert_code(code)
            .assert(self.stdout.is_empty(), "stdout is not empty")
            .assert(named, format_args!("no line of stderr says: {message}"))
            .assert(!self.stderr.contains("panicked"), "a panic")
    }

    /// Standard output holds `text`.
    #[track_caller]
    pub(crate) fn assert_stdout_has(&self, text: &str) -> &Self {
        self.assert(
            self.stdout.contains(text),
            format_args!("stdout lacks: {text}"),
        )
    }

    /// Standard error holds `text`.
    #[track_caller]
    pub(crate) fn assert_stderr_has(&self, text: &str) -> &Self {
        self.assert(
            self.stderr.contains(text),
            format_args!("stderr lacks: {text}"),
        )
    }

    /// Standard error is empty.
    #[track_caller]
    pub(crate) fn assert_silent(&self) -> &Self {
        self.assert(self.stderr.is_empty(), "stderr is not empty")
    }

    /// Standard output as one JSON document, which it must be to the last byte.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(document) => document,
            Err(e) => panic!("stdout is not one JSON document: {e}{self}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A finished run as if the command had said this.
    fn finished(dir: &Dir, code: i32, stdout: &str, stderr: &str) -> Finished {
        Finished {
            command: dir.wgmm().args(["fit", "rows.csv"]).env("NO_COLOR", "1"),
            code: Some(code),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        }
    }

    #[test]
    fn the_command_runs_in_its_own_directory() {
        let dir = Dir::new();
        dir.create("below/rows.csv", "x\n1\n");
        assert_eq!(dir.files(), ["below/rows.csv"]);
        assert_eq!(dir.read("below/rows.csv"), "x\n1\n");
        let command = dir.wgmm().arg("--version").env("NO_COLOR", "1");
        // More than a pipe holds, and the command reads none of it.
        let run = command.stdin(vec![b'0'; 1 << 20]).run();
        run.assert_success().assert_silent();
        assert_eq!(dir.files(), ["below/rows.csv"]);
    }

    #[test]
    fn assertions_hold_and_fail_as_they_should() {
        let dir = Dir::new();
        let good = finished(&dir, 0, "{\"k\": 2}\n", "progress\n");
        good.assert_success()
            .assert_stdout_has("k")
            .assert_stderr_has("progress");
        assert_eq!(good.json()["k"], 2);
        let bad = finished(&dir, 2, "", "error: rows.csv: no rows\n");
        bad.assert_failure(2, "no rows");
        let checks: [&(dyn Fn() + std::panic::RefUnwindSafe); 6] = [
            &|| drop(good.assert_silent().clone()),
            &|| drop(good.assert_failure(0, "progress").clone()),
            &|| drop(bad.assert_success().clone()),
            &|| drop(bad.assert_failure(2, "not there").clone()),
            &|| drop(bad.assert_stdout_has("k").clone()),
            &|| drop(bad.json()),
        ];
        for (i, check) in checks.into_iter().enumerate() {
            assert!(std::panic::catch_unwind(check).is_err(), "check {i} held");
        }
    }

    #[test]
    fn a_failure_says_all_there_is_to_know() {
        let dir = Dir::new();
        dir.create("rows.csv", "");
        let report = finished(&dir, 3, "some output", "some message").to_string();
        let place = dir.path("").display().to_string();
        for part in [
            "\"fit\"",
            "rows.csv\"]",
            "NO_COLOR",
            place.trim_end_matches('/'),
            "Some(3)",
        ] {
            assert!(report.contains(part), "no {part} in {report}");
        }
        assert!(report.contains("some output") && report.contains("some message"));
    }
}
