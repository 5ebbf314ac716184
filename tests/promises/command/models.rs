//! Model files from one command to another.

use serde_json::Value;

use super::{fitted, table};
use crate::util::Dir;

#[test]
fn a_model_goes_round_through_every_command() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    let j = fitted(&dir, &["-o", "m.json", "--labels", "own.csv"]);
    let run = |args: &[&str]| dir.wgmm().args(args).run();
    run(&["predict", "m.json", "t.csv", "-o", "labels.csv"]).assert_success();
    assert_eq!(dir.read("own.csv"), dir.read("labels.csv"));
    let lines: Vec<String> = dir.read("labels.csv").lines().map(str::to_owned).collect();
    assert_eq!((lines[0].as_str(), lines.len()), ("label", 201));
    assert!((3..201).all(|i| lines[i] == lines[i - 2]) && lines[1] != lines[2]);
    run(&["predict", "m.json", "t.csv", "--proba", "-o", "p.csv"]).assert_success();
    assert!(dir.read("p.csv").starts_with("p0,p1\n"));
    let score = run(&["score", "m.json", "t.csv", "--json"])
        .assert_success()
        .json();
    let difference = score["mean_log_likelihood"].as_f64().expect("a number")
        - j["mean_log_likelihood"].as_f64().expect("a number");
    assert!(difference.abs() < 1e-9, "{difference}");
    run(&["score", "m.json", "t.csv", "--samples", "-o", "l.npy"]).assert_success();
    run(&["info", "m.json"])
        .assert_success()
        .assert_stdout_has("2 components (full) over 2 features");
    run(&["sample", "m.json", "-n", "500", "-o", "s.csv"]).assert_success();
    assert!(dir.read("s.csv").starts_with("x,y\n"));
    let again = run(&["fit", "s.csv", "-k", "2", "--json"])
        .assert_success()
        .json();
    let heavier = again["model"]["weights"]
        .as_array()
        .expect("weights")
        .iter()
        .filter_map(Value::as_f64);
    // 500 draws of two halves: a standard error of 0.022.
    assert!(heavier.fold(0.0, f64::max) < 0.5 + 5.0 * 0.0224);
}

#[test]
fn columns_meet_a_model_by_name() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    fitted(&dir, &["-o", "m.json"]);
    let swapped: String = table()
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            format!("{},{},{}\n", fields[1], fields[2], fields[0])
        })
        .collect();
    dir.create("swapped.csv", swapped);
    for (data, out) in [("t.csv", "a.csv"), ("swapped.csv", "b.csv")] {
        dir.wgmm()
            .args(["predict", "m.json", data, "-o", out])
            .run()
            .assert_success();
    }
    assert_eq!(dir.read("a.csv"), dir.read("b.csv"));
    dir.create("one.csv", "z\n1\n2\n");
    dir.wgmm()
        .args(["predict", "m.json", "one.csv", "-o", "c.csv"])
        .run()
        .assert_failure(1, "no column \"x\"");
}

#[test]
fn a_model_as_start_with_tol_0_runs_exactly_n_iterations() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    fitted(&dir, &["-o", "m.json"]);
    for device in ["cpu", "reference", "gpu"] {
        let j = fitted(
            &dir,
            &[
                "--init",
                "m.json",
                "--tol",
                "0",
                "--max-iter",
                "7",
                "--device",
                device,
            ],
        );
        assert_eq!(
            (&j["iterations"], &j["passes"]),
            (&7.into(), &8.0.into()),
            "{device}"
        );
        assert_eq!(j["device"]["backend"], device);
        assert_eq!(j["trace"].as_array().map(Vec::len), Some(8));
    }
}
