//! The general path: `score_full` or `score_products`, `responsibilities`, `accumulate` and `reduce_partials` over segments of blocks.
//! Where factors are diagonal, `score_tiles` or `score_panels`, `normalise_tiles` and `accumulate_tiles` take the places of the first
//! three (`score_diagonal` that of `score_full` where responsibilities themselves are wanted). Nothing of a row is kept
//! in between but its scores.
//!
//! A segment is some consecutive rows of one block; as many as scratch memory holds make a batch. A
//! segment's sums do not depend on its batch, and a block's segments are added in their order, so batches and
//! submissions change no bit.
//!
//! | buffer | shape | written by |
//! |---|---|---|
//! | `batch` | one [`Batch`] a batch, with its segments | host |
//! | `samples` | blocks × (D, and 1 for weights) × rows, f32 | host, once |
//! | `components` | K × (constant, mean, remainder, factor), vec4s | host |
//! | `spans` | [`Span`] | host |
//! | `scores` | segments × K × rows, f32: scores, then roots of responsibilities (or these) | `score_full`, `score_products` or `score_diagonal`, `responsibilities` |
//! | | the same by octets: segments × ⌈K/8⌉ × rows, two vec4s: scores | `score_tiles` or `score_panels` |
//! | `normalisers` | segments × rows, vec2s | `normalise_tiles` |
//! | `logs`, `densities` | segments × workgroups, segments × rows, vec2s | `responsibilities` or `normalise_tiles` |
//! | `tiles`, in the shaders `partials` | segments × [`Shape::staged_len`], vec4s | `accumulate` or `accumulate_tiles` |
//! | `partials` of the [`Outcome`], in the shaders `sums` | blocks × [`Shape::staged_len`], vec4s | `reduce_partials` |
//! | `totals` | [`Shape::staged_len`], vec4s, see [`Totals`] | `total_rows` |

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::Counters;
use super::buffers::Pool;
use super::device::Device;
use super::outcome::Outcome;
use super::parameters::Parameters;
use super::plan::{Plan, Regime, SCRATCH_BYTES, SEGMENTS, Scoring, Tiles, Tiling};
use super::recording::{Dispatch, Recording, Submission};
use super::samples::AtHand;
use super::shape::Shape;
use super::stage::{StageKey, bind_all, uniform_stride};
use super::totals::Totals;
use crate::backend::BackendError;

/// Uniform `batch`: what a batch of dispatches works on. Mirrors `struct Batch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Batch {
    /// How many segments the submission has before the batch's first.
    pub first_segment: u32,
    /// The batch's first entry of `spans`.
    pub first_span: u32,
    pub n_components: u32,
    /// Rows that scratch memory holds per segment.
    pub segment_rows: u32,
    /// Distance between two features of a row.
    pub rows_per_block: u32,
    /// vec4s of a segment's partials, see [`Shape::staged_len`].
    pub partials_len: u32,
    pub padding_0: u32,
    pub padding_1: u32,
    pub segments: [Segment; SEGMENTS],
}

/// Some rows of a block. Two of them are one vec4 of [`Batch`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Segment {
    /// Where feature 0 of the first row stands in `samples`.
    pub first: u32,
    /// Rows, at least 1.
    pub rows: u32,
}

/// An entry of `spans`: a block's segments within a batch. Mirrors `struct Span`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct Span {
    /// The first of them, counted from the batch's first.
    pub first: u32,
    /// How many, at least 1.
    pub count: u32,
    /// Which row of `sums` is the block's.
    pub row: u32,
    /// 1 where an earlier batch began the block's row.
    pub continued: u32,
}

/// The staged path over one set of samples.
pub(super) struct Staged<'a> {
    samples: &'a AtHand<'a>,
    plan: &'a Plan,
    segment_rows: usize,
    segments_per_batch: usize,
    scoring: Scoring,
    tiling: Tiling,
}

/// Segments, each with the row of `sums` that it belongs to.
type Pieces = Vec<(Segment, usize)>;

impl<'a> Staged<'a> {
    /// By a plan of the staged regime; `None` for any other.
    pub fn new(samples: &'a AtHand<'a>, plan: &'a Plan) -> Option<Self> {
        let Regime::Staged {
            segment_rows,
            segments_per_batch,
            scoring,
            tiling,
        } = plan.regime
        else {
            return None;
        };
        Some(Self {
            samples,
            plan,
            segment_rows,
            segments_per_batch,
            scoring,
            tiling,
        })
    }

