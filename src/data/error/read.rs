//! What can be wrong with a file that is read.

use std::fmt;
use std::io;
use std::path::Path;

use thiserror::Error;

use super::{DataError, place, reason};

/// At most so many column names are listed in one sentence.
const NAMES_LISTED: usize = 10;

/// A file that cannot be read as a table: its path and what is wrong.
#[derive(Debug, Error)]
#[error("{path}: {problem}")]
pub struct ReadError {
    /// The file, as messages name it.
    pub path: String,
    /// What is wrong.
    pub problem: ReadProblem,
}

impl ReadError {
    pub(in crate::data) fn new(path: &Path, problem: ReadProblem) -> Self {
        Self {
            path: place(path, "standard input"),
            problem,
        }
    }
}

/// What is wrong with a file. A `row` is the number an editor shows: in text the 1-based line of the file on
/// which the row begins, a header and empty lines counted; in NPY the 1-based row.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadProblem {
    /// The system refuses to hand it over.
    #[error("cannot be read: {}", reason(.0))]
    Unreadable(io::Error),
    /// An ending that no reader claims.
    #[error("unknown ending; .csv, .tsv and .npy can be read, and - is CSV on standard input")]
    UnknownEnding,
    /// Text in two bytes a character.
    #[error("text in UTF-16; save it as UTF-8")]
    Utf16,
    /// No byte, or nothing but empty lines.
    #[error("the file is empty")]
    Empty,
    /// A header and nothing below it.
    #[error("a header, but no rows below it")]
    HeaderOnly,
    /// No column that could be a feature.
    #[error("no column of numbers to use{}", Bracketed(.text))]
    NoNumbers {
        /// Columns that hold text or nothing.
        text: Vec<String>,
    },
    /// A column asked for by a name that no column has.
    #[error("no column {name:?}{} has {}", Meant(.nearest), Names(.columns))]
    UnknownColumn {
        /// The name asked for.
        name: String,
        /// A column with nearly that name.
        nearest: Option<String>,
        /// All columns.
        columns: Vec<String>,
    },
    /// A column asked for twice: as a feature, as weights or as labels.
    #[error("column {name:?} is asked for twice; name it once")]
    ColumnTwice {
        /// Its name.
        name: String,
    },
    /// No column has one of the names that features may have.
    #[error("none of {} is a column; it has {}", Names(.among), Names(.columns))]
    NoneAmong {
        /// The names that features may have.
        among: Vec<String>,
        /// All columns.
        columns: Vec<String>,
    },
    /// Columns that must have names, in a table without a header.
    #[error(
        "{columns} column{} without a header{}",
        if *columns == 1 { "" } else { "s" }, Naming(*given)
    )]
    Nameless {
        /// How many columns there are.
        columns: usize,
        /// How many names were given.
        given: usize,
    },
    /// `--columns` without a name.
    #[error("no column is asked for; name at least one")]
    NoColumns,
    /// A row with more or fewer fields than the first.
    #[error("row {row}: {found} field{}, but the first row has {expected}", if *found == 1 { "" } else { "s" })]
    FieldCount {
        /// The line on which the row begins.
        row: usize,
        /// Fields in it.
        found: usize,
        /// Fields of the first row.
        expected: usize,
    },
    /// A used field that is missing, text or infinite.
    #[error(
        "row {row}, column {column:?}: {} ({rows} such row{}); --skip-invalid leaves {} out",
        NotFinite(.found), if *rows == 1 { "" } else { "s" }, if *rows == 1 { "it" } else { "them" }
    )]
    NotFinite {
        /// The first such row.
        row: usize,
        /// The first such column in it.
        column: String,
        /// The field as found.
        found: String,
        /// How many rows have one.
        rows: usize,
    },
    /// No row was left to use.
    #[error("each of the {rows} rows has a gap in a column used; choose others with --columns")]
    AllSkipped {
        /// Rows in the file.
        rows: usize,
    },
    /// A negative weight.
    #[error(
        "row {row}, column {column:?}: a weight of {found}; weights are frequencies of at least 0"
    )]
    NegativeWeight {
        /// The row.
        row: usize,
        /// The weights' column.
        column: String,
        /// The field as found.
        found: String,
    },
    /// A start label that is no whole number of at least 0.
    #[error("row {row}, column {column:?}: {found} is no label; labels are whole numbers from 0")]
    Label {
        /// The row.
        row: usize,
        /// The labels' column.
        column: String,
        /// The field as found.
        found: String,
    },
    /// Not an NPY file, or one of an unknown version.
    #[error("no NPY file: {reason}")]
    NotNpy {
        /// What is wrong with its header.
        reason: String,
    },
    /// Values of a type that is no number.
    #[error("dtype {dtype}: expected real numbers; convert it with astype(\"f8\")")]
    NpyType {
        /// The type as numpy writes it.
        dtype: String,
    },
    /// Neither one nor two dimensions.
    #[error("shape {}: expected N × D; reshape it to two dimensions", Shape(.shape))]
    NpyShape {
        /// The shape.
        shape: Vec<u64>,
    },
    /// A dimension of size 0.
    #[error("shape {}: no rows of numbers", Shape(.shape))]
    NpyNothing {
        /// The shape.
        shape: Vec<u64>,
    },
    /// Fewer bytes than the header promises.
    #[error("cut off: shape {} needs {expected} bytes of values, {found} are there", Shape(.shape))]
    NpyCutOff {
        /// The shape.
        shape: Vec<u64>,
        /// Bytes the header promises.
        expected: u128,
        /// Bytes there are.
        found: u64,
    },
    /// The table was read, but it cannot be samples.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// ` (text or nothing in "a", "b")`, or nothing.
struct Bracketed<'a>(&'a [String]);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " (text or nothing in {})", Names(self.0))
    }
}

/// How the columns of a table without a header are to be named, so many names being given.
struct Naming(usize);

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "; name them with --columns"),
            1 => write!(f, ", but --columns has 1 name"),
            names => write!(f, ", but --columns has {names} names"),
        }
    }
}

/// `, did you mean "x"? It`, or `; it`.
struct Meant<'a>(&'a Option<String>);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, ", did you mean {name:?}? It"),
            None => write!(f, "; it"),
        }
    }
}

/// The first names, quoted, and how many more there are.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().take(NAMES_LISTED).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name:?}")?;
        }
        match self.0.len().saturating_sub(NAMES_LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Why a field is no value to fit.
struct NotFinite<'a>(&'a str);

impl fmt::Display for NotFinite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => write!(f, "an empty field"),
            found if found.parse().is_ok_and(f64::is_infinite) => {
                write!(f, "{found:?} is not finite")
            }
            found => write!(f, "{found:?} is not a number"),
        }
    }
}

/// A shape as numpy writes it.
struct Shape<'a>(&'a [u64]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.0.iter().map(u64::to_string).collect();
        let comma = if sizes.len() == 1 { "," } else { "" };
        write!(f, "({}{comma})", sizes.join(", "))
    }
}
