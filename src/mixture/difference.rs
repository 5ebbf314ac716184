//! How far two mixtures are apart, in units that do not depend on the data's.

use serde::Serialize;

use super::{Mixture, triangle};

/// The largest differences of one mixture from a reference, component by component in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Largest |w − w_ref|.
    pub weights: f64,
    /// Largest entry of U_ref (μ − μ_ref), U_ref the reference's inverse Cholesky factor: standard deviations.
    pub means: f64,
    /// Largest entry of U_ref Σ U_refᵀ − I: relative to the reference's covariance.
    pub covariances: f64,
}

impl Difference {
    /// Compares two mixtures of equal shape.
    ///
    /// # Panics
    /// If their numbers of components or features differ.
    pub fn between(reference: &Mixture, other: &Mixture) -> Self {
        assert_eq!(
            (reference.len(), reference.n_features()),
            (other.len(), other.n_features()),
            "only mixtures of equal shape can be compared"
        );
        let mut largest = Self {
            weights: 0.0,
            means: 0.0,
            covariances: 0.0,
        };
        for k in 0..reference.len() {
            let own = Self::of_components(reference, k, other, k);
            largest.weights = largest.weights.max(own.weights);
            largest.means = largest.means.max(own.means);
            largest.covariances = largest.covariances.max(own.covariances);
        }
        largest
    }

    /// Compares component `b` of `other` with component `a` of `reference`.
    pub fn of_components(reference: &Mixture, a: usize, other: &Mixture, b: usize) -> Self {
        let d = reference.n_features();
        let inverse = triangle::invert(&reference.cholesky(a), d);
        let shift: Vec<f64> = other
            .mean(b)
            .iter()
            .zip(reference.mean(a))
            .map(|(x, y)| x - y)
            .collect();
        let seen = triangle::square(&triangle::multiply(&inverse, &other.cholesky(b), d), d);
        let identity = |i: usize, j: usize| if i == j { 1.0 } else { 0.0 };
        Self {
            weights: (other.weights()[b] - reference.weights()[a]).abs(),
            means: triangle::apply(&inverse, &shift)
                .iter()
                .fold(0.0, |m, x| m.max(x.abs())),
            covariances: (0..d)
                .flat_map(|i| (0..=i).map(move |j| (i, j)))
                .map(|(i, j)| (seen[triangle::at(i, j)] - identity(i, j)).abs())
                .fold(0.0, f64::max),
        }
    }
}

impl Mixture {
    /// The same mixture with its components in the order that fits `reference` best: pairs are made greedily,
    /// nearest means (in the reference's standard deviations) first.
    ///
    /// # Panics
    /// If the two differ in shape.
    #[must_use]
    pub fn matched_to(&self, reference: &Mixture) -> Mixture {
        assert_eq!(
            (self.len(), self.n_features()),
            (reference.len(), reference.n_features())
        );
        let mut pairs: Vec<(f64, usize, usize)> = (0..reference.len())
            .flat_map(|a| (0..self.len()).map(move |b| (a, b)))
            .map(|(a, b)| (Difference::of_components(reference, a, self, b).means, a, b))
            .collect();
        pairs.sort_by(|x, y| x.0.total_cmp(&y.0));
        let mut order = vec![None; self.len()];
        let mut taken = vec![false; self.len()];
        for (_, a, b) in pairs {
            if order[a].is_none() && !taken[b] {
                order[a] = Some(b);
                taken[b] = true;
            }
        }
        // Each of K was paired with one of K.
        let order: Vec<usize> = order.into_iter().flatten().collect();
        self.permuted(&order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::Covariances;

    #[test]
    fn differences_are_seen_in_the_references_units_and_order_is_found() {
        let a = Mixture::new(
            vec![0.5, 0.5],
            vec![0.0, 10.0],
            1,
            Covariances::Full(vec![4.0, 1.0]),
        )
        .expect("valid");
        let b = Mixture::new(
            vec![0.4, 0.6],
            vec![10.5, 1.0],
            1,
            Covariances::Full(vec![1.0, 5.0]),
        )
        .expect("valid");
        let difference = Difference::between(&a, &b.matched_to(&a));
        assert!((difference.weights - 0.1).abs() < 1e-15);
        assert!((difference.means - 0.5).abs() < 1e-15);
        assert!((difference.covariances - 0.25).abs() < 1e-15);
        assert_eq!(Difference::between(&a, &a).means, 0.0);
    }
}
