//! k-means on a subsample, only to have a start: greedy k-means++ and a few Lloyd steps.

use rand::{Rng, RngExt};
use rayon::prelude::*;

/// Lloyd steps after seeding; never to convergence.
const LLOYD_STEPS: usize = 8;
/// Above this many distances a step, fewer steps and one candidate a centre.
const LARGE: usize = 1 << 28;

/// Standardised rows with weights.
pub(super) struct Points {
    /// Row-major values.
    pub(super) values: Vec<f64>,
    /// One weight a row, > 0.
    pub(super) weights: Vec<f64>,
    /// Features.
    pub(super) d: usize,
}

impl Points {
    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Row `i`.
    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.d..(i + 1) * self.d]
    }
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// A cluster, 0 to K − 1, for each point.
pub(super) fn labels(points: &Points, k: usize, rng: &mut impl Rng) -> Vec<usize> {
    let large = points.len().saturating_mul(k).saturating_mul(points.d) > LARGE;
    let candidates = if large {
        1
    } else {
        2 + (k as f64).ln() as usize
    };
    let mut centres = seed(points, k, candidates, rng);
    let mut labels = nearest(points, &centres);
    for _ in 0..if large { 2 } else { LLOYD_STEPS } {
        move_to_means(points, &labels, &mut centres);
        let moved = nearest(points, &centres);
        if moved == labels {
            break;
        }
        labels = moved;
    }
    labels.into_iter().map(|(label, _)| label).collect()
}

/// Greedy k-means++ (Arthur & Vassilvitskii 2007, §6): each centre is the best of a few candidates drawn with
/// probability proportional to weight × squared distance.
fn seed(points: &Points, k: usize, candidates: usize, rng: &mut impl Rng) -> Vec<f64> {
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

/// An index with probability proportional to its (non-negative) cost; any index if all are 0.
fn draw(costs: &[f64], rng: &mut impl Rng) -> usize {
    let total: f64 = costs.iter().sum();
    let mut left = rng.random::<f64>() * total;
    if !(total > 0.0 && total.is_finite()) {
        return rng.random_range(0..costs.len());
    }
    let mut last = 0;
    for (i, cost) in costs.iter().enumerate() {
        if *cost > 0.0 {
            last = i;
            left -= cost;
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

/// The nearest centre of each point and the squared distance to it.
fn nearest(points: &Points, centres: &[f64]) -> Vec<(usize, f64)> {
    (0..points.len())
        .into_par_iter()
        .with_min_len(256)
        .map(|i| {
            let mut best = (0, f64::INFINITY);
            for (k, centre) in centres.chunks_exact(points.d).enumerate() {
                let distance = squared_distance(points.row(i), centre);
                if distance < best.1 {
                    best = (k, distance);
                }
            }
            best
        })
        .collect()
}

/// Weighted means of the clusters; an empty one moves to the point farthest from its centre.
fn move_to_means(points: &Points, labels: &[(usize, f64)], centres: &mut [f64]) {
    let d = points.d;
    let mut sums = vec![0.0; centres.len()];
    let mut weights = vec![0.0; centres.len() / d];
    for (i, (label, _)) in labels.iter().enumerate() {
        weights[*label] += points.weights[i];
        for (sum, x) in sums[label * d..(label + 1) * d]
            .iter_mut()
            .zip(points.row(i))
        {
            *sum += points.weights[i] * x;
        }
    }
    let mut farthest: Vec<usize> = Vec::new();
    for (k, weight) in weights.iter().enumerate() {
        let centre = &mut centres[k * d..(k + 1) * d];
        if *weight > 0.0 {
            for (c, sum) in centre.iter_mut().zip(&sums[k * d..(k + 1) * d]) {
                *c = sum / weight;
            }
        } else {
            if farthest.is_empty() {
                farthest = (0..points.len()).collect();
                // Ascending, so that each empty cluster pops the farthest left; ties by row.
                farthest.sort_by(|a, b| labels[*a].1.total_cmp(&labels[*b].1).then(b.cmp(a)));
            }
            if let Some(i) = farthest.pop() {
                centre.copy_from_slice(points.row(i));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn separated_groups_get_a_label_each() {
        let values: Vec<f64> = (0..300)
            .map(|i| f64::from(i % 3) * 100.0 + f64::from(i) / 300.0)
            .collect();
        let points = Points {
            values,
            weights: vec![1.0; 300],
            d: 1,
        };
        for seed in 0..20 {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let labels = labels(&points, 3, &mut rng);
            assert!((0..300).all(|i| labels[i] == labels[i % 3]), "seed {seed}");
            assert!(labels[0] != labels[1] && labels[1] != labels[2] && labels[0] != labels[2]);
        }
    }

    #[test]
    fn as_many_clusters_as_points_and_equal_points_do_not_fail() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let points = Points {
            values: vec![1.0, 2.0, 3.0],
            weights: vec![1.0; 3],
            d: 1,
        };
        let mut found = labels(&points, 3, &mut rng);
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2]);
        let equal = Points {
            values: vec![5.0; 4],
            weights: vec![1.0; 4],
            d: 1,
        };
        assert_eq!(labels(&equal, 2, &mut rng).len(), 4);
    }
}
