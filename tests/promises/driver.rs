//! The whole fit against yardsticks: plain EM on every device, and what EM's algebra says of it.
//!
//! Differences of mixtures are those of `compare`: weights as they are, means in the reference's standard
//! deviations, covariances relative to the reference's. The promise for single precision is 1e-6 for a trace,
//! 1e-5 for weights and means, 1e-4 for covariances. In double precision rounding stays near 1e-12 for these
//! cases; 1e-8 is the promise, also where features' scales or the condition number cost digits.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::backend::gpu::Selection;
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{DeviceChoice, EventKind, Fit, FitError, Init, Options, PrecisionChoice, fit};
use wgmm::mixture::{CovarianceType, Difference, Mixture};

use crate::backends::device;
use crate::cases::{Case, hard, is_full, kind_of, matrix, mixture, ordinary};
use crate::reference_vs_textbook::TYPES;
use crate::scikit_learn;
use crate::textbook::{self, Kind, Parameters, Table};

/// A device with the precision it works in, and what it may differ by from the reference.
#[derive(Clone, Debug)]
struct Way {
    device: DeviceChoice,
    precision: PrecisionChoice,
    tolerance: Tolerance,
}

#[derive(Clone, Copy, Debug)]
struct Tolerance {
    trace: f64,
    weights: f64,
    means: f64,
    covariances: f64,
}

const SINGLE: Tolerance = Tolerance {
    trace: 1e-6,
    weights: 1e-5,
    means: 1e-5,
    covariances: 1e-4,
};

/// The same number for everything.
const fn all(tolerance: f64) -> Tolerance {
    Tolerance {
        trace: tolerance,
        weights: tolerance,
        means: tolerance,
        covariances: tolerance,
    }
}

fn ways() -> [Way; 3] {
    device();
    let way = |device, precision, tolerance| Way {
        device,
        precision,
        tolerance,
    };
    [
        way(DeviceChoice::Cpu, PrecisionChoice::F32, SINGLE),
        way(DeviceChoice::Cpu, PrecisionChoice::F64, all(1e-8)),
        way(
            DeviceChoice::Gpu(Selection::Best),
            PrecisionChoice::Auto,
            SINGLE,
        ),
    ]
}

/// Exactly `iterations` plain EM steps from `start`.
pub(crate) fn plain(start: Mixture, iterations: usize) -> Options {
    let options = Options {
        covariance_type: start.covariance_type(),
        max_iter: iterations,
        tol: 0.0,
        device: DeviceChoice::Reference,
        ..Options::new(start.len())
    };
    Options {
        init: Init::Model(start),
        ..options
    }
}

/// The same on another device.
fn on(options: &Options, way: &Way) -> Options {
    Options {
        device: way.device.clone(),
        precision: way.precision,
        ..options.clone()
    }
}

fn start(case: &Case, covariance_type: CovarianceType) -> Mixture {
    let kind = kind_of(covariance_type);
    mixture(&case.start(kind), kind)
}

/// Whether the samples determine the parameters: N ≥ 20 K (D + 1).
fn is_determined(case: &Case) -> bool {
    case.len() >= 20 * case.k() * (case.d + 1)
}

/// Components with S0 ≥ 20 (D + 1) agree, and so do the traces, in standardised units.
fn assert_close(what: &str, samples: &Samples, found: &Fit, expected: &Fit, allowed: Tolerance) {
    let mixture = &expected.mixture;
    let map = Standardisation::of(samples, mixture.covariance_type()).expect("the fit had one");
    assert_eq!(found.trace.len(), expected.trace.len(), "{what}");
    for (i, (f, e)) in found.trace.iter().zip(&expected.trace).enumerate() {
        let size = (e - map.log_determinant()).abs().max(1.0);
        assert!(
            (f - e).abs() <= allowed.trace * size,
            "{what}: trace entry {i} is {f}, expected {e}: {:e} of {size}",
            (f - e).abs() / size
        );
    }
    let enough = 20.0 * (samples.n_features() + 1) as f64;
    for k in 0..mixture.len() {
        if mixture.weights()[k] * samples.total_weight() < enough {
            continue;
        }
        let difference = Difference::of_components(mixture, k, &found.mixture, k);
        assert!(
            difference.weights <= allowed.weights
                && difference.means <= allowed.means
                && difference.covariances <= allowed.covariances,
            "{what}: component {k} differs by {difference:?}, allowed is {allowed:?}"
        );
    }
}

