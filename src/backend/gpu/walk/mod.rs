//! Plain EM steps that stay on the device: passes over all samples, M-steps, and whether the host should look first.
//!
//! [`sweep`] has the passes, whose stages read their parameters from buffers that the M-steps of [`steps`] write. Samples
//! that stay have all steps in one submission; others pass through the device once a step, in pieces.

pub(super) mod steps;
pub(super) mod sweep;

use bytemuck::{Pod, Zeroable};

use super::Counters;
use super::buffers::Pool;
use super::device::Device;
use super::layout::SumLayout;
use super::parameters::Parameters;
use super::plan::{MStep, Plan, Regime};
use super::recording::{Recording, Submission};
use super::samples::{AtHand, LoadedSamples};
use super::shape::Shape;
use super::sums::{Sums, Taken, TakenStep};
use crate::backend::components::LOG_ZERO;
use crate::backend::{BackendError, Components, EmStep, Walk};
use steps::Steps;
use sweep::{Part, Sweep};

/// After how many passes the host looks whether models are over, where kernels know of no stop and run in vain after it.
const LOOK_EVERY: usize = 8;
/// What sums of shares are off by at most.
const ROUNDING: f64 = 1e-9;

/// A model that takes steps, with the number of its sums.
pub(super) type Walker<'a> = (usize, &'a Parameters<'a>, &'a Walk<'a>);

/// Models of one shape that walk together.
pub(super) struct Party<'a> {
    pub plan: &'a Plan,
    pub m_step: MStep,
    pub walkers: Vec<Walker<'a>>,
    /// The most steps of all.
    pub most: usize,
}

impl<'a> Party<'a> {
    /// Those that take turns where the plan has not several at once.
    fn turns(&self) -> Vec<&[Walker<'a>]> {
        let at_once = match self.plan.regime {
            Regime::Registers { .. } | Regime::Workgroup { .. } => self.walkers.len(),
            Regime::Groups(_) | Regime::Staged { .. } => 1,
        };
        self.walkers.chunks(at_once).collect()
    }

    /// Records all steps and a last pass, over samples that stay: for one submission if they fit, and otherwise for as
    /// many as it takes, between which the host looks whether all models are over.
    pub fn record(
        &self,
        submission: &mut Submission<'_>,
        samples: &AtHand<'_>,
    ) -> Result<(), BackendError> {
        let room = self.plan.blocks_per_submission as f64;
        for walkers in self.turns() {
            let pass = (samples.layout.blocks.len() * walkers.len()) as f64 / room;
            let at_once = self.at_once(pass);
            if at_once <= self.most {
                submission.flush()?;
            }
            submission.make_room((pass * at_once as f64).min(1.0))?;
            let (device, pool) = (submission.device, &mut *submission.pool);
            let sweep = Sweep::new((device, pool), samples, self.plan, walkers)?;
            let (parts, ranges) = sweep.passes((device, pool), samples)?;
            let how = (self.plan, self.m_step);
            let on_way = (&sweep, ranges);
            let steps = Steps::new((device, pool), how, walkers, on_way, self.most)?;
            let mut recording = self.recorded(submission, (&parts, &steps), at_once)?;
            steps.want(&sweep, &mut recording);
            submission.record(recording, steps.fold(&sweep));
        }
        Ok(())
    }

    /// All steps and a last pass, less what was submitted already.
    fn recorded(
        &self,
        submission: &mut Submission<'_>,
        (parts, steps): (&[Part], &Steps),
        at_once: usize,
    ) -> Result<Recording, BackendError> {
        let room = self.plan.blocks_per_submission as f64;
        let mut recording = Recording::default();
        let (mut share, mut left) = (0.0, self.most);
        loop {
            for part in parts {
                let cost = part.blocks as f64 / room;
                if share > 0.0 && share + cost > 1.0 + ROUNDING {
                    steps.want_walks(&mut recording);
                    submission.run(std::mem::take(&mut recording))?;
                    share = 0.0;
                }
                share += cost;
                recording.dispatches.extend(part.dispatches.iter().cloned());
            }
            if left == 0 {
                return Ok(recording);
            }
            steps.step(&mut recording);
            left -= 1;
            if (self.most - left).is_multiple_of(at_once) {
                steps.want_walks(&mut recording);
                let results = submission.run(std::mem::take(&mut recording))?;
                share = 0.0;
                let states = steps.states(&results[0]);
                if states.iter().all(|state| state.contains(&true)) {
                    left = 0;
                }
            }
        }
    }

