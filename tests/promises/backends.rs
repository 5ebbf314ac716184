//! One `statistics` call on every device against the reference, from a fixed well-conditioned model.
//!
//! Single precision: a whitened coordinate is off by a few ε κ ≈ 6e-8 · 10, a responsibility by r (1 − r) |y|
//! times that, so a sum of S0 such terms by some 1e-6 S0 at worst; the promise is 1e-5 (S0 + 1). The
//! log-likelihood has no such factor per row, its errors average: 1e-6 max(1, |ℓ|) per unit of weight. In
//! double precision the same reasoning gives 1e-14; 1e-11 is promised.

use std::sync::OnceLock;

use fearless_simd::Level;
use wgmm::backend::cpu::Cpu;
use wgmm::backend::gpu::{Device, DeviceKind, Gpu, Options, Selection};
use wgmm::backend::reference::Reference;
use wgmm::backend::{Backend, BlockMask, Components, MaskedModel, Precision, Statistics};
use wgmm::data::{Samples, Standardisation};
use wgmm::mixture::CovarianceType;

use crate::cases::{Case, is_full, kind_of, matrix, mixture, ordinary, sizes, wide};
use crate::reference_vs_textbook::TYPES;
use crate::textbook::Kind;

/// What sums and the log-likelihood may be off by.
#[derive(Clone, Copy, Debug)]
struct Tolerance {
    sums: f64,
    /// What second moments may be off by beside, as a share of the component's largest.
    moments: f64,
    log_likelihood: f64,
}

fn tolerance(precision: Precision) -> Tolerance {
    match precision {
        Precision::F32 => Tolerance {
            sums: 1e-5,
            moments: 0.0,
            log_likelihood: 1e-6,
        },
        Precision::F64 => Tolerance {
            sums: 1e-11,
            moments: 0.0,
            log_likelihood: 1e-11,
        },
    }
}

/// The device of these tests, its scratch and output buffers filled with NaN before each evaluation. That
/// there is none is a failure.
pub(crate) fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let options = Options {
            sentinel: Some(f32::NAN.to_bits()),
            ..Options::default()
        };
        let device =
            Device::open(&Selection::Best, options).expect("an adapter, lavapipe at least");
        let about = device.description();
        println!("adapter: {}", about.name);
        if about.kind == DeviceKind::Software {
            assert!(about.name.contains("llvmpipe"), "{}", about.name);
        }
        device
    })
}

/// Every instruction set that this machine has.
fn levels() -> Vec<Level> {
    let best = Level::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let others = [
        best.as_avx2().map(Level::Avx2),
        best.as_sse4_2().map(Level::Sse4_2),
        best.as_sse2().map(Level::Sse2),
    ];
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    let others: [Option<Level>; 0] = [];
    let mut levels = vec![best];
    for level in others.into_iter().flatten() {
        let name = |level: &Level| format!("{level:?}");
        if levels.iter().all(|known| name(known) != name(&level)) {
            levels.push(level);
        }
    }
    levels
}

/// Calls `check` with every backend: the CPU in both precisions on every instruction set, and the GPU, which
/// must have dispatched something by the end.
fn on_every_backend(
    samples: &Samples,
    map: &Standardisation,
    mut check: impl FnMut(&str, &mut dyn Backend),
) {
    on_every_cpu(samples, map, &mut check);
    let mut gpu = Gpu::load(device(), samples, map).expect("the samples fit the device");
    check(&format!("gpu, {}", device().description().name), &mut gpu);
    assert!(gpu.counters().dispatches > 0);
}

/// Calls `check` with the CPU in both precisions on every instruction set.
fn on_every_cpu(
    samples: &Samples,
    map: &Standardisation,
    check: &mut dyn FnMut(&str, &mut dyn Backend),
) {
    for precision in [Precision::F32, Precision::F64] {
        for level in levels() {
            let mut cpu = Cpu::load(samples, map, precision).with_level(level);
            check(&format!("cpu, {precision:?}, {level:?}"), &mut cpu);
        }
    }
}

/// The case's start in standardised units, as single precision can hold it.
fn components(case: &Case, covariance_type: CovarianceType, map: &Standardisation) -> Components {
    let kind = kind_of(covariance_type);
    let mut components = Components::from_mixture(&mixture(&case.start(kind), kind), map);
    components.round_to(Precision::F32);
    components
}

fn assert_near(what: &str, found: &[f64], expected: &[f64], allowed: impl Fn(usize) -> f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= allowed(i),
            "{what}, entry {i}: {f} where the reference has {e}: {:e} where {:e} is allowed",
            (f - e).abs(),
            allowed(i)
        );
    }
}

