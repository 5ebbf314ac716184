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

use super::parameters::Parameters;
use super::plan::{Plan, grid, models_per_dispatch};
use super::recording::{Recording, Submission};
use super::samples::AtHand;
use super::stage::StageKey;
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

/// Records one pass over the blocks at hand that the models look at: all of one shape, at most [`models_per_dispatch`], each
/// with the number of its sums and its mask. Serves `statistics_workgroup`, too, which has parts of blocks.
pub(super) fn record(
    submission: &mut Submission<'_>,
    samples: &AtHand<'_>,
    (plan, key, part_rows): (&Plan, StageKey, usize),
    models: &[(usize, &Parameters<'_>, Option<&BlockMask>)],
) -> Result<(), BackendError> {
    let device = submission.device;
    let shape = models[0].1.shape;
    let stage = device.stage(key)?;
    let len = plan.sums_per_block;
    let mut packed: Vec<f32> = models.iter().flat_map(|(_, p, _)| p.packed()).collect();
    // The shader's array has its full length whatever is used of it.
    packed.resize(
        packed.len() / models.len() * models_per_dispatch(shape),
        0.0,
    );
    let looks_at = |m: usize, b: usize| models[m].2.is_none_or(|mask| mask.contains(b));
    let most = (plan.blocks_per_submission / models.len()).max(1);
    for group in samples.groups(most, |b| (0..models.len()).any(|m| looks_at(m, b))) {
        // Parts of one block under several models stand side by side.
        let parts = |b: usize| (0..samples.layout.blocks.rows(b).len()).step_by(part_rows);
        let entries: Vec<(usize, usize, usize)> = group
            .iter()
            .flat_map(|&b| parts(b).map(move |row| (b, row)))
            .flat_map(|(b, row)| (0..models.len()).map(move |m| (b, row, m)))
            .filter(|&(b, _, m)| looks_at(m, b))
            .collect();
        let per_block = samples.layout.blocks.rows_per_block().div_ceil(part_rows);
        let most_entries = plan.blocks_per_submission * per_block;
        submission.make_room(entries.len() as f64 / most_entries as f64)?;
        let blocks: Vec<Block> = (0..)
            .zip(&entries)
            .map(|(partial, &(b, row, model))| Block {
                first: (samples.place(b).1 + row) as u32,
                rows: (samples.layout.blocks.rows(b).len() - row).min(part_rows) as u32,
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
        let pool = &mut *submission.pool;
        let buffers = [
            &pool.uniforms(device, "range", &[range])?,
            &pool.uniform(device, "components_packed", &packed)?,
            &samples.buffers[samples.place(group[0]).0],
            &pool.input(device, "blocks", &blocks)?,
            &pool.output(device, "partials", (entries.len() * len * 4) as u64)?,
        ];
        let bound = device.guarded(key.stem(), 0, || stage.bind(device.raw(), &buffers))?;
        let mut recording = Recording::default();
        recording.dispatch(&bound, &[0], [width, height, 1]);
        recording.want(buffers[4], entries.len() * len);
        let entries: Vec<(usize, f64)> = entries
            .into_iter()
            .map(|(b, row, m)| {
                let weight = if row == 0 {
                    samples.block_weights[b]
                } else {
                    0.0
                };
                (models[m].0, weight)
            })
            .collect();
        submission.record(recording, move |results, sums| {
            for (row, &(m, weight)) in results[0].chunks_exact(len).zip(&entries) {
                sums[m].add_block(row, weight);
            }
        });
    }
    Ok(())
}
