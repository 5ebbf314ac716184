//! One mixture on its way: everything between two evaluations of the samples.

use std::borrow::BorrowMut;
use std::ops::ControlFlow;

use super::convergence::{self, Convergence};
use super::engine::Engine;
use super::events::Event;
use super::init::Start;
use super::maximise::{Maximisation, Update};
use super::options::{Init, Options};
use super::race::Race;
use super::reseed;
use super::{Fit, FitError, Stage, Times};
use crate::backend::{BlockMask, Components, DeviceInfo, MaskedModel, Statistics};
use crate::data::Standardisation;
use crate::mixture::{Criteria, Noise};

/// Why a run takes no more steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The estimated gain still to be had fell below `tol`.
    Converged,
    /// `max_iter` iterations are done.
    OutOfIterations,
    /// The observer ended it.
    Interrupted,
    /// It cannot go on: `failure` says why.
    Failed,
}

/// The state of a fit between iterations.
pub(super) struct Run<'a> {
    map: &'a Standardisation,
    options: &'a Options,
    mask: Option<&'a BlockMask>,
    maximisation: Maximisation,
    convergence: Convergence,
    /// The parameters that stand, rounded to the device.
    pub(super) components: Components,
    /// Mean log-likelihoods after 0, 1, … iterations, in the data's units.
    pub(super) trace: Vec<f64>,
    /// What happened to components.
    pub(super) events: Vec<Event>,
    /// How it ended, once it has.
    pub(super) ending: Option<Ending>,
    /// The statistics of the parameters that stand, once it has ended.
    pub(super) statistics: Option<Statistics>,
    /// Why it cannot go on.
    pub(super) failure: Option<FitError>,
}

impl<'a> Run<'a> {
    /// A run over the rows of the engine that `mask` chooses.
    pub(super) fn begin(
        start: Start,
        engine: &mut Engine<'_>,
        map: &'a Standardisation,
        options: &'a Options,
        mask: Option<&'a BlockMask>,
    ) -> Result<Self, FitError> {
        let mut run = Self {
            map,
            options,
            mask,
            maximisation: Maximisation::new(engine.samples(), map, options),
            convergence: Convergence::new(options.tol),
            components: start.components.clone(),
            trace: Vec::new(),
            events: Vec::new(),
            ending: None,
            statistics: None,
            failure: None,
        };
        if !start.steps.is_empty() {
            let update = run.maximisation.begin(start, &mut run.events);
            run.components = run.repaired(engine, update, 0)?;
        }
        engine.admit(&mut run.components, 0)?;
        Ok(run)
    }

    /// What is to be evaluated next.
    pub(super) fn model(&self) -> MaskedModel<'_> {
        MaskedModel {
            components: &self.components,
            mask: self.mask,
        }
    }

    /// Iterations so far.
    pub(super) fn iterations(&self) -> usize {
        self.trace.len().saturating_sub(1)
    }

    /// The mean log-likelihood of the parameters that stand.
    pub(super) fn mean_log_likelihood(&self) -> f64 {
        self.trace.last().copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// Takes the statistics of the parameters that stand, and goes on to the next or ends.
    pub(super) fn take(
        &mut self,
        statistics: Statistics,
        engine: &mut Engine<'_>,
    ) -> Result<(), FitError> {
        let iteration = self.trace.len();
        self.trace.push(self.restore(&statistics));
        if iteration >= self.options.max_iter {
            self.end(Ending::OutOfIterations, statistics);
            return Ok(());
        }
        let next = iteration + 1;
        let update =
            self.maximisation
                .update(&self.components, &statistics, next, &mut self.events);
        if update.repaired {
            self.convergence.restart();
        } else {
            let noise = || convergence::noise(engine.precision(), &self.components);
            if self.convergence.step(update.squared_length, noise) {
                self.end(Ending::Converged, statistics);
                return Ok(());
            }
        }
        let precision = engine.precision();
        let mut components = self.repaired(engine, update, next)?;
        engine.admit(&mut components, next)?;
        if engine.precision() != precision {
            self.convergence.restart();
        }
        self.components = components;
        Ok(())
    }

    /// Takes the statistics of the parameters that stand and ends there.
    pub(super) fn interrupt(&mut self, statistics: Statistics) {
        self.trace.push(self.restore(&statistics));
        self.end(Ending::Interrupted, statistics);
    }

    fn end(&mut self, ending: Ending, statistics: Statistics) {
        self.ending = Some(ending);
        self.statistics = Some(statistics);
    }

    /// Mean log-likelihood in the data's units.
    pub(super) fn restore(&self, statistics: &Statistics) -> f64 {
        statistics.mean_log_likelihood() + self.map.log_determinant()
    }

    /// The update's parameters, with components started anew where it asks for it.
    fn repaired(
        &mut self,
        engine: &mut Engine<'_>,
        update: Update,
        iteration: usize,
    ) -> Result<Components, FitError> {
        let mut components = update.components;
        if !update.reseed.is_empty() {
            let mut evaluated = self.components.clone();
            evaluated.round_to(engine.precision());
            reseed::reseed(
                engine,
                self.mask,
                self.map,
                self.options,
                &evaluated,
                &mut components,
                &update.reseed,
                iteration,
                &mut self.events,
            )?;
        }
        match self.events.iter().find(|event| event.kind.is_repair()) {
            Some(event) if self.options.strict => Err(FitError::Repair(event.clone())),
            _ => Ok(components),
        }
    }

    /// After single precision: the last word, on an engine in double. One more EM step is kept if it does not lose.
    pub(super) fn verify(&mut self, engine: &mut Engine<'_>) -> Result<(), FitError> {
        let iteration = self.iterations();
        let statistics = engine
            .statistics(&[self.model()], iteration)?
            .swap_remove(0);
        self.trace[iteration] = self.restore(&statistics);
        let mut polished = None;
        if self.ending == Some(Ending::Converged) && iteration < self.options.max_iter {
            let next = iteration + 1;
            let update =
                self.maximisation
                    .update(&self.components, &statistics, next, &mut self.events);
            if !update.repaired {
                let model = [MaskedModel {
                    components: &update.components,
                    mask: self.mask,
                }];
                let after = engine.statistics(&model, next)?.swap_remove(0);
                if after.log_likelihood >= statistics.log_likelihood {
                    polished = Some((update.components, after));
                }
            }
        }
        self.statistics = Some(match polished {
            Some((components, after)) => {
                self.components = components;
                self.trace.push(self.restore(&after));
                after
            }
            None => statistics,
        });
        Ok(())
    }
}

