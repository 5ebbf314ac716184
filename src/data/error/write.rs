//! What can be wrong with a file that is written.

use std::io;
use std::path::Path;

use thiserror::Error;

use super::{place, reason};

/// A file that cannot be written: its path and what is wrong. The file is then as it was before.
#[derive(Debug, Error)]
#[error("{path}: {problem}")]
pub struct WriteError {
    /// The file, as messages name it.
    pub path: String,
    /// What is wrong.
    pub problem: WriteProblem,
}

impl WriteError {
    pub(in crate::data) fn new(path: &Path, problem: WriteProblem) -> Self {
        Self {
            path: place(path, "standard output"),
            problem,
        }
    }
}

/// What is wrong with a place to write to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteProblem {
    /// An ending that no writer claims.
    #[error("unknown ending; name a file that ends in {}", .endings.join(", "))]
    UnknownEnding {
        /// The endings that work, each with its dot.
        endings: Vec<String>,
    },
    /// The folder it should lie in is not there.
    #[error("there is no folder {folder:?}; create it first")]
    NoFolder {
        /// The folder.
        folder: String,
    },
    /// The path is a folder.
    #[error("is a folder; name a file in it")]
    IsFolder,
    /// The system refuses.
    #[error("cannot be written: {}", reason(.0))]
    Unwritable(io::Error),
    /// A row with more or fewer values than the table has columns.
    #[error("a row of {found} values for a table of {expected} columns")]
    RowLength {
        /// Values in the row.
        found: usize,
        /// Columns of the table.
        expected: usize,
    },
}
