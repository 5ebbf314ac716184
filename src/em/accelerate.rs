//! From EM steps to the optimum in a handful of evaluations: SQUAREM, then L-BFGS.
//!
//! Far from the optimum EM steps are extrapolated ([`Cycle`]). Once a cycle gains little, L-BFGS takes over in
//! coordinates in which EM is gradient descent ([`Chart`]); its gradients come from the same sums as EM's steps.
//! Every trial must do as well as the parameters that stand; what takes its place otherwise is an EM step, which
//! cannot lose.

use super::chart::Chart;
use super::hessian::Inverse;
use super::lbfgs::{Memory, add, dot};
use super::squarem::{Cycle, Extrapolation};
use crate::backend::{Components, Precision, Statistics};

/// EM steps before the first that is extrapolated: those of a rough start are long, and what is made of them may leave
/// for a worse maximum than EM's. (Of 3,000 problems like those of the tests 1 then ended more than P/(2N) below plain
/// EM; without, or with 10, 5 and 4 did.)
const FIRST_STEPS: usize = 5;
/// A cycle of SQUAREM that gains less, nats per sample, is the last.
const LAST_CYCLE: f64 = 1e-3;
/// A step that is expected to leave less than this share of the gain at which fits end is the last.
const LAST_STEP: f64 = 0.1;
/// The share of the expected gain that a step along a line must make (Armijo).
const ENOUGH: f64 = 1e-4;
/// Coordinates further from the anchor than this are taken about a new one.
const FAR: f64 = 1.0;
/// How often running the estimated gain must be below the resolution, and an EM step's below the noise.
const TIMES_UNSEEN: usize = 10;
const TIMES_NEGLIGIBLE: usize = 2;

/// When to stop, in nats per sample of gain still to be had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// At once where the estimate is below this.
    pub(super) gain: f64,
    /// Where it stays below this for many steps: what is left cannot be told from the samples' own randomness.
    pub(super) resolution: f64,
    /// Whether a step in double follows an end in single precision, so that the last one may be left to it.
    pub(super) is_verified: bool,
}

/// A look at the curvature where steps have ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Rows that the Hessian looks at; 0 for no look.
    pub(super) rows: usize,
    /// Whether only steps that crept are looked at, not those that converged.
    pub(super) at_creeping: bool,
}

/// What to evaluate next.
#[derive(Debug)]
pub(super) enum Step {
    /// What an EM step from the parameters that stand gives, or [`Acceleration::beyond`] it.
    Em,
    /// These parameters.
    To(Components),
    /// Nothing: the parameters that stand are converged.
    Converged,
    /// Nothing: what is left to gain is far below the statistical resolution.
    Resolved,
}

/// What an evaluation says of the trial.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It takes the place of the parameters that stood.
    Stands,
    /// It does not; this is next.
    Rejected(Step),
}

/// Which parameters can be evaluated at all.
pub(super) type IsSound<'a> = &'a dyn Fn(&Components) -> bool;

/// The memory of an accelerated fit.
#[derive(Clone, Debug)]
pub(super) struct Acceleration {
    phase: Phase,
    trial: Trial,
    standing: Option<Standing>,
    stop: Stop,
    /// How often running the estimate was below the resolution.
    unseen: usize,
    /// How often running an EM step gained less than rounding.
    negligible: usize,
    /// The estimated gain still to be had, nats per sample; infinite where nothing is known.
    pub(super) remaining: f64,
    /// The look at the curvature once steps have ended.
    pub(super) look: Look,
}

#[derive(Clone, Debug)]
enum Phase {
    /// So many plain steps are left.
    Em(usize),
    Squarem(Option<Cycle>),
    Lbfgs {
        chart: Chart,
        memory: Memory,
    },
}

/// What is being evaluated, or was last and stands.
#[derive(Clone, Debug)]
enum Trial {
    /// Parameters to begin with.
    Start,
    /// A cycle's first EM step.
    First,
    /// A cycle's extrapolation, and the EM step to take if it loses.
    Extrapolated {
        fallback: Components,
        is_longest: bool,
    },
    /// An EM step: a cycle's last, or one between steps of L-BFGS.
    Em,
    /// A step along a line.
    Line {
        direction: Vec<f64>,
        slope: f64,
        length: f64,
        shortened: bool,
    },
}

