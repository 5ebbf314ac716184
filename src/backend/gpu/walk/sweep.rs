//! Passes over all samples for steps: the parameters stay where they are. Each block has rows of its own, wherever and
//! whenever it is at hand, or is added to totals.

use super::super::buffers::Pool;
use super::super::device::Device;
use super::super::groups;
use super::super::outcome::{Outcome, fold_logs_and_totals, fold_totals};
use super::super::plan::{Groups, Plan, Regime};
use super::super::recording::{Dispatch, Fold, Recording};
use super::super::samples::AtHand;
use super::super::shape::Shape;
use super::super::staged::Staged;
use super::super::statistics_registers::{self, Block, How};
use super::super::totals::Totals;
use super::Walker;
use crate::backend::BackendError;

/// How models that walk are evaluated.
pub(in super::super) struct Sweep<'a> {
    plan: &'a Plan,
    kind: Kind<'a>,
    shape: Shape,
    /// Where all passes leave their sums.
    outcome: Outcome,
    /// What is made of them where rows are not kept for all blocks.
    totals: Option<Totals>,
    /// Each model's, and what adds up its rows, where these are kept but too many numbers to go to the host.
    last_totals: Vec<(Totals, Dispatch)>,
    /// Whose row is whose, and its weight.
    owners: Vec<(usize, f64)>,
}

enum Kind<'a> {
    /// Several models at once.
    Blocks(How<'a>, usize, wgpu::Buffer),
    /// One.
    Groups(Groups, groups::Sent),
    /// One, and whether it whitens.
    Staged(wgpu::Buffer, bool),
}

/// Where passes leave sums and logarithms, as `struct Settings` tells the M-step.
pub(in super::super) struct Place<'a> {
    pub sums: &'a wgpu::Buffer,
    /// Rows of a model.
    pub rows: usize,
    /// How far rows are apart.
    pub stride: usize,
    pub logs: &'a wgpu::Buffer,
    /// Pairs of logarithms of a model, where the first stands, and how far they are apart.
    pub pairs: usize,
    pub first_log: usize,
    pub log_stride: usize,
}

/// What sums some blocks, and how many, each model's counted.
pub(in super::super) struct Part {
    pub dispatches: Vec<Dispatch>,
    pub blocks: usize,
}

/// A pass in parts, and the structs that count the blocks of some of them.
pub(in super::super) type Passes = (Vec<Part>, Option<(wgpu::Buffer, usize)>);

