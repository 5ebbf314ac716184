//! Coordinates of a mixture in which EM's complete-data information is the identity.
//!
//! About an anchor (w₀, μ₀, U₀) a mixture is, component by component, √w₀ (log w − log w₀), √w₀ m with
//! m = U₀(μ − μ₀), and the entries of H = U U₀⁻¹: √(2 w₀) log H_ii and √w₀ H_ij. A covariance cannot leave the
//! positive definite ones, and to first order an EM step is the negative gradient of the mean negative
//! log-likelihood f, which comes from the same sums as EM's own step.

use crate::backend::{Components, Statistics};
use crate::mixture::{CovarianceType, triangle};

/// The coordinates about one mixture: per component log weight, mean and shape, and last a shape that all share
/// (tied). The mean and shape of a noise component stay as they are; so does a component of weight 0.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    anchor: Components,
    /// U₀⁻¹ of each Gaussian.
    inverse_factors: Vec<Vec<f64>>,
    /// What parameters are multiplied by; 0 for one that stays as it is.
    scales: Vec<f64>,
}

/// Where the coordinates of a covariance type stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    covariance_type: CovarianceType,
    d: usize,
    gaussians: usize,
    components: usize,
}

impl Layout {
    pub(super) fn of(components: &Components) -> Self {
        Self {
            covariance_type: components.covariance_type,
            d: components.n_features,
            gaussians: components.gaussians(),
            components: components.len(),
        }
    }

    /// That of `k` Gaussians of `d` features, with a noise component or without.
    pub(super) fn new(covariance_type: CovarianceType, d: usize, k: usize, noise: bool) -> Self {
        Self {
            covariance_type,
            d,
            gaussians: k,
            components: k + usize::from(noise),
        }
    }

    pub(super) fn covariance_type(self) -> CovarianceType {
        self.covariance_type
    }

    /// D.
    pub(super) fn n_features(self) -> usize {
        self.d
    }

    /// Components but for noise.
    pub(super) fn gaussians(self) -> usize {
        self.gaussians
    }

    /// How many coordinates a shape has.
    fn shape(self) -> usize {
        match self.covariance_type {
            CovarianceType::Full | CovarianceType::Tied => triangle::packed_len(self.d),
            CovarianceType::Diag => self.d,
            CovarianceType::Spherical => 1,
        }
    }

    /// How many coordinates a Gaussian has of its own.
    pub(super) fn own(self) -> usize {
        1 + self.d + self.shape() - self.shared()
    }

    /// How many coordinates all Gaussians share.
    pub(super) fn shared(self) -> usize {
        match self.covariance_type {
            CovarianceType::Tied => self.shape(),
            _ => 0,
        }
    }

    /// How many coordinates there are.
    pub(super) fn len(self) -> usize {
        self.gaussians * self.own() + self.shared() + self.components - self.gaussians
    }

    /// Where component `k`'s log weight stands; its mean and its own shape follow.
    pub(super) fn first(self, k: usize) -> usize {
        k * self.own()
    }

    /// Where the shape of component `k` stands.
    pub(super) fn shape_of(self, k: usize) -> usize {
        match self.covariance_type {
            CovarianceType::Tied => self.len() - self.shared(),
            _ => self.first(k) + 1 + self.d,
        }
    }
}

impl Chart {
    /// The coordinates about these components.
    pub(super) fn about(anchor: &Components) -> Self {
        let layout = Layout::of(anchor);
        let d = layout.d;
        let mut scales = vec![0.0; layout.len()];
        let gaussian_weight: f64 = anchor.weights[..layout.gaussians].iter().sum();
        for (k, weight) in anchor.weights.iter().enumerate() {
            scales[layout.first(k)] = weight.sqrt();
            if k >= layout.gaussians {
                continue;
            }
            let mean = layout.first(k) + 1;
            scales[mean..mean + d].fill(weight.sqrt());
            let tied = layout.covariance_type == CovarianceType::Tied;
            let root = if tied { gaussian_weight } else { *weight }.sqrt();
            let shape = layout.shape_of(k);
            match layout.covariance_type {
                CovarianceType::Full | CovarianceType::Tied => {
                    scales[shape..shape + layout.shape()].fill(root);
                    (0..d).for_each(|i| scales[shape + triangle::at(i, i)] *= 2.0f64.sqrt());
                }
                CovarianceType::Diag => scales[shape..shape + d].fill(2.0f64.sqrt() * root),
                CovarianceType::Spherical => scales[shape] = (2.0 * d as f64).sqrt() * root,
            }
        }
        Self {
            inverse_factors: (0..layout.gaussians)
                .map(|k| triangle::invert(&anchor.factor(k), d))
                .collect(),
            scales,
            anchor: anchor.clone(),
        }
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::of(&self.anchor)
    }

