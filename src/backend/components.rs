//! The parameters of a mixture in the form that EM works with: standardised units, inverse factors.

use std::borrow::Cow;

use crate::data::Standardisation;
use crate::mixture::{CovarianceType, Covariances, Mixture, ModelError, Noise, triangle};

use super::Precision;

/// Stands for log 0: far below any log density, and finite, so that responsibilities become exactly 0.
pub const LOG_ZERO: f64 = -1e30;

/// K Gaussians in standardised units: weights, means and inverse Cholesky factors U = L⁻¹ of the covariances
/// Σ = L Lᵀ, so that y = U (x − μ) is white.
///
/// A noise component is one more, the last: its mean and factor are zeros, so that y = 0 everywhere, and its log
/// constant is that of its density. Kernels need not know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// Which constraint the covariances obey.
    pub covariance_type: CovarianceType,
    /// D.
    pub n_features: usize,
    /// One weight a component, ≥ 0, summing to 1.
    pub weights: Vec<f64>,
    /// D numbers of each mean.
    pub means: Vec<f64>,
    /// The inverse factors U, each a lower triangle packed by rows (T numbers), or its diagonal (D numbers) where
    /// covariances are diagonal or spherical.
    pub factors: Vec<f64>,
    /// What the last component is uniform over, if it is noise.
    pub noise: Option<NoiseBox>,
}

/// The box of a noise component.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseBox {
    /// Least values of the features, in the data's units.
    pub lower: Vec<f64>,
    /// Largest values.
    pub upper: Vec<f64>,
    /// −Σ log range in standardised units, nats.
    pub log_density: f64,
}

impl NoiseBox {
    /// A box given in the data's units.
    pub fn new(lower: Vec<f64>, upper: Vec<f64>, map: &Standardisation) -> Self {
        let ranges = lower.iter().zip(&upper);
        let log_volume: f64 = ranges.map(|(low, high)| (high - low).ln()).sum();
        Self {
            log_density: -log_volume - map.log_determinant(),
            lower,
            upper,
        }
    }
}

/// A covariance formed from its factor, with a Cholesky factor of its own. Where one direction is some 1e16 times
/// narrower than the features that make it up, rounding of the entries may leave none; the diagonal then grows
/// by as many last places as it takes.
fn representable(mut covariance: Vec<f64>, d: usize) -> Vec<f64> {
    let mut share = 4.0 * d as f64 * f64::EPSILON;
    while share < 1e-9 && triangle::cholesky(&covariance, d).is_err() {
        (0..d).for_each(|i| covariance[triangle::at(i, i)] *= 1.0 + share);
        share *= 2.0;
    }
    covariance
}

/// Whether a packed triangle holds zeros off the diagonal.
fn is_diagonal(factor: &[f64], d: usize) -> bool {
    (0..d).all(|i| (0..i).all(|j| factor[triangle::at(i, j)] == 0.0))
}

impl Components {
    /// A mixture in standardised units.
    pub fn from_mixture(mixture: &Mixture, map: &Standardisation) -> Self {
        let d = mixture.n_features();
        let mut means = Vec::with_capacity(mixture.means().len());
        for k in 0..mixture.len() {
            let mut mean = mixture.mean(k).to_vec();
            map.apply(&mut mean);
            means.extend(mean);
        }
        let covariance_type = mixture.covariance_type();
        let mut components = Self {
            covariance_type,
            n_features: d,
            weights: mixture.weights().to_vec(),
            means,
            factors: vec![0.0; mixture.len() * covariance_type.factor_len(d)],
            noise: None,
        };
        for k in 0..mixture.len() {
            let factor = triangle::invert(&mixture.cholesky(k), d);
            components.set_factor(k, &map.apply_to_factor(&factor));
        }
        match mixture.noise() {
            None => components,
            Some(noise) => {
                let space = NoiseBox::new(noise.lower.clone(), noise.upper.clone(), map);
                components.and_noise(space, noise.weight)
            }
        }
    }

