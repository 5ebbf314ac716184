//! How a model is evaluated on a device: regime, sizes, numbers of dispatches. Pure functions of shapes and
//! limits, no device in sight.
//!
//! What decides bits (regime, workgroup size, rows of a segment) depends on D, K, the covariance type, whether
//! there are weights, and the device alone; how many blocks share a buffer, a batch or a submission depends on
//! limits as well and changes no bit.

use super::digits::Digits;
use super::shape::{Shape, quads};
use crate::backend::SummationBlocks;
use crate::mixture::triangle;

mod found;
mod reduction;
mod registers;
mod scoring;
mod sharing;
mod steps;
mod tiles;
mod tiling;
pub use reduction::{Reduction, chunk};
#[cfg(test)]
pub use registers::rows_at_once;
pub use registers::{MOST_ALIVE, MOST_IN_REGISTERS, fits_registers, models_per_dispatch};
pub use scoring::Scoring;
pub use sharing::{MOST_ALIVE_IN_WORKGROUP, MOST_ALIVE_OF_NVIDIA, Sharing, coordinates};
pub use steps::MStep;
pub use tiles::Tiles;
#[cfg(test)]
pub use tiling::LEAST_TILE_BYTES;
pub use tiling::Tiling;

/// The same as [`MOST_ALIVE`] where they are one component's: there is no smaller group.
const MOST_ALIVE_ALONE: usize = 150;
/// The most parameters of a group there, which no other component's coordinates stand beside.
const MOST_GROUP_PARAMETERS: usize = 240;
/// Scratch memory for scores and what becomes of them, bytes.
pub const SCRATCH_BYTES: u64 = 64 << 20;
/// How many times that a card has for scores and sums of segments: fewer, longer dispatches leave its multiprocessors idle less
/// often at their ends. On an H100 four times took 7 % off a step of D = 128 K = 1,024.
const CARD_SCRATCH: u64 = 4;
/// Memory for partial sums that are alive at once, bytes.
pub const PARTIALS_BYTES: u64 = 64 << 20;
/// The most rows that single precision adds up before folding.
pub const LONGEST_RUN: usize = 256;
/// Software adapters end all loops of an invocation after 65,535 iterations, silently.
pub const MOST_ITERATIONS: u64 = 60_000;
/// A uniform binding that every device allows, bytes.
pub const UNIFORM_BYTES: usize = 16 << 10;
/// The most segments of a batch: they travel in its uniform struct, 8 KiB.
pub const SEGMENTS: usize = 1020;
/// Operations of the text that an invocation of `log_normalisers` works off.
const GROUP_OPERATIONS: usize = 1500;
/// The most scores that it holds at once.
const MOST_SCORES: usize = 32;
/// Storage buffers of `accumulate_tiles`, more than the least that devices have.
const TILE_BUFFERS: u32 = 5;
/// What one submission should cost, seconds: watchdogs reset devices after two.
const SUBMISSION_SECONDS: f64 = 0.1;

/// What the plan needs to know of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// The most a binding covers, bytes.
    pub max_binding_bytes: u64,
    /// The most a buffer of samples may have, bytes; at most `max_binding_bytes`.
    pub max_samples_bytes: u64,
    /// The most workgroups per dimension of a dispatch.
    pub max_workgroups: u32,
    /// The most invocations of a workgroup.
    pub max_invocations: u32,
    /// Memory shared by a workgroup, bytes.
    pub workgroup_memory_bytes: u32,
    /// The most storage buffers that a stage binds.
    pub max_storage_buffers: u32,
    /// The fewest invocations of a subgroup, 0 where there are none.
    pub least_subgroup: u32,
    /// The most blocks of a submission.
    pub max_submission_blocks: usize,
    /// Whether the adapter computes on the processor.
    pub software: bool,
    /// Whether it is a card with memory of its own.
    pub discrete: bool,
    /// Whether what is the same for a whole subgroup is read once, beside arithmetic.
    pub scalar_reads: bool,
    /// The most numbers alive at once in an invocation of `statistics_workgroup` that its compilers keep in registers.
    pub most_alive: usize,
}

