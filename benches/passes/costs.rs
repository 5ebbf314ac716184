//! How the cost of a pass grows with N, D and K.

use wgmm::backend::Precision;
use wgmm::backend::cpu::Cpu;
use wgmm::mixture::CovarianceType::Full;

use super::case::{Case, case, operations, problem};
use super::floors;
use super::pairs::{compare, pass};

/// Rows of f32 that are held in kernel order, and more of them, which are made anew in each pass.
const HELD_ROWS: [Case; 4] = [
    case(62_500, 4, 8, Full),
    case(250_000, 4, 8, Full),
    case(1_000_000, 4, 8, Full),
    case(2_000_000, 4, 8, Full),
];
const ROWS: [Case; 3] = [
    case(4_000_000, 4, 8, Full),
    case(8_000_000, 4, 8, Full),
    case(16_000_000, 4, 8, Full),
];
const COMPONENTS: [Case; 6] = [
    case(200_000, 10, 4, Full),
    case(200_000, 10, 8, Full),
    case(200_000, 10, 16, Full),
    case(200_000, 10, 32, Full),
    case(200_000, 10, 64, Full),
    case(200_000, 10, 128, Full),
];
const FEATURES: [Case; 7] = [
    case(100_000, 2, 16, Full),
    case(100_000, 4, 16, Full),
    case(100_000, 8, 16, Full),
    case(100_000, 16, 16, Full),
    case(100_000, 32, 16, Full),
    case(100_000, 64, 16, Full),
    case(100_000, 96, 16, Full),
];

/// Each series with the power that fits it best; f32.
pub(crate) fn print() {
    let by_rows = series(&HELD_ROWS);
    fit("N, held", &by_rows, |case| case.n as f64);
    let by_rows = series(&ROWS);
    fit("N, not held", &by_rows, |case| case.n as f64);
    let by_components = series(&COMPONENTS);
    fit("K", &by_components, |case| case.k as f64);
    let by_features = series(&FEATURES);
    let many: Vec<_> = by_features.into_iter().filter(|(c, _)| c.d >= 16).collect();
    fit("D from 16 on", &many, |case| case.d as f64);
    fit("D (D + 3) from 16 on", &many, |case| {
        (case.d * (case.d + 3)) as f64
    });
}

/// Cases with their seconds, printed.
fn series(cases: &[Case]) -> Vec<(Case, f64)> {
    println!(
        "{:>9} {:>3} {:>4}  {:>9} {:>10} {:>16} {:>9}",
        "N", "D", "K", "ms/pass", "ns/(N K)", "ns/(N K D D)", "of floor"
    );
    let measure = |case: &Case| {
        let (samples, mut components, map) = problem(*case);
        components.round_to(Precision::F32);
        let mut cpu = Cpu::load(&samples, &map, Precision::F32);
        let mut flops = 0.0;
        // Beside multiply-adds of the same number: what the clock rate does to both does not count.
        let [_, seconds, ratio] = compare(
            2.0,
            &mut || {
                flops = floors::flops::<f32>();
                operations(*case) / flops
            },
            &mut || pass(&mut cpu, &components),
        );
        let pairs = (case.n * case.k) as f64;
        println!(
            "{:>9} {:>3} {:>4}  {:>9.3} {:>10.3} {:>16.4} {:>7.0} %",
            case.n,
            case.d,
            case.k,
            1e3 * seconds,
            1e9 * seconds / pairs,
            1e9 * seconds / pairs / (case.d * case.d) as f64,
            100.0 / ratio
        );
        (*case, seconds)
    };
    cases.iter().map(measure).collect()
}

/// The straight line through logarithms, and how far it misses at most.
fn fit(name: &str, series: &[(Case, f64)], of: impl Fn(&Case) -> f64) {
    let points: Vec<[f64; 2]> = series
        .iter()
        .map(|(case, seconds)| [of(case).ln(), seconds.ln()])
        .collect();
    let n = points.len() as f64;
    let mean = |axis: usize| points.iter().map(|p| p[axis]).sum::<f64>() / n;
    let (x, y) = (mean(0), mean(1));
    let covariance: f64 = points.iter().map(|p| (p[0] - x) * (p[1] - y)).sum();
    let variance: f64 = points.iter().map(|p| (p[0] - x).powi(2)).sum();
    let power = covariance / variance;
    let misses = points
        .iter()
        .map(|p| (p[1] - y - power * (p[0] - x)).abs())
        .fold(0.0, f64::max);
    println!(
        "  power of {name}: {power:.3}, within {:.0} %\n",
        100.0 * (misses.exp() - 1.0)
    );
}
