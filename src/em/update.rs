//! The M-step: update rules that turn statistics into parameters, in whitened coordinates.
//!
//! Every rule starts from the very factors Û and means μ̂ the statistics were taken with: with m = S1/S0 and
//! C = S2/S0 − m mᵀ, entries of order one, the new mean is μ̂ + Û⁻¹ m and the new factor G⁻¹ Û with G Gᵀ the
//! constrained C. Rounding does not build up, since C is measured against the factor in use each time.

use super::freeze::Freeze;
use super::prior::Prior;
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

/// What the steps obey beside the samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// The packed factor of what is added to every covariance (`--reg-covar`), if anything.
    pub(super) ridge: Option<Vec<f64>>,
    /// The prior of means and covariances, if there is one.
    pub(super) prior: Option<Prior>,
    /// What stays as it is.
    pub(super) freeze: Freeze,
}

/// The steps of the Gaussians that maximise the expected log-likelihood (times the prior, if there is one); `None`
/// for a component without samples.
///
/// With the new mean m, the prior's p and its scale Λ as the old parameters see them, the scatter of a component is
/// S2 − S1 mᵀ − m S1ᵀ + S0 m mᵀ + κ (m − p)(m − p)ᵀ + Λ; without a prior and with m = S1/S0 that is S2 − S0 m mᵀ.
pub(super) fn steps(
    components: &Components,
    statistics: &Statistics,
    rules: &Rules,
) -> Vec<Option<Step>> {
    let d = components.n_features;
    let kind = statistics.covariance_type;
    let k_gaussians = components.gaussians();
    let mut steps: Vec<Option<Step>> = (0..k_gaussians)
        .map(|k| {
            let s0 = statistics.s0[k];
            // A share too small for its reciprocal holds no information on means and covariances.
            if s0 < f64::MIN_POSITIVE {
                return None;
            }
            let s1 = &statistics.s1[k * d..(k + 1) * d];
            let seen = rules
                .prior
                .as_ref()
                .map(|prior| Seen::by(components, k, prior));
            let mean = if rules.freeze.mean(k) {
                vec![0.0; d]
            } else {
                match &seen {
                    None => s1.iter().map(|s1| s1 / s0).collect(),
                    Some(seen) => (s1.iter().zip(&seen.mean))
                        .map(|(s1, p)| (s1 + seen.kappa * p) / (s0 + seen.kappa))
                        .collect(),
                }
            };
            // Pooled covariances are divided once all scatters are added.
            let divisor = match (kind, &rules.prior) {
                (CovarianceType::Tied, _) => 1.0,
                (CovarianceType::Spherical, None) => s0 * d as f64,
                (_, None) => s0,
                (_, Some(_)) => Prior::divisor(kind, s0, k_gaussians, d),
            };
            let mut covariance = scatter(statistics, k, &mean);
            if let Some(seen) = &seen {
                seen.add_to(&mut covariance, &mean, kind);
            }
            covariance.iter_mut().for_each(|c| *c /= divisor);
            Some(Step { mean, covariance })
        })
        .collect();
    if kind == CovarianceType::Tied {
        pool(components, statistics, rules, &mut steps);
    }
    for (k, step) in steps.iter_mut().enumerate() {
        let Some(step) = step else { continue };
        if let Some(ridge) = &rules.ridge {
            let seen = triangle::multiply(&components.factor(k), ridge, d);
            for (c, r) in step.covariance.iter_mut().zip(triangle::square(&seen, d)) {
                *c += r;
            }
        }
        if rules.freeze.covariance(k) {
            step.covariance = triangle::identity(d);
        }
    }
    steps
}

