//! Statistics and responsibilities against the f64 reference.

use wgmm::backend::gpu::{Device, Gpu, Hardware, Options};
use wgmm::backend::reference::Reference;
use wgmm::backend::{Backend, BlockMask, Components, MaskedModel, Precision, Statistics};
use wgmm::data::{Samples, Standardisation};
use wgmm::mixture::{CovarianceType, triangle};

use crate::data::{components, device, is_full, off_origin, open, samples, without};

/// Whether `found` is what single precision may make of `wanted`.
///
/// A statistic of component k sums at most S0 in weight of terms r y^p with y of order one: runs of 256 rows
/// cost a few 1e-7 of that, so 1e-5 (S0 + 1) leaves room for y near 10. Where y is larger (wide shapes, far
/// rows), the scale is the trace of S2 instead.
///
/// In wide rows the score is what counts: it adds D squares of order one, about 3 D in all, and half a unit in the
/// last place of that, 2⁻²⁴ · 3 D = 2e-7 D, is a responsibility's relative error; the additions before the last
/// make it twice that.
fn assert_close(found: &Statistics, wanted: &Statistics, what: &str) {
    let (k, d) = (wanted.n_components(), wanted.n_features);
    let per_component = wanted.s2.len() / k;
    let unit = f64::max(1e-5, 4e-7 * d as f64);
    let close = |a: f64, b: f64, scale: f64, name: &str| {
        assert!(
            (a - b).abs() <= unit * (scale + 1.0),
            "{what}: {name}: {a} for {b}, scale {scale}"
        );
    };
    for c in 0..k {
        let s0 = wanted.s0[c];
        close(found.s0[c], s0, s0, "S0");
        let s1 = c * d..(c + 1) * d;
        for (a, b) in found.s1[s1.clone()].iter().zip(&wanted.s1[s1]) {
            close(*a, *b, s0, "S1");
        }
        if wanted.covariance_type != CovarianceType::Tied {
            let s2 = c * per_component..(c + 1) * per_component;
            for (a, b) in found.s2[s2.clone()].iter().zip(&wanted.s2[s2]) {
                close(*a, *b, s0.max(b.abs()), "S2");
            }
        }
    }
    for (a, b) in found.s2.iter().zip(&wanted.s2) {
        close(*a, *b, wanted.weight.max(b.abs()), "S2");
    }
    assert!((found.weight - wanted.weight).abs() <= 1e-12 * wanted.weight);
    let weight = wanted.weight.max(f64::MIN_POSITIVE);
    let mean = wanted.log_likelihood / weight;
    let error = (found.log_likelihood / weight - mean).abs() / mean.abs().max(1.0);
    assert!(error <= 1e-6, "{what}: log-likelihood off by {error:e}");
    // A difference of log densities, which are of the size of their mean.
    let error = (found.log_largest - wanted.log_largest).abs() / weight / mean.abs().max(1.0);
    assert!(error <= 1e-6, "{what}: log of the largest off by {error:e}");
}

fn check(n: usize, weighted: bool, models: &[Components]) {
    check_on(device(), n, weighted, models);
    check_on(off_origin(), n, weighted, models);
}

pub(crate) fn check_on(device: &Device, n: usize, weighted: bool, models: &[Components]) {
    let d = models[0].n_features;
    let (samples, map) = samples(n, d, weighted);
    let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
    let models: Vec<MaskedModel<'_>> = models.iter().map(MaskedModel::from).collect();
    let found = gpu.statistics(&models).expect("statistics");
    let wanted = Reference::load(&samples, &map)
        .statistics(&models)
        .expect("statistics");
    for (found, wanted) in found.iter().zip(&wanted) {
        let k = wanted.n_components();
        assert_close(
            found,
            wanted,
            &format!("N={n} D={d} K={k} weighted={weighted}"),
        );
    }
    assert!(gpu.counters().dispatches > 0 && gpu.counters().bytes_bound > 0);
}

pub(crate) const FULL: CovarianceType = CovarianceType::Full;
pub(crate) const OTHERS: [CovarianceType; 3] = [
    CovarianceType::Tied,
    CovarianceType::Diag,
    CovarianceType::Spherical,
];

#[test]
fn every_shape_agrees() {
    let (ds, ks): (&[usize], &[usize]) = if is_full() {
        (&[1, 2, 3, 5, 10, 17, 32], &[1, 2, 4, 7, 33])
    } else {
        (&[1, 2, 5, 17, 32], &[1, 4, 33])
    };
    for &d in ds {
        let models: Vec<_> = ks.iter().map(|&k| components(d, k, FULL)).collect();
        check(1000, true, &models);
        if is_full() {
            check(1000, false, &models);
            check(20_003, true, &models);
        }
    }
}