impl DeviceLimits {
    /// Whether each parameter is a load like any other: neither a scalar unit nor a processor reads what is the same for all.
    pub const fn parameters_are_loads(&self) -> bool {
        !self.scalar_reads && !self.software
    }
}

#[cfg(test)]
impl DeviceLimits {
    /// Those that every WebGPU adapter has, no subgroups.
    pub const WEBGPU: Self = Self {
        max_binding_bytes: 128 << 20,
        max_samples_bytes: 128 << 20,
        max_workgroups: 65_535,
        max_invocations: 256,
        workgroup_memory_bytes: 16_384,
        max_storage_buffers: 8,
        least_subgroup: 0,
        max_submission_blocks: usize::MAX,
        software: false,
        discrete: false,
        scalar_reads: true,
        most_alive: MOST_ALIVE_IN_WORKGROUP,
    };
    /// Those that an integrated GPU has: more memory for a workgroup.
    pub const INTEGRATED: Self = Self {
        workgroup_memory_bytes: 32_768,
        ..Self::WEBGPU
    };
    /// The same of a card.
    pub const CARD: Self = Self {
        discrete: true,
        ..Self::INTEGRATED
    };
    /// And of one without scalar reads.
    pub const NVIDIA: Self = Self {
        scalar_reads: false,
        most_alive: MOST_ALIVE_OF_NVIDIA,
        ..Self::CARD
    };
}

/// How the samples lie in buffers: feature-major within a summation block, so that neighbouring invocations,
/// which take neighbouring rows, read neighbouring numbers for every D; whole blocks a buffer, the last block
/// padded. A row's weight, where there are weights, is one more feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleLayout {
    /// The rows of each block.
    pub blocks: SummationBlocks,
    /// D, and 1 for the weight.
    pub columns: usize,
    /// Whole blocks that a buffer holds.
    pub blocks_per_buffer: usize,
}

impl SampleLayout {
    /// The layout of N × D samples, or `None` if a binding cannot hold one block.
    pub fn new(n: usize, d: usize, weighted: bool, limits: &DeviceLimits) -> Option<Self> {
        let blocks = SummationBlocks::new(n);
        let columns = d + usize::from(weighted);
        let block_bytes = (blocks.rows_per_block() * columns * 4) as u64;
        // Indices in a shader are 32 bits wide.
        let limit = limits.max_samples_bytes.min(u64::from(u32::MAX));
        let blocks_per_buffer = (limit / block_bytes).min(blocks.len() as u64) as usize;
        (blocks_per_buffer > 0).then_some(Self {
            blocks,
            columns,
            blocks_per_buffer,
        })
    }

    /// Numbers that a block takes in a buffer.
    pub fn block_len(&self) -> usize {
        self.blocks.rows_per_block() * self.columns
    }
}

/// How components are grouped in the middle regime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// How workgroups of `statistics_groups` add up.
    pub reduction: Reduction,
    /// Components that an invocation of `log_normalisers` scores.
    pub score: usize,
    /// Components that an invocation of `statistics_groups` sums.
    pub sum: usize,
    /// Whether invocations walk rows with the parameters in hand, one workgroup a block. Reading them again for
    /// each row costs a GPU nothing, and a processor that plays one more than the arithmetic.
    pub hoisted: bool,
}

