//! Each step against the M-step in f64.

use wgmm::backend::components::NoiseBox;
use wgmm::backend::gpu::{Gpu, Hardware};
use wgmm::backend::reference::Reference;
use wgmm::backend::{Backend, Components, EmStep, Statistics};
use wgmm::data::{Samples, Standardisation};
use wgmm::mixture::{CovarianceType, triangle};

use super::{TYPES, steps};
use crate::data::{cards, components, device, is_full, off_origin, samples, without};

/// The covariance of component `k` that the M-step makes of statistics, as the old parameters see it.
fn covariance(statistics: &Statistics, k: usize, gaussians: usize) -> Vec<f64> {
    let d = statistics.n_features;
    let length = triangle::packed_len(d);
    let s0 = &statistics.s0[..gaussians];
    let m = |k: usize, a: usize| statistics.s1[k * d + a] / s0[k];
    let mut c = vec![0.0; length];
    for a in 0..d {
        for b in 0..=a {
            let at = triangle::at(a, b);
            c[at] = match statistics.covariance_type {
                CovarianceType::Full => statistics.s2[k * length + at] / s0[k] - m(k, a) * m(k, b),
                CovarianceType::Tied => {
                    let taken = (0..s0.len())
                        .map(|k| s0[k] * m(k, a) * m(k, b))
                        .sum::<f64>();
                    (statistics.s2[at] - taken) / s0.iter().sum::<f64>()
                }
                CovarianceType::Diag if a == b => {
                    statistics.s2[k * d + a] / s0[k] - m(k, a) * m(k, a)
                }
                CovarianceType::Spherical if a == b => {
                    let squares = (0..d).map(|a| m(k, a) * m(k, a)).sum::<f64>();
                    (statistics.s2[k] / s0[k] - squares) / d as f64
                }
                CovarianceType::Diag | CovarianceType::Spherical => 0.0,
            };
        }
    }
    c
}

/// The largest Σ_j U_aj² μ_j².
fn reach(components: &Components) -> f64 {
    let of = |k: usize| {
        let squares: Vec<f64> = components.mean(k).iter().map(|m| m * m).collect();
        largest_row(&components.factor(k), &squares)
    };
    (0..components.gaussians()).map(of).fold(0.0, f64::max)
}

/// The largest Σ_j U_aj² s_j.
fn largest_row(factor: &[f64], s: &[f64]) -> f64 {
    let row = |a: usize| {
        let terms = (0..=a).map(|j| factor[triangle::at(a, j)].powi(2) * s[j]);
        terms.sum::<f64>()
    };
    (0..s.len()).map(row).fold(0.0, f64::max)
}

/// How much larger rounding of sums of rows as they are would become in whitened coordinates after the M-step: the largest
/// Σ_j U_aj² (Σ_jj + μ_j²).
fn growth_after(before: &Components, statistics: &Statistics) -> f64 {
    let d = before.n_features;
    let of = |k: usize| {
        let c = covariance(statistics, k, before.gaussians());
        let inverse = triangle::invert(&before.factor(k), d);
        let covariance = triangle::congruent(&inverse, &c, d);
        let factor = triangle::invert(&triangle::cholesky(&covariance, d).expect("definite"), d);
        let s1 = &statistics.s1[k * d..(k + 1) * d];
        let m: Vec<f64> = s1.iter().map(|s1| s1 / statistics.s0[k]).collect();
        let moved = before.solve_factor(k, &m);
        let mean = before.mean(k).iter().zip(moved).map(|(m, by)| m + by);
        let second = mean.enumerate();
        let second = second.map(|(j, mean)| covariance[triangle::at(j, j)] + mean * mean);
        largest_row(&factor, &second.collect::<Vec<f64>>())
    };
    (0..before.gaussians()).map(of).fold(0.0, f64::max)
}

