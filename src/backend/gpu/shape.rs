//! How many numbers go to a device and come back, by covariance type. Pure functions of D and K.
//!
//! Diagonal and spherical models read no triangle and keep no products of two features; tied ones share one
//! triangle of second moments between all components.

use super::plan::Tiling;
use crate::backend::Components;
use crate::mixture::{CovarianceType, triangle};

/// D in vec4s.
pub const fn quads(d: usize) -> usize {
    d.div_ceil(4)
}

/// What the kernels of a model depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Which second moments are kept, and whether factors are diagonal.
    pub covariance_type: CovarianceType,
    /// D.
    pub d: usize,
    /// K.
    pub k: usize,
}

impl Shape {
    /// The shape of a model.
    pub fn of(components: &Components) -> Self {
        Self {
            covariance_type: components.covariance_type,
            d: components.n_features,
            k: components.len(),
        }
    }

    /// The same for another number of components.
    pub const fn with(self, k: usize) -> Self {
        Self { k, ..self }
    }

    /// Whether factors are diagonal.
    pub const fn is_diagonal(self) -> bool {
        self.covariance_type.is_diagonal()
    }

    /// Numbers of a component's factor.
    pub const fn factor_len(self) -> usize {
        self.covariance_type.factor_len(self.d)
    }

    /// Whether all features of a component share one second moment: the squared distances.
    pub const fn is_spherical(self) -> bool {
        matches!(self.covariance_type, CovarianceType::Spherical)
    }

    /// Numbers of row `i` of a factor.
    pub const fn row_len(self, i: usize) -> usize {
        if self.is_diagonal() { 1 } else { i + 1 }
    }

    /// Numbers of a component's parameters: mean, factor, remainder, log constant.
    pub const fn parameters_len(self) -> usize {
        2 * self.d + self.factor_len() + 1
    }

    /// F: S0, S1 and the second moments that a component has to itself.
    pub const fn component_len(self) -> usize {
        1 + self.d
            + match self.covariance_type {
                CovarianceType::Full => triangle::packed_len(self.d),
                CovarianceType::Tied => 0,
                CovarianceType::Diag => self.d,
                CovarianceType::Spherical => 1,
            }
    }

    /// The same where no component shares any with others.
    pub const fn component_in_workgroup_len(self) -> usize {
        self.component_len() + self.pooled_len()
    }

    /// Second moments that all components share.
    pub const fn pooled_len(self) -> usize {
        match self.covariance_type {
            CovarianceType::Tied => triangle::packed_len(self.d),
            _ => 0,
        }
    }

    /// All sums over samples: K F, and what is shared.
    pub const fn statistics_len(self) -> usize {
        self.k * self.component_len() + self.pooled_len()
    }

    /// Numbers that an invocation of the registers regime holds at once: the sums, and all components' whitened
    /// coordinates and scores (squares, too, where they are summed), which wait for the responsibilities.
    pub const fn live_len(self) -> usize {
        self.statistics_len() + self.k * (self.d + 1 + self.is_spherical() as usize)
    }

    /// The fewest instructions that a row takes by the formulas, each operation on one number one instruction and a
    /// multiply and add a single one: the roofline of arithmetic. benches/gpu/README.md derives it. Where rows are taken as
    /// they are, near the origin, there is no x − μ.
    pub const fn least_operations(self, near: bool) -> usize {
        let differences = if near { self.d } else { 0 };
        let component = self.least_score() - differences + Self::LEAST_SHARE + self.least_moments();
        // Reads; the largest and the sum; a logarithm, a reciprocal, two sums of logarithms.
        self.d + self.k * component + 2 * (self.k - 1) + 4
    }

    /// x − μ, whitening (the remainder is the first addend), squares, the score.
    pub const fn least_score(self) -> usize {
        2 * self.d + self.factor_len() + 1
    }

    /// The difference from the largest score and its power; r, S0.
    pub const LEAST_SHARE: usize = 4;

    /// r y, S1 and S2; where there is but one square, S1 takes r and y as they are.
    pub const fn least_moments(self) -> usize {
        match self.covariance_type {
            CovarianceType::Full | CovarianceType::Tied => 2 * self.d + self.factor_len(),
            CovarianceType::Diag => 3 * self.d,
            CovarianceType::Spherical => self.d + 1,
        }
    }

    /// vec4s of an entry of eight components' parameters with diagonal factors, a quarter of them padding. Mirrors `struct Octet`.
    pub const OCTET_ENTRY: usize = 4 * 8;

    /// vec4s of all components' parameters in the staged regime: constants, means, remainders, factors.
    pub const fn staged_parameters_len(self) -> usize {
        let q = quads(self.d);
        if self.is_diagonal() {
            self.k.div_ceil(8) * (1 + q) * Self::OCTET_ENTRY
        } else {
            self.k * (1 + 2 * q + 4 * triangle::packed_len(q))
        }
    }

    /// Bytes of scratch memory that a row takes in the staged regime: its scores, and where these come in octets its
    /// normaliser.
    pub const fn scratch_bytes_per_row(self) -> usize {
        if self.is_diagonal() {
            4 * self.k.next_multiple_of(8) + 8
        } else {
            4 * self.k
        }
    }

    /// vec4s of a segment's sums in the staged regime. Per component: S1 and S0, then its tiles of second moments; for
    /// diagonal factors S1, the second moments of features, and S0 with the squared distances.
    pub fn staged_len(self) -> usize {
        let q = quads(self.d);
        self.k
            * match self.covariance_type {
                CovarianceType::Full | CovarianceType::Tied => {
                    let tiling = Tiling::of(self.d);
                    tiling.vec4s(self.d) + 1 + tiling.moments_len(self.d) / 4
                }
                CovarianceType::Diag => 2 * q + 1,
                CovarianceType::Spherical => q + 1,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CovarianceType::{Diag, Full, Spherical, Tied};

    fn shape(covariance_type: CovarianceType, d: usize, k: usize) -> Shape {
        Shape {
            covariance_type,
            d,
            k,
        }
    }

    #[test]
    fn each_type_sums_what_its_update_needs() {
        let statistics = |t| shape(t, 5, 3).statistics_len();
        assert_eq!(
            [Full, Tied, Diag, Spherical].map(statistics),
            [3 * 21, 3 * 6 + 15, 3 * 11, 3 * 7]
        );
        let parameters = |t| shape(t, 5, 3).parameters_len();
        assert_eq!(
            [Full, Tied, Diag, Spherical].map(parameters),
            [26, 26, 16, 16]
        );
    }

    #[test]
    fn staged_sums_are_whole_vec4s() {
        let len = |t, d, k| shape(t, d, k).staged_len();
        // D = 5: two vec4s, a tile of four features and a pair of triangles; D = 32: eight, six of eight and two pairs.
        assert_eq!(len(Full, 5, 3), 3 * (2 + 1 + 4 + 5));
        assert_eq!(len(Full, 32, 3), 3 * (8 + 1 + 6 * 16 + 2 * 18));
        assert_eq!(len(Diag, 5, 3), 3 * (2 + 2 + 1));
        assert_eq!(len(Spherical, 5, 3), 3 * (2 + 1));
        assert_eq!(len(Spherical, 16, 3), 3 * (4 + 1));
        assert_eq!(len(Tied, 5, 9), len(Full, 5, 9));
    }
}
