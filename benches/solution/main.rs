//! Passes and seconds to the optimum: plain EM, the default fit from one start, and from 16.
//!
//! `cargo bench --bench solution` runs all problems; `-- NAME …` those whose names contain one of the words, `-- FILE:K` a
//! table of samples with K components. A pass is one evaluation of all rows; an evaluation of a part counts as that part. The optimum of a run is where the
//! accelerated fit in f64 goes from the run's end with a tolerance of 1e-12; "gap" is how far below it the run ended, "over
//! EM" how far above plain EM's optimum; "!" marks a run that did not claim to have converged.

mod problems;

use std::time::Instant;

use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Fit, Init, Options, PrecisionChoice, fit};

/// Seeds of the starts.
const SEEDS: [u64; 2] = [0, 1];
/// A run has arrived when it is this close to its optimum, nats per sample.
const CLOSE: f64 = 1e-6;
/// The most passes of plain EM.
const PLAIN_PASSES: usize = 1500;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let mut totals: [Vec<f64>; 2] = Default::default();
    println!(
        "{:<14} {:>7} {:>3} {:>3} {:>4}  {:>9} {:>8}  {:>8} {:>8} {:>9} {:>9}  {:>8} {:>8} {:>9} {:>9}",
        "problem",
        "N",
        "D",
        "K",
        "seed",
        "EM passes",
        "s",
        "1 start",
        "s",
        "gap",
        "over EM",
        "16",
        "s",
        "gap",
        "over EM"
    );
    let chosen = |index: &usize| {
        let named = |word: &String| problems::NAMES[*index].contains(word.as_str());
        words.is_empty() || words.iter().any(named)
    };
    let drawn = (0..problems::NAMES.len())
        .filter(chosen)
        .map(problems::problem);
    let files = words.iter().filter_map(|word| problems::of_file(word));
    for problem in drawn.chain(files) {
        for seed in SEEDS {
            let options = Options {
                device: DeviceChoice::Cpu,
                seed,
                ..Options::new(problem.k)
            };
            let samples = &problem.samples;
            let (plain_s, plain) = timed(
                samples,
                &Options {
                    plain: true,
                    restarts: 1,
                    max_iter: PLAIN_PASSES,
                    tol: 1e-9,
                    ..options.clone()
                },
            );
            let best = optimum(samples, &plain, &options);
            let arrived = plain.trace.iter().position(|l| best - l < CLOSE);
            let mut line = format!(
                "{:<14} {:>7} {:>3} {:>3} {:>4}  {:>9} {:>8.3}",
                problem.name,
                samples.len(),
                samples.n_features(),
                problem.k,
                seed,
                arrived.map_or("never".to_owned(), |i| (i + 1).to_string()),
                plain_s,
            );
            for (restarts, totals) in [1, 16].into_iter().zip(&mut totals) {
                let (seconds, run) = timed(
                    samples,
                    &Options {
                        restarts,
                        ..options.clone()
                    },
                );
                let gap = optimum(samples, &run, &options) - run.mean_log_likelihood;
                line += &format!(
                    "  {:>8.1} {:>8.3} {:>9.1e} {:>9.1e}{}",
                    run.passes,
                    seconds,
                    gap,
                    run.mean_log_likelihood - best,
                    if run.converged { " " } else { "!" },
                );
                totals.push(run.passes);
            }
            println!("{line}");
        }
    }
    for (name, mut passes) in ["1 start", "16 starts"].into_iter().zip(totals) {
        passes.sort_by(f64::total_cmp);
        println!(
            "{name}: median {:.1}, worst {:.1} passes",
            median(&passes),
            passes.last().unwrap_or(&f64::NAN)
        );
    }
}

/// Of sorted numbers, the middle or the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n => 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]),
    }
}

fn timed(samples: &Samples, options: &Options) -> (f64, Fit) {
    let started = Instant::now();
    let fit = fit(samples, options).expect("a fit");
    (started.elapsed().as_secs_f64(), fit)
}

/// The log-likelihood at the maximum that a fit was on its way to.
fn optimum(samples: &Samples, from: &Fit, options: &Options) -> f64 {
    let options = Options {
        init: Init::Model(from.mixture.clone()),
        restarts: 1,
        tol: 1e-12,
        precision: PrecisionChoice::F64,
        ..options.clone()
    };
    fit(samples, &options).expect("a fit").mean_log_likelihood
}
