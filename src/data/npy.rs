//! Tables in numpy's NPY format: N × D or N real numbers.

mod values;

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::Path;

use npyz::{DType, NpyHeader, Order};
use rayon::prelude::*;

use super::table::{Choice, Fault, Number, Slots, check};
use super::{ReadOptions, ReadProblem, Samples, Table, Values};
use values::Kind;

/// Rows that are turned from columns at a time, so that what is written stays in the cache.
const ROWS_TURNED: usize = 4096;

/// Reads a file.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Table, ReadProblem> {
    let file = File::open(path).map_err(ReadProblem::Unreadable)?;
    let mut reader = BufReader::new(file);
    let layout = Layout::of(&mut reader)?;
    let names: Vec<String> = (0..layout.d).map(|i| i.to_string()).collect();
    let choice = Choice::of(&names, options)?;
    match values::read(&mut reader, layout.kind, layout.n * layout.d)
        .map_err(ReadProblem::Unreadable)?
    {
        Values::F32(values) => table(values, &layout, &names, &choice, options),
        Values::F64(values) => table(values, &layout, &names, &choice, options),
    }
}

/// What the header says.
struct Layout {
    n: usize,
    d: usize,
    columns_first: bool,
    kind: Kind,
}

impl Layout {
    /// Reads the header and makes sure that all its numbers are there.
    fn of(reader: &mut BufReader<File>) -> Result<Self, ReadProblem> {
        let header = NpyHeader::from_reader(&mut *reader).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => ReadProblem::Unreadable(error),
            io::ErrorKind::UnexpectedEof => ReadProblem::NotNpy {
                reason: "its header is cut off".to_owned(),
            },
            _ => ReadProblem::NotNpy {
                reason: error.to_string(),
            },
        })?;
        let dtype = header.dtype();
        let kind = match &dtype {
            DType::Plain(plain) => Kind::of(plain),
            _ => None,
        };
        let Some(kind) = kind else {
            return Err(ReadProblem::NpyType {
                dtype: dtype.descr(),
            });
        };
        let shape = header.shape().to_vec();
        let (n, d) = match shape[..] {
            [n] => (n, 1),
            [n, d] => (n, d),
            _ => return Err(ReadProblem::NpyShape { shape }),
        };
        if n == 0 || d == 0 {
            return Err(ReadProblem::NpyNothing { shape });
        }
        let expected = u128::from(n)
            .saturating_mul(u128::from(d))
            .saturating_mul(kind.bytes() as u128);
        let found = left(reader).map_err(ReadProblem::Unreadable)?;
        if u128::from(found) < expected {
            return Err(ReadProblem::NpyCutOff {
                shape,
                expected,
                found,
            });
        }
        // What lies in a file has a length that fits in memory's, except where addresses are short.
        let (Ok(n), Ok(d), Ok(_)) = (n.try_into(), d.try_into(), usize::try_from(expected)) else {
            return Err(ReadProblem::Unreadable(io::ErrorKind::OutOfMemory.into()));
        };
        Ok(Self {
            n,
            d,
            columns_first: header.order() == Order::Fortran,
            kind,
        })
    }
}

/// Bytes from here to the end of the file.
fn left(reader: &mut BufReader<File>) -> io::Result<u64> {
    let here = reader.stream_position()?;
    Ok(reader.get_ref().metadata()?.len().saturating_sub(here))
}

fn table<T: Number>(
    values: Vec<T>,
    layout: &Layout,
    names: &[String],
    choice: &Choice,
    options: &ReadOptions,
) -> Result<Table, ReadProblem>
where
    Values: From<Vec<T>>,
{
    let (n, d) = (layout.n, layout.d);
    let values = match layout.columns_first && n > 1 && d > 1 {
        true => turned(&values, n, d),
        false => values,
    };
    let slots = Slots {
        width: d,
        features: choice.features.clone(),
        weights: choice.weights,
        labels: choice.labels,
    };
    let rows =
        check(values, &slots, options.skip_invalid).map_err(|fault| problem(fault, names, n))?;
    let mut samples = Samples::new(rows.values, choice.features.len())?;
    if let Some(weights) = rows.weights {
        samples = samples.with_weights(weights)?;
    }
    Ok(Table {
        samples,
        features: choice.features.iter().map(|&c| names[c].clone()).collect(),
        named: false,
        total_rows: n,
        kept: rows.kept,
        labels: rows.labels,
        left_out: Vec::new(),
        row_numbers: None,
    })
}

/// N × D by columns as N × D by rows.
fn turned<T: Number>(columns: &[T], n: usize, d: usize) -> Vec<T> {
    let mut rows = columns.to_vec();
    rows.par_chunks_mut(ROWS_TURNED * d)
        .enumerate()
        .for_each(|(c, block)| {
            for j in 0..d {
                let from = &columns[j * n + c * ROWS_TURNED..];
                for (row, x) in block.chunks_exact_mut(d).zip(from) {
                    row[j] = *x;
                }
            }
        });
    rows
}

/// The fault in the file's own words: its row from 1, its column's number.
fn problem(fault: Fault, names: &[String], total_rows: usize) -> ReadProblem {
    match fault {
        Fault::NotFinite {
            row,
            slot,
            value,
            rows,
        } => ReadProblem::NotFinite {
            row: row + 1,
            column: names[slot].clone(),
            found: value.to_string(),
            rows,
        },
        Fault::NegativeWeight { row, slot, value } => ReadProblem::NegativeWeight {
            row: row + 1,
            column: names[slot].clone(),
            found: value.to_string(),
        },
        Fault::Label { row, slot, value } => ReadProblem::Label {
            row: row + 1,
            column: names[slot].clone(),
            found: value.to_string(),
        },
        Fault::AllSkipped => ReadProblem::AllSkipped { rows: total_rows },
    }
}

#[cfg(test)]
mod tests;
