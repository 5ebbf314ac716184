//! The registers regime: which shapes it serves, and how blocks are shared out.

use super::{
    DeviceLimits, Plan, Reduction, Regime, SampleLayout, Shape, UNIFORM_BYTES,
    blocks_per_submission,
};

/// The most statistics, K·F, that invocations keep in registers.
pub const MOST_IN_REGISTERS: usize = 90;
/// The most numbers alive at once there, [`Shape::live_len`]: short statistics leave the coordinates to count. What
/// the compiler for RDNA3 that has the fewest registers to give keeps without spilling.
pub const MOST_ALIVE: usize = 120;
/// The most numbers alive at once where an invocation takes several rows at a time: their reads wait together, and
/// parameters, and what it takes to go on, serve all.
const MOST_ALIVE_OF_SEVERAL: usize = 80;
/// The same of two rows on NVIDIA's chips, which have the registers: on an H200 they took 15 % off D = 4 K = 6 and 28 % off
/// D = 8 K = 2.
const MOST_ALIVE_OF_TWO: usize = 150;
/// Registers of a large card, 64 Ki in each of 128 multiprocessors, by the 128 invocations of a workgroup.
const CARD_REGISTERS: usize = 64 << 10;
/// Registers of an invocation beside the numbers that are alive.
const OTHER_REGISTERS: usize = 32;
/// The fewest rows of a workgroup there: adding up takes as long as some.
const LEAST_PART_ROWS: usize = 1024;
/// The most parameters of a model there: compilers read them into registers before the walk, as many as they can
/// and now and then one more.
const MOST_PARAMETERS: usize = 120;
/// The most models that share a dispatch of the registers regime, as far as their parameters fit [`UNIFORM_BYTES`].
const MODELS: usize = 16;

/// Numbers that an invocation holds at once, with so many rows at a time.
const fn alive(shape: Shape, weighted: bool, rows: usize) -> usize {
    let sums = shape.statistics_len();
    // A row's weight, and the responsibilities' factor that it makes.
    sums + rows * (shape.live_len() - sums + 2 * weighted as usize)
}

/// Whether all statistics of a shape, and what waits beside them, stay in registers.
pub const fn fits_registers(shape: Shape, weighted: bool) -> bool {
    let alive = alive(shape, weighted, 1);
    shape.statistics_len() <= MOST_IN_REGISTERS
        && alive <= MOST_ALIVE
        && shape.k * shape.parameters_len() <= MOST_PARAMETERS
}

/// Rows that an invocation of the registers regime takes at once. Where the processor plays the GPU none waits.
pub fn rows_at_once(shape: Shape, weighted: bool, limits: &DeviceLimits) -> usize {
    let fits = |rows, most| alive(shape, weighted, rows) <= most;
    if limits.software {
        1
    } else if fits(4, MOST_ALIVE_OF_SEVERAL) {
        4
    } else if fits(2, MOST_ALIVE_OF_SEVERAL)
        || limits.parameters_are_loads() && fits(2, MOST_ALIVE_OF_TWO)
    {
        2
    } else {
        1
    }
}

/// How many models of a shape share a dispatch of the registers regime.
pub const fn models_per_dispatch(shape: Shape) -> usize {
    let fit = UNIFORM_BYTES / (16 * (shape.k * shape.parameters_len()).div_ceil(4));
    if fit < MODELS { fit } else { MODELS }
}

impl Plan {
    /// The plan of the registers regime, for a shape that [`fits_registers`]; perhaps of rows as they are.
    pub(super) fn registers(
        layout: &SampleLayout,
        shape: Shape,
        near: bool,
        limits: &DeviceLimits,
    ) -> Self {
        let rows = layout.blocks.rows_per_block();
        let weighted = layout.columns > shape.d;
        let statistics = shape.statistics_len() + 2;
        // An invocation's place in its subgroup takes registers, too.
        let is_full = alive(shape, weighted, 1) + 2 > MOST_ALIVE;
        let reduction = match Reduction::of(statistics, limits) {
            reduction if is_full => reduction.without_subgroups(),
            reduction => reduction,
        };
        let per_component = 4 * (shape.component_len() + shape.pooled_len()) + 40;
        let flops = (rows * (shape.k * per_component + 60)) as f64;
        let rows_at_once = rows_at_once(shape, weighted, limits);
        let part_rows = match limits.discrete {
            true => {
                let registers = alive(shape, weighted, rows_at_once) + OTHER_REGISTERS;
                rows.div_ceil(parts(layout, CARD_REGISTERS / registers))
            }
            false => rows,
        };
        let row_bytes = (4 * statistics * rows.div_ceil(part_rows)) as u64;
        Self {
            regime: Regime::Registers {
                reduction,
                rows_at_once,
                part_rows,
                near,
            },
            sums_per_block: statistics,
            blocks_per_submission: blocks_per_submission(flops, row_bytes, limits),
            iterations: (part_rows.div_ceil(reduction.workgroup as usize)
                + reduction.iterations(statistics)) as u64,
        }
    }
}

/// Parts of a block on a card that holds so many workgroups, whose multiprocessors are idle where blocks are few.
fn parts(layout: &SampleLayout, workgroups: usize) -> usize {
    let most = layout.blocks.rows_per_block() / LEAST_PART_ROWS;
    let parts = (workgroups / layout.blocks.len()).min(most).max(1);
    1 << parts.ilog2()
}
