//! Stages `sum_partials` and `m_step`: plain EM steps that stay on the device, where all sums of a model stay in
//! registers. `statistics_registers` reads its parameters from the buffer that `m_step` writes; once all models of a
//! submission have gone as far as they should, `sum_partials` leaves the passes that follow no block to sum.
//!
//! | buffer | shape | written by |
//! |---|---|---|
//! | `walk_settings` | one [`Settings`], uniform | host |
//! | `walk_ranges` | one [`BlockRange`] a buffer of samples | host, then `sum_partials` |
//! | `walk_parameters` | as `components` of `statistics_registers` | host, then `m_step` |
//! | `walks` | models × ([`Header`], K vec4s) | host, then `m_step` |
//! | `partials` | blocks × models × (statistics and 2), f32 | `statistics_registers` |
//! | `trace` | steps × models × (two logarithms a block, sums, squared length, parameters), f32 | `sum_partials`, `m_step` |

use bytemuck::{Pod, Zeroable};

use super::buffers::strided;
use super::generate::steps::STATISTICS_AT_ONCE;
use super::parameters::Parameters;
use super::plan::{Plan, Reduction, grid, models_per_dispatch};
use super::recording::{Recording, Submission};
use super::samples::AtHand;
use super::shape::Shape;
use super::stage::{StageKey, uniform_stride};
use super::statistics_registers::{Block, BlockRange};
use super::sums::{Sums, Taken, TakenStep};
use crate::backend::components::LOG_ZERO;
use crate::backend::{BackendError, Components, EmStep, Walk};
use crate::mixture::triangle;

/// What is the same for all models. Mirrors `struct Settings`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Settings {
    /// Summation blocks.
    pub blocks: u32,
    pub models: u32,
    /// Structs of `ranges`.
    pub ranges: u32,
    /// A zero that compilers do not know.
    pub zero: u32,
}

/// A model on its way: the beginning of `struct Walk`, which `components` ends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Header {
    /// 0 while it goes on.
    pub stopped: u32,
    /// EM steps taken, and the most that are wanted.
    pub steps: u32,
    pub most: u32,
    /// How often running the estimated gain was below the tolerance, and how often is enough.
    pub below: u32,
    pub times: u32,
    /// Squared lengths: the last step's, negative where there is none, and what is rounding alone.
    pub last: f32,
    pub negligible: f32,
    pub tol: f32,
}

/// 32-bit words of a model's `struct Walk`.
fn walk_len(shape: Shape) -> usize {
    size_of::<Header>() / 4 + 4 * shape.k
}

/// 32-bit words of a row of `trace`.
fn row_len(shape: Shape, blocks: usize) -> usize {
    2 * blocks + shape.statistics_len() + 1 + shape.k * shape.parameters_len()
}

