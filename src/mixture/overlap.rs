//! How much components have in common, and how many there are in effect.

use rayon::prelude::*;

use super::{CovarianceType, Mixture, triangle};

impl Mixture {
    /// Bhattacharyya's coefficient of components `a` and `b`, ∫ √(p_a p_b): 1 for equal components, 0 for
    /// components that share no place. Weights play no part.
    ///
    /// # Examples
    /// ```
    /// use wgmm::mixture::{Covariances, Mixture};
    /// let two = Mixture::new(vec![0.5, 0.5], vec![0.0, 4.0], 1, Covariances::Tied(vec![2.0]))?;
    /// assert!((two.bhattacharyya(0, 1) - (-1.0f64).exp()).abs() < 1e-15);
    /// # Ok::<(), wgmm::mixture::ModelError>(())
    /// ```
    pub fn bhattacharyya(&self, a: usize, b: usize) -> f64 {
        let factor = self.cholesky(a);
        match self.covariance_type() {
            CovarianceType::Tied => coefficient(self, (a, &factor), (b, &factor)),
            _ => coefficient(self, (a, &factor), (b, &self.cholesky(b))),
        }
    }

    /// [Bhattacharyya's coefficients](Mixture::bhattacharyya) of all pairs of components, a symmetric row-major
    /// K × K matrix with 1 on its diagonal.
    pub fn overlap(&self) -> Vec<f64> {
        let k = self.len();
        let factors: Vec<Vec<f64>> = match self.covariance_type() {
            CovarianceType::Tied => vec![self.cholesky(0)],
            _ => (0..k).map(|k| self.cholesky(k)).collect(),
        };
        let factor = |k: usize| (k, factors[k.min(factors.len() - 1)].as_slice());
        let rows: Vec<Vec<f64>> = (0..k)
            .into_par_iter()
            .map(|a| {
                (0..a)
                    .map(|b| coefficient(self, factor(a), factor(b)))
                    .collect()
            })
            .collect();
        let mut matrix = vec![1.0; k * k];
        for (a, row) in rows.iter().enumerate() {
            for (b, value) in row.iter().enumerate() {
                matrix[a * k + b] = *value;
                matrix[b * k + a] = *value;
            }
        }
        matrix
    }

    /// How many components there are in effect: e to the entropy of the weights. K if all weigh the same, near 1
    /// if one weighs almost everything.
    pub fn effective_components(&self) -> f64 {
        let entropy: f64 = self
            .weights()
            .iter()
            .filter(|w| **w > 0.0)
            .map(|w| -w * w.ln())
            .sum();
        entropy.exp()
    }
}

