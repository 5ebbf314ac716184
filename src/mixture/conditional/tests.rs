//! Conditioning against closed forms, and against the densities it must factor.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::mixture::CovarianceType;

const TYPES: [CovarianceType; 4] = [
    CovarianceType::Full,
    CovarianceType::Tied,
    CovarianceType::Diag,
    CovarianceType::Spherical,
];

/// A mixture of random parameters, its covariances well conditioned.
fn random(kind: CovarianceType, k: usize, d: usize, rng: &mut ChaCha8Rng) -> Mixture {
    let mut uniform = |low: f64, high: f64| rng.random_range(low..high);
    let weights: Vec<f64> = (0..k).map(|_| uniform(0.2, 1.0)).collect();
    let sum: f64 = weights.iter().sum();
    let weights = weights.iter().map(|w| w / sum).collect();
    let means = (0..k * d).map(|_| uniform(-3.0, 3.0)).collect();
    let mut matrix = || {
        let mut factor = vec![0.0; triangle::packed_len(d)];
        for i in 0..d {
            for j in 0..i {
                factor[triangle::at(i, j)] = uniform(-0.7, 0.7);
            }
            factor[triangle::at(i, i)] = uniform(0.5, 2.0);
        }
        triangle::unpack_symmetric(&triangle::square(&factor, d), d)
    };
    let covariances = match kind {
        CovarianceType::Full => Covariances::Full((0..k).flat_map(|_| matrix()).collect()),
        CovarianceType::Tied => Covariances::Tied(matrix()),
        CovarianceType::Diag => Covariances::Diag((0..k * d).map(|_| uniform(0.2, 4.0)).collect()),
        CovarianceType::Spherical => {
            Covariances::Spherical((0..k).map(|_| uniform(0.2, 4.0)).collect())
        }
    };
    let names = (0..d).map(|j| format!("f{j}")).collect();
    Mixture::new(weights, means, d, covariances)
        .and_then(|m| m.with_features(names))
        .expect("valid")
}

fn log_density(mixture: &Mixture, row: &[f64]) -> f64 {
    mixture
        .density()
        .log_density(row, &mut vec![0.0; mixture.len()])
}

#[track_caller]
fn assert_near(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn two_features_by_hand() {
    let mixture = Mixture::new(
        vec![0.25, 0.75],
        vec![0.0, 1.0, 2.0, -1.0],
        2,
        Covariances::Full(vec![1.0, 0.5, 0.5, 2.0, 4.0, -1.0, -1.0, 1.0]),
    )
    .expect("valid");
    let y = mixture.condition(&[(0, 1.5)]).expect("possible");
    assert_eq!((y.len(), y.n_features()), (2, 1));
    assert_near(y.means(), &[1.0 + 0.5 * 1.5, -1.0 + 0.25 * 0.5], 1e-15);
    assert_near(
        &[y.covariance(0), y.covariance(1)].concat(),
        &[2.0 - 0.25, 1.0 - 0.25],
        1e-15,
    );
    let (a, b) = (
        0.25 * (-0.5 * 1.5f64 * 1.5).exp(),
        0.75 / 2.0 * (-0.5 * 0.25f64 * 0.25).exp(),
    );
    assert_near(y.weights(), &[a / (a + b), b / (a + b)], 1e-15);
    // And the other way: x given y.
    let x = mixture.condition(&[(1, 0.0)]).expect("possible");
    assert_near(x.means(), &[-0.25, 2.0 - 1.0], 1e-15);
    assert_near(&x.covariance(1), &[3.0], 1e-15);
}

#[test]
fn the_joint_density_is_marginal_times_conditional() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for kind in TYPES {
        for given in [vec![0], vec![3, 1], vec![2, 0, 1]] {
            let joint = random(kind, 3, 4, &mut rng);
            let marginal = joint.marginal(&given).expect("possible");
            for _ in 0..20 {
                let row: Vec<f64> = (0..4).map(|_| rng.random_range(-5.0..5.0)).collect();
                let values: Vec<(usize, f64)> = given.iter().map(|&j| (j, row[j])).collect();
                let conditional = joint.condition(&values).expect("possible");
                assert_eq!(conditional.covariance_type(), kind);
                let seen: Vec<f64> = given.iter().map(|&j| row[j]).collect();
                let rest: Vec<f64> = (0..4)
                    .filter(|j| !given.contains(j))
                    .map(|j| row[j])
                    .collect();
                let product = log_density(&marginal, &seen) + log_density(&conditional, &rest);
                let expected = log_density(&joint, &row);
                assert!(
                    (product - expected).abs() < 1e-12 * expected.abs().max(1.0),
                    "{kind:?} {given:?}: {product} {expected}"
                );
            }
        }
    }
}

