//! Expectation Maximization: one loop for all backends.
//!
//! Dempster, Laird & Rubin (1977), *J. R. Stat. Soc. B* 39(1), in whitened coordinates (`ARCHITECTURE.md`,
//! "Numerics").

mod collapse;
mod convergence;
mod engine;
mod error;
mod evaluate;
mod events;
mod init;
mod kmeans;
mod maximise;
mod options;
mod reseed;
mod update;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

pub use engine::{DeviceChoice, GPU_PAYS, operations};
pub use error::FitError;
pub use evaluate::{Evaluated, evaluate};
pub use events::{Event, EventKind};
pub use options::{Init, Options, PrecisionChoice};

use self::convergence::Convergence;
use self::engine::Engine;
use self::maximise::Maximisation;
use crate::backend::{Components, DeviceInfo, Precision, Statistics};
use crate::data::{Samples, Standardisation};
use crate::mixture::{Criteria, Mixture};

/// A fitted mixture and how it came to be.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The mixture, in the data's units.
    pub mixture: Mixture,
    /// What evaluated the samples (last, if it changed).
    pub device: DeviceInfo,
    /// Accepted iterations over all rows.
    pub iterations: usize,
    /// Evaluations of all rows, those of a last verification included.
    pub passes: f64,
    /// Whether the estimated gain still to be had fell below `tol`.
    pub converged: bool,
    /// Whether the observer ended it.
    pub interrupted: bool,
    /// Mean log-likelihood of the returned mixture, nats per unit of weight, in the data's units.
    pub mean_log_likelihood: f64,
    /// The same after 0, 1, … iterations: `iterations + 1` values.
    pub trace: Vec<f64>,
    /// BIC, AIC and ICL.
    pub criteria: Criteria,
    /// Repairs and changes of device.
    pub events: Vec<Event>,
    /// Where the time went.
    pub times: Times,
}

/// Where a fit's time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Standardising and loading.
    pub prepare: Duration,
    /// The start.
    pub init: Duration,
    /// Iterations and the last verification.
    pub em: Duration,
}

/// What an observer sees after each evaluation of all rows.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Iterations so far.
    pub iteration: usize,
    /// Mean log-likelihood, nats per unit of weight, in the data's units.
    pub mean_log_likelihood: f64,
}

/// Fits a mixture to samples.
///
/// # Errors
/// Samples that cannot be fitted (a constant feature, fewer distinct rows than components), labels or a model
/// that do not fit the samples, a device that fails, a repair under `strict`.
///
/// # Examples
/// ```
/// use wgmm::{data::Samples, em::{fit, Options}};
/// let x: Vec<f64> = (0..100).map(|i| if i % 2 == 0 { 0.0 } else { 10.0 } + f64::from(i % 7)).collect();
/// let fit = fit(&Samples::new(x, 1)?, &Options::new(2))?;
/// assert!(fit.converged);
/// assert!((fit.mixture.weights()[0] - 0.5).abs() < 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fit(samples: &Samples, options: &Options) -> Result<Fit, FitError> {
    fit_observed(samples, options, &mut |_| ControlFlow::Continue(()))
}

/// [`fit`], telling an observer of each evaluation; the observer may end it, keeping the parameters so far.
///
/// # Errors
/// As [`fit`].
pub fn fit_observed(
    samples: &Samples,
    options: &Options,
    observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Fit, FitError> {
    check(samples, options)?;
    let started = Instant::now();
    let map = Standardisation::of(samples, options.covariance_type)?;
    let mut events = Vec::new();
    let mut engine = Engine::load(samples, &map, options, &mut events)?;
    let prepare = started.elapsed();
    let started = Instant::now();
    let start = init::start(samples, &map, options);
    let mut run = Run {
        samples,
        map: &map,
        options,
        maximisation: Maximisation::new(&map, options),
        trace: Vec::new(),
        events,
    };
    let mut components = run.begin(start, &mut engine)?;
    let init = started.elapsed();
    let started = Instant::now();
    let outcome = run.iterate(&mut engine, &mut components, observer)?;
    let outcome = run.verify(&mut engine, &mut components, outcome)?;
    let times = Times {
        prepare,
        init,
        em: started.elapsed(),
    };
    let mixture = components.to_mixture(&map)?;
    let total = outcome.statistics.weight;
    let mean_log_likelihood = run.restore(&outcome.statistics);
    let criteria = Criteria::new(
        mean_log_likelihood * total,
        outcome.statistics.log_largest,
        mixture.n_parameters(),
        total,
    );
    Ok(Fit {
        mixture,
        device: outcome.device,
        iterations: run.trace.len() - 1,
        passes: engine.passes,
        converged: outcome.converged,
        interrupted: outcome.interrupted,
        mean_log_likelihood,
        trace: run.trace,
        criteria,
        events: run.events,
        times,
    })
}

/// The state of a fit between iterations.
struct Run<'a> {
    samples: &'a Samples,
    map: &'a Standardisation,
    options: &'a Options,
    maximisation: Maximisation,
    trace: Vec<f64>,
    events: Vec<Event>,
}

/// How the iterations ended: the statistics of the parameters that stand.
struct Outcome {
    statistics: Statistics,
    device: DeviceInfo,
    converged: bool,
    interrupted: bool,
}

