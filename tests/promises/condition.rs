//! What a model says of some features once others are known, and what `info` tells of one.

use serde_json::{Value, json};

use crate::util::Dir;

/// A model of three named features, components of unequal weight.
fn model() -> Value {
    json!({
        "format": "wgmm-model", "version": 1, "covariance_type": "full",
        "features": ["x", "y", "z"],
        "weights": [0.25, 0.75],
        "means": [[0.0, 1.0, 5.0], [2.0, -1.0, 5.0]],
        "covariances": [
            [[1.0, 0.5, 0.0], [0.5, 2.0, 0.0], [0.0, 0.0, 4.0]],
            [[4.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 9.0]],
        ],
    })
}

fn dir() -> Dir {
    let dir = Dir::new();
    dir.create("m.json", model().to_string());
    dir
}

fn numbers(value: &Value) -> Vec<f64> {
    let array = value
        .as_array()
        .unwrap_or_else(|| panic!("no array: {value}"));
    array.iter().filter_map(Value::as_f64).collect()
}

/// Mean and standard deviation of y given x, by the textbook's formulas.
fn y_given(x: f64) -> (f64, f64) {
    let (a, b) = (
        0.25 * (-0.5 * x * x).exp(),
        0.75 / 2.0 * (-0.125 * (x - 2.0) * (x - 2.0)).exp(),
    );
    let (a, b) = (a / (a + b), b / (a + b));
    let (m, n) = (1.0 + 0.5 * x, -1.0 - 0.25 * (x - 2.0));
    let mean = a * m + b * n;
    let square = a * (1.75 + m * m) + b * (0.75 + n * n);
    (mean, (square - mean * mean).sqrt())
}

#[track_caller]
fn assert_near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} {b}");
}

#[test]
fn values_give_the_mixture_of_the_other_features() {
    let dir = dir();
    let run = |args: &[&str]| dir.wgmm().args(["condition", "m.json"]).args(args).run();
    let finished = run(&["x=1.5", "z=-0.5", "-o", "y.json", "--json"]);
    let j = finished.assert_success().assert_silent().json();
    let (mean, sd) = y_given_x_and_z(1.5, -0.5);
    assert_eq!(j["features"], json!(["y"]));
    assert_eq!(j["given"], json!({"x": 1.5, "z": -0.5}));
    assert_near(numbers(&j["mean"])[0], mean);
    assert_near(numbers(&j["standard_deviation"])[0], sd);
    let file: Value = serde_json::from_str(&dir.read("y.json")).expect("JSON");
    assert_eq!(file, j["model"]);
    assert_eq!(file["features"], json!(["y"]));
    assert_near(numbers(&file["means"][0])[0], 1.75);
    assert_near(numbers(&file["covariances"][1][0])[0], 0.75);
    // The file is a model like any other, and can be asked on.
    let text = run(&["x=1.5", "-o", "yz.json"]);
    text.assert_success()
        .assert_stdout_has("given x = 1.5")
        .assert_stdout_has("component")
        .assert_stdout_has("mean ± standard deviation");
    assert!(!text.stdout.contains("NaN"), "{}", text.stdout);
    let twice = dir
        .wgmm()
        .args(["condition", "yz.json", "z=-0.5", "--json"])
        .run()
        .assert_success()
        .json();
    assert_near(numbers(&twice["mean"])[0], mean);
    run(&["x=1.5", "-q", "-o", "again.json"]).assert_success();
    assert_eq!(dir.read("again.json"), dir.read("yz.json"));
    dir.wgmm()
        .args(["info", "yz.json"])
        .run()
        .assert_success()
        .assert_stdout_has("2 components (full) over 2 features");
}

/// As [`y_given`], with z known as well: it weighs the components.
fn y_given_x_and_z(x: f64, z: f64) -> (f64, f64) {
    let square = (z - 5.0) * (z - 5.0);
    let (a, b) = (
        0.25 / 2.0 * (-0.5 * x * x - square / 8.0).exp(),
        0.75 / 6.0 * (-0.125 * (x - 2.0) * (x - 2.0) - square / 18.0).exp(),
    );
    let (a, b) = (a / (a + b), b / (a + b));
    let (m, n) = (1.0 + 0.5 * x, -1.0 - 0.25 * (x - 2.0));
    let mean = a * m + b * n;
    let square = a * (1.75 + m * m) + b * (0.75 + n * n);
    (mean, (square - mean * mean).sqrt())
}

