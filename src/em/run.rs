//! One mixture on its way: everything between two evaluations of the samples.

mod results;

use std::borrow::BorrowMut;
use std::ops::ControlFlow;

use super::FitError;
use super::accelerate::{Acceleration, Judgement, Step, objective_noise};
use super::convergence::{self, Convergence};
use super::engine::Engine;
use super::events::{Event, EventKind};
use super::init::Start;
use super::maximise::{Maximisation, Past, Update};
use super::options::Options;
use super::reseed;
use crate::backend::{BlockMask, Components, MaskedModel, Statistics, Walk};
use crate::data::Standardisation;

/// How often a run that has ended looks about at most.
const LOOKS: usize = 3;

/// Why a run takes no more steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The estimated gain still to be had fell below `tol`.
    Converged,
    /// It stayed far below the statistical resolution.
    Resolved,
    /// `max_iter` iterations are done.
    OutOfIterations,
    /// The observer ended it.
    Interrupted,
    /// It cannot go on: `failure` says why.
    Failed,
}

/// The state of a fit between iterations.
pub(super) struct Run<'a> {
    pub(super) map: &'a Standardisation,
    pub(super) options: &'a Options,
    pub(super) mask: Option<&'a BlockMask>,
    pub(super) maximisation: Maximisation,
    pub(super) convergence: Convergence,
    pub(super) acceleration: Option<Acceleration>,
    /// How many EM steps the host takes before the device may again.
    pub(super) paused: usize,
    /// What is to be evaluated next, rounded to the device; once it has ended, the parameters that stand.
    pub(super) components: Components,
    /// The parameters that stand and their statistics.
    standing: Option<(Components, Statistics)>,
    /// Mean log-likelihoods after 0, 1, … iterations, in the data's units.
    pub(super) trace: Vec<f64>,
    /// What happened to components.
    pub(super) events: Vec<Event>,
    /// How often it looked about.
    looks: usize,
    /// How it ended, once it has.
    pub(super) ending: Option<Ending>,
    /// Why it cannot go on.
    pub(super) failure: Option<FitError>,
}

