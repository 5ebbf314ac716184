//! What reaches a run from outside: Ctrl-C, a reader that goes away, a GPU without memory.

use std::io::{BufRead, BufReader, Read};

use crate::util::Dir;

/// N rows of a fixed, shapeless pattern.
fn rows(n: u32) -> String {
    let mut text = "x,y\n".to_owned();
    for i in 0..n {
        let (x, y) = (i * 7919 % 10_007, i * 104_729 % 9973);
        text.push_str(&format!("{}.5,{}.25\n", x % 1000, y % 1000));
    }
    text
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = Dir::new();
    dir.create("t.csv", rows(500));
    let fitted = dir.wgmm().args(["fit", "t.csv", "-k", "1", "-o", "m.json"]);
    fitted.run().assert_success();
    // Far more than a pipe holds.
    let sample = ["sample", "m.json", "-n", "1000000", "-o", "-"];
    let mut child = dir.wgmm().args(sample).spawn();
    let mut reader = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut first = String::new();
    reader.read_line(&mut first).expect("a line");
    assert_eq!(first, "x,y\n");
    drop(reader);
    let status = child.wait().expect("the command can be waited for");
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("stderr is piped");
    stderr.read_to_string(&mut said).expect("UTF-8");
    assert!(status.success(), "{status}: {said}");
    assert_eq!(said, "");
}

/// Whether the process has said that it handles an interrupt itself.
#[cfg(target_os = "linux")]
fn handles_interrupts(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("hexadecimal");
    caught & (1 << (2 - 1)) != 0
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_writes_the_model_so_far_and_exits_with_130() {
    let dir = Dir::new();
    dir.create("t.csv", rows(20_000));
    let fit = dir.wgmm().args([
        "fit",
        "t.csv",
        "-k",
        "8",
        "--tol",
        "0",
        "--max-iter",
        "1000000000",
        "--json",
        "-o",
        "m.json",
    ]);
    let mut child = fit.spawn();
    while !handles_interrupts(child.id()) {
        assert!(child.try_wait().expect("a child").is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let interrupt = std::process::Command::new("sh")
        .args(["-c", &format!("kill -INT {}", child.id())])
        .status();
    assert!(interrupt.expect("sh runs").success());
    let finished = fit.finish(child);
    finished.assert_code(130);
    let result = finished.json();
    assert_eq!(result["converged"], false, "{finished}");
    let iterations = result["iterations"].as_u64().expect("a number");
    assert!(iterations < 1_000_000_000, "{finished}");
    assert_eq!(dir.files(), ["m.json", "t.csv"]);
    dir.wgmm()
        .args(["score", "m.json", "t.csv"])
        .run()
        .assert_success();
}

/// A driver's own start-up, and then the samples' buffers, are made to fail by less and less address space.
#[cfg(target_os = "linux")]
#[test]
fn a_gpu_that_cannot_start_or_runs_out_of_memory_is_one_sentence() {
    let dir = Dir::new();
    dir.create("t.csv", rows(500));
    let model = dir.wgmm().args(["fit", "t.csv", "-k", "2", "-o", "m.json"]);
    model.run().assert_success();
    let sample = dir
        .wgmm()
        .args(["sample", "m.json", "-n", "6000000", "-o", "big.npy"]);
    sample.run().assert_success();
    let kinds = [
        "no GPU adapter found",
        "cannot be used",
        "not enough memory",
    ];
    let mut seen = [false; 3];
    for mebibytes in (400..1200).step_by(40) {
        let fit = dir.wgmm().args([
            "fit",
            "big.npy",
            "-k",
            "2",
            "--max-iter",
            "1",
            "--device",
            "gpu",
            "--threads",
            "1",
        ]);
        let finished = fit.run_within(mebibytes * 1024);
        if finished.code == Some(0) {
            continue; // the driver asks for less where there is less, so that more is not always enough
        }
        if finished.stderr.contains("memory allocation of") {
            continue; // the host's own, which nobody can go on from
        }
        let errors: Vec<&str> = (finished.stderr.lines())
            .filter(|line| line.starts_with("error: --device gpu"))
            .collect();
        assert_eq!(errors.len(), 1, "{finished}");
        let kind = kinds.iter().position(|kind| errors[0].contains(kind));
        let kind = kind.unwrap_or_else(|| panic!("an unknown sentence{finished}"));
        finished.assert_failure(1, "--device cpu needs");
        seen[kind] = true;
    }
    assert!(seen[1] && seen[2], "not provoked: {kinds:?}, {seen:?}");
    assert_eq!(dir.files(), ["big.npy", "m.json", "t.csv"]);
}
