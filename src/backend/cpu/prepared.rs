//! Components in the form the kernels read: rounded, constants folded, logarithms to base 2.

use super::real::Real;
use crate::backend::Components;
use crate::mixture::{CovarianceType, triangle};

/// Components ready for samples of type `T`.
pub(super) struct Prepared<T> {
    pub(super) covariance_type: CovarianceType,
    /// K.
    pub(super) k: usize,
    /// D.
    pub(super) d: usize,
    /// K × D means, rounded.
    pub(super) means: Vec<T>,
    /// K × D: U (μ − rounded μ), what rounding the means left out of y.
    pub(super) remainders: Vec<T>,
    /// K triangles U, packed by rows.
    pub(super) factors: Vec<T>,
    /// K log constants to base 2, less the reference.
    pub(super) log_constants: Vec<T>,
    /// The largest log constant, nats: added back in f64.
    pub(super) reference: f64,
}

impl<T: Real> Prepared<T> {
    pub(super) fn new(components: &Components) -> Self {
        let (k, d) = (components.len(), components.n_features);
        let round = |x: &f64| T::from_f64(*x);
        let means: Vec<T> = components.means.iter().map(round).collect();
        let mut remainders = Vec::with_capacity(k * d);
        for component in 0..k {
            let left: Vec<f64> = components
                .mean(component)
                .iter()
                .zip(&means[component * d..(component + 1) * d])
                .map(|(mean, rounded)| mean - rounded.to_f64())
                .collect();
            remainders.extend(
                triangle::apply(components.factor(component), &left)
                    .iter()
                    .map(round),
            );
        }
        let log_constants = components.log_constants();
        let reference = log_constants
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        Self {
            covariance_type: components.covariance_type,
            k,
            d,
            means,
            remainders,
            factors: components.factors.iter().map(round).collect(),
            log_constants: log_constants
                .iter()
                .map(|c| T::from_f64((c - reference) * std::f64::consts::LOG2_E))
                .collect(),
            reference,
        }
    }

    /// Whether factors are diagonal.
    #[inline(always)]
    pub(super) fn is_diagonal(&self) -> bool {
        matches!(
            self.covariance_type,
            CovarianceType::Diag | CovarianceType::Spherical
        )
    }

    /// How many lane sums a component needs: S0, S1 and its second moments.
    pub(super) fn sums(&self) -> usize {
        1 + self.d
            + if self.is_diagonal() {
                self.d
            } else {
                triangle::packed_len(self.d)
            }
    }
}
