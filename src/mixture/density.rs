//! Log densities and responsibilities of a mixture in f64, row by row.

use super::{Mixture, Noise, triangle};

/// A mixture made ready for evaluating densities: inverse factors and log constants, computed once.
///
/// # Examples
/// ```
/// use wgmm::mixture::{Covariances, Mixture};
/// let normal = Mixture::new(vec![1.0], vec![0.0], 1, Covariances::Full(vec![1.0]))?;
/// let density = normal.density();
/// let mut responsibilities = [0.0];
/// let log_density = density.responsibilities(&[0.0], &mut responsibilities);
/// assert!((log_density + 0.5 * std::f64::consts::TAU.ln()).abs() < 1e-15);
/// # Ok::<(), wgmm::mixture::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Density {
    n_features: usize,
    means: Vec<f64>,
    factors: Vec<f64>,
    log_constants: Vec<f64>,
    noise: Option<Noise>,
}

impl Mixture {
    /// Makes the mixture ready for evaluating densities.
    pub fn density(&self) -> Density {
        let d = self.n_features();
        let mut factors = Vec::with_capacity(self.len() * triangle::packed_len(d));
        let mut log_constants = Vec::with_capacity(self.len());
        for (k, weight) in self.weights().iter().enumerate() {
            let inverse = triangle::invert(&self.cholesky(k), d);
            let half_log_det: f64 = (0..d).map(|i| inverse[triangle::at(i, i)].ln()).sum();
            log_constants
                .push(weight.ln() + half_log_det - 0.5 * d as f64 * std::f64::consts::TAU.ln());
            factors.extend(inverse);
        }
        Density {
            n_features: d,
            means: self.means().to_vec(),
            factors,
            log_constants,
            noise: self.noise().cloned(),
        }
    }
}

impl Density {
    /// How many responsibilities a row has: K, and last the noise's if there is one.
    #[expect(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.log_constants.len() + usize::from(self.noise.is_some())
    }

    /// D.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The log density (nats) of one row of D values, and into `responsibilities` (as
    /// many as [`Density::len`], summing to 1) the share of each component, last of the noise.
    pub fn responsibilities(&self, row: &[f64], responsibilities: &mut [f64]) -> f64 {
        let d = self.n_features;
        let length = triangle::packed_len(d);
        if let Some(noise) = &self.noise {
            responsibilities[self.log_constants.len()] = noise.log_joint(row);
        }
        let gaussians = responsibilities.iter_mut().take(self.log_constants.len());
        for (k, r) in gaussians.enumerate() {
            let mean = &self.means[k * d..(k + 1) * d];
            let factor = &self.factors[k * length..(k + 1) * length];
            let mut squares = 0.0;
            for i in 0..d {
                let start = triangle::at(i, 0);
                let y: f64 = factor[start..=start + i]
                    .iter()
                    .zip(row.iter().zip(mean))
                    .map(|(u, (x, m))| u * (x - m))
                    .sum();
                squares += y * y;
            }
            // Far away squares overflow; the clamp keeps differences of infinities out.
            *r = self.log_constants[k] - 0.5 * squares.min(1e300);
        }
        let largest = responsibilities
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for r in responsibilities.iter_mut() {
            *r = (*r - largest).exp();
            sum += *r;
        }
        for r in responsibilities.iter_mut() {
            *r /= sum;
        }
        largest + sum.ln()
    }

    /// The log density (nats) of one row; `scratch` holds K values.
    pub fn log_density(&self, row: &[f64], scratch: &mut [f64]) -> f64 {
        self.responsibilities(row, scratch)
    }
}

/// The component of the largest responsibility, the first of equals.
pub fn label(responsibilities: &[f64]) -> usize {
    let mut best = 0;
    for (k, r) in responsibilities.iter().enumerate() {
        if *r > responsibilities[best] {
            best = k;
        }
    }
    best
}
