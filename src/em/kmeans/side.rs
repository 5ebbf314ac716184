//! Distances of points that lie side by side, so that loops over them are those of vectors.

use super::Points;
use crate::backend::cpu::vectorized;

/// Points of a group.
pub(super) const GROUP: usize = 64;

/// Some neighbouring points, feature by feature, and distances of theirs.
pub(super) struct Group {
    columns: Vec<f64>,
    distances: [f64; GROUP],
    /// The nearest centre so far, and the distance to it.
    labels: [u64; GROUP],
    least: [f64; GROUP],
}

impl Group {
    /// For points of D features.
    pub(super) fn new(d: usize) -> Self {
        Self {
            columns: vec![0.0; d * GROUP],
            distances: [0.0; GROUP],
            labels: [0; GROUP],
            least: [f64::INFINITY; GROUP],
        }
    }

    /// Takes at most [`GROUP`] points from number `first` on.
    pub(super) fn load(&mut self, points: &Points, first: usize) {
        let last = points.len().min(first + GROUP);
        for (n, i) in (first..last).enumerate() {
            for (j, x) in points.row(i).iter().enumerate() {
                self.columns[j * GROUP + n] = *x;
            }
        }
    }

    /// The squared distance of each to a centre; of places without a point, anything.
    pub(super) fn distances(&mut self, centre: &[f64]) -> &[f64; GROUP] {
        vectorized(
            #[inline(always)]
            || self.measure(centre),
        );
        &self.distances
    }

    /// The nearest centre of each, of equals the first, and the squared distance to it.
    pub(super) fn nearest(&mut self, centres: &[f64]) -> (&[u64; GROUP], &[f64; GROUP]) {
        vectorized(
            #[inline(always)]
            || {
                self.labels.fill(0);
                self.least.fill(f64::INFINITY);
                let d = self.columns.len() / GROUP;
                for (k, centre) in (0..).zip(centres.chunks_exact(d)) {
                    self.measure(centre);
                    let best = self.labels.iter_mut().zip(&mut self.least);
                    for ((label, least), distance) in best.zip(&self.distances) {
                        let nearer = *distance < *least;
                        *label = if nearer { k } else { *label };
                        *least = if nearer { *distance } else { *least };
                    }
                }
            },
        );
        (&self.labels, &self.least)
    }

    #[inline(always)]
    fn measure(&mut self, centre: &[f64]) {
        self.distances.fill(0.0);
        for (column, c) in self.columns.chunks_exact(GROUP).zip(centre) {
            for (distance, x) in self.distances.iter_mut().zip(column) {
                *distance += (x - c) * (x - c);
            }
        }
    }
}
