//! Tables in text: fields between commas, semicolons or tabs.

mod cells;
mod layout;
mod parse;
mod pieces;
mod text;

use std::io;
use std::path::Path;

use super::table::{Choice, Fault, Slots, check};
use super::{ReadOptions, ReadProblem, Samples, Table};
use layout::Layout;
use parse::Parsed;
use text::Text;

/// Reads a file; without a delimiter it is found by looking.
pub(super) fn read(
    path: &Path,
    delimiter: Option<u8>,
    options: &ReadOptions,
) -> Result<Table, ReadProblem> {
    let text = Text::open(path).map_err(ReadProblem::Unreadable)?;
    table(&text, delimiter, options)
}

/// Reads standard input to its end.
pub(super) fn read_stdin(options: &ReadOptions) -> Result<Table, ReadProblem> {
    let text = Text::read(&mut io::stdin().lock()).map_err(ReadProblem::Unreadable)?;
    table(&text, None, options)
}

fn table(text: &Text, delimiter: Option<u8>, options: &ReadOptions) -> Result<Table, ReadProblem> {
    let layout = Layout::of(text, delimiter)?;
    let choice = Choice::of(&layout.names, options)?;
    let mut features = choice.features.clone();
    if !choice.asked {
        let looked = layout.text_columns_at_first_sight(text);
        let holds_text = looked.map_err(ReadProblem::Unreadable)?;
        features.retain(|&column| !holds_text[column]);
    }
    let read = || {
        let roles = [choice.weights, choice.labels].into_iter().flatten();
        features.iter().copied().chain(roles).collect::<Vec<_>>()
    };
    let columns = read();
    let mut parsed = match features.is_empty() {
        true => Parsed::default(),
        false => parse::rows(text, &layout, &columns)?,
    };
    let total_rows = match columns.len() {
        0 => 0,
        width => parsed.values.len() / width,
    };
    if total_rows == 0 && !layout.has_rows(text).map_err(ReadProblem::Unreadable)? {
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
    let values = std::mem::take(&mut parsed.values);
    let rows = check(values, &slots, options.skip_invalid).map_err(|fault| {
        let place = |row: usize, slot: usize| {
            let (line, found) = parsed.locate(text, &layout, row, columns[slot])?;
            Ok((line, layout.names[columns[slot]].clone(), found))
        };
        problem(fault, place, total_rows).unwrap_or_else(ReadProblem::Unreadable)
    })?;
    let mut samples = Samples::finite(rows.values, slots.features.len())?;
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

/// The fault in the file's own words; `place` gives a row's line, a slot's column and the field as found.
fn problem(
    fault: Fault,
    place: impl Fn(usize, usize) -> io::Result<(usize, String, String)>,
    total_rows: usize,
) -> io::Result<ReadProblem> {
    Ok(match fault {
        Fault::NotFinite {
            row, slot, rows, ..
        } => {
            let (row, column, found) = place(row, slot)?;
            ReadProblem::NotFinite {
                row,
                column,
                found,
                rows,
            }
        }
        Fault::NegativeWeight { row, slot, .. } => {
            let (row, column, found) = place(row, slot)?;
            ReadProblem::NegativeWeight { row, column, found }
        }
        Fault::Label { row, slot, .. } => {
            let (row, column, found) = place(row, slot)?;
            ReadProblem::Label { row, column, found }
        }
        Fault::AllSkipped => ReadProblem::AllSkipped { rows: total_rows },
    })
}

#[cfg(test)]
mod tests;
