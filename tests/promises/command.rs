//! The command as users and their scripts meet it: exit codes, both streams, files, JSON.

use serde_json::Value;

use crate::util::Dir;

const FAITHFUL: &str = include_str!("../data/faithful.csv");

/// Two groups of a hundred rows, on no line.
fn table() -> String {
    let mut text = "x,y,w,site\n".to_owned();
    for i in 0..200u32 {
        let (a, b) = (
            f64::from(i * 37 % 101) / 50.0,
            f64::from(i * 53 % 97) / 40.0,
        );
        let far = f64::from(i % 2) * 10.0;
        text.push_str(&format!("{},{},{},north\n", far + a, b - far, 1 + i % 3));
    }
    text
}

fn fitted(dir: &Dir, more: &[&str]) -> Value {
    dir.wgmm()
        .args(["fit", "t.csv", "--columns", "x,y", "-k", "2", "--json"])
        .args(more)
        .run()
        .assert_success()
        .json()
}

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
fn wrong_usage_is_exit_code_2() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    for (args, said) in [
        (vec!["fit", "t.csv"], "-k"),
        (vec!["fit", "t.csv", "-k", "0"], "at least 1 component"),
        (vec!["fit", "t.csv", "-k", "two"], "two"),
        (vec!["fit", "t.csv", "-k", "2", "--tol", "nan"], "--tol NaN"),
        (
            vec!["fit", "t.csv", "-k", "2", "--reg-covar=-1"],
            "--reg-covar -1",
        ),
        (
            vec!["fit", "t.csv", "-k", "2", "--device", "tpu"],
            "--device tpu: expected auto",
        ),
        (
            vec!["fit", "t.csv", "-k", "2", "--threads", "0"],
            "--threads 0",
        ),
        (
            vec!["fit", "t.csv", "-k", "2", "--init", "middle"],
            "--init middle: expected k-means++",
        ),
        (
            vec!["fit", "t.csv", "-k", "2", "--covariance", "round"],
            "round",
        ),
        (vec!["fit", "t.csv", "-k", "2", "--nonsense"], "--nonsense"),
        (vec!["--samples", "0"], "--samples 0"),
    ] {
        let finished = dir.wgmm().args(&args).run();
        finished.assert_failure(2, said);
    }
    assert_eq!(dir.files(), ["t.csv"]);
}

#[test]
fn bad_data_is_exit_code_1_and_one_sentence_that_says_where() {
    let dir = Dir::new();
    for (name, text, more, said) in [
        ("none.csv", "", vec![], "none.csv: the file is empty"),
        ("head.csv", "x,y\n", vec![], "no rows below"),
        (
            "nan.csv",
            "x,y\n1,2\n3,NA\n4,5\n,6\n",
            vec![],
            "nan.csv: row 3, column \"y\"",
        ),
        (
            "inf.csv",
            "x\n1\ninf\n2\n",
            vec![],
            "inf.csv: row 3, column \"x\"",
        ),
        ("uneven.csv", "x,y\n1,2\n3\n", vec![], "uneven.csv: row 3"),
        (
            "same.csv",
            "x,y\n1,5\n2,5\n3,5\n",
            vec![],
            "column \"y\" is constant (5)",
        ),
        (
            "few.csv",
            "x\n1\n2\n1\n2\n",
            vec!["-k", "3"],
            "only 2 rows are distinct; lower -k",
        ),
        (
            "text.csv",
            "x,site\n1,a\n2,b\n",
            vec!["--columns", "site"],
            "text.csv: row 2, column \"site\"",
        ),
        (
            "column.csv",
            "CD3,CD19\n1,2\n2,1\n",
            vec!["--columns", "CD91"],
            "did you mean \"CD19\"?",
        ),
        (
            "minus.csv",
            "x,w\n1,1\n2,-1\n",
            vec!["--weights", "w"],
            "minus.csv: row 3, column \"w\"",
        ),
        ("kind.parquet", "", vec![], "unknown ending"),
    ] {
        dir.create(name, text);
        let k = if more.contains(&"-k") {
            vec![]
        } else {
            vec!["-k", "2"]
        };
        let finished = dir
            .wgmm()
            .args(["fit", name, "--json"])
            .args(k)
            .args(&more)
            .run();
        finished.assert_failure(1, said);
    }
    dir.wgmm()
        .args(["fit", "gone.csv", "-k", "2"])
        .run()
        .assert_failure(1, "gone.csv: cannot be read");
}

