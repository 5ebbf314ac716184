//! Stage `nearest`: the nearest of K centres for each of some points, the step of k-means that looks at all pairs.
//!
//! | binding | name | shape | access |
//! |---|---|---|---|
//! | 0 | `range` | [`NearestRange`] | uniform |
//! | 1 | `points` | blocks of 256 points × D × points, f32 | read |
//! | 2 | `centres` | octets × D × 8, f32, the last octet filled up with centres far away | read |
//! | 3 | `found` | slices × points by fours: squared distances, then labels, as f32; each written exactly once | write |

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::Counters;
use super::buffers::Pool;
use super::device::Device;
use super::plan::{DeviceLimits, MOST_ITERATIONS, blocks_per_submission};
use super::recording::Recording;
use super::stage::StageKey;
use super::upload::PIECE_BYTES;
use crate::backend::BackendError;

/// Points of a block: four for each invocation of a workgroup.
const BLOCK: usize = 256;
/// Centres are shared out until there are about so many workgroups, enough to keep a large GPU busy.
const WORKGROUPS: usize = 2048;
/// The coordinates of centres that fill up an octet. Their squares stay within single precision, and no point, which is
/// within 1e12, is as far from its nearest centre.
const FAR: f32 = 1e17;

/// Uniform `range`. Mirrors `struct NearestRange`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct NearestRange {
    /// Blocks of points.
    pub blocks: u32,
    /// D.
    pub features: u32,
    /// Octets of centres.
    pub octets: u32,
    /// Octets of a slice.
    pub octets_per_slice: u32,
}

/// How points and centres are shared out: a function of sizes and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sharing {
    /// Blocks of points of a submission.
    blocks: usize,
    octets: usize,
    octets_per_slice: usize,
    slices: usize,
}

impl Sharing {
    /// `None` where a device's limits do not allow even one block.
    fn new(points: usize, d: usize, k: usize, limits: &DeviceLimits) -> Option<Self> {
        let octets = k.div_ceil(8);
        let block_bytes = (4 * BLOCK * d) as u64;
        let by_time = blocks_per_submission((2 * BLOCK * d * k) as f64, block_bytes, limits);
        let blocks = points
            .div_ceil(BLOCK)
            .min((PIECE_BYTES / block_bytes).max(1) as usize)
            .min(by_time)
            .min(limits.max_workgroups as usize);
        let slices = WORKGROUPS.div_ceil(blocks).clamp(1, octets);
        let octets_per_slice = octets.div_ceil(slices);
        let slices = octets.div_ceil(octets_per_slice);
        let bytes = [
            blocks as u64 * block_bytes,
            (32 * octets * d) as u64,
            (8 * BLOCK * blocks * slices) as u64,
        ];
        let iterations = (octets_per_slice * (d + 1)) as u64;
        let fits = bytes
            .into_iter()
            .all(|bytes| bytes <= limits.max_binding_bytes)
            && slices <= limits.max_workgroups as usize
            && (!limits.software || iterations < MOST_ITERATIONS);
        fits.then_some(Self {
            blocks,
            octets,
            octets_per_slice,
            slices,
        })
    }
}

/// Finds nearest centres on a device.
#[derive(Debug)]
pub struct Nearest {
    device: Device,
    pool: Pool,
    /// What ran so far.
    pub(super) counters: Counters,
}

