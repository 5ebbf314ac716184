//! A weak conjugate prior in the scale of the data: maximum a posteriori in place of maximum likelihood.
//!
//! Fraley & Raftery (2007), "Bayesian regularization for normal mixture estimation and model-based clustering",
//! *J. Classif.* 24. Means: normal about the samples' mean with covariance Σ/κ; covariances: inverse Wishart
//! (inverse gamma for variances) with ν degrees of freedom and the samples' covariance / K^(2/D) as its scale.

use std::convert::Infallible;

use super::options::Options;
use crate::backend::{Statistics, SummationBlocks, strands};
use crate::data::{Samples, Standardisation};
use crate::mixture::{CovarianceType, triangle};

/// How many samples the prior of a mean is worth.
const KAPPA: f64 = 0.01;

/// The prior in standardised units, where the samples' mean is 0.
#[derive(Clone, Debug)]
pub(super) struct Prior {
    /// κ.
    pub(super) kappa: f64,
    /// The scale of covariances, a packed triangle.
    pub(super) scale: Vec<f64>,
}

impl Prior {
    /// The prior for these samples.
    pub(super) fn of(samples: &Samples, map: &Standardisation, options: &Options) -> Self {
        let d = samples.n_features();
        let mut scale = covariance(samples, map);
        match options.covariance_type {
            CovarianceType::Full | CovarianceType::Tied => {}
            CovarianceType::Diag => keep_diagonal(&mut scale, d, |_, own| own),
            CovarianceType::Spherical => {
                let trace: f64 = (0..d).map(|j| scale[triangle::at(j, j)]).sum();
                keep_diagonal(&mut scale, d, |_, _| trace / d as f64);
            }
        }
        let share = (options.n_components as f64).powf(-2.0 / d as f64);
        scale.iter_mut().for_each(|x| *x *= share);
        Self {
            kappa: KAPPA,
            scale,
        }
    }

    /// What the scatter of `s0` samples of K components (all of them where they share it) is divided by: the sum
    /// of exponents of |Σ| or σ² in likelihood and prior, with ν = D + 2.
    pub(super) fn divisor(covariance_type: CovarianceType, s0: f64, k: usize, d: usize) -> f64 {
        let (k, d) = (k as f64, d as f64);
        let nu = d + 2.0;
        match covariance_type {
            CovarianceType::Full => s0 + nu + d + 2.0,
            CovarianceType::Tied => s0 + nu + d + 1.0 + k,
            CovarianceType::Diag => s0 + nu + 3.0,
            CovarianceType::Spherical => (s0 + 1.0) * d + nu + 2.0,
        }
    }
}

fn keep_diagonal(scale: &mut [f64], d: usize, value: impl Fn(usize, f64) -> f64) {
    for a in 0..d {
        for b in 0..=a {
            let own = &mut scale[triangle::at(a, b)];
            *own = if a == b { value(a, *own) } else { 0.0 };
        }
    }
}

/// The samples' covariance in standardised units, about 0, a packed triangle.
fn covariance(samples: &Samples, map: &Standardisation) -> Vec<f64> {
    let d = samples.n_features();
    let blocks = SummationBlocks::new(samples.len());
    let zero = Statistics::zero(CovarianceType::Full, 1, d);
    let sums = strands::sum_strands(
        blocks,
        strands::strands(blocks, zero.numbers()),
        std::slice::from_ref(&zero),
        |strand, sums| {
            let mut row = vec![0.0; d];
            for i in strand.flat_map(|b| blocks.rows(b)) {
                samples.copy_row(i, &mut row);
                map.apply(&mut row);
                sums[0].add_row(samples.weight(i), &[1.0], &row);
            }
            Ok::<(), Infallible>(())
        },
    );
    let sums = sums.unwrap_or_else(|never| match never {});
    sums[0].s2.iter().map(|x| x / sums[0].weight).collect()
}
