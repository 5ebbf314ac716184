//! The data rows as numbers, piece by piece on all threads: by a reader of our own where no field is quoted, else
//! through the csv crate. Both give the same.

use std::io;

use ::csv::ByteRecord;
use rayon::prelude::*;

use super::cells::{Cell, cell, shown};
use super::layout::{Layout, next, offset, reader};
use super::pieces::{Piece, line_ends, pieces};
use super::text::{Text, changed};
use crate::data::ReadProblem;

/// Bytes a thread takes at a time: few enough for its cache.
const BYTES_A_PIECE: usize = 1 << 20;

/// What a column was seen to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    number: bool,
    text: bool,
}

impl Seen {
    /// Whether there is a number in it and no text.
    pub(super) fn is_numeric(self) -> bool {
        self.number && !self.text
    }
}

/// All data rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parsed {
    /// Row-major, rows × columns read; NaN for a gap or text.
    pub(super) values: Vec<f64>,
    /// One a column read.
    pub(super) seen: Vec<Seen>,
    /// Where they were read, and how many rows there.
    pieces: Vec<(Piece, usize)>,
}

impl Parsed {
    /// Data row `row` (0-based): the line of the file on which it begins, and its field in `column` as messages
    /// show it.
    pub(super) fn locate(
        &self,
        text: &Text,
        layout: &Layout,
        row: usize,
        column: usize,
    ) -> io::Result<(usize, String)> {
        let mut before = 0;
        for (piece, rows) in &self.pieces {
            if before + rows <= row {
                before += rows;
                continue;
            }
            let mut room = Vec::new();
            let bytes = text.bytes(piece.bytes.clone(), &mut room)?;
            let mut reader = reader(bytes, layout.delimiter);
            let mut record = ByteRecord::new();
            for _ in before..=row {
                next(&mut reader, &mut record)?;
            }
            let start = record.position().map_or(0, offset);
            let found = shown(record.get(column).unwrap_or_default());
            return Ok((layout.lines + line(piece, bytes, start), found));
        }
        Err(changed())
    }
}

/// The 1-based line, from the first data row on, of the row that starts at byte `start` of a piece. Ends of lines
/// before it, which the csv crate counts as part of it, are passed over.
fn line(piece: &Piece, bytes: &[u8], start: usize) -> usize {
    let ends = bytes[start..].iter();
    let start = start + ends.take_while(|b| matches!(b, b'\r' | b'\n')).count();
    piece.lines_before + line_ends(&bytes[..start]) + 1
}

/// Why reading ended early.
#[derive(Debug)]
enum Stop {
    /// A row with a number of fields other than the first's, and the line it begins on, as [`line`] counts.
    Uneven {
        line: usize,
        fields: usize,
    },
    Unreadable(io::Error),
}

/// Reads these columns of the data rows (at least one).
pub(super) fn rows(text: &Text, layout: &Layout, columns: &[usize]) -> Result<Parsed, ReadProblem> {
    let parsed = Task::of(layout, columns).by_pieces(text, layout.body, BYTES_A_PIECE);
    parsed.map_err(|stop| match stop {
        Stop::Uneven { line, fields } => ReadProblem::FieldCount {
            row: layout.lines + line,
            found: fields,
            expected: layout.names.len(),
        },
        Stop::Unreadable(error) => ReadProblem::Unreadable(error),
    })
}

/// What is read of a row.
struct Task {
    delimiter: u8,
    /// Per column of the file, its place in a row of values.
    slots: Vec<Option<usize>>,
    width: usize,
}

/// What a piece holds: rows and columns.
type Held = (usize, Vec<Seen>);

impl Task {
    fn of(layout: &Layout, columns: &[usize]) -> Self {
        let mut slots = vec![None; layout.names.len()];
        for (slot, &column) in columns.iter().enumerate() {
            slots[column] = Some(slot);
        }
        Self {
            delimiter: layout.delimiter,
            slots,
            width: columns.len(),
        }
    }

    fn by_pieces(&self, text: &Text, start: usize, size: usize) -> Result<Parsed, Stop> {
        let pieces = pieces(text, start, self.delimiter, size).map_err(Stop::Unreadable)?;
        // A row takes a line, and a byte a field but for one: room for that many is enough.
        let room = |piece: &Piece| {
            let last = usize::from(piece.bytes.end == text.len());
            (piece.lines + last).min(piece.bytes.len() / self.slots.len() + 1)
        };
        let rooms: Vec<usize> = pieces.iter().map(room).collect();
        let mut values = vec![0.0; rooms.iter().sum::<usize>() * self.width];
        let mut jobs = Vec::with_capacity(pieces.len());
        let mut rest = values.as_mut_slice();
        for (piece, room) in pieces.iter().zip(&rooms) {
            let (rows, others) = rest.split_at_mut(room * self.width);
            jobs.push((piece, rows));
            rest = others;
        }
        let done: Vec<Result<Held, Stop>> = jobs
            .into_par_iter()
            .map_init(Vec::new, |bytes, (piece, rows)| {
                let bytes = text.bytes(piece.bytes.clone(), bytes);
                self.piece(piece, bytes.map_err(Stop::Unreadable)?, rows)
            })
            .collect();
        let mut seen = vec![Seen::default(); self.width];
        let mut counted = Vec::with_capacity(pieces.len());
        let (mut from, mut end) = (0, 0);
        for ((done, piece), room) in done.into_iter().zip(pieces).zip(rooms) {
            let (rows, others) = done?;
            for (seen, other) in seen.iter_mut().zip(others) {
                seen.number |= other.number;
                seen.text |= other.text;
            }
            if from != end {
                values.copy_within(from..from + rows * self.width, end);
            }
            from += room * self.width;
            end += rows * self.width;
            counted.push((piece, rows));
        }
        values.truncate(end);
        Ok(Parsed {
            values,
            seen,
            pieces: counted,
        })
    }

