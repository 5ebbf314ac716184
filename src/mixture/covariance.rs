//! Covariances by type, in scikit-learn's shapes.

use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};

use super::{ModelError, triangle};

/// Asymmetry allowed between (i, j) and (j, i), relative to √(Σ_ii Σ_jj).
const SYMMETRY_TOLERANCE: f64 = 1e-9;

/// Which constraint the covariances obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CovarianceType {
    /// One matrix a component.
    Full,
    /// One matrix for all components.
    Tied,
    /// A diagonal matrix a component.
    Diag,
    /// One variance a component.
    Spherical,
}

impl CovarianceType {
    /// Whether covariances, and so their factors, are diagonal.
    pub const fn is_diagonal(self) -> bool {
        matches!(self, Self::Diag | Self::Spherical)
    }

    /// The numbers of a D × D factor: a packed triangle, or its diagonal where it holds nothing else.
    pub const fn factor_len(self, d: usize) -> usize {
        if self.is_diagonal() {
            d
        } else {
            triangle::packed_len(d)
        }
    }

    /// P: free parameters of K components over D features.
    pub fn n_parameters(self, k: usize, d: usize) -> usize {
        let triangle = triangle::packed_len(d);
        let covariances = match self {
            CovarianceType::Full => k * triangle,
            CovarianceType::Tied => triangle,
            CovarianceType::Diag => k * d,
            CovarianceType::Spherical => k,
        };
        k - 1 + k * d + covariances
    }

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            CovarianceType::Full => "full",
            CovarianceType::Tied => "tied",
            CovarianceType::Diag => "diag",
            CovarianceType::Spherical => "spherical",
        }
    }
}

/// Covariances of K components over D features, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Covariances {
    /// K × D × D.
    Full(Vec<f64>),
    /// D × D, shared by all components.
    Tied(Vec<f64>),
    /// K × D variances.
    Diag(Vec<f64>),
    /// K variances.
    Spherical(Vec<f64>),
}

impl Covariances {
    /// Which constraint these obey.
    pub fn covariance_type(&self) -> CovarianceType {
        match self {
            Covariances::Full(_) => CovarianceType::Full,
            Covariances::Tied(_) => CovarianceType::Tied,
            Covariances::Diag(_) => CovarianceType::Diag,
            Covariances::Spherical(_) => CovarianceType::Spherical,
        }
    }

    /// The covariance of component `k` as a full row-major D × D matrix.
    pub(super) fn full(&self, k: usize, d: usize) -> Vec<f64> {
        let diagonal = |variance: &dyn Fn(usize) -> f64| {
            let mut full = vec![0.0; d * d];
            for j in 0..d {
                full[j * d + j] = variance(j);
            }
            full
        };
        match self {
            Covariances::Full(v) => v[k * d * d..(k + 1) * d * d].to_vec(),
            Covariances::Tied(v) => v.clone(),
            Covariances::Diag(v) => diagonal(&|j| v[k * d + j]),
            Covariances::Spherical(v) => diagonal(&|_| v[k]),
        }
    }

    pub(super) fn check(&self, k: usize, d: usize) -> Result<(), ModelError> {
        let (values, expected) = match self {
            Covariances::Full(v) => (v, k * d * d),
            Covariances::Tied(v) => (v, d * d),
            Covariances::Diag(v) => (v, k * d),
            Covariances::Spherical(v) => (v, k),
        };
        if values.len() != expected {
            return Err(ModelError::Shape {
                what: "covariances",
                found: values.len(),
                expected,
            });
        }
        match self {
            Covariances::Full(v) => v
                .chunks_exact(d * d)
                .enumerate()
                .try_for_each(|(k, m)| check_matrix(m, k, d)),
            Covariances::Tied(v) => check_matrix(v, 0, d),
            Covariances::Diag(v) => check_variances(v, d),
            Covariances::Spherical(v) => check_variances(v, 1),
        }
    }
}

fn check_variances(variances: &[f64], per_component: usize) -> Result<(), ModelError> {
    match variances.iter().position(|v| !(*v > 0.0 && v.is_finite())) {
        Some(i) => Err(ModelError::NotPositiveDefinite {
            component: i / per_component,
            smallest: variances[i],
        }),
        None => Ok(()),
    }
}

fn check_matrix(matrix: &[f64], component: usize, d: usize) -> Result<(), ModelError> {
    for row in 0..d {
        for column in 0..row {
            let (a, b) = (matrix[row * d + column], matrix[column * d + row]);
            let size = (matrix[row * d + row] * matrix[column * d + column])
                .abs()
                .sqrt();
            let asymmetry = (a - b).abs();
            if asymmetry.is_nan() || asymmetry > SYMMETRY_TOLERANCE * size {
                return Err(ModelError::NotSymmetric {
                    component,
                    row,
                    column,
                });
            }
        }
    }
    cholesky(matrix, component, d).map(|_| ())
}

/// The packed Cholesky factor of a full D × D matrix, the covariance of `component`.
pub(super) fn cholesky(matrix: &[f64], component: usize, d: usize) -> Result<Vec<f64>, ModelError> {
    triangle::cholesky(&triangle::pack(matrix, d), d).map_err(|_| {
        let smallest = if matrix.iter().all(|v| v.is_finite()) {
            SymmetricEigen::new(DMatrix::from_row_slice(d, d, matrix))
                .eigenvalues
                .min()
        } else {
            f64::NAN
        };
        ModelError::NotPositiveDefinite {
            component,
            smallest,
        }
    })
}
