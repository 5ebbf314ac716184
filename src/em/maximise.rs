//! From statistics to the next parameters: the update rule's step, then repairs where a component collapsed.

use std::ops::Range;

use super::collapse::Floor;
use super::events::{Event, EventKind};
use super::init::Start;
use super::options::Options;
use super::prior::Prior;
use super::update::{self, Rules, Step};
use crate::backend::{Components, Statistics};
use crate::data::{Samples, Standardisation};
use crate::mixture::{CovarianceType, triangle};

/// How often a component that collapses again is started anew before it is kept at the floor.
const RESEEDS: usize = 2;

/// The M-step of a fit, with its memory of repairs.
pub(super) struct Maximisation {
    total_weight: f64,
    floor: Floor,
    rules: Rules,
    parity: bool,
    reseeds: usize,
    repairs: Vec<Repairs>,
}

/// The repairs that a fit goes on from.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// What is to be told of them.
    pub(super) events: Vec<Event>,
    /// What they leave to be done, a component each; empty where that is everything.
    pub(super) repairs: Vec<Repairs>,
}

/// What was done to a component so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repairs {
    floored: bool,
    reseeded: usize,
    settled: bool,
}

/// The next parameters and how they came to be.
pub(super) struct Update {
    /// The parameters, not yet rounded to the device.
    pub(super) components: Components,
    /// The step's squared length in nats ([`update::squared_length`]).
    pub(super) squared_length: f64,
    /// Components that are to start anew on badly explained rows.
    pub(super) reseed: Vec<usize>,
    /// Whether anything but a plain step was done.
    pub(super) repaired: bool,
    /// Whether a covariance is at the floor, which an unconstrained step would leave again.
    pub(super) at_floor: bool,
}

impl Maximisation {
    pub(super) fn new(samples: &Samples, map: &Standardisation, options: &Options) -> Self {
        let d = map.n_features();
        let ridge =
            (options.reg_covar > 0.0).then(|| map.factor_of_diagonal(&vec![options.reg_covar; d]));
        Self {
            total_weight: samples.total_weight(),
            floor: Floor::new(map.floor_factor(), d),
            rules: Rules {
                ridge,
                prior: options.prior.then(|| Prior::of(samples, map, options)),
                freeze: options.freeze.clone(),
            },
            // What is frozen cannot start anew.
            reseeds: if options.freeze.is_any() { 0 } else { RESEEDS },
            parity: options.is_parity(),
            repairs: vec![Repairs::default(); options.n_components],
        }
    }

    /// Whether steps are maximum likelihood's, but for repairs.
    pub(super) fn is_plain(&self) -> bool {
        let Rules {
            ridge,
            prior,
            freeze,
        } = &self.rules;
        ridge.is_none() && prior.is_none() && !freeze.is_any()
    }

    /// Whether no covariance is below the floor.
    pub(super) fn is_sound(&self, components: &Components) -> bool {
        distinct(components).all(|k| !self.floor.is_below(&components.factor(k)))
    }

    /// The components whose covariance is at the floor.
    pub(super) fn floored(&self, components: &Components) -> impl Iterator<Item = usize> {
        distinct(components).filter(|&k| self.floor.is_reached(&components.factor(k)))
    }

    /// Goes on from repairs that were done before.
    pub(super) fn remember(&mut self, repairs: &[Repairs]) {
        if !repairs.is_empty() {
            self.repairs = repairs.to_vec();
        }
    }

    /// What was done to each component so far.
    pub(super) fn repairs(&self) -> &[Repairs] {
        &self.repairs
    }

    /// Takes the start's steps; a covariance that does not exist becomes the floor's.
    pub(super) fn begin(&mut self, mut start: Start, events: &mut Vec<Event>) -> Update {
        let weights = start.components.weights.clone();
        self.widen(&mut start);
        self.take(&start.components, weights, start.steps, 0, events)
    }

    /// Under a prior, a start's covariances are widened as it will widen them: no start collapses.
    fn widen(&self, start: &mut Start) {
        let Some(prior) = &self.rules.prior else {
            return;
        };
        let tied = start.components.covariance_type == CovarianceType::Tied;
        for (step, weight) in start.steps.iter_mut().zip(&start.components.weights) {
            if let Some(step) = step {
                let rows = self.total_weight * if tied { 1.0 } else { *weight };
                for (c, scale) in step.covariance.iter_mut().zip(&prior.scale) {
                    *c += scale / (rows + 1.0);
                }
            }
        }
    }

