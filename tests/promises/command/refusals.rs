//! What the command refuses: with which exit code, and one sentence that says where and why.

use super::table;
use crate::util::Dir;

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