#[test]
fn outputs_that_cannot_be_written_are_found_before_the_fit() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    let fit = |more: [&str; 2]| {
        dir.wgmm()
            .args(["fit", "t.csv", "-k", "2"])
            .args(more)
            .run()
    };
    fit(["-o", "gone/m.json"]).assert_failure(1, "create it first");
    fit(["-o", "m.txt"]).assert_failure(1, "unknown ending");
    fit(["--labels", "labels.json"]).assert_failure(1, "unknown ending");
    assert_eq!(dir.files(), ["t.csv"]);
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
fn models_that_are_wrong_are_said_so() {
    let dir = Dir::new();
    dir.create("t.csv", table());
    for (text, said) in [
        ("{", "not a wgmm model"),
        ("{\"format\": \"wgmm-model\", \"version\": 9}", "version 9"),
        (
            "{\"format\": \"wgmm-model\", \"version\": 1, \"covariance_type\": \"full\", \"weights\": [1],
              \"means\": [[0]], \"covariances\": [[[-1]]]}",
            "component 0: covariance is not positive definite",
        ),
    ] {
        dir.create("m.json", text);
        dir.wgmm().args(["info", "m.json"]).run().assert_failure(1, said);
        dir.wgmm().args(["predict", "m.json", "t.csv", "-o", "l.csv"]).run().assert_failure(1, said);
    }
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

#[test]
fn compare_and_check_agree_on_every_device() {
    let dir = Dir::new();
    dir.create("faithful.csv", FAITHFUL);
    let j = dir
        .wgmm()
        .args(["compare", "faithful.csv", "-k", "2", "--json"])
        .run()
        .assert_success()
        .json();
    assert_eq!(j["agree"], true);
    let backends: Vec<&str> = j["backends"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|b| b["backend"].as_str())
        .collect();
    assert!(
        backends.len() >= 3 && backends[..3] == ["reference", "cpu", "gpu"],
        "{backends:?}"
    );
    let devices = dir
        .wgmm()
        .args(["devices", "--check", "--json"])
        .run()
        .assert_success()
        .json();
    assert_eq!(devices["sound"], true);
    for adapter in devices["adapters"].as_array().expect("adapters") {
        for step in ["adapters", "device", "pipeline", "pass"] {
            let seconds = adapter["start_up"][format!("{step}_seconds")].as_f64();
            assert!(seconds.is_some_and(|s| s > 0.0), "{step}: {adapter}");
        }
    }
}

#[test]
fn samples_may_pass_through_a_gpu() {
    let dir = Dir::new();
    // 1.1 MiB in single precision.
    let rows: String = (0..150_000)
        .map(|i| format!("{},{}\n", i % 1009, i * 7919 % 1013))
        .collect();
    dir.create("rows.csv", format!("x,y\n{rows}"));
    let fit = |memory: &[&str], told: &str| {
        dir.wgmm()
            .args(["fit", "rows.csv", "-k", "16", "--device", "gpu", "--plain"])
            .args(["--max-iter", "2", "-o", "model.json", "-v"])
            .args(memory)
            .run()
            .assert_success()
            .assert_stdout_has(told);
        dir.read("model.json")
    };
    // More components than have their steps on the device.
    let whole = fit(&[], "samples stay on the device");
    assert_eq!(fit(&["--gpu-memory", "1"], "sent in each pass"), whole);
}

#[test]
fn without_a_gpu_everything_else_goes_on() {
    let dir = Dir::new();
    dir.create("faithful.csv", FAITHFUL);
    let without = |args: &[&str]| {
        let none = dir.path("none.json");
        let none = none.to_string_lossy().into_owned();
        dir.wgmm()
            .args(args)
            .env("VK_DRIVER_FILES", &none)
            .env("VK_ICD_FILENAMES", &none)
            .run()
    };
    without(&["fit", "faithful.csv", "-k", "2"]).assert_success();
    without(&["fit", "faithful.csv", "-k", "2", "--device", "gpu"])
        .assert_failure(1, "no GPU adapter found");
    without(&["compare", "faithful.csv", "-k", "2"])
        .assert_success()
        .assert_stdout_has("none");
    without(&["devices"])
        .assert_success()
        .assert_stdout_has("there is no adapter");
    dir.wgmm()
        .args(["fit", "faithful.csv", "-k", "2", "--device", "gpu:nonesuch"])
        .run()
        .assert_failure(1, "nonesuch");
}
