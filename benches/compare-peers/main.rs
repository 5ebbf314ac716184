//! Seconds per EM iteration beside other programs: the same samples, start and number of iterations.
//!
//! `cargo bench --bench compare-peers` prints two tables, and then whole default fits beside scikit-learn's; with
//! `-- s1 diag` only those cases, with `-- fits` only the fits, with `-- notebook-1m` only that one. Peers are those that
//! the environment names: `WGMM_PEERS_PYTHON`, an interpreter that has scikit-learn, `WGMM_PEERS_TGMM`, one that has tgmm, and
//! `WGMM_PEERS_CXX`, a C++ compiler that finds Armadillo. All use as many threads as rayon: `RAYON_NUM_THREADS=1` compares one thread each,
//! and then CPU time counts, which other work on the machine lengthens little.
//!
//! An iteration's seconds are (the fastest fit of n iterations − the fastest fit of 1) / (n − 1), so that what is
//! done once cancels. Programs take turns, and n is the same for all.

mod case;
#[path = "../passes/clock.rs"]
mod clock;
mod fits;
#[path = "../passes/floors.rs"]
mod floors;
#[path = "../passes/operations.rs"]
mod operations;
mod peer;

use std::path::Path;

use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Init, Options, PrecisionChoice, evaluate, fit};
use wgmm::mixture::Mixture;

use case::{CASES, Case, Problem};
use clock::Clock;
use peer::{Peer, Type};

/// Turns of each program in a case.
const TURNS: usize = 2;
/// Fits of 1 and of n iterations in a turn of wgmm's own, which takes no time beside the others'.
const FITS: usize = 5;
/// Seconds in a case after which a program has no further turn.
const PATIENCE: f64 = 40.0;

/// What was measured of one program in one precision.
struct Row {
    name: String,
    precision: Type,
    /// The fastest fits of 1 and of n iterations.
    one: f64,
    all: f64,
    /// Mean log-likelihood of its mixture after n iterations, in f64.
    mean_log_likelihood: f64,
}

impl Row {
    fn seconds(&self, case: &Case) -> f64 {
        (self.all - self.one) / (case.iterations - 1) as f64
    }
}

fn main() {
    // Cargo adds `--bench` of its own.
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    if CASES.iter().any(|case| wanted(case.name)) {
        iterations(folder.path(), &wanted);
    }
    let fits: Vec<_> = fits::TASKS
        .iter()
        .filter(|task| wanted("fits") || wanted(task.name))
        .collect();
    if !fits.is_empty() {
        let python = std::env::var_os("WGMM_PEERS_PYTHON");
        fits::compare(&fits, python.as_ref().map(Path::new), folder.path());
    }
}

/// Seconds of plain iterations, and a line a case of how they compare.
fn iterations(folder: &Path, wanted: &dyn Fn(&str) -> bool) {
    let peers = Peer::all(folder);
    let floors = floors::measure();
    println!(
        "{} threads; floors: read {:.1} GB/s, multiply-add {:.0} GFLOP/s in f32, {:.0} in f64",
        rayon::current_num_threads(),
        floors.bytes_per_second / 1e9,
        floors.f32_flops / 1e9,
        floors.f64_flops / 1e9
    );
    let mut summary = Vec::new();
    for case in &CASES {
        if !wanted(case.name) {
            continue;
        }
        let problem = case.problem();
        peer::write(folder, &problem);
        let rows = measure(case, &problem, &peers, folder);
        let floor = |precision| case.floor(&floors, precision);
        print(case, &rows, &floor);
        summary.push(summarise(case, &rows, &floor));
    }
    println!(
        "\n{:<9} {:<28} {:>14} {:>16} {:>12} {:>12}",
        "case", "best peer", "f32: best peer", "scikit-learn f64", "f32 of floor", "f64 of floor"
    );
    for line in summary {
        println!("{line}");
    }
}

/// Each program in turn, in both precisions; wgmm comes first.
fn measure(case: &Case, problem: &Problem, peers: &[Peer], folder: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let double = Samples::new(problem.values.clone(), case.d).expect("finite");
    let singles: Vec<f32> = problem.values.iter().map(|x| *x as f32).collect();
    let single = Samples::new(singles, case.d).expect("finite");
    let judge = |mixture: &Mixture| mean_log_likelihood(mixture, &double);
    let mut spent = vec![0.0; 2 * (1 + peers.len())];
    for turn in 0..TURNS {
        let mut place = 0;
        for precision in [Type::F32, Type::F64] {
            let samples = match precision {
                Type::F32 => &single,
                Type::F64 => &double,
            };
            let mut take = |name: &str, run: &mut dyn FnMut() -> Option<(f64, f64, Mixture)>| {
                place += 1;
                if spent[place - 1] > PATIENCE {
                    return;
                }
                let Some((one, all, mixture)) = run() else {
                    // It cannot do this case: no further turn.
                    spent[place - 1] = f64::INFINITY;
                    return;
                };
                spent[place - 1] += one + all;
                let known = |row: &&mut Row| row.name == name && row.precision == precision;
                match rows.iter_mut().find(known) {
                    Some(row) => {
                        row.one = row.one.min(one);
                        row.all = row.all.min(all);
                    }
                    None => rows.push(Row {
                        name: name.to_owned(),
                        precision,
                        one,
                        all,
                        mean_log_likelihood: judge(&mixture),
                    }),
                }
            };
            take("wgmm", &mut || Some(own(case, problem, samples, precision)));
            for peer in peers {
                take(&peer.name, &mut || peer.run(folder, case, precision));
            }
        }
        eprintln!("{}: turn {} of {TURNS} done", case.name, turn + 1);
    }
    rows
}