impl Run<'_> {
    fn restore(&self, statistics: &Statistics) -> f64 {
        statistics.mean_log_likelihood() + self.map.log_determinant()
    }

    fn begin(
        &mut self,
        start: init::Start,
        engine: &mut Engine<'_>,
    ) -> Result<Components, FitError> {
        let mut components = if start.steps.is_empty() {
            start.components
        } else {
            let before = start.components.clone();
            let update = self.maximisation.begin(start, &mut self.events);
            self.repaired(engine, &before, update, 0)?
        };
        engine.admit(&mut components, 0, &mut self.events)?;
        Ok(components)
    }

    /// Plain EM until it converges, runs out of iterations or is told to stop.
    fn iterate(
        &mut self,
        engine: &mut Engine<'_>,
        components: &mut Components,
        observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, FitError> {
        let mut convergence = Convergence::new(self.options.tol);
        let mut converged = false;
        let mut interrupted = false;
        loop {
            let iteration = self.trace.len();
            let statistics = engine.statistics(components, iteration, &mut self.events)?;
            let mean_log_likelihood = self.restore(&statistics);
            self.trace.push(mean_log_likelihood);
            if observer(Progress {
                iteration,
                mean_log_likelihood,
            })
            .is_break()
            {
                interrupted = true;
            }
            if !interrupted && iteration < self.options.max_iter {
                let next = iteration + 1;
                let update =
                    self.maximisation
                        .update(components, &statistics, next, &mut self.events);
                if update.repaired {
                    convergence.restart();
                } else if convergence.step(update.squared_length, || {
                    convergence::noise(engine.precision(), components)
                }) {
                    converged = true;
                }
                if !converged {
                    let mut new = self.repaired(engine, components, update, next)?;
                    let precision = engine.precision();
                    engine.admit(&mut new, next, &mut self.events)?;
                    if engine.precision() != precision {
                        convergence.restart();
                    }
                    *components = new;
                    continue;
                }
            }
            return Ok(Outcome {
                statistics,
                device: engine.info(),
                converged,
                interrupted,
            });
        }
    }

    /// The update's parameters, with components started anew where it asks for it.
    fn repaired(
        &mut self,
        engine: &mut Engine<'_>,
        before: &Components,
        update: maximise::Update,
        iteration: usize,
    ) -> Result<Components, FitError> {
        let mut components = update.components;
        if !update.reseed.is_empty() {
            let mut evaluated = before.clone();
            evaluated.round_to(engine.precision());
            reseed::reseed(
                engine,
                self.samples,
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

    /// After single precision: the last word in f64. One more EM step is kept if it does not lose.
    fn verify(
        &mut self,
        engine: &mut Engine<'_>,
        components: &mut Components,
        outcome: Outcome,
    ) -> Result<Outcome, FitError> {
        if self.options.is_parity() || engine.precision() == Precision::F64 {
            return Ok(outcome);
        }
        engine.use_double();
        let iteration = self.trace.len() - 1;
        let statistics = engine.statistics(components, iteration, &mut self.events)?;
        let verified = self.restore(&statistics);
        self.trace[iteration] = verified;
        let verified = Outcome {
            statistics,
            ..outcome
        };
        if !verified.converged || iteration >= self.options.max_iter {
            return Ok(verified);
        }
        let mut polished = self.maximisation.update(
            components,
            &verified.statistics,
            iteration + 1,
            &mut self.events,
        );
        if polished.repaired {
            return Ok(verified);
        }
        let statistics =
            engine.statistics(&polished.components, iteration + 1, &mut self.events)?;
        if statistics.log_likelihood < verified.statistics.log_likelihood {
            return Ok(verified);
        }
        std::mem::swap(components, &mut polished.components);
        self.trace.push(self.restore(&statistics));
        Ok(Outcome {
            statistics,
            ..verified
        })
    }
}

/// What can be known to be wrong before any work is done.
fn check(samples: &Samples, options: &Options) -> Result<(), FitError> {
    let (k, d) = (options.n_components, samples.n_features());
    if k == 0 {
        return Err(FitError::NoComponents);
    }
    match &options.init {
        Init::Labels(labels) => {
            if labels.len() != samples.len() {
                return Err(FitError::LabelCount {
                    found: labels.len(),
                    rows: samples.len(),
                });
            }
            if let Some(i) = labels.iter().position(|label| *label >= k) {
                return Err(FitError::Label {
                    row: i + 1,
                    found: labels[i],
                    k,
                });
            }
        }
        Init::Model(model) => {
            let found = (model.len(), model.n_features(), model.covariance_type());
            let expected = (k, d, options.covariance_type);
            if found != expected {
                return Err(FitError::Start { found, expected });
            }
        }
        Init::KMeansPlusPlus | Init::Random => {}
    }
    let distinct = distinct_rows(samples, k);
    if distinct < k && !options.is_parity() {
        return Err(FitError::TooFewDistinctRows { k, distinct });
    }
    Ok(())
}

/// How many rows of positive weight are distinct, counted up to `enough`.
fn distinct_rows(samples: &Samples, enough: usize) -> usize {
    let mut seen: HashSet<Vec<u64>> = HashSet::new();
    let mut row = vec![0.0; samples.n_features()];
    for i in (0..samples.len()).filter(|&i| samples.weight(i) > 0.0) {
        samples.copy_row(i, &mut row);
        // + 0.0 makes −0 the same as 0.
        seen.insert(row.iter().map(|x| (x + 0.0).to_bits()).collect());
        if seen.len() >= enough {
            break;
        }
    }
    seen.len()
}
