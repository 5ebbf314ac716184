use proptest::prelude::*;

use super::values::ROWS_TURNED;
use super::*;
use crate::data::{ReadError, read as read_file};

/// A file as numpy lays it out, with these bytes of numbers.
fn npy(dtype: &str, fortran: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers);
    bytes
}

fn load(bytes: &[u8], options: &ReadOptions) -> Result<Table, ReadError> {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("t.npy");
    std::fs::write(&path, bytes).expect("written");
    let mut table = read_file(&path, options);
    if let Err(error) = &mut table {
        error.path = "t.npy".to_owned();
    }
    table
}

fn plain(bytes: &[u8]) -> Table {
    load(bytes, &ReadOptions::default()).expect("valid")
}

fn message(bytes: &[u8]) -> String {
    load(bytes, &ReadOptions::default())
        .expect_err("broken")
        .to_string()
}

fn le(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn f64s(values: &[f64]) -> Values {
    Values::F64(values.to_vec())
}

#[test]
fn f8_reads_in_either_byte_order() {
    let numbers = [0.1f64, -2.0, 3e300, 4.0, 5.0, 6.0];
    let big: Vec<u8> = numbers.iter().flat_map(|x| x.to_be_bytes()).collect();
    for bytes in [
        npy("'<f8'", false, "(3, 2)", &le(&numbers)),
        npy("'>f8'", false, "(3, 2)", &big),
    ] {
        let table = plain(&bytes);
        assert_eq!(table.samples.values(), &f64s(&numbers));
        assert_eq!(table.features, ["0", "1"]);
        assert_eq!((table.named, table.total_rows), (false, 3));
    }
}

#[test]
fn f4_stays_single_in_either_byte_order() {
    let numbers = [0.1f32, -2.0, 3e38];
    let little: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let big: Vec<u8> = numbers.iter().flat_map(|x| x.to_be_bytes()).collect();
    for bytes in [
        npy("'<f4'", false, "(3,)", &little),
        npy("'>f4'", false, "(3, 1)", &big),
    ] {
        let table = plain(&bytes);
        assert_eq!(table.samples.values(), &Values::F32(numbers.to_vec()));
        assert_eq!(table.samples.n_features(), 1);
    }
}

#[test]
fn integers_of_every_size_sign_and_order_read() {
    macro_rules! case {
        ($type:ty, $code:expr) => {{
            let numbers = [<$type>::MIN, 1, <$type>::MAX];
            let little: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            let big: Vec<u8> = numbers.iter().flat_map(|x| x.to_be_bytes()).collect();
            let expected = f64s(&numbers.map(|x| x as f64));
            let one = if size_of::<$type>() == 1 { "|" } else { "<" };
            let two = if size_of::<$type>() == 1 { "|" } else { ">" };
            for (order, bytes) in [(one, little), (two, big)] {
                let dtype = format!("'{order}{}'", $code);
                let table = plain(&npy(&dtype, false, "(3,)", &bytes));
                assert_eq!(table.samples.values(), &expected, "{dtype}");
            }
        }};
    }
    case!(i8, "i1");
    case!(i16, "i2");
    case!(i32, "i4");
    case!(i64, "i8");
    case!(u8, "u1");
    case!(u16, "u2");
    case!(u32, "u4");
    case!(u64, "u8");
}

#[test]
fn more_integers_than_one_buffer_holds_read() {
    let numbers: Vec<i16> = (0..100_000).map(|i| (i % 30_011) as i16).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let table = plain(&npy("'<i2'", false, "(50000, 2)", &bytes));
    let expected: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
    assert_eq!(table.samples.values(), &Values::F64(expected));
}

#[test]
fn fortran_order_is_turned() {
    let bytes = npy(
        "'<f8'",
        true,
        "(3, 2)",
        &le(&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]),
    );
    let table = plain(&bytes);
    assert_eq!(
        table.samples.values(),
        &f64s(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0])
    );
    let n = 2 * ROWS_TURNED + 5;
    let columns: Vec<f64> = (0..3 * n).map(|i| i as f64).collect();
    let table = plain(&npy("'<f8'", true, &format!("({n}, 3)"), &le(&columns)));
    for i in [0, 1, ROWS_TURNED - 1, ROWS_TURNED, n - 1] {
        for j in 0..3 {
            assert_eq!(table.samples.value(i, j), (j * n + i) as f64);
        }
    }
}