/// Records steps of models of one shape, at most [`models_per_dispatch`], each with the number of its sums, and a last
/// pass where they led.
pub(super) fn record(
    submission: &mut Submission<'_>,
    samples: &AtHand<'_>,
    (plan, reduction): (&Plan, Reduction),
    models: &[(usize, &Parameters<'_>, &Walk<'_>)],
    steps: usize,
) -> Result<(), BackendError> {
    let device = submission.device;
    let shape = models[0].1.shape;
    let stages = device.stages(&[
        StageKey::StatisticsRegisters {
            shape,
            weighted: samples.weighted,
            reduction,
        },
        StageKey::SumPartials { shape },
        StageKey::MStep { shape },
    ])?;
    let [pass, sum, step] = [&stages[0], &stages[1], &stages[2]];
    let blocks = samples.layout.blocks.len();
    let entries = blocks * models.len();
    submission.make_room((entries * (steps + 1)) as f64 / plan.blocks_per_submission as f64)?;

    let groups = samples.groups(usize::MAX, |_| true);
    let (mut ranges, mut entries_of, mut grids) = (Vec::new(), Vec::new(), Vec::new());
    for group in &groups {
        let of_group: Vec<Block> = group
            .iter()
            .flat_map(|&b| (0..models.len()).map(move |m| (b, m)))
            .map(|(b, m)| Block {
                first: samples.place(b).1 as u32,
                rows: samples.layout.blocks.rows(b).len() as u32,
                partial: (b * models.len() + m) as u32,
                model: m as u32,
            })
            .collect();
        let (width, height) = grid(of_group.len(), device.limits().max_workgroups);
        ranges.push(BlockRange {
            count: of_group.len() as u32,
            width,
            rows_per_block: samples.layout.blocks.rows_per_block() as u32,
            padding: 0,
        });
        grids.push([width, height, 1]);
        entries_of.push(of_group);
    }
    let settings = Settings {
        blocks: blocks as u32,
        models: models.len() as u32,
        ranges: ranges.len() as u32,
        zero: 0,
    };
    let mut walks: Vec<u32> = Vec::new();
    for (_, parameters, walk) in models {
        walks.extend(words(parameters, walk, steps));
    }
    let mut packed: Vec<f32> = models.iter().flat_map(|(_, p, _)| p.packed()).collect();
    packed.resize(
        packed.len() / models.len() * models_per_dispatch(shape),
        0.0,
    );
    // A model that is over has a row of its own, of which nothing is read.
    let row_len = row_len(shape, blocks);
    let trace_len = (steps + 1) * models.len() * row_len;
    let len = plan.sums_per_block;

    let pool = &mut *submission.pool;
    let settings = &pool.uniform(device, "walk_settings", &[settings])?;
    let ranges = &pool.shared(device, "walk_ranges", &strided(&ranges))?;
    let parameters = &pool.shared(device, "walk_parameters", bytemuck::cast_slice(&packed))?;
    let walks = &pool.shared(device, "walks", bytemuck::cast_slice(&walks))?;
    let partials = &pool.output(device, "partials", (entries * len * 4) as u64)?;
    let trace = &pool.output(device, "trace", (trace_len * 4) as u64)?;
    let mut blocks_of = Vec::new();
    for entries in &entries_of {
        blocks_of.push(pool.input(device, "blocks", entries)?);
    }
    let (passes, sum, step) = device.guarded("m_step", 0, || {
        let passes: Vec<_> = groups
            .iter()
            .zip(&blocks_of)
            .map(|(group, blocks)| {
                let samples = &samples.buffers[samples.place(group[0]).0];
                let buffers = [ranges, parameters, samples, blocks, partials];
                pass.bind(device.raw(), &buffers)
            })
            .collect();
        (
            passes,
            sum.bind(device.raw(), &[settings, partials, walks, ranges, trace]),
            step.bind(device.raw(), &[settings, walks, parameters, trace]),
        )
    })?;
    let mut recording = Recording::default();
    let model_count = models.len() as u32;
    let chunks = shape.statistics_len().div_ceil(STATISTICS_AT_ONCE) as u32;
    for at in 0..=steps {
        for (g, (pass, grid)) in passes.iter().zip(&grids).enumerate() {
            recording.dispatch(pass, &[g * uniform_stride::<BlockRange>()], *grid);
        }
        if at < steps {
            recording.dispatch(&sum, &[], [chunks, model_count, 1]);
            recording.dispatch(&step, &[], [model_count, 1, 1]);
        }
    }
    let walk_len = walk_len(shape);
    recording.want(walks, models.len() * walk_len);
    recording.want(trace, steps * models.len() * row_len);
    recording.want(partials, entries * len);

    let numbers: Vec<usize> = models.iter().map(|&(m, ..)| m).collect();
    let weights = samples.block_weights.to_vec();
    submission.record(recording, move |results, all| {
        for (i, &m) in numbers.iter().enumerate() {
            let [stopped, taken] = [0, 1].map(|at| results[0][i * walk_len + at].to_bits());
            let sums = &mut all[m];
            sums.taken = Taken {
                steps: (0..taken as usize)
                    .map(|t| &results[1][(t * numbers.len() + i) * row_len..][..row_len])
                    .map(|row| taken_step(row, shape, blocks))
                    .collect(),
                stopped: stopped != 0,
            };
            let rows = results[2].chunks_exact(len).skip(i).step_by(numbers.len());
            for (row, weight) in rows.zip(&weights) {
                sums.add_block(row, *weight);
            }
        }
    });
    Ok(())
}

/// A model's `struct Walk`.
fn words(parameters: &Parameters<'_>, walk: &Walk<'_>, steps: usize) -> Vec<u32> {
    let watch = &walk.watch;
    let components = parameters.components;
    let header = Header {
        stopped: 0,
        steps: 0,
        most: walk.most.min(steps) as u32,
        below: watch.below as u32,
        times: watch.times as u32,
        last: watch.last.unwrap_or(-1.0) as f32,
        negligible: watch.negligible as f32,
        tol: watch.tol as f32,
    };
    let mut words = bytemuck::cast_slice(&[header]).to_vec();
    let half_log_tau = 0.5 * std::f64::consts::TAU.ln();
    for k in 0..components.len() {
        let is_gaussian = k < components.gaussians();
        let fixed = match &components.noise {
            Some(space) if !is_gaussian => space.log_density,
            _ => -(components.n_features as f64) * half_log_tau,
        } * std::f64::consts::LOG2_E;
        let numbers = [
            components.weights[k],
            fixed.floor(),
            fixed - fixed.floor(),
            f64::from(u8::from(is_gaussian)),
        ];
        words.extend(numbers.map(|x| (x as f32).to_bits()));
    }
    words
}

