//! Reading a file as samples, whatever its format.

mod columns;
mod rows;

use std::path::Path;

use super::{ReadError, ReadProblem, Samples, csv, npy};

pub(super) use columns::{Choice, distinct_names};
pub(super) use rows::{Fault, Number, Slots, check};

/// What to take from a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// The features by name, in this order. Without: every column of numbers that is neither weights nor labels.
    pub columns: Option<Vec<String>>,
    /// The features of a model, used where `columns` names none: they are found by name in a table that has names,
    /// and by position in one that has not.
    pub model: Option<Vec<String>>,
    /// The names that features may have. In a table that has names, its columns with one of these are the features
    /// unless `columns` says which; a table that has none gets its names, one for each column, from `columns`.
    pub among: Option<Vec<String>>,
    /// The column of weights (frequencies, at least 0).
    pub weights: Option<String>,
    /// The column of start labels (whole numbers from 0).
    pub labels: Option<String>,
    /// Leave out rows in which a used field is missing, text or infinite, instead of refusing the file.
    pub skip_invalid: bool,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The rows used, N × D, with their weights if a column of weights was named.
    pub samples: Samples,
    /// D names. Columns without a name are called by their 0-based number in the file.
    pub features: Vec<String>,
    /// Whether a header gave the names.
    pub named: bool,
    /// Data rows in the file, skipped ones included.
    pub total_rows: usize,
    /// The 0-based data row of each sample (N of them), if rows were skipped.
    pub kept: Option<Vec<usize>>,
    /// The start label of each sample (N of them), if a column of labels was named.
    pub labels: Option<Vec<usize>>,
    /// Names of the columns left out because they hold text, or no value at all, or because their name is not
    /// among those that features may have.
    pub left_out: Vec<String>,
    /// The name of a first column that was left out because it has no name in the header and only counts the
    /// rows, from 0 or from 1, as R and pandas write it. It can still be asked for by that name.
    pub row_numbers: Option<String>,
}

/// Reads a table by its file's ending: `.csv` and `.tsv` (text), `.npy`, or `-` (CSV on standard input).
///
/// A header is found by looking: the first row is one if it has a field that is neither a number nor missing.
/// `NA`, `N/A`, `NaN`, `null` (in any case) and an empty field are missing. Samples of an `f4` NPY file stay
/// in single precision, all others are in double precision.
///
/// # Errors
/// [`ReadError`]: the path and what is wrong with the file or with what is asked of it.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Table, ReadError> {
    let ending = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    let table = match ending.as_deref() {
        _ if path.as_os_str() == "-" => csv::read_stdin(options),
        Some("csv") => csv::read(path, None, options),
        Some("tsv") => csv::read(path, Some(b'\t'), options),
        Some("npy") => npy::read(path, options),
        _ => Err(ReadProblem::UnknownEnding),
    };
    table.map_err(|problem| ReadError::new(path, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_ending_is_met_with_the_ones_that_work() {
        for name in ["cells.parquet", "cells", "cells.csv.gz"] {
            let error = read(Path::new(name), &ReadOptions::default()).expect_err("ending");
            assert_eq!(
                error.to_string(),
                format!(
                    "{name}: unknown ending; .csv, .tsv and .npy can be read, and - is CSV on standard input"
                )
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_says_so() {
        for name in ["nowhere/x.csv", "nowhere/x.npy"] {
            let error = read(Path::new(name), &ReadOptions::default()).expect_err("missing");
            assert_eq!(
                error.to_string(),
                format!("{name}: cannot be read: no such file or folder")
            );
        }
    }

    #[test]
    fn a_folder_is_no_file() {
        let dir = tempfile::Builder::new()
            .suffix(".csv")
            .tempdir()
            .expect("temporary folder");
        let error = read(dir.path(), &ReadOptions::default()).expect_err("folder");
        assert!(
            error
                .to_string()
                .ends_with(": cannot be read: it is a folder")
        );
    }
}