    /// These and a noise component of this weight; the others keep theirs.
    #[must_use]
    pub fn and_noise(mut self, space: NoiseBox, weight: f64) -> Self {
        let d = self.n_features;
        self.weights.push(weight);
        self.means.resize(self.means.len() + d, 0.0);
        let length = self.factors.len() + self.covariance_type.factor_len(d);
        self.factors.resize(length, 0.0);
        self.noise = Some(space);
        self
    }

    /// The mixture in the user's units.
    ///
    /// # Errors
    /// A covariance that f64 cannot hold in the user's units.
    pub fn to_mixture(&self, map: &Standardisation) -> Result<Mixture, ModelError> {
        let d = self.n_features;
        let k = self.gaussians();
        let means = self.means[..k * d]
            .chunks_exact(d)
            .flat_map(|mean| map.restore(mean))
            .collect();
        let full = |k: usize| {
            let l = map.restore_factor(&triangle::invert(&self.factor(k), d));
            triangle::unpack_symmetric(&representable(triangle::square(&l, d), d), d)
        };
        let all = 0..k;
        let covariances = match self.covariance_type {
            CovarianceType::Full => Covariances::Full(all.flat_map(full).collect()),
            CovarianceType::Tied => Covariances::Tied(full(0)),
            CovarianceType::Diag => Covariances::Diag(
                all.flat_map(|k| full(k).into_iter().step_by(d + 1))
                    .collect(),
            ),
            CovarianceType::Spherical => Covariances::Spherical(all.map(|k| full(k)[0]).collect()),
        };
        let noise = self.noise.as_ref().map(|space| Noise {
            weight: self.weights[k],
            lower: space.lower.clone(),
            upper: space.upper.clone(),
        });
        Mixture::with_noise(self.weights[..k].to_vec(), means, d, covariances, noise)
    }

    /// K: the components that are Gaussians.
    pub fn gaussians(&self) -> usize {
        self.len() - usize::from(self.noise.is_some())
    }

