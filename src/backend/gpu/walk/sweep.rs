//! Passes over all samples for steps: the parameters stay where they are, and each block has rows of its own wherever
//! and whenever it is at hand.

use super::super::buffers::Pool;
use super::super::device::Device;
use super::super::groups;
use super::super::outcome::Outcome;
use super::super::plan::{Groups, Plan, Regime};
use super::super::recording::{Dispatch, Fold};
use super::super::samples::AtHand;
use super::super::shape::Shape;
use super::super::staged::Staged;
use super::super::statistics_registers::{self, Block, How};
use super::Walker;
use crate::backend::BackendError;

/// How models that walk are evaluated.
pub(in super::super) struct Sweep<'a> {
    kind: Kind<'a>,
    shape: Shape,
    /// Where all passes leave their sums.
    pub outcome: Outcome,
    /// Whose row is whose, and its weight.
    owners: Vec<(usize, f64)>,
}

enum Kind<'a> {
    /// Several models at once.
    Blocks(How<'a>, usize, wgpu::Buffer),
    /// One.
    Groups(Groups, groups::Sent),
    /// One, and whether it whitens.
    Staged(&'a Plan, wgpu::Buffer, bool),
}

/// Dispatches, and the structs that count the blocks of some of them.
pub(in super::super) type Passes = (Vec<Dispatch>, Option<(wgpu::Buffer, usize)>);

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
        let weights = samples.block_weights;
        let of_one = || weights.iter().map(|weight| (m, *weight)).collect();
        let (kind, outcome, owners) = match (How::of(plan, shape, samples), plan.regime) {
            (Some(how), _) => {
                let all = walkers.iter().map(|walker| walker.1);
                let parameters = statistics_registers::send((device, pool), all)?;
                let owners: Vec<(usize, f64)> = (0..blocks)
                    .flat_map(|b| {
                        statistics_registers::parts(samples, how, b).map(move |row| (b, row))
                    })
                    .flat_map(|(b, row)| {
                        let weight = statistics_registers::weight(samples, b, row);
                        walkers.iter().map(move |walker| (walker.0, weight))
                    })
                    .collect();
                let rows = (owners.len(), plan.sums_per_block);
                let outcome = Outcome::of_rows((device, pool), rows)?;
                (
                    Kind::Blocks(how, walkers.len(), parameters),
                    outcome,
                    owners,
                )
            }
            (None, Regime::Groups(groups)) => {
                let sent = groups::Sent::new((device, pool), groups, parameters)?;
                let outcome = groups::outcome((device, pool), samples, plan, blocks)?;
                (Kind::Groups(groups, sent), outcome, of_one())
            }
            (None, _) => {
                let tiled = Staged::send((device, pool), parameters)?;
                let staged =
                    Staged::new(samples, plan).ok_or_else(|| device.too_large(shape.d, shape.k))?;
                let segments = (0..blocks).map(|b| staged.segments(b)).sum();
                let outcome = staged.outcome((device, pool), blocks, segments)?;
                let kind = Kind::Staged(plan, tiled, parameters.whitens());
                (kind, outcome, of_one())
            }
        };
        Ok(Self {
            kind,
            shape,
            outcome,
            owners,
        })
    }

    /// The parameters as the stages read them.
    pub fn parameters(&self) -> Vec<&wgpu::Buffer> {
        match &self.kind {
            Kind::Blocks(_, _, packed) => vec![packed],
            Kind::Groups(_, sent) => sent.buffers().to_vec(),
            Kind::Staged(_, tiled, _) => vec![tiled],
        }
    }

    /// What sums the blocks at hand.
    pub fn passes(
        &self,
        (device, pool): (&Device, &mut Pool),
        samples: &AtHand<'_>,
    ) -> Result<Passes, BackendError> {
        let groups = samples.groups(usize::MAX, |_| true);
        let place = |group: &[usize]| samples.place(group[0]).0;
        let rows =
            |group: &[usize]| -> Vec<(usize, usize)> { group.iter().map(|&b| (b, b)).collect() };
        let mut all = Vec::new();
        match &self.kind {
            Kind::Blocks(how, models, parameters) => {
                let per_block = samples
                    .layout
                    .blocks
                    .rows_per_block()
                    .div_ceil(how.part_rows);
                let lists: Vec<(usize, Vec<Block>)> = groups
                    .iter()
                    .map(|group| {
                        let entries = group
                            .iter()
                            .flat_map(|&b| {
                                let parts = statistics_registers::parts(samples, *how, b);
                                parts.enumerate().map(move |(part, row)| (b, part, row))
                            })
                            .flat_map(|(b, part, row)| (0..*models).map(move |m| (b, part, row, m)))
                            .map(|(b, part, row, m)| {
                                let partial = (b * per_block + part) * models + m;
                                let entry = (b, row, m);
                                statistics_registers::block(samples, *how, entry, partial as u32)
                            });
                        (place(group), entries.collect())
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
                return Ok((dispatches, Some((ranges, lists.len()))));
            }
            Kind::Groups(groups_of, sent) => {
                for group in &groups {
                    let how = (*groups_of, self.shape, sent);
                    let (to, rows) = (&self.outcome, rows(group));
                    all.extend(groups::dispatches((device, pool), samples, how, to, &rows)?);
                }
            }
            Kind::Staged(plan, tiled, whitens) => {
                let staged = Staged::new(samples, plan)
                    .ok_or_else(|| device.too_large(self.shape.d, self.shape.k))?;
                for group in &groups {
                    let before = group[0] * staged.segments(0);
                    let model = (self.shape, tiled, *whitens);
                    let (to, rows) = (&self.outcome, rows(group));
                    all.extend(staged.dispatches((device, pool), model, to, &rows, before)?);
                }
            }
        }
        Ok((all, None))
    }

    /// How the last pass counts.
    pub fn fold<'f>(&self) -> Fold<'f> {
        self.outcome.fold(self.owners.clone())
    }
}
