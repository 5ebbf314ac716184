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

use bytemuck::{Pod, Zeroable};

use super::parameters::{Chunks, Parameters};
use super::plan::{Groups, Plan, UNIFORM_BYTES};
use super::recording::{Recording, Submission};
use super::samples::AtHand;
use super::stage::{StageKey, bind_all, uniform_stride};
use super::statistics_registers::Block;
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
    (m, parameters): (usize, &Parameters<'_>),
    choose: impl Fn(usize) -> bool,
) -> Result<(), BackendError> {
    let device = submission.device;
    let Groups {
        reduction,
        score,
        sum,
        hoisted,
    } = groups;
    let (shape, weighted) = (parameters.shape, samples.weighted);
    let d = shape.d;
    let stages = device.stages(&[
        StageKey::LogNormalisers {
            shape: shape.with(score),
            hoisted,
        },
        StageKey::MergeNormalisers { d, weighted },
        StageKey::StatisticsGroups {
            shape: shape.with(sum),
            reduction,
            hoisted,
        },
    ])?;
    let [scored, summed] = [score, sum].map(|group| parameters.chunks(group, UNIFORM_BYTES / 16));
    let pool = &mut *submission.pool;
    let score_components = &pool.uniform(device, "score_components", &scored.numbers)?;
    let sum_components = &pool.uniform(device, "sum_components", &summed.numbers)?;
    let len = plan.sums_per_block;
    let rows_per_block = samples.layout.blocks.rows_per_block();
    let row_groups = rows_per_block.div_ceil(64);
    for group in samples.groups(plan.blocks_per_submission, choose) {
        let count = group.len();
        submission.make_room(count as f64 / plan.blocks_per_submission as f64)?;
        let blocks: Vec<Block> = group
            .iter()
            .map(|&b| Block {
                first: samples.place(b).1 as u32,
                rows: samples.layout.blocks.rows(b).len() as u32,
                partial: 0,
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
        let [score_firsts, sum_firsts]: [Vec<usize>; 2] = [firsts(&scored), firsts(&summed)];
        let ranges: Vec<GroupRange> = score_firsts
            .iter()
            .chain(&sum_firsts)
            .map(|&f| range(f))
            .collect();
        let pool = &mut *submission.pool;
        let range = &pool.uniforms(device, "group_range", &ranges)?;
        let samples_at = &samples.buffers[samples.place(group[0]).0];
        let blocks = &pool.input(device, "blocks", &blocks)?;
        let normalisers_bytes = (scored.groups * count * rows_per_block * 8) as u64;
        let normalisers = &pool.output(device, "normalisers", normalisers_bytes)?;
        let logs = &pool.output(device, "logs", (count * row_groups * 8) as u64)?;
        let partials = &pool.output(device, "partials", (count * len * 4) as u64)?;
        let bindings = [
            vec![range, score_components, samples_at, blocks, normalisers],
            vec![range, samples_at, blocks, normalisers, logs],
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
        recording.want(partials, count * len);
        recording.want(logs, count * row_groups * 2);
        let weights: Vec<f64> = group.iter().map(|&b| samples.block_weights[b]).collect();
        submission.record(recording, move |results, sums| {
            let sums = &mut sums[m];
            for (row, weight) in results[0].chunks_exact(len).zip(&weights) {
                sums.add(row);
                sums.weight += weight;
            }
            for pair in results[1].chunks_exact(2) {
                sums.tops += f64::from(pair[0]);
                sums.logs += f64::from(pair[1]);
            }
        });
    }
    Ok(())
}
