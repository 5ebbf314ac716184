//! Stage `statistics_registers`: all statistics of a summation block by one workgroup, K·F ≤ 90.
//!
//! | binding | name | shape | access |
//! |---|---|---|---|
//! | 0 | `range` | [`BlockRange`] | uniform |
//! | 1 | `components` | K × (mean, factor, remainder, constant), f32, padded to vec4s | uniform |
//! | 2 | `samples` | blocks × (D, and 1 for weights) × rows, f32 | read |
//! | 3 | `blocks` | one [`Block`] a workgroup | read |
//! | 4 | `partials` | blocks × (statistics and 2), f32; each written exactly once | write |

use bytemuck::{Pod, Zeroable};

use super::buffers::Pool;
use super::device::Device;
use super::parameters::Parameters;
use super::plan::{Plan, grid};
use super::samples::LoadedSamples;
use super::stage::StageKey;
use super::sums::Sums;
use super::{Counters, encoder};
use crate::backend::BackendError;

/// Uniform `range`: which blocks a dispatch sums. Mirrors `struct BlockRange`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct BlockRange {
    /// Entries of `blocks`.
    pub count: u32,
    /// Workgroups in x.
    pub width: u32,
    /// Distance between two features of a row.
    pub rows_per_block: u32,
    pub padding: u32,
}

/// An entry of `blocks`. Mirrors `struct Block`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Block {
    /// Where the block's first number stands in `samples`.
    pub first: u32,
    /// Rows, at least 1.
    pub rows: u32,
    /// Which row of `partials` is the block's.
    pub partial: u32,
    pub padding: u32,
}

/// One pass over the chosen blocks.
pub(super) fn statistics_registers(
    device: &Device,
    pool: &mut Pool,
    counters: &mut Counters,
    samples: &LoadedSamples,
    (plan, workgroup): (&Plan, u32),
    parameters: &Parameters<'_>,
    choose: impl Fn(usize) -> bool,
) -> Result<Sums, BackendError> {
    let stage = device.stage(StageKey::StatisticsRegisters {
        shape: parameters.shape,
        weighted: samples.weighted,
        workgroup,
    })?;
    let len = plan.sums_per_block;
    let mut sums = Sums::zero(len - 2);
    let uniform = pool.uniform(device, "components_packed", &parameters.packed())?;
    for group in samples.groups(plan.blocks_per_submission, choose) {
        let blocks: Vec<Block> = (0..)
            .zip(&group)
            .map(|(partial, &b)| Block {
                first: samples.place(b).1 as u32,
                rows: samples.layout.blocks.rows(b).len() as u32,
                partial,
                padding: 0,
            })
            .collect();
        let (width, height) = grid(blocks.len(), device.limits().max_workgroups);
        let range = BlockRange {
            count: blocks.len() as u32,
            width,
            rows_per_block: samples.layout.blocks.rows_per_block() as u32,
            padding: 0,
        };
        let buffers = [
            &pool.uniforms(device, "range", &[range])?,
            &uniform,
            &samples.buffers[samples.place(group[0]).0],
            &pool.input(device, "blocks", &blocks)?,
            &pool.output(device, "partials", (group.len() * len * 4) as u64)?,
        ];
        let commands = device.guarded("statistics_registers", 0, || {
            let bound = stage.bind(device.raw(), size_of::<BlockRange>(), &buffers);
            let mut encoder = encoder(device);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            stage.dispatch(&mut pass, &bound, 0, [width, height, 1]);
            drop(pass);
            encoder
        })?;
        counters.count(1, &buffers);
        let results = pool.submit_and_read(device, commands, &[(buffers[4], group.len() * len)])?;
        for (row, &b) in results[0].chunks_exact(len).zip(&group) {
            sums.add(&row[..len - 2]);
            sums.tops += f64::from(row[len - 2]);
            sums.logs += f64::from(row[len - 1]);
            sums.weight += samples.block_weights[b];
        }
    }
    Ok(sums)
}
