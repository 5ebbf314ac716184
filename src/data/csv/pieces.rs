//! Text cut into pieces of whole rows, for all threads to read at once.
//!
//! A line end within quotes ends no row, and whether a place lies within quotes depends on all that comes before it.
//! So each piece is looked at both ways, as if it began a row and as if it began within quotes; once all are looked
//! at, one walk over them from the first says which it was and where rows begin.

use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2};
use rayon::prelude::*;

use super::text::Text;

/// Bytes looked at for the end of a line.
const WINDOW: usize = 4096;

/// Whole rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    /// Where they lie in the text.
    pub(super) bytes: Range<usize>,
    /// Ends of lines before them, from the first piece on.
    pub(super) lines_before: usize,
    /// Ends of lines in them: but for a last row without one there are no more rows.
    pub(super) lines: usize,
}

/// Cuts the text from byte `start` on into pieces of about `size` bytes.
pub(super) fn pieces(
    text: &Text,
    start: usize,
    delimiter: u8,
    size: usize,
) -> io::Result<Vec<Piece>> {
    let looks: Vec<Look> = lines(text, start, size)?
        .into_par_iter()
        .map_init(Vec::new, |room, part| {
            let bytes = text.bytes(part.clone(), room)?;
            Ok(Look::at(bytes, part.start, delimiter))
        })
        .collect::<io::Result<_>>()?;
    let mut pieces: Vec<Piece> = Vec::with_capacity(looks.len());
    let (mut quoted, mut lines_before) = (false, 0);
    for look in looks {
        // Where rows begin in this part, and the ends of lines before that.
        let (first, lines) = match (quoted, look.within) {
            (false, _) => (Some(look.bytes.start), 0),
            (true, Some((first, lines))) => (Some(first), lines),
            (true, None) => (None, look.lines),
        };
        if let Some(open) = pieces.last_mut() {
            open.bytes.end = first.unwrap_or(look.bytes.end);
            open.lines += lines;
        }
        if let Some(first) = first {
            pieces.push(Piece {
                bytes: first..look.bytes.end,
                lines_before: lines_before + lines,
                lines: look.lines - lines,
            });
        }
        lines_before += look.lines;
        quoted = match quoted {
            false => look.outside_ends_quoted,
            true => look.within_ends_quoted,
        };
    }
    pieces.retain(|piece| !piece.bytes.is_empty());
    Ok(pieces)
}

/// Parts of at least `size` bytes, but for the last, that end where lines do.
fn lines(text: &Text, start: usize, size: usize) -> io::Result<Vec<Range<usize>>> {
    let mut parts = Vec::with_capacity((text.len() - start) / size + 1);
    let mut room = Vec::new();
    let mut begin = start;
    while text.len() - begin > size {
        let end = line_end(text, begin + size, &mut room)?;
        parts.push(begin..end);
        begin = end;
    }
    parts.push(begin..text.len());
    Ok(parts)
}

/// The first place from `from` on that follows the end of a line; a line feed after a carriage return belongs to it.
fn line_end(text: &Text, mut from: usize, room: &mut Vec<u8>) -> io::Result<usize> {
    while from < text.len() {
        let window = text.bytes(from..text.len().min(from + WINDOW), room)?;
        match memchr2(b'\n', b'\r', window) {
            None => from += window.len(),
            // What follows the carriage return is in the next window.
            Some(at)
                if window[at] == b'\r' && at + 1 == window.len() && from + at + 1 < text.len() =>
            {
                if at == 0 {
                    // A window of one byte is met only at the end of the text.
                    return Ok(from + 1);
                }
                from += at;
            }
            Some(at) => return Ok(from + after_line_end(window, at)),
        }
    }
    Ok(text.len())
}

/// The place after the line end at `at`.
fn after_line_end(bytes: &[u8], at: usize) -> usize {
    at + match bytes[at..] {
        [b'\r', b'\n', ..] => 2,
        _ => 1,
    }
}

/// How many ends of lines: line feeds, and carriage returns that none follows.
pub(super) fn line_ends(bytes: &[u8]) -> usize {
    let feeds = memchr_iter(b'\n', bytes).count();
    let bare = memchr_iter(b'\r', bytes).filter(|i| bytes.get(i + 1) != Some(&b'\n'));
    feeds + bare.count()
}

