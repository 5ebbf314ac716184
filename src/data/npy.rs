//! Tables in numpy's NPY format: N × D or N real numbers.

mod values;

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::Path;

use npyz::{DType, NpyHeader, Order};

use super::table::{Choice, Fault, Number, Slots, check};
use super::{ReadOptions, ReadProblem, Samples, Table, Values};
use values::{Kept, Kind, Stored};

/// Reads a file.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Table, ReadProblem> {
    let file = File::open(path).map_err(ReadProblem::Unreadable)?;
    let stored = stored(file)?;
    let names: Vec<String> = (0..stored.d).map(|i| i.to_string()).collect();
    let choice = Choice::of(&names, options)?;
    match stored.kind.is_single() {
        true => table::<f32>(&stored, &names, &choice, options),
        false => table::<f64>(&stored, &names, &choice, options),
    }
}

/// Reads the header and makes sure that all its numbers are there.
fn stored(file: File) -> Result<Stored, ReadProblem> {
    let mut reader = BufReader::new(file);
    let header = NpyHeader::from_reader(&mut reader).map_err(|error| match error.kind() {
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
    let (start, found) = left(&mut reader).map_err(ReadProblem::Unreadable)?;
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
    Ok(Stored {
        file: reader.into_inner(),
        start,
        n,
        d,
        columns_first: header.order() == Order::Fortran && n > 1 && d > 1,
        kind,
    })
}

fn table<T: Kept + Number>(
    stored: &Stored,
    names: &[String],
    choice: &Choice,
    options: &ReadOptions,
) -> Result<Table, ReadProblem>
where
    Values: From<Vec<T>>,
{
    let columns: Vec<usize> = choice.read().collect();
    let values: Vec<T> = stored.read(&columns).map_err(ReadProblem::Unreadable)?;
    let n_features = choice.features.len();
    let slots = Slots {
        width: columns.len(),
        features: (0..n_features).collect(),
        weights: choice.weights.map(|_| n_features),
        labels: choice
            .labels
            .map(|_| n_features + usize::from(choice.weights.is_some())),
    };
    let named = |slot: usize| names[columns[slot]].clone();
    let rows = check(values, &slots, options.skip_invalid)
        .map_err(|fault| problem(fault, named, stored.n))?;
    let mut samples = Samples::finite(rows.values, n_features)?;
    if let Some(weights) = rows.weights {
        samples = samples.with_weights(weights)?;
    }
    Ok(Table {
        samples,
        features: choice.features.iter().map(|&c| names[c].clone()).collect(),
        named: false,
        total_rows: stored.n,
        kept: rows.kept,
        labels: rows.labels,
        left_out: Vec::new(),
        row_numbers: None,
    })
}

/// The fault in the file's own words: its row from 1, its column's number.
fn problem(fault: Fault, name: impl Fn(usize) -> String, total_rows: usize) -> ReadProblem {
    match fault {
        Fault::NotFinite {
            row,
            slot,
            value,
            rows,
        } => ReadProblem::NotFinite {
            row: row + 1,
            column: name(slot),
            found: value.to_string(),
            rows,
        },
        Fault::NegativeWeight { row, slot, value } => ReadProblem::NegativeWeight {
            row: row + 1,
            column: name(slot),
            found: value.to_string(),
        },
        Fault::Label { row, slot, value } => ReadProblem::Label {
            row: row + 1,
            column: name(slot),
            found: value.to_string(),
        },
        Fault::AllSkipped => ReadProblem::AllSkipped { rows: total_rows },
    }
}

/// The place in the file and the bytes from there to its end.
fn left(reader: &mut BufReader<File>) -> io::Result<(u64, u64)> {
    let here = reader.stream_position()?;
    let len = reader.get_ref().metadata()?.len();
    Ok((here, len.saturating_sub(here)))
}

#[cfg(test)]
mod tests;
