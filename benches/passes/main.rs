//! Seconds per EM pass of every backend over (N, D, K), beside what this machine can do at most.
//!
//! `cargo bench --bench passes` prints the table; with `-- 2 4` only rows of D = 2, K = 4. Minimum of several
//! passes; data are made outside the timed part. Counts per pass, as for the share of the floor:
//! N K (2 D (D + 1) + 4 D + 20) floating-point operations, one exp counted as 20.

mod clock;
mod floors;

use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::backend::cpu::Cpu;
use wgmm::backend::gpu::{self, Gpu};
use wgmm::backend::reference::Reference;
use wgmm::backend::{Backend, Components, Precision};
use wgmm::data::{Samples, Standardisation};
use wgmm::em::operations;
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use clock::Clock;

/// (N, D, K): the first four are the sizes that other programs are measured at, too.
const SIZES: [(usize, usize, usize); 7] = [
    (1_000_000, 2, 4),
    (500_000, 10, 20),
    (200_000, 32, 32),
    (100_000, 64, 64),
    (100_000, 2, 4),
    (100_000, 4, 16),
    (20_000, 16, 128),
];
/// Work above which the plain loops of the reference are left out, operations.
const REFERENCE_WORK: f64 = 1e9;
/// Work above which a software adapter is left out, operations.
const SOFTWARE_WORK: f64 = 4e9;

fn main() {
    let only: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse().ok())
        .collect();
    let floors = floors::measure();
    println!(
        "floors, {} threads: read {:.1} GB/s, multiply-add {:.0} GFLOP/s in f32, {:.0} in f64",
        rayon::current_num_threads(),
        floors.bytes_per_second / 1e9,
        floors.f32_flops / 1e9,
        floors.f64_flops / 1e9
    );
    println!(
        "{:>9} {:>3} {:>4}  {:<46} {:>10} {:>9} {:>8}",
        "N", "D", "K", "backend", "ms/pass", "GFLOP/s", "of floor"
    );
    for (n, d, k) in SIZES {
        if only.first().is_some_and(|x| *x != d) || only.get(1).is_some_and(|x| *x != k) {
            continue;
        }
        let (samples, components, map) = problem(n, d, k);
        let work = operations(n, d, k);
        for precision in [Precision::F32, Precision::F64] {
            let mut cpu = Cpu::load(&samples, &map, precision);
            let flops = match precision {
                Precision::F32 => floors.f32_flops,
                Precision::F64 => floors.f64_flops,
            };
            let floor = (work / flops).max((n * d * 8) as f64 / floors.bytes_per_second);
            let name = format!("cpu {precision:?} ({})", cpu.info().name);
            row(
                (n, d, k),
                &name,
                seconds(&mut cpu, &components),
                work,
                Some(floor),
            );
        }
        for adapter in gpu::adapters() {
            if adapter.kind == gpu::DeviceKind::Software && work > SOFTWARE_WORK {
                println!(
                    "{n:>9} {d:>3} {k:>4}  {:<46} left out, too long",
                    adapter.name
                );
                continue;
            }
            let selection = gpu::Selection::Named(adapter.index.to_string());
            let loaded = gpu::Device::open(&selection, gpu::Options::default())
                .and_then(|device| Gpu::load(&device, &samples, &map));
            match loaded {
                Ok(mut backend) => {
                    row(
                        (n, d, k),
                        &adapter.name,
                        seconds(&mut backend, &components),
                        work,
                        None,
                    );
                }
                Err(error) => println!("{n:>9} {d:>3} {k:>4}  {error}"),
            }
        }
        if work <= REFERENCE_WORK {
            let mut reference = Reference::load(&samples, &map);
            row(
                (n, d, k),
                "reference",
                seconds(&mut reference, &components),
                work,
                None,
            );
        }
    }
}

fn row((n, d, k): (usize, usize, usize), name: &str, seconds: f64, work: f64, floor: Option<f64>) {
    let share = floor.map_or(String::new(), |floor| {
        format!("{:.0} %", 100.0 * floor / seconds)
    });
    println!(
        "{n:>9} {d:>3} {k:>4}  {name:<46} {:>10.3} {:>9.1} {share:>8}",
        1e3 * seconds,
        work / seconds / 1e9
    );
}

/// The fastest of a few passes, at least three, up to about two seconds.
fn seconds(backend: &mut dyn Backend, components: &Components) -> f64 {
    let mut components = components.clone();
    components.round_to(backend.info().precision);
    let (mut best, started) = (f64::INFINITY, Instant::now());
    for pass in 0.. {
        let clock = Clock::start();
        backend
            .statistics(&[(&components).into()])
            .expect("a device that answers");
        best = best.min(clock.seconds());
        if pass >= 3 && started.elapsed().as_secs_f64() > 2.0 {
            break;
        }
    }
    best
}

/// Samples of a random mixture of overlapping components, and that mixture as the device sees it.
fn problem(n: usize, d: usize, k: usize) -> (Samples, Components, Standardisation) {
    let mut rng = ChaCha8Rng::seed_from_u64((100 * d + k) as u64);
    let spread = 4.0 / (d as f64).powf(0.25);
    let means = (0..k * d)
        .map(|_| spread * (rng.random::<f64>() * 2.0 - 1.0))
        .collect();
    let mut covariances = vec![0.0; k * d * d];
    for k in 0..k {
        for i in 0..d {
            covariances[k * d * d + i * d + i] = 0.5 + rng.random::<f64>();
        }
    }
    let weights = vec![1.0 / k as f64; k];
    let mixture =
        Mixture::new(weights, means, d, Covariances::Full(covariances)).expect("a valid mixture");
    let (values, _) = mixture.sample(n, &mut rng);
    let samples = Samples::new(values, d).expect("finite values");
    let map = Standardisation::of(&samples, CovarianceType::Full).expect("no constant feature");
    let components = Components::from_mixture(&mixture, &map);
    (samples, components, map)
}
