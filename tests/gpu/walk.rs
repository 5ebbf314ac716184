//! EM steps that the device takes by itself.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::backend::gpu::{Device, Gpu, Options};
use wgmm::backend::reference::Reference;
use wgmm::backend::{Backend, Components, EmStep, Statistics, Walk, Walked, Watch};
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{DeviceChoice, EventKind, Fit, Init, Options as FitOptions, fit, fit_observed};
use wgmm::mixture::{CovarianceType, Covariances, Difference, Mixture, triangle};

use crate::data::{components, device, is_full, open, samples, without};

const TYPES: [CovarianceType; 4] = [
    CovarianceType::Full,
    CovarianceType::Tied,
    CovarianceType::Diag,
    CovarianceType::Spherical,
];

/// So many steps at most, whatever their lengths.
fn of(components: &Components, most: usize) -> Walk<'_> {
    Walk {
        model: components.into(),
        most,
        watch: Watch::default(),
    }
}

fn steps(gpu: &mut Gpu, components: &Components, most: usize) -> Walked {
    let mut walked = gpu.walk(&[of(components, most)]).expect("a walk");
    walked.swap_remove(0)
}

fn same(a: &Walked, b: &Walked) -> bool {
    (&a.steps, a.stopped, &a.statistics) == (&b.steps, b.stopped, &b.statistics)
}

