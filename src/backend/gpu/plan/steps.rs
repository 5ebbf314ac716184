//! EM steps that the device takes by itself: by which kernels, and how many in one submission.

use super::super::shape::Shape;
use super::{
    DeviceLimits, MOST_ITERATIONS, PARTIALS_BYTES, Plan, Reduction, Regime, SampleLayout, chunk,
};
use crate::mixture::triangle;

/// Numbers of a triangular factor that an invocation of `m_step` holds without spilling: up to D = 8.
const MOST_OF_FACTOR: usize = 36;
/// The most EM steps that a device takes by itself: the host looks in that often at least.
pub const MOST_STEPS: usize = 63;

/// Memory for rows of sums of all blocks, bytes.
const ROWS_BYTES: u64 = 4 * PARTIALS_BYTES;

/// How M-steps are made on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MStep {
    /// `m_step`: a workgroup a model, in registers.
    Model,
    /// `m_step_triangles` or `m_step_diagonals`: so many invocations a component.
    Components(usize),
}

/// Storage buffers of `sum_blocks`; `m_step_triangles` and `commit_step` have no more.
const STORAGE_BUFFERS: u32 = 6;

/// The same where rows are taken as they are: remainders are in two parts, and their growth is watched.
const MOST_OF_FACTOR_NEAR: usize = 28;

impl MStep {
    /// Whether `m_step` can follow passes over rows as they are.
    pub const fn bears_near(shape: Shape) -> bool {
        shape.is_diagonal() || shape.factor_len() <= MOST_OF_FACTOR_NEAR
    }

    /// The kernels for a model whose sums are in this order, so many of them; `None` where the host must make its
    /// M-steps.
    pub fn of(
        regime: Regime,
        (shape, sums): (Shape, usize),
        limits: &DeviceLimits,
    ) -> Option<Self> {
        if limits.max_storage_buffers < STORAGE_BUFFERS {
            return None;
        }
        let is_small = shape.is_diagonal() || shape.factor_len() <= MOST_OF_FACTOR;
        if is_small && matches!(regime, Regime::Registers { .. }) {
            return Some(Self::Model);
        }
        let most = limits.max_workgroups as usize;
        let at_once = chunk(Reduction::of_rows(limits).workgroup);
        if sums.div_ceil(at_once) > most || shape.k.max(shape.d) > most {
            return None;
        }
        // Eight invocations a row of a triangle. Where the processor plays the GPU they are dear.
        let wanted = match shape.is_diagonal() {
            true => 64,
            false if limits.software && shape.d <= 64 => 64,
            false if limits.software => 128,
            false => (8 * shape.d).next_power_of_two().clamp(64, 256),
        };
        let fits = |workgroup: usize| {
            let step = Self::Components(workgroup);
            let ends = !limits.software || step.iterations(shape) < MOST_ITERATIONS;
            ends && step.memory(shape) <= limits.workgroup_memory_bytes as usize
                && workgroup <= limits.max_invocations as usize
        };
        let workgroup = [256, 128, 64]
            .into_iter()
            .find(|&workgroup| workgroup <= wanted && fits(workgroup));
        workgroup.map(Self::Components)
    }

    /// Rows of U S that a workgroup of `m_step_triangles` makes at once.
    pub fn rows_at_once(shape: Shape, workgroup: usize) -> usize {
        (workgroup / shape.d).clamp(1, shape.d)
    }

    /// Workgroup memory, bytes.
    fn memory(self, shape: Shape) -> usize {
        match self {
            Self::Model => 0,
            // A vec4 an invocation.
            Self::Components(workgroup) if shape.is_diagonal() => 16 * workgroup,
            // The triangle, five vectors, some rows; a vec4 an invocation.
            Self::Components(workgroup) => {
                let d = shape.d;
                let rows = Self::rows_at_once(shape, workgroup);
                let arrays = [triangle::packed_len(d), d, d, d, d, d, rows * d];
                let whole = arrays.map(|len| (4 * len).next_multiple_of(16));
                whole.iter().sum::<usize>() + 16 * workgroup
            }
        }
    }

    /// Loop iterations of an invocation, at most.
    pub fn iterations(self, shape: Shape) -> u64 {
        let (d, k) = (shape.d, shape.k);
        let iterations = match self {
            Self::Model => 5 * k,
            Self::Components(workgroup) => {
                let own = d.div_ceil(workgroup);
                let shared = k.div_ceil(workgroup) + workgroup / 8 + 48;
                match shape.is_diagonal() {
                    true => shared + 2 * own,
                    false => {
                        let rows = Self::rows_at_once(shape, workgroup);
                        let whiten = d.div_ceil(rows) * (rows * d).div_ceil(workgroup) * 2 * d;
                        let triangle = d.div_ceil(workgroup / 8) * (1 + d.div_ceil(8));
                        // Each column of G; sums and C; what goes by rows, and the triangle in a row.
                        let columns = d * (1 + own + triangle) + 2 * triangle;
                        shared + whiten + columns + own * (5 * d + 8) + d * d.div_ceil(workgroup)
                    }
                }
            }
        };
        // `pool_moments` has all components in a row.
        iterations.max(2 * k * d.div_ceil(64)) as u64
    }
}

impl Plan {
    /// How M-steps of a model are made on the device, if they are.
    pub fn m_step(&self, shape: Shape, limits: &DeviceLimits) -> Option<MStep> {
        MStep::of(self.regime, (shape, self.sums()), limits)
    }

    /// EM steps that so many models of a shape take by themselves; one more pass follows the last.
    pub fn steps(
        &self,
        (layout, shape): (&SampleLayout, Shape),
        models: usize,
        limits: &DeviceLimits,
    ) -> usize {
        let pairs = self.pairs_of_logs(layout);
        // Kernels whose models take turns take one at a time, and have rows for some blocks alone.
        let (models, rows) = match self.regime {
            Regime::Registers { .. } | Regime::Workgroup { .. } => (models, pairs),
            Regime::Groups(_) | Regime::Staged { .. } => (1, 0),
        };
        let row_bytes = (4 * rows * self.sums_per_block * models) as u64;
        let is_too_large = row_bytes > ROWS_BYTES.min(limits.max_binding_bytes);
        if is_too_large || self.m_step(shape, limits).is_none() {
            return 0;
        }
        let trace = 2 * pairs + shape.k + 1 + shape.k * shape.parameters_len();
        let by_memory = PARTIALS_BYTES as usize / (4 * trace * models);
        let passes = self.blocks_per_submission / (layout.blocks.len() * models);
        match limits.software {
            // Where the processor plays the GPU it makes M-steps faster by itself, unless it is seldom asked.
            true => by_memory.min(passes.saturating_sub(1)),
            false => by_memory,
        }
        .min(MOST_STEPS)
    }

    /// Pairs of logarithms that a pass over all samples hands back.
    fn pairs_of_logs(&self, layout: &SampleLayout) -> usize {
        let (blocks, rows) = (layout.blocks.len(), layout.blocks.rows_per_block());
        blocks
            * match self.regime {
                Regime::Registers { part_rows, .. } | Regime::Workgroup { part_rows, .. } => {
                    rows.div_ceil(part_rows)
                }
                Regime::Groups(_) => rows.div_ceil(64),
                Regime::Staged { segment_rows, .. } => {
                    rows.div_ceil(segment_rows) * segment_rows.div_ceil(64)
                }
            }
    }
}