    /// The parameters after one iteration.
    pub(super) fn update(
        &mut self,
        components: &Components,
        statistics: &Statistics,
        iteration: usize,
        events: &mut Vec<Event>,
    ) -> Update {
        let steps = update::steps(components, statistics, &self.rules);
        let total: f64 = statistics.s0.iter().sum();
        let shares: Vec<f64> = statistics.s0.iter().map(|s0| s0 / total).collect();
        let weights = self.rules.freeze.weights(&shares, &components.weights);
        self.take(components, weights, steps, iteration, events)
    }

    fn take(
        &mut self,
        old: &Components,
        weights: Vec<f64>,
        mut steps: Vec<Option<Step>>,
        iteration: usize,
        events: &mut Vec<Event>,
    ) -> Update {
        let d = old.n_features;
        let mut components = old.clone();
        components.weights.clone_from(&weights);
        let before = events.len();
        let mut reseed = Vec::new();
        let tied = old.covariance_type == CovarianceType::Tied;
        let mut at_floor = false;
        let mut shared: Option<Vec<f64>> = None;
        for (k, step) in steps.iter_mut().enumerate() {
            let mut event = |kind, reason: String| {
                events.push(Event {
                    iteration,
                    component: Some(k),
                    kind,
                    reason,
                });
            };
            let frozen = self.rules.freeze.covariance(k);
            let Some(step) = step else {
                if frozen {
                    continue;
                }
                // A component without samples keeps its shape; without weight it stays out of the sums.
                components.weights[k] = 0.0;
                if !self.parity && self.repairs[k].reseeded < self.reseeds {
                    self.repairs[k].reseeded += 1;
                    reseed.push(k);
                } else if !self.repairs[k].settled {
                    self.repairs[k].settled = true;
                    event(
                        EventKind::Kept,
                        "no samples are left to it; it stays as it is".to_owned(),
                    );
                }
                continue;
            };
            let new_mean: Vec<f64> = old
                .solve_factor(k, &step.mean)
                .iter()
                .zip(old.mean(k))
                .map(|(m, mean)| mean + m)
                .collect();
            if let (true, Some(factor)) = (tied, &shared) {
                components.means[k * d..(k + 1) * d].copy_from_slice(&new_mean);
                components.set_factor(k, factor);
                continue;
            }
            if frozen {
                components.means[k * d..(k + 1) * d].copy_from_slice(&new_mean);
                continue;
            }
            let plain = triangle::cholesky(&step.covariance, d)
                .ok()
                .map(|g| triangle::solve_triangle(&g, &old.factor(k), d))
                .filter(|u| u.iter().all(|x| x.is_finite()));
            let factor = match plain {
                Some(factor) if self.parity || !self.floor.is_below(&factor) => Some(factor),
                None if self.parity => None,
                _ => {
                    let repairs = &mut self.repairs[k];
                    if repairs.floored && repairs.reseeded < self.reseeds && !tied {
                        repairs.reseeded += 1;
                        reseed.push(k);
                    } else if !repairs.settled {
                        let first = !repairs.floored;
                        repairs.floored = true;
                        repairs.settled = tied || repairs.reseeded == self.reseeds;
                        event(EventKind::Floored, floored_reason(first, repairs.settled));
                    }
                    at_floor = true;
                    let raised = self.floor.raise(&step.covariance, &old.factor(k));
                    raised.map(|g| {
                        step.covariance = triangle::square(&g, d);
                        triangle::solve_triangle(&g, &old.factor(k), d)
                    })
                }
            };
            match factor {
                Some(factor) => {
                    components.means[k * d..(k + 1) * d].copy_from_slice(&new_mean);
                    components.set_factor(k, &factor);
                    shared = Some(factor);
                }
                None if !self.repairs[k].settled => {
                    self.repairs[k].settled = true;
                    event(
                        EventKind::Kept,
                        "its covariance has no Cholesky factor; mean and covariance stay as they are"
                            .to_owned(),
                    );
                }
                None => {}
            }
        }
        let squared_length = update::squared_length(&old.weights, &weights, &steps, d);
        let repaired = events.len() > before || !reseed.is_empty();
        Update {
            components,
            squared_length,
            reseed,
            repaired,
            at_floor,
        }
    }
}

/// The Gaussians with covariances of their own.
fn distinct(components: &Components) -> Range<usize> {
    match components.covariance_type {
        CovarianceType::Tied => 0..1,
        _ => 0..components.gaussians(),
    }
}

fn floored_reason(first: bool, settled: bool) -> String {
    let again = if first { "" } else { " again" };
    let stays = if settled { " and stays there" } else { "" };
    format!(
        "its covariance collapsed{again} onto too few distinct points; raised to the floor{stays}"
    )
}
