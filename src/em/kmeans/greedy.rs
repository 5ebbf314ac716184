//! Greedy k-means++: every centre looks at all points.

use rand::Rng;
use rayon::prelude::*;

use super::side::{GROUP, Group};
use super::{Points, draw, draw_of};

/// Greedy k-means++ (Arthur & Vassilvitskii 2007, §6): each centre is the best of a few candidates drawn with
/// probability proportional to weight × squared distance.
pub(super) fn seed(points: &Points, k: usize, candidates: usize, rng: &mut impl Rng) -> Vec<f64> {
    let first = draw(&points.weights, rng);
    let mut centres = points.row(first).to_vec();
    let all = vec![f64::INFINITY; points.len()];
    let (mut total, mut costs) = best_of(points, &all, &[first]).1;
    for _ in 1..k {
        let drawn: Vec<usize> = (0..candidates)
            .map(|_| draw_of(&costs, total, rng))
            .collect();
        let (best, after) = best_of(points, &costs, &drawn);
        centres.extend_from_slice(points.row(best));
        (total, costs) = after;
    }
    centres
}

/// Which of some points is the best next centre, and then each point's cost, weight × squared distance to the nearest
/// centre, after their sum.
fn best_of(points: &Points, before: &[f64], candidates: &[usize]) -> (usize, (f64, Vec<f64>)) {
    // By group, then by candidate; the last group has empty places.
    let mut after = vec![0.0; points.len().div_ceil(GROUP) * candidates.len() * GROUP];
    after
        .par_chunks_exact_mut(candidates.len() * GROUP)
        .zip(
            before
                .par_chunks(GROUP)
                .zip(points.weights.par_chunks(GROUP)),
        )
        .with_min_len(16)
        .enumerate()
        .for_each_init(
            || Group::new(points.d),
            |group, (g, (after, (before, weights)))| {
                group.load(points, g * GROUP);
                for (after, candidate) in after.chunks_exact_mut(GROUP).zip(candidates) {
                    let distances = group.distances(points.row(*candidate));
                    let points = weights.iter().zip(distances).zip(before);
                    for (after, ((weight, distance), before)) in after.iter_mut().zip(points) {
                        *after = (weight * distance).min(*before);
                    }
                }
            },
        );
    let groups = || after.chunks_exact(candidates.len() * GROUP);
    let mut totals = vec![0.0; candidates.len()];
    for group in groups() {
        for (total, costs) in totals.iter_mut().zip(group.chunks_exact(GROUP)) {
            *total = costs.iter().fold(*total, |total, cost| total + cost);
        }
    }
    // Of equals the first.
    let best = (1..candidates.len()).fold(0, |best, next| {
        if totals[next] < totals[best] {
            next
        } else {
            best
        }
    });
    let costs = groups().flat_map(|group| &group[best * GROUP..(best + 1) * GROUP]);
    let costs = costs.take(points.len()).copied().collect();
    (candidates[best], (totals[best], costs))
}