fn ten_iterations(case: &Case, covariance_type: CovarianceType) {
    let samples = case.samples();
    let options = plain(start(case, covariance_type), 10);
    let expected = fit(&samples, &options).expect("the reference fits");
    assert_eq!(expected.iterations, 10);
    for way in ways() {
        let what = format!("{}, {covariance_type:?}, {way:?}", case.name);
        let found = fit(&samples, &on(&options, &way)).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_close(&what, &samples, &found, &expected, way.tolerance);
    }
}

#[test]
fn ten_plain_iterations_agree_at_every_size() {
    let mut checked = 0;
    for (i, case) in matrix().filter(is_determined).enumerate() {
        ten_iterations(&case, CovarianceType::Full);
        let others = &TYPES[1..];
        if is_full() {
            others
                .iter()
                .for_each(|&other| ten_iterations(&case, other));
        } else if case.len() <= 1_000 {
            ten_iterations(&case, others[i % 3]);
        }
        checked += 1;
    }
    assert!(checked >= 8, "{checked} cases are determined");
}

#[test]
fn ten_plain_iterations_agree_on_hard_data() {
    let mut checked = 0;
    for case in hard().iter().filter(|case| is_determined(case)) {
        for covariance_type in TYPES {
            ten_iterations(case, covariance_type);
        }
        checked += 1;
    }
    assert!(checked >= 9, "{checked} cases are determined");
}

/// The reference's fit in the textbook's words.
fn reference(table: Table<'_>, start: &Parameters, kind: Kind, iterations: usize) -> textbook::Fit {
    let samples = Samples::new(table.values.to_vec(), table.d).expect("the values are finite");
    let samples = match table.weights {
        Some(weights) => samples.with_weights(weights.to_vec()),
        None => Ok(samples),
    };
    let samples = samples.expect("one weight a row");
    let found = fit(&samples, &plain(mixture(start, kind), iterations)).expect("the samples fit");
    textbook::Fit {
        parameters: parameters(&found.mixture),
        trace: found.trace,
    }
}

pub(crate) fn parameters(mixture: &Mixture) -> Parameters {
    let d = mixture.n_features();
    let rows = |values: &[f64]| values.chunks_exact(d).map(<[f64]>::to_vec).collect();
    Parameters {
        weights: mixture.weights().to_vec(),
        means: rows(mixture.means()),
        covariances: (0..mixture.len())
            .map(|k| rows(&mixture.covariance(k)))
            .collect(),
    }
}

#[test]
fn the_reference_gives_the_textbooks_fit() {
    let short = |case: &Case| {
        // 25 iterations of plain loops, for each type: the largest would take an hour.
        let products = case.len() * case.k() * case.d * case.d;
        case.len() <= 1_000 || is_full() && products <= 100_000_000
    };
    let sizes = matrix().filter(short);
    let mut checked = 0;
    for case in sizes.chain(hard()).filter(is_determined) {
        for covariance_type in TYPES {
            let kind = kind_of(covariance_type);
            let expected = textbook::fit(case.table(), &case.start(kind), kind, 25);
            let found = fit(&case.samples(), &plain(start(&case, covariance_type), 25));
            let found = found.expect("the samples fit");
            let what = format!("{}, {covariance_type:?}", case.name);
            let expected = Fit {
                mixture: mixture(&expected.parameters, kind),
                trace: expected.trace,
                ..found.clone()
            };
            assert_close(&what, &case.samples(), &found, &expected, all(1e-8));
        }
        checked += 1;
    }
    assert!(checked >= 12, "{checked} cases are determined");
}

