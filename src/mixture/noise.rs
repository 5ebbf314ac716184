//! The noise component: a uniform density over a box, for samples that belong to no Gaussian.
//!
//! Banfield & Raftery (1993), "Model-based Gaussian and non-Gaussian clustering", *Biometrics* 49.

use serde::{Deserialize, Serialize};

use super::ModelError;

/// Far below any log density, for rows outside the box.
const OUTSIDE: f64 = -1e30;

/// A uniform density over a box, with its weight in the mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Its weight, ≥ 0 and below 1.
    pub weight: f64,
    /// The least value of each of D features.
    pub lower: Vec<f64>,
    /// The largest value of each.
    pub upper: Vec<f64>,
}

impl Noise {
    /// What is free beside the Gaussians' parameters: its weight and its volume, as mclust counts.
    pub const PARAMETERS: usize = 2;

    /// −Σ log range: the log density (nats) inside the box, its weight left out.
    pub fn log_density(&self) -> f64 {
        let ranges = self.lower.iter().zip(&self.upper);
        -ranges.map(|(low, high)| (high - low).ln()).sum::<f64>()
    }

    /// Log weight + log density of a row; −1e30 outside the box.
    pub fn log_joint(&self, row: &[f64]) -> f64 {
        if self.contains(row) && self.weight > 0.0 {
            self.weight.ln() + self.log_density()
        } else {
            OUTSIDE
        }
    }

    /// Whether the box holds a row.
    pub fn contains(&self, row: &[f64]) -> bool {
        let sides = self.lower.iter().zip(&self.upper);
        row.iter()
            .zip(sides)
            .all(|(x, (low, high))| low <= x && x <= high)
    }

    pub(super) fn check(&self, n_features: usize) -> Result<(), ModelError> {
        for side in [&self.lower, &self.upper] {
            if side.len() != n_features {
                return Err(ModelError::Shape {
                    what: "noise's box",
                    found: side.len(),
                    expected: n_features,
                });
            }
        }
        let sides = self.lower.iter().zip(&self.upper);
        let is_open = |(low, high): (&f64, &f64)| low < high && (high - low).is_finite();
        if !(sides.clone().all(is_open) && (0.0..1.0).contains(&self.weight)) {
            return Err(ModelError::Noise);
        }
        Ok(())
    }
}
