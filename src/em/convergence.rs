//! When to stop: by an estimate of the gain still to be had, never by differences of log-likelihoods.
//!
//! Near the optimum EM is linear with rate ρ², so the squared step length q shrinks by ρ² an iteration, a step
//! gains about ½(1 + ρ) q and all steps from here on ½ q/(1 − ρ). q comes from the same statistics as the step
//! and has its digits in single precision, where a log-likelihood's difference is noise.

use crate::backend::{Components, Precision, Watch};
use crate::mixture::triangle;

/// How often running the estimate must be below the tolerance.
const TIMES: usize = 3;
/// Only steps shorter than this can be rounding alone.
const NEGLIGIBLE: f64 = 1e-9;

/// The squared length of a step made of rounding errors: each of F = 1 + D + T entries of order one off by a few
/// units in the last place. In double the means move by their own last place, which a component of scale κ
/// ([`Components::kappa`]) sees κ times larger; devices in single precision carry that place along.
pub(super) fn noise(precision: Precision, components: &Components) -> f64 {
    let error = match precision {
        Precision::F32 => 4.0 * f64::from(f32::EPSILON),
        Precision::F64 => 4.0 * f64::EPSILON * components.kappa().max(1.0),
    };
    let d = components.n_features;
    (1 + d + triangle::packed_len(d)) as f64 * error * error
}

/// Watches the squared lengths of plain EM steps.
#[derive(Clone, Debug)]
pub(super) struct Convergence {
    tol: f64,
    last: Option<f64>,
    below: usize,
}

impl Convergence {
    /// `tol`: the estimated remaining gain, nats per sample, at which to stop. 0 never stops.
    pub(super) fn new(tol: f64) -> Self {
        Self {
            tol,
            last: None,
            below: 0,
        }
    }

    /// Takes the squared length of the next step and what rounding alone makes of one ([`noise`]); `true` once the parameters before that step are converged.
    pub(super) fn step(&mut self, squared_length: f64, noise: impl FnOnce() -> f64) -> bool {
        let below = match self.last {
            // No step but rounding's: a fixed point, whose rate means nothing.
            _ if squared_length < NEGLIGIBLE && squared_length <= noise() => true,
            Some(last) => {
                let rate = (squared_length / last).sqrt();
                rate < 1.0 && 0.5 * squared_length / (1.0 - rate) < self.tol
            }
            None => false,
        };
        self.last = Some(squared_length);
        self.below = if below { self.below + 1 } else { 0 };
        self.tol > 0.0 && self.below >= TIMES
    }

    /// The same question for a device that takes steps by itself.
    pub(super) fn watch(&self, noise: f64) -> Watch {
        Watch {
            tol: self.tol,
            negligible: noise.min(NEGLIGIBLE),
            times: TIMES,
            below: self.below,
            last: self.last,
        }
    }

    /// Forgets what it saw: a repair has moved the parameters.
    pub(super) fn restart(&mut self) {
        self.last = None;
        self.below = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::CovarianceType;

    #[test]
    fn a_linear_sequence_stops_where_its_remaining_gain_is_below_tol() {
        // q_t = r^(2t), so what is left before step t is about ½ q_t/(1 − r).
        let (rate, tol) = (0.9f64, 1e-6);
        let mut convergence = Convergence::new(tol);
        let stop = (0..1000)
            .find(|t| convergence.step(rate.powi(2 * t), || 0.0))
            .expect("a converging sequence stops");
        let left = |t: i32| 0.5 * rate.powi(2 * t) / (1.0 - rate);
        assert!(left(stop - 2) < tol && left(stop - 3) >= tol);
    }

    #[test]
    fn growing_steps_and_a_tolerance_of_zero_never_stop() {
        let mut growing = Convergence::new(1e-6);
        assert!((0..100).all(|t| !growing.step(1e-12 * 1.1f64.powi(t), || 0.0)));
        let mut never = Convergence::new(0.0);
        assert!((0..100).all(|t| !never.step(1e-3f64.powi(t), || 0.0)));
    }

    #[test]
    fn steps_of_rounding_alone_are_convergence() {
        // A standard Gaussian: κ = 3.
        let component = Components {
            covariance_type: CovarianceType::Full,
            n_features: 1,
            weights: vec![1.0],
            means: vec![0.0],
            factors: vec![1.0],
            noise: None,
        };
        let noise = noise(Precision::F64, &component);
        let mut convergence = Convergence::new(1e-6);
        let stops: Vec<bool> = (0..4)
            .map(|t| convergence.step(noise * [0.5, 0.9][t % 2], || noise))
            .collect();
        assert_eq!(stops, [false, false, true, true]);
        assert!(noise < 1e-28);
    }

    #[test]
    fn an_event_starts_the_count_anew() {
        let mut convergence = Convergence::new(1.0);
        convergence.step(1e-3, || 0.0);
        convergence.step(1e-4, || 0.0);
        convergence.step(1e-5, || 0.0);
        convergence.restart();
        assert!(!convergence.step(1e-6, || 0.0));
    }
}
