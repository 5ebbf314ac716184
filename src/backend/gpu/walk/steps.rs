//! What makes steps of what passes found: the stages `sum_blocks`, then `m_step`; or `pool_moments`,
//! `m_step_triangles` or `m_step_diagonals`, `conclude_step` and `commit_step`, a workgroup a component, however many
//! there are and however large.
//!
//! | buffer | shape | written by |
//! |---|---|---|
//! | `walk_settings` | one [`Settings`], uniform | host |
//! | `walks` | models × ([`Header`](super::Header), K vec4s) | host, then the M-step |
//! | `trace` | steps × models × (pairs of logarithms, K shares, squared length, parameters), f32 | `sum_blocks`, the M-step |
//! | `walk_sums` | models × sums as the pass has them, f32 | `sum_blocks` |
//! | `pooled` | models × T, f32, for tied covariances | `pool_moments` |
//! | `verdicts` | models × (K + 1) vec4s | the M-step, `conclude_step` |
//! | `walk_packed` | models × K × (mean, factor, remainder, constant), f32 | host, then `commit_step` |
//! | the pass's parameters | as its stages read them | host, then the M-step |

use super::super::buffers::Pool;
use super::super::device::Device;
use super::super::layout::{ParameterLayout, SumLayout};
use super::super::plan::{DeviceLimits, MStep, Plan, Reduction, chunk};
use super::super::recording::{Dispatch, Fold, Recording};
use super::super::shape::Shape;
use super::super::stage::StageKey;
use super::super::sums::Sums;
use super::sweep::Sweep;
use super::{Row, Settings, Walker, walk_len, words};
use crate::backend::BackendError;
use crate::mixture::triangle;

/// The stages of a step after its pass, in their order.
pub(in super::super) fn keys(
    plan: &Plan,
    shape: Shape,
    m_step: MStep,
    limits: &DeviceLimits,
) -> Vec<StageKey> {
    let k = shape.k;
    let sums = SumLayout::of(plan.regime, shape);
    let reduction = Reduction::of_rows(limits);
    let mut keys = vec![StageKey::SumBlocks { k, reduction }];
    let MStep::Components(workgroup) = m_step else {
        let near = plan.regime.is_near();
        keys.push(StageKey::MStep { shape, near });
        return keys;
    };
    if shape.pooled_len() > 0 {
        keys.push(StageKey::PoolMoments { shape, sums });
    }
    keys.push(match shape.is_diagonal() {
        true => StageKey::MStepDiagonals { shape, sums },
        false => StageKey::MStepTriangles {
            shape,
            sums,
            workgroup,
        },
    });
    keys.push(StageKey::ConcludeStep { k });
    keys.push(StageKey::CommitStep {
        shape,
        parameters: ParameterLayout::of(plan.regime),
    });
    keys
}

/// Models on their way.
pub(in super::super) struct Steps {
    /// What makes a step.
    dispatches: Vec<Dispatch>,
    walks: wgpu::Buffer,
    trace: wgpu::Buffer,
    row: Row,
    /// Of their sums.
    numbers: Vec<usize>,
    /// The most of all.
    most: usize,
}

