//! The mixture of some features once the others are known: Gaussian mixture regression.
//!
//! With the given features first, the Cholesky factor of a covariance is [G 0; A R]: y = G⁻¹(x − μ_g) whitens the
//! given values, μ_r + A y is the mean of the rest and R the factor of its covariance. Nothing is subtracted, so
//! what is left is positive definite like what was there.

use super::covariance::cholesky;
use super::moments::moments;
use super::{Covariances, Mixture, ModelError, triangle};

/// A mixture made ready for conditioning on some of its features, row after row.
///
/// # Examples
/// ```
/// use wgmm::mixture::{Conditional, Covariances, Mixture};
/// let plane = Mixture::new(vec![1.0], vec![1.0, 2.0], 2, Covariances::Full(vec![4.0, 2.0, 2.0, 5.0]))?;
/// let y_by_x = Conditional::new(&plane, &[0])?;
/// let (mut mean, mut sd) = ([0.0], [0.0]);
/// y_by_x.predict(&[3.0], &mut mean, &mut sd);
/// assert_eq!((mean, sd), ([3.0], [2.0]));
/// # Ok::<(), wgmm::mixture::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conditional {
    /// The mixture of the remaining features: weights and means as long as nothing is known, covariances once
    /// the given values are, since these do not depend on them.
    rest: Mixture,
    /// Standard deviations of `rest`, K × R.
    sds: Vec<f64>,
    given: Vec<usize>,
    remaining: Vec<usize>,
    /// Means of the given features, K × G.
    means: Vec<f64>,
    /// One a component, or one for all.
    factors: Vec<Factor>,
    /// Log weight less log determinant of G.
    log_constants: Vec<f64>,
}

/// The parts of a covariance's Cholesky factor, given features first.
#[derive(Clone, Debug)]
struct Factor {
    /// G, packed.
    given: Vec<f64>,
    /// A, row-major.
    across: Vec<f64>,
    /// R, packed.
    rest: Vec<f64>,
}

impl Mixture {
    /// The mixture of the other features, in their order, once these have these values. Names and the
    /// covariances' type stay.
    ///
    /// # Errors
    /// A feature that there is not, one twice, all of them, or a value that is not finite or too far away to
    /// compute with.
    ///
    /// # Examples
    /// ```
    /// use wgmm::mixture::{Covariances, Mixture};
    /// let plane = Mixture::new(vec![1.0], vec![1.0, 2.0], 2, Covariances::Full(vec![4.0, 2.0, 2.0, 5.0]))?;
    /// let y = plane.condition(&[(0, 3.0)])?;
    /// assert_eq!((y.mean(0), y.covariance(0)), (&[3.0][..], vec![4.0]));
    /// # Ok::<(), wgmm::mixture::ModelError>(())
    /// ```
    pub fn condition(&self, given: &[(usize, f64)]) -> Result<Mixture, ModelError> {
        let (features, values): (Vec<usize>, Vec<f64>) = given.iter().copied().unzip();
        let conditional = Conditional::new(self, &features)?;
        if let Some((feature, found)) = given.iter().find(|(_, value)| !value.is_finite()) {
            return Err(ModelError::Given {
                name: self.feature_name(*feature),
                found: *found,
            });
        }
        conditional.at(&values)
    }
}