impl<'a> Sweep<'a> {
    /// Sends parameters and makes room. Only one model where the plan has not several at once.
    pub fn new(
        (device, pool): (&Device, &mut Pool),
        samples: &AtHand<'_>,
        plan: &'a Plan,
        walkers: &[Walker<'_>],
    ) -> Result<Self, BackendError> {
        let (m, parameters, _) = walkers[0];
        let shape = parameters.shape;
        let blocks = samples.layout.blocks.len();
        // Rows that are alive at once where they are added to totals.
        let at_once = plan.blocks_per_submission.min(blocks);
        let how = How::of(plan, (shape, walkers.len()), samples);
        let (kind, outcome) = match (how, plan.regime) {
            (Some(how), _) => {
                let all = walkers.iter().map(|walker| walker.1);
                let sent = statistics_registers::send((device, pool), how, all)?;
                let parts = |b| statistics_registers::parts(samples, how, b).count();
                let rows = (0..blocks).map(parts).sum::<usize>() * walkers.len();
                let outcome = Outcome::of_rows((device, pool), (rows, plan.sums_per_block))?;
                (Kind::Blocks(how, walkers.len(), sent), outcome)
            }
            (None, Regime::Groups(groups)) => {
                let sent = groups::Sent::new((device, pool), groups, parameters)?;
                let outcome = groups::outcome((device, pool), samples, plan, [at_once, blocks])?;
                (Kind::Groups(groups, sent), outcome)
            }
            (None, _) => {
                let tiled = Staged::send((device, pool), parameters)?;
                let staged =
                    Staged::new(samples, plan).ok_or_else(|| device.too_large(shape.d, shape.k))?;
                let segments = (0..blocks).map(|b| staged.segments(b)).sum();
                let outcome = staged.outcome((device, pool), at_once, segments)?;
                (Kind::Staged(tiled, parameters.whitens()), outcome)
            }
        };
        let weights = samples.block_weights.iter();
        let (totals, owners) = match &kind {
            Kind::Blocks(how, ..) => {
                let rows = (0..blocks).flat_map(|b| {
                    let parts = statistics_registers::parts(samples, *how, b);
                    parts.map(move |row| statistics_registers::weight(samples, b, row))
                });
                let of_all = |weight| walkers.iter().map(move |walker| (walker.0, weight));
                (None, rows.flat_map(of_all).collect())
            }
            _ => {
                let place = ("walk_totals", 0);
                let totals = Totals::new((device, pool), place, outcome.len)?;
                (Some(totals), weights.map(|weight| (m, *weight)).collect())
            }
        };
        // What they read waits for the last pass: passes of blocks fill no buffers of these names meanwhile.
        let mut last_totals = Vec::new();
        if let (Kind::Blocks(..), Some(len)) = (&kind, plan.totals()) {
            for i in 0..walkers.len() {
                let totals = Totals::new((device, pool), ("walk_totals", i), len)?;
                let rows: Vec<u32> = (i..outcome.rows)
                    .step_by(walkers.len())
                    .map(|row| row as u32)
                    .collect();
                let add = totals.dispatch((device, pool), &outcome.partials, &rows, true)?;
                last_totals.push((totals, add));
            }
        }
        Ok(Self {
            plan,
            kind,
            shape,
            outcome,
            totals,
            last_totals,
            owners,
        })
    }

    /// The parameters as the stages read them.
    pub fn parameters(&self) -> Vec<&wgpu::Buffer> {
        match &self.kind {
            Kind::Blocks(_, _, packed) => vec![packed],
            Kind::Groups(_, sent) => sent.buffers().to_vec(),
            Kind::Staged(tiled, _) => vec![tiled],
        }
    }

    /// Where the sums of so many models are.
    pub fn place(&self, models: usize) -> Place<'_> {
        let Outcome {
            partials,
            rows,
            len,
            logs,
        } = &self.outcome;
        let rows = rows / models;
        let (logs, pairs, first_log, log_stride) = match logs {
            Some((logs, pairs)) => (logs, *pairs, 0, 2),
            None => (partials, rows, len - 2, *len),
        };
        let (sums, rows) = match &self.totals {
            // What they are, and what they lack.
            Some(totals) => (&totals.buffer, 2),
            None => (partials, rows),
        };
        Place {
            sums,
            rows,
            stride: *len,
            logs,
            pairs,
            first_log,
            log_stride,
        }
    }