#[test]
fn every_number_of_rows_agrees() {
    for n in [1, 2, 63, 64, 65, 1000, 20_003] {
        for weighted in [false, true] {
            for (d, k) in [(2, 4), (3, 10), (10, 7)] {
                check(n, weighted, &[components(d, k, FULL)]);
            }
        }
    }
}

#[test]
fn a_component_of_weight_zero_gets_nothing() {
    for (d, k) in [(2, 4), (10, 7)] {
        let model = without(components(d, k, FULL), 1);
        check(1000, true, std::slice::from_ref(&model));
        let (samples, map) = samples(1000, d, false);
        let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
        let found = &gpu.statistics(&[(&model).into()]).expect("statistics")[0];
        assert_eq!(found.s0[1], 0.0);
        assert!(found.s1[d..2 * d].iter().all(|x| *x == 0.0));
    }
}

#[test]
fn only_chosen_blocks_are_read() {
    let hardware = open(Options {
        as_hardware: Some(Hardware::Nvidia),
        ..Options::default()
    });
    for (device, d, k) in [
        (device(), 2, 4),
        (off_origin(), 2, 4),
        (device(), 10, 7),
        (&hardware, 10, 7),
        (&hardware, 11, 13),
    ] {
        let (samples, map) = samples(20_003, d, true);
        let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
        let model = components(d, k, FULL);
        let masks = [
            BlockMask::new(gpu.blocks(), |b| b % 3 == 1),
            BlockMask::new(gpu.blocks(), |b| b % 3 != 1),
            BlockMask::new(gpu.blocks(), |_| false),
        ];
        let models = masks.each_ref().map(|mask| MaskedModel {
            components: &model,
            mask: Some(mask),
        });
        let found = gpu.statistics(&models).expect("statistics");
        let wanted = Reference::load(&samples, &map)
            .statistics(&models)
            .expect("statistics");
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_close(found, wanted, "mask");
        }
        assert_eq!((found[2].weight, found[2].log_likelihood), (0.0, 0.0));
    }
}

#[test]
fn other_covariance_types_agree() {
    // In registers and staged, D a multiple of 4 or not.
    for (d, k) in [(1, 33), (2, 4), (3, 24), (4, 9), (10, 7), (16, 2), (17, 33)] {
        for covariance_type in OTHERS {
            check(1000, true, &[components(d, k, covariance_type)]);
        }
    }
    for covariance_type in OTHERS {
        for n in [1, 65, 20_003] {
            for (d, k) in [(2, 4), (5, 19)] {
                check(n, false, &[components(d, k, covariance_type)]);
            }
        }
    }
}

#[test]
fn a_component_of_weight_zero_gets_nothing_whatever_the_type() {
    for covariance_type in OTHERS {
        for (d, k) in [(2, 4), (10, 17)] {
            check(1000, true, &[without(components(d, k, covariance_type), 1)]);
        }
    }
}

#[test]
fn a_thousand_components_in_64_features_agree() {
    for covariance_type in [FULL, CovarianceType::Diag, CovarianceType::Tied] {
        check(300, false, &[components(64, 1024, covariance_type)]);
    }
}

#[test]
fn the_widest_rows_agree() {
    use CovarianceType::{Diag, Spherical, Tied};
    for (covariance_type, d, k) in [
        (FULL, 128, 5),
        (Tied, 100, 3),
        (Diag, 128, 70),
        (Spherical, 127, 70),
    ] {
        check(300, true, &[components(d, k, covariance_type)]);
    }
    if is_full() {
        for (covariance_type, d, k) in [
            (FULL, 128, 300),
            (Tied, 128, 64),
            (FULL, 16, 4096),
            (Diag, 128, 1024),
            (Diag, 33, 4096),
            (Spherical, 128, 4096),
        ] {
            for n in [300, 1500] {
                check(n, false, &[components(d, k, covariance_type)]);
            }
        }
    }
}

