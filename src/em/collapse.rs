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
        self.largest_exceeds(factor, 1.0 + ROUNDING)
    }

    /// Whether Σ is at the floor in some direction, or below it.
    pub(super) fn is_reached(&self, factor: &[f64]) -> bool {
        self.largest_exceeds(factor, 1.0 - ROUNDING)
    }

    /// Whether the largest eigenvalue of U F Uᵀ exceeds a number near 1.
    fn largest_exceeds(&self, factor: &[f64], limit: f64) -> bool {
        let seen = triangle::multiply(factor, &self.factor, self.d);
        // The largest eigenvalue lies between a D-th of the trace and the trace, which settles nearly all cases, and
        // keeps numbers whose squares would overflow, or are NaN, from the eigenvalues' sweeps.
        let trace: f64 = seen.iter().map(|x| x * x).sum();
        if trace <= limit {
            return false;
        }
        let settled = 2.0 * self.d as f64;
        if trace.is_nan() || trace > settled {
            return true;
        }
        let square = triangle::unpack_symmetric(&triangle::square(&seen, self.d), self.d);
        let matrix = DMatrix::from_row_slice(self.d, self.d, &square);
        SymmetricEigen::new(matrix).eigenvalues.max() > limit
    }

    /// The covariance C, seen from the old factor Û (Σ = Û⁻¹ C Û⁻ᵀ), with its eigenvalues raised to the floor in
    /// the floor's own metric; this maximises the expected log-likelihood under Σ ⪰ F. `None` if C is not finite.
    ///
    /// With F′ = Û F Ûᵀ the floor as Û sees it and C + F′ = G Gᵀ, the eigenvalues α of G⁻¹ F′ G⁻ᵀ lie in [0, 1]: C is
    /// 1 − α of the sum in that direction and the floor α, so C is below where α > ½. All numbers are of order
    /// one even where C is singular or the floor tiny. The raised covariance is never formed: what comes back is
    /// its Cholesky factor, made from the factors, for where C is far above the floor in some directions and
    /// below it in others, its entries could not hold the floor's digits.
    pub(super) fn raise(&self, covariance: &[f64], old_factor: &[f64]) -> Option<Vec<f64>> {
        let d = self.d;
        if covariance.iter().any(|c| !c.is_finite()) {
            return None;
        }
        let seen = triangle::multiply(old_factor, &self.factor, d);
        let floor = triangle::square(&seen, d);
        let root = add_and_factor(covariance, &floor, d)
            .or_else(|| add_and_factor(&without_negative(covariance, d), &floor, d))?;
        let relative = triangle::square(&triangle::solve_triangle(&root, &seen, d), d);
        let relative = DMatrix::from_row_slice(d, d, &triangle::unpack_symmetric(&relative, d));
        let eigen = SymmetricEigen::new(relative);
        let kept = eigen.eigenvalues.map(|alpha| alpha.max(1.0 - alpha));
        let root = DMatrix::from_row_slice(d, d, &lower(&root, d));
        let half = root * &eigen.eigenvectors * DMatrix::from_diagonal(&kept.map(f64::sqrt));
        let factor = lower_factor(&half);
        factor.iter().all(|x| x.is_finite()).then_some(factor)
    }
}

/// The Cholesky factor of C + F′.
fn add_and_factor(covariance: &[f64], floor: &[f64], d: usize) -> Option<Vec<f64>> {
    let sum: Vec<f64> = covariance.iter().zip(floor).map(|(c, f)| c + f).collect();
    triangle::cholesky(&sum, d).ok()
}

/// C with eigenvalues of at least a rounding error: those that rounding of the sums made negative are none.
fn without_negative(covariance: &[f64], d: usize) -> Vec<f64> {
    let full = DMatrix::from_row_slice(d, d, &triangle::unpack_symmetric(covariance, d));
    let eigen = SymmetricEigen::new(full);
    let smallest = eigen.eigenvalues.amax() * 4.0 * d as f64 * f64::EPSILON;
    let values = DMatrix::from_diagonal(&eigen.eigenvalues.map(|x| x.max(smallest)));
    let raised = &eigen.eigenvectors * values * eigen.eigenvectors.transpose();
    packed(&raised)
}