/// The parameters that stand.
#[derive(Clone, Debug)]
struct Standing {
    /// f: minus the mean log-likelihood.
    objective: f64,
    /// How much of it is rounding.
    noise: f64,
    /// In the chart of L-BFGS, and the gradient there.
    coordinates: Vec<f64>,
    gradient: Vec<f64>,
}

/// How far rounding takes a mean log-likelihood of this size.
pub(super) fn objective_noise(precision: Precision, objective: f64) -> f64 {
    let relative = match precision {
        Precision::F32 => 3e-7,
        Precision::F64 => 1e-13,
    };
    relative * objective.abs().max(1.0)
}

/// The length below which a change of a gradient of `p` coordinates may be rounding alone.
fn gradient_noise(precision: Precision, p: usize) -> f64 {
    let relative = match precision {
        Precision::F32 => 1e-7,
        Precision::F64 => 1e-14,
    };
    4.0 * relative * (p as f64).sqrt()
}

impl Acceleration {
    /// Begins with a few steps of EM, then SQUAREM.
    pub(super) fn new(stop: Stop) -> Self {
        Self {
            phase: Phase::Em(FIRST_STEPS),
            trial: Trial::Start,
            standing: None,
            stop,
            unseen: 0,
            negligible: 0,
            remaining: f64::INFINITY,
            look: Look::default(),
        }
    }

    /// The same, with a look at the curvature at its end.
    #[must_use]
    pub(super) fn with(self, look: Look) -> Self {
        Self { look, ..self }
    }

    /// Goes on over other rows with what is known of the curvature.
    #[must_use]
    pub(super) fn over_other_rows(self, stop: Stop) -> Self {
        let mut fresh = Self::new(stop);
        if let Phase::Lbfgs { .. } = self.phase {
            fresh.phase = self.phase;
        }
        fresh
    }

    /// Takes the inverse Hessian at the anchor of a chart, the parameters that stand, for all that is known of the
    /// curvature.
    pub(super) fn know(
        &mut self,
        chart: Chart,
        inverse: Inverse,
        at: &Components,
        statistics: &Statistics,
    ) {
        if let Some(standing) = &mut self.standing {
            standing.gradient = chart.gradient(at, statistics);
            standing.coordinates = vec![0.0; standing.gradient.len()];
        }
        let memory = Memory::from_inverse(inverse);
        self.phase = Phase::Lbfgs { chart, memory };
        self.unseen = 0;
        self.negligible = 0;
    }

