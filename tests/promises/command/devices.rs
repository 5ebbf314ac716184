//! Devices: comparing them, going without one, samples larger than one.

use crate::util::Dir;

const FAITHFUL: &str = include_str!("../../data/faithful.csv");

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
