//! The middle regime: components in groups whose sums stay in registers. `log_normalisers` gives each row's
//! normaliser a group, `merge_normalisers` makes one of them, `statistics_groups` makes the scores again and
//! sums. Two numbers a row and group are all that is kept in between.
//!
//! | buffer | shape | written by |
//! |---|---|---|
//! | `group_range` | one [`GroupRange`] a dispatch | host |
//! | `score_components`, `sum_components` | chunks of whole groups, 16 KiB each; per component mean, factor, remainder, constant, f32, a group padded to vec4s | host |
//! | `samples` | blocks × (D, and 1 for weights) × rows, f32 | host, once |
//! | `blocks` | one [`Block`] an entry | host |
//! | `normalisers` | groups × entries × rows, vec2s | `log_normalisers`, `merge_normalisers` |
//! | `logs` | entries × workgroups of 64 rows, vec2s | `merge_normalisers` |
//! | `partials` | entries × groups × statistics, f32; each written exactly once | `statistics_groups` |
//! | `totals` | the same of all entries, see [`Totals`] | `total_rows` |

use bytemuck::{Pod, Zeroable};

use super::buffers::Pool;
use super::device::Device;
use super::outcome::Outcome;
use super::parameters::{Chunks, Parameters};
use super::plan::{Groups, Plan, UNIFORM_BYTES};
use super::recording::{Dispatch, Recording, Submission};
use super::samples::AtHand;
use super::shape::Shape;
use super::stage::{StageKey, bind_all, uniform_stride};
use super::statistics_registers::Block;
use super::totals::Totals;
use crate::backend::BackendError;

/// Uniform `range`: which groups of which blocks a dispatch works on. Mirrors `struct GroupRange`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct GroupRange {
    /// How many groups stand before the first of the chunk.
    pub first_group: u32,
    /// All groups of `log_normalisers`.
    pub groups: u32,
    /// Entries of `blocks`.
    pub count: u32,
    /// Distance between two features of a row.
    pub rows_per_block: u32,
    /// Groups of `statistics_groups`.
    pub sum_groups: u32,
    pub padding_0: u32,
    pub padding_1: u32,
    pub padding_2: u32,
}