impl<'a> Run<'a> {
    /// A run over the rows of the engine that `mask` chooses: plain EM, or accelerated from what is known.
    pub(super) fn begin(
        start: Start,
        acceleration: Option<Acceleration>,
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
            acceleration,
            paused: 0,
            components: start.components.clone(),
            standing: None,
            trace: Vec::new(),
            events: start.past.events.clone(),
            looks: 0,
            ending: None,
            failure: None,
        };
        run.maximisation.remember(&start.past.repairs);
        if !start.steps.is_empty() {
            let update = run.maximisation.begin(start, &mut run.events);
            run.components = run.repaired(engine, update, 0)?;
        } else {
            run.check_repairs()?;
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

    /// What a fit that goes on from its end should know of its repairs: on the same rows all, on others which
    /// covariances are still at the floor.
    pub(super) fn past(&self, same_rows: bool) -> Past {
        if same_rows {
            return Past {
                events: self.events.clone(),
                repairs: self.maximisation.repairs().to_vec(),
            };
        }
        let floored = self.maximisation.floored(&self.components).next().is_some();
        let shows = |event: &&Event| floored && event.kind != EventKind::Reseeded;
        Past {
            events: self.events.iter().filter(shows).cloned().collect(),
            repairs: Vec::new(),
        }
    }

    /// The acceleration, with all it knows, if there was one.
    pub(super) fn into_acceleration(self) -> Option<Acceleration> {
        self.acceleration
    }

    /// Takes the statistics of what was evaluated, and goes on to the next or ends.
    pub(super) fn take(
        &mut self,
        statistics: Statistics,
        engine: &mut Engine<'_>,
    ) -> Result<(), FitError> {
        let step = match self.judge(statistics, engine) {
            Judgement::Rejected(step) => step,
            Judgement::Stands if self.iterations() >= self.options.max_iter => {
                self.end(Ending::OutOfIterations);
                return Ok(());
            }
            Judgement::Stands => match &mut self.acceleration {
                Some(acceleration) => {
                    acceleration.next(engine.precision(), &|c| self.maximisation.is_sound(c))
                }
                None => Step::Em,
            },
        };
        self.go(step, engine)
    }

    /// Whether what was evaluated takes the place of the parameters that stood.
    fn judge(&mut self, statistics: Statistics, engine: &Engine<'_>) -> Judgement {
        if let Some(acceleration) = &mut self.acceleration {
            let judgement =
                acceleration.judge(&self.components, &statistics, engine.precision(), &|c| {
                    self.maximisation.is_sound(c)
                });
            if let Judgement::Rejected(_) = judgement {
                return judgement;
            }
        }
        self.trace.push(self.restore(&statistics));
        self.standing = Some((self.components.clone(), statistics));
        Judgement::Stands
    }

    /// Goes where a step leads.
    fn go(&mut self, step: Step, engine: &mut Engine<'_>) -> Result<(), FitError> {
        let step = match step {
            Step::Em => self.em(engine)?,
            other => other,
        };
        let step = match step {
            ended @ (Step::Em | Step::Converged | Step::Resolved) => {
                self.look_about(ended, engine)?
            }
            to => to,
        };
        match step {
            Step::Em | Step::Converged => self.end(Ending::Converged),
            Step::Resolved => self.end(Ending::Resolved),
            Step::To(components) => {
                self.components = components;
                self.admit(engine)?;
            }
        }
        Ok(())
    }

    /// Rounds what is to be evaluated to the device, or leaves it for one with more digits.
    fn admit(&mut self, engine: &mut Engine<'_>) -> Result<(), FitError> {
        let precision = engine.precision();
        engine.admit(&mut self.components, self.trace.len())?;
        if engine.precision() != precision {
            self.convergence.restart();
        }
        Ok(())
    }

    /// Where steps have ended, what a look at the curvature makes of it: from a saddle to the better side, else on with the
    /// curvature known, which sees gains that steps alone did not.
    fn look_about(&mut self, ended: Step, engine: &mut Engine<'_>) -> Result<Step, FitError> {
        let (Some(acceleration), Some((components, statistics))) =
            (&mut self.acceleration, &self.standing)
        else {
            return Ok(ended);
        };
        if acceleration.look.at_creeping && !matches!(ended, Step::Resolved) {
            return Ok(ended);
        }
        let Some(summit) = engine.look(components, acceleration.look.rows) else {
            return Ok(ended);
        };
        self.looks += 1;
        if self.looks == LOOKS {
            acceleration.look.rows = 0;
        }
        let is_sound = |c: &Components| self.maximisation.is_sound(c);
        let sides: Vec<&Components> = summit.sides.iter().filter(|side| is_sound(side)).collect();
        let models: Vec<MaskedModel<'_>> = sides
            .iter()
            .map(|components| MaskedModel {
                components,
                mask: self.mask,
            })
            .collect();
        let value = |statistics: &Statistics| statistics.mean_log_likelihood();
        let all = engine.statistics(&models, self.trace.len())?;
        let best = (0..all.len()).max_by(|a, b| value(&all[*a]).total_cmp(&value(&all[*b])));
        let now = value(statistics);
        let least = now + objective_noise(engine.precision(), now);
        if let Some(best) = best.filter(|&side| value(&all[side]) > least) {
            acceleration.restart();
            return Ok(Step::To(sides[best].clone()));
        }
        acceleration.know(summit.chart, summit.inverse, components, statistics);
        match acceleration.next(engine.precision(), &is_sound) {
            Step::Em => self.em(engine),
            step => Ok(step),
        }
    }

    /// An EM step from the parameters that stand, or what the acceleration makes of it.
    fn em(&mut self, engine: &mut Engine<'_>) -> Result<Step, FitError> {
        let next = self.trace.len();
        let Some((components, statistics)) = &self.standing else {
            return Ok(Step::Converged);
        };
        let update = self
            .maximisation
            .update(components, statistics, next, &mut self.events);
        let plain = self.acceleration.is_none() || update.at_floor;
        if update.repaired || !plain {
            self.convergence.restart();
        } else {
            let noise = || convergence::noise(engine.precision(), components);
            if self.convergence.step(update.squared_length, noise) {
                return Ok(Step::Converged);
            }
        }
        if !update.repaired
            && !update.at_floor
            && let Some(acceleration) = &mut self.acceleration
        {
            return Ok(acceleration.beyond(update.components, &|c| self.maximisation.is_sound(c)));
        }
        if let Some(acceleration) = &mut self.acceleration {
            acceleration.restart();
        }
        self.repaired(engine, update, next).map(Step::To)
    }

    /// Takes the statistics of what was evaluated and ends there.
    pub(super) fn interrupt(&mut self, statistics: Statistics, engine: &Engine<'_>) {
        self.judge(statistics, engine);
        self.end(Ending::Interrupted);
    }

    fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
        if let Some((components, _)) = &self.standing {
            self.components = components.clone();
        }
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
            let mut evaluated = match &self.standing {
                Some((components, _)) => components.clone(),
                None => self.components.clone(),
            };
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
        self.check_repairs()?;
        Ok(components)
    }

