//! Stage `statistics_registers`: all statistics of a summation block under a model by one workgroup, K·F ≤ 90.
//!
//! | binding | name | shape | access |
//! |---|---|---|---|
//! | 0 | `range` | [`BlockRange`] | uniform |
//! | 1 | `components` | models × K × (mean, factor, remainder, constant), f32, a model padded to vec4s | uniform |
//! | 2 | `samples` | blocks × (D, and 1 for weights) × rows, f32 | read |
//! | 3 | `blocks` | one [`Block`], with its model, a workgroup | read |
//! | 4 | `partials` | entries × (statistics and 2), f32; each written exactly once | write |

use bytemuck::{Pod, Zeroable};

use super::buffers::Pool;
use super::device::Device;
use super::parameters::Parameters;
use super::plan::{Plan, Reduction, grid, models_per_dispatch};
use super::samples::LoadedSamples;
use super::stage::StageKey;
use super::sums::Sums;
use super::{Counters, encoder};
use crate::backend::{BackendError, BlockMask};

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
    /// Which row of `partials` is the entry's.
    pub partial: u32,
    /// Which of the models.
    pub model: u32,
}

/// One pass over the blocks that the models look at: all of one shape, at most [`models_per_dispatch`].
pub(super) fn statistics_registers(
    device: &Device,
    pool: &mut Pool,
    counters: &mut Counters,
    samples: &LoadedSamples,
    (plan, reduction): (&Plan, Reduction),
    models: &[(Parameters<'_>, Option<&BlockMask>)],
) -> Result<Vec<Sums>, BackendError> {
    let stage = device.stage(StageKey::StatisticsRegisters {
        shape: models[0].0.shape,
        weighted: samples.weighted,
        reduction,
    })?;
    let len = plan.sums_per_block;
    let mut sums: Vec<Sums> = models.iter().map(|_| Sums::zero(len - 2)).collect();
    let mut packed: Vec<f32> = models.iter().flat_map(|(p, _)| p.packed()).collect();
    // The shader's array has its full length whatever is used of it.
    let most_models = models_per_dispatch(models[0].0.shape);
    packed.resize(packed.len() / models.len() * most_models, 0.0);
    let uniform = pool.uniform(device, "components_packed", &packed)?;
    let looks_at = |m: usize, b: usize| models[m].1.is_none_or(|mask| mask.contains(b));
    let most = (plan.blocks_per_submission / models.len()).max(1);
    for group in samples.groups(most, |b| (0..models.len()).any(|m| looks_at(m, b))) {
        let entries: Vec<(usize, usize)> = group
            .iter()
            .flat_map(|&b| (0..models.len()).map(move |m| (b, m)))
            .filter(|&(b, m)| looks_at(m, b))
            .collect();
        let blocks: Vec<Block> = (0..)
            .zip(&entries)
            .map(|(partial, &(b, model))| Block {
                first: samples.place(b).1 as u32,
                rows: samples.layout.blocks.rows(b).len() as u32,
                partial,
                model: model as u32,
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
            &pool.output(device, "partials", (entries.len() * len * 4) as u64)?,
        ];
        let commands = device.guarded("statistics_registers", 0, || {
            let bound = stage.bind(device.raw(), &buffers);
            let mut encoder = encoder(device);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            stage.dispatch(&mut pass, &bound, &[0], [width, height, 1]);
            drop(pass);
            encoder
        })?;
        counters.count(1, &buffers);
        let wanted = [(buffers[4], entries.len() * len)];
        let results = pool.submit_and_read(device, commands, &wanted)?;
        for (row, &(b, m)) in results[0].chunks_exact(len).zip(&entries) {
            let sums = &mut sums[m];
            sums.add(&row[..len - 2]);
            sums.tops += f64::from(row[len - 2]);
            sums.logs += f64::from(row[len - 1]);
            sums.weight += samples.block_weights[b];
        }
    }
    Ok(sums)
}