    /// How many passes, each of such a share of a submission, run before the host looks.
    fn at_once(&self, pass: f64) -> usize {
        let most = match self.plan.regime {
            Regime::Registers { .. } | Regime::Workgroup { .. } => self.most + 1,
            Regime::Groups(_) | Regime::Staged { .. } => LOOK_EVERY,
        };
        ((1.0 / pass) as usize).clamp(1, most)
    }

    /// Takes all steps with samples that pass through the device once for each.
    pub fn stream(
        &self,
        (device, pool, counters): (&Device, &mut Pool, &mut Counters),
        samples: &mut LoadedSamples<'_>,
        mut sums: Vec<Sums>,
    ) -> Result<Vec<Sums>, BackendError> {
        for walkers in self.turns() {
            pool.begin();
            let (at_hand, how) = (samples.at_hand(), (self.plan, self.m_step));
            let sweep = Sweep::new((device, pool), &at_hand, self.plan, walkers)?;
            let on_way = (&sweep, None);
            let steps = Steps::new((device, pool), how, walkers, on_way, self.most)?;
            // Whether each model had gone as far as it should before the last pass.
            let mut was_over = vec![false; walkers.len()];
            for at in 0..=self.most {
                let pass = |at_hand: &AtHand<'_>| {
                    pool.begin();
                    let (parts, _) = sweep.passes((device, pool), at_hand)?;
                    for Part { dispatches, .. } in parts {
                        let mut recording = Recording {
                            dispatches,
                            ..Recording::default()
                        };
                        // There is no submission that nothing is read back from.
                        steps.want_walks(&mut recording);
                        pool.run(device, counters, &[recording])?;
                    }
                    Ok(())
                };
                samples.each_piece(device, |_| true, pass)?;
                if at == self.most {
                    break;
                }
                let mut recording = Recording::default();
                steps.step(&mut recording);
                steps.want_walks(&mut recording);
                pool.begin();
                let results = pool.run(device, counters, &[recording])?;
                // Where a model stopped its parameters are those of the pass just made.
                let states = steps.states(&results[0][0]);
                let mut pairs = states.iter().zip(&was_over);
                if pairs.all(|(&[stopped, done], &was_over)| stopped || (done && was_over)) {
                    break;
                }
                was_over = states.iter().map(|state| state.contains(&true)).collect();
            }
            let mut submission = Submission::new(device, pool, counters, sums);
            let mut recording = Recording::default();
            steps.want(&sweep, &mut recording);
            submission.record(recording, steps.fold(&sweep));
            sums = submission.finish()?;
        }
        Ok(sums)
    }
}

/// What is the same for all models. Mirrors `struct Settings`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Settings {
    /// Rows of partials.
    pub rows: u32,
    pub models: u32,
    /// Structs of `ranges`.
    pub ranges: u32,
    /// A zero that compilers do not know.
    pub zero: u32,
    /// Sums of a row of partials, and how far rows are apart.
    pub sums: u32,
    pub stride: u32,
    /// Pairs of logarithms of a model, where the first stands, and how far they are apart.
    pub logs: u32,
    pub first_log: u32,
    pub log_stride: u32,
    /// Numbers of a row of `trace`.
    pub row_len: u32,
    pub padding_0: u32,
    pub padding_1: u32,
}

/// A model that stopped for the host to look, as in `shaders/shared/walk.wgsl`.
const STOPPED: u32 = 1;

/// A model on its way: the beginning of `struct Walk`, which `components` ends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Header {
    /// 0 while it goes on, [`STOPPED`], or 2 where other sums are needed.
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

/// What a row of `trace` holds.
#[derive(Clone, Copy)]
struct Row {
    shape: Shape,
    /// Pairs of logarithms.
    logs: usize,
}

impl Row {
    fn len(self) -> usize {
        2 * self.logs + self.shape.k + 1 + self.shape.k * self.shape.parameters_len()
    }

    fn step(self, row: &[f32]) -> TakenStep {
        let (logs, rest) = row.split_at(2 * self.logs);
        let (shares, rest) = rest.split_at(self.shape.k);
        let sum = |from: usize| logs[from..].iter().step_by(2).map(|x| f64::from(*x)).sum();
        TakenStep {
            tops: sum(0),
            logs: sum(1),
            shares: shares.iter().map(|s0| f64::from(*s0)).collect(),
            squared_length: f64::from(rest[0]),
            packed: rest[1..].to_vec(),
        }
    }