    /// Records one pass of model `m` over the chosen ones of the blocks at hand.
    pub fn record(
        &self,
        submission: &mut Submission<'_>,
        (m, parameters, totals): (usize, &Parameters<'_>, &mut Totals),
        choose: impl Fn(usize) -> bool,
    ) -> Result<(), BackendError> {
        let most = self.plan.blocks_per_submission;
        let tiled = Self::send((submission.device, submission.pool), parameters)?;
        let model = (parameters.shape, &tiled, parameters.whitens());
        let groups_of_blocks = self.samples.groups(most, choose);
        for (at, group) in groups_of_blocks.iter().enumerate() {
            submission.make_room(group.len() as f64 / most as f64)?;
            let (device, pool) = (submission.device, &mut *submission.pool);
            let segments = group.iter().map(|&b| self.segments(b)).sum();
            let outcome = self.outcome((device, pool), group.len(), segments)?;
            let rows: Vec<(usize, usize)> = group.iter().copied().zip(0..).collect();
            let dispatches = self.dispatches((device, pool), model, &outcome, &rows, 0)?;
            let of_blocks = &self.samples.block_weights;
            let weights = group.iter().map(|&b| of_blocks[b]).collect();
            let last = at + 1 == groups_of_blocks.len();
            outcome.record(submission, (m, totals), dispatches, weights, last)?;
        }
        Ok(())
    }

    /// Sends a model's parameters.
    pub fn send(
        (device, pool): (&Device, &mut Pool),
        parameters: &Parameters<'_>,
    ) -> Result<wgpu::Buffer, BackendError> {
        pool.input(device, "components", &parameters.tiled())
    }

    /// Room for what passes over so many blocks and segments find.
    pub fn outcome(
        &self,
        (device, pool): (&Device, &mut Pool),
        blocks: usize,
        segments: usize,
    ) -> Result<Outcome, BackendError> {
        let rows = (blocks, self.plan.sums_per_block);
        Outcome::of_rows_and_logs((device, pool), rows, segments * self.row_groups())
    }

    /// Segments of block `b`.
    pub fn segments(&self, b: usize) -> usize {
        let rows = self.samples.layout.blocks.rows(b).len();
        rows.div_ceil(self.segment_rows)
    }

    /// Rows `rows` of block `b` as segments.
    fn pieces(&self, b: usize, rows: Range<usize>) -> impl Iterator<Item = Segment> + use<> {
        let (first, most) = (self.samples.place(b).1, self.segment_rows);
        let end = rows.end;
        rows.step_by(most).map(move |row| Segment {
            first: (first + row) as u32,
            rows: (end - row).min(most) as u32,
        })
    }

    /// A batch of at most [`SEGMENTS`] segments.
    fn batch(
        &self,
        shape: Shape,
        (first_segment, segments): (usize, &mut dyn Iterator<Item = Segment>),
        first_span: usize,
    ) -> Batch {
        let mut all = [Segment { first: 0, rows: 0 }; SEGMENTS];
        all.iter_mut()
            .zip(segments)
            .for_each(|(to, from)| *to = from);
        Batch {
            first_segment: first_segment as u32,
            first_span: first_span as u32,
            n_components: shape.k as u32,
            segment_rows: self.segment_rows as u32,
            rows_per_block: self.samples.layout.blocks.rows_per_block() as u32,
            partials_len: shape.staged_len() as u32,
            padding_0: 0,
            padding_1: 0,
            segments: all,
        }
    }

    /// Workgroups of 64 rows that a segment takes.
    fn row_groups(&self) -> usize {
        self.segment_rows.div_ceil(64)
    }

    /// What sums blocks that are in one buffer, each with its row, their first segment having so many before it.
    pub fn dispatches(
        &self,
        (device, pool): (&Device, &mut Pool),
        (shape, tiled, whitens): (Shape, &wgpu::Buffer, bool),
        outcome: &Outcome,
        rows: &[(usize, usize)],
        first_segment: usize,
    ) -> Result<Vec<Dispatch>, BackendError> {
        let pieces: Pieces = rows
            .iter()
            .flat_map(|&(b, row)| {
                self.pieces(b, 0..self.samples.layout.blocks.rows(b).len())
                    .map(move |segment| (segment, row))
            })
            .collect();
        let pieces = &pieces;
        let k = shape.k;
        let keys = statistics_stages(
            shape,
            (self.scoring, self.tiling),
            self.samples.weighted,
            whitens,
        );
        let stages = device.stages(&keys)?;

        let mut spans = Vec::new();
        let mut batches = Vec::new();
        let mut uniforms = Vec::new();
        for first in (0..pieces.len()).step_by(self.segments_per_batch) {
            let end = (first + self.segments_per_batch).min(pieces.len());
            let these = spans_of(pieces, first..end);
            batches.push((end - first, these.len()));
            let mut segments = pieces[first..end].iter().map(|piece| piece.0);
            uniforms.push(self.batch(shape, (first_segment + first, &mut segments), spans.len()));
            spans.extend(these);
        }
        let at_once = self.segments_per_batch.min(pieces.len());
        let slots = at_once * self.segment_rows;
        let len = shape.staged_len();

        let row_groups = self.row_groups();
        let batch = &pool.uniforms(device, "batch", &uniforms)?;
        let samples = &self.samples.buffers[self.samples.place(rows[0].0).0];
        let spans = &pool.input(device, "spans", &spans)?;
        let octets = k.div_ceil(8);
        let scored = if shape.is_diagonal() { 8 * octets } else { k };
        let scores = &pool.output(device, "scores", (slots * scored * 4) as u64)?;
        let partials = &pool.output(device, "tiles", (at_once * len * 16) as u64)?;
        let sums = &outcome.partials;
        // Normalisers of `normalise_tiles`; densities go unused.
        let rows_of = |yes: bool| if yes { (slots * 8) as u64 } else { 8 };
        let normalisers = &pool.output(device, "normalisers", rows_of(shape.is_diagonal()))?;
        let densities = &pool.output(device, "densities", rows_of(false))?;
        let reduce = vec![batch, spans, partials, sums];
        // The pass' logarithms.
        let logs = outcome.logs.as_ref().map_or(sums, |(logs, _)| logs);
        let bindings = match shape.is_diagonal() {
            true => [
                vec![batch, samples, tiled, scores],
                vec![batch, samples, scores, normalisers, logs],
                vec![batch, samples, tiled, scores, normalisers, partials],
                reduce,
            ],
            false => [
                vec![batch, samples, tiled, scores],
                vec![batch, samples, scores, logs, densities],
                vec![batch, samples, tiled, scores, partials],
                reduce,
            ],
        };
        let score_groups = self.scoring.groups(self.segment_rows, k);
        let accumulate_groups = match shape.is_diagonal() {
            true => Tiles::of(shape).groups(shape),
            false => [self.tiling.groups, k],
        };
        let [score_groups, accumulate_groups] =
            [score_groups, accumulate_groups].map(|groups| groups.map(|g| g as u32));
        let reduce_groups = len.div_ceil(64) as u32;
        let bound = device.guarded("statistics", 0, || {
            bind_all(device.raw(), &stages, &bindings)
        })?;
        let mut recording = Recording::default();
        for (at, &(segments, spans)) in batches.iter().enumerate() {
            let (segments, spans) = (segments as u32, spans as u32);
            let groups = [
                [score_groups[0], score_groups[1], segments],
                [row_groups as u32, 1, segments],
                [accumulate_groups[0], accumulate_groups[1], segments],
                [reduce_groups, 1, spans],
            ];
            for (bound, groups) in bound.iter().zip(groups) {
                recording.dispatch(bound, &[at * uniform_stride::<Batch>()], groups);
            }
        }
        Ok(recording.dispatches)
    }

    /// Segments whose responsibilities come back at once.
    fn most_read_back(&self, k: usize) -> usize {
        (SCRATCH_BYTES as usize / (4 * k * self.segment_rows)).max(1)
    }

    /// Log densities (nats) and responsibilities of consecutive rows, without weights.
    pub fn responsibilities(
        &self,
        (device, pool, counters): (&Device, &mut Pool, &mut Counters),
        parameters: &Parameters<'_>,
        rows: Range<usize>,
        log_densities: &mut [f64],
        responsibilities: &mut [f64],
    ) -> Result<(), BackendError> {
        let k = parameters.components.len();
        pool.begin();
        let tiled = pool.input(device, "components", &parameters.tiled())?;
        let per_block = self.samples.layout.blocks.rows_per_block();
        let mut done = 0;
        while done < rows.len() {
            let start = rows.start + done;
            let b = start / per_block;
            let within = self.samples.layout.blocks.rows(b);
            let end = within.end.min(rows.end);
            // `score_full` and `score_products` take some rows at once, from a multiple of theirs on; those before `start` are made for nothing.
            let mut before = (start - within.start) % self.scoring.alignment();
            let segments: Vec<Segment> = self
                .pieces(b, start - within.start - before..end - within.start)
                .take(self.segments_per_batch.min(self.most_read_back(k)))
                .collect();
            let recording =
                self.evaluate(device, pool, (parameters.shape, &tiled), b, &segments)?;
            pool.keep(&recording);
            let results = pool.run(device, counters, &[recording])?.swap_remove(0);
            pool.begin();
            let [densities, shares] = [&results[0], &results[1]];
            for (s, segment) in segments.iter().enumerate() {
                for row in std::mem::take(&mut before)..segment.rows as usize {
                    let pair = &densities[2 * (s * self.segment_rows + row)..][..2];
                    log_densities[done] = (f64::from(pair[0]) + f64::from(pair[1]))
                        * std::f64::consts::LN_2
                        + parameters.reference;
                    for c in 0..k {
                        responsibilities[done * k + c] =
                            f64::from(shares[(s * k + c) * self.segment_rows + row]);
                    }
                    done += 1;
                }
            }
        }
        Ok(())
    }

    /// What makes rows of `densities` and of `scores` for segments of block `b`.
    fn evaluate(
        &self,
        device: &Device,
        pool: &mut Pool,
        (shape, tiled): (Shape, &wgpu::Buffer),
        b: usize,
        segments: &[Segment],
    ) -> Result<Recording, BackendError> {
        let (k, d) = (shape.k, shape.d);
        let stages = device.stages(&[
            score(shape, self.scoring),
            StageKey::Responsibilities {
                d,
                weighted: false,
                each_row: true,
            },
        ])?;
        let slots = segments.len() * self.segment_rows;
        let logs_bytes = (segments.len() * self.row_groups() * 8) as u64;
        let row_groups = self.row_groups();
        let (x, z) = (row_groups as u32, segments.len() as u32);
        let batch = self.batch(shape, (0, &mut segments.iter().copied()), 0);
        let batch = &pool.uniforms(device, "batch", &[batch])?;
        let samples = &self.samples.buffers[self.samples.place(b).0];
        let scores = &pool.output(device, "scores", (slots * k * 4) as u64)?;
        let logs = &pool.output(device, "logs", logs_bytes)?;
        let densities = &pool.output(device, "densities", (slots * 8) as u64)?;
        let bindings = [
            vec![batch, samples, tiled, scores],
            vec![batch, samples, scores, logs, densities],
        ];
        let score_groups = match shape.is_diagonal() {
            true => [row_groups, k],
            false => self.scoring.groups(self.segment_rows, k),
        };
        let [score_rows, score_components] = score_groups.map(|g| g as u32);
        let bound = device.guarded("responsibilities", 0, || {
            bind_all(device.raw(), &stages, &bindings)
        })?;
        let mut recording = Recording::default();
        recording.dispatch(&bound[0], &[0], [score_rows, score_components, z]);
        recording.dispatch(&bound[1], &[0], [x, 1, z]);
        recording.want(densities, 2 * slots);
        recording.want(scores, k * slots);
        Ok(recording)
    }
}

/// The stage that writes scores, one number a row and component.
fn score(shape: Shape, scoring: Scoring) -> StageKey {
    let d = shape.d;
    match scoring {
        Scoring::Rows(rows) => StageKey::ScoreFull { d, rows },
        Scoring::Products(components) => StageKey::ScoreProducts { d, components },
        Scoring::Tiles | Scoring::Panels(_) => StageKey::ScoreDiagonal { d },
    }
}

/// The stages of a pass in their order; `whitens` as for `accumulate`.
pub(super) fn statistics_stages(
    shape: Shape,
    (scoring, tiling): (Scoring, Tiling),
    weighted: bool,
    whitens: bool,
) -> [StageKey; 4] {
    let d = shape.d;
    let reduce = StageKey::ReducePartials;
    if shape.is_diagonal() {
        let tiles = Tiles::of(shape);
        let accumulate = StageKey::AccumulateTiles { d, tiles };
        let normalise = StageKey::NormaliseTiles { d, weighted };
        let score = match scoring {
            Scoring::Panels(octets) => StageKey::ScorePanels { d, octets },
            _ => StageKey::ScoreTiles { d },
        };
        [score, normalise, accumulate, reduce]
    } else {
        let responsibilities = StageKey::Responsibilities {
            d,
            weighted,
            each_row: false,
        };
        [
            score(shape, scoring),
            responsibilities,
            StageKey::Accumulate { d, tiling, whitens },
            reduce,
        ]
    }
}

/// The spans of the pieces in `batch`.
fn spans_of(pieces: &Pieces, batch: Range<usize>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for at in batch.clone() {
        let row = pieces[at].1;
        match spans.last_mut() {
            Some(span) if span.row == row as u32 => span.count += 1,
            _ => spans.push(Span {
                first: (at - batch.start) as u32,
                count: 1,
                row: row as u32,
                continued: u32::from(at > 0 && pieces[at - 1].1 == row),
            }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_cut_by_a_batch_is_continued() {
        let segment = Segment { first: 0, rows: 1 };
        let pieces: Pieces = [0, 0, 0, 1].map(|row| (segment, row)).to_vec();
        let span = |first, count, row, continued| Span {
            first,
            count,
            row,
            continued,
        };
        assert_eq!(spans_of(&pieces, 0..2), [span(0, 2, 0, 0)]);
        assert_eq!(
            spans_of(&pieces, 2..4),
            [span(0, 1, 0, 1), span(1, 1, 1, 0)]
        );
    }
}