impl Steps {
    /// Sends what models need for so many steps. `ranges` count the blocks of passes that are to find none once all
    /// models are over.
    pub fn new(
        (device, pool): (&Device, &mut Pool),
        (plan, m_step): (&Plan, MStep),
        walkers: &[Walker<'_>],
        (sweep, ranges): (&Sweep<'_>, Option<(wgpu::Buffer, usize)>),
        most: usize,
    ) -> Result<Self, BackendError> {
        let shape = walkers[0].1.shape;
        let (k, d, count) = (shape.k, shape.d, walkers.len());
        let stages = device.stages(&keys(plan, shape, m_step, device.limits()))?;
        let (place, sums) = (sweep.place(count), plan.sums());
        let row = Row {
            shape,
            logs: place.pairs,
        };
        let (ranges, range_count) = match ranges {
            Some((ranges, count)) => (ranges, count),
            None => (pool.output(device, "no_ranges", 16)?, 0),
        };
        let settings = Settings {
            rows: place.rows as u32,
            models: count as u32,
            ranges: range_count as u32,
            zero: 0,
            sums: sums as u32,
            stride: place.stride as u32,
            logs: place.pairs as u32,
            first_log: place.first_log as u32,
            log_stride: place.log_stride as u32,
            row_len: row.len() as u32,
            padding_0: 0,
            padding_1: 0,
        };
        let states: Vec<u32> = walkers
            .iter()
            .flat_map(|(_, parameters, walk)| words(parameters, walk, most))
            .collect();
        let bytes = |numbers: usize| 4 * (count * numbers) as u64;
        let settings = &pool.uniform(device, "walk_settings", &[settings])?;
        let walks = &pool.shared(device, "walks", bytemuck::cast_slice(&states))?;
        // A model that is over has a row of its own, of which nothing is read.
        let trace = &pool.output(device, "trace", bytes((most + 1) * row.len()))?;
        let summed = &pool.output(device, "walk_sums", bytes(sums))?;
        let is_tied = shape.pooled_len() > 0;
        let pooled_len = if is_tied { triangle::packed_len(d) } else { 1 };
        let pooled = &pool.output(device, "pooled", bytes(pooled_len))?;
        let verdicts = &pool.output(device, "verdicts", bytes(4 * (k + 1)))?;
        let targets = sweep.parameters();
        let (packed, others) = match ParameterLayout::of(plan.regime) {
            ParameterLayout::Packed => (targets[0].clone(), &targets[1..]),
            _ => {
                let packed: Vec<f32> = walkers.iter().flat_map(|(_, p, _)| p.packed()).collect();
                (pool.input(device, "walk_packed", &packed)?, &targets[..])
            }
        };
        let packed = &packed;
        let chunks = sums.div_ceil(chunk(Reduction::of_rows(device.limits()).workgroup));
        let mut all = vec![(
            vec![
                settings, walks, place.sums, place.logs, summed, trace, &ranges,
            ],
            [chunks, count, 1],
        )];
        if m_step == MStep::Model {
            let buffers = vec![settings, walks, packed, trace, summed];
            all.push((buffers, [count, 1, 1]));
        } else {
            let mut of_m_step = vec![settings, walks, packed, summed, trace, verdicts];
            if is_tied {
                all.push((vec![settings, walks, summed, pooled], [d, count, 1]));
                of_m_step.push(pooled);
            }
            let mut of_commit = vec![settings, walks, verdicts, trace, packed];
            of_commit.extend(others);
            all.push((of_m_step, [k, count, 1]));
            all.push((vec![settings, walks, verdicts, trace], [count, 1, 1]));
            all.push((of_commit, [k, count, 1]));
        }
        let bound = device.guarded("m_step", 0, || {
            let pairs = stages.iter().zip(&all);
            pairs
                .map(|(stage, (buffers, _))| stage.bind(device.raw(), buffers))
                .collect::<Vec<_>>()
        })?;
        let mut recording = Recording::default();
        for (bound, (_, groups)) in bound.iter().zip(&all) {
            recording.dispatch(bound, &[], groups.map(|g| g as u32));
        }
        Ok(Self {
            dispatches: recording.dispatches,
            walks: walks.clone(),
            trace: trace.clone(),
            row,
            numbers: walkers.iter().map(|walker| walker.0).collect(),
            most,
        })
    }

    /// Records a step.
    pub fn step(&self, recording: &mut Recording) {
        recording.dispatches.extend(self.dispatches.iter().cloned());
    }

    /// Asks how far the models are.
    pub fn want_walks(&self, recording: &mut Recording) {
        let len = walk_len(self.row.shape);
        recording.want(&self.walks, self.numbers.len() * len);
    }

    /// Asks for all that the steps and the last pass found.
    pub fn want(&self, sweep: &Sweep<'_>, recording: &mut Recording) {
        self.want_walks(recording);
        let len = self.most * self.numbers.len() * self.row.len();
        recording.want(&self.trace, len);
        sweep.want(recording);
    }

    /// How that counts.
    pub fn fold<'f>(&self, sweep: &Sweep<'_>) -> Fold<'f> {
        let (row, numbers, last) = (self.row, self.numbers.clone(), sweep.fold());
        Box::new(move |results: &[Vec<f32>], all: &mut [Sums]| {
            for (i, &m) in numbers.iter().enumerate() {
                all[m].taken = row.taken((i, numbers.len()), &results[0], &results[1]);
            }
            last(&results[2..], all);
        })
    }

    /// Whether each model has stopped, and whether it has taken its steps, from their words.
    pub fn states(&self, walks: &[f32]) -> Vec<[bool; 2]> {
        walks
            .chunks_exact(walk_len(self.row.shape))
            .map(|walk| {
                let [stopped, steps, most] = [0, 1, 2].map(|at| walk[at].to_bits());
                [stopped != 0, steps == most]
            })
            .collect()
    }
}
