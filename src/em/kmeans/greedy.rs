//! Greedy k-means++: every centre looks at all points.

use rand::Rng;
use rayon::prelude::*;

use super::{Points, draw, squared_distance};

/// Greedy k-means++ (Arthur & Vassilvitskii 2007, §6): each centre is the best of a few candidates drawn with
/// probability proportional to weight × squared distance.
pub(super) fn seed(points: &Points, k: usize, candidates: usize, rng: &mut impl Rng) -> Vec<f64> {
    let first = draw(&points.weights, rng);
    let mut centres = points.row(first).to_vec();
    let mut costs: Vec<f64> = costs_after(points, None, points.row(first));
    for _ in 1..k {
        let best = (0..candidates)
            .map(|_| {
                let i = draw(&costs, rng);
                let after = costs_after(points, Some(&costs), points.row(i));
                (after.iter().sum::<f64>(), i, after)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, i, after)) = best {
            centres.extend_from_slice(points.row(i));
            costs = after;
        }
    }
    centres
}

/// Weight × squared distance to the nearest centre, once `centre` is among them.
fn costs_after(points: &Points, before: Option<&[f64]>, centre: &[f64]) -> Vec<f64> {
    (0..points.len())
        .into_par_iter()
        .with_min_len(1024)
        .map(|i| {
            let cost = points.weights[i] * squared_distance(points.row(i), centre);
            before.map_or(cost, |before| cost.min(before[i]))
        })
        .collect()
}