fn taken_step(row: &[f32], shape: Shape, blocks: usize) -> TakenStep {
    let (logs, rest) = row.split_at(2 * blocks);
    let (sums, rest) = rest.split_at(shape.statistics_len());
    let sum = |from: usize| logs[from..].iter().step_by(2).map(|x| f64::from(*x)).sum();
    let shares = sums.iter().step_by(shape.component_len()).take(shape.k);
    TakenStep {
        tops: sum(0),
        logs: sum(1),
        shares: shares.map(|s0| f64::from(*s0)).collect(),
        squared_length: f64::from(rest[0]),
        packed: rest[1..].to_vec(),
    }
}

/// The steps with their parameters and log-likelihoods in f64, and where all numbers of all of them are sound, the
/// reference of log densities where they led.
pub(super) fn steps(
    start: &Parameters<'_>,
    sums: &Sums,
    weight_unit: f64,
) -> (Vec<EmStep>, Option<f64>) {
    let shape = start.shape;
    let bit = std::f64::consts::LN_2 * weight_unit;
    let mut reference = start.reference;
    let mut before = start.components.clone();
    // What the device used in place of log constants, in bits.
    let mut used: Option<Vec<f64>> = None;
    let mut steps = Vec::new();
    for taken in &sums.taken.steps {
        if let Some(used) = &used {
            reference = reference_of(&before, used, &taken.shares);
        }
        let log_likelihood = (taken.tops + taken.logs) * bit + reference * sums.weight;
        let Some(components) = components_after(&before, taken, shape) else {
            return (steps, None);
        };
        before.clone_from(&components);
        let constants = taken.packed.chunks_exact(shape.parameters_len());
        used = Some(constants.map(|p| f64::from(p[p.len() - 1])).collect());
        steps.push(EmStep {
            mean_log_likelihood: log_likelihood / sums.weight,
            squared_length: taken.squared_length,
            components,
        });
    }
    if let Some(used) = &used {
        let shares: Vec<f64> = sums
            .components
            .chunks_exact(shape.component_len())
            .map(|own| own[0])
            .take(shape.k)
            .collect();
        reference = reference_of(&before, used, &shares);
    }
    let is_sound = reference.is_finite();
    (steps, is_sound.then_some(reference))
}

/// The reference that log densities on the device lack. It made the constants it used from parameters in its own
/// precision; to first order a log-likelihood feels their errors weighted by the shares of the components, so that with
/// this reference it feels none.
fn reference_of(components: &Components, used: &[f64], shares: &[f64]) -> f64 {
    let total: f64 = shares.iter().sum();
    let constants = components.log_constants();
    let all = constants.iter().zip(used).zip(shares);
    all.filter(|((constant, _), _)| **constant > LOG_ZERO)
        .map(|((constant, used), share)| share / total * (constant - used * std::f64::consts::LN_2))
        .sum()
}

/// The parameters after a step; `None` if any is not a number.
fn components_after(before: &Components, taken: &TakenStep, shape: Shape) -> Option<Components> {
    let (d, length) = (shape.d, triangle::packed_len(shape.d));
    let total: f64 = taken.shares.iter().sum();
    let mut after = before.clone();
    after.weights = taken.shares.iter().map(|s0| s0 / total).collect();
    let packed = taken.packed.chunks_exact(shape.parameters_len());
    for (k, packed) in packed.take(before.gaussians()).enumerate() {
        let numbers: Vec<f64> = packed.iter().map(|x| f64::from(*x)).collect();
        let (mean, rest) = numbers.split_at(d);
        let (factor, rest) = rest.split_at(shape.factor_len());
        let to = &mut after.factors[k * length..(k + 1) * length];
        if shape.is_diagonal() {
            (0..d).for_each(|i| to[triangle::at(i, i)] = factor[i]);
        } else {
            to.copy_from_slice(factor);
        }
        if !(0..d).all(|i| to[triangle::at(i, i)] > 0.0) {
            return None;
        }
        let moved = triangle::solve(to, &rest[..d]);
        for ((to, mean), moved) in after.means[k * d..].iter_mut().zip(mean).zip(moved) {
            *to = mean + moved;
        }
    }
    let numbers = [&after.weights, &after.means, &after.factors];
    let is_finite = numbers.into_iter().flatten().all(|x| x.is_finite());
    (is_finite && taken.squared_length.is_finite()).then_some(after)
}
