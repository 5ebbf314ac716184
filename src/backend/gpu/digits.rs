//! What single precision can make of rows without losing digits that matter.

use crate::backend::Components;
use crate::mixture::triangle;

/// A rounding error of a sum of products of features, one part of √(Σ_ii Σ_jj), becomes in whitened coordinates at
/// most so many, in the mean over signs: max over rows of U of Σ_i U_ai² Σ_ii, which is 1 where features are
/// uncorrelated and otherwise the largest variance inflation factor. Five of 24 bits may go: what is left, 2⁻¹⁹ of S0
/// for a single sum and less for the sum of many, is what wide rows' scores are good to.
pub const MOST_GROWTH: f64 = 32.0;
/// Coordinates may be made of rows as they are, U x − U μ, while Σ_i U_ai² μ_i² is no larger: rounding of a coordinate,
/// some 2⁻²⁴ of what it is made of, is then below 1e-6.
pub const MOST_FOLDED: f64 = 128.0;

/// What all of a model's components bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digits {
    /// Whether sums of x − μ and of its products can be whitened afterwards.
    pub of_features: bool,
    /// Whether coordinates can be made of rows as they are: means are not far from the origin.
    pub folded: bool,
}

impl Digits {
    /// Nothing.
    pub const NONE: Self = Self {
        of_features: false,
        folded: false,
    };
    /// All.
    pub const ALL: Self = Self {
        of_features: true,
        folded: true,
    };

    /// What the components bear. Those of weight 0 have nothing to sum.
    pub fn of(components: &Components) -> Self {
        let mut digits = Self::ALL;
        for k in (0..components.len()).filter(|&k| components.weights[k] > 0.0) {
            let growth = growth(components, k);
            digits.of_features &= growth.features <= MOST_GROWTH;
            digits.folded &= growth.means <= MOST_FOLDED;
            if digits == Self::NONE {
                break;
            }
        }
        digits
    }

    /// The same with means taken off rows.
    pub fn off_origin(self) -> Self {
        Self {
            folded: false,
            ..self
        }
    }
}

/// How much larger rounding becomes that is seen in whitened coordinates.
#[derive(Clone, Copy, Default)]
pub(super) struct Growth {
    /// What [`MOST_GROWTH`] bounds.
    pub features: f64,
    /// What [`MOST_FOLDED`] bounds.
    pub means: f64,
}

/// The largest of any coordinate of component `k`.
pub(super) fn growth(components: &Components, k: usize) -> Growth {
    let d = components.n_features;
    // Noise is where y = 0.
    if components.noise.is_some() && k == components.gaussians() {
        return Growth::default();
    }
    let mean = components.mean(k);
    if components.covariance_type.is_diagonal() {
        let terms = components.kept_factor(k).iter().zip(mean);
        let squares = terms.map(|(u, mean)| (u * mean).powi(2));
        return Growth {
            features: 1.0,
            means: squares.fold(0.0, f64::max),
        };
    }
    let u = components.factor(k);
    let l = triangle::invert(&u, d);
    let row = |i: usize| &l[triangle::at(i, 0)..=triangle::at(i, i)];
    let variances: Vec<f64> = (0..d).map(|i| row(i).iter().map(|l| l * l).sum()).collect();
    let squares: Vec<f64> = mean.iter().map(|mean| mean * mean).collect();
    let mut growth = Growth::default();
    for a in 0..d {
        let u = &u[triangle::at(a, 0)..=triangle::at(a, a)];
        let seen = |of: &[f64]| u.iter().zip(of).map(|(u, of)| u * u * of).sum::<f64>();
        growth.features = growth.features.max(seen(&variances));
        growth.means = growth.means.max(seen(&squares));
    }
    growth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::CovarianceType::{self, Diag, Full, Spherical};

    /// Two components of variance 1 and a correlation, whose means are so far from the origin in each of two features.
    fn components(covariance_type: CovarianceType, correlation: f64, mean: f64) -> Components {
        let mut components = Components {
            noise: None,
            covariance_type,
            n_features: 2,
            weights: vec![0.5; 2],
            means: vec![0.0, 0.0, mean, -mean],
            factors: vec![0.0; 2 * covariance_type.factor_len(2)],
        };
        let covariance = [1.0, correlation, 1.0];
        let factor = triangle::invert(&triangle::cholesky(&covariance, 2).expect("definite"), 2);
        (0..2).for_each(|k| components.set_factor(k, &factor));
        components
    }

    #[test]
    fn means_near_the_origin_are_folded() {
        // 11.3² is below 128, 11.4² is above.
        for t in [Full, Diag, Spherical] {
            let folded = |mean| Digits::of(&components(t, 0.0, mean)).folded;
            assert_eq!([11.3, 11.4].map(folded), [true, false]);
        }
        // The second row of U is (-ρ, 1) / √(1 - ρ²): with ρ = 0.6 2.125 μ² counts.
        let folded = |mean| Digits::of(&components(Full, 0.6, mean)).folded;
        assert_eq!([7.7, 7.8].map(folded), [true, false]);
    }

    #[test]
    fn correlation_costs_sums_of_features_their_digits() {
        // Growth is (1 + ρ²) / (1 - ρ²), wherever the means are.
        let of_features = |rho, mean| Digits::of(&components(Full, rho, mean)).of_features;
        assert_eq!([0.96, 0.97].map(|rho| of_features(rho, 0.0)), [true, false]);
        assert!(of_features(0.96, 100.0));
    }

    #[test]
    fn a_component_without_weight_has_no_say() {
        let mut components = components(Full, 0.99, 100.0);
        components.weights = vec![1.0, 0.0];
        components.set_factor(0, &triangle::identity(2));
        assert_eq!(Digits::of(&components), Digits::ALL);
    }
}
