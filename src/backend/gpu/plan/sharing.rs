//! How a workgroup shares out the components of a model, a tile of rows at a time.

use super::super::shape::{Shape, quads};
use super::{DeviceLimits, LONGEST_RUN, MOST_IN_REGISTERS, MOST_SCORES, UNIFORM_BYTES};
use crate::mixture::CovarianceType;

/// The most numbers alive at once in an invocation: what the compiler for RDNA3 keeps without spilling.
pub const MOST_ALIVE_IN_WORKGROUP: usize = 113;
/// The same on NVIDIA's chips, which give an invocation up to 255 registers.
pub const MOST_ALIVE_OF_NVIDIA: usize = 205;
/// Constants that a chip without scalar reads has at hand, bytes: on an H100 1.5 KB cost nothing, and with 4 KB each
/// number was fetched anew for each row.
const CONSTANTS_AT_HAND: usize = 1536;
/// Registers of a multiprocessor there, and of an invocation beside the numbers that are alive.
const REGISTERS: usize = 64 << 10;
const OTHER_REGISTERS: usize = 24;
/// Invocations of a multiprocessor that are enough to hide half of what waiting takes.
const BUSY_INVOCATIONS: usize = 512;
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
    /// Components whose scores are taken at a time: all where they stay in registers.
    pub some: usize,
    /// Whether an invocation has the parameters of its component in registers, and scores what it is to sum.
    pub owned: bool,
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
        if limits.software
            || shape.covariance_type == CovarianceType::Spherical
            || sums > MOST_IN_REGISTERS
        {
            return None;
        }
        let owned = !limits.scalar_reads
            && 4 * k * shape.parameters_len() > CONSTANTS_AT_HAND
            && alive_owned(shape) <= limits.most_alive;
        let some = if owned { some_owned(k) } else { some(shape) };
        // Turns have places in memory of their own.
        let places = if some < k { 8 } else { 0 };
        if !owned
            && (alive(shape, some) + places > MOST_ALIVE_IN_WORKGROUP
                || 4 * k * shape.parameters_len() > UNIFORM_BYTES)
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
            owned,
        })
        .filter(|sharing| {
            sharing.workgroup <= limits.max_invocations as usize
                && sharing.memory_bytes(shape) <= MEMORY_BYTES
        })
        .min_by_key(|sharing| sharing.cost(shape))
        .filter(|sharing| owned || sharing.cost(shape) < cost_of_groups(shape))
    }

    /// Workgroup memory: rows, a vec4 between slices; responsibilities; means; what adding up takes.
    fn memory_bytes(self, shape: Shape) -> usize {
        let Self { slices, run, .. } = self;
        let (k, row) = (shape.k, 16 * (quads(shape.d) | 1));
        let features = slices * (run * row + 16);
        let shares = 4 * k.next_multiple_of(self.some) * ((slices * run) | 1);
        let means = if self.owned { 0 } else { k * row };
        features + shares + means + 4 * slices * k * self.chunk(k) + 8 * slices
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
        let score = 7 + if self.owned { 0 } else { shape.least_score() };
        let scores = 80 + shape.k * score + waiting;
        let moments = 2 + quads(shape.d) + shape.d + shape.least_moments();
        let row = moments
            + match self.owned {
                true => 1 + quads(shape.d) + shape.least_score(),
                false => 0,
            };
        let turns = match self.rounds() {
            1 => 0,
            rounds => 12 * rounds,
        };
        let tiles = BLOCK_ROWS.div_ceil(self.tile());
        let parts = BLOCK_ROWS.div_ceil(self.part_rows(BLOCK_ROWS));
        let invocation =
            tiles * (scores + self.run * row + turns) + parts * (4 + self.slices) * sums / 2;
        let cost = self.workgroup * invocation + 16 * parts * shape.k * sums;
        match self.owned {
            true => cost + cost * BUSY_INVOCATIONS / self.resident(shape),
            false => cost,
        }
    }

    /// Invocations that the registers of a multiprocessor of NVIDIA's hold at once, whole workgroups of them.
    fn resident(self, shape: Shape) -> usize {
        let registers = alive_owned(shape) + OTHER_REGISTERS;
        (REGISTERS / registers / self.workgroup).max(1) * self.workgroup
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

/// Numbers alive beside each other where an invocation has a component's parameters: these, the sums, a row, its
/// distances.
const fn alive_owned(shape: Shape) -> usize {
    shape.component_in_workgroup_len() + shape.parameters_len() + 2 * shape.d + 8
}

/// How many components' scores an invocation takes at a time that has none of the parameters.
fn some_owned(k: usize) -> usize {
    if k <= MOST_SCORES { k } else { 16 }
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
