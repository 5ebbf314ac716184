//! What goes in one submission, and that it changes no bit.

use wgmm::backend::gpu::{Device, Gpu, Hardware, Options};
use wgmm::backend::{Backend, Components, Statistics, Walk, Walked, Watch};
use wgmm::data::{Samples, Standardisation};
use wgmm::mixture::CovarianceType;

use super::{TYPES, of, same, steps};
use crate::data::{components, device, off_origin, open, samples};

#[test]
fn thirty_steps_are_one_submission() {
    let (samples, map) = samples(1000, 2, false);
    let mut gpu = Gpu::load(off_origin(), &samples, &map).expect("upload");
    let model = components(2, 4, CovarianceType::Full);
    let walked = steps(&mut gpu, &model, 30);
    assert_eq!((walked.steps.len(), walked.stopped), (30, false));
    let counters = gpu.counters();
    assert_eq!((counters.submissions, counters.dispatches), (1, 30 * 3 + 1));
    // Four blocks. A step: two logarithms a block, four shares, its length and 32 parameters; then the last pass's sums
    // and logarithms; and the model's own words.
    let numbers = 30 * (2 * 4 + 4 + 1 + 32) + 4 * 26 + (8 + 4 * 4);
    assert_eq!(counters.bytes_read, 4 * numbers);
    // More than fit a submission are not taken.
    let most = gpu.most_steps(&model);
    assert_eq!(steps(&mut gpu, &model, 1000).steps.len(), most);
}