    fn piece(&self, piece: &Piece, bytes: &[u8], values: &mut [f64]) -> Result<Held, Stop> {
        let mut taken = Taken {
            task: self,
            free: values.chunks_exact_mut(self.width),
            row: vec![0.0; self.width],
            seen: vec![Seen::default(); self.width],
            rows: 0,
        };
        let read = match piece.quoted {
            true => taken.by_records(bytes),
            false => taken.by_lines(bytes),
        };
        match read {
            Ok(()) => Ok((taken.rows, taken.seen)),
            Err(Bad::Uneven { start, fields }) => Err(Stop::Uneven {
                line: line(piece, bytes, start),
                fields,
            }),
            Err(Bad::Unreadable(error)) => Err(Stop::Unreadable(error)),
        }
    }
}

/// Why a piece cannot be taken.
enum Bad {
    Uneven { start: usize, fields: usize },
    Unreadable(io::Error),
}

/// Rows taken of a piece so far.
struct Taken<'a> {
    task: &'a Task,
    free: std::slice::ChunksExactMut<'a, f64>,
    row: Vec<f64>,
    seen: Vec<Seen>,
    rows: usize,
}

impl Taken<'_> {
    /// Through the csv crate.
    fn by_records(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let mut reader = reader(bytes, self.task.delimiter);
        let mut record = ByteRecord::new();
        while next(&mut reader, &mut record).map_err(Bad::Unreadable)? {
            for (field, found) in record.iter().enumerate() {
                if let Some(slot) = self.slot(field) {
                    self.put(slot, cell(found));
                }
            }
            self.end_row(record.position().map_or(0, offset), record.len())?;
        }
        Ok(())
    }

    /// Where lines are rows and delimiters part fields.
    fn by_lines(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let mut at = 0;
        while at < bytes.len() {
            if is_line_end(bytes[at]) {
                at += 1;
                continue;
            }
            let start = at;
            let mut field = 0;
            loop {
                at += match self.slot(field) {
                    Some(slot) => {
                        let (cell, len) = self.task.field(&bytes[at..]);
                        self.put(slot, cell);
                        len
                    }
                    None => self.task.len(&bytes[at..]),
                };
                field += 1;
                if bytes.get(at).is_none_or(|b| is_line_end(*b)) {
                    break;
                }
                at += 1;
            }
            self.end_row(start, field)?;
        }
        Ok(())
    }

    fn slot(&self, field: usize) -> Option<usize> {
        self.task.slots.get(field).copied().flatten()
    }

    fn put(&mut self, slot: usize, cell: Cell) {
        self.row[slot] = match cell {
            Cell::Number(x) => {
                self.seen[slot].number = true;
                x
            }
            Cell::Missing => f64::NAN,
            Cell::Text => {
                self.seen[slot].text = true;
                f64::NAN
            }
        };
    }

    fn end_row(&mut self, start: usize, fields: usize) -> Result<(), Bad> {
        if fields != self.task.slots.len() {
            return Err(Bad::Uneven { start, fields });
        }
        // Room never ends before the rows do, unless there are more lines than were counted.
        let room = self.free.next().ok_or_else(changed);
        let room = room.map_err(Bad::Unreadable)?;
        // Rows are short: a loop is done before a copy of memory has begun.
        room.iter_mut().zip(&self.row).for_each(|(to, x)| *to = *x);
        self.rows += 1;
        Ok(())
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

impl Task {
    /// The field that `rest` begins with, and its length.
    fn field(&self, rest: &[u8]) -> (Cell, usize) {
        // Most are numbers with nothing around them, whose end is found by reading them.
        if let Ok((x, len)) = fast_float2::parse_partial::<f64, _>(rest)
            && x.is_finite()
            && rest.get(len).is_none_or(|b| self.ends_field(*b))
        {
            return (Cell::Number(x), len);
        }
        let len = self.len(rest);
        (cell(&rest[..len]), len)
    }

    /// The length of the field that `rest` begins with.
    fn len(&self, rest: &[u8]) -> usize {
        memchr::memchr3(self.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len())
    }

    fn ends_field(&self, byte: u8) -> bool {
        byte == self.delimiter || is_line_end(byte)
    }
}

#[cfg(test)]
mod tests;
