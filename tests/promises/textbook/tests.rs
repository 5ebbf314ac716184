//! The textbook against what can be worked out by hand.

use super::*;

fn table(values: &[f64], d: usize) -> Table<'_> {
    Table {
        values,
        d,
        weights: None,
    }
}

fn unit_variances(means: [f64; 2]) -> Parameters {
    Parameters {
        weights: vec![0.5, 0.5],
        means: means.iter().map(|m| vec![*m]).collect(),
        covariances: vec![vec![vec![1.0]]; 2],
    }
}

/// A few roundings of numbers of order `size`.
fn assert_near(found: f64, expected: f64, size: f64) {
    assert!(
        (found - expected).abs() <= 1e-14 * size,
        "{found} is not {expected}"
    );
}

#[test]
fn a_bivariate_normal_by_hand() {
    // Σ = [4 2; 2 3] has determinant 8 and inverse [3 −2; −2 4]/8; for x − μ = (2, 1) the square is 1.
    let l = cholesky(&vec![vec![4.0, 2.0], vec![2.0, 3.0]]);
    let expected = -(2.0 * std::f64::consts::PI).ln() - 0.5 * 8f64.ln() - 0.5;
    assert_near(log_normal(&l, &[5.0, 0.0], &[3.0, -1.0]), expected, 4.0);
}

#[test]
fn one_component_is_the_mean_and_covariance_of_the_rows() {
    // Rows (0,0), (2,0), (0,4), (2,8): means 1 and 3, variances 1 and 11, covariance (3 − 3 − 1 + 5)/4 = 1.
    let values = [0.0, 0.0, 2.0, 0.0, 0.0, 4.0, 2.0, 8.0];
    let start = Parameters {
        weights: vec![1.0],
        means: vec![vec![7.0, -3.0]],
        covariances: vec![vec![vec![9.0, 1.0], vec![1.0, 5.0]]],
    };
    for (kind, expected) in [
        (Kind::Full, [1.0, 1.0, 11.0]),
        (Kind::Tied, [1.0, 1.0, 11.0]),
        (Kind::Diag, [1.0, 0.0, 11.0]),
        (Kind::Spherical, [6.0, 0.0, 6.0]),
    ] {
        let start = constrained(&start, kind);
        let p = fit(table(&values, 2), &start, kind, 1).parameters;
        assert_eq!(
            (p.weights, p.means),
            (vec![1.0], vec![vec![1.0, 3.0]]),
            "{kind:?}"
        );
        let [xx, xy, yy] = expected;
        assert_eq!(
            p.covariances,
            [vec![vec![xx, xy], vec![xy, yy]]],
            "{kind:?}"
        );
    }
}

#[test]
fn two_rows_between_two_components_by_hand() {
    // Rows ∓1, means ∓1, variances 1: the near component's responsibility is 1/(1 + e⁻²), so the means
    // become ∓tanh 1 and the variances 1 − tanh² 1.
    let values = [-1.0, 1.0];
    let start = unit_variances([-1.0, 1.0]);
    let near = 1.0 / (1.0 + (-2f64).exp());
    let found = e_step(table(&values, 1), &start);
    assert_near(found.responsibilities[0], near, 1.0);
    assert_near(found.responsibilities[1], 1.0 - near, 1.0);
    let density = (0.5 + 0.5 * (-2f64).exp()) / (2.0 * std::f64::consts::PI).sqrt();
    assert_near(found.log_densities[1], density.ln(), 2.0);
    for kind in KINDS {
        let p = fit(table(&values, 1), &start, kind, 1).parameters;
        let t = 1f64.tanh();
        assert_near(p.weights[0], 0.5, 1.0);
        assert_near(p.means[0][0], -t, 1.0);
        assert_near(p.means[1][0], t, 1.0);
        assert_near(p.covariances[1][0][0], 1.0 - t * t, 1.0);
    }
}

#[test]
fn tied_averages_by_share_and_an_empty_component_stays() {
    // Three rows about 1 (variance 2/3), one pair about 1002 (variance 4): 3/5 · 2/3 + 2/5 · 4 = 2.
    // 1,000 σ apart no responsibility is shared; nothing is near the third component.
    let values = [0.0, 1.0, 2.0, 1000.0, 1004.0];
    let mut start = unit_variances([0.0, 1000.0]);
    start.weights = vec![0.4, 0.4, 0.2];
    start.means.push(vec![-5000.0]);
    start.covariances.push(vec![vec![7.0]]);
    let full = fit(table(&values, 1), &start, Kind::Full, 1);
    assert_eq!(full.trace.len(), 2);
    let p = full.parameters;
    assert_eq!(p.means, [[1.0], [1002.0], [-5000.0]]);
    assert_near(p.covariances[0][0][0], 2.0 / 3.0, 1.0);
    assert_eq!(p.covariances[1..], [[[4.0]], [[7.0]]]);
    assert_eq!(p.weights, [0.6, 0.4, 0.0]);
    let p = fit(table(&values, 1), &start, Kind::Tied, 1).parameters;
    p.covariances
        .iter()
        .for_each(|s| assert_near(s[0][0], 2.0, 2.0));
}

#[test]
fn integer_weights_are_repeated_rows() {
    let start = unit_variances([0.0, 2.0]);
    let (values, weights) = ([0.5, -1.0, 3.0, 9.0, 1.25], [2.0, 1.0, 3.0, 0.0, 2.0]);
    let weighted = Table {
        weights: Some(&weights),
        ..table(&values, 1)
    };
    let repeated = [0.5, 0.5, -1.0, 3.0, 3.0, 3.0, 1.25, 1.25];
    let (a, b) = (
        fit(weighted, &start, Kind::Full, 2),
        fit(table(&repeated, 1), &start, Kind::Full, 2),
    );
    for k in 0..2 {
        assert_near(a.parameters.weights[k], b.parameters.weights[k], 10.0);
        assert_near(a.parameters.means[k][0], b.parameters.means[k][0], 30.0);
        let variances = [&a, &b].map(|fit| fit.parameters.covariances[k][0][0]);
        assert_near(variances[0], variances[1], 90.0);
    }
    for (a, b) in a.trace.iter().zip(&b.trace) {
        assert_near(*a, *b, 10.0);
    }
}