    /// All components, a noise component counted.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a mixture has at least one component"
    )]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// The mean of component `k`.
    pub fn mean(&self, k: usize) -> &[f64] {
        &self.means[k * self.n_features..(k + 1) * self.n_features]
    }

    /// The inverse factor U of component `k` as a packed triangle.
    pub fn factor(&self, k: usize) -> Cow<'_, [f64]> {
        let kept = self.kept_factor(k);
        if !self.covariance_type.is_diagonal() {
            return Cow::Borrowed(kept);
        }
        let mut factor = vec![0.0; triangle::packed_len(kept.len())];
        for (i, u) in kept.iter().enumerate() {
            factor[triangle::at(i, i)] = *u;
        }
        Cow::Owned(factor)
    }

    /// The numbers of it that are kept.
    pub fn kept_factor(&self, k: usize) -> &[f64] {
        let length = self.covariance_type.factor_len(self.n_features);
        &self.factors[k * length..(k + 1) * length]
    }

    /// Whether all components have the same factor: of tied covariances a noise component has one of its own.
    pub fn share_a_factor(&self) -> bool {
        (1..self.len()).all(|k| self.kept_factor(k) == self.kept_factor(0))
    }

    /// Replaces the factor of component `k` by a packed triangle, diagonal where covariances are.
    pub fn set_factor(&mut self, k: usize, factor: &[f64]) {
        let length = self.covariance_type.factor_len(self.n_features);
        let to = &mut self.factors[k * length..(k + 1) * length];
        if self.covariance_type.is_diagonal() {
            debug_assert!(is_diagonal(factor, length));
            (0..length).for_each(|i| to[i] = factor[triangle::at(i, i)]);
        } else {
            to.copy_from_slice(factor);
        }
    }

    /// U x.
    pub fn apply_factor(&self, k: usize, x: &[f64]) -> Vec<f64> {
        let factor = self.kept_factor(k);
        match self.covariance_type.is_diagonal() {
            true => factor.iter().zip(x).map(|(u, x)| u * x).collect(),
            false => triangle::apply(factor, x),
        }
    }

    /// U⁻¹ y.
    pub fn solve_factor(&self, k: usize, y: &[f64]) -> Vec<f64> {
        let factor = self.kept_factor(k);
        match self.covariance_type.is_diagonal() {
            true => factor.iter().zip(y).map(|(u, y)| y / u).collect(),
            false => triangle::solve(factor, y),
        }
    }

    /// The diagonal of U.
    pub fn diagonal(&self, k: usize) -> impl Iterator<Item = f64> {
        let (factor, is_diagonal) = (self.kept_factor(k), self.covariance_type.is_diagonal());
        (0..self.n_features).map(move |i| factor[if is_diagonal { i } else { triangle::at(i, i) }])
    }

    /// Per component log weight + log det U − D/2 log 2π: the log of weight × density at the mean.
    /// [`LOG_ZERO`] where the weight is 0.
    pub fn log_constants(&self) -> Vec<f64> {
        let half_log_tau = 0.5 * std::f64::consts::TAU.ln();
        (0..self.len())
            .map(|k| {
                if self.weights[k] == 0.0 {
                    return LOG_ZERO;
                }
                if let (Some(space), true) = (&self.noise, k == self.gaussians()) {
                    return self.weights[k].ln() + space.log_density;
                }
                let log_det: f64 = self.diagonal(k).map(f64::ln).sum();
                self.weights[k].ln() + log_det - self.n_features as f64 * half_log_tau
            })
            .collect()
    }

    /// Rounds the factors to what a device of this precision can hold, so that statistics, log determinants
    /// and updates all belong to the same parameters.
    pub fn round_to(&mut self, precision: Precision) {
        if precision == Precision::F32 {
            self.factors
                .iter_mut()
                .for_each(|u| *u = f64::from(*u as f32));
        }
    }

    /// The precision gate's κ: max over components and features of Σ_l |U_jl| (|μ_l| + 3 √Σ_ll), about how
    /// large the terms of a whitened coordinate get. Single precision costs about D κ² 6e-16 nats.
    pub fn kappa(&self) -> f64 {
        let all = (0..self.gaussians()).filter(|&k| self.weights[k] > 0.0);
        all.map(|k| self.kappa_of(k)).fold(0.0, f64::max)
    }

    /// The same of component `k` alone.
    fn kappa_of(&self, k: usize) -> f64 {
        self.reach_of(k, |terms| terms.iter().sum())
    }

    /// The same with the root of the sum of squares in place of the sum: how large the terms' rounding errors get, as far as they
    /// are independent.
    pub fn quadratic_kappa_of(&self, k: usize) -> f64 {
        self.reach_of(k, |terms| terms.iter().map(|t| t * t).sum::<f64>().sqrt())
    }

    /// The largest `norm` of the terms |U_jl| (|μ_l| + 3 √Σ_ll) of a coordinate.
    fn reach_of(&self, k: usize, norm: impl Fn(&[f64]) -> f64) -> f64 {
        let d = self.n_features;
        if self.covariance_type.is_diagonal() {
            // u √Σ is 1; of noise u is 0, and κ of no use.
            let terms = self.kept_factor(k).iter().zip(self.mean(k));
            return terms
                .map(|(u, mean)| norm(&[(u * mean).abs() + 3.0]))
                .fold(0.0, f64::max);
        }
        let factor = self.factor(k);
        let l = triangle::invert(&factor, d);
        let reach: Vec<f64> = (0..d)
            .map(|j| {
                let row = &l[triangle::at(j, 0)..=triangle::at(j, j)];
                self.mean(k)[j].abs() + 3.0 * row.iter().map(|x| x * x).sum::<f64>().sqrt()
            })
            .collect();
        let of = |i: usize| {
            let row = &factor[triangle::at(i, 0)..=triangle::at(i, i)];
            let terms: Vec<f64> = row.iter().zip(&reach).map(|(u, r)| u.abs() * r).collect();
            norm(&terms)
        };
        (0..d).map(of).fold(0.0, f64::max)
    }
}
