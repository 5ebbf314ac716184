//! The data rows as numbers: in parallel where no field is quoted, else through the csv crate. Both give the
//! same.

use ::csv::ByteRecord;
use rayon::prelude::*;

use super::cells::{Cell, cell};
use super::layout::{Layout, next, offset};
use crate::data::ReadProblem;

/// Bytes a thread takes at a time.
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
}

/// A row with a number of fields other than the first's.
struct Uneven {
    /// Where it starts in the body.
    start: usize,
    fields: usize,
}

/// Reads these columns of the data rows (at least one).
pub(super) fn rows(layout: &Layout<'_>, columns: &[usize]) -> Result<Parsed, ReadProblem> {
    let task = Task::of(layout, columns);
    let parsed = match is_plain(layout.body(), BYTES_A_PIECE) {
        true => task.by_pieces(layout.body(), BYTES_A_PIECE),
        false => task.by_records(layout),
    };
    parsed.map_err(|uneven| ReadProblem::FieldCount {
        row: layout.line(uneven.start),
        found: uneven.fields,
        expected: layout.names.len(),
    })
}

/// Whether lines are rows and delimiters part fields: no quotes, and no line ends in a carriage return alone.
fn is_plain(body: &[u8], piece: usize) -> bool {
    pieces(body, piece).into_par_iter().all(|piece| {
        !piece.contains(&b'"')
            && (!piece.contains(&b'\r')
                || (!piece.ends_with(b"\r")
                    && piece.windows(2).all(|w| w[0] != b'\r' || w[1] == b'\n')))
    })
}

/// Cuts at ends of lines, into pieces of at least `size` bytes but for the last.
fn pieces(body: &[u8], size: usize) -> Vec<&[u8]> {
    let mut pieces = Vec::with_capacity(body.len() / size + 1);
    let mut rest = body;
    while rest.len() > size {
        let Some(end) = rest[size..].iter().position(|&b| b == b'\n') else {
            break;
        };
        let (piece, others) = rest.split_at(size + end + 1);
        pieces.push(piece);
        rest = others;
    }
    pieces.push(rest);
    pieces
}

/// What is read of a row.
struct Task {
    delimiter: u8,
    /// Per column of the file, its place in a row of values.
    slots: Vec<Option<usize>>,
    width: usize,
}

impl Task {
    fn of(layout: &Layout<'_>, columns: &[usize]) -> Self {
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

    /// Reads one row into `row` and says how many fields it has.
    fn row<'f>(
        &self,
        fields: impl Iterator<Item = &'f [u8]>,
        row: &mut [f64],
        seen: &mut [Seen],
    ) -> usize {
        let mut count = 0;
        for (i, field) in fields.enumerate() {
            count = i + 1;
            let Some(&Some(slot)) = self.slots.get(i) else {
                continue;
            };
            row[slot] = match cell(field) {
                Cell::Number(x) => {
                    seen[slot].number = true;
                    x
                }
                Cell::Missing => f64::NAN,
                Cell::Text => {
                    seen[slot].text = true;
                    f64::NAN
                }
            };
        }
        count
    }

    fn by_records(&self, layout: &Layout<'_>) -> Result<Parsed, Uneven> {
        let mut reader = layout.reader();
        let mut record = ByteRecord::new();
        let mut values = Vec::new();
        let mut row = vec![0.0; self.width];
        let mut seen = vec![Seen::default(); self.width];
        while next(&mut reader, &mut record) {
            let fields = self.row(record.iter(), &mut row, &mut seen);
            if fields != self.slots.len() {
                return Err(Uneven {
                    start: record.position().map_or(0, offset),
                    fields,
                });
            }
            values.extend_from_slice(&row);
        }
        Ok(Parsed { values, seen })
    }

