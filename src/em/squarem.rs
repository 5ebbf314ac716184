//! SQUAREM: EM steps extrapolated along their own difference.
//!
//! Varadhan & Roland (2008), *Scand. J. Stat.* 35(2), scheme S3: with r the first of two EM steps and v the second
//! less the first, go to 2 a r + a² v where a = |r| / |v|, then take an EM step there. Here in the coordinates of
//! a [`Chart`] about the point where the cycle begins.

use super::chart::Chart;
use super::lbfgs::{add, dot};
use crate::backend::Components;

/// The factor by which the longest extrapolation grows and shrinks.
const FACTOR: f64 = 4.0;

/// A cycle on its way.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    /// About the point where it began.
    chart: Chart,
    /// −mean log-likelihood there.
    objective: f64,
    /// Where its first EM step went.
    first: Vec<f64>,
    /// The longest extrapolation.
    longest: f64,
}

/// Where a cycle's extrapolation goes.
#[derive(Debug)]
pub(super) struct Extrapolation {
    pub(super) to: Components,
    /// Whether only the limit kept it from going further.
    pub(super) is_longest: bool,
}

impl Cycle {
    /// A cycle that begins here, after `before`, if there was one.
    pub(super) fn begin(at: &Components, objective: f64, before: Option<&Self>) -> Self {
        Self {
            chart: Chart::about(at),
            objective,
            first: Vec::new(),
            longest: before.map_or(1.0, |cycle| cycle.longest),
        }
    }

    /// Takes where the first EM step went.
    pub(super) fn took_first(&mut self, to: &Components) {
        self.first = self.chart.coordinates(to);
    }

    /// How far the objective has fallen since it began.
    pub(super) fn gain(&self, objective: f64) -> f64 {
        self.objective - objective
    }

    /// Where the two steps point to; `None` where that is no further than the second step, or nowhere.
    pub(super) fn extrapolate(&self, second: &Components) -> Option<Extrapolation> {
        let mut curve = self.chart.coordinates(second);
        add(&mut curve, -2.0, &self.first);
        let length = (dot(&self.first, &self.first) / dot(&curve, &curve)).sqrt();
        // NaN where there is no step at all.
        if length.is_nan() || length <= 1.0 {
            return None;
        }
        let a = length.min(self.longest);
        let mut z = vec![0.0; curve.len()];
        add(&mut z, 2.0 * a, &self.first);
        add(&mut z, a * a, &curve);
        let is_longest = a == self.longest;
        self.chart
            .components(&z)
            .map(|to| Extrapolation { to, is_longest })
    }

    /// The extrapolation did no better than the step before it.
    pub(super) fn lost(&mut self) {
        self.longest = (self.longest / FACTOR).max(1.0);
    }

    /// The longest extrapolation did well.
    pub(super) fn reach_further(&mut self) {
        self.longest *= FACTOR;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::CovarianceType;

    fn at(mean: f64) -> Components {
        Components {
            covariance_type: CovarianceType::Full,
            n_features: 1,
            weights: vec![1.0],
            means: vec![mean],
            factors: vec![1.0],
            noise: None,
        }
    }

    #[test]
    fn a_linear_sequence_is_extrapolated_to_its_end() {
        // Steps that shrink by 0.9: 0, 1, 1.9, … → 10; a = 1/(1 − 0.9).
        let mut cycle = Cycle::begin(&at(0.0), 5.0, None);
        cycle.took_first(&at(1.0));
        // The first cycle may go no further than the steps themselves.
        let short = cycle.extrapolate(&at(1.9)).expect("a step");
        assert!(short.is_longest && (short.to.means[0] - 1.9).abs() < 1e-12);
        cycle.reach_further();
        cycle.reach_further();
        let whole = cycle.extrapolate(&at(1.9)).expect("a step");
        assert!(!whole.is_longest && (whole.to.means[0] - 10.0).abs() < 1e-9);
        assert_eq!(cycle.gain(3.0), 2.0);
        // No step, no direction.
        cycle.took_first(&at(0.0));
        assert!(cycle.extrapolate(&at(0.0)).is_none());
    }
}