impl Run<'_> {
    /// The results of a run that has ended, after `passes` over `rows` rows on `device`.
    pub(super) fn finish(
        self,
        rows: usize,
        passes: f64,
        device: DeviceInfo,
        device_events: &[Event],
        race: Option<Race>,
        times: Times,
    ) -> Result<Fit, FitError> {
        let mean_log_likelihood = self.mean_log_likelihood();
        let iterations = self.iterations();
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut mixture = self.components.to_mixture(self.map)?;
        if let (true, Init::Model(start)) = (self.options.freeze.is_any(), &self.options.init) {
            mixture = self.options.freeze.restored(&mixture, start)?;
        }
        let freeze = &self.options.freeze;
        let mut n_parameters = freeze.n_parameters(
            mixture.covariance_type(),
            mixture.len(),
            mixture.n_features(),
        );
        if mixture.noise().is_some() && !freeze.weights {
            n_parameters += Noise::PARAMETERS;
        }
        let (total, log_largest) = self
            .statistics
            .map_or((0.0, 0.0), |s| (s.weight, s.log_largest));
        let criteria = Criteria::new(
            mean_log_likelihood * total,
            log_largest,
            n_parameters,
            total,
        );
        let mut events = device_events.to_vec();
        events.extend(self.events);
        events.sort_by_key(|event| event.iteration);
        let (mut stages, restarts) = race.map_or((Vec::new(), None), |race| {
            (race.stages, Some(race.restarts))
        });
        stages.push(Stage {
            rows,
            iterations,
            passes,
        });
        Ok(Fit {
            mixture,
            n_parameters,
            device,
            iterations,
            passes: stages.iter().map(|stage| stage.passes).sum(),
            stages,
            restarts,
            converged: self.ending == Some(Ending::Converged),
            interrupted: self.ending == Some(Ending::Interrupted),
            mean_log_likelihood,
            trace: self.trace,
            criteria,
            events,
            times,
        })
    }
}

/// Plain EM of all runs side by side until each has ended: one evaluation of all that still go per iteration.
/// A run that cannot go on leaves the others alone; a device's error ends all.
///
/// `observe` sees the iteration's number and statistics, one of each run still going, and may end them all.
pub(super) fn advance<'a, R: BorrowMut<Run<'a>>>(
    engine: &mut Engine<'_>,
    runs: &mut [R],
    observe: &mut dyn FnMut(usize, &[Statistics]) -> ControlFlow<()>,
) -> Result<(), FitError> {
    for iteration in 0.. {
        let mut live: Vec<&mut Run<'a>> = runs
            .iter_mut()
            .map(BorrowMut::borrow_mut)
            .filter(|run| run.ending.is_none())
            .collect();
        if live.is_empty() {
            break;
        }
        let models: Vec<MaskedModel<'_>> = live.iter().map(|run| run.model()).collect();
        let all = engine.statistics(&models, iteration)?;
        let stop = observe(iteration, &all).is_break();
        for (run, statistics) in live.iter_mut().zip(all) {
            if stop {
                run.interrupt(statistics);
            } else if let Err(error) = run.take(statistics, engine) {
                run.ending = Some(Ending::Failed);
                run.failure = Some(error);
            }
        }
    }
    Ok(())
}