#[test]
fn two_steps_are_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for kind in TYPES {
        let mixture = random(kind, 3, 3, &mut rng);
        let once = mixture.condition(&[(2, -1.0), (0, 0.5)]).expect("possible");
        let first = mixture.condition(&[(0, 0.5)]).expect("possible");
        let names = ["f1".to_owned(), "f2".to_owned()];
        assert_eq!(first.features(), Some(&names[..]));
        let twice = first.condition(&[(1, -1.0)]).expect("possible");
        assert_eq!(once.features(), Some(&names[..1]));
        assert_eq!(once.features(), twice.features());
        assert_near(twice.weights(), once.weights(), 1e-13);
        assert_near(twice.means(), once.means(), 1e-13);
        for k in 0..3 {
            assert_near(&twice.covariance(k), &once.covariance(k), 1e-13);
        }
    }
}

#[test]
fn nothing_given_changes_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for kind in TYPES {
        let mixture = random(kind, 2, 3, &mut rng);
        let same = mixture.condition(&[]).expect("possible");
        assert_eq!(same.means(), mixture.means());
        assert_near(same.weights(), mixture.weights(), 1e-15);
        for k in 0..2 {
            assert_near(&same.covariance(k), &mixture.covariance(k), 1e-14);
        }
    }
}

#[test]
fn the_prediction_is_the_integral_over_the_joint_density() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mixture = random(CovarianceType::Full, 3, 2, &mut rng);
    let conditional = Conditional::new(&mixture, &[1]).expect("possible");
    for value in [-4.0, 0.3, 2.5] {
        // The sum over a grid is exact to rounding for functions that fall off like these.
        let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
        for i in -30_000..30_000 {
            let x = f64::from(i) * 1e-3;
            let p = log_density(&mixture, &[x, value]).exp();
            total += p;
            first += p * x;
            second += p * x * x;
        }
        let mean = first / total;
        let expected = ([mean], [(second / total - mean * mean).sqrt()]);
        let (mut mean, mut sd) = ([0.0], [0.0]);
        conditional.predict(&[value], &mut mean, &mut sd);
        assert_near(&mean, &expected.0, 1e-11);
        assert_near(&sd, &expected.1, 1e-11);
    }
}

#[test]
fn a_prediction_is_the_moments_of_the_conditional_mixture() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for kind in TYPES {
        let mixture = random(kind, 4, 5, &mut rng);
        let conditional = Conditional::new(&mixture, &[4, 1]).expect("possible");
        assert_eq!(
            (conditional.given(), conditional.remaining()),
            (&[4, 1][..], &[0, 2, 3][..])
        );
        let (mut mean, mut sd) = ([0.0; 3], [0.0; 3]);
        conditional.predict(&[0.7, -2.0], &mut mean, &mut sd);
        let expected = conditional.at(&[0.7, -2.0]).expect("possible").moments();
        assert_eq!((mean.to_vec(), sd.to_vec()), expected);
    }
}

