//! Numbers and words as SVG text.

use svg::node::element::Text;

/// Whatever sans-serif the reader's system is set in.
pub(super) const FONT: &str =
    "system-ui, -apple-system, 'Segoe UI', Roboto, Inter, 'Helvetica Neue', Arial, sans-serif";

/// Coordinates beyond this leave every picture; renderers lose precision there.
const FARTHEST: f64 = 1e5;

/// A coordinate to 0.1 px, as short as it can be written; always finite.
pub(super) fn px(v: f64) -> String {
    let v = if v.is_nan() {
        0.0
    } else {
        v.clamp(-FARTHEST, FARTHEST)
    };
    let tenths = (v * 10.0).round() as i64;
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, tenth) = (tenths.abs() / 10, tenths.abs() % 10);
    match (whole, tenth) {
        (_, 0) => format!("{sign}{whole}"),
        (0, _) => format!("{sign}.{tenth}"),
        _ => format!("{sign}{whole}.{tenth}"),
    }
}

/// An angle of at most half a turn, given in radians, in degrees to 0.01 (0.1 px at the far end of an
/// ellipse as long as the picture); always finite.
pub(super) fn degrees(radians: f64) -> String {
    let hundredths = (radians.to_degrees() * 100.0).round();
    // Adding 0 turns −0 into 0.
    let degrees = if hundredths.is_finite() {
        hundredths / 100.0 + 0.0
    } else {
        0.0
    };
    degrees.to_string()
}

/// A text element at (x, y): characters that XML cannot hold are replaced, the rest is escaped on writing.
pub(super) fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(legible(content)).set("x", px(x)).set("y", px(y))
}

/// The content with what XML 1.0 cannot hold replaced by U+FFFD, and white space by plain spaces.
pub(super) fn legible(content: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => '\u{FFFD}',
        c => c,
    };
    content.chars().map(plain).collect()
}

/// The content cut with an ellipsis so that it fills at most about `room` px at the font size.
pub(super) fn shortened(content: &str, size: f64, room: f64) -> String {
    if width(content, size) <= room {
        return content.into();
    }
    let room = room - width("…", size);
    let mut used = 0.0;
    let fits = content.chars().take_while(|c| {
        used += advance(*c) * size;
        used <= room
    });
    let mut cut: String = fits.collect();
    cut.push('…');
    cut
}

/// About how wide a text is, in px, in the usual sans-serifs.
pub(super) fn width(content: &str, size: f64) -> f64 {
    content.chars().map(advance).sum::<f64>() * size
}

fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' => 0.3,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.9,
        'A'..='Z' => 0.68,
        c if c >= '\u{2E80}' => 1.0,
        _ => 0.58,
    }
}

/// A number as superscript digits.
pub(super) fn superscript(n: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    n.to_string()
        .chars()
        .map(|c| c.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_finite() {
        let cases = [
            (12.34, "12.3"),
            (12.04, "12"),
            (-0.04, "0"),
            (-0.26, "-.3"),
            (-7.0, "-7"),
            (f64::NAN, "0"),
            (f64::INFINITY, "100000"),
        ];
        for (value, expected) in cases {
            assert_eq!(px(value), expected);
        }
    }

    #[test]
    fn angles_are_short_and_finite() {
        assert_eq!(degrees(std::f64::consts::FRAC_PI_4), "45");
        assert_eq!(degrees(-0.5), "-28.65");
        assert_eq!(degrees(-1e-9), "0");
        assert_eq!(degrees(f64::NAN), "0");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("length", 10.0, 100.0), "length");
        let cut = shortened(&"length ".repeat(100), 10.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 100.0, "{cut}");
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(legible("a\u{1}b\nc"), "a\u{FFFD}b c");
        assert_eq!(superscript(-12), "⁻¹²");
    }
}