#[test]
fn far_away_values_give_numbers_too() {
    let dir = dir();
    for x in ["1e6", "-1e100", "1e200"] {
        let j = dir
            .wgmm()
            .args(["condition", "m.json", &format!("x={x}"), "--json"])
            .run()
            .assert_success()
            .json();
        assert_eq!(j["model"]["weights"], json!([0.0, 1.0]));
    }
    dir.wgmm()
        .args(["condition", "m.json", "x=1.7e308", "y=-1.7e308"])
        .run()
        .assert_failure(1, "too far away");
}

#[test]
fn features_without_names_go_by_number() {
    let dir = Dir::new();
    let mut nameless = model();
    nameless
        .as_object_mut()
        .expect("an object")
        .remove("features");
    dir.create("m.json", nameless.to_string());
    let j = dir
        .wgmm()
        .args(["condition", "m.json", "0=1.5", "--json"])
        .run()
        .assert_success()
        .json();
    assert_eq!(j["features"], json!(["1", "2"]));
    assert_near(numbers(&j["mean"])[0], y_given(1.5).0);
    assert_eq!(j["model"].get("features"), None);
    // A table without a header has no names at all, not even these.
    dir.create("t.csv", "1.5\n-2\n");
    let run = |more: &[&str]| {
        dir.wgmm()
            .args(["condition", "m.json", "--data", "t.csv", "-o", "o.csv"])
            .args(more)
            .run()
    };
    run(&[]).assert_failure(
        1,
        "t.csv: 1 column without a header; name them with --columns",
    );
    run(&["--columns", "0"]).assert_success();
    assert!(dir.read("o.csv").starts_with("mean_1,sd_1,mean_2,sd_2\n"));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let dir = dir();
    dir.create("t.csv", "x\n1\n");
    for (args, said) in [
        (vec![], "nothing is known"),
        (vec!["x=1", "--data", "t.csv", "-o", "o.csv"], "one of them"),
        (vec!["x"], "x: expected NAME=VALUE"),
        (vec!["x=one"], "x=one: \"one\" is not a finite number"),
        (vec!["x="], "x=: \"\" is not a finite number"),
        (vec!["x=nan"], "not a finite number"),
        (vec!["x=1,5"], "not a finite number"),
        (vec!["x=1", "x=2"], "x: given twice"),
        (vec!["x=1", "--columns", "x"], "--data"),
        (vec!["x=1", "--skip-invalid"], "--data"),
        (vec!["--data", "t.csv"], "--output"),
        (vec!["x=1", "-o", "-"], "a model goes into a file"),
        (
            vec!["--data", "t.csv", "-o", "-", "--json"],
            "both take standard output",
        ),
    ] {
        let finished = dir.wgmm().args(["condition", "m.json"]).args(&args).run();
        finished.assert_failure(2, said);
    }
    assert_eq!(dir.files(), ["m.json", "t.csv"]);
}

#[test]
fn what_the_model_does_not_know_is_exit_code_1() {
    let dir = dir();
    dir.create("t.csv", "x,y,z\n1,2,3\n");
    dir.create("other.csv", "a,b\n1,2\n");
    dir.create("gap.csv", "x,a\n1,\nNA,2\n");
    let table = |name| vec!["--data", name, "-o", "o.csv"];
    for (args, said) in [
        (
            vec!["q=1"],
            "m.json: no feature \"q\"; it has \"x\", \"y\", \"z\"",
        ),
        (vec!["0=1"], "no feature \"0\""),
        (vec!["x=1", "y=2", "z=3"], "m.json: every feature is given"),
        (table("t.csv"), "t.csv: it has every feature of m.json"),
        (
            table("other.csv"),
            "other.csv: none of \"x\", \"y\", \"z\" is a column; it has \"a\", \"b\"",
        ),
        (table("gap.csv"), "gap.csv: row 3, column \"x\""),
        (
            [table("t.csv"), vec!["--columns", "x,q"]].concat(),
            "m.json: no feature \"q\"",
        ),
        (
            [table("other.csv"), vec!["--columns", "x"]].concat(),
            "other.csv: no column \"x\"",
        ),
        (vec!["x=1", "-o", "gone/m.json"], "create it first"),
        (vec!["x=1", "-o", "y.csv"], "unknown ending"),
        (vec!["--data", "t.csv", "-o", "o.json"], "unknown ending"),
    ] {
        let finished = dir.wgmm().args(["condition", "m.json"]).args(&args).run();
        finished.assert_failure(1, said);
    }
    dir.wgmm()
        .args(["condition", "gone.json", "x=1"])
        .run()
        .assert_failure(1, "gone.json");
    assert_eq!(dir.files(), ["gap.csv", "m.json", "other.csv", "t.csv"]);
}

