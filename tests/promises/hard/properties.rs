//! The same of small data at random: integers, ordinary numbers, huge and tiny ones, rows that repeat, weights
//! that may be 0.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wgmm::backend::gpu::Selection;
use wgmm::data::{DataError, Samples};
use wgmm::em::{DeviceChoice, FitError, Init, Options, PrecisionChoice};
use wgmm::mixture::CovarianceType;

use super::{Way, attempt, is_beyond_single, is_sentence, valid};
use crate::backends::device;
use crate::cases::is_full;
use crate::reference_vs_textbook::TYPES;

/// Small data and how to fit it.
#[derive(Clone, Debug)]
struct Small {
    /// Distinct rows at most; which of them a row is.
    table: Vec<Vec<f64>>,
    rows: Vec<usize>,
    weights: Option<Vec<f64>>,
    k: usize,
    covariance_type: CovarianceType,
    random: bool,
    seed: u64,
}

/// The kinds of values a column may have.
fn column(n: usize) -> impl Strategy<Value = Vec<f64>> {
    let signed = |x: f64, negative: bool| if negative { -x } else { x };
    let integer = (-3..=3i32).prop_map(f64::from).boxed();
    let ordinary = (-3.0..3.0f64).boxed();
    let any = (-30.0..30.0f64, any::<bool>())
        .prop_map(move |(exponent, negative)| signed(10f64.powf(exponent), negative))
        .boxed();
    let either = prop_oneof![3 => integer.clone(), 3 => ordinary.clone(), 1 => any.clone()].boxed();
    let kind = prop_oneof![
        1 => Just(integer),
        1 => Just(ordinary),
        1 => Just(any),
        2 => Just(either),
    ];
    (kind, -30..=30i32, prop::bool::weighted(0.3)).prop_flat_map(move |(kind, exponent, scaled)| {
        let scale = if scaled { 10f64.powi(exponent) } else { 1.0 };
        prop::collection::vec(kind.prop_map(move |x| x * scale), n)
    })
}

fn small() -> impl Strategy<Value = Small> {
    (1..=5usize, 1..=6usize, 1..=40usize).prop_flat_map(|(d, k, n)| {
        let weight = prop_oneof![1 => Just(0.0), 3 => 0.1..3.0f64, 1 => (-4.0..4.0f64).prop_map(|e| 10f64.powf(e))];
        let row = prop_oneof![4 => (0..n).boxed(), 1 => Just(0).boxed()];
        (
            prop::collection::vec(column(n), d),
            prop_oneof![Just((0..n).collect()).boxed(), prop::collection::vec(row, n).boxed()],
            prop::option::weighted(0.3, prop::collection::vec(weight, n)),
            prop::sample::select(TYPES.to_vec()),
            any::<bool>(),
            0..1_000u64,
        )
            .prop_map(move |(columns, rows, weights, covariance_type, random, seed)| Small {
                table: (0..n).map(|i| columns.iter().map(|c| c[i]).collect()).collect(),
                rows,
                weights,
                k,
                covariance_type,
                random,
                seed,
            })
    })
}

impl Small {
    fn samples(&self) -> Result<Samples, DataError> {
        let rows = self.rows.iter().flat_map(|&i| self.table[i].clone());
        let samples = Samples::new(rows.collect::<Vec<f64>>(), self.table[0].len())?;
        match &self.weights {
            Some(weights) => samples.with_weights(weights.clone()),
            None => Ok(samples),
        }
    }

    fn options(&self, (device, precision): &Way) -> Options {
        Options {
            covariance_type: self.covariance_type,
            init: if self.random {
                Init::Random
            } else {
                Init::KMeansPlusPlus
            },
            max_iter: 200,
            seed: self.seed,
            device: device.clone(),
            precision: *precision,
            ..Options::new(self.k)
        }
    }

    /// Rows of positive weight that differ.
    fn distinct(&self) -> usize {
        let counts = |i: &usize| self.weights.as_ref().is_none_or(|w| w[*i] > 0.0);
        let rows = (0..self.rows.len()).filter(counts);
        let mut rows: Vec<&Vec<f64>> = rows.map(|i| &self.table[self.rows[i]]).collect();
        rows.sort_by(|a, b| a.partial_cmp(b).expect("finite"));
        rows.dedup();
        rows.len()
    }

    /// Whether a column is the same in all rows of positive weight.
    fn has_constant(&self, samples: &Samples) -> bool {
        (0..samples.n_features()).any(|j| {
            let rows = (0..samples.len()).filter(|&i| samples.weight(i) > 0.0);
            let mut values: Vec<f64> = rows.map(|i| samples.value(i, j)).collect();
            values.dedup();
            values.len() == 1
        })
    }

    /// Whether these samples deserve the error.
    fn deserves(&self, error: &FitError, way: &Way) -> bool {
        let Ok(samples) = self.samples() else {
            return matches!(error, FitError::Data(DataError::NoWeight));
        };
        match error {
            FitError::TooFewDistinctRows { .. } => self.distinct() < self.k,
            FitError::Data(DataError::ConstantColumn { .. }) => self.has_constant(&samples),
            _ => is_beyond_single(error, &samples, &self.options(way)),
        }
    }
}

fn never_fail(way: &Way, cases: u32) {
    let cases = if is_full() { 20 * cases } else { cases };
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
        let found = small.samples().map_err(FitError::from);
        let found = found.and_then(|samples| {
            attempt(&samples, &small.options(way)).map(|found| (found, samples))
        });
        match found {
            Ok((found, samples)) => {
                fitted.set(fitted.get() + 1);
                valid::check(&found, &samples, &small.options(way)).map_err(TestCaseError::fail)
            }
            Err(error) => {
                prop_assert!(is_sentence(&error.to_string()), "{error}");
                prop_assert!(small.deserves(&error, way), "{error}");
                Ok(())
            }
        }
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // What is refused proves nothing; single precision refuses the half that lies at the floor.
    assert!(fitted.get() > cases / 8, "{} fits of {cases}", fitted.get());
}

#[test]
fn of_any_small_data_on_the_reference() {
    never_fail(&(DeviceChoice::Reference, PrecisionChoice::Auto), 400);
}

#[test]
fn of_any_small_data_on_the_cpu_in_double_precision() {
    never_fail(&(DeviceChoice::Cpu, PrecisionChoice::F64), 400);
}

#[test]
fn of_any_small_data_on_the_cpu_in_single_precision() {
    never_fail(&(DeviceChoice::Cpu, PrecisionChoice::F32), 400);
}

#[test]
fn of_any_small_data_on_the_gpu() {
    device();
    let gpu = DeviceChoice::Gpu(Selection::Best);
    never_fail(&(gpu, PrecisionChoice::Auto), 20);
}