    /// What sums the blocks at hand, no more in a part than a submission takes.
    pub fn passes(
        &self,
        (device, pool): (&Device, &mut Pool),
        samples: &AtHand<'_>,
    ) -> Result<Passes, BackendError> {
        let most = match self.kind {
            Kind::Blocks(_, models, _) => (self.plan.blocks_per_submission / models).max(1),
            _ => self.plan.blocks_per_submission,
        };
        let groups = samples.groups(most, |_| true);
        match &self.kind {
            Kind::Blocks(how, models, parameters) => {
                let lists: Vec<(usize, Vec<Block>)> = groups
                    .iter()
                    .map(|group| {
                        let blocks = self.blocks(samples, *how, *models, group);
                        (samples.place(group[0]).0, blocks)
                    })
                    .collect();
                let buffers = (parameters, &self.outcome.partials);
                let (dispatches, ranges) = statistics_registers::dispatches(
                    (device, pool),
                    samples,
                    *how,
                    buffers,
                    &lists,
                )?;
                let part = |(dispatch, group): (Dispatch, &Vec<usize>)| Part {
                    dispatches: vec![dispatch],
                    blocks: group.len() * models,
                };
                let parts = dispatches.into_iter().zip(&groups).map(part).collect();
                Ok((parts, Some((ranges, lists.len()))))
            }
            Kind::Groups(groups_of, sent) => {
                let how = (*groups_of, self.shape, sent);
                let part = |group: &Vec<usize>| {
                    // Logarithms have places for all blocks.
                    let rows: Vec<(usize, usize)> = group.iter().map(|&b| (b, b)).collect();
                    let to = &self.outcome;
                    let dispatches = groups::dispatches((device, pool), samples, how, to, &rows)?;
                    self.totalled((device, pool), dispatches, group)
                };
                let parts: Result<_, _> = groups.iter().map(part).collect();
                Ok((parts?, None))
            }
            Kind::Staged(tiled, whitens) => {
                let staged = Staged::new(samples, self.plan)
                    .ok_or_else(|| device.too_large(self.shape.d, self.shape.k))?;
                let model = (self.shape, tiled, *whitens);
                let part = |group: &Vec<usize>| {
                    let before = group[0] * staged.segments(0);
                    let rows: Vec<(usize, usize)> = group.iter().copied().zip(0..).collect();
                    let to = &self.outcome;
                    let dispatches = staged.dispatches((device, pool), model, to, &rows, before)?;
                    self.totalled((device, pool), dispatches, group)
                };
                let parts: Result<_, _> = groups.iter().map(part).collect();
                Ok((parts?, None))
            }
        }
    }

    /// Entries of some blocks, each part under each model.
    fn blocks(
        &self,
        samples: &AtHand<'_>,
        how: How<'_>,
        models: usize,
        group: &[usize],
    ) -> Vec<Block> {
        let rows_per_block = samples.layout.blocks.rows_per_block();
        let per_block = rows_per_block.div_ceil(how.part_rows);
        group
            .iter()
            .flat_map(|&b| {
                let parts = statistics_registers::parts(samples, how, b);
                parts.enumerate().map(move |(part, row)| (b, part, row))
            })
            .flat_map(|(b, part, row)| (0..models).map(move |m| (b, part, row, m)))
            .map(|(b, part, row, m)| {
                let partial = (b * per_block + part) * models + m;
                statistics_registers::block(samples, how, (b, row, m), partial as u32)
            })
            .collect()
    }

    /// What sums some blocks and adds them to the totals.
    fn totalled(
        &self,
        (device, pool): (&Device, &mut Pool),
        mut dispatches: Vec<Dispatch>,
        blocks: &[usize],
    ) -> Result<Part, BackendError> {
        if let Some(totals) = &self.totals {
            let order: Vec<u32> = (0..blocks.len() as u32).collect();
            // Each pass begins anew.
            let begins = blocks[0] == 0;
            let partials = &self.outcome.partials;
            dispatches.push(totals.dispatch((device, pool), partials, &order, begins)?);
        }
        Ok(Part {
            dispatches,
            blocks: blocks.len(),
        })
    }

    /// Asks for what the last pass found.
    pub fn want(&self, recording: &mut Recording) {
        match &self.totals {
            Some(totals) => {
                self.outcome.want_logs(recording);
                totals.want(recording);
            }
            None if self.last_totals.is_empty() => self.outcome.want_rows(recording),
            None => {
                for (totals, add) in &self.last_totals {
                    recording.dispatches.push(add.clone());
                    totals.want(recording);
                }
            }
        }
    }

    /// How that counts.
    pub fn fold<'f>(&self) -> Fold<'f> {
        match (&self.totals, self.owners.first()) {
            (Some(_), Some(&(m, _))) => {
                let weights = self.owners.iter().map(|owner| owner.1).collect();
                fold_logs_and_totals(m, weights)
            }
            _ if self.last_totals.is_empty() => self.outcome.fold_rows(self.owners.clone()),
            _ => {
                let models = self.last_totals.len();
                let of_model = |i: usize| {
                    let mut owners = self.owners[i..].iter().step_by(models).copied();
                    let weights = owners.clone().map(|owner| owner.1).collect();
                    owners.next().map(|owner| (owner.0, weights))
                };
                fold_totals((0..models).filter_map(of_model).collect())
            }
        }
    }
}