impl Groups {
    /// The groups of a shape, or `None` where not even one component's sums fit the registers.
    fn of(shape: Shape, limits: &DeviceLimits) -> Option<Self> {
        let (k, d) = (shape.k, shape.d);
        // Samples and the coordinates of one component are alive beside the sums.
        let alone = shape.with(1).statistics_len();
        if alone > MOST_IN_REGISTERS || alone + 2 * d > MOST_ALIVE_ALONE {
            return None;
        }
        let most_sums = MOST_IN_REGISTERS.min(MOST_ALIVE.saturating_sub(2 * d));
        let most_sums = most_sums.saturating_sub(shape.pooled_len()) / shape.component_len();
        let most_sums = most_sums.min(MOST_GROUP_PARAMETERS / shape.parameters_len());
        let most_scores = GROUP_OPERATIONS / (shape.factor_len() + 3 * d + 8);
        // Groups of one size, so that the last is not a small rest.
        let even = |most: usize| k.div_ceil(k.div_ceil(most.clamp(1, k)));
        Some(Self {
            reduction: Reduction::of(shape.with(even(most_sums)).statistics_len(), limits),
            score: even(most_scores.min(MOST_SCORES)),
            sum: even(most_sums),
            hoisted: limits.software,
        })
    }
}

/// How one model is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// `statistics_registers`: one workgroup a block or a part of it, all statistics in registers.
    Registers {
        /// How workgroups add up.
        reduction: Reduction,
        /// Rows that an invocation takes at once.
        rows_at_once: usize,
        /// Rows that a workgroup sums.
        part_rows: usize,
        /// Whether rows are taken as they are.
        near: bool,
    },
    /// `statistics_workgroup`: a workgroup's registers hold the sums of features of all components.
    Workgroup {
        /// How it shares them out.
        sharing: Sharing,
        /// Rows that it sums.
        part_rows: usize,
    },
    /// `log_normalisers`, `merge_normalisers`, `statistics_groups`: the sums of a few components at a time in
    /// registers.
    Groups(Groups),
    /// `score_full` or `score_products`, `responsibilities`, `accumulate`, `reduce_partials` over segments of blocks.
    Staged {
        /// Rows of a segment.
        segment_rows: usize,
        /// Segments that scratch memory holds at once.
        segments_per_batch: usize,
        /// How scores are made.
        scoring: Scoring,
        /// How second moments of triangles are shared out.
        tiling: Tiling,
    },
}

impl Regime {
    /// Whether rows are taken as they are, and no means off them.
    pub const fn is_near(self) -> bool {
        match self {
            Self::Registers { near, .. } => near,
            Self::Workgroup { .. } | Self::Groups(_) | Self::Staged { .. } => false,
        }
    }
}

/// The plan for one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// By which kernels.
    pub regime: Regime,
    /// Numbers that a block hands back, logs apart.
    pub sums_per_block: usize,
    /// Summation blocks of one submission.
    pub blocks_per_submission: usize,
    /// The most loop iterations of one invocation.
    pub iterations: u64,
}

/// Workgroups in x and y for `count` of them in a line.
pub fn grid(count: usize, max_workgroups: u32) -> (u32, u32) {
    let width = count.clamp(1, max_workgroups as usize);
    (width as u32, count.div_ceil(width) as u32)
}

impl Plan {
    /// The plan for a model on samples laid out like this, or `None` if the device's limits do not allow even
    /// the smallest pieces.
    pub fn new(layout: &SampleLayout, shape: Shape, limits: &DeviceLimits) -> Option<Self> {
        if fits_registers(shape, layout.columns > shape.d) {
            return Some(Self::registers(layout, shape, false, limits));
        }
        let groups = Groups::of(shape, limits);
        let grouped = || groups.and_then(|groups| Self::groups(layout, shape, groups, limits));
        let binds = !shape.is_diagonal() || limits.max_storage_buffers >= TILE_BUFFERS;
        let staged = || Self::staged(layout, shape, limits).filter(|_| binds);
        // Groups' parameters are constants, of which cards without scalars have few at hand.
        match limits.parameters_are_loads() {
            false if groups.is_some() => grouped(),
            false => staged(),
            true => staged().or_else(grouped),
        }
    }