/// How far a step is from the M-step in f64: of weights (relative), means (in standard deviations) and covariances (as
/// the new parameters see them).
fn errors(before: &Components, step: &EmStep, statistics: &Statistics) -> [f64; 3] {
    let (d, total) = (before.n_features, statistics.s0.iter().sum::<f64>());
    let mut errors = [0.0f64; 3];
    let after = &step.components;
    for (w, s0) in after.weights.iter().zip(&statistics.s0) {
        errors[0] = errors[0].max((w / (s0 / total) - 1.0).abs());
    }
    for k in 0..before.gaussians() {
        let m: Vec<f64> = statistics.s1[k * d..(k + 1) * d]
            .iter()
            .map(|s1| s1 / statistics.s0[k])
            .collect();
        let moved = before.solve_factor(k, &m);
        let off: Vec<f64> = (0..d)
            .map(|i| after.mean(k)[i] - before.mean(k)[i] - moved[i])
            .collect();
        let seen = after.apply_factor(k, &off);
        errors[1] = seen.iter().fold(errors[1], |worst, x| worst.max(x.abs()));
        // U' U^-1 C U^-T U'^T is the identity.
        let back = triangle::multiply(&after.factor(k), &triangle::invert(&before.factor(k), d), d);
        let seen = triangle::congruent(&back, &covariance(statistics, k, before.gaussians()), d);
        for a in 0..d {
            for b in 0..=a {
                let wanted = f64::from(u8::from(a == b));
                errors[2] = errors[2].max((seen[triangle::at(a, b)] - wanted).abs());
            }
        }
    }
    errors
}

/// The smallest pivot of a step's covariances, as shares of the second moments that they are taken from.
fn smallest_pivot(statistics: &Statistics, gaussians: usize) -> f64 {
    let (d, mut smallest) = (statistics.n_features, 1.0f64);
    for k in 0..gaussians {
        let c = covariance(statistics, k, gaussians);
        let g = triangle::cholesky(&c, d).expect("a covariance");
        for a in 0..d {
            let m = statistics.s1[k * d + a] / statistics.s0[k];
            let at = triangle::at(a, a);
            smallest = smallest.min(g[at] * g[at] / (c[at] + m * m));
        }
    }
    smallest
}

/// Walks, and holds each step against the M-step in f64 from the reference's statistics.
///
/// Sums have errors of a few 1e-7 of S0 (as everywhere in single precision), and those of terms y, whose own last places
/// are those of κ. C is off by that share of the second moments, and new parameters see it through G⁻¹, whose square is
/// at most one over the smallest pivot. Where both are of order one, 1e-5 is some ten times what is found. Tells how many
/// steps were good.
fn check(
    gpu: &mut Gpu,
    data: &(Samples, Standardisation),
    start: &Components,
    what: &str,
) -> usize {
    let mut reference = Reference::load(&data.0, &data.1);
    let mut evaluate = |at: &Components| -> Statistics {
        let all = reference.statistics(&[at.into()]).expect("statistics");
        all.into_iter().next().expect("one model's")
    };
    let most = STEPS.min(gpu.most_steps(start));
    assert!(most > 0, "{what}");
    let walked = steps(gpu, start, most);
    let is_near = gpu
        .info()
        .plan
        .is_some_and(|plan| plan.contains("as they are"));
    let mut before = start.clone();
    for (t, step) in walked.steps.iter().enumerate() {
        let what = format!("{what}, step {t}");
        if before.kappa() > MOST_KAPPA {
            return t;
        }
        let statistics = evaluate(&before);
        let mean = statistics.mean_log_likelihood();
        let off = (step.mean_log_likelihood - mean).abs() / mean.abs().max(1.0);
        assert!(off <= 1e-6, "{what}: log-likelihood off by {off:e}");
        let [weights, means, covariances] = errors(&before, step, &statistics);
        let pivot = smallest_pivot(&statistics, before.gaussians());
        let unit = 1e-5 + 4.0 * f64::from(f32::EPSILON) * before.kappa();
        assert!(pivot > 5e-4, "{what}: a pivot of {pivot:e}");
        assert!(weights <= unit, "{what}: weights off by {weights:e}");
        assert!(
            means <= unit / pivot.sqrt(),
            "{what}: means off by {means:e}"
        );
        assert!(
            covariances <= unit / pivot,
            "{what}: covariances off by {covariances:e}"
        );
        before.clone_from(&step.components);
        let reach = reach(&before);
        assert!(
            !is_near || reach <= 1.001 * 256.0,
            "{what}: means at {reach}"
        );
    }
    if before.kappa() > MOST_KAPPA {
        return walked.steps.len();
    }
    let last = evaluate(&before);
    if walked.steps.len() < most && !walked.stopped {
        // Only a step that single precision cannot make is left to the host, and one that leads where sums of features, or
        // coordinates of rows as they are, would lose more digits than is allowed on the way.
        let growth = growth_after(&before, &last);
        assert!(growth > 0.999 * 64.0, "{what}: growth {growth}");
    }
    let last = last.mean_log_likelihood();
    let found = walked.statistics.expect("statistics").mean_log_likelihood();
    let off = (found - last).abs() / last.abs().max(1.0);
    assert!(
        off <= 1e-6,
        "{what}: the last log-likelihood off by {off:e}, κ {}",
        before.kappa()
    );
    walked.steps.len()
}