/// The fastest fits of 1 and of n iterations, and the latter's mixture.
fn own(case: &Case, problem: &Problem, samples: &Samples, precision: Type) -> (f64, f64, Mixture) {
    let options = |iterations| Options {
        covariance_type: case.covariance_type,
        init: Init::Model(problem.start.clone()),
        max_iter: iterations,
        tol: 0.0,
        device: DeviceChoice::Cpu,
        precision: match precision {
            Type::F32 => PrecisionChoice::F32,
            Type::F64 => PrecisionChoice::F64,
        },
        ..Options::new(case.k)
    };
    let fits = || {
        let run = |iterations| {
            let clock = Clock::start();
            let fit = fit(samples, &options(iterations)).expect("a fit");
            assert_eq!(fit.iterations, iterations);
            (clock.seconds(), fit.mixture)
        };
        let ((one, _), (all, mixture)) = (run(1), run(case.iterations));
        (one, all, mixture)
    };
    (1..FITS).fold(fits(), |(one, all, _), _| {
        let (other_one, other_all, mixture) = fits();
        (one.min(other_one), all.min(other_all), mixture)
    })
}

/// Nats per sample, in f64.
fn mean_log_likelihood(mixture: &Mixture, samples: &Samples) -> f64 {
    let options = Options {
        device: DeviceChoice::Cpu,
        precision: PrecisionChoice::F64,
        ..Options::new(mixture.len())
    };
    let mut sum = 0.0;
    evaluate(mixture, samples, &options, &mut |part| {
        sum += part.log_densities.iter().sum::<f64>();
    })
    .expect("an evaluation");
    sum / samples.len() as f64
}

fn print(case: &Case, rows: &[Row], floor: &dyn Fn(Type) -> f64) {
    println!(
        "\n{}: {} x {}, K {}, {}, {} iterations; floor {:.2} ms in f32, {:.2} in f64",
        case.name,
        case.n,
        case.d,
        case.k,
        case.kind(),
        case.iterations,
        1e3 * floor(Type::F32),
        1e3 * floor(Type::F64)
    );
    println!(
        "  {:<22} {:>4} {:>13} {:>9} {:>13} {:>13} {:>16}",
        "program", "type", "ms/iteration", "of floor", "wgmm f32, x", "wgmm f64, x", "off, nats"
    );
    let ours = |precision| {
        let row = rows
            .iter()
            .find(|r| r.name == "wgmm" && r.precision == precision);
        row.expect("wgmm takes part")
    };
    let best = ours(Type::F64).mean_log_likelihood;
    for row in rows {
        let seconds = row.seconds(case);
        println!(
            "  {:<22} {:>4} {:>13.2} {:>7.1} % {:>13.1} {:>13.1} {:>16.0e}",
            row.name,
            row.precision.name(),
            1e3 * seconds,
            100.0 * floor(row.precision) / seconds,
            seconds / ours(Type::F32).seconds(case),
            seconds / ours(Type::F64).seconds(case),
            row.mean_log_likelihood - best
        );
    }
}

/// The case's line of the last table: how many times as fast as others, and how much of the floor.
fn summarise(case: &Case, rows: &[Row], floor: &dyn Fn(Type) -> f64) -> String {
    let seconds = |name: &str, precision| {
        let row = rows
            .iter()
            .find(|r| r.name.starts_with(name) && r.precision == precision);
        row.map(|r| r.seconds(case))
    };
    let own = |precision| seconds("wgmm", precision).expect("wgmm takes part");
    let times = |seconds: Option<f64>| {
        seconds.map_or("-".to_owned(), |s| format!("{:.1} x", s / own(Type::F32)))
    };
    let best = rows
        .iter()
        .filter(|r| r.name != "wgmm")
        .min_by(|a, b| a.seconds(case).total_cmp(&b.seconds(case)));
    let share = |precision| format!("{:.0} %", 100.0 * floor(precision) / own(precision));
    format!(
        "{:<9} {:<28} {:>14} {:>16} {:>12} {:>12}",
        case.name,
        best.map_or("none".to_owned(), |r| format!(
            "{} {}",
            r.name,
            r.precision.name()
        )),
        times(best.map(|r| r.seconds(case))),
        times(seconds("scikit-learn", Type::F64)),
        share(Type::F32),
        share(Type::F64)
    )
}