/// The coefficient of two components with their Cholesky factors.
///
/// In coordinates that whiten `a` the mean covariance is (I + M Mᵀ)/2, M = L_a⁻¹ L_b: nothing is subtracted, and
/// equal components give exactly 1.
fn coefficient(
    mixture: &Mixture,
    (a, factor_a): (usize, &[f64]),
    (b, factor_b): (usize, &[f64]),
) -> f64 {
    let d = mixture.n_features();
    let mut shift: Vec<f64> = mixture
        .mean(b)
        .iter()
        .zip(mixture.mean(a))
        .map(|(x, y)| x - y)
        .collect();
    triangle::solve_in_place(factor_a, &mut shift);
    let between = triangle::solve_triangle(factor_a, factor_b, d);
    let mut mean = triangle::square(&between, d);
    for i in 0..d {
        for j in 0..=i {
            let identity = if i == j { 1.0 } else { 0.0 };
            mean[triangle::at(i, j)] = 0.5 * (identity + mean[triangle::at(i, j)]);
        }
    }
    // No factor: one component is so much wider that squares overflow.
    let Ok(mean) = triangle::cholesky(&mean, d) else {
        return 0.0;
    };
    triangle::solve_in_place(&mean, &mut shift);
    let squares: f64 = shift.iter().map(|y| y * y).sum();
    let half_log_det: f64 = (0..d)
        .map(|i| {
            let i = triangle::at(i, i);
            mean[i].ln() - 0.5 * between[i].ln()
        })
        .sum();
    let distance = 0.125 * squares + half_log_det;
    if distance.is_nan() {
        return 0.0;
    }
    (-distance).exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::Covariances;

    #[test]
    fn one_dimension_by_its_closed_form() {
        let (m, s) = ([1.0f64, 4.0], [2.0f64, 0.5]);
        let mixture = Mixture::new(
            vec![0.9, 0.1],
            m.to_vec(),
            1,
            Covariances::Full(vec![s[0] * s[0], s[1] * s[1]]),
        )
        .expect("valid");
        let sum = s[0] * s[0] + s[1] * s[1];
        let expected =
            (2.0 * s[0] * s[1] / sum).sqrt() * (-0.25 * (m[0] - m[1]).powi(2) / sum).exp();
        for (a, b) in [(0, 1), (1, 0)] {
            assert!((mixture.bhattacharyya(a, b) - expected).abs() < 1e-15);
        }
        let overlap = mixture.overlap();
        assert_eq!((overlap[0], overlap[3]), (1.0, 1.0));
        assert_eq!(overlap[1], overlap[2]);
        assert!((overlap[1] - expected).abs() < 1e-15);
    }

    #[test]
    fn one_dimension_by_integration() {
        let mixture = Mixture::new(
            vec![0.5, 0.5],
            vec![0.0, 1.5],
            1,
            Covariances::Full(vec![1.0, 0.3]),
        )
        .expect("valid");
        let normal = |x: f64, m: f64, v: f64| {
            (-0.5 * (x - m).powi(2) / v).exp() / (std::f64::consts::TAU * v).sqrt()
        };
        // The sum over a grid is exact to rounding for functions that fall off like these.
        let step = 0.01;
        let integral: f64 = (-2000..2000)
            .map(|i| f64::from(i) * step)
            .map(|x| (normal(x, 0.0, 1.0) * normal(x, 1.5, 0.3)).sqrt() * step)
            .sum();
        assert!((mixture.bhattacharyya(0, 1) - integral).abs() < 1e-13);
    }

    #[test]
    fn equal_components_share_everything() {
        let one = [4.0, 1.2, -0.4, 1.2, 9.0, 2.0, -0.4, 2.0, 1.0];
        for covariances in [
            Covariances::Full([one, one].concat()),
            Covariances::Tied(one.to_vec()),
            Covariances::Diag([0.3, 2.0, 7.0].repeat(2)),
            Covariances::Spherical(vec![0.3; 2]),
        ] {
            let mixture = Mixture::new(vec![0.2, 0.8], [1.0, 2.0, 3.0].repeat(2), 3, covariances)
                .expect("valid");
            assert_eq!(mixture.overlap(), [1.0; 4]);
        }
    }

    #[test]
    fn two_dimensions_by_determinants() {
        let mixture = Mixture::new(
            vec![0.5, 0.5],
            vec![0.0, 0.0, 1.0, -1.0],
            2,
            Covariances::Full(vec![2.0, 0.5, 0.5, 1.0, 1.0, -0.5, -0.5, 3.0]),
        )
        .expect("valid");
        // The mean covariance is diag(1.5, 2): determinant 3; the two have 1.75 and 2.75.
        let distance: f64 =
            (1.0 / 1.5 + 1.0 / 2.0) / 8.0 + 0.5 * (3.0 / (1.75f64 * 2.75).sqrt()).ln();
        assert!((mixture.bhattacharyya(0, 1) - (-distance).exp()).abs() < 1e-15);
    }

    #[test]
    fn scales_at_the_ends_of_double_precision_share_nothing() {
        let mixture = Mixture::new(
            vec![0.5, 0.5],
            vec![0.0, 1e300],
            1,
            Covariances::Full(vec![1e-300, 1e300]),
        )
        .expect("valid");
        assert_eq!(mixture.overlap()[1], 0.0);
    }

    #[test]
    fn components_are_counted_by_their_weight() {
        let count = |weights: Vec<f64>| {
            let k = weights.len();
            Mixture::new(weights, vec![0.0; k], 1, Covariances::Tied(vec![1.0]))
                .expect("valid")
                .effective_components()
        };
        assert!((count(vec![0.25; 4]) - 4.0).abs() < 1e-14);
        assert_eq!(count(vec![1.0, 0.0]), 1.0);
        let expected = (-0.9 * 0.9f64.ln() - 0.1 * 0.1f64.ln()).exp();
        assert!((count(vec![0.9, 0.1]) - expected).abs() < 1e-15);
    }
}
