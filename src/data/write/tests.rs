use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::data::{ReadOptions, read};

fn folder() -> TempDir {
    tempfile::tempdir().expect("folder")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable");
    let mut names: Vec<String> = entries
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

const AWKWARD: [f64; 8] = [
    0.1,
    -1.0 / 3.0,
    5e-324,
    f64::MAX,
    1e16,
    123_456_789.0,
    1e-7,
    2.0,
];

fn written(path: &Path, header: &[&str], numbers: Numbers, rows: &[&[f64]]) {
    let mut table = TableWriter::create(path, header, numbers).expect("created");
    for row in rows {
        table.row(row).expect("written");
    }
    table.finish().expect("kept");
}

#[test]
fn tables_read_back_as_the_same_bits() {
    let dir = folder();
    for name in ["t.csv", "t.tsv", "t.npy", "T.CSV"] {
        let path = dir.path().join(name);
        let rows: Vec<&[f64]> = AWKWARD.chunks(2).collect();
        written(&path, &["x", "a,\"b\""], Numbers::Real, &rows);
        let table = read(&path, &ReadOptions::default()).expect(name);
        let read: Vec<f64> = (0..8).map(|i| table.samples.values().get(i)).collect();
        assert_eq!(read, AWKWARD, "{name}");
        if name != "t.npy" {
            assert_eq!(table.features, ["x", "a,\"b\""], "{name}");
        }
    }
    assert_eq!(names(dir.path()), ["T.CSV", "t.csv", "t.npy", "t.tsv"]);
}

#[test]
fn text_is_short() {
    let dir = folder();
    let path = dir.path().join("t.tsv");
    let row = [2.0, -0.5, 1e300, f64::NAN, f64::NEG_INFINITY];
    written(&path, &["a", "b", "c", "d", "e"], Numbers::Real, &[&row]);
    assert_eq!(
        fs::read_to_string(&path).expect("text"),
        "a\tb\tc\td\te\n2\t-0.5\t1e300\t\t-inf\n"
    );
}

#[test]
fn rows_skipped_are_empty() {
    let dir = folder();
    let write = |name: &str, header: &[&str], numbers: Numbers| {
        let path = dir.path().join(name);
        let mut table = TableWriter::create(&path, header, numbers).expect("created");
        table.row(&vec![3.0; header.len()]).expect("written");
        table.empty_row().expect("written");
        table.finish().expect("kept");
        path
    };
    let text = |path| fs::read_to_string(path).expect("text");
    let proba = write("p.csv", &["p0", "p1"], Numbers::Real);
    assert_eq!(text(&proba), "p0,p1\n3,3\n,\n");
    // One empty field would be an empty line, which readers pass over.
    let labels = write("l.csv", &["label"], Numbers::Whole);
    assert_eq!(text(&labels), "label\n3\n\"\"\n");
    let options = ReadOptions {
        skip_invalid: true,
        ..ReadOptions::default()
    };
    for path in [
        &proba,
        &labels,
        &write("p.npy", &["p0", "p1"], Numbers::Real),
    ] {
        let table = read(path, &options).expect("valid");
        assert_eq!(
            (table.total_rows, table.kept),
            (2, Some(vec![0])),
            "{path:?}"
        );
    }
    let labels = write("l.npy", &["label"], Numbers::Whole);
    let bytes = fs::read(&labels).expect("bytes");
    assert_eq!(
        bytes[128..],
        [3i64.to_le_bytes(), (-1i64).to_le_bytes()].concat()
    );
    let header = String::from_utf8_lossy(&bytes[10..128]);
    assert_eq!(
        header.trim_end(),
        "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }"
    );
    assert!(header.ends_with('\n'));
}

#[test]
fn a_table_that_is_not_finished_leaves_what_was_there() {
    let dir = folder();
    let path = dir.path().join("t.csv");
    fs::write(&path, "before").expect("written");
    let mut table = TableWriter::create(&path, &["x"], Numbers::Real).expect("created");
    table.row(&[1.0]).expect("written");
    let error = table.row(&[1.0, 2.0]).expect_err("too long");
    assert!(
        error
            .to_string()
            .ends_with("t.csv: a row of 2 values for a table of 1 columns"),
        "{error}"
    );
    drop(table);
    assert_eq!(fs::read_to_string(&path).expect("text"), "before");
    assert_eq!(names(dir.path()), ["t.csv"]);
}

#[test]
fn places_that_cannot_be_written_are_told_apart_and_left_alone() {
    let dir = folder();
    let check = |path: &Path, endings: &[&str]| {
        let found = check_writable(path, endings);
        let text = found.map_err(|e| e.to_string());
        text.map_err(|e| e.replace(&dir.path().display().to_string(), "here"))
    };
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("sub.csv")).expect("folder");
    fs::write(at("file.csv"), "x").expect("written");
    let tables = &TABLE_ENDINGS[..];
    for good in ["new.csv", "file.csv", "new.npy", "NEW.TSV"] {
        assert_eq!(check(&at(good), tables), Ok(()));
    }
    assert_eq!(check(&at("model"), &[]), Ok(()));
    assert_eq!(check(Path::new("-"), tables), Ok(()));
    for (bad, endings, text) in [
        (
            "t.xlsx",
            tables,
            "here/t.xlsx: unknown ending; name a file that ends in .csv, .tsv, .npy",
        ),
        (
            "plot",
            &["svg"],
            "here/plot: unknown ending; name a file that ends in .svg",
        ),
        (
            "none/t.csv",
            tables,
            "here/none/t.csv: there is no folder \"here/none\"; create it first",
        ),
        (
            "file.csv/t.csv",
            tables,
            "here/file.csv/t.csv: there is no folder \"here/file.csv\"; create it first",
        ),
        (
            "sub.csv",
            tables,
            "here/sub.csv: is a folder; name a file in it",
        ),
    ] {
        assert_eq!(check(&at(bad), endings), Err(text.to_owned()));
        if endings == tables {
            let error = TableWriter::create(&at(bad), &["x"], Numbers::Real).expect_err(bad);
            assert!(
                text.ends_with(
                    &error
                        .problem
                        .to_string()
                        .replace(&dir.path().display().to_string(), "here")
                )
            );
        }
    }
    assert_eq!(names(dir.path()), ["file.csv", "sub.csv"]);
    assert_eq!(fs::read_to_string(at("file.csv")).expect("text"), "x");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_says_so() {
    // Nobody, whatever their rights, can make a file there.
    let error = check_writable(Path::new("/proc/t.csv"), &TABLE_ENDINGS).expect_err("refused");
    assert!(
        error
            .to_string()
            .starts_with("/proc/t.csv: cannot be written: "),
        "{error}"
    );
}

#[test]
fn writing_bytes_replaces_the_file_whole() {
    let dir = folder();
    let path = dir.path().join("model.json");
    write_atomically(&path, b"a longer first text").expect("new");
    write_atomically(&path, b"second").expect("replaced");
    assert_eq!(fs::read(&path).expect("bytes"), b"second");
    assert_eq!(names(dir.path()), ["model.json"]);
    let error = write_atomically(&dir.path().join("no/model.json"), b"").expect_err("folder");
    assert!(matches!(error.problem, WriteProblem::NoFolder { .. }));
}

#[cfg(unix)]
#[test]
fn links_permissions_and_devices_are_respected() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = folder();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let (plain, ours) = (dir.path().join("plain"), dir.path().join("ours"));
    fs::write(&plain, "").expect("written");
    write_atomically(&ours, b"x").expect("written");
    assert_eq!(mode(&ours), mode(&plain));
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o640)).expect("changed");
    let link = dir.path().join("link");
    symlink(&ours, &link).expect("linked");
    write_atomically(&link, b"y").expect("written");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(
        (fs::read(&ours).expect("bytes"), mode(&ours)),
        (b"y".to_vec(), 0o640)
    );
    check_writable(Path::new("/dev/null"), &[]).expect("a device takes anything");
    write_atomically(Path::new("/dev/null"), b"z").expect("swallowed");
    assert!(!fs::metadata("/dev/null").expect("there").is_file());
}