    /// The plan for a model whose components bear so much: `None` as for [`Plan::new`].
    pub fn of(
        layout: &SampleLayout,
        shape: Shape,
        digits: Digits,
        limits: &DeviceLimits,
    ) -> Option<Self> {
        if fits_registers(shape, layout.columns > shape.d) {
            let near = digits.folded && MStep::bears_near(shape);
            return Some(Self::registers(layout, shape, near, limits));
        }
        match Sharing::of(shape, limits).filter(|_| digits.of_features) {
            Some(sharing) => Some(Self::workgroup(layout, shape, sharing, limits)),
            None => Self::new(layout, shape, limits),
        }
    }

    fn workgroup(
        layout: &SampleLayout,
        shape: Shape,
        sharing: Sharing,
        limits: &DeviceLimits,
    ) -> Self {
        let rows = layout.blocks.rows_per_block();
        let part_rows = sharing.part_rows(rows);
        let len = shape.k * shape.component_in_workgroup_len() + 2;
        let per_component = 4 * shape.factor_len() + 12 * shape.d + 60;
        let flops = (rows * shape.k * per_component) as f64;
        let block_bytes = (4 * len * rows.div_ceil(part_rows)) as u64;
        Self {
            regime: Regime::Workgroup { sharing, part_rows },
            sums_per_block: len,
            blocks_per_submission: blocks_per_submission(flops, block_bytes, limits),
            iterations: (part_rows.div_ceil(sharing.tile())
                * (2 * sharing.rounds() + 3 * sharing.turns(shape.k) + 1))
                as u64,
        }
    }

    fn groups(
        layout: &SampleLayout,
        shape: Shape,
        groups: Groups,
        limits: &DeviceLimits,
    ) -> Option<Self> {
        let Groups {
            reduction,
            score,
            sum,
            ..
        } = groups;
        let (k, rows) = (shape.k, layout.blocks.rows_per_block());
        let (scored, summed) = (k.div_ceil(score), k.div_ceil(sum));
        let statistics = shape.with(sum).statistics_len();
        let sums_per_block = summed * statistics;
        let normaliser_bytes = (scored * rows * 8) as u64;
        let iterations = (2 * scored + 8)
            .max(rows.div_ceil(reduction.workgroup as usize) + reduction.iterations(statistics));
        let most = limits.max_workgroups as usize;
        if 4 * sums_per_block as u64 > PARTIALS_BYTES
            || 8 * sums_per_block as u64 > limits.max_binding_bytes
            || normaliser_bytes > limits.max_binding_bytes
            || (limits.software && iterations as u64 >= MOST_ITERATIONS)
        {
            return None;
        }
        let per_component = 6 * shape.factor_len() + 14 * shape.d + 60;
        let flops = (rows * k * per_component) as f64;
        let by_scratch = (SCRATCH_BYTES / normaliser_bytes).max(1) as usize;
        Some(Self {
            regime: Regime::Groups(groups),
            sums_per_block,
            blocks_per_submission: blocks_per_submission(flops, 4 * sums_per_block as u64, limits)
                .min(by_scratch)
                .min(most),
            iterations: iterations as u64,
        })
    }

