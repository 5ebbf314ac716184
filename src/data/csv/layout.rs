//! How a text file is laid out, found by looking at its beginning.

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use super::cells::{Cell, cell, shown};
use crate::data::ReadProblem;
use crate::data::table::distinct_names;

/// Rows looked at for the delimiter and for columns of text.
const ROWS_LOOKED_AT: usize = 64;
/// Bytes that usually hold them.
const BYTES_LOOKED_AT: usize = 65_536;
/// Delimiters in the order in which they are believed: a decimal comma may stand between two of the others.
const DELIMITERS: [u8; 3] = [b'\t', b';', b','];

/// A text file and how it is laid out.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    /// The file without its byte order mark.
    text: &'a [u8],
    /// Where the data rows begin.
    body: usize,
    pub(super) delimiter: u8,
    /// One name a column, all different.
    pub(super) names: Vec<String>,
    /// Whether there is a header.
    pub(super) named: bool,
    /// Whether there is a header in which the first column has no name.
    pub(super) first_is_nameless: bool,
}

impl<'a> Layout<'a> {
    /// Looks at the file; a delimiter that is known is not looked for.
    pub(super) fn of(bytes: &'a [u8], delimiter: Option<u8>) -> Result<Self, ReadProblem> {
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(ReadProblem::Utf16);
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let delimiter = delimiter.unwrap_or_else(|| find_delimiter(text));
        let mut reader = reader(text, delimiter);
        let mut first = ByteRecord::new();
        if !next(&mut reader, &mut first) {
            return Err(ReadProblem::Empty);
        }
        let named = first.iter().any(|field| cell(field) == Cell::Text);
        let body = match named {
            true => offset(reader.position()),
            false => 0,
        };
        let found: Vec<String> = first
            .iter()
            .map(|field| match named {
                true => String::from_utf8_lossy(field.trim_ascii()).into_owned(),
                false => String::new(),
            })
            .collect();
        let first_is_nameless = named && found[0].is_empty();
        Ok(Self {
            text,
            body,
            delimiter,
            names: distinct_names(found),
            named,
            first_is_nameless,
        })
    }

    /// The data rows' text.
    pub(super) fn body(&self) -> &'a [u8] {
        &self.text[self.body..]
    }

    /// Reads the data rows one by one.
    pub(super) fn reader(&self) -> Reader<&'a [u8]> {
        reader(self.body(), self.delimiter)
    }

    /// Whether there is a data row.
    pub(super) fn has_rows(&self) -> bool {
        next(&mut self.reader(), &mut ByteRecord::new())
    }

    /// Per column, whether its first fields hold text.
    pub(super) fn text_columns_at_first_sight(&self) -> Vec<bool> {
        let mut text = vec![false; self.names.len()];
        let mut reader = self.reader();
        let mut record = ByteRecord::new();
        for _ in 0..ROWS_LOOKED_AT {
            if !next(&mut reader, &mut record) {
                break;
            }
            for (text, field) in text.iter_mut().zip(&record) {
                *text |= cell(field) == Cell::Text;
            }
        }
        text
    }

    /// Data row `row` (0-based): the line of the file on which it begins, and its field in `column` as
    /// messages show it.
    pub(super) fn locate(&self, row: usize, column: usize) -> (usize, String) {
        let mut reader = self.reader();
        let mut record = ByteRecord::new();
        for _ in 0..=row {
            if !next(&mut reader, &mut record) {
                break;
            }
        }
        let start = record.position().map_or(0, offset);
        (
            self.line(start),
            shown(record.get(column).unwrap_or_default()),
        )
    }

    /// The 1-based line of the file on which the row that starts at byte `start` of the body stands. Ends of
    /// lines before it, which the reader counts as part of it, are passed over.
    pub(super) fn line(&self, start: usize) -> usize {
        let start = self.body + start;
        let ends = self.text[start..].iter();
        let start = start + ends.take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let before = &self.text[..start];
        let ends = before.iter().enumerate().filter(|(i, b)| match b {
            b'\n' => true,
            b'\r' => before.get(i + 1) != Some(&b'\n'),
            _ => false,
        });
        1 + ends.count()
    }
}

/// Reads the next record, whatever its number of fields; false at the end.
pub(super) fn next(reader: &mut Reader<&[u8]>, record: &mut ByteRecord) -> bool {
    // Memory does not fail to be read, bytes are not checked as text and records may have any length.
    reader.read_byte_record(record).unwrap_or(false)
}

fn reader(text: &[u8], delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text)
}

/// A place in bytes.
pub(super) fn offset(position: &::csv::Position) -> usize {
    position.byte() as usize
}

/// The first delimiter that divides all rows looked at into the same number of fields, at least 2; else the
/// one that finds most fields in the first row; else a comma.
fn find_delimiter(text: &[u8]) -> u8 {
    let head = &text[..text.len().min(BYTES_LOOKED_AT)];
    let text = match head.iter().rposition(|&b| b == b'\n') {
        Some(end) if head.len() < text.len() => &head[..=end],
        _ => text,
    };
    let mut most = (1, b',');
    for delimiter in DELIMITERS {
        let mut reader = reader(text, delimiter);
        let mut record = ByteRecord::new();
        let mut fields = Vec::new();
        while fields.len() < ROWS_LOOKED_AT && next(&mut reader, &mut record) {
            fields.push(record.len());
        }
        let first = fields.first().copied().unwrap_or(0);
        if first > 1 && fields.iter().all(|&n| n == first) {
            return delimiter;
        }
        most = most.max((first, delimiter));
    }
    match most {
        (1, _) => b',',
        (_, delimiter) => delimiter,
    }
}