    /// What model `i` of `models` did, from their `walks` and `trace`.
    fn taken(self, (i, models): (usize, usize), walks: &[f32], trace: &[f32]) -> Taken {
        let [stopped, taken] = [0, 1].map(|at| walks[i * walk_len(self.shape) + at].to_bits());
        let row = |t: usize| &trace[(t * models + i) * self.len()..][..self.len()];
        Taken {
            steps: (0..taken as usize).map(|t| self.step(row(t))).collect(),
            stopped: stopped == STOPPED,
        }
    }
}

/// 32-bit words of a model's `struct Walk`.
fn walk_len(shape: Shape) -> usize {
    size_of::<Header>() / 4 + 4 * shape.k
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
            f64::from(u8::from(is_gaussian) + u8::from(parameters.is_whitened(k))),
        ];
        words.extend(numbers.map(|x| (x as f32).to_bits()));
    }
    words
}

/// The steps with their parameters and log-likelihoods in f64, and where all numbers of all of them are sound, the
/// reference of log densities where they led.
pub(super) fn steps(
    start: &Parameters<'_>,
    (sums, layout): (&Sums, SumLayout),
    weight_unit: f64,
) -> (Vec<EmStep>, Option<f64>) {
    let shape = start.shape;
    let bit = std::f64::consts::LN_2 * weight_unit;
    let mut reference = start.reference;
    // What the device used in place of log constants, in bits.
    let mut used: Option<Vec<f64>> = None;
    let mut steps: Vec<EmStep> = Vec::new();
    for taken in &sums.taken.steps {
        let before = steps
            .last()
            .map_or(start.components, |step| &step.components);
        if let Some(used) = &used {
            reference = reference_of(before, used, &taken.shares);
        }
        let log_likelihood = (taken.tops + taken.logs) * bit + reference * sums.weight;
        let Some(components) = components_after(before, taken, start) else {
            return (steps, None);
        };
        let constants = taken.packed.chunks_exact(shape.parameters_len());
        used = Some(constants.map(|p| f64::from(p[p.len() - 1])).collect());
        steps.push(EmStep {
            mean_log_likelihood: log_likelihood / sums.weight,
            squared_length: taken.squared_length,
            components,
        });
    }
    if let (Some(used), Some(step)) = (&used, steps.last()) {
        let share = |k| sums.components[layout.s0_at(shape, k)];
        let shares: Vec<f64> = (0..shape.k).map(share).collect();
        reference = reference_of(&step.components, used, &shares);
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
fn components_after(
    before: &Components,
    taken: &TakenStep,
    start: &Parameters<'_>,
) -> Option<Components> {
    let shape = start.shape;
    let (d, length) = (shape.d, shape.factor_len());
    let total: f64 = taken.shares.iter().sum();
    let mut after = before.clone();
    after.weights = taken.shares.iter().map(|s0| s0 / total).collect();
    let packed = taken.packed.chunks_exact(shape.parameters_len());
    for (k, packed) in packed.take(before.gaussians()).enumerate() {
        let numbers: Vec<f64> = packed.iter().map(|x| f64::from(*x)).collect();
        let (mean, rest) = numbers.split_at(d);
        let (factor, rest) = rest.split_at(length);
        after.factors[k * length..(k + 1) * length].copy_from_slice(factor);
        if !after.diagonal(k).all(|u| u > 0.0) {
            return None;
        }
        let remainder = &rest[..d];
        let mean: Vec<f64> = match start.are_near() {
            // U μ in two parts.
            true => {
                let whole: Vec<f64> = mean.iter().zip(remainder).map(|(a, b)| a + b).collect();
                after.solve_factor(k, &whole)
            }
            false => {
                let moved = after.solve_factor(k, remainder);
                mean.iter().zip(moved).map(|(a, b)| a + b).collect()
            }
        };
        after.means[k * d..(k + 1) * d].copy_from_slice(&mean);
    }
    let numbers = [&after.weights, &after.means, &after.factors];
    let is_finite = numbers.into_iter().flatten().all(|x| x.is_finite());
    (is_finite && taken.squared_length.is_finite()).then_some(after)
}