    /// The plan of the staged regime, which serves every shape: `None` as for [`Plan::new`].
    pub fn staged(layout: &SampleLayout, shape: Shape, limits: &DeviceLimits) -> Option<Self> {
        let (k, q) = (shape.k, quads(shape.d));
        let tiling = Tiling::on(shape.d, limits);
        let most_rows = match shape.is_diagonal() {
            true => LONGEST_RUN,
            false if shape.d > Tiling::MOST_FEATURES => return None,
            false => tiling.segment_rows(shape.d),
        };
        let len = shape.staged_len();
        let bytes_per_row = shape.scratch_bytes_per_row() as u64;
        let partial_bytes = (len * 16) as u64;
        let parameter_bytes = (shape.staged_parameters_len() * 16) as u64;
        // Decided without what bindings may hold: a segment's rows decide bits.
        let segment_rows = match (SCRATCH_BYTES / bytes_per_row) as usize {
            // `score_tiles` and `score_panels` take four at a time.
            rows @ 0..64 => rows / 4 * 4,
            rows => (rows / 64 * 64)
                .min(most_rows)
                .min(layout.blocks.rows_per_block()),
        };
        // Totals are two numbers each.
        if segment_rows == 0
            || 2 * partial_bytes > limits.max_binding_bytes
            || parameter_bytes > limits.max_binding_bytes
        {
            return None;
        }
        let most = limits.max_workgroups as usize;
        let segment_bytes = bytes_per_row * segment_rows as u64;
        let times = if limits.discrete { CARD_SCRATCH } else { 1 };
        let room = |bytes: u64| (times * bytes).min(limits.max_binding_bytes);
        let segments_per_batch = (room(SCRATCH_BYTES) / segment_bytes)
            .min(room(PARTIALS_BYTES) / partial_bytes)
            .max(1)
            .min(SEGMENTS.min(most) as u64) as usize;
        let groups = [k, len.div_ceil(64)];
        if groups.into_iter().any(|g| g > most) {
            return None;
        }
        let rows = layout.blocks.rows_per_block();
        let tiles = triangle::packed_len(q);
        let (scoring, summing, flops) = if shape.is_diagonal() {
            // And what brings the rows into workgroup memory.
            (q, 2 * segment_rows, 40.0 * q as f64)
        } else {
            // Whitening goes over the features' fours twice a round.
            let turn = tiling.rows + tiling.rounds(shape.d) * 2 * (q + 1);
            let turns = segment_rows.div_ceil(tiling.rows);
            (q + tiles, turns * (turn + 1), 64.0 * tiles as f64)
        };
        let iterations = [
            scoring,
            summing,
            3 * k + 16,
            2 * rows.div_ceil(segment_rows),
        ]
        .into_iter()
        .max()? as u64;
        if limits.software && iterations >= MOST_ITERATIONS {
            return None;
        }
        let flops = (rows * k) as f64 * (flops + 60.0);
        let block_bytes = (len * 16) as u64;
        Some(Self {
            regime: Regime::Staged {
                segment_rows,
                segments_per_batch,
                scoring: Scoring::of(shape, limits),
                tiling,
            },
            sums_per_block: 4 * len,
            blocks_per_submission: blocks_per_submission(flops, block_bytes, limits),
            iterations,
        })
    }

    /// Sums of a model, logarithms apart.
    pub fn sums(&self) -> usize {
        match self.regime {
            // Logarithms come last in each row of partials.
            Regime::Registers { .. } | Regime::Workgroup { .. } => self.sums_per_block - 2,
            Regime::Groups(_) | Regime::Staged { .. } => self.sums_per_block,
        }
    }

    /// Numbers of a row of partials where the device adds up rows: all but few.
    pub fn totals(&self) -> Option<usize> {
        match self.regime {
            Regime::Registers { .. } => None,
            _ => Some(self.sums_per_block),
        }
    }
}

/// Blocks that one submission takes: about a tenth of a second on a slow device of its kind, and sums that fit.
pub fn blocks_per_submission(
    flops_per_block: f64,
    bytes_per_block: u64,
    limits: &DeviceLimits,
) -> usize {
    let flops_per_second = match (limits.software, limits.discrete) {
        (true, _) => 5e9,
        (false, true) => 1e12,
        (false, false) => 3e11,
    };
    let by_time = (SUBMISSION_SECONDS * flops_per_second / flops_per_block) as u64;
    let by_memory = PARTIALS_BYTES / bytes_per_block;
    let most = limits.max_submission_blocks;
    (by_time.min(by_memory) as usize).clamp(1, most.max(1))
}

#[cfg(test)]
mod tests;