#[test]
fn far_away_the_wider_component_is_left() {
    let mixture = Mixture::new(
        vec![0.5, 0.5, 0.0],
        vec![0.0, 1.0, 5.0, -1.0, 1e6, 0.0],
        2,
        Covariances::Diag(vec![1.0, 1.0, 4.0, 9.0, 1.0, 1.0]),
    )
    .expect("valid");
    for x in [100.0, 1e6, 1e100, 1e200, -1e250] {
        let y = mixture.condition(&[(0, x)]).expect("possible");
        assert_near(y.weights(), &[0.0, 1.0, 0.0], 1e-15);
        assert_eq!(y.moments(), (vec![-1.0], vec![3.0]));
    }
    let conditional = Conditional::new(&mixture, &[0]).expect("possible");
    let (mut mean, mut sd) = ([0.0], [0.0]);
    conditional.predict(&[1e200], &mut mean, &mut sd);
    assert_eq!((mean, sd), ([-1.0], [3.0]));
}

#[test]
fn far_away_equally_wide_components_keep_their_share() {
    // Equal distances: the weights' ratio is the prior's, though both densities are 0.
    let mixture = Mixture::new(
        vec![0.25, 0.75],
        vec![0.0, 1.0, 0.0, 2.0],
        2,
        Covariances::Tied(vec![1.0, 0.0, 0.0, 1.0]),
    )
    .expect("valid");
    let y = mixture.condition(&[(0, 1e180)]).expect("possible");
    assert_near(y.weights(), &[0.25, 0.75], 1e-15);
}

#[test]
fn values_beyond_double_precision_are_refused() {
    let mixture = Mixture::new(
        vec![1.0],
        vec![0.0, 1.0],
        2,
        Covariances::Diag(vec![1e-6, 1.0]),
    )
    .expect("valid");
    let error = mixture.condition(&[(0, 1e307)]).expect_err("too far");
    assert!(
        matches!(error, ModelError::OutOfReach { component: 0 }),
        "{error}"
    );
    let conditional = Conditional::new(&mixture, &[0]).expect("possible");
    let (mut mean, mut sd) = ([0.0], [0.0]);
    conditional.predict(&[1e307], &mut mean, &mut sd);
    assert!(mean[0].is_nan() && sd[0].is_nan());
}

#[test]
fn what_cannot_be_given_is_said_so() {
    let mixture = Mixture::new(
        vec![1.0],
        vec![0.0, 1.0],
        2,
        Covariances::Diag(vec![1.0; 2]),
    )
    .and_then(|m| m.with_features(vec!["x".into(), "y".into()]))
    .expect("valid");
    let said = |given: &[(usize, f64)]| mixture.condition(given).expect_err("wrong").to_string();
    assert_eq!(
        said(&[(7, 1.0)]),
        "no feature 7; the mixture has 2, counted from 0"
    );
    assert_eq!(said(&[(0, 1.0), (0, 1.0)]), "feature \"x\" is named twice");
    assert_eq!(
        said(&[(0, 1.0), (1, 1.0)]),
        "every feature is given; leave at least one to be described"
    );
    assert_eq!(said(&[(1, f64::NAN)]), "feature \"y\": NaN is not finite");
}

#[test]
fn what_is_left_of_nearly_singular_covariances_is_positive_definite() {
    // z = x + y up to 1e-7: subtracting would leave a variance of 1e-14 with two digits at best.
    let (l, epsilon) = ([1.0, 0.9, 0.5, 1.9, 0.5], 1e-7);
    let factor = [l[0], l[1], l[2], l[3], l[4], epsilon];
    let covariance = triangle::unpack_symmetric(&triangle::square(&factor, 3), 3);
    let mixture =
        Mixture::new(vec![1.0], vec![0.0; 3], 3, Covariances::Full(covariance)).expect("valid");
    let z = mixture.condition(&[(0, 1.0), (1, 2.0)]).expect("possible");
    let variance = z.covariance(0)[0];
    assert!((variance / 1e-14 - 1.0).abs() < 0.2, "{variance:e}");
    let rest = mixture.condition(&[(2, 1.0)]).expect("possible");
    assert_eq!(rest.covariance(0)[1], rest.covariance(0)[2]);
}
