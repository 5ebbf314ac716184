//! A small check that a picture is well-formed: for tests.

/// Panics unless tags are balanced, attributes quoted and unique, text escaped, and every number finite.
pub(super) fn check(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text.trim();
    assert!(rest.starts_with("<svg "), "no svg element first");
    while !rest.is_empty() {
        if let Some(tag) = rest.strip_prefix('<') {
            let (tag, after) = split_tag(tag);
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "unbalanced");
                assert!(!open.is_empty() || rest.is_empty(), "text after the end");
                continue;
            }
            let (body, closed) = match tag.strip_suffix('/') {
                Some(body) => (body, true),
                None => (tag, false),
            };
            let (name, attributes) = body.split_once(' ').unwrap_or((body, ""));
            assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "tag {name}");
            check_attributes(attributes);
            if !closed {
                open.push(name);
            }
        } else {
            let end = rest.find('<').expect("text after the last tag");
            check_escaped(&rest[..end]);
            rest = &rest[end..];
        }
    }
    assert_eq!(open, [""; 0], "not closed");
}

/// The tag's inside and what follows it; a `>` within quotes does not end it.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text
        .find(|c| {
            quoted ^= c == '"';
            c == '>' && !quoted
        })
        .expect("a tag without end");
    (&text[..end], &text[end + 1..])
}

fn check_attributes(mut rest: &str) {
    let mut seen = std::collections::BTreeSet::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("an attribute without value");
        let (value, after) = after.split_once('"').expect("a value without end");
        assert!(seen.insert(name), "{name} twice");
        check_escaped(value);
        let numeric = [
            "x",
            "y",
            "x1",
            "x2",
            "y1",
            "y2",
            "cx",
            "cy",
            "rx",
            "ry",
            "r",
            "d",
            "transform",
            "viewBox",
        ];
        if numeric.contains(&name) {
            check_numbers(name, value);
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
}

/// Words between numbers are single path commands or the names of transforms: no "NaN", no "inf".
fn check_numbers(name: &str, value: &str) {
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    for word in value.split(|c: char| is_number(c) || " ()".contains(c)) {
        let known = ["", "M", "L", "h", "v", "translate", "rotate"];
        assert!(known.contains(&word), "{name}=\"{value}\"");
    }
    for number in value
        .split(|c: char| !is_number(c))
        .filter(|n| !n.is_empty())
    {
        let number: f64 = number.parse().expect(value);
        assert!(number.abs() <= 1e5, "{name}=\"{value}\"");
    }
}

fn check_escaped(text: &str) {
    assert!(!text.contains('<'), "{text}");
    for after in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "apos;"];
        assert!(known.iter().any(|e| after.starts_with(e)), "{text}");
    }
    let bad = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(bad), "{text:?}");
}

mod tests {
    #[test]
    fn what_is_broken_is_found() {
        super::check("<svg a=\"1>2\"><g>a &amp; b</g><path d=\"M1 -2.5h0\"/></svg>");
        for broken in [
            "<svg a=\"1\"><g></svg>",
            "<svg a=\"1\"><path d=\"MNaN 1\"/></svg>",
            "<svg a=\"1\"><circle cx=\"inf\"/></svg>",
            "<svg a=\"1\">a & b</svg>",
            "<svg a=\"1\" a=\"2\"></svg>",
            "<svg a=\"1\"><g></g>",
        ] {
            assert!(
                std::panic::catch_unwind(|| super::check(broken)).is_err(),
                "{broken}"
            );
        }
    }
}
