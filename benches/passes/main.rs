//! Seconds per EM pass of every backend over (N, D, K), beside what this machine can do at most.
//!
//! `cargo bench --bench passes` prints the table; with `-- 2 4` only rows of D = 2, K = 4, with `-- cpu` only the CPU's,
//! with `-- gpu` only GPUs, at the sizes of their table of predictions, with what an EM step takes and which stages it
//! consists of.
//! On the CPU, `-- weights` compares passes with and without weights, `-- precision` those in f32 and f64, `-- threads`
//! one thread and all, and `-- costs` shows how they grow with N, D and K.
//! Minimum of several passes; data are made outside the timed part. The CPU's share of the floor is the median over passes,
//! each beside multiply-adds measured just before it, so that a clock rate that wanders does not count. Floating-point operations per pass, one exp counted
//! as 20, as for the share of the floor: N K (2 D (D + 1) + 4 D + 20) for full covariances, N K (8 D + 20) diag,
//! N K (6 D + 20) spherical, N K (D (D + 1) + 6 D + 20) + N D (D + 1) tied.

mod case;
mod clock;
mod costs;
mod floors;
mod operations;
mod pairs;
mod steps;

use std::time::Instant;

use wgmm::backend::cpu::Cpu;
use wgmm::backend::gpu::{self, Gpu};
use wgmm::backend::reference::Reference;
use wgmm::backend::{Backend, Components, Precision};
use wgmm::mixture::CovarianceType;

use case::{Case, case, label, operations, problem, weighted};
use clock::Clock;

/// The first five are the sizes that other programs are measured at, too.
const CASES: [Case; 14] = [
    case(1_000_000, 2, 4, CovarianceType::Full),
    case(500_000, 10, 20, CovarianceType::Full),
    case(200_000, 32, 32, CovarianceType::Full),
    case(100_000, 64, 64, CovarianceType::Full),
    case(500_000, 40, 64, CovarianceType::Diag),
    case(500_000, 40, 64, CovarianceType::Spherical),
    case(500_000, 10, 20, CovarianceType::Tied),
    case(200_000, 32, 32, CovarianceType::Tied),
    weighted(case(1_000_000, 2, 4, CovarianceType::Full)),
    weighted(case(500_000, 10, 20, CovarianceType::Full)),
    case(100_000, 2, 4, CovarianceType::Full),
    case(100_000, 4, 16, CovarianceType::Full),
    case(20_000, 16, 128, CovarianceType::Full),
    case(4_000, 64, 1_024, CovarianceType::Full),
];
/// The sizes that `benches/gpu` predicts, and others.
const GPU_CASES: [Case; 16] = [
    case(1_000_000, 2, 4, CovarianceType::Full),
    case(10_000_000, 2, 4, CovarianceType::Full),
    case(1_000_000, 4, 6, CovarianceType::Full),
    case(1_000_000, 8, 2, CovarianceType::Full),
    case(1_000_000, 4, 20, CovarianceType::Full),
    case(1_000_000, 10, 20, CovarianceType::Full),
    case(1_000_000, 11, 13, CovarianceType::Full),
    case(1_000_000, 12, 20, CovarianceType::Full),
    case(1_000_000, 16, 20, CovarianceType::Full),
    case(1_000_000, 20, 20, CovarianceType::Full),
    case(1_000_000, 32, 16, CovarianceType::Full),
    case(1_000_000, 64, 64, CovarianceType::Full),
    case(1_000_000, 16, 20, CovarianceType::Diag),
    case(1_000_000, 40, 64, CovarianceType::Diag),
    case(1_000_000, 16, 20, CovarianceType::Spherical),
    case(1_000_000, 128, 1_024, CovarianceType::Spherical),
];
/// Work above which the plain loops of the reference are left out, operations.
const REFERENCE_WORK: f64 = 1e9;
/// Work above which a software adapter is left out, operations.
const SOFTWARE_WORK: f64 = 4e9;

/// On a thread of the pool, so that with one thread all work is its own and its processor time right to the microsecond.
fn main() {
    let asked = |name: &str| std::env::args().any(|a| a == name);
    let sizes: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse().ok())
        .collect();
    let wanted = |case: Case| {
        sizes.first().is_none_or(|d| *d == case.d) && sizes.get(1).is_none_or(|k| *k == case.k)
    };
    rayon::scope(|_| {
        if asked("weights") {
            pairs::weights(wanted);
        } else if asked("precision") {
            pairs::precision();
        } else if asked("costs") {
            costs::print();
        } else if !asked("threads") {
            print_table(wanted);
        }
    });
    // Pools of their own.
    if asked("threads") {
        pairs::threads();
    }
}

