//! The textbook's EM, two passes a step, in plain f64: responsibilities of every row are kept, means are
//! weighted averages of the rows themselves, covariances are taken about the new means in a second pass.
//!
//! It shares no code with the crate (own Cholesky factor, own log-sum-exp), so that what both agree on was
//! computed twice. Slow, and N × K numbers of memory: for tests only.

/// A square matrix by rows.
pub(crate) type Matrix = Vec<Vec<f64>>;

/// The constraint on covariances, as scikit-learn defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One matrix a component.
    Full,
    /// One matrix for all: the components' matrices weighted by their share of the samples.
    Tied,
    /// Variances a component.
    Diag,
    /// One variance a component: the average of its variances.
    Spherical,
}

/// All constraints.
pub(crate) const KINDS: [Kind; 4] = [Kind::Full, Kind::Tied, Kind::Diag, Kind::Spherical];

/// Rows to fit, N × D by rows, each with a weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    /// N × D values.
    pub values: &'a [f64],
    /// D.
    pub d: usize,
    /// N weights; every row counts 1 without them.
    pub weights: Option<&'a [f64]>,
}

impl Table<'_> {
    fn rows(&self) -> impl Iterator<Item = (&[f64], f64)> {
        let weight = |i| self.weights.map_or(1.0, |w: &[f64]| w[i]);
        let rows = self.values.chunks_exact(self.d).enumerate();
        rows.map(move |(i, row)| (row, weight(i)))
    }
}

/// A mixture; covariances are written out as K full matrices whatever constraint they obey.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters {
    /// K weights.
    pub weights: Vec<f64>,
    /// K means of D values.
    pub means: Vec<Vec<f64>>,
    /// K matrices, D × D.
    pub covariances: Vec<Matrix>,
}

/// What an E-step finds.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    /// N log densities, nats, without the rows' weights.
    pub log_densities: Vec<f64>,
    /// N × K responsibilities, without the rows' weights.
    pub responsibilities: Vec<f64>,
}

/// The lower triangle L of A = L Lᵀ.
pub(crate) fn cholesky(a: &Matrix) -> Matrix {
    let d = a.len();
    let mut l = vec![vec![0.0; d]; d];
    for j in 0..d {
        // Column by column, what is left of A below the diagonal.
        for i in j..d {
            let mut rest = a[i][j];
            for m in 0..j {
                rest -= l[i][m] * l[j][m];
            }
            if i == j {
                assert!(rest > 0.0, "pivot {j} of {a:?} is {rest}");
                l[j][j] = rest.sqrt();
            } else {
                l[i][j] = rest / l[j][j];
            }
        }
    }
    l
}

/// Solves L z = x − μ: the whitened coordinates of a row.
pub(crate) fn whiten(l: &Matrix, row: &[f64], mean: &[f64]) -> Vec<f64> {
    let mut z = Vec::with_capacity(row.len());
    for i in 0..row.len() {
        let mut rest = row[i] - mean[i];
        for (m, done) in z.iter().enumerate() {
            rest -= l[i][m] * done;
        }
        z.push(rest / l[i][i]);
    }
    z
}

/// Log densities and responsibilities of all rows.
pub(crate) fn e_step(table: Table<'_>, p: &Parameters) -> Expectation {
    let factors: Vec<Matrix> = p.covariances.iter().map(cholesky).collect();
    let mut found = Expectation {
        log_densities: Vec::new(),
        responsibilities: Vec::new(),
    };
    for (row, _) in table.rows() {
        let logs: Vec<f64> = (0..p.weights.len())
            .map(|k| p.weights[k].ln() + log_normal(&factors[k], row, &p.means[k]))
            .collect();
        let log_density = log_sum_exp(&logs);
        found.log_densities.push(log_density);
        let shares = logs.iter().map(|log| (log - log_density).exp());
        found.responsibilities.extend(shares);
    }
    found
}

/// log N(row; mean, L Lᵀ).
fn log_normal(l: &Matrix, row: &[f64], mean: &[f64]) -> f64 {
    let mut log_density = 0.0;
    for (i, z) in whiten(l, row, mean).into_iter().enumerate() {
        log_density -= 0.5 * (2.0 * std::f64::consts::PI).ln() + l[i][i].ln() + 0.5 * z * z;
    }
    log_density
}

