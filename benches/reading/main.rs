//! Seconds from a file to a model: reading, preparing, the start, EM.
//!
//! `cargo bench --bench reading` prints all; with `-- prepare` or `-- files` only that, with `-- prepare 64` only
//! D = 64. Data are drawn from a fixed seed outside the timed part; the fastest of several runs counts. `prepare`
//! is measured by CPU time where there is one thread.

#[path = "../passes/clock.rs"]
mod clock;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use wgmm::data::{ReadOptions, Samples, Standardisation, read};
use wgmm::em::{DeviceChoice, Options, fit};
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use clock::Clock;

/// (N, D) that are prepared.
const PREPARED: [(usize, usize); 5] = [
    (1_000_000, 2),
    (10_000_000, 2),
    (500_000, 10),
    (200_000, 32),
    (100_000, 64),
];
/// Rows of the file, of D = 2.
const ROWS: usize = 10_000_000;
/// Runs of which the fastest counts.
const REPEATS: usize = 5;

fn main() {
    // Cargo adds `--bench` of its own.
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|o| o == part);
    if wanted("prepare") {
        prepare(only.iter().find_map(|o| o.parse().ok()));
    }
    if wanted("files") {
        files();
    }
}

/// Standardisation alone, beside one look at all values by all threads.
fn prepare(only: Option<usize>) {
    println!(
        "{:>9} {:>3}  {:<12} {:>11} {:>14}",
        "N", "D", "samples", "prepare ms", "one look, ms"
    );
    for (n, d) in PREPARED {
        if only.is_some_and(|only| only != d) {
            continue;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(d as u64);
        let values: Vec<f64> = (0..n * d).map(|_| rng.random::<f64>()).collect();
        let singles: Vec<f32> = values.iter().map(|x| *x as f32).collect();
        let weights = (0..n).map(|i| (i % 3) as f64).collect();
        let look = fastest(|| {
            let pieces = values.par_chunks(1 << 16);
            black_box(
                pieces
                    .map(|p| p.iter().fold(0, |s, x| s ^ x.to_bits()))
                    .collect::<Vec<_>>(),
            );
        });
        let double = Samples::new(values.clone(), d).expect("finite");
        let single = Samples::new(singles, d).expect("finite");
        let weighted = double.clone().with_weights(weights).expect("weights");
        for (name, samples) in [("f64", double), ("f32", single), ("f64 weighted", weighted)] {
            let seconds = fastest(|| {
                black_box(Standardisation::of(&samples, CovarianceType::Full)).expect("varies");
            });
            println!(
                "{n:>9} {d:>3}  {name:<12} {:>11.2} {:>14.2}",
                1e3 * seconds,
                1e3 * look
            );
        }
    }
}

/// Reading and fitting N × 2 of four components, K = 4, from NPY and from CSV.
fn files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let means = vec![0.0, 0.0, 4.0, 1.0, -3.0, 3.0, 1.0, -4.0];
    let identity = [1.0, 0.0, 0.0, 1.0].repeat(4);
    let mixture = Mixture::new(vec![0.25; 4], means, 2, Covariances::Full(identity));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (values, _) = mixture.expect("a mixture").sample(ROWS, &mut rng);
    println!(
        "{:<9} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "file", "MB", "copy s", "read s", "prepare", "start", "EM", "total", "iterations"
    );
    for name in ["f8.npy", "f4.npy", "t.csv"] {
        let path = folder.path().join(name);
        write(&path, &values);
        let copy = || {
            let start = Instant::now();
            black_box(fs::read(&path).expect("readable"));
            start.elapsed().as_secs_f64()
        };
        let copy = (0..REPEATS).map(|_| copy()).fold(f64::INFINITY, f64::min);
        let mut best: Option<[f64; 5]> = None;
        let mut iterations = 0;
        for _ in 0..REPEATS {
            let start = Instant::now();
            let table = read(&path, &ReadOptions::default()).expect("a table");
            let reading = start.elapsed().as_secs_f64();
            let options = Options {
                device: DeviceChoice::Cpu,
                ..Options::new(4)
            };
            let fit = fit(&table.samples, &options).expect("a fit");
            let total = start.elapsed().as_secs_f64();
            iterations = fit.iterations;
            let [prepare, init, em] =
                [fit.times.prepare, fit.times.init, fit.times.em].map(|t| t.as_secs_f64());
            let run = [reading, prepare, init, em, total];
            best = Some(match best {
                Some(best) => std::array::from_fn(|i| best[i].min(run[i])),
                None => run,
            });
        }
        let [reading, prepare, init, em, total] = best.expect("a run at least");
        println!(
            "{name:<9} {:>6.0} {copy:>8.3} {reading:>8.3} {prepare:>8.3} {init:>8.3} {em:>8.3} {total:>8.3} {iterations:>10}",
            fs::metadata(&path).expect("there").len() as f64 / 1e6
        );
        fs::remove_file(&path).expect("removable");
    }
}

fn write(path: &Path, values: &[f64]) {
    if path.extension().is_some_and(|ending| ending == "npy") {
        let single = path.file_name().is_some_and(|name| name == "f4.npy");
        let (dtype, bytes) = match single {
            true => (
                "<f4",
                values
                    .iter()
                    .flat_map(|x| (*x as f32).to_le_bytes())
                    .collect::<Vec<u8>>(),
            ),
            false => ("<f8", values.iter().flat_map(|x| x.to_le_bytes()).collect()),
        };
        let header =
            format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({ROWS}, 2), }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        fs::write(path, file).expect("written");
        return;
    }
    let mut text = String::with_capacity(ROWS * 40);
    for row in values.chunks_exact(2) {
        text.push_str(&format!("{},{}\n", row[0], row[1]));
    }
    fs::write(path, text).expect("written");
}

/// Seconds of the fastest of several runs.
fn fastest(mut run: impl FnMut()) -> f64 {
    let seconds = |run: &mut dyn FnMut()| {
        let clock = Clock::start();
        run();
        clock.seconds()
    };
    (0..REPEATS)
        .map(|_| seconds(&mut run))
        .fold(f64::INFINITY, f64::min)
}
