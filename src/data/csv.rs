//! Tables in text: fields between commas, semicolons or tabs.

mod cells;
mod layout;
mod parse;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::table::{Choice, Fault, Slots, check};
use super::{ReadOptions, ReadProblem, Samples, Table};
use layout::Layout;
use parse::Parsed;

/// Reads a file; without a delimiter it is found by looking.
pub(super) fn read(
    path: &Path,
    delimiter: Option<u8>,
    options: &ReadOptions,
) -> Result<Table, ReadProblem> {
    let bytes = fs::read(path).map_err(ReadProblem::Unreadable)?;
    table(&bytes, delimiter, options)
}

/// Reads standard input to its end.
pub(super) fn read_stdin(options: &ReadOptions) -> Result<Table, ReadProblem> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(ReadProblem::Unreadable)?;
    table(&bytes, None, options)
}

fn table(bytes: &[u8], delimiter: Option<u8>, options: &ReadOptions) -> Result<Table, ReadProblem> {
    let layout = Layout::of(bytes, delimiter)?;
    let choice = Choice::of(&layout.names, options)?;
    let mut features = choice.features.clone();
    if !choice.asked {
        let text = layout.text_columns_at_first_sight();
        features.retain(|&column| !text[column]);
    }
    let read = || {
        let roles = [choice.weights, choice.labels].into_iter().flatten();
        features.iter().copied().chain(roles).collect::<Vec<_>>()
    };
    let columns = read();
    let parsed = match features.is_empty() {
        true => Parsed::default(),
        false => parse::rows(&layout, &columns)?,
    };
    let total_rows = match columns.len() {
        0 => 0,
        width => parsed.values.len() / width,
    };
    if total_rows == 0 && !layout.has_rows() {
        return Err(match layout.named {
            true => ReadProblem::HeaderOnly,
            false => ReadProblem::Empty,
        });
    }

    // Which of the columns read are features in the end: slots, that is places in a row of `values`.
    let mut chosen: Vec<usize> = (0..features.len())
        .filter(|&slot| choice.asked || parsed.seen[slot].is_numeric())
        .collect();
    let used = |column: usize| chosen.iter().any(|&slot| columns[slot] == column);
    let among = options.among.is_some() && options.columns.is_none();
    let left_out: Vec<String> = (0..layout.names.len())
        .filter(|&column| match among {
            true => !choice.features.contains(&column),
            false => !used(column) && choice.features.contains(&column) && !choice.asked,
        })
        .map(|column| layout.names[column].clone())
        .collect();
    if chosen.is_empty() {
        return Err(ReadProblem::NoNumbers { text: left_out });
    }
    let mut row_numbers = None;
    if !choice.asked
        && layout.first_is_nameless
        && chosen.len() > 1
        && columns[chosen[0]] == 0
        && counts_rows(&parsed.values, columns.len(), chosen[0])
    {
        chosen.remove(0);
        row_numbers = Some(layout.names[0].clone());
    }
    let features_names = chosen
        .iter()
        .map(|&slot| layout.names[columns[slot]].clone())
        .collect();
    let slots = Slots {
        width: columns.len(),
        features: chosen,
        weights: choice.weights.map(|_| features.len()),
        labels: choice
            .labels
            .map(|_| features.len() + usize::from(choice.weights.is_some())),
    };
    let rows = check(parsed.values, &slots, options.skip_invalid)
        .map_err(|fault| problem(fault, &layout, &columns, total_rows))?;
    let mut samples = Samples::new(rows.values, slots.features.len())?;
    if let Some(weights) = rows.weights {
        samples = samples.with_weights(weights)?;
    }
    Ok(Table {
        samples,
        features: features_names,
        named: layout.named,
        total_rows,
        kept: rows.kept,
        labels: rows.labels,
        left_out,
        row_numbers,
    })
}

/// Whether a column holds 0, 1, 2, … or 1, 2, 3, …
fn counts_rows(values: &[f64], width: usize, slot: usize) -> bool {
    let first = values[slot];
    (first == 0.0 || first == 1.0)
        && values
            .chunks_exact(width)
            .enumerate()
            .all(|(i, row)| row[slot] == first + i as f64)
}

/// The fault in the file's own words: its line, its column's name, the field as found.
fn problem(fault: Fault, layout: &Layout<'_>, columns: &[usize], total_rows: usize) -> ReadProblem {
    let place = |row: usize, slot: usize| {
        let (line, found) = layout.locate(row, columns[slot]);
        (line, layout.names[columns[slot]].clone(), found)
    };
    match fault {
        Fault::NotFinite {
            row, slot, rows, ..
        } => {
            let (row, column, found) = place(row, slot);
            ReadProblem::NotFinite {
                row,
                column,
                found,
                rows,
            }
        }
        Fault::NegativeWeight { row, slot, .. } => {
            let (row, column, found) = place(row, slot);
            ReadProblem::NegativeWeight { row, column, found }
        }
        Fault::Label { row, slot, .. } => {
            let (row, column, found) = place(row, slot);
            ReadProblem::Label { row, column, found }
        }
        Fault::AllSkipped => ReadProblem::AllSkipped { rows: total_rows },
    }
}

#[cfg(test)]
mod tests;
