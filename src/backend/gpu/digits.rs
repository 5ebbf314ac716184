//! Of what rows may be summed without loss of digits that whitening would miss.

use crate::backend::Components;
use crate::mixture::triangle;

/// A rounding error of a sum of products of features, one part of √(Σ_ii Σ_jj), becomes in whitened coordinates at
/// most so many, in the mean over signs: max over rows of U of Σ_i U_ai² Σ_ii, which is 1 where features are
/// uncorrelated and otherwise the largest variance inflation factor. Of rows as they are Σ_ii + μ_i² stands in the
/// place of Σ_ii. Five of 24 bits may go: what is left, 2⁻¹⁹ of S0 for
/// a single sum and less for the sum of many, is what wide rows' scores are good to.
pub const MOST_GROWTH: f64 = 32.0;

/// What all of a model's components can be summed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digits {
    /// Whitened coordinates alone.
    Coordinates,
    /// Differences x − μ, too.
    Differences,
    /// Rows as they are, too: means are near the origin.
    Rows,
}

impl Digits {
    /// What the components can be summed of. Those of weight 0 have nothing to sum.
    pub fn of(components: &Components) -> Self {
        let mut least = Self::Rows;
        for k in (0..components.len()).filter(|&k| components.weights[k] > 0.0) {
            let own = match growth(components, k).map(|growth| growth <= MOST_GROWTH) {
                [true, _] => Self::Rows,
                [_, true] => Self::Differences,
                _ => return Self::Coordinates,
            };
            least = least.min(own);
        }
        least
    }
}

/// What [`MOST_GROWTH`] bounds, of component `k`: of rows as they are, and of differences.
pub(super) fn growth(components: &Components, k: usize) -> [f64; 2] {
    let d = components.n_features;
    // Noise is where y = 0.
    if components.noise.is_some() && k == components.gaussians() {
        return [0.0; 2];
    }
    let mean = components.mean(k);
    if components.covariance_type.is_diagonal() {
        let factor = components.kept_factor(k);
        let squares = factor.iter().zip(mean).map(|(u, m)| (u * m).powi(2));
        return [1.0 + squares.fold(0.0, f64::max), 1.0];
    }
    let u = components.factor(k);
    let l = triangle::invert(&u, d);
    let variance = |i: usize| (0..=i).map(|j| l[triangle::at(i, j)].powi(2)).sum::<f64>();
    let variances: Vec<f64> = (0..d).map(variance).collect();
    let row = |a: usize| {
        (0..=a).fold([0.0; 2], |[rows, differences], i| {
            let square = u[triangle::at(a, i)].powi(2);
            let difference = square * variances[i];
            [
                rows + difference + square * mean[i].powi(2),
                differences + difference,
            ]
        })
    };
    (0..d).map(row).fold([0.0; 2], |most, row| {
        [most[0].max(row[0]), most[1].max(row[1])]
    })
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
    fn means_near_the_origin_may_stay_in_the_sums() {
        // 1 + 5.5² is below 32, 1 + 5.6² is above.
        for t in [Full, Diag, Spherical] {
            assert_eq!(Digits::of(&components(t, 0.0, 5.5)), Digits::Rows);
            assert_eq!(Digits::of(&components(t, 0.0, 5.6)), Digits::Differences);
        }
    }

    #[test]
    fn correlation_costs_digits_and_means_count_with_it() {
        // The second row of U is (-ρ, 1) / √(1 - ρ²): growth is (1 + ρ²) / (1 - ρ²), of rows (1 + μ²) times that.
        let of = |correlation, mean| Digits::of(&components(Full, correlation, mean));
        assert_eq!(of(0.6, 3.7), Digits::Rows);
        assert_eq!(of(0.6, 3.8), Digits::Differences);
        assert_eq!(of(0.96, 0.0), Digits::Rows);
        assert_eq!(of(0.97, 0.0), Digits::Coordinates);
    }

    #[test]
    fn a_component_without_weight_has_no_say() {
        let mut components = components(Full, 0.99, 100.0);
        components.weights = vec![1.0, 0.0];
        components.set_factor(0, &triangle::identity(2));
        assert_eq!(Digits::of(&components), Digits::Rows);
    }
}
