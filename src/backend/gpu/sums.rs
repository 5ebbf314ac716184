//! Sums over blocks, in f64 and in the blocks' order, and their way into [`Statistics`].

use rayon::prelude::*;

use super::parameters::Parameters;
use super::plan::{Regime, Tiling};
use super::shape::{Shape, quads};
use crate::backend::Statistics;
use crate::mixture::{CovarianceType, triangle};

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
    /// What the device did before these sums, where it took steps.
    pub taken: Taken,
}

/// EM steps that the device took.
#[derive(Default)]
pub(super) struct Taken {
    pub steps: Vec<TakenStep>,
    /// Whether it stopped for the host to look at the next step.
    pub stopped: bool,
}

/// One of them.
pub(super) struct TakenStep {
    /// As in [`Sums`], of the parameters before the step.
    pub tops: f64,
    pub logs: f64,
    /// S0 of each component.
    pub shares: Vec<f64>,
    pub squared_length: f64,
    /// The parameters after it as `statistics_registers` reads them.
    pub packed: Vec<f32>,
}

impl Sums {
    pub fn zero(len: usize) -> Self {
        Self {
            components: vec![0.0; len],
            tops: 0.0,
            logs: 0.0,
            weight: 0.0,
            taken: Taken::default(),
        }
    }

    /// Adds one block's sums and its logarithms, which come last.
    pub fn add_block(&mut self, block: &[f32], weight: f64) {
        let (sums, logs) = block.split_at(block.len() - 2);
        for (to, from) in self.components.iter_mut().zip(sums) {
            *to += f64::from(*from);
        }
        self.tops += f64::from(logs[0]);
        self.logs += f64::from(logs[1]);
        self.weight += weight;
    }

    /// Adds weights one after the other: how many at a time changes no bit.
    pub fn add_weights(&mut self, weights: &[f64]) {
        weights.iter().for_each(|weight| self.weight += weight);
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
        parameters: &Parameters<'_>,
        reference: f64,
        weight_unit: f64,
    ) -> Statistics {
        let shape = parameters.shape;
        let mut statistics = Statistics::zero(shape.covariance_type, shape.k, shape.d);
        let bit = std::f64::consts::LN_2 * weight_unit;
        statistics.log_likelihood = (self.tops + self.logs) * bit + reference * self.weight;
        statistics.log_largest = -self.logs * bit;
        statistics.weight = self.weight;
        match regime {
            Regime::Registers { .. } => {
                from_groups(&self.components, shape, shape.k, &mut statistics);
            }
            Regime::Workgroup { .. } => {
                from_features(&self.components, parameters, &mut statistics);
            }
            Regime::Groups(groups) => {
                from_groups(&self.components, shape, groups.sum, &mut statistics);
            }
            Regime::Staged { .. } if shape.is_diagonal() => {
                from_diagonals(&self.components, parameters, &mut statistics);
            }
            Regime::Staged { .. } => from_tiles(&self.components, parameters, &mut statistics),
        }
        forget_traces(&mut statistics);
        for sum in [&mut statistics.s0, &mut statistics.s1, &mut statistics.s2] {
            sum.iter_mut().for_each(|x| *x *= weight_unit);
        }
        statistics
    }
}

/// The least share of the samples that a component can have: some drivers end at 2⁻¹²⁷, 6e-39, where 2^x is less, and
/// what only they make of a component is nothing.
const LEAST_SHARE: f64 = 1e-30;

/// Components with less have nothing.
fn forget_traces(statistics: &mut Statistics) {
    let (k, d) = (statistics.n_components(), statistics.n_features);
    let least = LEAST_SHARE * statistics.s0.iter().sum::<f64>();
    let second = match statistics.covariance_type {
        CovarianceType::Tied => 0,
        _ => statistics.s2.len() / k,
    };
    for k in 0..k {
        if statistics.s0[k] <= least {
            statistics.s0[k] = 0.0;
            statistics.s1[k * d..(k + 1) * d].fill(0.0);
            statistics.s2[k * second..(k + 1) * second].fill(0.0);
        }
    }
}

/// Groups of components, the last perhaps with some too many: per component S0, S1 and its second moments, then
/// those of all.
fn from_groups(sums: &[f64], shape: Shape, group: usize, to: &mut Statistics) {
    let (d, len) = (shape.d, shape.component_len());
    let second = len - 1 - d;
    for (g, sums) in sums
        .chunks_exact(shape.with(group).statistics_len())
        .enumerate()
    {
        let (components, pooled) = sums.split_at(group * len);
        for (k, from) in (g * group..shape.k).zip(components.chunks_exact(len)) {
            to.s0[k] = from[0];
            to.s1[k * d..(k + 1) * d].copy_from_slice(&from[1..=d]);
            to.s2[k * second..(k + 1) * second].copy_from_slice(&from[1 + d..]);
        }
        to.s2.iter_mut().zip(pooled).for_each(|(a, b)| *a += b);
    }
}

