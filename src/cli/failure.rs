//! Failures as a user meets them: one sentence and an exit code.

use std::fmt;
use std::path::Path;

use wgmm::data::{DataError, ReadError, WriteError, WriteProblem};
use wgmm::em::FitError;
use wgmm::mixture::ModelError;

/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// The data or the run failed.
pub(crate) const FAILED: u8 = 1;
/// Ended by the user.
const INTERRUPTED: u8 = 130;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// `compare` or `devices --check` found a difference.
    Differs,
    Interrupted,
}

impl Outcome {
    pub(crate) fn code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Differs => FAILED,
            Outcome::Interrupted => INTERRUPTED,
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    sentence: String,
    broken_pipe: bool,
}

impl Failure {
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            sentence: sentence.into(),
            broken_pipe: false,
        }
    }

    pub(crate) fn run(sentence: impl Into<String>) -> Self {
        Self {
            code: FAILED,
            sentence: sentence.into(),
            broken_pipe: false,
        }
    }

    /// A model that cannot be used.
    pub(crate) fn model(path: &Path, error: &ModelError) -> Self {
        Self::run(format!("{}: {error}", path.display()))
    }

    /// A fit that cannot be done, with the place it belongs to and features by name.
    pub(crate) fn fit(path: &Path, features: &[String], device: &str, error: FitError) -> Self {
        let name = |column: &str| {
            column
                .parse()
                .ok()
                .and_then(|j: usize| features.get(j))
                .cloned()
                .unwrap_or_default()
        };
        let error = match error {
            FitError::Data(DataError::ConstantColumn { column, value }) => {
                FitError::Data(DataError::ConstantColumn {
                    column: name(&column),
                    value,
                })
            }
            FitError::Data(DataError::Spread { column, spread }) => {
                FitError::Data(DataError::Spread {
                    column: name(&column),
                    spread,
                })
            }
            other => other,
        };
        match error {
            FitError::NoComponents | FitError::FrozenComponent { .. } | FitError::FrozenTied => {
                Self::usage(error.to_string())
            }
            FitError::Backend(_) | FitError::BeyondSingle { .. } => {
                Self::run(format!("--device {device}: {error}"))
            }
            _ => Self::run(format!("{}: {error}", path.display())),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        if self.broken_pipe { 0 } else { self.code }
    }

    /// Whether the reader of our output went away, which is no failure of ours.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::run(error.to_string())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let broken_pipe = matches!(
            &error.problem,
            WriteProblem::Unwritable(e) if e.kind() == std::io::ErrorKind::BrokenPipe
        );
        Self {
            broken_pipe,
            ..Self::run(error.to_string())
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self {
            code: FAILED,
            sentence: format!("standard output: {error}"),
            broken_pipe: error.kind() == std::io::ErrorKind::BrokenPipe,
        }
    }
}
