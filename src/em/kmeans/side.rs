//! Distances of points that lie side by side, so that loops over them are those of vectors.

use super::Points;

/// Points of a group.
pub(super) const GROUP: usize = 64;

/// Some neighbouring points, feature by feature, and distances of theirs.
pub(super) struct Group {
    columns: Vec<f64>,
    distances: [f64; GROUP],
}

impl Group {
    /// For points of D features.
    pub(super) fn new(d: usize) -> Self {
        Self {
            columns: vec![0.0; d * GROUP],
            distances: [0.0; GROUP],
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
        self.distances.fill(0.0);
        for (column, c) in self.columns.chunks_exact(GROUP).zip(centre) {
            for (distance, x) in self.distances.iter_mut().zip(column) {
                *distance += (x - c) * (x - c);
            }
        }
        &self.distances
    }
}