fn assert_close(what: &str, found: &Statistics, expected: &Statistics, tolerance: Tolerance) {
    let k = expected.s0.len();
    let of = |part: &str| format!("{what}: {part}");
    let sums = |s0: f64| tolerance.sums * (s0 + 1.0);
    let share = |i: usize, length: usize| sums(expected.s0[i * k / length]);
    assert_near(&of("S0"), &found.s0, &expected.s0, |i| sums(expected.s0[i]));
    assert_near(&of("S1"), &found.s1, &expected.s1, |i| {
        share(i, expected.s1.len())
    });
    assert_near(&of("S2"), &found.s2, &expected.s2, |i| {
        match expected.covariance_type {
            CovarianceType::Tied => sums(expected.weight),
            // A shared responsibility is off by r (1 − r) |y| ε κ, and S2 by y² times that: where few rows are
            // many deviations away it is S2, Σ r y², that bounds the error and not S0, Σ r.
            // A trace is the sum of D diagonal entries, each of which may be off.
            CovarianceType::Spherical => expected.n_features as f64 * sums(expected.s0[i]),
            _ => {
                let of_one = expected.s2.len() / k;
                let own = &expected.s2[i / of_one * of_one..][..of_one];
                let largest = own.iter().fold(0.0f64, |most, s2| most.max(s2.abs()));
                share(i, expected.s2.len()) + tolerance.moments * largest
            }
        }
    });
    assert_near(&of("weight"), &[found.weight], &[expected.weight], |_| {
        1e-14 * expected.weight
    });
    // The logarithm of the largest responsibility is the difference of a log density and ℓ: off as they are.
    let allowed = tolerance.log_likelihood * expected.log_likelihood.abs().max(expected.weight);
    for (part, f, e) in [
        ("ℓ", found.log_likelihood, expected.log_likelihood),
        ("largest r", found.log_largest, expected.log_largest),
    ] {
        assert_near(&of(part), &[f], &[e], |_| allowed);
    }
}

fn check(case: &Case, covariance_type: CovarianceType) {
    let samples = case.samples();
    // The mixture's centre and scale: those of one or two rows would make any model ill conditioned.
    let map = Standardisation::of_mixture(&mixture(&case.truth, Kind::Full), &samples);
    let components = components(case, covariance_type, &map);
    let model = [MaskedModel::from(&components)];
    let statistics = |backend: &mut dyn Backend| {
        let mut all = backend.statistics(&model).expect("the device works");
        assert_eq!(all.len(), 1);
        all.remove(0)
    };
    let expected = statistics(&mut Reference::load(&samples, &map));
    on_every_backend(&samples, &map, |device, backend| {
        let what = format!("{}, {covariance_type:?}, {device}", case.name);
        let tolerance = tolerance(backend.info().precision);
        assert_close(&what, &statistics(backend), &expected, tolerance);
    });
}

#[test]
fn every_size_agrees_with_the_reference() {
    for (i, case) in matrix().enumerate() {
        check(&case, CovarianceType::Full);
        let others = &TYPES[1..];
        if is_full() {
            others.iter().for_each(|&other| check(&case, other));
        } else if case.len() <= 1_000 {
            check(&case, others[i % 3]);
        }
    }
}

/// Kernels have an instance for each of many sizes, and tails of rows, features and components: all of them, statistics
/// and responsibilities.
#[test]
fn every_number_of_features_and_components_agrees_on_every_instruction_set() {
    for (i, case) in sizes().enumerate() {
        let samples = case.samples();
        let map = Standardisation::of_mixture(&mixture(&case.truth, Kind::Full), &samples);
        // One type for each size, or all.
        for (_, &covariance_type) in
            (TYPES.iter().enumerate()).filter(|(t, _)| is_full() || i % 4 == *t)
        {
            let components = components(&case, covariance_type, &map);
            let model = [MaskedModel::from(&components)];
            let mut reference = Reference::load(&samples, &map);
            let statistics = |backend: &mut dyn Backend| {
                backend
                    .statistics(&model)
                    .expect("no device to fail")
                    .remove(0)
            };
            let responsibilities = |backend: &mut dyn Backend| {
                let mut log_densities = vec![0.0; case.len()];
                let mut shares = vec![0.0; case.len() * components.len()];
                backend
                    .responsibilities(&components, 0..case.len(), &mut log_densities, &mut shares)
                    .expect("no device to fail");
                (log_densities, shares)
            };
            let sums = statistics(&mut reference);
            let (log_densities, shares) = responsibilities(&mut reference);
            on_every_cpu(&samples, &map, &mut |device, backend| {
                let what = format!("{}, {covariance_type:?}, {device}", case.name);
                let mut tolerance = tolerance(backend.info().precision);
                // A log density is a sum of D squares and rounded where it is D/2 large or more: ε D/2 is below what is
                // allowed for the coordinates while D ≤ 16, and beyond it is what shares are off by.
                tolerance.sums *= (case.d as f64 / 16.0).max(1.0);
                // Where one or two rows are most of a component, many deviations away, S2, Σ r y², is far above S0, Σ r, and
                // what its shares are off by counts y² times.
                tolerance.moments = tolerance.sums;
                // A row's ℓ is off by as much as its coordinates are, the mean of N by √N less: 1e-6 from some 63 rows on.
                tolerance.log_likelihood *= (63.0 / case.len() as f64).sqrt().max(1.0);
                assert_close(&what, &statistics(backend), &sums, tolerance);
                // A row's ℓ is −½ Σ y² and a constant: each y is off by a few ε κ, so ℓ by that times √D |y|. A share
                // is off by r (1 − r) times what two such ℓ are.
                let allowed = |row: usize| tolerance.sums * (1.0 + log_densities[row].abs());
                let (l, r) = responsibilities(backend);
                assert_near(&format!("{what}: ℓ of rows"), &l, &log_densities, allowed);
                assert_near(&format!("{what}: r"), &r, &shares, |i| {
                    allowed(i / components.len())
                });
            });
        }
    }
}

