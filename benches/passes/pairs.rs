//! Passes of the CPU in pairs, one beside the other, so that a clock rate that wanders does not count.

use std::time::Instant;

use wgmm::backend::cpu::Cpu;
use wgmm::backend::{Backend, Components, Precision};
use wgmm::mixture::CovarianceType::{Diag, Full, Spherical, Tied};

use super::case::{Case, case, label, problem, weighted};
use super::clock::Clock;
use super::floors;

const CASES: [Case; 8] = [
    case(1_000_000, 2, 4, Full),
    case(500_000, 10, 20, Full),
    case(200_000, 32, 32, Full),
    case(100_000, 64, 64, Full),
    case(500_000, 40, 64, Diag),
    case(500_000, 40, 64, Spherical),
    case(500_000, 10, 20, Tied),
    case(100_000, 4, 16, Full),
];

/// The fastest of both, and the median of the second's share of the first, over about `seconds`.
pub(crate) fn compare(
    seconds: f64,
    first: &mut dyn FnMut() -> f64,
    second: &mut dyn FnMut() -> f64,
) -> [f64; 3] {
    // The first makes room.
    first();
    second();
    let (mut best, mut ratios) = ([f64::INFINITY; 2], Vec::new());
    let started = Instant::now();
    while ratios.len() < 5 || started.elapsed().as_secs_f64() < seconds {
        // Each comes first as often as the other.
        let (a, b) = if ratios.len() % 2 == 0 {
            let a = first();
            (a, second())
        } else {
            let b = second();
            (first(), b)
        };
        best = [best[0].min(a), best[1].min(b)];
        ratios.push(b / a);
    }
    ratios.sort_by(f64::total_cmp);
    [best[0], best[1], ratios[ratios.len() / 2]]
}

/// Seconds of one pass.
pub(crate) fn pass(cpu: &mut Cpu<'_>, components: &Components) -> f64 {
    let clock = Clock::start();
    cpu.statistics(&[components.into()])
        .expect("no device to fail");
    clock.seconds()
}

/// Seconds of a pass after others over the same rows, as in a fit: those over other rows, in between, would have pushed them
/// out of the caches.
fn settled_pass(cpu: &mut Cpu<'_>, components: &Components) -> f64 {
    const PASSES: usize = 8;
    pass(cpu, components);
    let passes = (0..PASSES).map(|_| pass(cpu, components));
    passes.sum::<f64>() / PASSES as f64
}

/// Weighted rows beside rows that all count once, of the cases that are `wanted`.
pub(crate) fn weights(wanted: impl Fn(Case) -> bool) {
    println!(
        "{:>9} {:>3} {:>4}  {:<15}  {:<4} {:>9} {:>11} {:>8}",
        "N", "D", "K", "covariances", "type", "ms/pass", "weighted ms", "ratio"
    );
    for case in CASES.into_iter().filter(|case| wanted(*case)) {
        let (samples, mut components, map) = problem(case);
        let (heavy, mut heavy_components, heavy_map) = problem(weighted(case));
        for precision in [Precision::F32, Precision::F64] {
            components.round_to(precision);
            heavy_components.round_to(precision);
            let mut plain = Cpu::load(&samples, &map, precision);
            let mut weighted = Cpu::load(&heavy, &heavy_map, precision);
            let mut plain = || settled_pass(&mut plain, &components);
            let mut weighted = || settled_pass(&mut weighted, &heavy_components);
            let [a, b, ratio] = compare(3.0, &mut plain, &mut weighted);
            println!(
                "{}  {precision:<4?} {:>9.3} {:>11.3} {ratio:>8.3}",
                label(case),
                1e3 * a,
                1e3 * b
            );
        }
    }
}

/// Double precision beside single.
pub(crate) fn precision() {
    println!(
        "{:>9} {:>3} {:>4}  {:<15}  {:>9} {:>9} {:>8}",
        "N", "D", "K", "covariances", "f32 ms", "f64 ms", "ratio"
    );
    for case in CASES {
        let (samples, mut components, map) = problem(case);
        components.round_to(Precision::F32);
        let mut single = Cpu::load(&samples, &map, Precision::F32);
        let mut double = Cpu::load(&samples, &map, Precision::F64);
        let [a, b, ratio] = compare(3.0, &mut || pass(&mut single, &components), &mut || {
            pass(&mut double, &components)
        });
        println!(
            "{}  {:>9.3} {:>9.3} {ratio:>8.2}",
            label(case),
            1e3 * a,
            1e3 * b
        );
    }
}

/// All threads beside one, by the clock, and what multiply-adds on registers gain in the same minute.
pub(crate) fn threads() {
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads")
    };
    let (one, all) = (pool(1), pool(0));
    println!("{} threads beside one", all.current_num_threads());
    println!(
        "{:>9} {:>3} {:>4}  {:<15}  {:<4} {:>9} {:>9} {:>7} {:>13}",
        "N", "D", "K", "covariances", "type", "one, ms", "all, ms", "gain", "floor's gain"
    );
    let wall = |work: &mut dyn FnMut() -> f64| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    for case in CASES {
        let (samples, mut components, map) = problem(case);
        components.round_to(Precision::F32);
        let mut alone = Cpu::load(&samples, &map, Precision::F32);
        let mut together = Cpu::load(&samples, &map, Precision::F32);
        let [a, b, ratio] = compare(
            3.0,
            &mut || wall(&mut || one.install(|| pass(&mut alone, &components))),
            &mut || wall(&mut || all.install(|| pass(&mut together, &components))),
        );
        // All threads do as many times the work of one as there are.
        let [_, _, floor] = compare(
            1.0,
            &mut || wall(&mut || one.install(floors::flops::<f32>)),
            &mut || wall(&mut || all.install(floors::flops::<f32>)),
        );
        println!(
            "{}  {:<4} {:>9.3} {:>9.3} {:>7.2} {:>13.2}",
            label(case),
            "F32",
            1e3 * a,
            1e3 * b,
            1.0 / ratio,
            all.current_num_threads() as f64 / floor
        );
    }
}
