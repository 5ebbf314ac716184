//! Starts that run side by side over the same rows, and how they compare.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::Serialize;

use super::FitError;
use super::accelerate::{Acceleration, Look, Stop};
use super::engine::Engine;
use super::init::{self, Start};
use super::maximise::Past;
use super::options::Options;
use super::run::{self, Run};
use crate::backend::Components;
use crate::data::{Samples, Standardisation};

/// Starts whose log-likelihoods differ by no more than this many tolerances found the same maximum.
const SAME: f64 = 10.0;
/// And whose components are within so many deviations of each other, and within that share in weight, are on their way to
/// it.
const BESIDE: f64 = 0.1;

/// How the starts of a fit compare.
#[derive(Clone, Debug, Serialize)]
pub struct Restarts {
    /// How many.
    pub starts: usize,
    /// The winner's number, from 0.
    pub best: usize,
    /// Mean log-likelihood of each start at the end of its first stage, nats, in the data's units; null where a
    /// start failed.
    pub mean_log_likelihoods: Vec<Option<f64>>,
    /// How many of them found the best maximum there.
    pub reached_best: usize,
}

/// A start on its way from stage to stage.
pub(super) struct Going {
    pub(super) number: usize,
    /// Its parameters, once it has any.
    pub(super) components: Option<Components>,
    /// What was repaired on the way to them.
    pub(super) past: Past,
    pub(super) acceleration: Option<Acceleration>,
}

impl Going {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            components: None,
            past: Past::default(),
            acceleration: None,
        }
    }

    /// Goes on over other rows; once it has ended, with a look at the curvature.
    pub(super) fn accelerate(&mut self, stop: Stop, look: Look) {
        let acceleration = match self.acceleration.take() {
            Some(acceleration) => acceleration.over_other_rows(stop),
            None => Acceleration::new(stop),
        };
        self.acceleration = Some(acceleration.with(look));
    }
}

/// A start at the end of a stage.
pub(super) struct Ended {
    pub(super) going: Going,
    pub(super) iterations: usize,
    mean_log_likelihood: f64,
}

