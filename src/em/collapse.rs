//! Covariances that shrink to nothing: found, floored, and told apart from healthy ones.
//!
//! The likelihood of a Gaussian mixture grows without bound where a component settles on too few distinct
//! points. A component has collapsed when its covariance is below the floor in some direction: 1e-12 of the
//! global variance, or the variance that rounding to a grid (integers, tenths) leaves.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::mixture::triangle;

/// How far below the floor rounding the factor to single precision can take a floored covariance.
const ROUNDING: f64 = 1e-3;

/// The smallest covariance allowed, F = L_F L_Fᵀ, in standardised units.
#[derive(Clone, Debug)]
pub(super) struct Floor {
    factor: Vec<f64>,
    d: usize,
}

impl Floor {
    /// A floor from its packed factor L_F.
    pub(super) fn new(factor: Vec<f64>, d: usize) -> Self {
        Self { factor, d }
    }

    /// Whether Σ = U⁻¹U⁻ᵀ is below the floor in some direction: the largest eigenvalue of U F Uᵀ exceeds 1.
    pub(super) fn is_below(&self, factor: &[f64]) -> bool {
        let seen = triangle::multiply(factor, &self.factor, self.d);
        // The trace bounds the largest eigenvalue and settles nearly all cases.
        if seen.iter().map(|x| x * x).sum::<f64>() <= 1.0 {
            return false;
        }
        let square = triangle::unpack_symmetric(&triangle::square(&seen, self.d), self.d);
        let matrix = DMatrix::from_row_slice(self.d, self.d, &square);
        SymmetricEigen::new(matrix).eigenvalues.max() > 1.0 + ROUNDING
    }

    /// The covariance C, seen from the old factor Û (Σ = Û⁻¹ C Û⁻ᵀ), with its eigenvalues raised to the floor
    /// in the floor's own metric; this maximises the expected log-likelihood under Σ ⪰ F. Returns the new factor
    /// U, packed, or `None` if C is not finite.
    pub(super) fn raise(&self, covariance: &[f64], old_factor: &[f64]) -> Option<Vec<f64>> {
        let d = self.d;
        if covariance.iter().any(|c| !c.is_finite()) {
            return None;
        }
        // B = N C Nᵀ with N = (Û L_F)⁻¹ is the covariance in units of the floor.
        let n = triangle::invert(&triangle::multiply(old_factor, &self.factor, d), d);
        let n = DMatrix::from_row_slice(d, d, &lower(&n, d));
        let c = DMatrix::from_row_slice(d, d, &triangle::unpack_symmetric(covariance, d));
        let b = &n * c * n.transpose();
        if b.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let eigen = SymmetricEigen::new((&b + b.transpose()) * 0.5);
        let raised = eigen.eigenvalues.map(|x| x.max(1.0));
        let b =
            &eigen.eigenvectors * DMatrix::from_diagonal(&raised) * eigen.eigenvectors.transpose();
        let packed: Vec<f64> = (0..d)
            .flat_map(|i| (0..=i).map(move |j| (i, j)))
            .map(|ij| b[ij])
            .collect();
        let root = triangle::cholesky(&packed, d).ok()?;
        Some(triangle::invert(
            &triangle::multiply(&self.factor, &root, d),
            d,
        ))
    }
}

/// A packed lower triangle as a full row-major matrix, zeros above.
fn lower(packed: &[f64], d: usize) -> Vec<f64> {
    let mut full = vec![0.0; d * d];
    for i in 0..d {
        full[i * d..=i * d + i].copy_from_slice(&packed[triangle::at(i, 0)..=triangle::at(i, i)]);
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directions_below_the_floor_are_raised() {
        let floor = Floor::new(vec![0.1, 0.0, 0.1], 2);
        let identity = [1.0, 0.0, 1.0];
        assert!(!floor.is_below(&identity));
        // Variance 4 in one direction, 1e-6 in the other: the second becomes 0.01.
        let factor = floor.raise(&[4.0, 0.0, 1e-6], &identity).expect("finite");
        assert!((factor[0] - 0.5).abs() < 1e-12 && (factor[2] - 10.0).abs() < 1e-9);
        assert!(!floor.is_below(&factor));
        assert!(floor.is_below(&[0.5, 0.0, 1e3]));
    }

    #[test]
    fn a_singular_covariance_gets_a_factor() {
        let floor = Floor::new(vec![1e-3, 0.0, 1e-3], 2);
        let factor = floor
            .raise(&[1.0, 1.0, 1.0], &[1.0, 0.0, 1.0])
            .expect("finite");
        assert!(factor.iter().all(|x| x.is_finite()) && !floor.is_below(&factor));
        assert!(
            floor
                .raise(&[f64::NAN, 0.0, 1.0], &[1.0, 0.0, 1.0])
                .is_none()
        );
    }
}