/// The covariance of component `k` that the M-step makes of statistics, as the old parameters see it.
fn covariance(statistics: &Statistics, k: usize) -> Vec<f64> {
    let d = statistics.n_features;
    let length = triangle::packed_len(d);
    let s0 = &statistics.s0;
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

/// How far a step is from the M-step in f64: of weights (relative), means (in standard deviations) and covariances (as
/// the new parameters see them).
fn errors(before: &Components, step: &EmStep, statistics: &Statistics) -> [f64; 3] {
    let (d, total) = (before.n_features, statistics.s0.iter().sum::<f64>());
    let mut errors = [0.0f64; 3];
    for k in 0..before.len() {
        let after = &step.components;
        let weight = statistics.s0[k] / total;
        errors[0] = errors[0].max((after.weights[k] / weight - 1.0).abs());
        let m: Vec<f64> = statistics.s1[k * d..(k + 1) * d]
            .iter()
            .map(|s1| s1 / statistics.s0[k])
            .collect();
        let moved = triangle::solve(before.factor(k), &m);
        let off: Vec<f64> = (0..d)
            .map(|i| after.mean(k)[i] - before.mean(k)[i] - moved[i])
            .collect();
        let seen = triangle::apply(after.factor(k), &off);
        errors[1] = seen.iter().fold(errors[1], |worst, x| worst.max(x.abs()));
        // U' U^-1 C U^-T U'^T is the identity.
        let back = triangle::multiply(after.factor(k), &triangle::invert(before.factor(k), d), d);
        let seen = triangle::congruent(&back, &covariance(statistics, k), d);
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
fn smallest_pivot(statistics: &Statistics) -> f64 {
    let (d, mut smallest) = (statistics.n_features, 1.0f64);
    for k in 0..statistics.n_components() {
        let c = covariance(statistics, k);
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
/// at most one over the smallest pivot. Where both are of order one, 1e-5 is some ten times what is found.
fn check(gpu: &mut Gpu, data: &(Samples, Standardisation), start: &Components, what: &str) {
    let mut reference = Reference::load(&data.0, &data.1);
    let mut evaluate = |at: &Components| -> Statistics {
        let all = reference.statistics(&[at.into()]).expect("statistics");
        all.into_iter().next().expect("one model's")
    };
    let walked = steps(gpu, start, STEPS);
    // Only a step that single precision cannot make is left to the host.
    assert!(walked.steps.len() == STEPS || walked.stopped, "{what}");
    let mut before = start.clone();
    for (t, step) in walked.steps.iter().enumerate() {
        let what = format!("{what}, step {t}");
        // Where scales differ by more, the driver takes its steps itself.
        if before.kappa() > 256.0 {
            return;
        }
        let statistics = evaluate(&before);
        let mean = statistics.mean_log_likelihood();
        let off = (step.mean_log_likelihood - mean).abs() / mean.abs().max(1.0);
        assert!(off <= 1e-6, "{what}: log-likelihood off by {off:e}");
        let [weights, means, covariances] = errors(&before, step, &statistics);
        let pivot = smallest_pivot(&statistics);
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
    }
    let last = evaluate(&before).mean_log_likelihood();
    let found = walked.statistics.expect("statistics").mean_log_likelihood();
    let off = (found - last).abs() / last.abs().max(1.0);
    assert!(
        off <= 1e-6,
        "{what}: the last log-likelihood off by {off:e}"
    );
}

/// Steps of a walk.
const STEPS: usize = 30;

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
            let mut gpu = Gpu::load(device(), &data.0, &data.1).expect("upload");
            for (t, k) in TYPES
                .into_iter()
                .flat_map(|t| ks.iter().map(move |&k| (t, k)))
            {
                let start = components(d, k, t);
                assert!(gpu.most_steps(&start) >= STEPS, "{t:?} N={n} D={d} K={k}");
                check(&mut gpu, &data, &start, &format!("{t:?} N={n} D={d} K={k}"));
            }
        }
    }
}

#[test]
fn thirty_steps_are_one_submission() {
    let (samples, map) = samples(1000, 2, false);
    let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
    let model = components(2, 4, CovarianceType::Full);
    let walked = steps(&mut gpu, &model, 30);
    assert_eq!((walked.steps.len(), walked.stopped), (30, false));
    let counters = gpu.counters();
    assert_eq!((counters.submissions, counters.dispatches), (1, 30 * 3 + 1));
    // Four blocks. A step: two logarithms a block, 24 sums, its length and 32 parameters; then the last pass's sums and
    // logarithms; and the model's own words.
    let numbers = 30 * (2 * 4 + 24 + 1 + 32) + 4 * 26 + (8 + 4 * 4);
    assert_eq!(counters.bytes_read, 4 * numbers);
    // More than fit a submission are not taken.
    let most = gpu.most_steps(&model);
    assert_eq!(steps(&mut gpu, &model, 1000).steps.len(), most);
}

#[test]
fn a_walk_ends_where_its_statistics_are_taken() {
    for t in TYPES {
        let (samples, map) = samples(1000, 3, true);
        let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
        let walked = steps(&mut gpu, &components(3, 4, t), 5);
        let found = walked.statistics.expect("statistics");
        let at = &walked.steps[4].components;
        let wanted = &gpu.statistics(&[at.into()]).expect("statistics")[0];
        // Parameters went to f64 and back, by which scores are off by a few units in their last places.
        let scale = wanted.weight;
        let sums = |s: &Statistics| [s.s0.clone(), s.s1.clone(), s.s2.clone()].concat();
        for (a, b) in sums(&found).iter().zip(sums(wanted)) {
            assert!((a - b).abs() <= 1e-6 * scale, "{t:?}: {a} for {b}");
        }
        let (a, b) = (found.mean_log_likelihood(), wanted.mean_log_likelihood());
        assert!(
            (a - b).abs() <= 1e-7 * b.abs().max(1.0),
            "{t:?}: {a} for {b}"
        );
    }
}

#[test]
fn steps_are_the_same_bits_alone_and_beside_others_and_in_small_bindings() {
    let data = samples(20_003, 2, true);
    let models = [3, 4, 4, 5].map(|k| components(2, k, CovarianceType::Full));
    let run = |device: &Device, models: &[&Components]| -> Vec<Walked> {
        let mut gpu = Gpu::load(device, &data.0, &data.1).expect("upload");
        let walks: Vec<Walk<'_>> = models.iter().map(|&model| of(model, 7)).collect();
        let first = gpu.walk(&walks).expect("a walk");
        let again = gpu.walk(&walks).expect("a walk");
        assert!(first.iter().zip(&again).all(|(a, b)| same(a, b)));
        first
    };
    let small = open(Options {
        max_binding_bytes: Some(50_000),
        ..Options::default()
    });
    let all: Vec<&Components> = models.iter().collect();
    let together = run(device(), &all);
    assert!(together.iter().all(|walked| walked.steps.len() == 7));
    for (model, together) in all.iter().zip(&together) {
        assert!(same(&run(device(), &[model])[0], together));
        assert!(same(&run(&small, &[model])[0], together));
    }
}

#[test]
fn models_that_go_different_ways_share_a_submission() {
    let (samples, map) = samples(1000, 2, false);
    let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
    let models = [1, 2, 3].map(|seed| {
        let mut model = components(2, 4, CovarianceType::Full);
        model
            .means
            .iter_mut()
            .for_each(|m| *m *= 0.3 * f64::from(seed));
        model
    });
    // One takes no step at all, one two, one stops when its steps are small.
    let stops = Watch {
        tol: 1e-3,
        negligible: 0.0,
        times: 3,
        below: 0,
        last: None,
    };
    let walks = [
        of(&models[0], 0),
        of(&models[1], 2),
        Walk {
            watch: stops,
            ..of(&models[2], 50)
        },
    ];
    let walked = gpu.walk(&walks).expect("a walk");
    assert_eq!(gpu.counters().submissions, 1);
    let taken: Vec<usize> = walked.iter().map(|walked| walked.steps.len()).collect();
    assert_eq!(taken[..2], [0, 2]);
    assert!((4..50).contains(&taken[2]), "{taken:?}");
    assert_eq!(
        walked.iter().map(|w| w.stopped).collect::<Vec<_>>(),
        [false, false, true]
    );
    for ((walk, walked), &taken) in walks.iter().zip(&walked).zip(&taken) {
        let alone = gpu.walk(&[*walk]).expect("a walk");
        assert!(same(&alone[0], walked), "{taken}");
    }
    // Where it stopped: q shrinks from step to step, and was small enough three times running with the one not taken.
    let q: Vec<f64> = walked[2]
        .steps
        .iter()
        .map(|step| step.squared_length)
        .collect();
    let is_below = |t: usize| {
        let rate = (q[t] / q[t - 1]).sqrt();
        rate < 1.0 && 0.5 * q[t] / (1.0 - rate) < stops.tol
    };
    let last = q.len() - 1;
    assert!(
        is_below(last) && is_below(last - 1) && !is_below(last - 2),
        "{q:?}"
    );
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

/// Rows of K clusters of different shapes and sizes; features of different scales, offset by so many of them.
fn problem(n: usize, d: usize, k: usize, narrow: f64, offset: f64) -> Samples {
    let mut random = ChaCha8Rng::seed_from_u64((n + 10 * d + k) as u64);
    let mut noise = || (0..4).map(|_| random.random::<f64>() - 0.5).sum::<f64>();
    let mut values = Vec::new();
    for i in 0..n {
        let c = i % k;
        let common = noise();
        for j in 0..d {
            let centre = 3.0 * ((c * (j + 2)) % k) as f64;
            // The last cluster is narrower than the first by `narrow`.
            let spread = narrow.powf(-(c as f64) / k.max(2) as f64);
            let x = centre + spread * (noise() + 0.7 * common);
            values.push(10f64.powi(j as i32 % 3) * (x + offset));
        }
    }
    Samples::new(values, d).expect("finite values")
}

/// The same fit with steps on the device, with every M-step on the host, and in f64.
fn three_ways(samples: &Samples, options: &FitOptions) -> [Fit; 3] {
    static HOST: OnceLock<Device> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        open(Options {
            no_steps: true,
            ..Options::default()
        })
    });
    let opened = |device: &Device| DeviceChoice::Opened {
        device: device.clone(),
        or_cpu: false,
    };
    [opened(device()), opened(host), DeviceChoice::Reference].map(|device| {
        let options = FitOptions {
            device,
            ..options.clone()
        };
        fit(samples, &options).expect("a fit")
    })
}

/// The parameters that a fit starts from, so that all start from the same.
fn begun(samples: &Samples, options: &FitOptions) -> Init {
    let options = FitOptions {
        max_iter: 0,
        restarts: 1,
        device: DeviceChoice::Reference,
        ..options.clone()
    };
    Init::Model(fit(samples, &options).expect("a start").mixture)
}

#[test]
fn fits_agree_with_every_m_step_on_the_host_and_in_double() {
    for (t, n, d, k, narrow, offset, weighted) in [
        (CovarianceType::Full, 3001, 2, 3, 1.0, 0.0, false),
        (CovarianceType::Full, 2500, 2, 4, 10.0, 1e5, true),
        (CovarianceType::Full, 999, 3, 3, 30.0, 1e3, false),
        (CovarianceType::Full, 2000, 1, 5, 3.0, -40.0, true),
        (CovarianceType::Full, 500, 8, 2, 2.0, 7.0, false),
        (CovarianceType::Tied, 3001, 3, 4, 1.0, 1e4, true),
        (CovarianceType::Diag, 3001, 4, 4, 10.0, 1e4, false),
        (CovarianceType::Spherical, 3001, 4, 4, 10.0, 0.0, true),
    ] {
        let samples = problem(n, d, k, narrow, offset);
        let weights = (0..n).map(|i| (i * 7919 % 100) as f64 / 30.0).collect();
        let samples = match weighted {
            true => samples.with_weights(weights).expect("weights"),
            false => samples,
        };
        let what = format!("{t:?} N={n} D={d} K={k} narrow {narrow} offset {offset}");
        let mut options = FitOptions {
            covariance_type: t,
            max_iter: 30,
            tol: 0.0,
            ..FitOptions::new(k)
        };
        options.init = begun(&samples, &options);
        let map = Standardisation::of(&samples, t).expect("a spread");
        let [device, host, double] = three_ways(&samples, &options);
        for fit in [&device, &host] {
            assert_eq!((fit.iterations, fit.passes), (30, 31.0), "{what}");
            for (a, b) in fit.trace.iter().zip(&double.trace) {
                let scale = (b - map.log_determinant()).abs().max(1.0);
                assert!((a - b).abs() <= 1e-6 * scale, "{what}: {a} for {b}");
            }
            // What `wgmm compare` allows.
            let off = Difference::between(&double.mixture, &fit.mixture);
            let within = off.weights <= 1e-5 && off.means <= 1e-5 && off.covariances <= 1e-4;
            assert!(within, "{what}: {off:?}");
            assert!(fit.events.is_empty(), "{what}: {:?}", fit.events);
        }
        assert!(
            device.trace != host.trace,
            "{what}: the device took no step"
        );
    }
}

#[test]
fn plain_fits_converge_at_the_same_iteration() {
    for (t, noise) in TYPES.into_iter().flat_map(|t| [(t, false), (t, true)]) {
        let samples = problem(2001, 2, 3, 3.0, 5.0);
        let mut options = FitOptions {
            covariance_type: t,
            plain: true,
            tol: 1e-5,
            noise,
            max_iter: 5_000,
            ..FitOptions::new(3)
        };
        options.init = begun(&samples, &options);
        let [device, host, double] = three_ways(&samples, &options);
        let what = format!("{t:?} noise={noise}");
        for fit in [&device, &host, &double] {
            assert!(fit.converged, "{what}");
            // Single precision takes one more step in double at its end.
            let apart = fit.iterations.abs_diff(double.iterations);
            assert!(
                apart <= 2,
                "{what}: {} for {}",
                fit.iterations,
                double.iterations
            );
            let off = (fit.mean_log_likelihood - double.mean_log_likelihood).abs();
            assert!(off < options.tol, "{what}: {off:e}");
        }
        assert!(device.iterations.abs_diff(host.iterations) <= 1, "{what}");
        assert!(
            device.trace != host.trace,
            "{what}: the device took no step"
        );
        assert_eq!(device.passes as usize, device.iterations + 2, "{what}");
    }
}

#[test]
fn accelerated_fits_begin_on_the_device_and_end_alike() {
    let samples = problem(4001, 3, 3, 3.0, 5.0);
    let mut options = FitOptions::new(3);
    options.init = begun(&samples, &options);
    let [device, host, _] = three_ways(&samples, &options);
    assert!(
        device.trace[..5] != host.trace[..5],
        "the device took no step"
    );
    for fit in [&device, &host] {
        assert!(fit.converged && fit.events.is_empty());
    }
    let off = (device.mean_log_likelihood - host.mean_log_likelihood).abs();
    assert!(off < 1e-8, "{off:e}");
    assert_eq!(device.passes, host.passes);
}

#[test]
fn a_collapse_is_the_hosts_to_repair() {
    // Whole numbers, so that the floor is not far below; a fifth of the rows on one point, and a component there.
    let mut values = Vec::new();
    for i in 0..1000u32 {
        values.extend(match i % 5 {
            0 => [25.0, 50.0],
            _ => [f64::from(i * 7919 % 101), f64::from(i * 104_729 % 103)],
        });
    }
    let samples = Samples::new(values, 2).expect("finite values");
    let start = Mixture::new(
        vec![0.5, 0.5],
        vec![27.0, 48.0, 60.0, 50.0],
        2,
        Covariances::Full(vec![30.0, 0.0, 0.0, 30.0, 800.0, 0.0, 0.0, 800.0]),
    );
    let options = FitOptions {
        init: Init::Model(start.expect("a mixture")),
        plain: true,
        max_iter: 60,
        ..FitOptions::new(2)
    };
    let [device, host, _] = three_ways(&samples, &options);
    let told = |fit: &Fit| -> Vec<_> {
        let events = fit.events.iter();
        events.map(|e| (e.iteration, e.component, e.kind)).collect()
    };
    assert!(
        told(&device)
            .iter()
            .any(|event| event.2 == EventKind::Floored),
        "{:?}",
        told(&device)
    );
    assert_eq!(told(&device), told(&host));
    assert!(
        device.trace[..3] != host.trace[..3],
        "the device took no step"
    );
}

#[test]
fn an_observer_sees_every_iteration_and_may_end_the_fit_at_any() {
    let samples = problem(2001, 2, 3, 3.0, 5.0);
    let mut options = FitOptions {
        plain: true,
        tol: 0.0,
        max_iter: 40,
        device: DeviceChoice::Opened {
            device: device().clone(),
            or_cpu: false,
        },
        ..FitOptions::new(3)
    };
    options.init = begun(&samples, &options);
    let whole = fit(&samples, &options).expect("a fit");
    for stop in [0, 1, 17, 40] {
        let mut seen = Vec::new();
        let fit = fit_observed(&samples, &options, &mut |progress| {
            seen.push((progress.iteration, progress.mean_log_likelihood));
            match progress.iteration == stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let fit = fit.expect("a fit");
        let wanted: Vec<(usize, f64)> = whole.trace[..=stop].iter().copied().enumerate().collect();
        assert_eq!(seen, wanted);
        assert_eq!((fit.interrupted, fit.iterations), (true, stop));
        let off = (fit.mean_log_likelihood - whole.trace[stop]).abs();
        assert!(off < 1e-6, "{off:e}");
    }
}