    /// What parameters are multiplied by to give coordinates; 0 for one that stays as it is.
    pub(super) fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// H = U U₀⁻¹ of component `k`.
    fn relative_factor(&self, components: &Components, k: usize) -> Vec<f64> {
        triangle::multiply(
            &components.factor(k),
            &self.inverse_factors[k],
            components.n_features,
        )
    }

    /// The coordinates of a mixture.
    pub(super) fn coordinates(&self, components: &Components) -> Vec<f64> {
        let layout = self.layout();
        let d = layout.d;
        let mut z = vec![0.0; layout.len()];
        for (k, weight) in components.weights.iter().enumerate() {
            let first = layout.first(k);
            if self.scales[first] == 0.0 {
                continue;
            }
            z[first] = (weight.max(f64::MIN_POSITIVE) / self.anchor.weights[k]).ln();
            if k >= layout.gaussians {
                continue;
            }
            let away: Vec<f64> = components
                .mean(k)
                .iter()
                .zip(self.anchor.mean(k))
                .map(|(a, b)| a - b)
                .collect();
            z[first + 1..=first + d].copy_from_slice(&self.anchor.apply_factor(k, &away));
            let shape = layout.shape_of(k);
            match layout.covariance_type {
                CovarianceType::Full | CovarianceType::Tied => {
                    let relative = self.relative_factor(components, k);
                    z[shape..shape + relative.len()].copy_from_slice(&relative);
                    (0..d).for_each(|i| {
                        let at = shape + triangle::at(i, i);
                        z[at] = z[at].ln();
                    });
                }
                CovarianceType::Diag => {
                    let pairs = components.diagonal(k).zip(self.anchor.diagonal(k));
                    for (z, (u, anchor)) in z[shape..].iter_mut().zip(pairs) {
                        *z = (u / anchor).ln();
                    }
                }
                CovarianceType::Spherical => {
                    z[shape] = (components.kept_factor(k)[0] / self.anchor.kept_factor(k)[0]).ln();
                }
            }
        }
        z.iter_mut().zip(&self.scales).for_each(|(z, s)| *z *= s);
        z
    }

    /// The mixture at these coordinates; `None` where f64 cannot hold it.
    pub(super) fn components(&self, coordinates: &[f64]) -> Option<Components> {
        let layout = self.layout();
        let d = layout.d;
        let z = self.parameters(coordinates);
        let mut components = self.anchor.clone();
        for k in 0..layout.components {
            let first = layout.first(k);
            components.weights[k] *= z[first].exp();
            if k >= layout.gaussians {
                continue;
            }
            let moved = triangle::apply(&self.inverse_factors[k], &z[first + 1..=first + d]);
            let means = &mut components.means[k * d..(k + 1) * d];
            means.iter_mut().zip(moved).for_each(|(mean, m)| *mean += m);
            let shape = layout.shape_of(k);
            let mut relative = vec![0.0; triangle::packed_len(d)];
            match layout.covariance_type {
                CovarianceType::Full | CovarianceType::Tied => {
                    relative.copy_from_slice(&z[shape..shape + triangle::packed_len(d)]);
                    (0..d).for_each(|i| {
                        let at = triangle::at(i, i);
                        relative[at] = relative[at].exp();
                    });
                }
                CovarianceType::Diag => {
                    (0..d).for_each(|i| relative[triangle::at(i, i)] = z[shape + i].exp());
                }
                CovarianceType::Spherical => {
                    (0..d).for_each(|i| relative[triangle::at(i, i)] = z[shape].exp());
                }
            }
            let factor = triangle::multiply(&relative, &self.anchor.factor(k), d);
            components.set_factor(k, &factor);
        }
        let sum: f64 = components.weights.iter().sum();
        components.weights.iter_mut().for_each(|w| *w /= sum);
        let numbers = [&components.weights, &components.means, &components.factors];
        numbers
            .iter()
            .all(|all| all.iter().all(|x| x.is_finite()))
            .then_some(components)
    }

