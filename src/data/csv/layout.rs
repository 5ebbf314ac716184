//! How a text file is laid out, found by looking at its beginning.

use std::io::{self, Read};

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use super::cells::{Cell, cell};
use super::pieces::line_ends;
use super::text::Text;
use crate::data::ReadProblem;
use crate::data::table::distinct_names;

/// Rows looked at for the delimiter and for columns of text.
const ROWS_LOOKED_AT: usize = 64;
/// Bytes that usually hold them.
const BYTES_LOOKED_AT: usize = 65_536;
/// Delimiters in the order in which they are believed: a decimal comma may stand between two of the others.
const DELIMITERS: [u8; 3] = [b'\t', b';', b','];

/// How a text file is laid out.
#[derive(Debug)]
pub(super) struct Layout {
    /// Where the data rows begin.
    pub(super) body: usize,
    /// Ends of lines before that.
    pub(super) lines: usize,
    pub(super) delimiter: u8,
    /// One name a column, all different.
    pub(super) names: Vec<String>,
    /// Whether there is a header.
    pub(super) named: bool,
    /// Whether there is a header in which the first column has no name.
    pub(super) first_is_nameless: bool,
}

impl Layout {
    /// Looks at the text; a delimiter that is known is not looked for.
    pub(super) fn of(text: &Text, delimiter: Option<u8>) -> Result<Self, ReadProblem> {
        let mut room = Vec::new();
        let unreadable = ReadProblem::Unreadable;
        let mark = text.bytes(0..text.len().min(3), &mut room);
        let mark = mark.map_err(unreadable)?;
        if mark.starts_with(b"\xff\xfe") || mark.starts_with(b"\xfe\xff") {
            return Err(ReadProblem::Utf16);
        }
        let start = if mark == b"\xef\xbb\xbf" { 3 } else { 0 };
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => find_delimiter(text, start).map_err(unreadable)?,
        };
        let mut reader = reader(text.reader(start), delimiter);
        let mut first = ByteRecord::new();
        if !next(&mut reader, &mut first).map_err(unreadable)? {
            return Err(ReadProblem::Empty);
        }
        let named = first.iter().any(|field| cell(field) == Cell::Text);
        let body = match named {
            true => start + offset(reader.position()),
            false => start,
        };
        let found: Vec<String> = first
            .iter()
            .map(|field| match named {
                true => String::from_utf8_lossy(field.trim_ascii()).into_owned(),
                false => String::new(),
            })
            .collect();
        let first_is_nameless = named && found[0].is_empty();
        // A line feed may stand on the other side of the cut than its carriage return: then it is that one's.
        let header = text.bytes(0..body, &mut room).map_err(unreadable)?;
        let cut =
            header.ends_with(b"\r") && followed_by_line_feed(text, body).map_err(unreadable)?;
        let lines = line_ends(header) - usize::from(cut);
        Ok(Self {
            body,
            lines,
            delimiter,
            names: distinct_names(found),
            named,
            first_is_nameless,
        })
    }

    /// Whether there is a data row.
    pub(super) fn has_rows(&self, text: &Text) -> io::Result<bool> {
        next(
            &mut reader(text.reader(self.body), self.delimiter),
            &mut ByteRecord::new(),
        )
    }

    /// Per column, whether its first fields hold text.
    pub(super) fn text_columns_at_first_sight(&self, from: &Text) -> io::Result<Vec<bool>> {
        let mut text = vec![false; self.names.len()];
        let mut reader = reader(from.reader(self.body), self.delimiter);
        let mut record = ByteRecord::new();
        for _ in 0..ROWS_LOOKED_AT {
            if !next(&mut reader, &mut record)? {
                break;
            }
            for (text, field) in text.iter_mut().zip(&record) {
                *text |= cell(field) == Cell::Text;
            }
        }
        Ok(text)
    }
}

fn followed_by_line_feed(text: &Text, at: usize) -> io::Result<bool> {
    let mut room = Vec::new();
    Ok(text.bytes(at..text.len().min(at + 1), &mut room)? == b"\n")
}

/// Reads the next record, whatever its number of fields; false at the end.
pub(super) fn next<R: Read>(reader: &mut Reader<R>, record: &mut ByteRecord) -> io::Result<bool> {
    // Bytes are not checked as text and records may have any length: only the reading itself can fail.
    reader.read_byte_record(record).map_err(io::Error::from)
}

/// Records of text from its beginning, or from where it is read on.
pub(super) fn reader<R: Read>(text: R, delimiter: u8) -> Reader<R> {
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
fn find_delimiter(text: &Text, start: usize) -> io::Result<u8> {
    let mut room = Vec::new();
    let end = text.len().min(start + BYTES_LOOKED_AT);
    let head = text.bytes(start..end, &mut room)?;
    let looked_at = match head.iter().rposition(|&b| b == b'\n') {
        Some(last) if end < text.len() => last + 1,
        _ => text.len() - start,
    };
    let mut most = (1, b',');
    for delimiter in DELIMITERS {
        let mut reader = reader(text.reader(start).take(looked_at as u64), delimiter);
        let mut record = ByteRecord::new();
        let mut fields = Vec::new();
        while fields.len() < ROWS_LOOKED_AT && next(&mut reader, &mut record)? {
            fields.push(record.len());
        }
        let first = fields.first().copied().unwrap_or(0);
        if first > 1 && fields.iter().all(|&n| n == first) {
            return Ok(delimiter);
        }
        most = most.max((first, delimiter));
    }
    Ok(match most {
        (1, _) => b',',
        (_, delimiter) => delimiter,
    })
}