#[test]
fn the_reference_gives_scikit_learns_figures() {
    scikit_learn::check_all(reference);
}

#[test]
fn one_component_has_the_samples_mean_and_covariance_after_one_iteration() {
    let case = ordinary(4, 1, 811);
    let (n, d) = (case.len() as f64, case.d);
    let rows = || case.values.chunks_exact(d);
    let mean: Vec<f64> = (0..d)
        .map(|a| rows().map(|row| row[a]).sum::<f64>() / n)
        .collect();
    let product = |a: usize, b: usize| -> f64 {
        rows()
            .map(|row| (row[a] - mean[a]) * (row[b] - mean[b]))
            .sum::<f64>()
            / n
    };
    let covariance = (0..d).map(|a| (0..d).map(|b| product(a, b)).collect());
    let moments = Parameters {
        weights: vec![1.0],
        means: vec![mean.clone()],
        covariances: vec![covariance.collect()],
    };
    let moments = mixture(&moments, Kind::Full);
    let options = plain(start(&case, CovarianceType::Full), 1);
    for way in ways() {
        let found = fit(&case.samples(), &on(&options, &way)).expect("the samples fit");
        let difference = Difference::between(&moments, &found.mixture);
        let allowed = way.tolerance;
        assert_eq!((found.iterations, difference.weights), (1, 0.0));
        assert!(
            difference.means <= allowed.means && difference.covariances <= allowed.covariances,
            "{way:?}: {difference:?}"
        );
    }
}

/// Two clusters of one feature, the second 1e5 times narrower than the first and 3 σ away: seen from its own
/// scale the data's centre is 1.6e5 σ away, and single precision may not go beyond 32,768.
fn beyond_single(n: usize) -> (Samples, Mixture) {
    let truth = Parameters {
        weights: vec![0.5, 0.5],
        means: vec![vec![0.0], vec![3.0]],
        covariances: vec![vec![vec![1.0]], vec![vec![1e-10]]],
    };
    let truth = mixture(&truth, Kind::Full);
    let (values, _) = truth.sample(n, &mut ChaCha8Rng::seed_from_u64(5));
    (Samples::new(values, 1).expect("finite"), truth)
}

#[test]
fn beyond_the_precision_gate_the_answer_is_that_of_double_precision_or_a_sentence() {
    let auto = |device| Way {
        device,
        precision: PrecisionChoice::Auto,
        tolerance: all(1e-8),
    };
    let hosts = [DeviceChoice::Cpu, DeviceChoice::Auto].map(auto);
    // 700,000 rows are enough work for single precision to be tried; 7,000 are not.
    for (n, events) in [(700_000, 1), (7_000, 0)] {
        let (samples, start) = beyond_single(n);
        let options = plain(start, 10);
        let expected = fit(&samples, &options).expect("the reference fits");
        for way in &hosts {
            let found = fit(&samples, &on(&options, way)).expect("double precision fits");
            let kinds: Vec<EventKind> = found.events.iter().map(|event| event.kind).collect();
            assert_eq!(
                kinds,
                vec![EventKind::Precision; events],
                "{n} rows, {way:?}"
            );
            assert_close(
                "beyond the gate",
                &samples,
                &found,
                &expected,
                way.tolerance,
            );
        }
        for way in ways() {
            let found = fit(&samples, &on(&options, &way));
            match way.precision {
                PrecisionChoice::F64 => assert!(found.is_ok(), "{way:?}"),
                _ => assert!(
                    matches!(found, Err(FitError::BeyondSingle { kappa }) if kappa > 32_768.0),
                    "{way:?}: {found:?}"
                ),
            }
        }
    }
}

