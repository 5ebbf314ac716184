//! Tables as commands write them: one output row an input row, skipped rows empty.

use std::path::Path;

use wgmm::data::{Numbers, TableWriter};

use super::failure::Failure;

/// One or more columns of equal length.
pub(crate) enum Columns {
    /// Component numbers.
    Labels(Vec<i64>),
    /// Row-major numbers.
    Reals(Vec<f64>),
}

/// Writes columns of the rows used, with an empty row for each that was skipped.
///
/// `kept` names the input row of each row used, where some of `total_rows` were skipped.
pub(crate) fn write_table(
    path: &Path,
    header: &[&str],
    columns: &Columns,
    total_rows: usize,
    kept: Option<&[usize]>,
) -> Result<(), Failure> {
    let numbers = match columns {
        Columns::Labels(_) => Numbers::Whole,
        Columns::Reals(_) => Numbers::Real,
    };
    let mut table = TableWriter::create(path, header, numbers)?;
    let mut used = 0;
    for i in 0..total_rows {
        if kept.is_some_and(|kept| kept.get(used) != Some(&i)) {
            table.empty_row()?;
            continue;
        }
        match columns {
            Columns::Labels(labels) => table.row(&[labels[used] as f64])?,
            Columns::Reals(values) => {
                table.row(&values[used * header.len()..(used + 1) * header.len()])?;
            }
        }
        used += 1;
    }
    Ok(table.finish()?)
}