/// Steps of a walk.
const STEPS: usize = 30;

/// Where scales differ by more, the driver takes its steps itself.
const MOST_KAPPA: f64 = 256.0;

#[test]
fn each_step_is_the_m_step() {
    let sizes: &[(usize, &[usize])] = &[
        (1, &[1, 2, 19]),
        (2, &[1, 4, 12]),
        (3, &[2, 5]),
        (5, &[1, 3]),
        (8, &[1, 2]),
    ];
    let rows: &[(usize, bool)] = match is_full() {
        true => &[
            (50, false),
            (300, false),
            (1000, true),
            (20_003, true),
            (20_003, false),
        ],
        false => &[(301, false), (1000, true)],
    };
    for &(d, ks) in sizes {
        for &(n, weighted) in rows {
            let data = samples(n, d, weighted);
            for device in [device(), off_origin()] {
                let mut gpu = Gpu::load(device, &data.0, &data.1).expect("upload");
                for (t, k) in TYPES
                    .into_iter()
                    .flat_map(|t| ks.iter().map(move |&k| (t, k)))
                {
                    let start = components(d, k, t);
                    let what = format!("{t:?} N={n} D={d} K={k}");
                    // Of many rows there may be fewer steps in one submission.
                    let most = gpu.most_steps(&start);
                    assert!(most >= STEPS || n > 1000, "{what}: {most}");
                    check(&mut gpu, &data, &start, &what);
                }
            }
        }
    }
}

/// A model to start from, wide and near the middle, so that all components have some samples; the first two features of its first component perhaps so correlated that sums of features
/// would lose digits. Tied components share a factor.
fn start(d: usize, k: usize, t: CovarianceType, is_correlated: bool) -> Components {
    let mut components = components(d, k, t);
    components.means.iter_mut().for_each(|m| *m *= 0.25);
    components.factors.iter_mut().for_each(|u| *u *= 0.5);
    if is_correlated {
        // A correlation of 0.99.
        components.factors[..3].copy_from_slice(&[0.5, -3.5, 3.5]);
    }
    if t == CovarianceType::Tied {
        let length = triangle::packed_len(d);
        components.factors = components.factors[..length].repeat(k);
    }
    components
}