impl Conditional {
    /// Makes a mixture ready for values of these features.
    ///
    /// # Errors
    /// A feature that there is not, one twice, all of them, or a covariance so near to singular that it has no
    /// Cholesky factor in this order, or a noise component.
    pub fn new(mixture: &Mixture, given: &[usize]) -> Result<Self, ModelError> {
        if mixture.noise().is_some() {
            return Err(ModelError::NoisyCondition);
        }
        let chosen = mixture.chosen(given)?;
        let remaining: Vec<usize> = (0..chosen.len()).filter(|&j| !chosen[j]).collect();
        if remaining.is_empty() {
            return Err(ModelError::NothingLeft);
        }
        let factors = match mixture.covariances() {
            Covariances::Tied(_) => 1,
            _ => mixture.len(),
        };
        let factors = (0..factors)
            .map(|k| Factor::of(mixture, k, given, &remaining))
            .collect::<Result<Vec<_>, _>>()?;
        let pick = |values: &[f64], features: &[usize]| -> Vec<f64> {
            values
                .chunks_exact(mixture.n_features())
                .flat_map(|row| features.iter().map(|&j| row[j]))
                .collect()
        };
        let left = || factors.iter().flat_map(Factor::left).collect();
        let covariances = match mixture.covariances() {
            Covariances::Full(_) => Covariances::Full(left()),
            Covariances::Tied(_) => Covariances::Tied(left()),
            Covariances::Diag(v) => Covariances::Diag(pick(v, &remaining)),
            Covariances::Spherical(v) => Covariances::Spherical(v.clone()),
        };
        let rest =
            mixture.of_features(&remaining, pick(mixture.means(), &remaining), covariances)?;
        let log_constants = mixture
            .weights()
            .iter()
            .enumerate()
            .map(|(k, weight)| weight.ln() - factors[k.min(factors.len() - 1)].log_det())
            .collect();
        Ok(Self {
            sds: rest.standard_deviations(),
            rest,
            given: given.to_vec(),
            means: pick(mixture.means(), given),
            remaining,
            factors,
            log_constants,
        })
    }

    /// The given features, in the order in which their values are expected.
    pub fn given(&self) -> &[usize] {
        &self.given
    }

    /// The remaining features, in the mixture's order.
    pub fn remaining(&self) -> &[usize] {
        &self.remaining
    }

    /// The mixture of the remaining features, one value a given feature known.
    ///
    /// # Errors
    /// Not one value a given feature, or values that are not finite or too far away to compute with.
    pub fn at(&self, values: &[f64]) -> Result<Mixture, ModelError> {
        if values.len() != self.given.len() {
            return Err(ModelError::Shape {
                what: "given values",
                found: values.len(),
                expected: self.given.len(),
            });
        }
        let mut mixture = self.rest.clone();
        let mut whitened = vec![0.0; self.means.len()];
        self.weigh(values, &mut whitened, &mut mixture.weights);
        self.shift(&whitened, &mut mixture.means);
        let r = self.remaining.len();
        let far = (0..mixture.len()).find(|&k| {
            let means = &mixture.means[k * r..(k + 1) * r];
            !(mixture.weights[k].is_finite() && means.iter().all(|m| m.is_finite()))
        });
        match far {
            Some(component) => Err(ModelError::OutOfReach { component }),
            None => Ok(mixture),
        }
    }

    /// Into `mean` and `sd` (R values each) the mean and the standard deviation of each remaining feature, the
    /// given ones having the values of `row`. All are NaN where values are not finite or too far away to compute
    /// with.
    ///
    /// # Panics
    /// If `row` has not one value a given feature, or `mean` or `sd` not one place a remaining one.
    pub fn predict(&self, row: &[f64], mean: &mut [f64], sd: &mut [f64]) {
        assert_eq!(
            (row.len(), mean.len(), sd.len()),
            (self.given.len(), self.remaining.len(), self.remaining.len()),
            "one value a feature"
        );
        let mut whitened = vec![0.0; self.means.len()];
        let mut weights = vec![0.0; self.rest.len()];
        let mut means = self.rest.means.clone();
        self.weigh(row, &mut whitened, &mut weights);
        self.shift(&whitened, &mut means);
        if weights.iter().all(|w| w.is_finite()) {
            moments(&weights, &means, &self.sds, mean, sd);
        } else {
            mean.fill(f64::NAN);
            sd.fill(f64::NAN);
        }
    }

    fn factor(&self, k: usize) -> &Factor {
        &self.factors[k.min(self.factors.len() - 1)]
    }