/// Records one pass of model `m` over the chosen ones of the blocks at hand.
pub(super) fn record(
    submission: &mut Submission<'_>,
    samples: &AtHand<'_>,
    (plan, groups): (&Plan, Groups),
    (m, parameters, totals): (usize, &Parameters<'_>, &mut Totals),
    choose: impl Fn(usize) -> bool,
) -> Result<(), BackendError> {
    let sent = Sent::new((submission.device, submission.pool), groups, parameters)?;
    let most = plan.blocks_per_submission;
    let groups_of_blocks = samples.groups(most, choose);
    for (at, group) in groups_of_blocks.iter().enumerate() {
        submission.make_room(group.len() as f64 / most as f64)?;
        let (device, pool) = (submission.device, &mut *submission.pool);
        let outcome = outcome((device, pool), samples, plan, [group.len(); 2])?;
        let how = (groups, parameters.shape, &sent);
        let rows: Vec<(usize, usize)> = group.iter().copied().zip(0..).collect();
        let dispatches = dispatches((device, pool), samples, how, &outcome, &rows)?;
        let weights = group.iter().map(|&b| samples.block_weights[b]).collect();
        let last = at + 1 == groups_of_blocks.len();
        outcome.record(submission, (m, totals), dispatches, weights, last)?;
    }
    Ok(())
}

/// Room for the sums of so many blocks, and the logarithms of so many.
pub(super) fn outcome(
    (device, pool): (&Device, &mut Pool),
    samples: &AtHand<'_>,
    plan: &Plan,
    [blocks, logs]: [usize; 2],
) -> Result<Outcome, BackendError> {
    let pairs = logs * samples.layout.blocks.rows_per_block().div_ceil(64);
    Outcome::of_rows_and_logs((device, pool), (blocks, plan.sums_per_block), pairs)
}

/// A model's parameters in groups, on the device.
pub(super) struct Sent {
    scored: Chunks,
    summed: Chunks,
    score_components: wgpu::Buffer,
    sum_components: wgpu::Buffer,
}

impl Sent {
    /// Sends them.
    pub fn new(
        (device, pool): (&Device, &mut Pool),
        groups: Groups,
        parameters: &Parameters<'_>,
    ) -> Result<Self, BackendError> {
        let chunks = |group| parameters.chunks(group, UNIFORM_BYTES / 16);
        let [scored, summed] = [groups.score, groups.sum].map(chunks);
        let mut send = |name, chunks: &Chunks| {
            pool.shared(device, name, bytemuck::cast_slice(&chunks.numbers))
        };
        Ok(Self {
            score_components: send("score_components", &scored)?,
            sum_components: send("sum_components", &summed)?,
            scored,
            summed,
        })
    }
}

impl Sent {
    /// The buffers, for scores and for sums.
    pub fn buffers(&self) -> [&wgpu::Buffer; 2] {
        [&self.score_components, &self.sum_components]
    }
}

/// What sums blocks that are in one buffer, each with its row of logarithms.
pub(super) fn dispatches(
    (device, pool): (&Device, &mut Pool),
    samples: &AtHand<'_>,
    (groups, shape, sent): (Groups, Shape, &Sent),
    outcome: &Outcome,
    rows: &[(usize, usize)],
) -> Result<Vec<Dispatch>, BackendError> {
    let Groups {
        reduction,
        score,
        sum,
        hoisted,
    } = groups;
    let (d, weighted) = (shape.d, samples.weighted);
    let stages = device.stages(&[
        StageKey::LogNormalisers {
            shape: shape.with(score),
            hoisted,
            alone: sent.scored.groups == 1,
        },
        StageKey::MergeNormalisers { d, weighted },
        StageKey::StatisticsGroups {
            shape: shape.with(sum),
            reduction,
            hoisted,
        },
    ])?;
    let Sent {
        scored,
        summed,
        score_components,
        sum_components,
    } = sent;
    let rows_per_block = samples.layout.blocks.rows_per_block();
    let row_groups = rows_per_block.div_ceil(64);
    let count = rows.len();
    let blocks: Vec<Block> = rows
        .iter()
        .map(|&(b, row)| Block {
            first: samples.place(b).1 as u32,
            rows: samples.layout.blocks.rows(b).len() as u32,
            partial: row as u32,
            model: 0,
        })
        .collect();
    let range = |first_group: usize| GroupRange {
        first_group: first_group as u32,
        groups: scored.groups as u32,
        count: count as u32,
        rows_per_block: rows_per_block as u32,
        sum_groups: summed.groups as u32,
        padding_0: 0,
        padding_1: 0,
        padding_2: 0,
    };
    // The ranges of the chunks of scores, then of sums; the first serves the merging as well.
    let firsts = |chunks: &Chunks| (0..chunks.len()).map(|c| c * chunks.per_chunk).collect();
    let [score_firsts, sum_firsts]: [Vec<usize>; 2] = [firsts(scored), firsts(summed)];
    let ranges: Vec<GroupRange> = score_firsts
        .iter()
        .chain(&sum_firsts)
        .map(|&f| range(f))
        .collect();
    let range = &pool.uniforms(device, "group_range", &ranges)?;
    let samples_at = &samples.buffers[samples.place(rows[0].0).0];
    let blocks = &pool.input(device, "blocks", &blocks)?;
    let normalisers_bytes = (scored.groups * count * rows_per_block * 8) as u64;
    let normalisers = &pool.output(device, "normalisers", normalisers_bytes)?;
    let partials = &outcome.partials;
    let mut of_merging = vec![range, samples_at, blocks, normalisers];
    of_merging.extend(outcome.logs.as_ref().map(|(logs, _)| logs));
    let bindings = [
        vec![range, score_components, samples_at, blocks, normalisers],
        of_merging,
        vec![
            range,
            sum_components,
            samples_at,
            blocks,
            normalisers,
            partials,
        ],
    ];
    let bound = device.guarded("statistics_groups", 0, || {
        bind_all(device.raw(), &stages, &bindings)
    })?;
    let mut recording = Recording::default();
    let (x, z) = (row_groups as u32, count as u32);
    let offsets = |range: usize, chunk: usize| {
        [
            range * uniform_stride::<GroupRange>(),
            chunk * UNIFORM_BYTES,
        ]
    };
    for c in 0..scored.len() {
        let walkers = if hoisted { 1 } else { x };
        let groups = [walkers, scored.groups_of(c) as u32, z];
        recording.dispatch(&bound[0], &offsets(c, c), groups);
    }
    recording.dispatch(&bound[1], &[0], [x, 1, z]);
    for c in 0..summed.len() {
        let groups = [1, summed.groups_of(c) as u32, z];
        recording.dispatch(&bound[2], &offsets(scored.len() + c, c), groups);
    }
    Ok(recording.dispatches)
}
