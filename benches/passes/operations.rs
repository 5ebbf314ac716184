//! The work of a pass.

use wgmm::mixture::CovarianceType;

/// The fewest floating-point operations known for a pass over N samples, one exp counted as 20.
pub(crate) fn operations(covariance_type: CovarianceType, n: usize, d: usize, k: usize) -> f64 {
    let (n, d, k) = (n as f64, d as f64, k as f64);
    match covariance_type {
        CovarianceType::Full => n * k * (2.0 * d * (d + 1.0) + 4.0 * d + 20.0),
        CovarianceType::Tied => n * (k * (5.0 * d + 20.0) + 2.0 * d * (d + 1.0)),
        CovarianceType::Diag => n * k * (8.0 * d + 20.0),
        CovarianceType::Spherical => n * k * (6.0 * d + 20.0),
    }
}
