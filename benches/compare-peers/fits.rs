//! From samples in memory to a fitted mixture: each program's default fit, from its own start to its own stop.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Fit, Options, PrecisionChoice, fit};
use wgmm::mixture::{Covariances, Difference, Mixture};

use super::case::{CASES, Case};
use super::peer;

/// Default fits of wgmm; the fastest counts.
const FITS: usize = 15;

/// Samples to be fitted.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    n: usize,
    d: usize,
    k: usize,
}

pub(crate) const TASKS: [Task; 3] = [
    task("notebook-1m", 1_000_000, 2, 4),
    task("notebook-10m", 10_000_000, 2, 4),
    task("s2-fit", 500_000, 10, 20),
];

const fn task(name: &'static str, n: usize, d: usize, k: usize) -> Task {
    Task { name, n, d, k }
}

impl Task {
    /// Its samples: of the notebook's mixture, or those of the case of this size.
    fn values(&self) -> Vec<f64> {
        let same = |case: &&Case| (case.n, case.d, case.k) == (self.n, self.d, self.k);
        match CASES.iter().find(same) {
            Some(case) if self.d > 2 => case.problem().values,
            _ => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.n as u64);
                notebook().sample(self.n, &mut rng).0
            }
        }
    }
}

/// Four overlapping ellipses.
fn notebook() -> Mixture {
    let weights = [1.0, 3.0, 2.0, 3.0].map(|w| w / 9.0).to_vec();
    let means = vec![1.7, 0.5, 2.0, 4.0, 0.0, 6.0, 5.0, 6.0];
    let covariances = [
        [0.9, 0.0, 0.0, 0.5],
        [0.4, 0.3, 0.3, 0.5],
        [2.0, 0.45, 0.45, 0.8],
        [0.6, 0.45, 0.45, 0.6],
    ];
    Mixture::new(weights, means, 2, Covariances::Full(covariances.concat())).expect("a mixture")
}

/// Prints each task's fits, where wgmm's time went, and how its answer depends on the precision. scikit-learn is run by
/// `python`.
pub(crate) fn compare(tasks: &[&Task], python: Option<&Path>, folder: &Path) {
    println!(
        "\n{:<13} {:>9} {:>3} {:>3}  {:<20} {:>10} {:>11} {:>17} {:>8}",
        "fit", "N", "D", "K", "program", "seconds", "iterations", "log-likelihood", "times"
    );
    let (mut splits, mut precisions) = (Vec::new(), Vec::new());
    for task in tasks {
        let values = task.values();
        let [auto, single, double] = [
            PrecisionChoice::Auto,
            PrecisionChoice::F32,
            PrecisionChoice::F64,
        ]
        .map(|precision| fastest(task, &values, precision));
        precisions.push(format!(
            "{:<13} {:>8.4} {:>8.4} {:>8.4}  {}  {}",
            task.name,
            auto.0,
            single.0,
            double.0,
            off(&auto.1, &double.1),
            off(&single.1, &double.1)
        ));
        let (seconds, own) = auto;
        line(
            task,
            "wgmm",
            seconds,
            own.iterations,
            own.mean_log_likelihood,
            1.0,
        );
        splits.push(split(task, seconds, &own));
        if let Some(python) = python {
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_ne_bytes()).collect();
            fs::write(folder.join("samples.f64"), bytes).expect("a folder that takes files");
            match other(task, python, folder) {
                Ok((theirs, iterations, log_likelihood)) => line(
                    task,
                    "scikit-learn",
                    theirs,
                    iterations,
                    log_likelihood,
                    theirs / seconds,
                ),
                Err(error) => eprintln!("{error}"),
            }
        }
    }
    println!(
        "\n{:<13} {:>8} {:>9} {:>8} {:>8} {:>11} {:>8} {:>9} {:>6} {:>14}",
        "wgmm, ms",
        "total",
        "prepare",
        "passes",
        "starts",
        "subsamples",
        "stages",
        "Hessians",
        "host",
        "not in passes"
    );
    for line in splits {
        println!("{line}");
    }
    println!(
        "\n{:<13} {:>8} {:>8} {:>8}  {:>9} {:>9} {:>9}  {:>9} {:>9} {:>9}",
        "precision",
        "auto s",
        "f32 s",
        "f64 s",
        "auto off",
        "means",
        "cov.",
        "f32 off",
        "means",
        "cov."
    );
    for line in precisions {
        println!("{line}");
    }
}

/// How far a fit is from that in f64: mean log-likelihood, nats, and the largest differences of means and covariances.
fn off(fit: &Fit, double: &Fit) -> String {
    let mixture = fit.mixture.matched_to(&double.mixture);
    let difference = Difference::between(&double.mixture, &mixture);
    format!(
        "{:>9.0e} {:>9.0e} {:>9.0e}",
        fit.mean_log_likelihood - double.mean_log_likelihood,
        difference.means,
        difference.covariances
    )
}

fn line(task: &Task, program: &str, seconds: f64, iterations: usize, found: f64, times: f64) {
    println!(
        "{:<13} {:>9} {:>3} {:>3}  {program:<20} {seconds:>10.4} {iterations:>11} {found:>17.9} {times:>8.1}",
        task.name, task.n, task.d, task.k
    );
}

/// The fastest of some default fits, the check of the samples included.
fn fastest(task: &Task, values: &[f64], precision: PrecisionChoice) -> (f64, Fit) {
    let options = Options {
        device: DeviceChoice::Cpu,
        precision,
        ..Options::new(task.k)
    };
    let run = |_| {
        let values = values.to_vec();
        let started = Instant::now();
        let samples = Samples::new(values, task.d).expect("finite");
        let fit = fit(&samples, &options).expect("a fit");
        (started.elapsed().as_secs_f64(), fit)
    };
    (0..FITS)
        .map(run)
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("a fit at least")
}

/// Where the time of a fit went, milliseconds. Standardising ("prepare") and evaluations of all rows are passes.
fn split(task: &Task, seconds: f64, fit: &Fit) -> String {
    let (times, parts) = (fit.times, fit.times.parts);
    let aside = [parts.starts, parts.subsamples, parts.stages, parts.hessians];
    let aside_total: Duration = aside.iter().sum();
    let passes = (times.prepare + parts.passes).as_secs_f64();
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    let [starts, subsamples, stages, hessians] = aside.map(ms);
    format!(
        "{:<13} {:>8.2} {:>9.2} {:>8.2} {starts:>8.2} {subsamples:>11.2} {stages:>8.2} {hessians:>9.2} {:>6.2} {:>12.0} %",
        task.name,
        1e3 * seconds,
        ms(times.prepare),
        ms(parts.passes),
        1e3 * (seconds - passes) - ms(aside_total),
        100.0 * (1.0 - passes / seconds)
    )
}

/// Seconds of scikit-learn's default fit, its iterations and the mean log-likelihood that it reached.
fn other(task: &Task, python: &Path, folder: &Path) -> Result<(f64, usize, f64), String> {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare-peers/scikit_learn_default.py");
    let mut command = Command::new(python);
    command.arg(script).arg(folder);
    command.args([task.d, task.k].map(|x| x.to_string()));
    peer::limit_threads(&mut command);
    let said = peer::output(&mut command)?;
    let numbers: Vec<f64> = said
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    match numbers[..] {
        [seconds, iterations, log_likelihood] => Ok((seconds, iterations as usize, log_likelihood)),
        _ => Err(format!("scikit-learn said {said:?}")),
    }
}