#[test]
fn integer_weights_are_repeated_rows() {
    let case = ordinary(3, 3, 811);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let times: Vec<usize> = (0..case.len()).map(|_| rng.random_range(0..4)).collect();
    let repeated = case.values.chunks_exact(3).zip(&times);
    let repeated: Vec<f64> = repeated.flat_map(|(row, &n)| row.repeat(n)).collect();
    let repeated = Samples::new(repeated, 3).expect("finite");
    let weights = times.iter().map(|&n| n as f64).collect();
    let weighted = case.samples().with_weights(weights).expect("not all 0");
    for covariance_type in TYPES {
        let options = plain(start(&case, covariance_type), 10);
        let reference = Way {
            device: DeviceChoice::Reference,
            precision: PrecisionChoice::F64,
            tolerance: all(1e-9),
        };
        for mut way in ways().into_iter().chain([reference]) {
            if way.precision == PrecisionChoice::F64 {
                way.tolerance = all(1e-9);
            }
            let options = on(&options, &way);
            let expected = fit(&repeated, &options).expect("the samples fit");
            let found = fit(&weighted, &options).expect("the samples fit");
            let what = format!("{covariance_type:?}, {way:?}");
            assert_close(&what, &repeated, &found, &expected, way.tolerance);
            // BIC is −2N times the mean log-likelihood, and the same N = Σw in both.
            let n = repeated.len() as f64;
            let allowed = 2.0 * n * way.tolerance.trace * found.mean_log_likelihood.abs().max(1.0);
            let difference = (found.criteria.bic - expected.criteria.bic).abs();
            assert!(difference <= allowed, "{what}: BIC is {difference:e} off");
        }
    }
}

#[test]
fn scaled_and_shifted_features_move_the_parameters_as_the_algebra_says() {
    const SCALE: [f64; 3] = [-2.5, 1e-4, 300.0];
    const SHIFT: [f64; 3] = [10.0, -3.0, 1e3];
    let case = ordinary(3, 3, 1_237);
    let moved = |p: &Parameters| {
        let mut p = p.clone();
        for (mean, covariance) in p.means.iter_mut().zip(&mut p.covariances) {
            for a in 0..3 {
                mean[a] = SCALE[a] * mean[a] + SHIFT[a];
                (0..3).for_each(|b| covariance[a][b] *= SCALE[a] * SCALE[b]);
            }
        }
        p
    };
    let values = case.values.iter().enumerate();
    let values: Vec<f64> = values
        .map(|(i, x)| SCALE[i % 3] * x + SHIFT[i % 3])
        .collect();
    let samples = Samples::new(values, 3).expect("finite");
    let log_scales: f64 = SCALE.iter().map(|s| s.abs().ln()).sum();
    // One scale for all features is no longer one after this map.
    for covariance_type in [
        CovarianceType::Full,
        CovarianceType::Tied,
        CovarianceType::Diag,
    ] {
        let kind = kind_of(covariance_type);
        let here = plain(start(&case, covariance_type), 10);
        let there = plain(mixture(&moved(&case.start(kind)), kind), 10);
        for way in ways() {
            let mut expected = fit(&case.samples(), &on(&here, &way)).expect("the samples fit");
            expected.mixture = mixture(&moved(&parameters(&expected.mixture)), kind);
            expected.trace.iter_mut().for_each(|l| *l -= log_scales);
            let found = fit(&samples, &on(&there, &way)).expect("the samples fit");
            let what = format!("{covariance_type:?}, {way:?}");
            assert_close(&what, &samples, &found, &expected, way.tolerance);
        }
    }
}

#[test]
fn shuffled_rows_agree() {
    let case = ordinary(3, 4, 20_003);
    let mut rows: Vec<&[f64]> = case.values.chunks_exact(3).collect();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(3));
    let shuffled = Samples::new(rows.concat(), 3).expect("finite");
    let samples = case.samples();
    for covariance_type in TYPES {
        let options = plain(start(&case, covariance_type), 10);
        for way in ways() {
            let expected = fit(&samples, &on(&options, &way)).expect("the samples fit");
            let found = fit(&shuffled, &on(&options, &way)).expect("the samples fit");
            let what = format!("{covariance_type:?}, {way:?}");
            assert_close(&what, &samples, &found, &expected, all(1e-6));
        }
    }
}