impl Nearest {
    /// On this device.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            pool: Pool::default(),
            counters: Counters::default(),
        }
    }

    /// The number of the nearest centre of each point, of equally near ones the first: by squared distances in single
    /// precision, so that of centres within rounding of each other either may be found. Points and centres are row-major
    /// with D numbers each; of points a piece at a time is on the device.
    ///
    /// # Errors
    /// As [`Gpu::load`](super::Gpu::load).
    pub fn labels(
        &mut self,
        d: usize,
        points: &[f64],
        centres: &[f64],
    ) -> Result<Vec<usize>, BackendError> {
        let Self {
            device,
            pool,
            counters,
        } = self;
        let (n, k) = (points.len() / d, centres.len() / d);
        let sharing = Sharing::new(n, d, k, device.limits());
        let sharing = sharing.ok_or_else(|| device.too_large(d, k))?;
        let stage = device.stage(StageKey::Nearest)?;
        let centres = octets(centres, d);
        let mut labels = Vec::with_capacity(n);
        for points in points.chunks(sharing.blocks * BLOCK * d) {
            let count = points.len() / d;
            let blocks = count.div_ceil(BLOCK);
            let range = NearestRange {
                blocks: blocks as u32,
                features: d as u32,
                octets: sharing.octets as u32,
                octets_per_slice: sharing.octets_per_slice as u32,
            };
            pool.begin();
            let len = 2 * blocks * BLOCK * sharing.slices;
            let buffers = [
                &pool.uniform(device, "range", &[range])?,
                &pool.input(device, "points", &turned(points, d))?,
                &pool.input(device, "centres", &centres)?,
                &pool.output(device, "found", 4 * len as u64)?,
            ];
            let bound = device.guarded("nearest", 0, || stage.bind(device.raw(), &buffers))?;
            let mut recording = Recording::default();
            recording.dispatch(&bound, &[], [blocks as u32, sharing.slices as u32, 1]);
            recording.want(buffers[3], len);
            pool.keep(&recording);
            let results = pool.run(device, counters, &[recording])?;
            labels.extend(merged(&results[0][0], sharing.slices).take(count));
        }
        Ok(labels)
    }
}

/// Blocks of points, feature by feature.
fn turned(points: &[f64], d: usize) -> Vec<f32> {
    let mut columns = vec![0.0; points.len().div_ceil(BLOCK * d) * BLOCK * d];
    columns
        .par_chunks_exact_mut(BLOCK * d)
        .zip(points.par_chunks(BLOCK * d))
        .for_each(|(columns, points)| {
            for (n, point) in points.chunks_exact(d).enumerate() {
                for (j, x) in point.iter().enumerate() {
                    columns[j * BLOCK + n] = *x as f32;
                }
            }
        });
    columns
}

/// Octets of centres, feature by feature.
fn octets(centres: &[f64], d: usize) -> Vec<f32> {
    let mut columns = vec![FAR; centres.len().div_ceil(8 * d) * 8 * d];
    for (k, centre) in centres.chunks_exact(d).enumerate() {
        for (j, x) in centre.iter().enumerate() {
            columns[(k / 8 * d + j) * 8 + k % 8] = *x as f32;
        }
    }
    columns
}

/// The label of each point, over all slices of the centres; of equals that of the first slice.
fn merged(found: &[f32], slices: usize) -> impl Iterator<Item = usize> {
    let slice_len = found.len() / slices;
    (0..slice_len / 2).map(move |point| {
        // Four distances, then their labels.
        let at = point / 4 * 8 + point % 4;
        let (mut distance, mut label) = (f32::INFINITY, 0.0);
        for slice in found.chunks_exact(slice_len) {
            if slice[at] < distance {
                (distance, label) = (slice[at], slice[at + 4]);
            }
        }
        label as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DeviceLimits = DeviceLimits {
        least_subgroup: 32,
        ..DeviceLimits::WEBGPU
    };

    #[test]
    fn every_centre_is_in_a_slice_and_few_points_have_many() {
        for (n, d, k) in [
            (1, 1, 1),
            (500, 3, 9),
            (51_200, 128, 1024),
            (204_800, 128, 4096),
        ] {
            let s = Sharing::new(n, d, k, &LIMITS).expect("it fits");
            assert_eq!(s.octets, k.div_ceil(8));
            assert!(s.octets_per_slice * s.slices >= s.octets);
            assert!(s.octets_per_slice * (s.slices - 1) < s.octets);
            assert!(s.slices * s.blocks >= WORKGROUPS.min(s.octets));
            assert!((4 * BLOCK * d * s.blocks) as u64 <= PIECE_BYTES);
        }
    }

    #[test]
    fn of_equally_near_centres_the_first_is_found() {
        // Two slices of one four of points.
        let found = [
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.0],
            [1.0, 1.0, 4.0, 4.0, 8.0, 9.0, 10.0, 11.0],
        ];
        let labels: Vec<usize> = merged(found.as_flattened(), 2).collect();
        assert_eq!(labels, [5, 9, 7, 0]);
    }
}