#[test]
fn a_thousand_components_of_64_features_agree_with_the_reference() {
    check(&wide(), CovarianceType::Full);
}

#[test]
fn several_models_in_one_call_give_the_bits_of_single_calls() {
    let case = ordinary(3, 5, 20_003);
    let samples = case.samples();
    // One map for all: that of full covariances is as good as any here.
    let map = Standardisation::of_mixture(&mixture(&case.truth, Kind::Full), &samples);
    let models = TYPES.map(|covariance_type| components(&case, covariance_type, &map));
    on_every_backend(&samples, &map, |device, backend| {
        let blocks = backend.blocks();
        let odd = BlockMask::new(blocks, |b| b % 2 == 1);
        let even = BlockMask::new(blocks, |b| b % 2 == 0);
        let masks = [None, Some(&odd), Some(&even)];
        let all: Vec<MaskedModel<'_>> = models
            .iter()
            .flat_map(|components| masks.map(|mask| MaskedModel { components, mask }))
            .collect();
        // More of a kind than share a dispatch.
        let all = all.repeat(6);
        let together = backend.statistics(&all).expect("the device works");
        assert_eq!(together.len(), all.len());
        for (model, found) in all.iter().zip(&together) {
            let alone = backend.statistics(&[*model]).expect("the device works");
            assert_eq!(std::slice::from_ref(found), alone, "{device}");
        }
    });
}

#[test]
fn masks_choose_whole_blocks() {
    let case = ordinary(4, 3, 20_003);
    let samples = case.samples();
    let map = Standardisation::of_mixture(&mixture(&case.truth, Kind::Full), &samples);
    let components = components(&case, CovarianceType::Full, &map);
    let mut reference = Reference::load(&samples, &map);
    let blocks = reference.blocks();
    assert!(blocks.len() > 20);
    let masks = [
        BlockMask::new(blocks, |b| b % 3 == 1),
        BlockMask::new(blocks, |b| b == blocks.len() - 1),
        BlockMask::new(blocks, |_| false),
    ];
    let models = masks.each_ref().map(|mask| MaskedModel {
        components: &components,
        mask: Some(mask),
    });
    let expected = reference.statistics(&models).expect("no device to fail");
    // Rows of a mask are those of its blocks: the reference on these rows alone must agree.
    for (mask, expected) in masks.iter().zip(&expected[..2]) {
        let rows = (0..blocks.len()).filter(|&b| mask.contains(b));
        let chosen: Vec<f64> = rows
            .flat_map(|b| case.values[blocks.rows(b).start * 4..blocks.rows(b).end * 4].to_vec())
            .collect();
        let chosen = Samples::new(chosen, 4).expect("the values are finite");
        let alone = Reference::load(&chosen, &map).statistics(&[(&components).into()]);
        let alone = alone.expect("no device to fail");
        let what = "rows of the mask alone";
        assert_close(what, &alone[0], expected, tolerance(Precision::F64));
    }
    on_every_backend(&samples, &map, |device, backend| {
        assert_eq!(backend.blocks(), blocks, "{device}");
        let found = backend.statistics(&models).expect("the device works");
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(device, found, expected, tolerance(backend.info().precision));
        }
        assert_eq!((found[2].weight, found[2].log_likelihood), (0.0, 0.0));
    });
}