    /// Begins anew: something else has moved the parameters.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.stop).with(self.look);
    }

    /// How many steps from here are plain EM's whatever they lead to.
    pub(super) fn plain_steps(&self) -> usize {
        match self.phase {
            Phase::Em(left) => left,
            Phase::Squarem(_) | Phase::Lbfgs { .. } => 0,
        }
    }

    /// Goes on after so many of them that the device took.
    pub(super) fn took_plain_steps(&mut self, count: usize) {
        if let Phase::Em(left) = &mut self.phase {
            match left.saturating_sub(count) {
                0 => self.phase = Phase::Squarem(None),
                less => *left = less,
            }
        }
    }

    /// Whether the trial that was evaluated stands.
    pub(super) fn judge(
        &mut self,
        trial: &Components,
        statistics: &Statistics,
        precision: Precision,
        is_sound: IsSound<'_>,
    ) -> Judgement {
        let objective = -statistics.mean_log_likelihood();
        let noise = objective_noise(precision, objective);
        if let Some(standing) = &self.standing {
            let gain = standing.objective - objective + standing.noise.max(noise);
            let enough = match &self.trial {
                Trial::Extrapolated { .. } => 0.0,
                Trial::Line { slope, length, .. } => -ENOUGH * length * slope,
                Trial::Start | Trial::First | Trial::Em => f64::NEG_INFINITY,
            };
            if gain < enough || gain.is_nan() {
                let rise = objective - standing.objective;
                return Judgement::Rejected(self.instead(rise, is_sound));
            }
        }
        let standing = self.stand(trial, statistics, objective, precision);
        self.standing = Some(Standing { noise, ..standing });
        Judgement::Stands
    }

    /// What to evaluate in place of a trial whose objective is `rise` above what stands.
    fn instead(&mut self, rise: f64, is_sound: IsSound<'_>) -> Step {
        match (&self.trial, &mut self.phase) {
            (Trial::Extrapolated { fallback, .. }, Phase::Squarem(cycle)) => {
                let fallback = fallback.clone();
                cycle.iter_mut().for_each(Cycle::lost);
                self.trial = Trial::Em;
                Step::To(fallback)
            }
            (
                Trial::Line {
                    direction,
                    slope,
                    length,
                    shortened: false,
                },
                _,
            ) => {
                // The minimum of the parabola through both values and the slope.
                let least = -slope * length * length / (2.0 * (rise - slope * length));
                let within = [0.1 * length, 0.5 * length];
                let shorter = least.max(within[0]).min(within[1]);
                let (direction, slope) = (direction.clone(), *slope);
                self.along(direction, slope, shorter, true, is_sound)
            }
            (_, Phase::Lbfgs { memory, .. }) => {
                memory.clear();
                Step::Em
            }
            (_, Phase::Em(_) | Phase::Squarem(_)) => Step::Em,
        }
    }

    /// Takes note of parameters that stand from now on.
    fn stand(
        &mut self,
        at: &Components,
        statistics: &Statistics,
        objective: f64,
        precision: Precision,
    ) -> Standing {
        if let Phase::Squarem(cycle) = &mut self.phase {
            match (&self.trial, cycle.as_mut()) {
                (Trial::First, Some(cycle)) => cycle.took_first(at),
                (Trial::Extrapolated { is_longest, .. }, Some(cycle)) => {
                    if *is_longest {
                        cycle.reach_further();
                    }
                }
                (Trial::Em, Some(cycle)) if cycle.gain(objective) < LAST_CYCLE => {
                    self.phase = Phase::Lbfgs {
                        chart: Chart::about(at),
                        memory: Memory::default(),
                    };
                }
                (_, before) => {
                    let next = Cycle::begin(at, objective, before.as_deref());
                    *cycle = Some(next);
                }
            }
        }
        let (mut coordinates, mut gradient) = (Vec::new(), Vec::new());
        if let Phase::Lbfgs { chart, memory } = &mut self.phase {
            coordinates = chart.coordinates(at);
            if chart.size(&coordinates) > FAR {
                *chart = Chart::about(at);
                memory.clear();
                coordinates.fill(0.0);
                self.standing = None;
            }
            gradient = chart.gradient(at, statistics);
            if let Some(last) = self.standing.as_ref().filter(|s| !s.gradient.is_empty()) {
                let noise = gradient_noise(precision, gradient.len());
                let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
                memory.store(
                    minus(&coordinates, &last.coordinates),
                    minus(&gradient, &last.gradient),
                    noise,
                );
            }
        }
        Standing {
            objective,
            noise: 0.0,
            coordinates,
            gradient,
        }
    }

    /// What to evaluate after the parameters that stand.
    pub(super) fn next(&mut self, precision: Precision, is_sound: IsSound<'_>) -> Step {
        let Some((direction, slope)) = self.toward() else {
            return Step::Em;
        };
        let before = std::mem::replace(&mut self.remaining, -0.5 * slope);
        // Where the next step shortens what is left as the last one did, at least, it arrives.
        let arrives = before.is_finite()
            && self.remaining < before
            && self.remaining * self.remaining / before < LAST_STEP * self.stop.gain;
        let unseen = self.remaining < self.stop.resolution;
        self.unseen = if unseen { self.unseen + 1 } else { 0 };
        if self.remaining < self.stop.gain {
            return Step::Converged;
        }
        if self.unseen >= TIMES_UNSEEN {
            return Step::Resolved;
        }
        let step = self.step(direction, slope, is_sound);
        let is_left = arrives && self.stop.is_verified && precision == Precision::F32;
        match step {
            Step::To(_) if is_left => Step::Converged,
            step => step,
        }
    }

    /// The next step, whether or not the parameters that stand are converged.
    pub(super) fn once_more(&mut self, is_sound: IsSound<'_>) -> Step {
        match self.toward() {
            Some((direction, slope)) => self.step(direction, slope, is_sound),
            None => Step::Em,
        }
    }

    /// What to evaluate after an EM step from the parameters that stand.
    pub(super) fn beyond(&mut self, em: Components, is_sound: IsSound<'_>) -> Step {
        match &mut self.phase {
            Phase::Em(left) if *left > 1 => *left -= 1,
            phase @ Phase::Em(_) => *phase = Phase::Squarem(None),
            Phase::Squarem(cycle) => {
                if matches!(self.trial, Trial::First) {
                    let extrapolation = cycle.as_ref().and_then(|cycle| cycle.extrapolate(&em));
                    if let Some(Extrapolation { to, is_longest }) = extrapolation
                        && is_sound(&to)
                    {
                        self.trial = Trial::Extrapolated {
                            fallback: em,
                            is_longest,
                        };
                        return Step::To(to);
                    }
                    self.trial = Trial::Em;
                } else {
                    self.trial = match self.trial {
                        Trial::Extrapolated { .. } => Trial::Em,
                        _ => Trial::First,
                    };
                }
            }
            Phase::Lbfgs { chart, .. } => {
                self.trial = Trial::Em;
                if let Some(standing) = &self.standing {
                    let mut step = chart.coordinates(&em);
                    add(&mut step, -1.0, &standing.coordinates);
                    let gain = -0.5 * dot(&step, &standing.gradient);
                    let negligible = gain < 0.1 * standing.noise;
                    self.negligible = if negligible { self.negligible + 1 } else { 0 };
                    if self.negligible >= TIMES_NEGLIGIBLE {
                        self.remaining = gain.max(0.0);
                        return Step::Converged;
                    }
                }
            }
        }
        Step::To(em)
    }

    /// The direction of L-BFGS and the slope along it.
    fn toward(&mut self) -> Option<(Vec<f64>, f64)> {
        let Phase::Lbfgs { memory, .. } = &mut self.phase else {
            return None;
        };
        let gradient = &self.standing.as_ref()?.gradient;
        let direction = memory.direction(gradient)?;
        let slope = dot(gradient, &direction);
        // Both 0 at an exact stationary point.
        if slope < 0.0 || gradient.iter().all(|g| *g == 0.0) {
            return Some((direction, slope));
        }
        memory.clear();
        None
    }

    fn step(&mut self, direction: Vec<f64>, slope: f64, is_sound: IsSound<'_>) -> Step {
        let length = match &self.phase {
            Phase::Lbfgs { chart, .. } => (1.0 / chart.size(&direction)).min(1.0),
            Phase::Em(_) | Phase::Squarem(_) => 1.0,
        };
        self.along(direction, slope, length, false, is_sound)
    }

    /// The parameters so far along a line, or an EM step where there are none.
    fn along(
        &mut self,
        direction: Vec<f64>,
        slope: f64,
        length: f64,
        shortened: bool,
        is_sound: IsSound<'_>,
    ) -> Step {
        let (Phase::Lbfgs { chart, .. }, Some(standing)) = (&self.phase, &self.standing) else {
            return Step::Em;
        };
        let mut z = standing.coordinates.clone();
        add(&mut z, length, &direction);
        match chart.components(&z).filter(|to| is_sound(to)) {
            None => Step::Em,
            Some(to) => {
                self.trial = Trial::Line {
                    direction,
                    slope,
                    length,
                    shortened,
                };
                Step::To(to)
            }
        }
    }
}

#[cfg(test)]
mod tests;
