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
    let drawn: Vec<Option<Start>> = going
        .par_iter()
        .map(|going| {
            let draw = || init::start(source, map, options, going.number);
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
