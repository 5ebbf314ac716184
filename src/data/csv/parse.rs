//! The data rows as numbers, piece by piece on all threads. What a field is, is as the csv crate has it.

use std::io;

use ::csv::ByteRecord;
use memchr::{memchr, memchr3};
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
        let mut free = values.chunks_exact_mut(self.width);
        let mut row = vec![0.0; self.width];
        let mut seen = vec![Seen::default(); self.width];
        let (mut rows, mut at) = (0, 0);
        while at < bytes.len() {
            if is_line_end(bytes[at]) {
                at += 1;
                continue;
            }
            let start = at;
            let fields = self.row(bytes, &mut at, &mut row, &mut seen);
            if fields != self.slots.len() {
                let line = line(piece, bytes, start);
                return Err(Stop::Uneven { line, fields });
            }
            // Room never ends before the rows do, unless there are more lines than were counted.
            let room = free.next().ok_or_else(|| Stop::Unreadable(changed()))?;
            // Rows are short: a loop is done before a copy of memory has begun.
            room.iter_mut().zip(&row).for_each(|(to, x)| *to = *x);
            rows += 1;
        }
        Ok((rows, seen))
    }

    /// Reads the row that begins at `at` and goes to its end; says how many fields it has.
    fn row(&self, bytes: &[u8], at: &mut usize, row: &mut [f64], seen: &mut [Seen]) -> usize {
        let mut fields = 0;
        loop {
            let rest = &bytes[*at..];
            let slot = self.slots.get(fields).copied().flatten();
            *at += match slot {
                None => self.skip(rest),
                Some(slot) => {
                    let (cell, len) = self.field(rest);
                    seen[slot].number |= matches!(cell, Cell::Number(_));
                    seen[slot].text |= cell == Cell::Text;
                    row[slot] = match cell {
                        Cell::Number(x) => x,
                        _ => f64::NAN,
                    };
                    len
                }
            };
            fields += 1;
            if bytes.get(*at).is_none_or(|b| is_line_end(*b)) {
                return fields;
            }
            *at += 1;
        }
    }

    /// The field that `rest` begins with, and its length.
    fn field(&self, rest: &[u8]) -> (Cell, usize) {
        // Most are numbers with nothing around them, whose end is found by reading them.
        if let Ok((x, len)) = fast_float2::parse_partial::<f64, _>(rest)
            && x.is_finite()
            && rest.get(len).is_none_or(|b| self.ends_field(*b))
        {
            return (Cell::Number(x), len);
        }
        if rest.first() == Some(&b'"') {
            // Most hold no quote, and nothing follows the closing one.
            if let Some(end) = memchr(b'"', &rest[1..])
                && rest.get(end + 2).is_none_or(|b| self.ends_field(*b))
            {
                return (cell(&rest[1..=end]), end + 2);
            }
            let mut content = Vec::new();
            let len = self.quoted(rest, |part| content.extend_from_slice(part));
            return (cell(&content), len);
        }
        let len = self.len(rest);
        (cell(&rest[..len]), len)
    }

    /// The length of the field that `rest` begins with, quoted or not.
    fn skip(&self, rest: &[u8]) -> usize {
        match rest.first() {
            Some(b'"') => self.quoted(rest, |_| {}),
            _ => self.len(rest),
        }
    }

    /// Takes the content of the quoted field that `rest` begins with, part by part, and says how long the field is.
    /// Two quotes stand for one; what follows the closing quote belongs to the content, as the csv crate has it.
    fn quoted(&self, rest: &[u8], mut take: impl FnMut(&[u8])) -> usize {
        let mut at = 1;
        while let Some(len) = memchr(b'"', &rest[at..]) {
            let end = at + len;
            if rest.get(end + 1) == Some(&b'"') {
                take(&rest[at..=end]);
                at = end + 2;
                continue;
            }
            take(&rest[at..end]);
            let after = &rest[end + 1..];
            let len = self.len(after);
            take(&after[..len]);
            return end + 1 + len;
        }
        take(&rest[at..]);
        rest.len()
    }

    /// The length of the field that `rest` begins with, if it is not quoted.
    fn len(&self, rest: &[u8]) -> usize {
        memchr3(self.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len())
    }

    fn ends_field(&self, byte: u8) -> bool {
        byte == self.delimiter || is_line_end(byte)
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests;
