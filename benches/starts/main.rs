//! Seconds of whole fits: 16 restarts against one, and a sweep over numbers of components.
//!
//! `cargo bench --bench starts` prints all; with `-- restarts`, `-- sweep` or `-- folds` only that. Data are made
//! outside the timed part; the fastest of three fits counts, a sweep runs once.

use std::ops::ControlFlow;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::backend::gpu;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Fit, Options, Sweep, fit, select};
use wgmm::mixture::{Covariances, Mixture};

/// The starts that race.
const RESTARTS: usize = 16;
/// Fits of which the fastest counts.
const REPEATS: usize = 3;
/// The sizes fitted: of the notebook's mixture and of a random one with more features and components.
const NOTEBOOK: usize = 1_000_000;
const RANDOM: usize = 200_000;
/// The same for adapters that compute on the processor.
const SOFTWARE_NOTEBOOK: usize = 200_000;
const SOFTWARE_RANDOM: usize = 20_000;

fn main() {
    // Cargo adds `--bench` of its own.
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|o| o == part);
    if wanted("restarts") {
        restarts();
    }
    if wanted("sweep") {
        sweep(0);
    }
    if wanted("folds") {
        sweep(5);
    }
}

/// One start against many, on the CPU and on each adapter.
fn restarts() {
    println!(
        "{:>9} {:>3} {:>4}  {:<46} {:>9} {:>12} {:>6}  iterations, mean log-likelihood",
        "N", "D", "K", "device", "1 start s", "16 starts s", "ratio"
    );
    compare(NOTEBOOK, RANDOM, "cpu", &DeviceChoice::Cpu);
    for adapter in gpu::adapters() {
        let device = DeviceChoice::Gpu(gpu::Selection::Named(adapter.index.to_string()));
        if adapter.kind == gpu::DeviceKind::Software {
            let name = format!("{}, software", adapter.name);
            compare(SOFTWARE_NOTEBOOK, SOFTWARE_RANDOM, &name, &device);
        } else {
            compare(NOTEBOOK, RANDOM, &adapter.name, &device);
        }
    }
}

fn compare(notebook_rows: usize, random_rows: usize, name: &str, device: &DeviceChoice) {
    for (mixture, n) in [(notebook(), notebook_rows), (random(10, 20), random_rows)] {
        let samples = draw(&mixture, n);
        let (d, k) = (mixture.n_features(), mixture.len());
        let row = |restarts| {
            let options = Options {
                restarts,
                device: device.clone(),
                ..Options::new(k)
            };
            fastest(&samples, &options)
        };
        let label = format!("{n:>9} {d:>3} {k:>4}  {name:<46}");
        match (row(1), row(RESTARTS)) {
            (Ok((one, single)), Ok((many, best))) => println!(
                "{label} {one:>9.3} {many:>12.3} {:>6.2}  {} and {}, {:.6} and {:.6}",
                many / one,
                single.iterations,
                best.iterations,
                single.mean_log_likelihood,
                best.mean_log_likelihood
            ),
            (Err(error), _) | (_, Err(error)) => println!("{label} {error}"),
        }
    }
}

fn fastest(samples: &Samples, options: &Options) -> Result<(f64, Fit), wgmm::em::FitError> {
    let once = || {
        let started = Instant::now();
        fit(samples, options).map(|fit| (started.elapsed().as_secs_f64(), fit))
    };
    let mut best = once()?;
    for _ in 1..REPEATS {
        let next = once()?;
        if next.0 < best.0 {
            best = next;
        }
    }
    Ok(best)
}

/// K = 1 to 10 with the sweep's own defaults, 8 starts each.
fn sweep(folds: usize) {
    let samples = draw(&notebook(), NOTEBOOK);
    let mut sweep = Sweep {
        folds,
        ..Sweep::new(1..=10)
    };
    sweep.options.device = DeviceChoice::Cpu;
    let started = Instant::now();
    let selection = select(&samples, &sweep, &mut |_| ControlFlow::Continue(()))
        .expect("a sweep of the notebook's samples");
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "sweep of K = 1 to 10 over {NOTEBOOK} x 2, {} starts, {folds} folds, cpu: {seconds:.2} s",
        sweep.options.restarts
    );
    for candidate in &selection.candidates {
        match &candidate.fit {
            Ok(fit) => println!(
                "  K {:2} {:>7.2} s  {:3} iterations  mean log-likelihood {:.6}  BIC {:.0}",
                candidate.components,
                candidate.time.as_secs_f64(),
                fit.iterations,
                fit.mean_log_likelihood,
                fit.criteria.bic
            ),
            Err(error) => println!("  K {:2} {error}", candidate.components),
        }
    }
    if let Some(verdict) = &selection.verdict {
        let best = selection.candidates[verdict.bic.best].components;
        println!("  best by BIC: K = {best}");
    }
}

/// The mixture that this project began with.
fn notebook() -> Mixture {
    let weights = [0.1, 0.3, 0.2, 0.3].map(|w| w / 0.9).to_vec();
    let means = vec![1.7, 0.5, 2.0, 4.0, 0.0, 6.0, 5.0, 6.0];
    let covariances = vec![
        0.9, 0.0, 0.0, 0.5, //
        0.4, 0.3, 0.3, 0.5, //
        2.0, 0.45, 0.45, 0.8, //
        0.6, 0.45, 0.45, 0.6,
    ];
    Mixture::new(weights, means, 2, Covariances::Full(covariances)).expect("a valid mixture")
}

/// Components at random places, some of which overlap.
fn random(d: usize, k: usize) -> Mixture {
    let mut rng = ChaCha8Rng::seed_from_u64((100 * d + k) as u64);
    let means = (0..k * d)
        .map(|_| 4.0 * (rng.random::<f64>() - 0.5))
        .collect();
    let variances = (0..k * d).map(|_| 0.5 + rng.random::<f64>()).collect();
    Mixture::new(
        vec![1.0 / k as f64; k],
        means,
        d,
        Covariances::Diag(variances),
    )
    .expect("a valid mixture")
}

fn draw(mixture: &Mixture, n: usize) -> Samples {
    let (values, _) = mixture.sample(n, &mut ChaCha8Rng::seed_from_u64(0));
    Samples::new(values, mixture.n_features()).expect("finite values")
}