#[test]
fn a_table_of_rows_is_predicted_row_by_row() {
    let dir = dir();
    // More rows than one thread takes; a column of text and one with gaps are no features and do not matter.
    let xs: Vec<f64> = (0..3000).map(|i| f64::from(i % 700) / 70.0 - 4.0).collect();
    let rows: String = xs.iter().map(|x| format!("north,,{x}\n")).collect();
    dir.create("t.csv", format!("site,gap,x\n{rows}"));
    let run = |out: &str| {
        dir.wgmm()
            .args(["condition", "m.json", "--data", "t.csv", "-o", out])
            .run()
    };
    let finished = run("o.csv");
    finished
        .assert_success()
        .assert_stderr_has("note: ignored, no features of m.json: \"site\", \"gap\"");
    let text = dir.read("o.csv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("mean_y,sd_y,mean_z,sd_z"));
    let mut n = 0;
    for (line, x) in lines.zip(&xs) {
        let row: Vec<f64> = line
            .split(',')
            .map(|field| field.parse().expect("a number"))
            .collect();
        let (mean, sd) = y_given(*x);
        assert_near(row[0], mean);
        assert_near(row[1], sd);
        assert_near(row[2], 5.0);
        n += 1;
    }
    assert_eq!(n, 3000);
    assert_eq!(run("-").assert_success().stdout, text);
    let one = dir
        .wgmm()
        .args(["condition", "m.json", "--data", "-", "-o", "p.csv", "-q"])
        .args(["--threads", "1", "--json"])
        .stdin(dir.read("t.csv"))
        .run();
    let j = one.assert_success().assert_silent().json();
    assert_eq!((&j["rows"], &j["given"]), (&json!(3000), &json!(["x"])));
    assert_eq!(dir.read("p.csv"), text);
}

#[test]
fn skipped_rows_are_empty_and_columns_choose() {
    let dir = dir();
    dir.create("t.csv", "z,y,x\n5,1,0\n5,NA,1\n5,1,NA\n,1,2\n");
    let run = |columns: &str, out: &str| {
        dir.wgmm()
            .args(["condition", "m.json", "--data", "t.csv", "--skip-invalid"])
            .args(["--columns", columns, "-o", out])
            .run()
    };
    run("x", "x.csv")
        .assert_success()
        .assert_stderr_has("note: 1 of 4 rows left out");
    let text = dir.read("x.csv");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[3]),
        (5, "mean_y,sd_y,mean_z,sd_z", ",,,")
    );
    run("z,x", "zx.csv").assert_success();
    run("x,z", "xz.csv").assert_success();
    let text = dir.read("xz.csv");
    assert_eq!(dir.read("zx.csv"), text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[3], lines[4]), ("mean_y,sd_y", ",", ","));
    let first: f64 = lines[1]
        .split(',')
        .next()
        .and_then(|field| field.parse().ok())
        .expect("a number");
    assert_near(first, y_given_x_and_z(0.0, 5.0).0);
}

#[test]
fn a_table_without_a_header_is_named_by_columns() {
    let dir = dir();
    dir.create("named.csv", "z,x\n5,1.5\n4,-1\n");
    dir.create("bare.csv", "5,1.5\n4,-1\n");
    let run = |data: &str, more: &[&str], out: &str| {
        dir.wgmm()
            .args(["condition", "m.json", "--data", data, "-o", out])
            .args(more)
            .run()
    };
    run("named.csv", &[], "a.csv").assert_success();
    run("bare.csv", &["--columns", "z,x"], "b.csv")
        .assert_success()
        .assert_silent();
    assert_eq!(dir.read("a.csv"), dir.read("b.csv"));
    run("bare.csv", &["--columns", "z"], "c.csv").assert_failure(
        1,
        "bare.csv: 2 columns without a header, but --columns has 1 name",
    );
    run("bare.csv", &[], "c.csv").assert_failure(1, "name them with --columns");
}

