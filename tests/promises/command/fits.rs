//! Fits from the command line: what they say, write and hand over as JSON.

use serde_json::Value;

use super::{fitted, table};
use crate::util::Dir;

#[test]
fn what_is_left_to_plain_em_is_said() {
    let dir = Dir::new();
    // Ten times the rows: enough to be accelerated.
    let table = table();
    let (head, rows) = table.split_once('\n').expect("a head");
    dir.create("t.csv", format!("{head}\n{}", rows.repeat(10)));
    for (more, plain) in [
        (vec![], false),
        (vec!["--prior"], true),
        (vec!["--plain"], true),
        (vec!["--reg-covar", "1e-6"], true),
    ] {
        let fit = ["fit", "t.csv", "--columns", "x,y", "-k", "2"];
        let finished = dir.wgmm().args(fit).args(&more).run();
        let text = &finished.assert_success().stdout;
        assert_eq!(text.contains(" of plain EM;"), plain, "{more:?}: {text}");
    }
}

#[test]
fn the_json_of_fit_has_every_field() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    let j = fitted(&dir, &["-o", "m.json"]);
    for field in [
        "command",
        "version",
        "data",
        "device",
        "components",
        "covariance_type",
        "seed",
        "iterations",
        "passes",
        "converged",
        "mean_log_likelihood",
        "trace",
        "stages",
        "parameters",
        "bic",
        "aic",
        "icl",
        "events",
        "seconds",
        "seconds_per_iteration",
        "model",
    ] {
        assert!(j.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(
        j["trace"].as_array().map(Vec::len),
        j["iterations"].as_u64().map(|i| i as usize + 1)
    );
    assert_eq!(
        (&j["data"]["rows"], &j["parameters"]),
        (&200.into(), &11.into())
    );
    assert_eq!(j["converged"], true);
    let (l, n, p) = (
        j["mean_log_likelihood"].as_f64().expect("a number") * 200.0,
        200f64,
        11.0,
    );
    assert!((j["bic"].as_f64().expect("a number") - (p * n.ln() - 2.0 * l)).abs() < 1e-8);
    let file: Value = serde_json::from_str(&dir.read("m.json")).expect("JSON");
    assert_eq!(file, j["model"]);
    assert_eq!(file["features"], serde_json::json!(["x", "y"]));
}

#[test]
fn skipped_rows_leave_empty_fields() {
    let dir = Dir::new();
    dir.create(
        "t.csv",
        table().replacen("north\n", "north\nNA,1,1,north\n", 1),
    );
    let j = fitted(&dir, &["--skip-invalid", "--labels", "labels.csv"]);
    assert_eq!(j["data"]["rows_skipped"], 1);
    let labels = dir.read("labels.csv");
    assert_eq!(labels.lines().count(), 202);
    assert_eq!(labels.lines().nth(2), Some("\"\""));
}

#[test]
fn weights_are_frequencies() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    let mut repeated = "x,y\n".to_owned();
    for line in table().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        for _ in 0..fields[2].parse::<usize>().expect("a count") {
            repeated.push_str(&format!("{},{}\n", fields[0], fields[1]));
        }
    }
    dir.create("r.csv", repeated);
    fitted(&dir, &["-o", "start.json"]);
    let end = ["--init", "start.json", "--max-iter", "5", "--tol", "0"];
    let weighted = fitted(&dir, &[&["--weights", "w"], &end[..]].concat());
    let rows = dir
        .wgmm()
        .args(["fit", "r.csv", "-k", "2", "--json"])
        .args(end)
        .run()
        .assert_success()
        .json();
    for field in ["bic", "aic", "icl", "mean_log_likelihood"] {
        let (a, b) = (
            weighted[field].as_f64().expect("number"),
            rows[field].as_f64().expect("number"),
        );
        assert!((a - b).abs() <= 1e-10 * b.abs(), "{field}: {a} {b}");
    }
}

#[test]
fn other_starts_find_the_same_two_groups() {
    let dir = Dir::new();
    let labelled: String = table()
        .lines()
        .enumerate()
        .map(|(i, line)| {
            format!(
                "{line},{}\n",
                if i == 0 {
                    "group".to_owned()
                } else {
                    (i % 2).to_string()
                }
            )
        })
        .collect();
    dir.create("t.csv", labelled);
    let expected = fitted(&dir, &[])["mean_log_likelihood"]
        .as_f64()
        .expect("a number");
    for init in ["random", "labels:group"] {
        let found = fitted(&dir, &["--init", init])["mean_log_likelihood"]
            .as_f64()
            .expect("a number");
        assert!(
            (found - expected).abs() < 1e-5,
            "{init}: {found} {expected}"
        );
    }
    let finished = dir
        .wgmm()
        .args(["fit", "t.csv", "-k", "2", "--init", "labels:w"])
        .run();
    finished.assert_failure(1, "labels go from 0 to 1");
}

#[test]
fn the_iteration_limit_is_a_warning() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    let finished = dir
        .wgmm()
        .args([
            "fit",
            "t.csv",
            "--columns",
            "x,y",
            "-k",
            "2",
            "--max-iter",
            "1",
        ])
        .run();
    finished.assert_success();
    finished.assert_stderr_has("stopped at --max-iter 1");
}

#[test]
fn standard_streams_are_tables_too() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    fitted(&dir, &["-o", "m.json"]);
    let finished = dir
        .wgmm()
        .args(["predict", "m.json", "-", "-o", "-"])
        .stdin(table())
        .run();
    finished.assert_success();
    finished.assert_stdout_has("label\n");
    assert_eq!(finished.stdout.lines().count(), 201);
}

#[test]
fn the_same_seed_gives_the_same_file_for_any_number_of_threads() {
    let dir = Dir::new();
    dir.wgmm()
        .args(["--samples", "50000", "-q"])
        .run()
        .assert_success();
    let model = dir.read("wgmm-demo/model.json");
    dir.wgmm()
        .args(["--samples", "50000", "-q", "--threads", "1"])
        .run()
        .assert_success();
    assert_eq!(dir.read("wgmm-demo/model.json"), model);
    dir.wgmm()
        .args(["--samples", "50000", "-q", "--seed", "1"])
        .run()
        .assert_success();
    assert_ne!(dir.read("wgmm-demo/model.json"), model);
}

#[test]
fn the_experiment_tells_and_draws() {
    let dir = Dir::new();
    let finished = dir.wgmm().args(["--samples", "20000"]).run();
    finished.assert_success();
    for part in [
        "truth",
        "fit",
        "largest differences",
        "mean log-likelihood",
        "device:",
        "seconds:",
        "symmetric",
    ] {
        finished.assert_stdout_has(part);
    }
    assert_eq!(
        dir.files(),
        [
            "wgmm-demo/fit.svg",
            "wgmm-demo/model.json",
            "wgmm-demo/samples.svg",
            "wgmm-demo/select.svg"
        ]
    );
    finished.assert_stdout_has("BIC: K = 4, ahead of");
    assert!(dir.read("wgmm-demo/fit.svg").starts_with("<svg"));
}
