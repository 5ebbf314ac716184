//! How a model is evaluated on a device: regime, sizes, numbers of dispatches. Pure functions of shapes and
//! limits, no device in sight.
//!
//! What decides bits (regime, workgroup size, rows of a segment) depends on D, K and the device alone; how many
//! blocks share a buffer, a batch or a submission depends on limits as well and changes no bit.

use crate::backend::SummationBlocks;
use crate::mixture::triangle;

/// The most statistics, K·F, that invocations keep in registers.
pub const MOST_IN_REGISTERS: usize = 90;
/// Scratch memory for whitened coordinates and responsibilities, bytes.
pub const SCRATCH_BYTES: u64 = 64 << 20;
/// Memory for partial sums that are alive at once, bytes.
pub const PARTIALS_BYTES: u64 = 64 << 20;
/// The most rows that single precision adds up before folding.
pub const LONGEST_RUN: usize = 256;
/// Software adapters end all loops of an invocation after 65,535 iterations, silently.
pub const MOST_ITERATIONS: u64 = 60_000;
/// Statistics that the registers regime sums over a workgroup at a time.
pub const CHUNK: usize = 16;
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
    /// Whether the adapter computes on the processor.
    pub software: bool,
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

/// How one model is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// `statistics_registers`: one workgroup a block, all statistics in registers.
    Registers {
        /// Invocations of a workgroup.
        workgroup: u32,
    },
    /// `whiten`, `responsibilities`, `accumulate`, `reduce_partials` over segments of blocks.
    Staged {
        /// Rows of a segment, at most [`LONGEST_RUN`].
        segment_rows: usize,
        /// Segments that scratch memory holds at once.
        segments_per_batch: usize,
    },
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

/// F = 1 + D + T: statistics of one component.
pub const fn statistics_len(d: usize) -> usize {
    1 + d + triangle::packed_len(d)
}

/// D in vec4s.
pub const fn quads(d: usize) -> usize {
    d.div_ceil(4)
}

/// vec4s that the statistics of one component take in the staged regime: 4 × 4 tiles of S2, S1, S0.
pub const fn tiled_len(d: usize) -> usize {
    4 * triangle::packed_len(quads(d)) + quads(d) + 1
}

/// vec4s that the parameters of one component take in the staged regime.
pub const fn tiled_parameters_len(d: usize) -> usize {
    1 + 2 * quads(d) + 4 * triangle::packed_len(quads(d))
}

/// Workgroups in x and y for `count` of them in a line.
pub fn grid(count: usize, max_workgroups: u32) -> (u32, u32) {
    let width = count.clamp(1, max_workgroups as usize);
    (width as u32, count.div_ceil(width) as u32)
}

impl Plan {
    /// The plan for K components on samples laid out like this, or `None` if the device's limits do not allow
    /// even the smallest pieces.
    pub fn new(layout: &SampleLayout, d: usize, k: usize, limits: &DeviceLimits) -> Option<Self> {
        if k * statistics_len(d) <= MOST_IN_REGISTERS {
            return Some(Self::registers(layout, d, k, limits));
        }
        Self::staged(layout, d, k, limits)
    }

