//! How a workgroup shares out the components of a model, a tile of rows at a time.

use super::super::shape::{Shape, quads};
use super::{DeviceLimits, LONGEST_RUN, MOST_IN_REGISTERS, MOST_SCORES, UNIFORM_BYTES};
use crate::mixture::CovarianceType;

/// The most numbers alive at once in an invocation: what the compiler for RDNA3 keeps without spilling.
const MOST_ALIVE_IN_WORKGROUP: usize = 113;
/// Workgroup memory that every device has, bytes.
const MEMORY_BYTES: usize = 16 << 10;
/// Operations of the text for a row's scores: with the sums some 25 KB of machine code.
const MOST_OPERATIONS: usize = 2000;
/// Operations of the rows that are written out, about.
const MOST_WRITTEN: usize = 512;
/// Rows of the largest blocks.
const BLOCK_ROWS: usize = 4096;

/// How the invocations of `statistics_workgroup` share out components and rows: a function of the shape and of the
/// device's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sharing {
    /// Invocations.
    pub workgroup: usize,
    /// How many invocations share the rows of a component.
    pub slices: usize,
    /// Rows of a slice.
    pub run: usize,
    /// How many of them are written out.
    pub written: usize,
    /// Components that are scored at a time: all whose scores stay in registers.
    pub some: usize,
}

impl Sharing {
    /// Sums that are added up over slices at a time, one an invocation.
    pub const fn chunk(self, k: usize) -> usize {
        let most = self.workgroup / k;
        if most < 4 { most } else { 4 }
    }

    /// The sharing of a shape that costs least, or `None` where one component's sums do not fit registers, where so many
    /// components leave workgroup memory no room for enough rows, where squared distances are summed, which scores know,
    /// or where the processor plays the GPU, for which barriers are dear.
    pub fn of(shape: Shape, limits: &DeviceLimits) -> Option<Self> {
        let k = shape.k;
        let sums = shape.component_in_workgroup_len();
        let some = some(shape);
        // Turns have places in memory of their own.
        let places = if some < k { 8 } else { 0 };
        if limits.software
            || shape.covariance_type == CovarianceType::Spherical
            || sums > MOST_IN_REGISTERS
            || alive(shape, some) + places > MOST_ALIVE_IN_WORKGROUP
            || 4 * k * shape.parameters_len() > UNIFORM_BYTES
        {
            return None;
        }
        // Whole waves of 64.
        let workgroups = [64, 128, 192, 256].into_iter();
        let slices = workgroups.flat_map(|w| (1..=w / k).map(move |slices| (w, slices)));
        let runs = slices.flat_map(|(w, slices)| (1..=w / slices).map(move |run| (w, slices, run)));
        runs.map(|(workgroup, slices, run)| Self {
            workgroup,
            slices,
            run,
            written: written(run, shape),
            some,
        })
        .filter(|sharing| {
            sharing.workgroup <= limits.max_invocations as usize
                && sharing.memory_bytes(shape) <= MEMORY_BYTES
        })
        .min_by_key(|sharing| sharing.cost(shape))
        .filter(|sharing| sharing.cost(shape) < cost_of_groups(shape))
    }

    /// Workgroup memory: rows, a vec4 between slices; responsibilities; means; what adding up takes.
    fn memory_bytes(self, shape: Shape) -> usize {
        let Self { slices, run, .. } = self;
        let (k, row) = (shape.k, 16 * (quads(shape.d) | 1));
        let features = slices * (run * row + 16);
        let shares = 4 * k.next_multiple_of(self.some) * ((slices * run) | 1);
        features + shares + k * row + 4 * slices * k * self.chunk(k) + 8 * slices
    }

    /// How often some components are scored for a row.
    pub const fn turns(self, k: usize) -> usize {
        k.div_ceil(self.some)
    }

    /// Rows of a tile.
    pub const fn tile(self) -> usize {
        self.slices * self.run
    }

    /// How often an invocation takes rows of a tile.
    pub const fn rounds(self) -> usize {
        self.run / self.written
    }

    /// Instructions for a large block, all invocations together: of a row's scores, of a slice under one component, of
    /// a turn of its loop, and of adding up; and four for each byte that is written, in whose time a GPU makes ten to
    /// twenty, but mostly besides.
    fn cost(self, shape: Shape) -> usize {
        let sums = shape.component_in_workgroup_len();
        // Scores that wait in memory are read and written twice more, in three loops.
        let waiting = match self.turns(shape.k) {
            1 => 0,
            turns => 4 * shape.k + 36 * turns,
        };
        let scores = 80 + shape.k * (shape.least_score() + 7) + waiting;
        let row = 2 + quads(shape.d) + shape.d + shape.least_moments();
        let turns = match self.rounds() {
            1 => 0,
            rounds => 12 * rounds,
        };
        let tiles = BLOCK_ROWS.div_ceil(self.tile());
        let parts = BLOCK_ROWS.div_ceil(self.part_rows(BLOCK_ROWS));
        let invocation =
            tiles * (scores + self.run * row + turns) + parts * (4 + self.slices) * sums / 2;
        self.workgroup * invocation + 16 * parts * shape.k * sums
    }

    /// Rows that a workgroup sums, whole tiles: no invocation adds up more than [`LONGEST_RUN`] of either kind.
    pub fn part_rows(self, rows_per_block: usize) -> usize {
        let tiles = (LONGEST_RUN / self.run).clamp(1, LONGEST_RUN);
        let parts = rows_per_block.div_ceil(tiles * self.tile());
        rows_per_block.div_ceil(parts).next_multiple_of(self.tile())
    }
}

/// What the groups' kernels, which score twice, cost for a large block: a quarter more than that, by what compilers made
/// of them.
const fn cost_of_groups(shape: Shape) -> usize {
    let row = 2 * shape.least_score() + shape.least_moments() + 16;
    BLOCK_ROWS * shape.k * row * 5 / 4
}

/// The most rows of a slice that are written out: a part of it, no more than [`MOST_WRITTEN`] allows.
fn written(run: usize, shape: Shape) -> usize {
    let most = (MOST_WRITTEN / (shape.least_moments() + shape.d)).max(1);
    (1..=run.min(most))
        .rev()
        .find(|n| run.is_multiple_of(*n))
        .unwrap_or(1)
}

/// Numbers alive beside each other: sums, a row, its distances, so many scores.
const fn alive(shape: Shape, scores: usize) -> usize {
    shape.component_in_workgroup_len() + 2 * shape.d + scores
}

/// How many components are scored at a time: all that registers hold and whose text is not too long, or some whose
/// parameters are whole vec4s.
fn some(shape: Shape) -> usize {
    let (k, d) = (shape.k, shape.d);
    let operations = shape.factor_len() + 3 * d + 8;
    let most = MOST_SCORES.min(MOST_OPERATIONS / operations);
    if k <= most && alive(shape, k) <= MOST_ALIVE_IN_WORKGROUP {
        return k;
    }
    let few = [16, 8].into_iter().find(|n| n * operations <= MOST_WRITTEN);
    few.unwrap_or(4).min(k)
}