#[test]
fn other_versions_of_the_header_read() {
    let mut bytes = npy("'<f8'", false, "(2,)", &le(&[1.0, 2.0]));
    bytes[6] = 2;
    bytes.splice(10..10, [0, 0]);
    assert_eq!(plain(&bytes).samples.values(), &f64s(&[1.0, 2.0]));
}

#[test]
fn columns_weights_and_labels_are_named_by_number() {
    let bytes = npy(
        "'<f8'",
        false,
        "(2, 4)",
        &le(&[1.0, 2.0, 3.0, 0.0, 5.0, 6.0, 7.0, 8.0]),
    );
    let options = ReadOptions {
        model: None,
        among: None,
        columns: Some(vec!["2".to_owned(), "0".to_owned()]),
        weights: Some("1".to_owned()),
        labels: Some("3".to_owned()),
        skip_invalid: false,
    };
    let table = load(&bytes, &options).expect("valid");
    assert_eq!(table.features, ["2", "0"]);
    assert_eq!(table.samples.values(), &f64s(&[3.0, 1.0, 7.0, 5.0]));
    assert_eq!(table.samples.weights(), Some([2.0, 6.0].as_slice()));
    assert_eq!(table.labels, Some(vec![0, 8]));
    let options = ReadOptions {
        columns: Some(vec!["x".to_owned()]),
        ..ReadOptions::default()
    };
    assert_eq!(
        load(&bytes, &options).expect_err("unknown").to_string(),
        "t.npy: no column \"x\"; it has \"0\", \"1\", \"2\", \"3\""
    );
}

#[test]
fn names_that_are_asked_of_all_columns_are_theirs_in_order() {
    let bytes = npy("'<f8'", false, "(1, 2)", &le(&[1.0, 2.0]));
    let names = |names: &[&str]| Some(names.iter().map(|n| n.to_string()).collect());
    let options = ReadOptions {
        among: names(&["x", "y", "z"]),
        columns: names(&["z", "x"]),
        ..ReadOptions::default()
    };
    let table = load(&bytes, &options).expect("two names");
    assert_eq!(table.samples.values(), &f64s(&[1.0, 2.0]));
    let options = ReadOptions {
        among: names(&["x", "y", "z"]),
        ..ReadOptions::default()
    };
    assert_eq!(
        load(&bytes, &options).expect_err("nameless").to_string(),
        "t.npy: 2 columns without a header; name them with --columns"
    );
}

#[test]
fn gaps_are_named_or_left_out() {
    let bytes = npy(
        "'<f8'",
        false,
        "(3, 2)",
        &le(&[1.0, 2.0, 3.0, f64::NAN, f64::NEG_INFINITY, 6.0]),
    );
    assert_eq!(
        message(&bytes),
        "t.npy: row 2, column \"1\": \"NaN\" is not a number (2 such rows); --skip-invalid leaves them out"
    );
    let options = ReadOptions {
        skip_invalid: true,
        ..ReadOptions::default()
    };
    let table = load(&bytes, &options).expect("one left");
    assert_eq!(table.samples.values(), &f64s(&[1.0, 2.0]));
    assert_eq!((table.kept, table.total_rows), (Some(vec![0]), 3));
}

