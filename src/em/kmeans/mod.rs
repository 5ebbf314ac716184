//! k-means on a subsample, only to have a start: k-means++, greedy or by chains, and a few Lloyd steps.

mod chains;
mod greedy;
mod search;
mod side;

use rand::{Rng, RngExt};

use self::search::Search;
use crate::backend::BackendError;
use crate::backend::gpu;

/// Lloyd steps after seeding; never to convergence.
const LLOYD_STEPS: usize = 4;
/// Points × centres × features of a step above which there are fewer steps, and chains in place of greedy
/// k-means++: about two seconds of it on two cores (`benches/README.md`).
const LARGE: usize = 1 << 28;
/// Lloyd steps then.
const LARGE_LLOYD_STEPS: usize = 2;

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

/// A cluster, 0 to K − 1, for each point, and why a GPU that was to find them left it to the CPU, if one did.
///
/// Chains find centres as good as k-means++ with one candidate does, and greedy k-means++ with several finds
/// better ones: it stays as long as its passes over all points are affordable.
pub(super) fn labels(
    points: &Points,
    k: usize,
    rng: &mut impl Rng,
    device: Option<&gpu::Device>,
) -> (Vec<usize>, Option<BackendError>) {
    let large = points.len().saturating_mul(k).saturating_mul(points.d) > LARGE;
    let mut search = Search::new(points, k, device);
    let labels = if large {
        let centres = chains::seed(points, k, chains::LENGTH, rng);
        lloyd(&mut search, centres, LARGE_LLOYD_STEPS)
    } else {
        let centres = greedy::seed(points, k, 2 + (k as f64).ln() as usize, rng);
        lloyd(&mut search, centres, LLOYD_STEPS)
    };
    (labels, search.failure)
}

/// The cluster of each point after at most so many steps from these centres.
fn lloyd(search: &mut Search<'_>, mut centres: Vec<f64>, steps: usize) -> Vec<usize> {
    let points = search.points;
    let mut labels = search.nearest(&centres);
    for _ in 0..steps {
        move_to_means(points, &labels, &mut centres);
        let moved = search.nearest(&centres);
        if moved == labels {
            break;
        }
        labels = moved;
    }
    labels.into_iter().map(|(label, _)| label).collect()
}

/// An index with probability proportional to its (non-negative) cost; any index if all are 0.
fn draw(costs: &[f64], rng: &mut impl Rng) -> usize {
    draw_of(costs, costs.iter().sum(), rng)
}

/// The same where the sum of the costs is known.
fn draw_of(costs: &[f64], total: f64, rng: &mut impl Rng) -> usize {
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
mod tests;
