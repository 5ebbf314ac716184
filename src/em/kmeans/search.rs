//! Nearest centres of all points, on a GPU where that is much work.

use rayon::prelude::*;

use super::side::{GROUP, Group};
use super::{Points, squared_distance};
use crate::backend::BackendError;
use crate::backend::gpu;
use crate::em::engine::GPU_PAYS;

/// Operations on a coordinate of a point and a centre: the difference, the square, the sum.
const OPERATIONS: f64 = 3.0;

/// Looks for nearest centres. What a GPU finds in single precision differs from what the CPU finds in double for points
/// alone that are within rounding as near to another centre.
pub(super) struct Search<'a> {
    pub(super) points: &'a Points,
    gpu: Option<gpu::Nearest>,
    /// Why a GPU could not go on, if it could not: the CPU did.
    pub(super) failure: Option<BackendError>,
}

impl<'a> Search<'a> {
    /// Among `k` centres, on the device if there is one that gains by it: it is no processor, and a search is long work.
    pub(super) fn new(points: &'a Points, k: usize, device: Option<&gpu::Device>) -> Self {
        let operations = OPERATIONS * (points.len() * points.d) as f64 * k as f64;
        let pays = |device: &&gpu::Device| device.is_hardware() && operations >= GPU_PAYS;
        Self {
            points,
            gpu: device.filter(pays).map(gpu::Nearest::new),
            failure: None,
        }
    }

    /// The nearest centre of each point and the squared distance to it.
    pub(super) fn nearest(&mut self, centres: &[f64]) -> Vec<(usize, f64)> {
        let points = self.points;
        let found = self
            .gpu
            .as_mut()
            .map(|gpu| gpu.labels(points.d, &points.values, centres));
        match found {
            None => nearest(points, centres),
            Some(Ok(labels)) => {
                let distance = |(i, label): (usize, usize)| {
                    let centre = &centres[label * points.d..(label + 1) * points.d];
                    (label, squared_distance(points.row(i), centre))
                };
                labels.into_par_iter().enumerate().map(distance).collect()
            }
            Some(Err(error)) => {
                self.gpu = None;
                self.failure = Some(error);
                nearest(points, centres)
            }
        }
    }
}

/// The nearest centre of each point and the squared distance to it, by the CPU in double precision.
pub(super) fn nearest(points: &Points, centres: &[f64]) -> Vec<(usize, f64)> {
    let mut nearest = vec![(0, f64::INFINITY); points.len()];
    nearest
        .par_chunks_mut(GROUP)
        .with_min_len(8)
        .enumerate()
        .for_each_init(
            || Group::new(points.d),
            |group, (g, nearest)| {
                group.load(points, g * GROUP);
                let (labels, distances) = group.nearest(centres);
                let found = labels.iter().map(|k| *k as usize).zip(distances);
                for (nearest, (k, distance)) in nearest.iter_mut().zip(found) {
                    *nearest = (k, *distance);
                }
            },
        );
    nearest
}
