//! Sums over blocks, in f64 and in the blocks' order, and their way into [`Statistics`].

use rayon::prelude::*;

use super::plan::{Regime, statistics_len, tiled_len};
use crate::backend::{Components, Statistics};
use crate::mixture::{CovarianceType, triangle};

/// Adding more numbers than this is shared between threads.
const WORTH_SHARING: usize = 1 << 16;

/// What blocks handed back, added up as the device lays it out.
pub(super) struct Sums {
    /// All sums of the components.
    pub components: Vec<f64>,
    /// Σ w max q, in bits and relative to the reference.
    pub tops: f64,
    /// Σ w log₂ Σ 2^(q − max q).
    pub logs: f64,
    /// Σ w, in the samples' own unit.
    pub weight: f64,
}

impl Sums {
    pub fn zero(len: usize) -> Self {
        Self {
            components: vec![0.0; len],
            tops: 0.0,
            logs: 0.0,
            weight: 0.0,
        }
    }

    /// Adds one block's sums.
    pub fn add(&mut self, block: &[f32]) {
        let add = |(to, from): (&mut f64, &f32)| *to += f64::from(*from);
        if block.len() < WORTH_SHARING {
            self.components.iter_mut().zip(block).for_each(add);
        } else {
            self.components.par_iter_mut().zip(block).for_each(add);
        }
    }

    /// Whether every sum is a number.
    pub fn is_finite(&self) -> bool {
        self.tops.is_finite()
            && self.logs.is_finite()
            && self.components.iter().all(|x| x.is_finite())
    }

    /// The statistics: in nats, with the reference and the weights' unit put back.
    pub fn into_statistics(
        self,
        regime: Regime,
        components: &Components,
        reference: f64,
        weight_unit: f64,
    ) -> Statistics {
        let (k, d) = (components.len(), components.n_features);
        let mut statistics = Statistics::zero(components.covariance_type, k, d);
        let bit = std::f64::consts::LN_2 * weight_unit;
        statistics.log_likelihood = (self.tops + self.logs) * bit + reference * self.weight;
        statistics.log_largest = -self.logs * bit;
        statistics.weight = self.weight;
        let mut second = vec![0.0; triangle::packed_len(d)];
        for c in 0..k {
            match regime {
                Regime::Registers { .. } => {
                    let len = statistics_len(d);
                    let from = &self.components[c * len..(c + 1) * len];
                    statistics.s0[c] = from[0];
                    statistics.s1[c * d..(c + 1) * d].copy_from_slice(&from[1..=d]);
                    second.copy_from_slice(&from[1 + d..]);
                }
                Regime::Staged { .. } => {
                    let len = 4 * tiled_len(d);
                    let from = &self.components[c * len..(c + 1) * len];
                    let tiles = 16 * triangle::packed_len(d.div_ceil(4));
                    statistics.s0[c] = from[len - 4];
                    statistics.s1[c * d..(c + 1) * d].copy_from_slice(&from[tiles..tiles + d]);
                    for i in 0..d {
                        for j in 0..=i {
                            let tile = triangle::at(i / 4, j / 4);
                            second[triangle::at(i, j)] = from[16 * tile + 4 * (j % 4) + i % 4];
                        }
                    }
                }
            }
            add_second_moments(&mut statistics, c, &second);
        }
        for sum in [&mut statistics.s0, &mut statistics.s1, &mut statistics.s2] {
            sum.iter_mut().for_each(|x| *x *= weight_unit);
        }
        statistics
    }
}

/// Keeps of a full triangle of second moments what the covariance type asks for.
fn add_second_moments(statistics: &mut Statistics, k: usize, second: &[f64]) {
    let d = statistics.n_features;
    let diagonal = |i: usize| second[triangle::at(i, i)];
    match statistics.covariance_type {
        CovarianceType::Full => {
            statistics.s2[k * second.len()..(k + 1) * second.len()].copy_from_slice(second);
        }
        CovarianceType::Tied => {
            statistics
                .s2
                .iter_mut()
                .zip(second)
                .for_each(|(to, from)| *to += from);
        }
        CovarianceType::Diag => {
            (0..d).for_each(|i| statistics.s2[k * d + i] = diagonal(i));
        }
        CovarianceType::Spherical => statistics.s2[k] = (0..d).map(diagonal).sum(),
    }
}