    /// The plan of the staged regime, which serves every shape: `None` as for [`Plan::new`].
    pub fn staged(
        layout: &SampleLayout,
        d: usize,
        k: usize,
        limits: &DeviceLimits,
    ) -> Option<Self> {
        let bytes_per_row = (k * (16 * quads(d) + 4)) as u64;
        let partial_bytes = (k * tiled_len(d) * 16) as u64;
        let parameter_bytes = (k * tiled_parameters_len(d) * 16) as u64;
        // Decided without the limits: a segment's rows decide bits.
        let segment_rows = match (SCRATCH_BYTES / bytes_per_row) as usize {
            rows @ 0..64 => rows,
            rows => (rows / 64 * 64).min(LONGEST_RUN),
        };
        if segment_rows == 0
            || partial_bytes > PARTIALS_BYTES
            || parameter_bytes > limits.max_binding_bytes
        {
            return None;
        }
        let most = limits.max_workgroups as usize;
        let segment_bytes = bytes_per_row * segment_rows as u64;
        let segments_per_batch = (SCRATCH_BYTES / segment_bytes)
            .min(PARTIALS_BYTES / partial_bytes)
            .min(most as u64) as usize;
        let tiles = k * triangle::packed_len(quads(d));
        let groups = [k, tiles.div_ceil(64), (k * tiled_len(d)).div_ceil(64)];
        if groups.into_iter().any(|g| g > most) {
            return None;
        }
        let rows = layout.blocks.rows_per_block();
        let q = triangle::packed_len(quads(d)) as u64;
        let iterations = [
            quads(d) as u64 + q,
            3 * k as u64 + 16,
            segment_rows as u64,
            rows.div_ceil(segment_rows) as u64,
        ]
        .into_iter()
        .max()?;
        if limits.software && iterations >= MOST_ITERATIONS {
            return None;
        }
        let flops = (rows * k) as f64 * (64.0 * q as f64 + 60.0);
        Some(Self {
            regime: Regime::Staged {
                segment_rows,
                segments_per_batch,
            },
            sums_per_block: 4 * k * tiled_len(d),
            blocks_per_submission: blocks_per_submission(flops, partial_bytes, limits),
            iterations,
        })
    }

    fn registers(layout: &SampleLayout, d: usize, k: usize, limits: &DeviceLimits) -> Self {
        let fits = |workgroup: u32| {
            workgroup <= limits.max_invocations
                && registers_memory(workgroup) <= limits.workgroup_memory_bytes
        };
        // Barriers and idle invocations are dear where the processor plays the GPU.
        let workgroup = if limits.software {
            64
        } else {
            [256, 128].into_iter().find(|&w| fits(w)).unwrap_or(64)
        };
        let rows = layout.blocks.rows_per_block();
        let statistics = k * statistics_len(d) + 2;
        let chunks = statistics.div_ceil(CHUNK);
        let per_chunk = CHUNK + workgroup as usize / CHUNK;
        let flops = rows as f64 * (k as f64 * (4.0 * statistics_len(d) as f64 + 40.0) + 60.0);
        Self {
            regime: Regime::Registers { workgroup },
            sums_per_block: statistics,
            blocks_per_submission: blocks_per_submission(flops, 4 * statistics as u64, limits),
            iterations: (rows.div_ceil(workgroup as usize) + chunks * per_chunk) as u64,
        }
    }
}

/// Workgroup memory of `statistics_registers`, bytes.
const fn registers_memory(workgroup: u32) -> u32 {
    let chunk = CHUNK as u32;
    4 * (chunk * (workgroup + workgroup / chunk) + workgroup)
}