    /// The gradient of f = −mean log-likelihood at `components`, from their statistics.
    pub(super) fn gradient(&self, components: &Components, statistics: &Statistics) -> Vec<f64> {
        let layout = self.layout();
        let d = layout.d;
        let total: f64 = statistics.s0.iter().sum();
        let gaussian_total: f64 = statistics.s0[..layout.gaussians].iter().sum();
        let mut gradient = vec![0.0; layout.len()];
        for (k, weight) in components.weights.iter().enumerate() {
            let first = layout.first(k);
            let s0 = statistics.s0[k];
            gradient[first] = weight - s0 / total;
            if k >= layout.gaussians {
                continue;
            }
            let s1 = &statistics.s1[k * d..(k + 1) * d];
            let relative = self.relative_factor(components, k);
            for j in 0..d {
                let sum: f64 = (j..d).map(|i| relative[triangle::at(i, j)] * s1[i]).sum();
                gradient[first + 1 + j] = -sum / total;
            }
            let shape = layout.shape_of(k);
            let length = triangle::packed_len(d);
            match layout.covariance_type {
                CovarianceType::Full => {
                    let second = &statistics.s2[k * length..(k + 1) * length];
                    shape_gradient(
                        second,
                        s0,
                        &relative,
                        d,
                        total,
                        &mut gradient[shape..shape + length],
                    );
                }
                // All factors are the same.
                CovarianceType::Tied if k == 0 => {
                    shape_gradient(
                        &statistics.s2,
                        gaussian_total,
                        &relative,
                        d,
                        total,
                        &mut gradient[shape..],
                    );
                }
                CovarianceType::Tied => {}
                CovarianceType::Diag => {
                    for i in 0..d {
                        gradient[shape + i] = (statistics.s2[k * d + i] - s0) / total;
                    }
                }
                CovarianceType::Spherical => {
                    gradient[shape] = (statistics.s2[k] - d as f64 * s0) / total;
                }
            }
        }
        for (g, scale) in gradient.iter_mut().zip(&self.scales) {
            *g = if *scale > 0.0 { *g / scale } else { 0.0 };
        }
        gradient
    }

    /// How far a step goes, the largest over weights, means and shapes: 1 is a factor e² in a weight, two standard
    /// deviations of a mean, a factor e in a standard deviation.
    pub(super) fn size(&self, step: &[f64]) -> f64 {
        let layout = self.layout();
        let d = layout.d;
        let z = self.parameters(step);
        let norm = |part: &[f64]| part.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut size = 0.0f64;
        for k in 0..layout.components {
            let first = layout.first(k);
            size = size.max(0.5 * z[first].abs());
            if k >= layout.gaussians {
                continue;
            }
            size = size.max(0.5 * norm(&z[first + 1..=first + d]));
            let shape = &z[layout.shape_of(k)..];
            match layout.covariance_type {
                CovarianceType::Full | CovarianceType::Tied => {
                    for i in 0..d {
                        size = size.max(shape[triangle::at(i, i)].abs());
                        let row = &shape[triangle::at(i, 0)..triangle::at(i, i)];
                        size = size.max(0.5 * norm(row));
                    }
                }
                CovarianceType::Diag => {
                    size = shape[..d].iter().fold(size, |size, x| size.max(x.abs()));
                }
                CovarianceType::Spherical => size = size.max(shape[0].abs()),
            }
        }
        size
    }

    /// Coordinates without their scales.
    fn parameters(&self, coordinates: &[f64]) -> Vec<f64> {
        coordinates
            .iter()
            .zip(&self.scales)
            .map(|(z, s)| if *s > 0.0 { z / s } else { 0.0 })
            .collect()
    }
}

/// The gradient with respect to the entries of H (the logarithms of its diagonal): the lower triangle of
/// (S2 − S0 I) H⁻ᵀ over the total weight, diagonal entries times H_ii.
fn shape_gradient(
    second: &[f64],
    s0: f64,
    relative: &[f64],
    d: usize,
    total: f64,
    gradient: &mut [f64],
) {
    let inverse = triangle::invert(relative, d);
    let mut excess = triangle::unpack_symmetric(second, d);
    (0..d).for_each(|i| excess[i * d + i] -= s0);
    for i in 0..d {
        for j in 0..=i {
            let row = &inverse[triangle::at(j, 0)..=triangle::at(j, j)];
            let sum: f64 = row.iter().zip(&excess[i * d..]).map(|(h, a)| h * a).sum();
            gradient[triangle::at(i, j)] = sum / total;
        }
        gradient[triangle::at(i, i)] *= relative[triangle::at(i, i)];
    }
}

#[cfg(test)]
pub(super) mod tests;