    /// Whitens the given values by each component (K × G), and weighs the components by their densities there.
    /// Weights are not finite where a distance overflows.
    fn weigh(&self, values: &[f64], whitened: &mut [f64], weights: &mut [f64]) {
        let g = self.given.len();
        for (k, weight) in weights.iter_mut().enumerate() {
            let y = &mut whitened[k * g..(k + 1) * g];
            for ((y, x), m) in y.iter_mut().zip(values).zip(&self.means[k * g..]) {
                *y = x - m;
            }
            triangle::solve_in_place(&self.factor(k).given, y);
            *weight = norm(y);
        }
        // Differences from the nearest component: far away, densities are 0 but their ratios are not.
        let possible = (0..weights.len()).filter(|&k| self.log_constants[k] > f64::NEG_INFINITY);
        let Some(nearest) = possible.min_by(|&a, &b| weights[a].total_cmp(&weights[b])) else {
            return;
        };
        let (distance, constant) = (weights[nearest], self.log_constants[nearest]);
        for (w, c) in weights.iter_mut().zip(&self.log_constants) {
            *w = c - constant + (distance - *w) * (0.5 * distance + 0.5 * *w);
        }
        let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        weights.iter_mut().for_each(|w| *w = (*w - largest).exp());
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
    }

    /// Moves the means of the remaining features to where the whitened values draw them.
    fn shift(&self, whitened: &[f64], means: &mut [f64]) {
        let (g, r) = (self.given.len(), self.remaining.len());
        if g == 0 {
            return;
        }
        for (k, means) in means.chunks_exact_mut(r).enumerate() {
            let y = &whitened[k * g..(k + 1) * g];
            let rows = self.factor(k).across.chunks_exact(g);
            for (mean, row) in means.iter_mut().zip(rows) {
                *mean += row.iter().zip(y).map(|(a, y)| a * y).sum::<f64>();
            }
        }
    }
}

impl Factor {
    fn of(
        mixture: &Mixture,
        k: usize,
        given: &[usize],
        remaining: &[usize],
    ) -> Result<Self, ModelError> {
        let (d, g) = (mixture.n_features(), given.len());
        let covariance = mixture.covariance(k);
        let order: Vec<usize> = given.iter().chain(remaining).copied().collect();
        let permuted: Vec<f64> = order
            .iter()
            .flat_map(|&i| order.iter().map(move |&j| i * d + j))
            .map(|at| covariance[at])
            .collect();
        let factor = cholesky(&permuted, k, d)?;
        let row = |i: usize| &factor[triangle::at(i, 0)..=triangle::at(i, i)];
        Ok(Self {
            given: factor[..triangle::packed_len(g)].to_vec(),
            across: (g..d).flat_map(|i| row(i)[..g].to_vec()).collect(),
            rest: (g..d).flat_map(|i| row(i)[g..].to_vec()).collect(),
        })
    }

    /// The log determinant of G.
    fn log_det(&self) -> f64 {
        let mut log_det = 0.0;
        let mut i = 0;
        while triangle::at(i, i) < self.given.len() {
            log_det += self.given[triangle::at(i, i)].ln();
            i += 1;
        }
        log_det
    }

    /// R Rᵀ, the covariance that is left, as a full matrix.
    fn left(&self) -> Vec<f64> {
        // T = r(r + 1)/2.
        let r = (2 * self.rest.len()).isqrt();
        triangle::unpack_symmetric(&triangle::square(&self.rest, r), r)
    }
}

/// The length of a vector, without squares that overflow.
fn norm(y: &[f64]) -> f64 {
    let largest = y.iter().fold(0.0f64, |m, y| m.max(y.abs()));
    if largest == 0.0 || y.iter().any(|y| !y.is_finite()) {
        // 0, or what is not finite.
        return y.iter().map(|y| y.abs()).sum();
    }
    largest * y.iter().map(|y| (y / largest).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests;