/// A part of the text that ends where a line does, looked at both ways.
struct Look {
    bytes: Range<usize>,
    lines: usize,
    /// Whether it ends within quotes if a row begins with it.
    outside_ends_quoted: bool,
    /// The same if it begins within quotes.
    within_ends_quoted: bool,
    /// If it begins within quotes: where the first row begins and the ends of lines before that, if one does.
    within: Option<(usize, usize)>,
}

impl Look {
    fn at(bytes: &[u8], start: usize, delimiter: u8) -> Self {
        let quotes = memchr(b'"', bytes).is_some();
        let (outside_ends_quoted, _) = match quotes {
            true => walk(bytes, false, delimiter),
            false => (false, None),
        };
        let (within_ends_quoted, first) = match quotes {
            true => walk(bytes, true, delimiter),
            false => (true, None),
        };
        Self {
            bytes: start..start + bytes.len(),
            lines: line_ends(bytes),
            outside_ends_quoted,
            within_ends_quoted,
            within: first.map(|first| (start + first, line_ends(&bytes[..first]))),
        }
    }
}

/// Walks from quote to quote. Says whether the end lies within quotes and, if the beginning does, where the first row
/// begins. A quote opens a quoted field only where a field begins; within it two quotes stand for one.
fn walk(bytes: &[u8], mut quoted: bool, delimiter: u8) -> (bool, Option<usize>) {
    let mut first = None;
    let mut in_first_row = quoted;
    let mut at = 0;
    loop {
        let quote = memchr(b'"', &bytes[at..]).map(|i| at + i);
        if quoted {
            let Some(quote) = quote else {
                return (true, first);
            };
            at = quote + 1;
            match bytes.get(at) {
                Some(b'"') => at += 1,
                _ => quoted = false,
            }
            continue;
        }
        if in_first_row {
            let end = memchr2(b'\n', b'\r', &bytes[at..quote.unwrap_or(bytes.len())]);
            first = end.map(|i| after_line_end(bytes, at + i));
            in_first_row = first.is_none();
        }
        let Some(quote) = quote else {
            return (false, first);
        };
        let before = quote.checked_sub(1).map(|i| bytes[i]);
        quoted = before.is_none_or(|b| b == delimiter || b == b'\n' || b == b'\r');
        at = quote + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, size: usize) -> Vec<(String, usize, usize)> {
        let bytes = Text::Memory(text.as_bytes().to_vec());
        let pieces = pieces(&bytes, 0, b',', size).expect("in memory");
        let shown = |p: Piece| (text[p.bytes].to_owned(), p.lines_before, p.lines);
        pieces.into_iter().map(shown).collect()
    }

    #[test]
    fn pieces_are_whole_lines_and_miss_nothing() {
        for text in [
            "1,2\n3,4\n\n5,6\n7,8",
            "1,2\r\n3,4\r\n\r\n5,6",
            "1\r2\r\r3\r",
        ] {
            for size in 1..20 {
                let pieces = cut(text, size);
                let whole: String = pieces.iter().map(|p| p.0.as_str()).collect();
                assert_eq!(whole, text);
                let (_, but_last) = pieces.split_last().expect("one at least");
                assert!(but_last.iter().all(|p| p.0.ends_with(['\n', '\r'])));
                assert!(
                    pieces
                        .iter()
                        .skip(1)
                        .all(|p| !p.0.starts_with("\n") || text.contains("\n\n"))
                );
                let mut lines = 0;
                for (_, before, own) in pieces {
                    assert_eq!(before, lines);
                    lines += own;
                }
                assert_eq!(lines, line_ends(text.as_bytes()));
            }
        }
    }

    #[test]
    fn a_line_end_in_quotes_ends_no_piece() {
        let text = "1,\"a\nb\n\"\n2,c\n\"\"\"\n\",3\nx\"y,4\n";
        for size in 1..9 {
            let pieces = cut(text, size);
            assert_eq!(pieces[0], ("1,\"a\nb\n\"\n".to_owned(), 0, 3), "{size}");
            assert!(
                pieces.iter().all(|p| !p.0.ends_with("\"\"\"\n")),
                "{pieces:?}"
            );
        }
        // One that is never closed goes on to the end.
        assert_eq!(cut("1\n\"2\n3\n4\n", 1).len(), 2);
    }

    #[test]
    fn a_window_may_end_between_carriage_return_and_line_feed() {
        let text = format!("{}\r\n1\n", "x".repeat(WINDOW));
        let pieces = cut(&text, 1);
        assert_eq!(pieces[0].0.len(), WINDOW + 2);
        assert_eq!(pieces.len(), 2);
    }
}
