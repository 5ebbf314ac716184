//! What can be wrong with data and with the files that hold it, one sentence each.

mod read;
mod write;

use std::io;

use thiserror::Error;

pub use read::{ReadError, ReadProblem};
pub use write::{WriteError, WriteProblem};

/// What is wrong with data. Rows are counted from 1, as an editor counts them without the header.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// No row or no feature.
    #[error("no rows: a fit needs at least one row of numbers")]
    Empty,
    /// The number of values is not a whole number of rows.
    #[error("{len} values are not a whole number of rows of {n_features}")]
    Ragged {
        /// Values found.
        len: usize,
        /// Features a row.
        n_features: usize,
    },
    /// A value that is missing, infinite or not a number.
    #[error(
        "row {row}, column {column:?}: {found} is not a finite number ({rows} such rows); --skip-invalid leaves them out"
    )]
    NotFinite {
        /// The first such row, from 1.
        row: usize,
        /// Its column.
        column: String,
        /// The value as found.
        found: String,
        /// How many rows hold one.
        rows: usize,
    },
    /// Not one weight a row.
    #[error("{found} weights for {rows} rows")]
    WeightCount {
        /// Weights found.
        found: usize,
        /// Rows.
        rows: usize,
    },
    /// A weight that is negative or not finite.
    #[error("row {row}: weight {found} is not a finite number of at least 0")]
    Weight {
        /// The row, from 1.
        row: usize,
        /// The weight as found.
        found: String,
    },
    /// All weights are 0.
    #[error("all weights are 0: no row counts")]
    NoWeight,
    /// Weights so large or small that sums of their products leave f64.
    #[error(
        "weights sum to {total:.1e}, which double precision cannot work with; rescale them first"
    )]
    WeightTotal {
        /// Their sum.
        total: f64,
    },
    /// A column that never changes.
    #[error("column {column:?} is constant ({value}); leave it out with --columns")]
    ConstantColumn {
        /// Its name.
        column: String,
        /// The value all rows share.
        value: f64,
    },
    /// A column whose variance f64 cannot hold.
    #[error(
        "column {column:?} varies by {spread:.3e}, whose square double precision cannot hold; rescale it first"
    )]
    Spread {
        /// Its name.
        column: String,
        /// Its standard deviation.
        spread: f64,
    },
}

/// The path as messages name it: `-` is a standard stream.
fn place(path: &std::path::Path, stream: &str) -> String {
    if path.as_os_str() == "-" {
        stream.to_owned()
    } else {
        path.display().to_string()
    }
}

/// The system's reason in the words of our messages: lower case, no number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            text.to_lowercase()
        }
    }
}