#[test]
fn tiles_of_every_shape_agree() {
    // Packs, octets and vec4s of features that are whole or not, alone in a workgroup or many; slices of rows.
    for covariance_type in [CovarianceType::Diag, CovarianceType::Spherical] {
        for (d, k) in [
            (50, 1),
            (57, 3),
            (50, 8),
            (64, 9),
            (75, 17),
            (130, 40),
            (61, 100),
        ] {
            check(1000, k % 2 == 0, &[components(d, k, covariance_type)]);
        }
    }
    if is_full() {
        for n in [1, 3, 255, 256, 257, 20_003] {
            check(n, true, &[components(50, 9, CovarianceType::Diag)]);
            check(n, false, &[components(75, 9, CovarianceType::Spherical)]);
        }
    }
}

#[test]
fn correlated_features_agree() {
    // Sums of features would lose digits in whitened coordinates: variances are inflated 380 times. A component without
    // correlation stands beside.
    let hardware = open(Options {
        as_hardware: Some(Hardware::Nvidia),
        ..Options::default()
    });
    for (d, k, covariance_type) in [
        (6, 5, FULL),
        (12, 3, FULL),
        (17, 4, FULL),
        (32, 3, FULL),
        (40, 2, FULL),
        // A triangle that is left over; squares alone.
        (49, 2, FULL),
        (65, 2, FULL),
        (90, 2, FULL),
        (20, 3, CovarianceType::Tied),
    ] {
        let noise = |i: usize| (i * 7919 % 1009) as f64 / 504.0 - 1.0;
        let values: Vec<f64> = (0..1500 * d)
            .map(|i| 1.7 * noise(i / d * 13 + 5) + 0.086 * noise(i) + (i / d % k) as f64)
            .collect();
        let samples = Samples::new(values, d).expect("finite values");
        let map = Standardisation::identity(d);
        let covariance: Vec<f64> = (0..d)
            .flat_map(|i| (0..=i).map(move |j| if i == j { 1.0025 } else { 1.0 }))
            .collect();
        let factor = triangle::invert(&triangle::cholesky(&covariance, d).expect("definite"), d);
        let mut model = components(d, k, covariance_type);
        model.means = (0..k * d)
            .map(|i| (i / d) as f64 + 0.01 * noise(i))
            .collect();
        let correlated = match covariance_type {
            CovarianceType::Tied => k,
            _ => k - 1,
        };
        for of in model
            .factors
            .chunks_exact_mut(factor.len())
            .take(correlated)
        {
            of.copy_from_slice(&factor);
        }
        model.round_to(Precision::F32);
        let wanted = Reference::load(&samples, &map)
            .statistics(&[(&model).into()])
            .expect("statistics");
        for device in [device(), &hardware] {
            let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
            let found = gpu.statistics(&[(&model).into()]).expect("statistics");
            assert_close(&found[0], &wanted[0], &format!("correlated D={d} K={k}"));
        }
    }
}

#[test]
fn responsibilities_agree() {
    let full = [(2, 4), (5, 33), (17, 7)].map(|(d, k)| (d, k, FULL));
    let others = OTHERS.map(|covariance_type| (5, 7, covariance_type));
    let hardware = open(Options {
        as_hardware: Some(Hardware::Nvidia),
        ..Options::default()
    });
    let all = full.into_iter().chain(others).map(|case| (device(), case));
    // Four rows are read at once.
    let products = [(&hardware, (17, 7, FULL))];
    for (device, (d, k, covariance_type)) in all.chain(products) {
        let (samples, map) = samples(20_003, d, true);
        let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
        let mut reference = Reference::load(&samples, &map);
        let model = without(components(d, k, covariance_type), 0);
        // Across a block's end, from the middle of a block to the last row, from odd rows on, and no row at all.
        for rows in [
            500..1100,
            19_700..20_003,
            501..1100,
            1023..1025,
            20_001..20_003,
            7..7,
        ] {
            let n = rows.len();
            let (mut log, mut r) = (vec![f64::NAN; n], vec![f64::NAN; n * k]);
            gpu.responsibilities(&model, rows.clone(), &mut log, &mut r)
                .expect("responsibilities");
            let (mut wanted_log, mut wanted_r) = (vec![0.0; n], vec![0.0; n * k]);
            reference
                .responsibilities(&model, rows, &mut wanted_log, &mut wanted_r)
                .expect("responsibilities");
            for (a, b) in log.iter().zip(&wanted_log) {
                // One row's score sums D squares in f32: a few units in the last place of it.
                assert!((a - b).abs() <= 4e-6 * b.abs().max(1.0), "{a} for {b}");
            }
            for (a, b) in r.iter().zip(&wanted_r) {
                // The scores' absolute error, times r (1 - r).
                assert!((a - b).abs() <= 2e-5, "{a} for {b}");
            }
            assert!(r.iter().step_by(k).all(|r| *r == 0.0));
        }
    }
}

