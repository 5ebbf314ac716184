//! Expected sufficient statistics: all that an M-step needs to know of the samples.

use std::ops::AddAssign;

use crate::mixture::{CovarianceType, triangle};

/// Sums over samples, in whitened coordinates y = U (x − μ) of the components they were taken with.
///
/// They add: blocks, threads, devices and files combine by `+=`, with [`Statistics::zero`] as the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Which second moments are kept.
    pub covariance_type: CovarianceType,
    /// D.
    pub n_features: usize,
    /// S0 = Σ w r, K values.
    pub s0: Vec<f64>,
    /// S1 = Σ w r y, K × D.
    pub s1: Vec<f64>,
    /// S2 = Σ w r y yᵀ: K lower triangles packed by rows (full), one such triangle summed over components
    /// (tied), K × D diagonals (diag) or K traces (spherical).
    pub s2: Vec<f64>,
    /// Σ w log density, nats, in the samples' standardised units.
    pub log_likelihood: f64,
    /// Σ w log of the largest responsibility, nats, ≤ 0.
    pub log_largest: f64,
    /// Σ w.
    pub weight: f64,
}

/// How many numbers hold the second moments of K components.
pub fn second_moments_len(covariance_type: CovarianceType, k: usize, d: usize) -> usize {
    match covariance_type {
        CovarianceType::Full => k * triangle::packed_len(d),
        CovarianceType::Tied => triangle::packed_len(d),
        CovarianceType::Diag => k * d,
        CovarianceType::Spherical => k,
    }
}

impl Statistics {
    /// The statistics of no sample.
    pub fn zero(covariance_type: CovarianceType, k: usize, d: usize) -> Self {
        Self {
            covariance_type,
            n_features: d,
            s0: vec![0.0; k],
            s1: vec![0.0; k * d],
            s2: vec![0.0; second_moments_len(covariance_type, k, d)],
            log_likelihood: 0.0,
            log_largest: 0.0,
            weight: 0.0,
        }
    }

    /// Adds one row of weight `weight`, responsibilities `r` (K) and coordinates `y` (D) that are the same for
    /// all components, as in a start from standard Gaussians. Leaves the likelihoods alone.
    pub fn add_row(&mut self, weight: f64, r: &[f64], y: &[f64]) {
        let d = self.n_features;
        self.weight += weight;
        for (k, share) in r.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let r = weight * share;
            self.s0[k] += r;
            for (s1, y) in self.s1[k * d..(k + 1) * d].iter_mut().zip(y) {
                *s1 += r * y;
            }
            self.add_second_moments(k, r, y);
        }
    }

    /// Adds r y yᵀ, or the part of it that the covariance type keeps, to component `k`'s second moments.
    pub fn add_second_moments(&mut self, k: usize, r: f64, y: &[f64]) {
        let d = self.n_features;
        match self.covariance_type {
            CovarianceType::Full | CovarianceType::Tied => {
                let length = triangle::packed_len(d);
                let first = if self.covariance_type == CovarianceType::Full {
                    k * length
                } else {
                    0
                };
                for a in 0..d {
                    for b in 0..=a {
                        self.s2[first + triangle::at(a, b)] += r * y[a] * y[b];
                    }
                }
            }
            CovarianceType::Diag => {
                for a in 0..d {
                    self.s2[k * d + a] += r * y[a] * y[a];
                }
            }
            CovarianceType::Spherical => self.s2[k] += r * y.iter().map(|v| v * v).sum::<f64>(),
        }
    }

    /// How many numbers the sums over components hold.
    pub fn numbers(&self) -> usize {
        self.s0.len() + self.s1.len() + self.s2.len()
    }

    /// K.
    pub fn n_components(&self) -> usize {
        self.s0.len()
    }

    /// Mean log-likelihood per unit of weight, nats, standardised units.
    pub fn mean_log_likelihood(&self) -> f64 {
        self.log_likelihood / self.weight
    }
}

impl AddAssign<&Statistics> for Statistics {
    fn add_assign(&mut self, other: &Statistics) {
        debug_assert_eq!(self.covariance_type, other.covariance_type);
        let add = |to: &mut [f64], from: &[f64]| {
            debug_assert_eq!(to.len(), from.len());
            to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        };
        add(&mut self.s0, &other.s0);
        add(&mut self.s1, &other.s1);
        add(&mut self.s2, &other.s2);
        self.log_likelihood += other.log_likelihood;
        self.log_largest += other.log_largest;
        self.weight += other.weight;
    }
}