#[test]
fn types_that_are_no_numbers_are_named() {
    for (dtype, shown) in [
        ("'|b1'", "'|b1'"),
        ("'<c16'", "'<c16'"),
        ("'<U3'", "'<U3'"),
        ("'<f2'", "'<f2'"),
        ("[('x', '<f8')]", "[('x', '<f8'), ]"),
    ] {
        assert_eq!(
            message(&npy(dtype, false, "(1,)", &[0; 16])),
            format!("t.npy: dtype {shown}: expected real numbers; convert it with astype(\"f8\")")
        );
    }
}

#[test]
fn shapes_that_are_no_table_are_named() {
    for shape in ["(2, 2, 2)", "()"] {
        assert_eq!(
            message(&npy("'<f8'", false, shape, &[0; 64])),
            format!("t.npy: shape {shape}: expected N × D; reshape it to two dimensions")
        );
    }
    for shape in ["(0, 2)", "(2, 0)", "(0,)"] {
        assert_eq!(
            message(&npy("'<f8'", false, shape, &[])),
            format!("t.npy: shape {shape}: no rows of numbers")
        );
    }
}

#[test]
fn files_that_are_cut_off_say_what_is_there() {
    let whole = npy("'<f8'", false, "(3, 2)", &le(&[1.0; 6]));
    assert_eq!(
        message(&whole[..whole.len() - 1]),
        "t.npy: cut off: shape (3, 2) needs 48 bytes of values, 47 are there"
    );
    // A size that no memory holds is met before anything is set aside for it.
    assert_eq!(
        message(&npy("'<f8'", false, "(1000000000000, 1000)", &[0; 8])),
        "t.npy: cut off: shape (1000000000000, 1000) needs 8000000000000000 bytes of values, 8 are there"
    );
    assert_eq!(
        message(&whole[..30]),
        "t.npy: no NPY file: its header is cut off"
    );
    for bytes in [&b""[..], b"x,y\n1,2\n3,4\n"] {
        assert!(message(bytes).starts_with("t.npy: no NPY file: "));
    }
}

proptest! {
    #[test]
    fn any_columns_of_any_layout_read_the_same(
        (n, d) in (1usize..3000, 1usize..6),
        big_endian in any::<bool>(),
        fortran in any::<bool>(),
        single in any::<bool>(),
        picked in prop::sample::subsequence((0usize..6).collect::<Vec<_>>(), 1..=6).prop_shuffle(),
    ) {
        // Each number says where it belongs.
        let at = |i: usize, j: usize| (10 * i + j) as f64;
        let mut columns: Vec<usize> = picked.into_iter().filter(|&j| j < d).collect();
        if columns.is_empty() {
            columns.push(0);
        }
        let places: Vec<(usize, usize)> = match fortran {
            true => (0..d).flat_map(|j| (0..n).map(move |i| (i, j))).collect(),
            false => (0..n).flat_map(|i| (0..d).map(move |j| (i, j))).collect(),
        };
        let bytes: Vec<u8> = places
            .into_iter()
            .flat_map(|(i, j)| match (single, big_endian) {
                (true, true) => (at(i, j) as f32).to_be_bytes().to_vec(),
                (true, false) => (at(i, j) as f32).to_le_bytes().to_vec(),
                (false, true) => at(i, j).to_be_bytes().to_vec(),
                (false, false) => at(i, j).to_le_bytes().to_vec(),
            })
            .collect();
        let order = if big_endian { '>' } else { '<' };
        let dtype = format!("'{order}f{}'", if single { 4 } else { 8 });
        let options = ReadOptions {
            columns: Some(columns.iter().map(usize::to_string).collect()),
            ..ReadOptions::default()
        };
        let table = load(&npy(&dtype, fortran, &format!("({n}, {d})"), &bytes), &options);
        let samples = table.expect("valid").samples;
        prop_assert_eq!(matches!(samples.values(), Values::F32(_)), single);
        for i in 0..n {
            for (slot, &j) in columns.iter().enumerate() {
                prop_assert_eq!(samples.value(i, slot), at(i, j));
            }
        }
    }
}
