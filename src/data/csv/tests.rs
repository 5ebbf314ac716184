use super::*;
use crate::data::read as read_file;

fn table_of(text: &str) -> Table {
    with(text, &ReadOptions::default()).expect(text)
}

fn with(text: &str, options: &ReadOptions) -> Result<Table, ReadProblem> {
    table(&Text::Memory(text.as_bytes().to_vec()), None, options)
}

fn message(text: &str) -> String {
    message_with(text, &ReadOptions::default())
}

fn message_with(text: &str, options: &ReadOptions) -> String {
    with(text, options).expect_err(text).to_string()
}

fn values(table: &Table) -> Vec<f64> {
    let samples = &table.samples;
    (0..samples.len() * samples.n_features())
        .map(|i| samples.values().get(i))
        .collect()
}

fn columns(names: &[&str]) -> ReadOptions {
    ReadOptions {
        columns: Some(names.iter().map(|n| n.to_string()).collect()),
        ..ReadOptions::default()
    }
}

fn skipping() -> ReadOptions {
    ReadOptions {
        skip_invalid: true,
        ..ReadOptions::default()
    }
}

#[test]
fn delimiters_line_ends_quotes_and_a_byte_order_mark_do_not_matter() {
    for text in [
        "x,y\n1,2.5\n3,-4e2\n",
        "x,y\n1,2.5\n3,-4e2",
        "x;y\n1;2.5\n3;-4e2\n",
        "x\ty\n1\t2.5\n3\t-4e2\n",
        "x,y\r\n1,2.5\r\n3,-4e2\r\n",
        "x,y\r1,2.5\r3,-4e2\r",
        "\u{feff}x,y\n1,2.5\n3,-4e2\n",
        "\"x\",\"y\"\n\"1\",\"2.5\"\n3,-4e2\n",
        "\u{feff}\"x\";\"y\"\r\n1;\"2.5\"\r\n3;-4e2\r\n",
        " x , y \n 1 , 2.5 \n 3 , -4e2 \n",
        "\n\nx,y\n\n1,2.5\n\n\n3,-4e2\n\n",
    ] {
        let table = table_of(text);
        assert_eq!(table.features, ["x", "y"], "{text:?}");
        assert!(table.named, "{text:?}");
        assert_eq!(values(&table), [1.0, 2.5, 3.0, -400.0], "{text:?}");
        assert_eq!((table.total_rows, table.kept), (2, None), "{text:?}");
    }
}

#[test]
fn a_first_row_of_numbers_is_no_header() {
    let table = table_of("1,2\n3,4\n");
    assert_eq!(table.features, ["0", "1"]);
    assert!(!table.named);
    assert_eq!(values(&table), [1.0, 2.0, 3.0, 4.0]);
    let gap = with("1,NA\n3,4\n", &skipping()).expect("skipped");
    assert_eq!((gap.named, gap.kept), (false, Some(vec![1])));
}

#[test]
fn one_column_is_enough() {
    assert_eq!(values(&table_of("x\n1\n2\n")), [1.0, 2.0]);
    assert_eq!(values(&table_of("1")), [1.0]);
}

#[test]
fn a_decimal_comma_makes_text_not_two_columns() {
    let error = message("x;y\n1,5;2,5\n3,5;4,5\n");
    assert_eq!(
        error,
        "no column of numbers to use (text or nothing in \"x\", \"y\")"
    );
}

