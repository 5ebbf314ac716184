//! The M-step: update rules that turn statistics into parameters, in whitened coordinates.
//!
//! Every rule starts from the very factors Û and means μ̂ the statistics were taken with: with m = S1/S0 and
//! C = S2/S0 − m mᵀ, entries of order one, the new mean is μ̂ + Û⁻¹ m and the new factor G⁻¹ Û with G Gᵀ the
//! constrained C. Rounding does not build up, since C is measured against the factor in use each time.

use crate::backend::{Components, Statistics};
use crate::mixture::{CovarianceType, triangle};

/// One component's step, in the whitened coordinates of its old parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// m = S1/S0: how far the mean moves (D).
    pub(super) mean: Vec<f64>,
    /// The new covariance as old parameters see it: C of the update rule, a packed triangle.
    pub(super) covariance: Vec<f64>,
}

/// The steps that maximise the expected log-likelihood; `None` for a component without samples.
///
/// `ridge` is the packed factor of what is added to every covariance (`--reg-covar`), if anything.
pub(super) fn steps(
    components: &Components,
    statistics: &Statistics,
    ridge: Option<&[f64]>,
) -> Vec<Option<Step>> {
    let (d, length) = (
        components.n_features,
        triangle::packed_len(components.n_features),
    );
    let mut steps: Vec<Option<Step>> = (0..components.len())
        .map(|k| {
            let s0 = statistics.s0[k];
            // A share too small for its reciprocal holds no information on means and covariances.
            if s0 < f64::MIN_POSITIVE {
                return None;
            }
            let mean: Vec<f64> = statistics.s1[k * d..(k + 1) * d]
                .iter()
                .map(|s1| s1 / s0)
                .collect();
            let second = |a: usize, b: usize| statistics.s2[k * length + triangle::at(a, b)];
            let mut covariance = vec![0.0; length];
            match statistics.covariance_type {
                CovarianceType::Full => {
                    for a in 0..d {
                        for b in 0..=a {
                            covariance[triangle::at(a, b)] = second(a, b) / s0 - mean[a] * mean[b];
                        }
                    }
                }
                CovarianceType::Tied => {} // pooled below
                CovarianceType::Diag => {
                    for a in 0..d {
                        covariance[triangle::at(a, a)] =
                            statistics.s2[k * d + a] / s0 - mean[a] * mean[a];
                    }
                }
                CovarianceType::Spherical => {
                    let squares: f64 = mean.iter().map(|m| m * m).sum();
                    let variance = (statistics.s2[k] / s0 - squares) / d as f64;
                    for a in 0..d {
                        covariance[triangle::at(a, a)] = variance;
                    }
                }
            }
            Some(Step { mean, covariance })
        })
        .collect();
    if statistics.covariance_type == CovarianceType::Tied {
        pool(statistics, &mut steps);
    }
    if let Some(ridge) = ridge {
        for (k, step) in steps.iter_mut().enumerate() {
            if let Some(step) = step {
                let seen = triangle::multiply(components.factor(k), ridge, d);
                for (c, r) in step.covariance.iter_mut().zip(triangle::square(&seen, d)) {
                    *c += r;
                }
            }
        }
    }
    steps
}

/// One covariance for all: (Σ S2 − Σ S0 m mᵀ) / Σ S0. Not total minus between-scatter, which cancels.
fn pool(statistics: &Statistics, steps: &mut [Option<Step>]) {
    let d = statistics.n_features;
    let total: f64 = statistics.s0.iter().sum();
    let mut pooled = statistics.s2.clone();
    for (s0, step) in statistics.s0.iter().zip(steps.iter()) {
        if let Some(step) = step {
            for a in 0..d {
                for b in 0..=a {
                    pooled[triangle::at(a, b)] -= s0 * step.mean[a] * step.mean[b];
                }
            }
        }
    }
    pooled.iter_mut().for_each(|c| *c /= total);
    for step in steps.iter_mut().flatten() {
        step.covariance.clone_from(&pooled);
    }
}

/// How long the step is, in nats: Σ w (‖m‖² + ½‖C − I‖²) + Σ (w⁺ − w)²/w, twice the gain to first order
/// (the complete-data information is the identity in whitened coordinates).
pub(super) fn squared_length(
    weights: &[f64],
    new_weights: &[f64],
    steps: &[Option<Step>],
    d: usize,
) -> f64 {
    let mut length = 0.0;
    for ((w, new), step) in weights.iter().zip(new_weights).zip(steps) {
        if *w > 0.0 {
            length += (new - w) * (new - w) / w;
        }
        let Some(step) = step else { continue };
        let mut own: f64 = step.mean.iter().map(|m| m * m).sum();
        for a in 0..d {
            for b in 0..a {
                let c = step.covariance[triangle::at(a, b)];
                own += c * c; // twice, halved
            }
            let c = step.covariance[triangle::at(a, a)] - 1.0;
            own += 0.5 * c * c;
        }
        length += w * own;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(covariance_type: CovarianceType, s2: Vec<f64>) -> Statistics {
        let mut sums = Statistics::zero(covariance_type, 1, 2);
        sums.s0 = vec![4.0];
        sums.s1 = vec![2.0, -4.0];
        sums.s2 = s2;
        sums.weight = 4.0;
        sums
    }

    fn component(covariance_type: CovarianceType) -> Components {
        Components {
            covariance_type,
            n_features: 2,
            weights: vec![1.0],
            means: vec![0.0, 0.0],
            factors: vec![1.0, 0.0, 1.0],
        }
    }

    #[test]
    fn each_type_takes_its_own_second_moments() {
        // S2 = [[8, 1], [1, 12]], m = (½, −1): C = [[1.75, 0.75], [0.75, 2]].
        let cases = [
            (
                CovarianceType::Full,
                vec![8.0, 1.0, 12.0],
                [1.75, 0.75, 2.0],
            ),
            (
                CovarianceType::Tied,
                vec![8.0, 1.0, 12.0],
                [1.75, 0.75, 2.0],
            ),
            (CovarianceType::Diag, vec![8.0, 12.0], [1.75, 0.0, 2.0]),
            (CovarianceType::Spherical, vec![20.0], [1.875, 0.0, 1.875]),
        ];
        for (kind, s2, expected) in cases {
            let steps = steps(&component(kind), &statistics(kind, s2), None);
            let step = steps[0].as_ref().expect("samples");
            assert_eq!(step.mean, [0.5, -1.0]);
            assert_eq!(step.covariance, expected, "{kind:?}");
        }
    }

    #[test]
    fn the_length_of_no_step_is_zero() {
        let step = Some(Step {
            mean: vec![0.0; 2],
            covariance: vec![1.0, 0.0, 1.0],
        });
        assert_eq!(squared_length(&[1.0], &[1.0], &[step], 2), 0.0);
    }
}
