//! Stage `statistics_registers`: all statistics of a summation block under a model by one workgroup, K·F ≤ 90; and
//! `statistics_workgroup`, which has the same bindings.
//!
//! | binding | name | shape | access |
//! |---|---|---|---|
//! | 0 | `range` | [`BlockRange`] | uniform |
//! | 1 | `components` | models × K × (mean, factor, remainder, constant), f32, a model padded to vec4s | uniform, or read where invocations own components |
//! | 2 | `samples` | blocks × (D, and 1 for weights) × rows, f32 | read |
//! | 3 | `blocks` | one [`Block`], with its model, a workgroup | read |
//! | 4 | `partials` | entries × (statistics and 2), f32; each written exactly once | write |

use bytemuck::{Pod, Zeroable};

use super::buffers::{Pool, strided};
use super::device::Device;
use super::outcome::{Outcome, fold_totals};
use super::parameters::Parameters;
use super::plan::{Plan, Regime, grid, models_per_dispatch};
use super::recording::{Dispatch, Recording, Submission};
use super::samples::AtHand;
use super::shape::Shape;
use super::stage::{StageKey, uniform_stride};
use super::totals::Totals;
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

/// How a pass sums blocks.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    pub plan: &'a Plan,
    /// By `statistics_registers`, or by `statistics_workgroup`.
    pub key: StageKey,
    /// Rows of a part.
    pub part_rows: usize,
    /// How many models the parameters have room for.
    room: usize,
}

impl<'a> How<'a> {
    /// So many models by a plan for several at once; `None` for others.
    pub fn of(
        plan: &'a Plan,
        (shape, models): (Shape, usize),
        samples: &AtHand<'_>,
    ) -> Option<Self> {
        let weighted = samples.weighted;
        // Two texts of a shape at most: compiling takes longer than a pass.
        let room = match models {
            1 => 1,
            _ => models_per_dispatch(shape),
        };
        let (key, part_rows) = match plan.regime {
            Regime::Registers {
                reduction,
                rows_at_once,
                part_rows,
                near,
            } => {
                let key = StageKey::StatisticsRegisters {
                    shape,
                    weighted,
                    reduction,
                    rows_at_once,
                    models: room,
                    near,
                };
                (key, part_rows)
            }
            Regime::Workgroup { sharing, part_rows } => {
                let key = StageKey::StatisticsWorkgroup {
                    shape,
                    weighted,
                    sharing,
                    // Any number of them, where parameters are loads.
                    models: if sharing.owners > 0 { 1 } else { room },
                };
                (key, part_rows)
            }
            Regime::Groups(_) | Regime::Staged { .. } => return None,
        };
        Some(Self {
            plan,
            key,
            part_rows,
            room,
        })
    }
}

/// A model with the number of its sums, its mask, and its totals where rows of sums are so many numbers that they
/// should not go to the host.
pub(super) struct Masked<'a> {
    pub m: usize,
    pub parameters: &'a Parameters<'a>,
    pub mask: Option<&'a BlockMask>,
    pub totals: Option<&'a mut Totals>,
}