#[test]
fn a_quoted_delimiter_or_line_end_is_part_of_its_field() {
    let table = table_of("\"a,b\",\"say \"\"hi\"\"\",note\n1,2,\"two\nlines\"\n3,4,\"x,y\"\n");
    assert_eq!(table.features, ["a,b", "say \"hi\""]);
    assert_eq!(table.left_out, ["note"]);
    assert_eq!(values(&table), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn text_and_empty_columns_are_left_out_and_named() {
    let table = table_of("name,x,none,y,late\na,1,,2,7\nb,3,NA,4,text\n");
    assert_eq!(table.features, ["x", "y"]);
    assert_eq!(table.left_out, ["name", "none", "late"]);
    // Text that comes only after all that is looked at first.
    let mut text = "x,y\n".to_owned();
    text += &"1,2\n".repeat(200_000);
    text += "1,late\n";
    let table = table_of(&text);
    assert_eq!(
        (table.features, table.left_out),
        (vec!["x".to_owned()], vec!["y".to_owned()])
    );
    assert_eq!((table.samples.len(), table.total_rows), (200_001, 200_001));
}

#[test]
fn columns_come_in_the_order_asked_for() {
    let table = with("x,y,z\n1,2,3\n4,5,6\n", &columns(&["z", "x"])).expect("there");
    assert_eq!(table.features, ["z", "x"]);
    assert_eq!(values(&table), [3.0, 1.0, 6.0, 4.0]);
    assert!(table.left_out.is_empty());
}

#[test]
fn text_in_a_column_asked_for_is_an_error() {
    let text = "site,x\nnorth,1\nsouth,2\n";
    assert_eq!(
        message_with(text, &columns(&["x", "site"])),
        "row 2, column \"site\": \"north\" is not a number (2 such rows); --skip-invalid leaves them out"
    );
    let options = ReadOptions {
        skip_invalid: true,
        ..columns(&["site"])
    };
    assert_eq!(
        message_with(text, &options),
        "each of the 2 rows has a gap in a column used; choose others with --columns"
    );
}

#[test]
fn gaps_are_named_as_an_editor_shows_them_and_counted() {
    assert_eq!(
        message("x,y\n1,2\n3,n/a\n,5\ninf,6\n"),
        "row 3, column \"y\": \"n/a\" is not a number (3 such rows); --skip-invalid leaves them out"
    );
    assert_eq!(
        message("x,y\n1,2\n-Inf,2\n"),
        "row 3, column \"x\": \"-Inf\" is not finite (1 such row); --skip-invalid leaves it out"
    );
    assert_eq!(
        message("1,2\n3,\n"),
        "row 2, column \"1\": an empty field (1 such row); --skip-invalid leaves it out"
    );
    // A header and empty lines, whatever their end, and fields of several lines count as lines.
    for text in [
        "x,y\n\n\n1,2\n\n3,NA\n",
        "x,y\r\n\r\n\r\n1,2\r\n\r\n3,NA\r\n",
        "\u{feff}\"x\",y\r\r\r1,2\r\r3,NA\r",
        "x,y,t\n1,2,\"a\nb\nc\"\n\n3,NA,d\n",
    ] {
        assert!(
            message(text).starts_with("row 6, column \"y\": \"NA\""),
            "{text:?}"
        );
    }
}

#[test]
fn rows_with_gaps_can_be_left_out() {
    let table = with("x,y\n1,2\n3,NaN\n,5\n6,7\ninf,8\n", &skipping()).expect("some left");
    assert_eq!(values(&table), [1.0, 2.0, 6.0, 7.0]);
    assert_eq!(table.kept, Some(vec![0, 3]));
    assert_eq!(table.total_rows, 5);
    let whole = with("x\n1\n2\n", &skipping()).expect("none skipped");
    assert_eq!(whole.kept, None);
}

#[test]
fn uneven_rows_are_named_with_what_they_have() {
    assert_eq!(
        message("x,y\n1,2\n3,4,5\n"),
        "row 3: 3 fields, but the first row has 2"
    );
    assert_eq!(
        message("x,y\r\n\r\n1\r\n\"3\",4\r\n"),
        "row 3: 1 field, but the first row has 2"
    );
    assert_eq!(
        message("1,2\n3\n"),
        "row 2: 1 field, but the first row has 2"
    );
}

#[test]
fn files_with_nothing_in_them_say_so() {
    for text in ["", "\n\n", "\u{feff}", "\r\n"] {
        assert_eq!(message(text), "the file is empty", "{text:?}");
    }
    for text in ["x,y\n", "x,y", "x,y\r\n\r\n"] {
        assert_eq!(message(text), "a header, but no rows below it", "{text:?}");
    }
    assert_eq!(
        message("a,b\nc,d\n"),
        "no column of numbers to use (text or nothing in \"a\", \"b\")"
    );
    let wide = Text::Memory(b"\xff\xfex\0\n\0".to_vec());
    let wide = table(&wide, None, &ReadOptions::default());
    assert!(matches!(wide, Err(ReadProblem::Utf16)));
}

#[test]
fn weights_and_labels_are_no_features() {
    let options = ReadOptions {
        weights: Some("w".to_owned()),
        labels: Some("start".to_owned()),
        ..ReadOptions::default()
    };
    let text = "w,x,start,y\n2,1,0,5\n0.5,3,1,6\n";
    let table = with(text, &options).expect("valid");
    assert_eq!(table.features, ["x", "y"]);
    assert_eq!(values(&table), [1.0, 5.0, 3.0, 6.0]);
    assert_eq!(table.samples.weights(), Some([2.0, 0.5].as_slice()));
    assert_eq!(table.labels, Some(vec![0, 1]));
    assert!(table.left_out.is_empty());
}

#[test]
fn columns_with_other_names_are_left_out_unread() {
    let options = ReadOptions {
        among: Some(["z", "x"].map(str::to_owned).to_vec()),
        ..ReadOptions::default()
    };
    let read = with("x,gap,y,z\n1,,a,2\n3,NA,4,5\n", &options).expect("valid");
    assert_eq!(read.features, ["x", "z"]);
    assert_eq!(values(&read), [1.0, 2.0, 3.0, 5.0]);
    assert_eq!(read.left_out, ["gap", "y"]);
}

#[test]
fn wrong_weights_and_labels_are_named() {
    let options = ReadOptions {
        weights: Some("w".to_owned()),
        labels: Some("l".to_owned()),
        ..skipping()
    };
    let text = |weight: &str, label: &str| format!("x,w,l\n1,1,0\n2,{weight},{label}\n");
    assert_eq!(
        message_with(&text("-2.50", "0"), &options),
        "row 3, column \"w\": a weight of -2.50; weights are frequencies of at least 0"
    );
    for label in ["1.5", "-1"] {
        assert_eq!(
            message_with(&text("1", label), &options),
            format!("row 3, column \"l\": {label} is no label; labels are whole numbers from 0")
        );
    }
    for (weight, label) in [("NA", "0"), ("1", ""), ("inf", "0"), ("1", "red")] {
        let table = with(&text(weight, label), &options).expect("skipped");
        assert_eq!(table.kept, Some(vec![0]));
        let strict = ReadOptions {
            skip_invalid: false,
            ..options.clone()
        };
        let error = message_with(&text(weight, label), &strict);
        assert!(error.starts_with("row 3, column "), "{error}");
    }
    assert_eq!(
        message_with("x,w,l\n1,0,0\n2,0,1\n", &options),
        "all weights are 0: no row counts"
    );
}

#[test]
fn names_are_made_distinct() {
    let table = table_of("x,,x\n5,2,3\n5,5,6\n");
    assert_eq!(table.features, ["x", "1", "x.1"]);
    let third = with("x,,x\n5,2,3\n5,5,6\n", &columns(&["x.1"])).expect("there");
    assert_eq!(values(&third), [3.0, 6.0]);
}

#[test]
fn a_first_column_that_only_counts_is_left_out_unless_asked_for() {
    for text in [",x\n0,5\n1,6\n", "\"\",\"x\"\n\"1\",5\n\"2\",6\n"] {
        let table = table_of(text);
        assert_eq!(table.features, ["x"], "{text}");
        assert_eq!(table.row_numbers.as_deref(), Some("0"));
        assert!(table.left_out.is_empty());
        let asked = with(text, &columns(&["0", "x"])).expect("there");
        assert_eq!((asked.samples.n_features(), asked.row_numbers), (2, None));
    }
    // A name, another step, another place, or nothing else to fit: then it is a column like any.
    for text in [
        "n,x\n0,5\n1,6\n",
        ",x\n0,5\n2,6\n",
        "x,\n5,0\n6,1\n",
        "0,5\n1,6\n",
    ] {
        let table = table_of(text);
        assert_eq!(
            (table.samples.n_features(), table.row_numbers),
            (2, None),
            "{text}"
        );
    }
    assert_eq!(table_of(",t\n1,a\n2,b\n").features, ["0"]);
}

#[test]
fn a_tsv_is_parted_at_tabs_alone() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("t.tsv");
    std::fs::write(&path, "a,b\tc,d\n1\t2\n").expect("written");
    let table = read_file(&path, &ReadOptions::default()).expect("valid");
    assert_eq!(table.features, ["a,b", "c,d"]);
    std::fs::write(&path, "a\n1,2\n").expect("written");
    let error = read_file(&path, &ReadOptions::default()).expect_err("text");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: no column of numbers to use (text or nothing in \"a\")",
            path.display()
        )
    );
}

#[test]
fn real_files_read_as_their_authors_meant() {
    let read = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        read_file(&folder.join(name), &ReadOptions::default()).expect(name)
    };
    let faithful = read("faithful.csv");
    assert_eq!(faithful.features, ["eruptions", "waiting"]);
    assert_eq!((faithful.samples.len(), faithful.left_out.len()), (272, 0));
    assert_eq!(values(&faithful)[..4], [3.6, 79.0, 1.8, 54.0]);
    let iris = read("iris.csv");
    assert_eq!(
        iris.features,
        ["Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width"]
    );
    assert_eq!(
        (iris.samples.len(), iris.left_out),
        (150, vec!["Species".to_owned()])
    );
    let galaxies = read("galaxies.csv");
    assert_eq!(galaxies.features, ["x"]);
    assert_eq!((galaxies.samples.len(), values(&galaxies)[0]), (82, 9172.0));
}
