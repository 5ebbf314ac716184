//! AFK-MC² (Bachem, Lucic, Hassani & Krause 2016): k-means++ whose draws are ends of short Markov chains.
//!
//! A chain looks at its own candidates only, so a centre does not cost a pass over all points. Its target is that
//! of k-means++, weight × squared distance to the nearest centre; candidates come from a fixed mixture of that for
//! the first centre alone and of the weights.

use rand::{Rng, RngExt};
use rayon::prelude::*;

use super::{Points, draw, squared_distance};

/// Candidates of a chain: at 50 points a centre together about the work of one Lloyd step.
pub(super) const LENGTH: usize = 100;

/// `k` centres, row-major. Where all candidates of a chain coincide with centres, so does its end:
/// Lloyd steps move such a centre, whose cluster is empty.
pub(super) fn seed(points: &Points, k: usize, length: usize, rng: &mut impl Rng) -> Vec<f64> {
    let first = draw(&points.weights, rng);
    let mut centres = points.row(first).to_vec();
    let proposal = Proposal::new(points, first);
    for _ in 1..k {
        // All that is random about a chain comes first: the rest may run on any number of threads.
        let candidates: Vec<(usize, f64)> = (0..length)
            .map(|_| (proposal.draw(rng), rng.random()))
            .collect();
        let ratios: Vec<f64> = candidates
            .par_iter()
            .with_min_len(8)
            .map(|&(i, _)| {
                let distance = centres
                    .chunks_exact(points.d)
                    .map(|centre| squared_distance(points.row(i), centre))
                    .fold(f64::INFINITY, f64::min);
                points.weights[i] * distance / proposal.densities[i]
            })
            .collect();
        let mut end = 0;
        for (next, (_, uniform)) in candidates.iter().enumerate().skip(1) {
            if ratios[next] > uniform * ratios[end] {
                end = next;
            }
        }
        centres.extend_from_slice(points.row(candidates[end].0));
    }
    centres
}

/// What candidates are drawn from.
struct Proposal {
    /// Positive, one a point, up to a common factor.
    densities: Vec<f64>,
    /// Their sums up to and with each point.
    sums: Vec<f64>,
}

impl Proposal {
    /// Half in proportion to weight × squared distance to the first centre, half to the weight.
    fn new(points: &Points, first: usize) -> Self {
        let costs: Vec<f64> = (0..points.len())
            .map(|i| points.weights[i] * squared_distance(points.row(i), points.row(first)))
            .collect();
        let cost: f64 = costs.iter().sum();
        let weight: f64 = points.weights.iter().sum();
        // Without a cost to share out, all points are equal and the weights are all there is.
        let share = if cost > 0.0 && cost.is_finite() {
            weight / cost
        } else {
            0.0
        };
        let densities: Vec<f64> = costs
            .iter()
            .zip(&points.weights)
            .map(|(cost, weight)| weight + cost * share)
            .collect();
        let sums = densities
            .iter()
            .scan(0.0, |sum, density| {
                *sum += density;
                Some(*sum)
            })
            .collect();
        Self { densities, sums }
    }

    /// A point.
    fn draw(&self, rng: &mut impl Rng) -> usize {
        let last = self.sums.len() - 1;
        let below = rng.random::<f64>() * self.sums[last];
        self.sums.partition_point(|sum| *sum <= below).min(last)
    }
}