/// Records one pass over the blocks at hand that the models look at: all of one shape, at most [`models_per_dispatch`].
pub(super) fn record(
    submission: &mut Submission<'_>,
    samples: &AtHand<'_>,
    how: How<'_>,
    models: &mut [Masked<'_>],
) -> Result<(), BackendError> {
    let How {
        plan, part_rows, ..
    } = how;
    let masks: Vec<_> = models.iter().map(|model| model.mask).collect();
    let looks_at = |m: usize, b: usize| masks[m].is_none_or(|mask: &BlockMask| mask.contains(b));
    let most = (plan.blocks_per_submission / models.len()).max(1);
    let all = models.iter().map(|model| model.parameters);
    let parameters = send((submission.device, submission.pool), how, all)?;
    for group in samples.groups(most, |b| (0..models.len()).any(|m| looks_at(m, b))) {
        let entries: Vec<(usize, usize, usize)> = group
            .iter()
            .flat_map(|&b| parts(samples, how, b).map(move |row| (b, row)))
            .flat_map(|(b, row)| (0..models.len()).map(move |m| (b, row, m)))
            .filter(|&(b, _, m)| looks_at(m, b))
            .collect();
        let per_block = samples.layout.blocks.rows_per_block().div_ceil(part_rows);
        let most_entries = plan.blocks_per_submission * per_block;
        submission.make_room(entries.len() as f64 / most_entries as f64)?;
        let blocks = (0..)
            .zip(&entries)
            .map(|(partial, &entry)| block(samples, how, entry, partial))
            .collect();
        let (device, pool) = (submission.device, &mut *submission.pool);
        let rows = (entries.len(), plan.sums_per_block);
        let outcome = Outcome::of_rows((device, pool), rows)?;
        let list = (samples.place(group[0]).0, blocks);
        let buffers = (&parameters, &outcome.partials);
        let (dispatches, _) = dispatches((device, pool), samples, how, buffers, &[list])?;
        let mut recording = Recording {
            dispatches,
            ..Recording::default()
        };
        let weight = |(b, row, _): (usize, usize, usize)| weight(samples, b, row);
        if models.iter().all(|model| model.totals.is_none()) {
            outcome.want_rows(&mut recording);
            let owner = |entry: (usize, usize, usize)| (models[entry.2].m, weight(entry));
            let owners = entries.into_iter().map(owner).collect();
            submission.record(recording, outcome.fold_rows(owners));
            continue;
        }
        let mut owners = Vec::new();
        for (i, model) in models.iter_mut().enumerate() {
            let rows = (0..).zip(&entries).filter(|(_, entry)| entry.2 == i);
            let rows: Vec<u32> = rows.map(|(row, _)| row).collect();
            let Some(totals) = model.totals.as_mut().filter(|_| !rows.is_empty()) else {
                continue;
            };
            let add = totals.add((device, pool), &outcome.partials, &rows)?;
            recording.dispatches.push(add);
            totals.want(&mut recording);
            let all = rows.iter().map(|&row| weight(entries[row as usize]));
            owners.push((model.m, all.collect()));
        }
        submission.record(recording, fold_totals(owners));
    }
    Ok(())
}

/// Sends the parameters of models of one shape.
pub(super) fn send<'a>(
    (device, pool): (&Device, &mut Pool),
    how: How<'_>,
    models: impl Iterator<Item = &'a Parameters<'a>>,
) -> Result<wgpu::Buffer, BackendError> {
    let models: Vec<_> = models.collect();
    let mut packed: Vec<f32> = models.iter().flat_map(|p| p.packed()).collect();
    // The shader's array has its full length whatever is used of it.
    packed.resize(packed.len() / models.len() * how.room, 0.0);
    pool.shared(device, "components_packed", bytemuck::cast_slice(&packed))
}

/// The first rows of a block's parts.
pub(super) fn parts(
    samples: &AtHand<'_>,
    how: How<'_>,
    b: usize,
) -> impl Iterator<Item = usize> + use<> {
    (0..samples.layout.blocks.rows(b).len()).step_by(how.part_rows)
}

/// A block's weight counts with its first part.
pub(super) fn weight(samples: &AtHand<'_>, b: usize, row: usize) -> f64 {
    if row == 0 {
        samples.block_weights[b]
    } else {
        0.0
    }
}

/// The entry of the part of block `b` that begins with a row, under a model.
pub(super) fn block(
    samples: &AtHand<'_>,
    how: How<'_>,
    (b, row, model): (usize, usize, usize),
    partial: u32,
) -> Block {
    Block {
        first: (samples.place(b).1 + row) as u32,
        rows: (samples.layout.blocks.rows(b).len() - row).min(how.part_rows) as u32,
        partial,
        model: model as u32,
    }
}

/// What sums lists of entries, each of blocks in one buffer of samples, and the structs that count them.
pub(super) fn dispatches(
    (device, pool): (&Device, &mut Pool),
    samples: &AtHand<'_>,
    how: How<'_>,
    (parameters, partials): (&wgpu::Buffer, &wgpu::Buffer),
    lists: &[(usize, Vec<Block>)],
) -> Result<(Vec<Dispatch>, wgpu::Buffer), BackendError> {
    let key = how.key;
    let stage = device.stage(key)?;
    let ranges: Vec<BlockRange> = lists
        .iter()
        .map(|(_, blocks)| BlockRange {
            count: blocks.len() as u32,
            width: grid(blocks.len(), device.limits().max_workgroups).0,
            rows_per_block: samples.layout.blocks.rows_per_block() as u32,
            padding: 0,
        })
        .collect();
    let range = pool.shared(device, "range", &strided(&ranges))?;
    let mut recording = Recording::default();
    for (at, (buffer, blocks)) in lists.iter().enumerate() {
        let entries = pool.input(device, "blocks", blocks)?;
        let buffers = [
            &range,
            parameters,
            &samples.buffers[*buffer],
            &entries,
            partials,
        ];
        let bound = device.guarded(key.stem(), 0, || stage.bind(device.raw(), &buffers))?;
        let (width, height) = grid(blocks.len(), device.limits().max_workgroups);
        let offset = at * uniform_stride::<BlockRange>();
        recording.dispatch(&bound, &[offset], [width, height, 1]);
    }
    Ok((recording.dispatches, range))
}
