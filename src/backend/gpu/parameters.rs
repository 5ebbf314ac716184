//! What of a model goes to the device: single precision, with what that would lose taken care of in f64.

use crate::backend::Components;
use crate::mixture::triangle;

/// A model's parameters as the device uses them.
///
/// Means are sent in two parts, μ = μ_hi + rest with μ_hi in single precision, and y = U (x − μ_hi) − e with
/// e = U (μ − μ_hi). Log constants are taken relative to the largest, in bits instead of nats.
pub(super) struct Parameters<'a> {
    pub components: &'a Components,
    /// The largest log constant, nats; every log density on the device lacks it.
    pub reference: f64,
    /// K log₂ constants less the reference.
    constants: Vec<f32>,
}

impl<'a> Parameters<'a> {
    pub fn new(components: &'a Components) -> Self {
        let constants = components.log_constants();
        let reference = constants
            .iter()
            .zip(&components.weights)
            .filter(|(_, weight)| **weight > 0.0)
            .map(|(constant, _)| *constant)
            .reduce(f64::max)
            .unwrap_or(0.0);
        let constants = constants
            .iter()
            .map(|c| ((c - reference) * std::f64::consts::LOG2_E) as f32)
            .collect();
        Self {
            components,
            reference,
            constants,
        }
    }

    /// μ_hi and e of component `k`.
    fn mean(&self, k: usize) -> (Vec<f32>, Vec<f32>) {
        let mean = self.components.mean(k);
        let high: Vec<f32> = mean.iter().map(|&m| m as f32).collect();
        let rest: Vec<f64> = mean
            .iter()
            .zip(&high)
            .map(|(m, h)| m - f64::from(*h))
            .collect();
        let remainder = triangle::apply(self.components.factor(k), &rest);
        (high, remainder.into_iter().map(|e| e as f32).collect())
    }

    /// For `statistics_registers`: per component mean, factor, remainder, constant; padded to whole vec4s.
    pub fn packed(&self) -> Vec<f32> {
        let mut packed = Vec::new();
        for k in 0..self.components.len() {
            let (mean, remainder) = self.mean(k);
            packed.extend(mean);
            packed.extend(self.components.factor(k).iter().map(|&u| u as f32));
            packed.extend(remainder);
            packed.push(self.constants[k]);
        }
        packed.resize(packed.len().next_multiple_of(4), 0.0);
        packed
    }

    /// For `whiten`: per component the constant, mean and remainder padded to vec4s, and the factor as 4 × 4
    /// sub-blocks by columns, with zeros beyond D.
    pub fn tiled(&self) -> Vec<f32> {
        let d = self.components.n_features;
        let quads = d.div_ceil(4);
        let mut tiled = Vec::new();
        for k in 0..self.components.len() {
            let (mut mean, mut remainder) = self.mean(k);
            mean.resize(4 * quads, 0.0);
            remainder.resize(4 * quads, 0.0);
            tiled.extend([self.constants[k], 0.0, 0.0, 0.0]);
            tiled.extend(mean);
            tiled.extend(remainder);
            let factor = self.components.factor(k);
            for tile_i in 0..quads {
                for tile_j in 0..=tile_i {
                    for j in 4 * tile_j..4 * tile_j + 4 {
                        for i in 4 * tile_i..4 * tile_i + 4 {
                            let inside = j <= i && i < d;
                            tiled.push(if inside {
                                factor[triangle::at(i, j)] as f32
                            } else {
                                0.0
                            });
                        }
                    }
                }
            }
        }
        tiled
    }
}