fn log_sum_exp(logs: &[f64]) -> f64 {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + logs.iter().map(|log| (log - top).exp()).sum::<f64>().ln()
}

/// The parameters that maximise the expected log-likelihood. A component without samples keeps its mean and
/// covariance and gets weight 0.
pub(crate) fn m_step(
    table: Table<'_>,
    found: &Expectation,
    old: &Parameters,
    kind: Kind,
) -> Parameters {
    let (k, d) = (old.weights.len(), table.d);
    let share = |i: usize, c: usize| found.responsibilities[i * k + c];
    let mut new = old.clone();
    let mut counts = vec![0.0; k];
    for c in 0..k {
        let mut sum = vec![0.0; d];
        for (i, (row, weight)) in table.rows().enumerate() {
            let r = weight * share(i, c);
            counts[c] += r;
            (0..d).for_each(|a| sum[a] += r * row[a]);
        }
        if counts[c] > 0.0 {
            new.means[c] = sum.iter().map(|s| s / counts[c]).collect();
        }
    }
    let total: f64 = table.rows().map(|(_, weight)| weight).sum();
    new.weights = counts.iter().map(|count| count / total).collect();
    for c in (0..k).filter(|&c| counts[c] > 0.0) {
        let mut scatter = vec![vec![0.0; d]; d];
        for (i, (row, weight)) in table.rows().enumerate() {
            let r = weight * share(i, c);
            for a in 0..d {
                for b in 0..d {
                    scatter[a][b] += r * (row[a] - new.means[c][a]) * (row[b] - new.means[c][b]);
                }
            }
        }
        scatter.iter_mut().flatten().for_each(|s| *s /= counts[c]);
        new.covariances[c] = scatter;
    }
    // A component without samples has weight 0 in the tied average; diagonals of its kept matrix are diagonal.
    constrained(&new, kind)
}

/// The same mixture with its covariances replaced by the nearest of this kind, as an M-step would see them.
pub(crate) fn constrained(p: &Parameters, kind: Kind) -> Parameters {
    let d = p.means[0].len();
    let diagonal = |value: &dyn Fn(usize) -> f64| {
        let entry = |a, b| if a == b { value(a) } else { 0.0 };
        (0..d)
            .map(|a| (0..d).map(|b| entry(a, b)).collect())
            .collect()
    };
    let covariances = match kind {
        Kind::Full => p.covariances.clone(),
        Kind::Tied => {
            let mut average = vec![vec![0.0; d]; d];
            for (weight, covariance) in p.weights.iter().zip(&p.covariances) {
                for a in 0..d {
                    (0..d).for_each(|b| average[a][b] += weight * covariance[a][b]);
                }
            }
            vec![average; p.weights.len()]
        }
        Kind::Diag => (p.covariances.iter())
            .map(|s| diagonal(&|a| s[a][a]))
            .collect(),
        Kind::Spherical => (p.covariances.iter())
            .map(|s| {
                let variance = (0..d).map(|a| s[a][a]).sum::<f64>() / d as f64;
                diagonal(&|_| variance)
            })
            .collect(),
    };
    Parameters {
        covariances,
        ..p.clone()
    }
}

/// Σ w log density / Σ w, nats.
pub(crate) fn mean_log_likelihood(table: Table<'_>, found: &Expectation) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for ((_, weight), log_density) in table.rows().zip(&found.log_densities) {
        sum += weight * log_density;
        total += weight;
    }
    sum / total
}

/// What an EM run leaves behind.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// Parameters after the last M-step.
    pub parameters: Parameters,
    /// Mean log-likelihoods of the start and after each of the iterations, n + 1 values.
    pub trace: Vec<f64>,
}

/// `n` plain EM iterations.
pub(crate) fn fit(table: Table<'_>, start: &Parameters, kind: Kind, n: usize) -> Fit {
    let mut parameters = start.clone();
    let mut trace = Vec::new();
    for _ in 0..n {
        let found = e_step(table, &parameters);
        trace.push(mean_log_likelihood(table, &found));
        parameters = m_step(table, &found, &parameters, kind);
    }
    trace.push(mean_log_likelihood(table, &e_step(table, &parameters)));
    Fit { parameters, trace }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(p.covariances, [vec![vec![xx, xy], vec![xy, yy]]], "{kind:?}");
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
        p.covariances.iter().for_each(|s| assert_near(s[0][0], 2.0, 2.0));
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
}
