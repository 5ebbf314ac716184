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
            let done: f64 = l[i][..j].iter().zip(&l[j]).map(|(x, y)| x * y).sum();
            let rest = a[i][j] - done;
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
    for (c, count) in counts.iter_mut().enumerate() {
        let mut sum = vec![0.0; d];
        for (i, (row, weight)) in table.rows().enumerate() {
            let r = weight * share(i, c);
            *count += r;
            (0..d).for_each(|a| sum[a] += r * row[a]);
        }
        if *count > 0.0 {
            new.means[c] = sum.iter().map(|s| s / *count).collect();
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
mod tests;