    /// Under `strict` a repair is an error.
    fn check_repairs(&self) -> Result<(), FitError> {
        match self.events.iter().find(|event| event.kind.is_repair()) {
            Some(event) if self.options.strict => Err(FitError::Repair(event.clone())),
            _ => Ok(()),
        }
    }

    /// After single precision: the last word, on an engine in double. One more step is taken: of the acceleration,
    /// which goes on if that is not the last, or of EM, kept if it does not lose.
    pub(super) fn verify(&mut self, engine: &mut Engine<'_>) -> Result<(), FitError> {
        let iteration = self.iterations();
        let ended_well = matches!(self.ending, Some(Ending::Converged | Ending::Resolved));
        let goes_on = ended_well && iteration < self.options.max_iter;
        let further = match &mut self.acceleration {
            Some(acceleration) if goes_on => {
                acceleration.once_more(&|c| self.maximisation.is_sound(c))
            }
            _ => Step::Em,
        };
        if let step @ Step::To(_) = further {
            self.ending = None;
            self.go(step, engine)?;
            while self.ending.is_none() {
                let statistics = engine.statistics(&[self.model()], self.trace.len())?;
                statistics
                    .into_iter()
                    .try_for_each(|statistics| self.take(statistics, engine))?;
            }
            return Ok(());
        }
        let statistics = engine
            .statistics(&[self.model()], iteration)?
            .swap_remove(0);
        self.trace[iteration] = self.restore(&statistics);
        let mut polished = None;
        if goes_on {
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
        let (components, statistics) = match polished {
            Some((components, after)) => {
                self.trace.push(self.restore(&after));
                (components, after)
            }
            None => (self.components.clone(), statistics),
        };
        self.components.clone_from(&components);
        self.standing = Some((components, statistics));
        Ok(())
    }
}

/// All runs side by side until each has ended: one evaluation of all that still go per iteration, or several where
/// the device takes steps by itself. A run that cannot go on leaves the others alone; a device's error ends all.
///
/// `observe` sees the iteration's number and mean log-likelihoods (standardised units), one of each run still going, and
/// may end them all.
pub(super) fn advance<'a, R: BorrowMut<Run<'a>>>(
    engine: &mut Engine<'_>,
    runs: &mut [R],
    observe: &mut dyn FnMut(usize, &[f64]) -> ControlFlow<()>,
) -> Result<(), FitError> {
    let mut iteration = 0;
    let mut stop = false;
    loop {
        let mut live: Vec<&mut Run<'a>> = runs
            .iter_mut()
            .map(BorrowMut::borrow_mut)
            .filter(|run| run.ending.is_none())
            .collect();
        if live.is_empty() {
            return Ok(());
        }
        let walks: Vec<Walk<'_>> = live
            .iter()
            .map(|run| match stop {
                true => Walk::none(run.model()),
                false => run.walk(engine),
            })
            .collect();
        let mut all = engine.walk(&walks, iteration)?;
        for (run, walked) in live.iter().zip(&mut all) {
            run.accept(walked);
        }
        for step in 0..all
            .iter()
            .map(|walked| walked.steps.len())
            .max()
            .unwrap_or(0)
        {
            let taken = all.iter().filter_map(|walked| walked.steps.get(step));
            let means: Vec<f64> = taken.map(|step| step.mean_log_likelihood).collect();
            if observe(iteration, &means).is_break() {
                stop = true;
                for walked in all.iter_mut().filter(|walked| walked.steps.len() > step) {
                    walked.steps.truncate(step);
                    walked.statistics = None;
                }
                break;
            }
            iteration += 1;
        }
        let statistics = all.iter().filter_map(|walked| walked.statistics.as_ref());
        let means: Vec<f64> = statistics.map(Statistics::mean_log_likelihood).collect();
        if !means.is_empty() {
            stop = stop || observe(iteration, &means).is_break();
            iteration += 1;
        }
        for (run, walked) in live.iter_mut().zip(all) {
            run.follow(walked.steps, walked.stopped);
            let result = match walked.statistics {
                Some(statistics) if stop => {
                    run.interrupt(statistics, engine);
                    Ok(())
                }
                Some(statistics) => run.take(statistics, engine),
                None => run.admit(engine),
            };
            if let Err(error) = result {
                run.ending = Some(Ending::Failed);
                run.failure = Some(error);
            }
        }
    }
}