/// The scatter of component `k` about the new mean, as its covariance type keeps it; without the second moments
/// where those are pooled.
fn scatter(statistics: &Statistics, k: usize, mean: &[f64]) -> Vec<f64> {
    let d = statistics.n_features;
    let length = triangle::packed_len(d);
    let (s0, s1) = (statistics.s0[k], &statistics.s1[k * d..(k + 1) * d]);
    let about = |a: usize, b: usize| s0 * mean[a] * mean[b] - s1[a] * mean[b] - mean[a] * s1[b];
    let mut scatter = vec![0.0; length];
    match statistics.covariance_type {
        CovarianceType::Full | CovarianceType::Tied => {
            for a in 0..d {
                for b in 0..=a {
                    scatter[triangle::at(a, b)] = about(a, b);
                }
            }
            if statistics.covariance_type == CovarianceType::Full {
                let second = &statistics.s2[k * length..(k + 1) * length];
                scatter.iter_mut().zip(second).for_each(|(c, s2)| *c += s2);
            }
        }
        CovarianceType::Diag => {
            for a in 0..d {
                scatter[triangle::at(a, a)] = statistics.s2[k * d + a] + about(a, a);
            }
        }
        CovarianceType::Spherical => {
            let trace = statistics.s2[k] + (0..d).map(|a| about(a, a)).sum::<f64>();
            (0..d).for_each(|a| scatter[triangle::at(a, a)] = trace);
        }
    }
    scatter
}

/// The prior as a component's old parameters see it.
struct Seen {
    kappa: f64,
    /// U (0 − μ): the samples' mean.
    mean: Vec<f64>,
    /// U Λ Uᵀ, a packed triangle.
    scale: Vec<f64>,
}

impl Seen {
    fn by(components: &Components, k: usize, prior: &Prior) -> Self {
        let d = components.n_features;
        let negative: Vec<f64> = components.mean(k).iter().map(|m| -m).collect();
        Self {
            kappa: prior.kappa,
            mean: components.apply_factor(k, &negative),
            scale: triangle::congruent(&components.factor(k), &prior.scale, d),
        }
    }

    /// Adds κ (m − p)(m − p)ᵀ and, where each component has its own covariance, Λ.
    fn add_to(&self, scatter: &mut [f64], mean: &[f64], kind: CovarianceType) {
        let d = mean.len();
        let away = |a: usize| mean[a] - self.mean[a];
        let pulled = |a: usize, b: usize| self.kappa * away(a) * away(b);
        match kind {
            CovarianceType::Full | CovarianceType::Tied => {
                for a in 0..d {
                    for b in 0..=a {
                        scatter[triangle::at(a, b)] += pulled(a, b);
                    }
                }
                if kind == CovarianceType::Full {
                    scatter
                        .iter_mut()
                        .zip(&self.scale)
                        .for_each(|(c, s)| *c += s);
                }
            }
            CovarianceType::Diag => {
                for a in 0..d {
                    let at = triangle::at(a, a);
                    scatter[at] += pulled(a, a) + self.scale[at];
                }
            }
            CovarianceType::Spherical => {
                let all = (0..d).map(|a| pulled(a, a)).sum::<f64>() + self.scale[0];
                (0..d).for_each(|a| scatter[triangle::at(a, a)] += all);
            }
        }
    }
}

/// One covariance for all: the pooled second moments and the scatters beside them, over their divisor. Not total
/// minus between-scatter, which cancels.
fn pool(
    components: &Components,
    statistics: &Statistics,
    rules: &Rules,
    steps: &mut [Option<Step>],
) {
    let d = statistics.n_features;
    let total: f64 = statistics.s0[..steps.len()].iter().sum();
    let mut pooled = statistics.s2.clone();
    for step in steps.iter().flatten() {
        pooled
            .iter_mut()
            .zip(&step.covariance)
            .for_each(|(p, c)| *p += c);
    }
    let mut divisor = total;
    if let Some(prior) = &rules.prior {
        // All components have the same factor.
        let scale = triangle::congruent(&components.factor(0), &prior.scale, d);
        pooled.iter_mut().zip(&scale).for_each(|(p, s)| *p += s);
        divisor = Prior::divisor(CovarianceType::Tied, total, steps.len(), d);
    }
    pooled.iter_mut().for_each(|c| *c /= divisor);
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
    for (w, new) in weights.iter().zip(new_weights) {
        if *w > 0.0 {
            length += (new - w) * (new - w) / w;
        }
    }
    // A noise component, the last weight, has no other step.
    for (w, step) in weights.iter().zip(steps) {
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
            factors: match covariance_type.is_diagonal() {
                true => vec![1.0, 1.0],
                false => vec![1.0, 0.0, 1.0],
            },
            noise: None,
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
            let steps = steps(&component(kind), &statistics(kind, s2), &Rules::default());
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