#[test]
fn each_step_is_the_m_step_in_every_regime() {
    let hardware = cards(Hardware::Nvidia);
    let registers = "all 78 sums in registers";
    let workgroup = "in the registers of a workgroup";
    let groups = "components scored";
    let products = "as matrix products";
    use CovarianceType::{Diag, Full, Spherical, Tied};
    let cases = [
        (Full, 11, 1, false, registers),
        (Full, 4, 20, false, workgroup),
        (Full, 11, 13, false, workgroup),
        (Full, 4, 50, false, workgroup),
        (Tied, 4, 20, false, workgroup),
        (Diag, 16, 20, false, workgroup),
        (Spherical, 16, 20, false, workgroup),
        (Full, 4, 20, true, groups),
        (Full, 2, 30, true, groups),
        (Full, 10, 3, true, groups),
        (Tied, 4, 20, true, groups),
        (Spherical, 8, 30, false, groups),
        (Spherical, 1, 31, false, groups),
        (Full, 17, 2, false, products),
        (Full, 17, 2, true, products),
        (Full, 32, 3, true, products),
        (Tied, 17, 3, false, products),
        (Tied, 17, 3, true, products),
        (Diag, 40, 9, false, products),
        (Diag, 33, 21, false, groups),
        (Spherical, 64, 5, false, products),
        (Spherical, 51, 11, false, products),
    ];
    let rows: &[(usize, bool)] = match is_full() {
        true => &[(50, false), (257, true), (1000, true), (5_003, false)],
        false => &[(301, false), (1000, true)],
    };
    for (t, d, k, is_correlated, regime) in cases {
        for (&(n, weighted), noise) in rows.iter().zip([false, true].into_iter().cycle()) {
            let data = samples(n, d, weighted);
            // Software adapters have no use for workgroups' registers, and make M-steps on triangles in smaller workgroups than cards.
            let devices = match regime {
                _ if regime == workgroup => hardware.each_ref(),
                _ if regime == products && !t.is_diagonal() => [device(), &hardware[0]],
                _ => [device(), off_origin()],
            };
            let noise = noise && k > 1;
            let start = match (noise, start(d, k - usize::from(noise), t, is_correlated)) {
                // The box of the data, but for the weighted ones' absurd row.
                (true, mut start) => {
                    start.weights.iter_mut().for_each(|w| *w *= 0.9);
                    let space = NoiseBox::new(vec![0.0; d], vec![8.0; d], &data.1);
                    start.and_noise(space, 0.1)
                }
                (false, start) => start,
            };
            let what = format!("{t:?} N={n} D={d} K={k} correlated={is_correlated} noise={noise}");
            for on in devices {
                let mut gpu = Gpu::load(on, &data.0, &data.1).expect("upload");
                gpu.statistics(&[(&start).into()]).expect("statistics");
                let plan = gpu.info().plan.expect("a plan");
                // Cards have regimes of their own.
                assert!(!on.is_software() || plan.contains(regime), "{what}: {plan}");
                let taken = check(&mut gpu, &data, &start, &what);
                println!("{what}: {taken}");
                // So few rows may leave a component less of a covariance than single precision needs.
                assert!(taken > 0 || n < 300, "{what}");
            }
        }
    }
}

#[test]
fn what_is_not_for_single_precision_is_left_to_the_host() {
    let (samples, map) = samples(1000, 2, false);
    let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
    let model = components(2, 4, CovarianceType::Full);
    // A component without samples.
    let empty = without(model.clone(), 1);
    let walked = steps(&mut gpu, &empty, 5);
    assert_eq!((walked.steps.len(), walked.stopped), (0, true));
    let found = walked.statistics.expect("statistics");
    assert_eq!(
        found,
        gpu.statistics(&[(&empty).into()]).expect("statistics")[0]
    );
    // One on a single row: nothing is left of its second moments.
    let mut single = model;
    let mut row = [0.0; 2];
    samples.copy_row(17, &mut row);
    map.apply(&mut row);
    single.means[..2].copy_from_slice(&row);
    single.factors[..3].copy_from_slice(&[1e6, 0.0, 1e6]);
    let walked = steps(&mut gpu, &single, 5);
    assert_eq!((walked.steps.len(), walked.stopped), (0, true));
}