    fn by_pieces(&self, body: &[u8], size: usize) -> Result<Parsed, Uneven> {
        let pieces = pieces(body, size);
        // A row takes a line, and a byte a field: room for that many is enough.
        let room: Vec<usize> = pieces
            .par_iter()
            .map(|piece| {
                let lines = piece.iter().filter(|&&b| b == b'\n').count() + 1;
                lines.min(piece.len() / self.slots.len() + 1)
            })
            .collect();
        let mut values = vec![0.0; room.iter().sum::<usize>() * self.width];
        let mut jobs = Vec::with_capacity(pieces.len());
        let mut rest = values.as_mut_slice();
        let mut start = 0;
        for (piece, room) in pieces.iter().zip(&room) {
            let (rows, others) = rest.split_at_mut(room * self.width);
            jobs.push((*piece, start, rows));
            rest = others;
            start += piece.len();
        }
        let done: Vec<Result<(usize, Vec<Seen>), Uneven>> = jobs
            .into_par_iter()
            .map(|(piece, start, rows)| self.piece(piece, start, rows))
            .collect();
        let mut seen = vec![Seen::default(); self.width];
        let (mut from, mut end) = (0, 0);
        for (done, room) in done.into_iter().zip(&room) {
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
        }
        values.truncate(end);
        Ok(Parsed { values, seen })
    }

    /// Reads a piece of the body that starts at byte `start` of it; says how many rows it has.
    fn piece(
        &self,
        piece: &[u8],
        start: usize,
        values: &mut [f64],
    ) -> Result<(usize, Vec<Seen>), Uneven> {
        let mut seen = vec![Seen::default(); self.width];
        let mut free = values.chunks_exact_mut(self.width);
        let mut rows = 0;
        let mut next_line = start;
        for line in piece.split(|&b| b == b'\n') {
            let line_start = next_line;
            next_line += line.len() + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            // Room never ends before the rows do, unless one is too short.
            let mut none = Vec::new();
            let row = match free.next() {
                Some(row) => row,
                None => {
                    none.resize(self.width, 0.0);
                    &mut none
                }
            };
            let fields = self.row(line.split(|&b| b == self.delimiter), row, &mut seen);
            if fields != self.slots.len() {
                return Err(Uneven {
                    start: line_start,
                    fields,
                });
            }
            rows += 1;
        }
        Ok((rows, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both ways, with small pieces so that there are many.
    fn both(text: &str, columns: &[usize]) -> [Result<Parsed, (usize, usize)>; 2] {
        let layout = Layout::of(text.as_bytes(), Some(b',')).expect("rows");
        let task = Task::of(&layout, columns);
        [task.by_pieces(layout.body(), 16), task.by_records(&layout)]
            .map(|parsed| parsed.map_err(|uneven| (layout.line(uneven.start), uneven.fields)))
    }

    /// Bits, since a gap is NaN.
    fn bits(
        parsed: &Result<Parsed, (usize, usize)>,
    ) -> Result<(Vec<u64>, Vec<Seen>), (usize, usize)> {
        let parsed = parsed.as_ref().map_err(|e| *e)?;
        let bits = parsed.values.iter().map(|x| x.to_bits()).collect();
        Ok((bits, parsed.seen.clone()))
    }

    #[test]
    fn pieces_are_whole_lines_and_miss_nothing() {
        let text = b"1,2\n3,4\n\n5,6\n7,8";
        for size in 1..20 {
            let pieces = pieces(text, size);
            assert_eq!(pieces.concat(), text);
            let (_, whole) = pieces.split_last().expect("one at least");
            assert!(whole.iter().all(|p| p.ends_with(b"\n")));
        }
    }

    #[test]
    fn plain_text_has_no_quotes_and_no_bare_carriage_return() {
        for (text, plain) in [
            ("1,2\n3,4\n", true),
            ("1,2\r\n3,4\r\n", true),
            ("\"1\",2\n", false),
            ("1,2\r3,4\n", false),
            ("1,2\n3,4\r", false),
        ] {
            assert_eq!(is_plain(text.as_bytes(), 4), plain, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_give_the_same_bits(
            rows in prop::collection::vec(
                (prop::collection::vec(
                    prop_oneof![
                        8 => any::<f64>().prop_map(|x| format!("{x:?}")),
                        1 => Just(String::new()),
                        1 => Just("NA".to_owned()),
                        1 => Just("text".to_owned()),
                    ], 3),
                 prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n"), Just("\r\n\r\n")]),
                1..40),
            short in prop::option::weighted(0.2, 0usize..40),
        ) {
            let mut text = "a,b,c\n".to_owned();
            for (i, (fields, end)) in rows.iter().enumerate() {
                let fields = if short == Some(i) { &fields[..2] } else { fields };
                text += &fields.join(",");
                text += end;
            }
            let [pieces, records] = both(&text, &[2, 0]);
            prop_assert_eq!(bits(&pieces), bits(&records));
            prop_assert_eq!(pieces.is_err(), short.is_some_and(|i| i < rows.len()));
        }
    }
}
