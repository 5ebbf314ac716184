//! Plain EM steps that a device takes by itself: when it may, and what of them the driver takes over.
//!
//! The driver stays the judge. Where a step is a repair's, where a covariance comes near the floor or scales are too
//! different for an M-step in single precision, the steps before it count and the next one is made on the host, from
//! the samples' statistics where the device stopped.

use rayon::prelude::*;

use super::convergence;
use super::engine::Engine;
use super::run::Run;
use crate::backend::{Components, EmStep, Precision, Walk, Walked, Watch};

/// Up to this κ ([`Components::kappa`]) a device makes M-steps. Its factors are off by a few units in the last place of
/// their entries, which covariances see some κ times larger: 256 · 4 · 6e-8 is below what a fit promises, 1e-4.
const KAPPA: f64 = 256.0;
/// From so many components of steps on, times D³, judging is worth sharing between threads.
const WORTH_SHARING: usize = 1 << 16;
/// So many steps the host takes once the device stopped: what stopped it may go on.
const PAUSE: usize = 8;

impl Run<'_> {
    /// What is to be evaluated next, and how many EM steps the device may take first.
    pub(super) fn walk(&self, engine: &Engine<'_>) -> Walk<'_> {
        let model = self.model();
        let most = match self.plain_steps() {
            0 => 0,
            steps => steps.min(engine.most_steps(model.components)),
        };
        if most == 0 || !self.is_for_devices() {
            return Walk::none(model);
        }
        let watch = match &self.acceleration {
            Some(_) => Watch::default(),
            None => {
                let noise = convergence::noise(Precision::F32, model.components);
                self.convergence.watch(noise)
            }
        };
        Walk { model, most, watch }
    }

    /// How many steps from here are plain EM's whatever they lead to.
    fn plain_steps(&self) -> usize {
        let left = self.options.max_iter.saturating_sub(self.trace.len());
        let plain = match &self.acceleration {
            Some(acceleration) => acceleration.plain_steps(),
            None => usize::MAX,
        };
        let may = self.paused == 0 && self.mask.is_none() && self.maximisation.is_plain();
        if may { left.min(plain) } else { 0 }
    }

    /// Whether a device's M-step is good enough for the parameters.
    fn is_for_devices(&self) -> bool {
        let components = &self.components;
        let floored = || self.maximisation.floored(components).next().is_some();
        components.weights.iter().all(|w| *w > 0.0)
            && components.kappa() <= KAPPA
            && (self.options.is_parity() || !floored())
    }

    /// Keeps of a device's steps those before the first that the host must make itself.
    pub(super) fn accept(&self, walked: &mut Walked) {
        let mut convergence = self.convergence.clone();
        let mut before: &Components = &self.components;
        let mut kappa = before.kappa();
        let judged = self.judged(&walked.steps);
        let mut accepted = 0;
        for (step, (kappa_after, is_above)) in walked.steps.iter().zip(judged) {
            let is_sound = kappa <= KAPPA && is_above;
            let noise = || convergence::noise(Precision::F32, before);
            let converged =
                self.acceleration.is_none() && convergence.step(step.squared_length, noise);
            if !is_sound || converged {
                break;
            }
            (before, kappa) = (&step.components, kappa_after);
            accepted += 1;
        }
        let led_astray = !walked.steps.is_empty() && kappa > KAPPA;
        if accepted < walked.steps.len() || led_astray {
            walked.steps.truncate(accepted);
            walked.statistics = None;
            walked.stopped = true;
        }
    }

    /// κ after each step, and whether no covariance is below the floor: by all threads where factors are large.
    fn judged(&self, steps: &[EmStep]) -> Vec<(f64, bool)> {
        let (maximisation, is_parity) = (&self.maximisation, self.options.is_parity());
        let judge = |step: &EmStep| {
            let after = &step.components;
            (after.kappa(), is_parity || maximisation.is_sound(after))
        };
        let cost = steps.len() * self.components.len() * self.components.n_features.pow(3);
        match cost < WORTH_SHARING {
            true => steps.iter().map(judge).collect(),
            false => steps.par_iter().map(judge).collect(),
        }
    }

    /// Takes over the steps; whether the device stopped by itself.
    pub(super) fn follow(&mut self, steps: Vec<EmStep>, stopped: bool) {
        let precision = Precision::F32;
        match &mut self.acceleration {
            Some(acceleration) => acceleration.took_plain_steps(steps.len()),
            None => {
                let mut before = &self.components;
                for step in &steps {
                    let noise = || convergence::noise(precision, before);
                    self.convergence.step(step.squared_length, noise);
                    before = &step.components;
                }
            }
        }
        let means = steps.iter().map(|step| step.mean_log_likelihood);
        self.trace
            .extend(means.map(|mean| mean + self.map.log_determinant()));
        if let Some(last) = steps.into_iter().next_back() {
            self.components = last.components;
        }
        self.paused = match stopped {
            true => PAUSE,
            false => self.paused.saturating_sub(1),
        };
    }
}
