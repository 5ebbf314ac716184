//! From samples in memory to a fitted mixture: each program's default fit, from its own start to its own stop.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Fit, Options, PrecisionChoice, fit};
use wgmm::mixture::{Covariances, Difference, Mixture};

use super::case::{CASES, Case};
use super::clock::Clock;
use super::peer;

/// Equal fits of wgmm at least, and more of them while they take no more seconds than this.
const FITS: usize = 3;
const PATIENCE: f64 = 8.0;
const MOST_FITS: usize = 60;

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
        .map(|precision| measure(task, &values, precision));
        precisions.push(format!(
            "{:<13} {:>8.4} {:>8.4} {:>8.4}  {}  {}{}",
            task.name,
            auto.seconds,
            single.seconds,
            double.seconds,
            off(&auto.fit, &double.fit),
            off(&single.fit, &double.fit),
            if [&auto, &single, &double]
                .iter()
                .all(|run| run.fit.converged)
            {
                ""
            } else {
                "  at resolution"
            }
        ));
        let (seconds, own) = (auto.seconds, &auto.fit);
        line(
            task,
            "wgmm",
            seconds,
            own.iterations,
            own.mean_log_likelihood,
            1.0,
        );
        splits.push(split(task, &auto));
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
        "\n{:<13} {:>8} {:>8} {:>8} {:>8} {:>8} {:>11} {:>9} {:>8} {:>10} {:>13}",
        "wgmm, ms",
        "total",
        "prepare",
        "passes",
        "stages",
        "starts",
        "subsamples",
        "Hessians",
        "host",
        "not passes",
        "nor stages"
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

/// What was measured of some equal fits.
struct Measured {
    /// The fastest.
    seconds: f64,
    /// The least of each part, which other work on the machine disturbs less often than a whole fit. Seconds.
    prepare: f64,
    passes: f64,
    /// Starts, subsamples, their evaluation, Hessians.
    aside: [f64; 4],
    fit: Fit,
}

/// Default fits, the check of the samples included.
fn measure(task: &Task, values: &[f64], precision: PrecisionChoice) -> Measured {
    let options = Options {
        device: DeviceChoice::Cpu,
        precision,
        ..Options::new(task.k)
    };
    let begun = Instant::now();
    let mut best: Option<Measured> = None;
    for runs in 0..MOST_FITS {
        if runs >= FITS && begun.elapsed().as_secs_f64() > PATIENCE {
            break;
        }
        let values = values.to_vec();
        let clock = Clock::start();
        let samples = Samples::new(values, task.d).expect("finite");
        let fit = fit(&samples, &options).expect("a fit");
        let seconds = clock.seconds();
        let parts = fit.times.parts;
        let aside = [parts.starts, parts.subsamples, parts.stages, parts.hessians];
        let run = Measured {
            seconds,
            prepare: fit.times.prepare.as_secs_f64(),
            passes: parts.passes.as_secs_f64(),
            aside: aside.map(|time| time.as_secs_f64()),
            fit,
        };
        best = Some(match best {
            None => run,
            Some(best) => Measured {
                seconds: best.seconds.min(run.seconds),
                prepare: best.prepare.min(run.prepare),
                passes: best.passes.min(run.passes),
                aside: std::array::from_fn(|i| best.aside[i].min(run.aside[i])),
                fit: best.fit,
            },
        });
    }
    best.expect("a fit at least")
}

/// Where the time of a fit went, milliseconds; what is in no other part is the host's.
fn split(task: &Task, measured: &Measured) -> String {
    let Measured {
        seconds,
        prepare,
        passes,
        aside,
        ..
    } = measured;
    let host = (seconds - prepare - passes - aside.iter().sum::<f64>()).max(0.0);
    let [starts, subsamples, stages, hessians] = aside.map(|time| 1e3 * time);
    let beside = |inside: f64| 100.0 * (1.0 - inside / seconds).max(0.0);
    format!(
        "{:<13} {:>8.2} {:>8.2} {:>8.2} {stages:>8.2} {starts:>8.2} {subsamples:>11.2} {hessians:>9.2} {:>8.2} {:>8.0} % {:>11.0} %",
        task.name,
        1e3 * seconds,
        1e3 * prepare,
        1e3 * passes,
        1e3 * host,
        beside(prepare + passes),
        beside(prepare + passes + aside[2]),
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