fn print_table(wanted: impl Fn(Case) -> bool) {
    let only_cpu = std::env::args().any(|a| a == "cpu");
    let only_gpu = std::env::args().any(|a| a == "gpu");
    let floors = floors::measure();
    println!(
        "floors, {} threads: read {:.1} GB/s, multiply-add {:.0} GFLOP/s in f32, {:.0} in f64",
        rayon::current_num_threads(),
        floors.bytes_per_second / 1e9,
        floors.f32_flops / 1e9,
        floors.f64_flops / 1e9
    );
    println!(
        "{:>9} {:>3} {:>4}  {:<15}  {:<34} {:>10} {:>9} {:>8}",
        "N", "D", "K", "covariances", "backend", "ms/pass", "GFLOP/s", "of floor"
    );
    for case in if only_gpu { &GPU_CASES[..] } else { &CASES[..] } {
        let case = *case;
        if !wanted(case) {
            continue;
        }
        let (samples, components, map) = problem(case);
        let work = operations(case);
        let precisions: &[Precision] = if only_gpu {
            &[]
        } else {
            &[Precision::F32, Precision::F64]
        };
        for &precision in precisions {
            let mut cpu = Cpu::load(&samples, &map, precision);
            let name = format!("cpu {precision:?} ({})", cpu.info().name);
            let mut shares = Vec::new();
            let seconds = seconds(&mut cpu, &components, |pass| {
                let flops = match precision {
                    Precision::F32 => floors::flops::<f32>(),
                    Precision::F64 => floors::flops::<f64>(),
                };
                let seconds = pass();
                shares.push(work / flops / seconds);
                seconds
            });
            shares.sort_by(f64::total_cmp);
            row(case, &name, seconds, work, Some(shares[shares.len() / 2]));
        }
        if only_cpu {
            continue;
        }
        for adapter in gpu::adapters() {
            if adapter.kind == gpu::DeviceKind::Software && work > SOFTWARE_WORK {
                println!("{}  {:<34} left out, too long", label(case), adapter.name);
                continue;
            }
            let selection = gpu::Selection::Named(adapter.index.to_string());
            let loaded = gpu::Device::open(&selection, gpu::Options::default())
                .and_then(|device| Gpu::load(&device, &samples, &map));
            match loaded {
                Ok(mut backend) => {
                    let seconds = seconds(&mut backend, &components, |pass| pass());
                    row(case, &adapter.name, seconds, work, None);
                    if only_gpu {
                        steps::print(&mut backend, &components);
                    }
                }
                Err(error) => println!("{}  {error}", label(case)),
            }
            if only_gpu
                && let Err(error) = steps::print_stages(&selection, &samples, &map, &components)
            {
                println!("{}  {error}", label(case));
            }
        }
        if work <= REFERENCE_WORK && !only_gpu {
            let mut reference = Reference::load(&samples, &map);
            let seconds = seconds(&mut reference, &components, |pass| pass());
            row(case, "reference", seconds, work, None);
        }
    }
}

fn row(case: Case, name: &str, seconds: f64, work: f64, share: Option<f64>) {
    let share = share.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share));
    println!(
        "{}  {name:<34} {:>10.3} {:>9.1} {share:>8}",
        label(case),
        1e3 * seconds,
        work / seconds / 1e9
    );
}

/// The fastest of a few passes, at least three, up to about two seconds. `time` is given each pass, to be timed beside
/// something else.
fn seconds(
    backend: &mut dyn Backend,
    components: &Components,
    mut time: impl FnMut(&mut dyn FnMut() -> f64) -> f64,
) -> f64 {
    let mut components = components.clone();
    components.round_to(backend.info().precision);
    let mut pass = || {
        let clock = Clock::start();
        backend
            .statistics(&[(&components).into()])
            .expect("a device that answers");
        clock.seconds()
    };
    // The first makes room.
    pass();
    let (mut best, started) = (f64::INFINITY, Instant::now());
    for done in 1.. {
        best = best.min(time(&mut pass));
        if done >= 3 && started.elapsed().as_secs_f64() > 2.0 {
            break;
        }
    }
    best
}
