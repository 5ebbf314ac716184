//! A size to measure, its samples and its work.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::backend::Components;
use wgmm::data::{Samples, Standardisation};
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

/// A size to measure.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) n: usize,
    pub(crate) d: usize,
    pub(crate) k: usize,
    pub(crate) covariance_type: CovarianceType,
    pub(crate) weighted: bool,
}

pub(crate) const fn case(n: usize, d: usize, k: usize, covariance_type: CovarianceType) -> Case {
    Case {
        n,
        d,
        k,
        covariance_type,
        weighted: false,
    }
}

pub(crate) const fn weighted(case: Case) -> Case {
    Case {
        weighted: true,
        ..case
    }
}

/// Floating-point operations of a pass.
pub(crate) fn operations(case: Case) -> f64 {
    super::operations::operations(case.covariance_type, case.n, case.d, case.k)
}

pub(crate) fn label(case: Case) -> String {
    let mut kind = format!("{:?}", case.covariance_type).to_lowercase();
    if case.weighted {
        kind += ", weighted";
    }
    format!("{:>9} {:>3} {:>4}  {kind:<15}", case.n, case.d, case.k)
}

/// Samples of a random mixture of overlapping components, and that mixture as the device sees it.
pub(crate) fn problem(case: Case) -> (Samples, Components, Standardisation) {
    let Case { n, d, k, .. } = case;
    let mut rng = ChaCha8Rng::seed_from_u64((100 * d + k) as u64);
    let spread = 4.0 / (d as f64).powf(0.25);
    let means = (0..k * d)
        .map(|_| spread * (rng.random::<f64>() * 2.0 - 1.0))
        .collect();
    let variances: Vec<f64> = (0..k * d).map(|_| 0.5 + rng.random::<f64>()).collect();
    let matrix = |variances: &[f64]| {
        let mut matrix = vec![0.0; d * d];
        for (i, variance) in variances.iter().enumerate() {
            matrix[i * (d + 1)] = *variance;
        }
        matrix
    };
    let covariances = match case.covariance_type {
        CovarianceType::Full => Covariances::Full(variances.chunks(d).flat_map(matrix).collect()),
        CovarianceType::Tied => Covariances::Tied(matrix(&variances[..d])),
        CovarianceType::Diag => Covariances::Diag(variances),
        CovarianceType::Spherical => Covariances::Spherical(variances[..k].to_vec()),
    };
    let mixture =
        Mixture::new(vec![1.0 / k as f64; k], means, d, covariances).expect("a valid mixture");
    let (values, _) = mixture.sample(n, &mut rng);
    let mut samples = Samples::new(values, d).expect("finite values");
    if case.weighted {
        let weights = (0..n).map(|_| 0.5 + rng.random::<f64>()).collect();
        samples = samples.with_weights(weights).expect("positive weights");
    }
    let map = Standardisation::of(&samples, case.covariance_type).expect("no constant feature");
    let components = Components::from_mixture(&mixture, &map);
    (samples, components, map)
}