/// The packed G, lower triangular with a positive diagonal, of G Gᵀ = H Hᵀ.
fn lower_factor(half: &DMatrix<f64>) -> Vec<f64> {
    let mut factor = half.transpose().qr().r().transpose();
    for j in 0..factor.ncols() {
        if factor[(j, j)] < 0.0 {
            factor.column_mut(j).neg_mut();
        }
    }
    packed(&factor)
}

/// The packed lower triangle of a matrix.
fn packed(matrix: &DMatrix<f64>) -> Vec<f64> {
    (0..matrix.nrows())
        .flat_map(|i| (0..=i).map(move |j| (i, j)))
        .map(|ij| matrix[ij])
        .collect()
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

    /// A covariance seen from the factor `old`, raised, and the factor U that it makes.
    fn raise(floor: &Floor, covariance: &[f64], old: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let g = floor.raise(covariance, old).expect("finite");
        (
            triangle::square(&g, 2),
            triangle::solve_triangle(&g, old, 2),
        )
    }

    #[test]
    fn only_the_directions_below_the_floor_are_raised() {
        let floor = Floor::new(vec![0.1, 0.0, 0.1], 2);
        let identity = [1.0, 0.0, 1.0];
        assert!(!floor.is_below(&identity));
        // Variance 4 in one direction, 1e-6 in the other: the second becomes 0.01.
        let (raised, factor) = raise(&floor, &[4.0, 0.0, 1e-6], &identity);
        assert!((raised[0] - 4.0).abs() < 1e-12 && (raised[2] - 0.01).abs() < 1e-12);
        assert!(!floor.is_below(&factor));
        assert!(floor.is_reached(&factor) && !floor.is_reached(&[9.0, 0.0, 9.0]));
        assert!(floor.is_below(&[0.5, 0.0, 1e3]));
        assert!(floor.is_below(&[0.5, 0.0, 1e200]));
        assert!(floor.is_below(&[f64::NAN, 0.0, 1.0]));
    }

    /// Of random data: one row's value 1e26 times all others', a component on these.
    #[test]
    fn a_covariance_beyond_squares_is_below_the_floor() {
        let floor = Floor::new(
            vec![1e-6, 0.0, 1e-6, 0.0, 0.0, 1e-6, 0.0, 0.0, 0.0, 1e-6],
            4,
        );
        let factor = [
            8.100415279235839e80,
            -9641311434864.754,
            0.7386800893967511,
            -41580261604747.81,
            1.1246561097939034,
            5.663279708376226,
            -37761547348501.52,
            -0.4784840813125392,
            4.002455553223268,
            0.7461223492092535,
        ];
        assert!(floor.is_below(&factor));
    }

    #[test]
    fn a_singular_covariance_gets_a_factor_and_keeps_it() {
        let floor = Floor::new(vec![1e-6, 0.0, 1e-6], 2);
        let identity = [1.0, 0.0, 1.0];
        let (_, first) = raise(&floor, &[1.0, 1.0, 1.0], &identity);
        assert!(!floor.is_below(&first));
        // Along (1, 1)/√2 the variance is 2, across it the floor's 1e-12: U has the determinant of the two.
        let determinant = first[0] * first[2] * (2.0_f64 * 1e-12).sqrt();
        assert!((determinant - 1.0).abs() < 1e-9, "{determinant}");
        // Seen from the floored factor the same covariance is diag(1, 0): raised again, nothing moves.
        let seen = triangle::square(&triangle::multiply(&first, &[1.0, 1.0, 0.0], 2), 2);
        let (again, _) = raise(&floor, &seen, &first);
        for (x, expected) in again.iter().zip(identity) {
            assert!((x - expected).abs() < 1e-9, "{again:?}");
        }
        assert!(floor.raise(&[f64::NAN, 0.0, 1.0], &identity).is_none());
    }
}