#[test]
fn a_walk_ends_where_its_statistics_are_taken() {
    for t in TYPES {
        let (samples, map) = samples(1000, 3, true);
        let mut gpu = Gpu::load(off_origin(), &samples, &map).expect("upload");
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
    for (whole, no_near) in [(device(), false), (off_origin(), true)] {
        let small = open(Options {
            max_binding_bytes: Some(50_000),
            no_near,
            ..Options::default()
        });
        let all: Vec<&Components> = models.iter().collect();
        let together = run(whole, &all);
        let taken: Vec<usize> = together.iter().map(|walked| walked.steps.len()).collect();
        let fewest = if no_near { 7 } else { 1 };
        assert!(taken.iter().all(|taken| *taken >= fewest), "{taken:?}");
        for (model, together) in all.iter().zip(&together) {
            assert!(same(&run(whole, &[model])[0], together));
            assert!(same(&run(&small, &[model])[0], together));
        }
    }
}

#[test]
fn models_that_go_different_ways_share_a_submission() {
    let (samples, map) = samples(1000, 2, false);
    let mut gpu = Gpu::load(off_origin(), &samples, &map).expect("upload");
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
fn steps_are_the_same_bits_in_every_regime() {
    use CovarianceType::{Diag, Full, Spherical, Tied};
    let sentinel = open(Options {
        sentinel: Some(0xffc0_ffee),
        ..Options::default()
    });
    let hardware = open(Options {
        as_hardware: Some(Hardware::Nvidia),
        ..Options::default()
    });
    for (t, d, k) in [
        (Full, 4, 20),
        (Tied, 4, 20),
        (Full, 17, 2),
        (Tied, 17, 3),
        (Diag, 40, 9),
        (Spherical, 8, 30),
        (Spherical, 40, 11),
    ] {
        let data = samples(1000, d, true);
        let models = [1.0, 0.5].map(|scale| {
            let mut model = components(d, k, t);
            let length = model.factors.len() / k;
            model.factors = model.factors[..length].repeat(k);
            model.factors.iter_mut().for_each(|u| *u *= 0.5);
            model.means.iter_mut().for_each(|m| *m *= 0.25 * scale);
            model
        });
        let run = |device: &Device, models: &[&Components]| -> Vec<Walked> {
            let mut gpu = Gpu::load(device, &data.0, &data.1).expect("upload");
            let walks: Vec<Walk<'_>> = models.iter().map(|&model| of(model, 4)).collect();
            gpu.walk(&walks).expect("a walk")
        };
        let what = format!("{t:?} D={d} K={k}");
        for device in [device(), &hardware] {
            let together = run(device, &[&models[0], &models[1]]);
            let taken: Vec<usize> = together.iter().map(|walked| walked.steps.len()).collect();
            assert!(taken.iter().all(|&taken| taken > 0), "{what}: {taken:?}");
            for (model, together) in models.iter().zip(&together) {
                assert!(same(&run(device, &[model])[0], together), "{what}");
            }
        }
        let plain = run(device(), &[&models[0]]);
        assert!(same(&run(&sentinel, &[&models[0]])[0], &plain[0]), "{what}");
        // The statistics are those of where the steps led.
        let found = plain[0].statistics.as_ref().expect("statistics");
        let at = plain[0].steps.last().map(|step| &step.components);
        let mut gpu = Gpu::load(device(), &data.0, &data.1).expect("upload");
        let at = at.expect("a step");
        let wanted = &gpu.statistics(&[at.into()]).expect("statistics")[0];
        let sums = |s: &Statistics| [s.s0.clone(), s.s1.clone(), s.s2.clone()].concat();
        for (a, b) in sums(found).iter().zip(sums(wanted)) {
            // As above, where κ is some tens.
            assert!((a - b).abs() <= 3e-6 * wanted.weight, "{what}: {a} for {b}");
        }
    }
}

/// Rows of narrow clusters that are far apart.
fn narrow_clusters(n: usize, d: usize, clusters: usize) -> (Samples, Standardisation) {
    let noise = |i: usize| (i * 7919 % 1009) as f64 / 50_450.0;
    let values = (0..n * d).map(|i| (i / d * (i % d + 1) % clusters) as f64 + noise(i));
    let samples = Samples::new(values.collect::<Vec<f64>>(), d).expect("finite values");
    let map = Standardisation::of(&samples, CovarianceType::Full).expect("a spread");
    (samples, map)
}

#[test]
fn a_walk_ends_where_it_leaves_the_origin_and_other_kernels_go_on() {
    use CovarianceType::{Diag, Full, Spherical, Tied};
    let card = |no_near, max_sample_bytes| {
        open(Options {
            as_hardware: Some(Hardware::Nvidia),
            no_near,
            max_sample_bytes,
            ..Options::default()
        })
    };
    let [whole, far] = [false, true].map(|no_near| card(no_near, None));
    for (t, d, k, clusters) in [
        (Full, 2, 3, 3),
        (Tied, 2, 3, 3),
        (Diag, 2, 3, 3),
        (Spherical, 2, 3, 3),
        (Full, 4, 4, 4),
    ] {
        let what = format!("{t:?} D={d} K={k}");
        let data = narrow_clusters(9_000, d, clusters);
        let mut start = components(d, k, t);
        // So wide that a step or more comes before, and that components come apart soon.
        let wide = if t == Tied { 1.0 } else { 0.5 };
        start.factors.iter_mut().for_each(|u| *u *= wide);
        let streams = card(false, Some(24_000 * d as u64));
        let walked = [&whole, &streams, &far].map(|device| {
            let mut gpu = Gpu::load(device, &data.0, &data.1).expect("upload");
            gpu.statistics(&[(&start).into()]).expect("statistics");
            let plan = gpu.info().plan.expect("a plan");
            assert_eq!(plan.contains("as they are"), !std::ptr::eq(device, &far));
            (steps(&mut gpu, &start, 60), gpu)
        });
        let [(near, _), (streamed, _), (off_origin, mut far)] = walked;
        let taken = near.steps.len();
        println!("{what}: {taken}, others {}", off_origin.steps.len());
        assert!((1..60).contains(&taken) && !near.stopped, "{what}: {taken}");
        assert!(same(&near, &streamed), "{what}");
        for (a, b) in near.steps.iter().zip(&off_origin.steps) {
            let [a, b] = [a, b].map(|step| step.mean_log_likelihood);
            assert!(
                (a - b).abs() <= 1e-6 * b.abs().max(1.0),
                "{what}: {a} for {b}"
            );
        }
        let on = steps(&mut far, &near.steps[taken - 1].components, 1);
        assert_eq!((on.steps.len(), on.stopped), (1, false), "{what}");
    }
}
