//! Restarts: several starts against each other on small random subsamples, most of them dropped early.
//!
//! Successive halving (Jamieson & Talwalkar 2016) with a factor of four: all starts run on the first n rows of a
//! random order, a quarter of them goes on with four times as many, the best of these is fitted to all rows.
//! All that still run share each pass over the rows.

use std::ops::ControlFlow;

use rand::seq::index;
use serde::Serialize;

use super::engine::Engine;
use super::init::{self, Start, Stream, generator};
use super::options::Options;
use super::run::{self, Run};
use super::{FitError, Stage};
use crate::backend::Components;
use crate::data::{Samples, Standardisation};

/// Rows of the first stage: so many a parameter, and at least so many.
const ROWS_PER_PARAMETER: usize = 20;
const ROWS: usize = 1000;
/// How many times more rows, and fewer starts, the next stage has.
const FACTOR: usize = 4;
/// The most iterations of each stage.
const ITERATIONS: [usize; 2] = [100, 200];
/// A stage's model has converged when its remaining gain is this share of P/(2n), what n rows can tell at all,
/// or this many nats a sample where rows are few.
const RESOLUTION: f64 = 0.01;
const COARSE_TOL: f64 = 1e-4;
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

/// The outcome of a race.
pub(super) struct Race {
    winner: Components,
    /// What the stages did.
    pub(super) stages: Vec<Stage>,
    /// How the starts compare.
    pub(super) restarts: Restarts,
}

impl Race {
    /// The best start's parameters, to go on from.
    pub(super) fn winner(&self) -> Start {
        Start {
            components: self.winner.clone(),
            steps: Vec::new(),
        }
    }
}

/// Runs `restarts` starts against each other.
pub(super) fn race(
    engine: &Engine<'_>,
    map: &Standardisation,
    options: &Options,
) -> Result<Race, FitError> {
    let samples = engine.samples();
    let (k, d) = (options.n_components, samples.n_features());
    let parameters = options.covariance_type.n_parameters(k, d);
    let first = ROWS.max(ROWS_PER_PARAMETER * parameters);
    let rows = shuffled(samples, first.saturating_mul(FACTOR), options.seed);
    let starts = (0..options.restarts).map(|number| (number, None)).collect();
    let stage = |n: usize, max_iter, going| {
        let subsample = samples.subset(&rows[..n.min(rows.len())]);
        let resolution = parameters as f64 / (2.0 * subsample.len() as f64);
        let tol = (RESOLUTION * resolution).min(COARSE_TOL);
        let options = Options {
            max_iter,
            tol,
            strict: false,
            ..options.clone()
        };
        let mut engine = engine.beside(&subsample)?;
        let ended = run_all(&mut engine, map, &options, going)?;
        let stage = Stage {
            rows: subsample.len(),
            iterations: ended.iter().map(|r| r.iterations).max().unwrap_or(0),
            passes: engine.passes * subsample.len() as f64 / samples.len() as f64,
        };
        Ok::<_, FitError>((ended, stage, tol))
    };
    let (ended, first_stage, tol) = stage(first, ITERATIONS[0], starts)?;
    let mut mean_log_likelihoods = vec![None; options.restarts];
    for run in &ended {
        mean_log_likelihoods[run.start] = Some(run.mean_log_likelihood);
    }
    let best = ended[0].mean_log_likelihood;
    let reached = |run: &&Ended| run.mean_log_likelihood >= best - SAME * tol;
    let reached_best = ended.iter().filter(reached).count();
    let survivors = ended
        .into_iter()
        .take(options.restarts.div_ceil(FACTOR))
        .map(|run| (run.start, Some(run.components)))
        .collect();
    let (mut ended, second_stage, _) = stage(FACTOR * first, ITERATIONS[1], survivors)?;
    let winner = ended.swap_remove(0);
    Ok(Race {
        winner: winner.components,
        stages: vec![first_stage, second_stage],
        restarts: Restarts {
            starts: options.restarts,
            best: winner.start,
            mean_log_likelihoods,
            reached_best,
        },
    })
}

/// A start at the end of a stage.
struct Ended {
    start: usize,
    iterations: usize,
    mean_log_likelihood: f64,
    components: Components,
}

/// Plain EM of all starts side by side, best result first; starts without parameters are drawn first. One that
/// fails is left out; if all do, the first one's reason stands for all.
fn run_all(
    engine: &mut Engine<'_>,
    map: &Standardisation,
    options: &Options,
    going: Vec<(usize, Option<Components>)>,
) -> Result<Vec<Ended>, FitError> {
    let mut numbers = Vec::new();
    let mut runs = Vec::new();
    let mut failure = None;
    for (number, components) in going {
        let start = match components {
            Some(components) => Start {
                components,
                steps: Vec::new(),
            },
            None => init::start(engine.samples(), map, options, number),
        };
        match Run::begin(start, engine, map, options, None) {
            Ok(run) => {
                numbers.push(number);
                runs.push(run);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    run::advance(engine, &mut runs, &mut |_, _| ControlFlow::Continue(()))?;
    let mut ended = Vec::new();
    for (start, run) in numbers.into_iter().zip(runs) {
        match run.failure {
            Some(error) => failure = failure.or(Some(error)),
            None => ended.push(Ended {
                start,
                iterations: run.iterations(),
                mean_log_likelihood: run.mean_log_likelihood(),
                components: run.components,
            }),
        }
    }
    // Of equals the first start.
    ended.sort_by(|a, b| b.mean_log_likelihood.total_cmp(&a.mean_log_likelihood));
    match failure {
        Some(error) if ended.is_empty() => Err(error),
        _ => Ok(ended),
    }
}

/// At most `most` rows of positive weight in a random order: a prefix of it is a random subsample.
pub(super) fn shuffled(samples: &Samples, most: usize, seed: u64) -> Vec<usize> {
    let mut rng = generator(seed, Stream::Shuffle);
    let candidates: Option<Vec<usize>> = samples
        .weights()
        .map(|w| (0..w.len()).filter(|&i| w[i] > 0.0).collect());
    let n = candidates.as_ref().map_or(samples.len(), Vec::len);
    let mut rows = index::sample(&mut rng, n, most.min(n)).into_vec();
    if let Some(candidates) = candidates {
        rows.iter_mut().for_each(|i| *i = candidates[*i]);
    }
    rows
}
