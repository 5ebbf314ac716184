//! How a workgroup shares out the components of a model, a tile of rows at a time.

use super::super::shape::{Shape, quads};
use super::{
    DeviceLimits, GROUP_OPERATIONS, LONGEST_RUN, MOST_IN_REGISTERS, MOST_SCORES, UNIFORM_BYTES,
};
use crate::mixture::CovarianceType;

/// The most numbers alive at once in an invocation: what the compiler for RDNA3 keeps without spilling.
const MOST_ALIVE_IN_WORKGROUP: usize = 112;
/// Workgroup memory that every device has, bytes.
const MEMORY_BYTES: usize = 16 << 10;

/// How the invocations of `statistics_workgroup` share out components and rows: a function of the shape and of the
/// device's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sharing {
    /// Invocations, and rows of a tile.
    pub workgroup: usize,
    /// How many invocations share the rows of a component.
    pub slices: usize,
}

impl Sharing {
    /// Sums that are added up over slices at a time.
    pub const CHUNK: usize = 4;

    /// The sharing of a shape that keeps the most invocations busy, or `None` where scores or one component's sums do
    /// not fit registers, where squared distances are summed, which scores know, or where the processor plays the GPU, for
    /// which barriers are dear.
    pub fn of(shape: Shape, limits: &DeviceLimits) -> Option<Self> {
        let (k, d) = (shape.k, shape.d);
        let sums = shape.component_in_workgroup_len();
        // The mean, a row and its distances, and all scores are alive beside the sums.
        let alive = sums + 3 * d + k;
        if limits.software
            || shape.covariance_type == CovarianceType::Spherical
            || sums > MOST_IN_REGISTERS
            || alive > MOST_ALIVE_IN_WORKGROUP
            || k > MOST_SCORES.min(GROUP_OPERATIONS / (shape.factor_len() + 3 * d + 8))
            || 4 * k * shape.parameters_len() > UNIFORM_BYTES
        {
            return None;
        }
        let all = [64, 96, 128, 160, 192].into_iter().flat_map(|workgroup| {
            (1..=workgroup / k).map(move |slices| Self { workgroup, slices })
        });
        all.filter(|sharing| {
            sharing.workgroup <= limits.max_invocations as usize
                && sharing.memory_bytes(shape) <= MEMORY_BYTES
        })
        .min_by_key(|sharing| sharing.idle(k))
    }

    fn memory_bytes(self, shape: Shape) -> usize {
        let row = 16 * (quads(shape.d) | 1) + 4 * (shape.k | 1);
        self.workgroup * (row + 4 * Self::CHUNK) + 128
    }

    /// How often an invocation takes two rows of a tile.
    pub const fn rounds(self) -> usize {
        (self.workgroup / 2).div_ceil(self.slices)
    }

    /// Invocations times rounds for a thousand rows and components.
    const fn idle(self, k: usize) -> usize {
        1_000_000 * self.rounds() * self.workgroup / (k * self.workgroup)
    }

    /// Rows that a workgroup sums, whole tiles: no invocation adds up more than [`LONGEST_RUN`] of either kind.
    pub fn part_rows(self, rows_per_block: usize) -> usize {
        let longest = LONGEST_RUN / 2 / self.rounds().max(1);
        let tiles = longest.clamp(1, LONGEST_RUN);
        let parts = rows_per_block.div_ceil(tiles * self.workgroup);
        rows_per_block
            .div_ceil(parts)
            .next_multiple_of(self.workgroup)
    }
}
