use super::*;
use proptest::prelude::*;

/// Values as bits (a gap is NaN) and what columns hold, or the uneven row's line and fields.
type Read = Result<(Vec<u64>, Vec<Seen>), (usize, usize)>;

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn by_pieces(text: &str, columns: &[usize], size: usize) -> Read {
    let bytes = Text::Memory(text.as_bytes().to_vec());
    let layout = Layout::of(&bytes, Some(b',')).expect("rows");
    match Task::of(&layout, columns).by_pieces(&bytes, layout.body, size) {
        Ok(parsed) => Ok((bits(&parsed.values), parsed.seen)),
        Err(Stop::Uneven { line, fields }) => Err((layout.lines + line, fields)),
        Err(Stop::Unreadable(error)) => panic!("{error}"),
    }
}

/// One row after the other through the csv crate, lines counted from the beginning.
fn serially(text: &str, columns: &[usize]) -> Read {
    let bytes = Text::Memory(text.as_bytes().to_vec());
    let layout = Layout::of(&bytes, Some(b',')).expect("rows");
    let body = &text.as_bytes()[layout.body..];
    let mut reader = reader(body, b',');
    let mut record = ByteRecord::new();
    let mut values = Vec::new();
    let mut seen = vec![Seen::default(); columns.len()];
    while next(&mut reader, &mut record).expect("in memory") {
        if record.len() != layout.names.len() {
            let start = layout.body + record.position().map_or(0, offset);
            let text = text.as_bytes();
            let blank = text[start..].iter().take_while(|b| is_line_end(**b));
            let before = &text[..start + blank.count()];
            return Err((line_ends(before) + 1, record.len()));
        }
        for (seen, &column) in seen.iter_mut().zip(columns) {
            let cell = cell(&record[column]);
            seen.number |= matches!(cell, Cell::Number(_));
            seen.text |= cell == Cell::Text;
            values.push(match cell {
                Cell::Number(x) => x.to_bits(),
                _ => f64::NAN.to_bits(),
            });
        }
    }
    Ok((values, seen))
}

/// Numbers as people and programs write them.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>().prop_map(|x| format!("{x:?}")),
        any::<f32>().prop_map(|x| format!("{x:e}")),
        (-1e6f64..1e6).prop_map(|x| format!("{x:.3}")),
        "[+-]?[0-9]{1,30}",
        "[+-]?[0-9]{1,25}\\.[0-9]{0,25}([eE][+-]?[0-9]{1,3})?",
    ]
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => number(),
        1 => number().prop_map(|x| format!(" {x}  ")),
        2 => number().prop_map(|x| format!("\"{x}\"")),
        1 => "(|NA|n/a|NaN|-nan|null|inf|-Infinity|1e999|text|0x1|1_0|1e|e5|--1|é)",
        1 => "\"[a1,\r\n]{0,6}(\"\")?[b,\n]{0,3}\"",
        1 => "[a1]\"[b1]?",
    ]
}

proptest! {
    #[test]
    fn tables_read_the_same_in_pieces_of_any_size(
        rows in prop::collection::vec(
            (prop::collection::vec(field(), 3), "(\n|\r\n|\r|\n\n|\r\n\r\n)"), 1..30),
        short in prop::option::weighted(0.2, 0usize..40),
        last_end in any::<bool>(),
        size in 1usize..200,
    ) {
        let mut text = "a,b,c\n".to_owned();
        for (i, (fields, end)) in rows.iter().enumerate() {
            let fields = if short == Some(i) { &fields[..2] } else { fields };
            text += &fields.join(",");
            if last_end || i + 1 < rows.len() {
                text += end;
            }
        }
        prop_assert_eq!(by_pieces(&text, &[2, 0], size), serially(&text, &[2, 0]));
    }

    #[test]
    fn any_text_at_all_reads_the_same_in_pieces_of_any_size(
        text in "[\",\n\r1x ]{1,60}",
        size in 1usize..20,
        header in prop_oneof![Just("a\n"), Just("a,b\n"), Just("a,\"b\nc\"\r\n")],
    ) {
        let text = format!("{header}{text}");
        prop_assert_eq!(by_pieces(&text, &[0], size), serially(&text, &[0]));
    }

    #[test]
    fn what_is_a_number_is_what_the_standard_library_says(text in "[-+.0-9eExaninfty_ ]{0,7}") {
        let x = text.trim_ascii().parse::<f64>().ok().filter(|x| !x.is_nan());
        let task = Task { delimiter: b',', slots: vec![Some(0)], width: 1 };
        let (found, len) = task.field(text.as_bytes());
        prop_assert_eq!(len, text.len());
        prop_assert_eq!(found, cell(text.as_bytes()));
        let found = match found {
            Cell::Number(x) => Some(x.to_bits()),
            _ => None,
        };
        prop_assert_eq!(found, x.map(f64::to_bits), "{:?}", text);
    }

    #[test]
    fn plain_numbers_are_those_of_the_standard_library(text in number()) {
        let task = Task { delimiter: b',', slots: vec![Some(0)], width: 1 };
        for after in ["", ",1", "\n", "\r\n"] {
            let (found, len) = task.field(format!("{text}{after}").as_bytes());
            prop_assert_eq!(len, text.len());
            let x: f64 = text.parse().expect("a number");
            prop_assert_eq!(found, Cell::Number(x), "{}", text);
        }
    }
}

#[test]
fn places_are_found_again_in_any_piece() {
    let mut text = "x,t\r\n".to_owned();
    for i in 0..100 {
        text += &format!("{i},\"a\nb {i}\"\r\n\r\n");
    }
    let bytes = Text::Memory(text.into_bytes());
    let layout = Layout::of(&bytes, Some(b',')).expect("rows");
    for size in [1, 50, 10_000] {
        let parsed = Task::of(&layout, &[0]).by_pieces(&bytes, layout.body, size);
        let parsed = parsed.expect("even");
        for row in [0, 1, 57, 99] {
            let place = parsed.locate(&bytes, &layout, row, 1).expect("there");
            assert_eq!(place, (2 + 3 * row, format!("a\nb {row}")));
        }
        assert!(parsed.locate(&bytes, &layout, 100, 1).is_err());
    }
}

#[test]
fn a_file_reads_like_memory_and_a_change_in_it_is_met() {
    let mut text = "x,y\n".to_owned();
    for i in 0..2000 {
        text += &format!("{i},{}\n", f64::from(i) / 7.0);
    }
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("t.csv");
    std::fs::write(&path, &text).expect("written");
    let file = Text::open(&path).expect("there");
    assert!(matches!(file, Text::File(..)));
    let memory = Text::Memory(text.into_bytes());
    let layout = Layout::of(&file, None).expect("rows");
    let task = Task::of(&layout, &[0, 1]);
    let read = |text| task.by_pieces(text, layout.body, 100);
    let (from_file, from_memory) = (read(&file).expect("even"), read(&memory).expect("even"));
    assert_eq!(from_file, from_memory);
    std::fs::write(&path, "x,y\n1,2\n").expect("written");
    let Err(Stop::Unreadable(error)) = read(&file) else {
        panic!("it is shorter now");
    };
    assert_eq!(error.to_string(), "it changed while it was read");
}
