//! The reference backend against the textbook: one E-step, to 1e-10.
//!
//! Both work in f64 but on different routes: L⁻¹ multiplied or L z = x − μ solved, block by block or row by row,
//! in standardised units or the user's. Whitened coordinates are the same in all units, since a triangular map
//! turns L into the Cholesky factor of the mapped covariance.
//!
//! What may differ: a whitened coordinate by about ε κ, where κ ≤ 2e4 is the largest term it is a sum of (at
//! condition 1e6, |U| ≈ 1e3 times values of order 10; offsets cancel exactly in x − c and x − μ), and a log
//! density by |y| times that, |y| ≤ 10 where a responsibility is not 0: 2e-16 · 2e4 · 10 ≈ 5e-11 at worst, for
//! single rows; errors of many rows average. So sums may differ by 1e-10 (S0 + 1), the log-likelihood by
//! 1e-10 max(1, |ℓ|) per unit of weight.

use wgmm::backend::reference::Reference;
use wgmm::backend::{Backend, Components, Statistics};
use wgmm::data::{DataError, Samples, Standardisation};
use wgmm::mixture::CovarianceType;

use crate::cases::{Case, hard, kind_of, matrix, mixture};
use crate::textbook::{self, Expectation, Kind, Parameters, cholesky, e_step, whiten};

const TOLERANCE: f64 = 1e-10;

pub(crate) const TYPES: [CovarianceType; 4] = [
    CovarianceType::Full,
    CovarianceType::Tied,
    CovarianceType::Diag,
    CovarianceType::Spherical,
];

/// Σ r, Σ r y and Σ r y yᵀ of one component, from the textbook's responsibilities.
struct Moments {
    s0: f64,
    s1: Vec<f64>,
    s2: textbook::Matrix,
}

fn moments(case: &Case, start: &Parameters, found: &Expectation, k: usize) -> Moments {
    let d = case.d;
    let l = cholesky(&start.covariances[k]);
    let mut sums = Moments {
        s0: 0.0,
        s1: vec![0.0; d],
        s2: vec![vec![0.0; d]; d],
    };
    for (i, row) in case.values.chunks_exact(d).enumerate() {
        let weight = case.weights.as_ref().map_or(1.0, |w| w[i]);
        let r = weight * found.responsibilities[i * case.k() + k];
        let y = whiten(&l, row, &start.means[k]);
        sums.s0 += r;
        for a in 0..d {
            sums.s1[a] += r * y[a];
            (0..d).for_each(|b| sums.s2[a][b] += r * y[a] * y[b]);
        }
    }
    sums
}

/// The second moments in the shape that [`Statistics`] documents for each type.
fn expected_s2(moments: &[Moments], covariance_type: CovarianceType) -> Vec<f64> {
    let triangle = |m: &Moments| {
        let rows = m.s2.iter().enumerate();
        rows.flat_map(|(a, row)| row[..=a].to_vec()).collect()
    };
    let diagonal = |m: &Moments| (0..m.s1.len()).map(|a| m.s2[a][a]).collect::<Vec<f64>>();
    match covariance_type {
        CovarianceType::Full => moments.iter().flat_map(triangle).collect(),
        CovarianceType::Tied => {
            let triangles: Vec<Vec<f64>> = moments.iter().map(triangle).collect();
            let column = |t: usize| triangles.iter().map(|triangle| triangle[t]).sum();
            (0..triangles[0].len()).map(column).collect()
        }
        CovarianceType::Diag => moments.iter().flat_map(diagonal).collect(),
        CovarianceType::Spherical => moments.iter().map(|m| diagonal(m).iter().sum()).collect(),
    }
}