/// Per component S0, and sums of r (x − μ) and of its products, to be whitened.
fn from_features(sums: &[f64], parameters: &Parameters<'_>, to: &mut Statistics) {
    let shape = parameters.shape;
    let (d, len) = (shape.d, shape.component_in_workgroup_len());
    let second = len - 1 - d;
    // Tied components share one triangle.
    let shared = to.s2.len() / second;
    for (k, from) in sums.chunks_exact(len).take(shape.k).enumerate() {
        let s0 = from[0];
        to.s0[k] = s0;
        let s1 = &mut to.s1[k * d..(k + 1) * d];
        s1.copy_from_slice(&from[1..=d]);
        let s2 = &mut to.s2[k % shared * second..][..second];
        match shape.covariance_type {
            CovarianceType::Full | CovarianceType::Tied => {
                let whitened = parameters.whiten_triangle(k, s0, s1, &from[1 + d..]);
                s2.iter_mut()
                    .zip(whitened)
                    .for_each(|(to, from)| *to += from);
            }
            CovarianceType::Diag => {
                s2.copy_from_slice(&from[1 + d..]);
                parameters.whiten_sums(k, s0, s1, Some(s2));
            }
            // Squared distances are whitened.
            CovarianceType::Spherical => {
                s2.copy_from_slice(&from[1 + d..]);
                parameters.whiten_sums(k, s0, s1, None);
            }
        }
    }
}

/// log₂(e) / 2, by which the device multiplies squared distances.
const HALF_LOG2_E: f64 = 0.721_347_5_f32 as f64;

/// Per component the sums of r (x − μ) and, where features have second moments of their own, of r (x − μ)², padded
/// to vec4s; then S0 and the squared distances in bits.
fn from_diagonals(sums: &[f64], parameters: &Parameters<'_>, to: &mut Statistics) {
    let shape = parameters.shape;
    let (d, q) = (shape.d, quads(shape.d));
    let len = 4 * shape.staged_len() / shape.k;
    for (k, from) in sums.chunks_exact(len).enumerate() {
        let (moments, tail) = from.split_at(len - 4);
        to.s0[k] = tail[0];
        let s1 = &mut to.s1[k * d..(k + 1) * d];
        s1.copy_from_slice(&moments[..d]);
        if shape.covariance_type == CovarianceType::Spherical {
            to.s2[k] = tail[1] / HALF_LOG2_E;
            parameters.whiten_sums(k, tail[0], s1, None);
        } else {
            let s2 = &mut to.s2[k * d..(k + 1) * d];
            s2.copy_from_slice(&moments[4 * q..4 * q + d]);
            parameters.whiten_sums(k, tail[0], s1, Some(s2));
        }
    }
}

/// Per component S1, padded to vec4s, and S0; then second moments by tiles. Those of components whose rows
/// the device did not whiten are whitened here.
fn from_tiles(sums: &[f64], parameters: &Parameters<'_>, to: &mut Statistics) {
    let shape = parameters.shape;
    let (d, tiling) = (shape.d, Tiling::of(shape.d));
    let q = tiling.vec4s(d);
    let length = triangle::packed_len(d);
    let (own, triangles) = sums.split_at(4 * shape.k * (q + 1));
    for (k, from) in own.chunks_exact(4 * (q + 1)).enumerate() {
        to.s1[k * d..(k + 1) * d].copy_from_slice(&from[..d]);
        to.s0[k] = from[4 * q];
    }
    let whitened: Vec<Vec<f64>> = triangles
        .par_chunks_exact(tiling.moments_len(d))
        .zip(to.s1.par_chunks_exact_mut(d))
        .enumerate()
        .map(|(k, (from, s1))| {
            let mut s2 = vec![0.0; length];
            for i in 0..d {
                for j in 0..=i {
                    s2[triangle::at(i, j)] = from[tiling.moment_at(d, i, j)];
                }
            }
            match parameters.is_whitened(k) {
                true => s2,
                false => parameters.whiten_triangle(k, to.s0[k], s1, &s2),
            }
        })
        .collect();
    // Tied components share one triangle.
    let triangles = to.s2.len() / length;
    for (k, from) in whitened.iter().enumerate() {
        let to = &mut to.s2[k % triangles * length..][..length];
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}
