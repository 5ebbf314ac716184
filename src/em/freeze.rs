//! Parts of a mixture that a fit leaves as they were at the start.

use crate::mixture::{CovarianceType, Covariances, Mixture, ModelError, triangle};

/// What stays at the start's values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freeze {
    /// All weights.
    pub weights: bool,
    /// All means.
    pub means: bool,
    /// All covariances.
    pub covariances: bool,
    /// Weight, mean and covariance of these components.
    pub components: Vec<usize>,
}

impl Freeze {
    /// Whether anything is frozen.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn mean(&self, k: usize) -> bool {
        self.means || self.components.contains(&k)
    }

    pub(super) fn covariance(&self, k: usize) -> bool {
        self.covariances || self.components.contains(&k)
    }

    pub(super) fn weight(&self, k: usize) -> bool {
        self.weights || self.components.contains(&k)
    }

    /// The new weights: shares of the samples, but for what is frozen; the rest is shared out in proportion.
    pub(super) fn weights(&self, shares: &[f64], old: &[f64]) -> Vec<f64> {
        if self.weights {
            return old.to_vec();
        }
        let sum = |of: &[f64], frozen: bool| -> f64 {
            let chosen = (0..of.len()).filter(|&k| self.weight(k) == frozen);
            chosen.map(|k| of[k]).sum()
        };
        let (held, free) = (sum(old, true), sum(shares, false));
        let scale = if free > 0.0 { (1.0 - held) / free } else { 0.0 };
        (0..shares.len())
            .map(|k| {
                if self.weight(k) {
                    old[k]
                } else {
                    shares[k] * scale
                }
            })
            .collect()
    }

    /// How many parameters are left to a fit of K components over D features.
    pub fn n_parameters(&self, covariance_type: CovarianceType, k: usize, d: usize) -> usize {
        let free = (0..k).filter(|k| !self.components.contains(k)).count();
        let weights = if self.weights {
            0
        } else {
            free.saturating_sub(1)
        };
        let means = if self.means { 0 } else { free * d };
        let covariances = match covariance_type {
            _ if self.covariances => 0,
            CovarianceType::Full => free * triangle::packed_len(d),
            CovarianceType::Tied => triangle::packed_len(d),
            CovarianceType::Diag => free * d,
            CovarianceType::Spherical => free,
        };
        weights + means + covariances
    }

    /// The fitted mixture with its frozen parts as the start has them, to the bit: standardising and back rounds.
    pub(super) fn restored(
        &self,
        fitted: &Mixture,
        start: &Mixture,
    ) -> Result<Mixture, ModelError> {
        let d = fitted.n_features();
        let pick = |frozen: &dyn Fn(usize) -> bool, ours: &[f64], theirs: &[f64], width: usize| {
            let mut picked = ours.to_vec();
            for k in (0..ours.len() / width).filter(|&k| frozen(k)) {
                let part = k * width..(k + 1) * width;
                picked[part.clone()].copy_from_slice(&theirs[part]);
            }
            picked
        };
        let frozen = |k| self.covariance(k);
        let covariances = match (fitted.covariances(), start.covariances()) {
            (Covariances::Full(ours), Covariances::Full(theirs)) => {
                Covariances::Full(pick(&frozen, ours, theirs, d * d))
            }
            (Covariances::Diag(ours), Covariances::Diag(theirs)) => {
                Covariances::Diag(pick(&frozen, ours, theirs, d))
            }
            (Covariances::Spherical(ours), Covariances::Spherical(theirs)) => {
                Covariances::Spherical(pick(&frozen, ours, theirs, 1))
            }
            (_, theirs) if self.covariances => theirs.clone(),
            (ours, _) => ours.clone(),
        };
        let noise = match (fitted.noise(), start.noise()) {
            (Some(_), Some(theirs)) if self.weights => Some(theirs),
            (ours, _) => ours,
        };
        Mixture::with_noise(
            pick(&|k| self.weight(k), fitted.weights(), start.weights(), 1),
            pick(&|k| self.mean(k), fitted.means(), start.means(), d),
            d,
            covariances,
            noise.cloned(),
        )
    }
}