#[test]
fn means_between_two_f32_numbers_are_not_rounded() {
    // f32 numbers near 1000 are 6e-5 apart: rounded, these means would move y by 0.01.
    let diag = CovarianceType::Diag;
    for (d, k, covariance_type) in [(2, 4, FULL), (5, 33, FULL), (2, 4, diag), (5, 33, diag)] {
        let mut model = components(d, k, covariance_type);
        model.means.fill(1_000.000_01);
        model.factors.iter_mut().for_each(|u| *u *= 1024.0);
        let samples = Samples::new(vec![1000.0; d], d).expect("finite values");
        let map = Standardisation::identity(d);
        let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
        let found = gpu.statistics(&[(&model).into()]).expect("statistics");
        let wanted = Reference::load(&samples, &map)
            .statistics(&[(&model).into()])
            .expect("statistics");
        assert!(wanted[0].s1.iter().any(|y| y.abs() > 1e-4));
        assert_close(&found[0], &wanted[0], "means");
    }
}

#[test]
fn the_least_limits_are_enough_for_every_type() {
    for as_hardware in [None, Some(Hardware::Nvidia)] {
        let least = open(Options {
            least_limits: true,
            as_hardware,
            ..Options::default()
        });
        for (d, k) in [(2, 4), (4, 6), (10, 7), (33, 3)] {
            for covariance_type in OTHERS.into_iter().chain([FULL]) {
                let models: Vec<_> = (0..17).map(|_| components(d, k, covariance_type)).collect();
                let several = if d == 4 { 17 } else { 1 };
                check_on(&least, 300, true, &models[..several]);
            }
        }
    }
}

#[test]
fn adding_up_without_subgroups_agrees() {
    for as_hardware in [None, Some(Hardware::Amd), Some(Hardware::Nvidia)] {
        let without = open(Options {
            no_subgroups: true,
            as_hardware,
            ..Options::default()
        });
        for (d, k) in [(2, 4), (4, 9), (10, 3)] {
            for covariance_type in OTHERS.into_iter().chain([FULL]) {
                let model = components(d, k, covariance_type);
                check_on(&without, 5000, d == 4, &[model]);
            }
        }
    }
}

#[test]
fn thousands_of_components_agree() {
    for (d, k) in [(1, 4096), (5, 1000), (11, 300)] {
        for covariance_type in OTHERS.into_iter().chain([FULL]) {
            check(300, true, &[components(d, k, covariance_type)]);
        }
    }
}

#[test]
fn far_rows_belong_wholly_to_the_nearest_component() {
    // Where scores are large their last digits are whole bits: shares must not feel it. Nor must they where squares of
    // coordinates, of rows at 1e12 under narrow components, are as large as single precision bears.
    let shapes = [(2, 4), (3, 10), (5, 33), (12, 3)];
    let scales = [(1e5, 1.0), (1e12, 1024.0), (1e12, 16_384.0)];
    for ((d, k), (far, narrow)) in shapes.into_iter().flat_map(|s| scales.map(|n| (s, n))) {
        let mut values: Vec<f64> = (0..500 * d)
            .map(|i| (i * 7919 % 1000) as f64 / 500.0 - 1.0)
            .collect();
        values.iter_mut().step_by(5 * d).for_each(|x| *x *= far);
        let samples = Samples::new(values, d).expect("finite values");
        let map = Standardisation::identity(d);
        let mut model = components(d, k, FULL);
        model.factors.iter_mut().for_each(|u| *u *= narrow);
        let mut models = vec![model.clone()];
        // Farther away even f64 has no score below that of a weight of 0.
        if narrow == 1.0 {
            models.push(without(model, 0));
        }
        for (model, device) in models
            .iter()
            .flat_map(|m| [device(), off_origin()].map(|d| (m, d)))
        {
            let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
            let found = &gpu.statistics(&[model.into()]).expect("statistics")[0];
            let wanted = &Reference::load(&samples, &map)
                .statistics(&[model.into()])
                .expect("statistics")[0];
            let what = format!("D={d} K={k}, {far:e}, {narrow}");
            let shares: f64 = found.s0.iter().sum();
            assert!((shares / 500.0 - 1.0).abs() < 1e-6, "{what}: {shares}");
            for (a, b) in found.s0.iter().zip(&wanted.s0) {
                assert!((a - b).abs() < 1e-5 * 500.0, "{what}: {a} for {b}");
            }
        }
    }
}
