//! The log-likelihood never falls along a trace of plain EM, beyond rounding, but at iterations whose events
//! name a repair; nothing is NaN and nothing panics, whatever small data it is given.
//!
//! Rounding: a component at the variance floor is 1e6 times narrower than the data, so that κ ≤ 1e7 and a log
//! density is off by |y| κ ε ≈ 10 · 1e7 · 1e-16 = 1e-8 in double precision. In single precision it is off by
//! |y| κ 6e-8, which errors of many rows average to the promised 1e-6, but a handful of rows need not: with
//! |y| ≤ 3, at either end of a step, 4e-7 κ.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wgmm::backend::Components;
use wgmm::backend::gpu::Selection;
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{DeviceChoice, Fit, FitError, Init, Options, PrecisionChoice, fit};
use wgmm::mixture::CovarianceType;

use crate::backends::device;
use crate::cases::is_full;
use crate::reference_vs_textbook::TYPES;

/// Small data of every kind, and how to fit it.
#[derive(Clone, Debug)]
struct Small {
    values: Vec<f64>,
    d: usize,
    weights: Option<Vec<f64>>,
    k: usize,
    covariance_type: CovarianceType,
    random: bool,
    seed: u64,
}

/// Values of a column of rows that cluster, lie on a grid, repeat or have far outliers.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -3.0..3.0f64,
        4 => (-3..4i32).prop_map(f64::from),
        3 => (0.0..1.0f64).prop_map(|x| 20.0 + x),
        1 => Just(20.0),
        1 => -1e4..1e4f64,
    ]
}

fn small() -> impl Strategy<Value = Small> {
    (1..=3usize, 1..=4usize, 4..60usize).prop_flat_map(|(d, k, n)| {
        let weight = prop_oneof![1 => Just(0.0), 4 => 0.1..3.0f64];
        (
            prop::collection::vec(value(), n * d),
            prop::option::weighted(0.3, prop::collection::vec(weight, n)),
            prop::sample::select(TYPES.to_vec()),
            any::<bool>(),
            0..1_000u64,
        )
            .prop_map(
                move |(values, weights, covariance_type, random, seed)| Small {
                    values,
                    d,
                    weights: weights.filter(|w| w.iter().any(|w| *w > 0.0)),
                    k,
                    covariance_type,
                    random,
                    seed,
                },
            )
    })
}

impl Small {
    fn samples(&self) -> Samples {
        let samples = Samples::new(self.values.clone(), self.d).expect("finite");
        match &self.weights {
            Some(weights) => samples.with_weights(weights.clone()),
            None => Ok(samples),
        }
        .expect("one weight a row, not all 0")
    }

    fn options(&self, device: DeviceChoice, precision: PrecisionChoice) -> Options {
        Options {
            covariance_type: self.covariance_type,
            init: if self.random {
                Init::Random
            } else {
                Init::KMeansPlusPlus
            },
            max_iter: 60,
            restarts: 1,
            plain: true,
            seed: self.seed,
            device,
            precision,
            ..Options::new(self.k)
        }
    }
}

/// Whether a refusal is one that small data may deserve.
fn is_deserved(error: &FitError, precision: PrecisionChoice) -> bool {
    match error {
        FitError::TooFewDistinctRows { .. } | FitError::Data(_) => true,
        FitError::BeyondSingle { .. } => precision == PrecisionChoice::F32,
        _ => false,
    }
}

fn check(
    found: &Fit,
    samples: &Samples,
    covariance_type: CovarianceType,
    precision: PrecisionChoice,
) -> Result<(), TestCaseError> {
    let map = Standardisation::of(samples, covariance_type).expect("the fit had one");
    let rounding = if precision == PrecisionChoice::F64 {
        1e-8
    } else {
        4e-7 * Components::from_mixture(&found.mixture, &map)
            .kappa()
            .max(1.0)
    };
    prop_assert!(found.trace.iter().all(|l| l.is_finite()));
    prop_assert_eq!(found.trace.len(), found.iterations + 1);
    for i in 1..found.trace.len() {
        let (before, after) = (found.trace[i - 1], found.trace[i]);
        let size = (after - map.log_determinant()).abs().max(1.0);
        let repaired = (found.events.iter()).any(|e| e.iteration == i && e.kind.is_repair());
        prop_assert!(
            repaired || after >= before - rounding * size,
            "iteration {}: {} after {}, a fall of {:e}; events {:?}",
            i,
            after,
            before,
            before - after,
            found.events
        );
    }
    Ok(())
}

fn never_falls(device: DeviceChoice, precision: PrecisionChoice, cases: u32) {
    let cases = if is_full() { 50 * cases } else { cases };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    // The same cases each time.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let fitted = Cell::new(0);
    let outcome = runner.run(&small(), |small| {
        let samples = small.samples();
        match fit(&samples, &small.options(device.clone(), precision)) {
            Ok(found) => {
                fitted.set(fitted.get() + 1);
                check(&found, &samples, small.covariance_type, precision)
            }
            Err(error) => {
                prop_assert!(is_deserved(&error, precision), "{error}");
                Ok(())
            }
        }
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // What is refused proves nothing.
    assert!(fitted.get() > cases / 4, "{} fits", fitted.get());
}

#[test]
fn on_the_reference() {
    never_falls(DeviceChoice::Reference, PrecisionChoice::F64, 1_000);
}

#[test]
fn on_the_cpu_in_double_precision() {
    never_falls(DeviceChoice::Cpu, PrecisionChoice::F64, 1_000);
}

#[test]
fn on_the_cpu_in_single_precision() {
    never_falls(DeviceChoice::Cpu, PrecisionChoice::F32, 1_000);
}

#[test]
fn on_the_gpu() {
    device();
    let gpu = DeviceChoice::Gpu(Selection::Best);
    never_falls(gpu, PrecisionChoice::F32, 20);
}