#[test]
fn info_tells_correlations_overlap_and_components_in_effect() {
    let dir = dir();
    let finished = dir.wgmm().args(["info", "m.json"]).run();
    finished
        .assert_success()
        .assert_stdout_has("2 components (full) over 3 features, 19 parameters")
        .assert_stdout_has("1.75 components in effect")
        .assert_stdout_has("correlations")
        .assert_stdout_has("overlap of components");
    let text = &finished.stdout;
    // The heavier component comes first, and so do its correlations.
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(place("  component 1\n") < place("  component 0\n"));
    assert!(place("-0.500") < place("0.354"));
    let j = dir
        .wgmm()
        .args(["info", "m.json", "--json"])
        .run()
        .assert_success()
        .json();
    let entropy = -0.25 * 0.25f64.ln() - 0.75 * 0.75f64.ln();
    assert_near(
        j["effective_components"].as_f64().expect("a number"),
        entropy.exp(),
    );
    assert_eq!(j["components_by_weight"], json!([1, 0]));
    assert_near(numbers(&j["mean"])[0], 1.5);
    assert_near(numbers(&j["standard_deviations"][1])[2], 3.0);
    assert_near(numbers(&j["correlations"][1][0])[1], -0.5);
    let overlap = numbers(&j["overlap"][0]);
    assert_eq!(overlap[0], 1.0);
    assert_eq!(overlap[1], numbers(&j["overlap"][1])[0]);
    // Mean covariance [2.5 -0.25; -0.25 1.5] and 6.5; differences 2, -2 and 0.
    let determinant = 2.5 * 1.5 - 0.0625f64;
    let squares = (4.0 * 1.5 + 4.0 * 2.5 - 2.0 * 4.0 * 0.25) / determinant;
    let own = (1.75f64 * 4.0 * 3.0 * 9.0).sqrt();
    let distance = squares / 8.0 + 0.5 * (determinant * 6.5 / own).ln();
    assert_near(overlap[1], (-distance).exp());
}

#[test]
fn info_tells_the_strongest_of_many() {
    let dir = Dir::new();
    let d = 8;
    let matrix = |r: f64| -> Vec<Vec<f64>> {
        (0..d)
            .map(|i| {
                (0..d)
                    .map(|j| if i == j { 1.0 } else { r.powi(i32::abs(i - j)) })
                    .collect()
            })
            .collect()
    };
    let names: Vec<String> = (0..d).map(|j| format!("f{j}")).collect();
    let k = 9;
    let means: Vec<Vec<f64>> = (0..k)
        .map(|k| vec![f64::from(k * k) / 4.0; d as usize])
        .collect();
    let mut model = json!({
        "format": "wgmm-model", "version": 1, "covariance_type": "tied", "features": names,
        "weights": vec![1.0 / f64::from(k); k as usize], "means": means, "covariances": matrix(-0.5),
    });
    dir.create("m.json", model.to_string());
    let info = |more: &[&str]| dir.wgmm().args(["info", "m.json"]).args(more).run();
    let finished = info(&[]);
    finished
        .assert_success()
        .assert_stdout_has("9.00 components in effect")
        .assert_stdout_has("the 6 strongest correlations")
        .assert_stdout_has("f0 × f1    -0.500")
        .assert_stdout_has("the 6 largest overlaps")
        .assert_stdout_has("0 × 1");
    assert!(finished.stdout.lines().count() < 35, "{}", finished.stdout);
    let j = info(&["--json"]).assert_success().json();
    assert_eq!(j["overlap"].as_array().map(Vec::len), Some(9));
    assert_eq!(numbers(&j["overlap"][8]).len(), 9);
    assert_eq!(j["correlations"].as_array().map(Vec::len), Some(8));
    model["covariance_type"] = json!("diag");
    model["covariances"] = json!(vec![vec![2.0; 8]; 9]);
    dir.create("m.json", model.to_string());
    info(&[])
        .assert_success()
        .assert_stdout_has("no correlations within components (diag)");
    let j = info(&["--json"]).assert_success().json();
    assert_eq!(j["correlations"], Value::Null);
}