/// Blocks that one submission takes: about a tenth of a second on a slow device, and sums that fit.
fn blocks_per_submission(
    flops_per_block: f64,
    bytes_per_block: u64,
    limits: &DeviceLimits,
) -> usize {
    let flops_per_second = if limits.software { 5e9 } else { 3e11 };
    let by_time = (SUBMISSION_SECONDS * flops_per_second / flops_per_block) as u64;
    let by_memory = PARTIALS_BYTES / bytes_per_block;
    by_time.min(by_memory).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBGPU: DeviceLimits = DeviceLimits {
        max_binding_bytes: 128 << 20,
        max_samples_bytes: 128 << 20,
        max_workgroups: 65_535,
        max_invocations: 256,
        workgroup_memory_bytes: 16_384,
        software: false,
    };
    const SOFTWARE: DeviceLimits = DeviceLimits {
        software: true,
        workgroup_memory_bytes: 32_768,
        ..WEBGPU
    };

    fn plan(n: usize, d: usize, k: usize, limits: &DeviceLimits) -> (SampleLayout, Plan) {
        let layout = SampleLayout::new(n, d, true, limits).expect("a block fits");
        (layout, Plan::new(&layout, d, k, limits).expect("a plan"))
    }

    #[test]
    fn no_loop_nears_the_limit_of_software_adapters() {
        for n in [1, 300, 20_003, 5_000_000] {
            for d in [1, 2, 5, 10, 17, 32, 64] {
                for k in [1, 2, 4, 33, 1024] {
                    let (_, plan) = plan(n, d, k, &SOFTWARE);
                    assert!(plan.iterations < MOST_ITERATIONS, "{n} {d} {k}: {plan:?}");
                }
            }
        }
    }

    #[test]
    fn dispatches_and_bindings_keep_within_limits() {
        for (n, d, k) in [
            (5_000_000, 64, 1024),
            (1_000_000_000, 1, 1),
            (1_000_000_000, 2, 500),
            (3, 3, 33),
        ] {
            let (layout, plan) = plan(n, d, k, &WEBGPU);
            let buffer = layout.blocks_per_buffer * layout.block_len() * 4;
            assert!(buffer as u64 <= WEBGPU.max_binding_bytes);
            assert!(4 * plan.sums_per_block as u64 <= PARTIALS_BYTES);
            let (x, y) = grid(plan.blocks_per_submission, WEBGPU.max_workgroups);
            assert!(x <= 65_535 && y <= 65_535);
            assert!(x as usize * y as usize >= plan.blocks_per_submission);
            if let Regime::Staged {
                segment_rows,
                segments_per_batch,
            } = plan.regime
            {
                let rows = (segment_rows * segments_per_batch) as u64;
                assert!(segment_rows <= LONGEST_RUN && segments_per_batch <= 65_535);
                assert!(rows * (k * (16 * quads(d) + 4)) as u64 <= SCRATCH_BYTES);
                assert!((segments_per_batch * k * tiled_len(d) * 16) as u64 <= PARTIALS_BYTES);
            }
        }
    }

    #[test]
    fn regimes_meet_at_ninety_statistics() {
        let registers =
            |d, k| matches!(plan(1000, d, k, &WEBGPU).1.regime, Regime::Registers { .. });
        assert!(registers(4, 6) && registers(8, 2) && registers(2, 15));
        assert!(!registers(4, 7) && !registers(2, 16) && !registers(12, 1));
    }

    #[test]
    fn workgroups_follow_the_device() {
        let workgroup = |limits| match plan(1000, 2, 4, limits).1.regime {
            Regime::Registers { workgroup } => workgroup,
            Regime::Staged { .. } => panic!("2 × 4 is small"),
        };
        assert_eq!((workgroup(&SOFTWARE), workgroup(&WEBGPU)), (64, 128));
        let roomy = DeviceLimits {
            workgroup_memory_bytes: 32_768,
            ..WEBGPU
        };
        assert_eq!(workgroup(&roomy), 256);
    }

    #[test]
    fn a_binding_limit_moves_no_segment() {
        let small = DeviceLimits {
            max_samples_bytes: 1 << 17,
            ..SOFTWARE
        };
        let (a, b) = (plan(20_003, 5, 33, &SOFTWARE), plan(20_003, 5, 33, &small));
        assert_eq!(a.1, b.1);
        assert!(b.0.blocks_per_buffer < a.0.blocks_per_buffer);
        assert_eq!(
            SampleLayout::new(
                20_003,
                300,
                false,
                &DeviceLimits {
                    max_samples_bytes: 4096,
                    ..small
                }
            ),
            None
        );
    }

    #[test]
    fn submissions_are_short_and_hold_at_least_a_block() {
        let (_, huge) = plan(5_000_000, 64, 1024, &WEBGPU);
        assert_eq!(huge.blocks_per_submission, 1);
        let (layout, small) = plan(5_000_000, 2, 4, &WEBGPU);
        assert!(small.blocks_per_submission >= layout.blocks.len());
    }

    #[test]
    fn what_does_not_fit_has_no_plan() {
        let layout = SampleLayout::new(1000, 64, false, &WEBGPU).expect("a block fits");
        assert_eq!(Plan::new(&layout, 64, 100_000, &WEBGPU), None);
        // Three walks over 20,000 components are too many iterations for software only.
        assert!(Plan::new(&layout, 1, 20_000, &WEBGPU).is_some());
        assert_eq!(Plan::new(&layout, 1, 20_000, &SOFTWARE), None);
    }
}
