//! What single precision can make of rows without losing digits that matter.

use crate::backend::Components;
use crate::mixture::triangle;

/// A rounding error of a sum of products of features, one part of √(Σ_ii Σ_jj), becomes in whitened coordinates at
/// most so many, in the mean over signs: max over rows of U of Σ_i U_ai² Σ_ii, which is 1 where features are
/// uncorrelated and otherwise the largest variance inflation factor. Of rows as they are Σ_ii + μ_i² stands in the
/// place of Σ_ii. Five of 24 bits may go: what is left, 2⁻¹⁹ of S0 for
/// a single sum and less for the sum of many, is what wide rows' scores are good to.
pub const MOST_GROWTH: f64 = 32.0;
/// Coordinates may be made of rows as they are, U x − U μ, while Σ_i U_ai² μ_i² is no larger: rounding of a coordinate,
/// some 2⁻²⁴ of what it is made of, is then below 1e-6.
pub const MOST_FOLDED: f64 = 128.0;

/// What all of a model's components bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digits {
    /// What can be summed.
    pub sums: Summands,
    /// Whether coordinates can be made of rows as they are: means are not far from the origin.
    pub folded: bool,
}

/// Of what sums keep their digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Summands {
    /// Whitened coordinates alone.
    Coordinates,
    /// Differences x − μ, too.
    Differences,
    /// Rows as they are, too: means are near the origin.
    Rows,
}

impl Digits {
    /// The least.
    pub const COORDINATES: Self = Self {
        sums: Summands::Coordinates,
        folded: false,
    };
    /// Where means are far.
    pub const DIFFERENCES: Self = Self {
        sums: Summands::Differences,
        folded: false,
    };
    /// All.
    pub const ROWS: Self = Self {
        sums: Summands::Rows,
        folded: true,
    };

    /// What the components bear. Those of weight 0 have nothing to sum.
    pub fn of(components: &Components) -> Self {
        let mut least = Self::ROWS;
        for k in (0..components.len()).filter(|&k| components.weights[k] > 0.0) {
            let Growth {
                means,
                differences,
                rows,
            } = growth(components, k);
            let own = match [rows, differences].map(|growth| growth <= MOST_GROWTH) {
                [true, _] => Summands::Rows,
                [_, true] => Summands::Differences,
                _ => Summands::Coordinates,
            };
            least = least.and(Self {
                sums: own,
                folded: means <= MOST_FOLDED,
            });
            if least == Self::COORDINATES {
                break;
            }
        }
        least
    }

    /// What those bear that bear both.
    pub fn and(self, other: Self) -> Self {
        Self {
            sums: self.sums.min(other.sums),
            folded: self.folded && other.folded,
        }
    }
}

/// How much larger rounding becomes that is seen in whitened coordinates: what [`MOST_FOLDED`] bounds, and what
/// [`MOST_GROWTH`] does.
#[derive(Clone, Copy, Default)]
pub(super) struct Growth {
    /// Σ_i U_ai² μ_i².
    pub means: f64,
    /// Σ_i U_ai² Σ_ii.
    pub differences: f64,
    /// Their sum.
    pub rows: f64,
}

impl Growth {
    /// Of another term.
    fn plus(self, square: f64, mean: f64, variance: f64) -> Self {
        Self {
            means: self.means + square * mean * mean,
            differences: self.differences + square * variance,
            rows: self.rows + square * (mean * mean + variance),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            means: self.means.max(other.means),
            differences: self.differences.max(other.differences),
            rows: self.rows.max(other.rows),
        }
    }
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
        return terms
            .map(|(u, mean)| Growth::default().plus(u * u, *mean, 1.0 / (u * u)))
            .fold(Growth::default(), Growth::max);
    }
    let u = components.factor(k);
    let l = triangle::invert(&u, d);
    let variance = |i: usize| (0..=i).map(|j| l[triangle::at(i, j)].powi(2)).sum::<f64>();
    let variances: Vec<f64> = (0..d).map(variance).collect();
    let row = |a: usize| {
        (0..=a).fold(Growth::default(), |growth, i| {
            growth.plus(u[triangle::at(a, i)].powi(2), mean[i], variances[i])
        })
    };
    (0..d).map(row).fold(Growth::default(), Growth::max)
}

#[cfg(test)]
mod tests {
    use super::Summands::{Coordinates, Differences, Rows};
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
            let sums = |mean| Digits::of(&components(t, 0.0, mean)).sums;
            assert_eq!([5.5, 5.6].map(sums), [Rows, Differences]);
            // 11.3² is below 128, 11.4² is above.
            let folded = |mean| Digits::of(&components(t, 0.0, mean)).folded;
            assert_eq!([11.3, 11.4].map(folded), [true, false]);
        }
    }

    #[test]
    fn correlation_costs_digits_and_means_count_with_it() {
        // The second row of U is (-ρ, 1) / √(1 - ρ²): growth is (1 + ρ²) / (1 - ρ²), of rows (1 + μ²) times that.
        let of = |correlation, mean| Digits::of(&components(Full, correlation, mean));
        assert_eq!(
            [3.7, 3.8].map(|mean| of(0.6, mean).sums),
            [Rows, Differences]
        );
        assert_eq!(
            [0.96, 0.97].map(|rho| of(rho, 0.0).sums),
            [Rows, Coordinates]
        );
        // Coordinates do not feel it: of the means alone 2.125 μ² counts.
        assert_eq!([7.7, 7.8].map(|mean| of(0.6, mean).folded), [true, false]);
        assert!(of(0.97, 0.0).folded);
    }

    #[test]
    fn a_component_without_weight_has_no_say() {
        let mut components = components(Full, 0.99, 100.0);
        components.weights = vec![1.0, 0.0];
        components.set_factor(0, &triangle::identity(2));
        assert_eq!(Digits::of(&components), Digits::ROWS);
    }
}
