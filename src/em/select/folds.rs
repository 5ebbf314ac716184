//! Cross-validation: the log-likelihood of rows that a mixture was not fitted to.

use std::ops::ControlFlow;

use serde::Serialize;

use super::super::FitError;
use super::super::engine::Engine;
use super::super::init::Start;
use super::super::maximise::Past;
use super::super::options::Options;
use super::super::run::{self, Run};
use super::super::warm::cold;
use crate::backend::{BlockMask, Components, MaskedModel, SummationBlocks};
use crate::data::{Samples, Standardisation};

/// Below so many blocks a fold the parts would be too unequal.
const BLOCKS_PER_FOLD: usize = 4;

/// A score on held-out rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// Mean log-likelihood over all rows, each under the mixture that was fitted without it; nats, data's units.
    pub mean_log_likelihood: f64,
    /// Its standard error, from how the folds differ.
    pub standard_error: f64,
}

/// The parts that are held out, one after the other.
pub(super) enum Folds {
    /// Whole summation blocks of the samples, which are in random order: (fitted, held out).
    Blocks(Vec<[BlockMask; 2]>),
    /// Few rows: copies of them.
    Rows(Vec<[Samples; 2]>),
}

impl Folds {
    pub(super) fn new(samples: &Samples, blocks: SummationBlocks, folds: usize) -> Self {
        let is_held = |i: usize, fold: usize| i % folds == fold;
        if blocks.len() >= BLOCKS_PER_FOLD * folds {
            let masks = |fold| {
                [false, true].map(|held| BlockMask::new(blocks, |b| is_held(b, fold) == held))
            };
            return Self::Blocks((0..folds).map(masks).collect());
        }
        let parts = |fold| {
            [false, true].map(|held| {
                let rows: Vec<usize> = (0..samples.len())
                    .filter(|&i| is_held(i, fold) == held)
                    .collect();
                samples.subset(&rows)
            })
        };
        // A fold without rows says nothing.
        let folds = folds.min(samples.len());
        Self::Rows(if folds > 1 {
            (0..folds).map(parts).collect()
        } else {
            Vec::new()
        })
    }

    /// Fits each mixture, from where it stands, to all but one part and scores that part, for each part. `None`
    /// for a mixture that some part's rest does not bear.
    pub(super) fn score(
        &self,
        engine: &Engine<'_>,
        map: &Standardisation,
        options: &[Options],
        fitted: &[Option<&Components>],
    ) -> Result<Vec<Option<HeldOut>>, FitError> {
        let parts = match self {
            Self::Blocks(masks) => masks.len(),
            Self::Rows(parts) => parts.len(),
        };
        let present = || (0..fitted.len()).filter(|&k| fitted[k].is_some());
        // By mixture, then by part.
        let mut scores: Vec<Vec<Score>> = vec![Vec::new(); fitted.len()];
        let mut file = |models: &[usize], found: Vec<Option<Score>>| {
            for (&k, score) in models.iter().zip(found) {
                scores[k].extend(score);
            }
        };
        match self {
            Self::Blocks(masks) => {
                let mut engine = engine.beside(engine.samples())?;
                let tasks: Vec<Task<'_>> = present()
                    .flat_map(|k| masks.iter().map(move |masks| (k, masks)))
                    .filter_map(|(k, masks)| task(k, fitted, options, Some(masks)))
                    .collect();
                let models: Vec<usize> = tasks.iter().map(|task| task.model).collect();
                let runs = fit(&mut engine, map, &tasks)?;
                file(&models, score(&mut engine, map, &tasks, runs)?);
            }
            Self::Rows(parts) => {
                for [rest, held] in parts {
                    let tasks: Vec<Task<'_>> = present()
                        .filter_map(|k| task(k, fitted, options, None))
                        .collect();
                    let models: Vec<usize> = tasks.iter().map(|task| task.model).collect();
                    let runs = fit(&mut engine.beside(rest)?, map, &tasks)?;
                    file(
                        &models,
                        score(&mut engine.beside(held)?, map, &tasks, runs)?,
                    );
                }
            }
        }
        let complete =
            |scores: Vec<Score>| (parts > 1 && scores.len() == parts).then(|| HeldOut::of(&scores));
        Ok(scores.into_iter().map(complete).collect())
    }
}

/// A part's log-likelihood and weight.
#[derive(Clone, Copy, Debug)]
struct Score {
    log_likelihood: f64,
    weight: f64,
}

impl HeldOut {
    fn of(scores: &[Score]) -> Self {
        let weight: f64 = scores.iter().map(|s| s.weight).sum();
        let mean = scores.iter().map(|s| s.log_likelihood).sum::<f64>() / weight;
        let squares: f64 = scores
            .iter()
            .map(|s| (s.log_likelihood / s.weight - mean).powi(2))
            .sum();
        let parts = scores.len() as f64;
        Self {
            mean_log_likelihood: mean,
            standard_error: (squares / (parts * (parts - 1.0))).sqrt(),
        }
    }
}

/// A mixture to be fitted without a part and scored on it.
struct Task<'a> {
    model: usize,
    start: &'a Components,
    options: &'a Options,
    masks: Option<&'a [BlockMask; 2]>,
}

fn task<'a>(
    model: usize,
    fitted: &[Option<&'a Components>],
    options: &'a [Options],
    masks: Option<&'a [BlockMask; 2]>,
) -> Option<Task<'a>> {
    fitted[model].map(|start| Task {
        model,
        start,
        options: &options[model],
        masks,
    })
}

/// The parameters of each task without its part; `None` where they cannot be found.
fn fit(
    engine: &mut Engine<'_>,
    map: &Standardisation,
    tasks: &[Task<'_>],
) -> Result<Vec<Option<Components>>, FitError> {
    let mut runs: Vec<Option<Run<'_>>> = tasks
        .iter()
        .map(|task| {
            let start = Start::at(task.start.clone(), Past::default());
            let mask = task.masks.map(|[rest, _]| rest);
            let acceleration = cold(task.options, engine.samples(), false);
            Run::begin(start, acceleration, engine, map, task.options, mask).ok()
        })
        .collect();
    let mut live: Vec<&mut Run<'_>> = runs.iter_mut().flatten().collect();
    run::advance(engine, &mut live, &mut |_, _| ControlFlow::Continue(()))?;
    let components = |run: Run<'_>| run.failure.is_none().then_some(run.components);
    Ok(runs
        .into_iter()
        .map(|run| run.and_then(components))
        .collect())
}

/// The score of each task's part, in one pass over the rows.
fn score(
    engine: &mut Engine<'_>,
    map: &Standardisation,
    tasks: &[Task<'_>],
    mut fitted: Vec<Option<Components>>,
) -> Result<Vec<Option<Score>>, FitError> {
    for components in &mut fitted {
        if let Some(admitted) = components
            && engine.admit(admitted, 0).is_err()
        {
            *components = None;
        }
    }
    let models: Vec<MaskedModel<'_>> = tasks
        .iter()
        .zip(&fitted)
        .filter_map(|(task, components)| {
            let mask = task.masks.map(|[_, held]| held);
            components
                .as_ref()
                .map(|components| MaskedModel { components, mask })
        })
        .collect();
    let mut all = engine.statistics(&models, 0)?.into_iter();
    let score = |components: &Option<Components>| {
        components.as_ref()?;
        let statistics = all.next()?;
        Some(Score {
            log_likelihood: statistics.log_likelihood + map.log_determinant() * statistics.weight,
            weight: statistics.weight,
        })
    };
    Ok(fitted.iter().map(score).collect())
}