/// Runs all starts side by side, best result first; starts without parameters are first drawn from `source`, for which
/// it says the time. One that fails is left out; if all do, the first one's reason stands for all. `same_rows`: what
/// goes on from their end does so on these very rows.
pub(super) fn run_all(
    engine: &mut Engine<'_>,
    source: &Samples,
    same_rows: bool,
    map: &Standardisation,
    options: &Options,
    going: Vec<Going>,
) -> Result<(Vec<Ended>, Duration), FitError> {
    let started = Instant::now();
    let device = engine.device();
    let drawn: Vec<Option<Start>> = going
        .par_iter()
        .map(|going| {
            let draw = || init::start(source, map, options, going.number, device);
            going.components.is_none().then(draw)
        })
        .collect();
    let drawing = started.elapsed();
    let mut numbers = Vec::new();
    let mut runs = Vec::new();
    let mut failure = None;
    for (going, drawn) in going.into_iter().zip(drawn) {
        let given = going
            .components
            .map(|components| Start::at(components, going.past));
        // One of the two is there.
        let Some(start) = given.or(drawn) else {
            continue;
        };
        match Run::begin(start, going.acceleration, engine, map, options, None) {
            Ok(run) => {
                numbers.push(going.number);
                runs.push(run);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    run::advance(engine, &mut runs, &mut |_, _| ControlFlow::Continue(()))?;
    let mut ended = Vec::new();
    for (number, mut run) in numbers.into_iter().zip(runs) {
        match run.failure.take() {
            Some(error) => failure = failure.or(Some(error)),
            None => ended.push(Ended {
                iterations: run.iterations(),
                mean_log_likelihood: run.mean_log_likelihood(),
                going: Going {
                    number,
                    components: Some(run.components.clone()),
                    past: at_the_start(run.past(same_rows)),
                    acceleration: run.into_acceleration(),
                },
            }),
        }
    }
    // Of equals the first start.
    ended.sort_by(|a, b| b.mean_log_likelihood.total_cmp(&a.mean_log_likelihood));
    match failure {
        Some(error) if ended.is_empty() => Err(error),
        _ => Ok((ended, drawing)),
    }
}

/// A past whose events come before the first iteration of a fit, the first of each kind.
fn at_the_start(mut past: Past) -> Past {
    let mut seen = HashSet::new();
    past.events
        .retain(|event| seen.insert((event.component, event.kind)));
    past.events.iter_mut().for_each(|event| event.iteration = 0);
    past
}

/// The starts that go on, best first: of those on the way to the same maximum the best.
pub(super) fn distinct(ended: Vec<Ended>, tol: f64) -> Vec<Going> {
    let mut distinct: Vec<Ended> = Vec::new();
    for start in ended {
        if !distinct.iter().any(|other| start.joins(other, tol)) {
            distinct.push(start);
        }
    }
    distinct.into_iter().map(|start| start.going).collect()
}

impl Ended {
    /// Whether it is on the way to the maximum that a better one has reached: as likely, and each of its components beside one
    /// of the other's.
    fn joins(&self, better: &Self, tol: f64) -> bool {
        let (Some(own), Some(other)) = (&self.going.components, &better.going.components) else {
            return false;
        };
        self.mean_log_likelihood >= better.mean_log_likelihood - SAME * tol
            && are_beside(other, own)
    }
}

/// Whether each of the ones can be paired with one of the others whose mean is within [`BESIDE`] deviations, and whose weight
/// and factor are within that share.
fn are_beside(ones: &Components, others: &Components) -> bool {
    let pair = |a: usize, b: usize| {
        let apart = ones.mean(a).iter().zip(others.mean(b));
        let apart: Vec<f64> = apart.map(|(x, y)| y - x).collect();
        let factors = ones.kept_factor(a).iter().zip(others.kept_factor(b));
        let (mut turned, mut size) = (0.0, 0.0);
        for (x, y) in factors {
            turned += (x - y) * (x - y);
            size += x * x;
        }
        let near = BESIDE * BESIDE;
        square(&ones.apply_factor(a, &apart)) <= near * apart.len() as f64
            && turned <= near * size
            && (ones.weights[a] - others.weights[b]).abs() <= BESIDE * ones.weights[a]
    };
    let mut taken = vec![false; others.len()];
    ones.len() == others.len()
        && (0..ones.len()).all(|a| {
            let partner = (0..others.len()).find(|&b| !taken[b] && pair(a, b));
            partner.is_some_and(|b| !std::mem::replace(&mut taken[b], true))
        })
}

fn square(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum()
}

/// How starts compare that ended a stage, best first; those within a few tolerances of the best found its maximum.
pub(super) fn compare(ended: &[Ended], starts: usize, tol: f64) -> Restarts {
    let mut mean_log_likelihoods = vec![None; starts];
    for start in ended {
        mean_log_likelihoods[start.going.number] = Some(start.mean_log_likelihood);
    }
    let best = ended[0].mean_log_likelihood;
    let reached = |start: &&Ended| start.mean_log_likelihood >= best - SAME * tol;
    Restarts {
        starts,
        best: ended[0].going.number,
        mean_log_likelihoods,
        reached_best: ended.iter().filter(reached).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::chart::tests::components;
    use super::*;
    use crate::mixture::CovarianceType;

    fn ended(number: usize, components: Components, mean_log_likelihood: f64) -> Ended {
        Ended {
            going: Going {
                components: Some(components),
                ..Going::new(number)
            },
            iterations: 1,
            mean_log_likelihood,
        }
    }

    /// The same in another order.
    fn turned(mut components: Components) -> Components {
        components.weights.rotate_left(1);
        components.means.rotate_left(3);
        components.factors.rotate_left(6);
        components
    }

    #[test]
    fn of_starts_on_the_way_to_one_maximum_the_best_goes_on() {
        let first = components(CovarianceType::Full, false, 2);
        let moved = |step: f64| {
            let mut components = turned(first.clone());
            // A hundredth of a deviation or so, and more of them.
            components.means.iter_mut().for_each(|x| *x += step);
            components
        };
        let mut heavier = first.clone();
        heavier.weights = vec![0.4, 0.4, 0.2];
        let all = vec![
            ended(3, first.clone(), -1.0),
            ended(0, moved(0.01), -1.000_01),
            ended(4, heavier, -1.000_02),
            ended(1, moved(0.5), -1.000_03),
            ended(2, moved(0.01), -1.1),
        ];
        let numbers: Vec<usize> = distinct(all, 1e-4).iter().map(|g| g.number).collect();
        assert_eq!(numbers, [3, 4, 1, 2]);
    }

    #[test]
    fn a_component_has_one_partner() {
        let mut double = components(CovarianceType::Diag, true, 5);
        assert!(are_beside(&double, &double));
        let single = double.clone();
        double.means.copy_within(0..3, 3);
        double.factors.copy_within(0..3, 3);
        double.weights[1] = double.weights[0];
        assert!(!are_beside(&double, &single) && !are_beside(&single, &double));
    }
}
