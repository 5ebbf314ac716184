//! One field of text: a number, a gap, or text.

/// Characters of a field that messages show.
const SHOWN: usize = 40;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    /// A number, finite or infinite.
    Number(f64),
    /// Nothing, or a word that says so.
    Missing,
    /// Anything else.
    Text,
}

/// What `field` holds; blanks around it do not count.
pub(super) fn cell(field: &[u8]) -> Cell {
    let field = field.trim_ascii();
    // This reads most numbers, in a third of the time; what it does not know, std may.
    if let Ok(x) = fast_float2::parse::<f64, _>(field)
        && x.is_finite()
    {
        return Cell::Number(x);
    }
    let number = std::str::from_utf8(field)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    match number {
        Some(x) if x.is_nan() => Cell::Missing,
        Some(x) => Cell::Number(x),
        None if is_missing(field) => Cell::Missing,
        None => Cell::Text,
    }
}

/// NaN in any case and with any sign is read as a number above.
fn is_missing(field: &[u8]) -> bool {
    let words: [&[u8]; 4] = [b"", b"na", b"n/a", b"null"];
    words.iter().any(|word| field.eq_ignore_ascii_case(word))
}

/// The field as messages show it.
pub(super) fn shown(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field.trim_ascii());
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_gaps_and_text_are_told_apart() {
        for (field, x) in [
            ("1", 1.0),
            (" -2.5 ", -2.5),
            ("+3e-4", 3e-4),
            (".5", 0.5),
            ("1.", 1.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
        ] {
            assert_eq!(cell(field.as_bytes()), Cell::Number(x), "{field}");
        }
        for field in [
            "", "  ", "NA", "na", "N/A", "NaN", "nan", "-nan", "null", "NULL",
        ] {
            assert_eq!(cell(field.as_bytes()), Cell::Missing, "{field}");
        }
        for field in ["x", "1,5", "1 2", "0x10", "--", "none", "1_000"] {
            assert_eq!(cell(field.as_bytes()), Cell::Text, "{field}");
        }
        assert_eq!(cell(b"\xff"), Cell::Text);
    }

    #[test]
    fn long_fields_are_cut() {
        assert_eq!(shown(b" n/a "), "n/a");
        assert_eq!(shown("é".repeat(41).as_bytes()), "é".repeat(40) + "…");
    }
}