/// The worst of two lists: where, what was found, what was expected, what may differ.
fn assert_near(what: &str, found: &[f64], expected: &[f64], s0: impl Fn(usize) -> f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = (0..found.len())
        .map(|i| (i, (found[i] - expected[i]).abs() / (s0(i) + 1.0)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((i, difference)) = worst {
        assert!(
            difference <= TOLERANCE,
            "{what}, entry {i}: {} where the textbook has {}; {difference:e} (S0 + 1), allowed {TOLERANCE:e}",
            found[i],
            expected[i]
        );
    }
}

/// Compares one E-step; the textbook works in the user's units, the reference in those of `map`.
fn check(case: &Case, covariance_type: CovarianceType, map: &Standardisation) {
    let kind = kind_of(covariance_type);
    let start = case.start(kind);
    let samples = case.samples();
    let mut reference = Reference::load(&samples, map);
    let components = components(&start, kind, map);
    let found = one(reference.statistics(&[(&components).into()]));
    let expectation = e_step(case.table(), &start);
    let moments: Vec<Moments> = (0..case.k())
        .map(|k| moments(case, &start, &expectation, k))
        .collect();

    let what = |part: &str| format!("{}, {covariance_type:?}: {part}", case.name);
    let s0: Vec<f64> = moments.iter().map(|m| m.s0).collect();
    let s1: Vec<f64> = moments.iter().flat_map(|m| m.s1.clone()).collect();
    let s2 = expected_s2(&moments, covariance_type);
    let per_component = |length: usize| {
        let s0 = s0.clone();
        let each = length / s0.len();
        move |i: usize| s0.get(i / each.max(1)).copied().unwrap_or_default()
    };
    let total: f64 = s0.iter().sum();
    assert_near(&what("S0"), &found.s0, &s0, |k| s0[k]);
    assert_near(&what("S1"), &found.s1, &s1, per_component(s1.len()));
    if covariance_type == CovarianceType::Tied {
        assert_near(&what("S2"), &found.s2, &s2, |_| total);
    } else {
        assert_near(&what("S2"), &found.s2, &s2, per_component(s2.len()));
    }
    assert_near(&what("weight"), &[found.weight], &[total], |_| total);
    check_likelihood(&what("log-likelihood"), case, &expectation, &found, map);
    check_rows(
        &what("rows"),
        &expectation,
        &mut reference,
        &components,
        map,
    );
}

fn components(start: &Parameters, kind: Kind, map: &Standardisation) -> Components {
    Components::from_mixture(&mixture(start, kind), map)
}

fn one<E: std::fmt::Debug>(found: Result<Vec<Statistics>, E>) -> Statistics {
    let mut found = found.expect("the reference needs no device");
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn check_likelihood(
    what: &str,
    case: &Case,
    expectation: &Expectation,
    found: &Statistics,
    map: &Standardisation,
) {
    let log_likelihood = found.mean_log_likelihood() + map.log_determinant();
    let expected = textbook::mean_log_likelihood(case.table(), expectation);
    let size = expected.abs().max(1.0) - 1.0;
    assert_near(what, &[log_likelihood], &[expected], |_| size);
    let mut log_largest = 0.0;
    for (i, shares) in expectation
        .responsibilities
        .chunks_exact(case.k())
        .enumerate()
    {
        let weight = case.weights.as_ref().map_or(1.0, |w| w[i]);
        log_largest += weight * shares.iter().copied().fold(0.0, f64::max).ln();
    }
    let label = format!("{what}, log of the largest responsibility");
    assert_near(&label, &[found.log_largest], &[log_largest], |_| {
        found.weight
    });
}

/// Row by row: a middle range, so that its start matters.
fn check_rows(
    what: &str,
    expectation: &Expectation,
    reference: &mut Reference<'_>,
    components: &Components,
    map: &Standardisation,
) {
    let (n, k) = (expectation.log_densities.len(), components.len());
    let rows = n / 3..(n / 3 + 500).min(n);
    let mut log_densities = vec![f64::NAN; rows.len()];
    let mut responsibilities = vec![f64::NAN; rows.len() * k];
    reference
        .responsibilities(
            components,
            rows.clone(),
            &mut log_densities,
            &mut responsibilities,
        )
        .expect("the reference needs no device");
    let shifted: Vec<f64> = log_densities
        .iter()
        .map(|log| log + map.log_determinant())
        .collect();
    let expected = &expectation.log_densities[rows.clone()];
    assert_near(what, &shifted, expected, |i| expected[i].abs());
    let expected = &expectation.responsibilities[rows.start * k..rows.end * k];
    assert_near(what, &responsibilities, expected, |_| 0.0);
}

/// The map of a fit; one row alone has no spread, and is left as it is.
pub(crate) fn standardisation(
    samples: &Samples,
    covariance_type: CovarianceType,
) -> Standardisation {
    match Standardisation::of(samples, covariance_type) {
        Err(DataError::ConstantColumn { .. }) => Standardisation::identity(samples.n_features()),
        map => map.expect("the cases have columns of ordinary spread"),
    }
}

#[test]
fn one_e_step_on_hard_data() {
    for case in hard() {
        for covariance_type in TYPES {
            check(&case, covariance_type, &Standardisation::identity(case.d));
            let map = standardisation(&case.samples(), covariance_type);
            check(&case, covariance_type, &map);
        }
    }
}

#[test]
fn one_e_step_at_every_size() {
    for (i, case) in matrix().enumerate() {
        let others = if case.len() <= 1_000 {
            Some(TYPES[1 + i % 3])
        } else {
            None
        };
        for covariance_type in [CovarianceType::Full].into_iter().chain(others) {
            let map = standardisation(&case.samples(), covariance_type);
            check(&case, covariance_type, &map);
        }
    }
}
