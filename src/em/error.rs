//! Why a fit cannot be done, one sentence each.

use thiserror::Error;

use super::events::Event;
use crate::backend::BackendError;
use crate::data::DataError;
use crate::mixture::{CovarianceType, ModelError};

/// Why a fit cannot be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FitError {
    /// K = 0.
    #[error("-k 0: a mixture needs at least 1 component")]
    NoComponents,
    /// More components than distinct rows.
    #[error("-k {k}, but only {distinct} rows are distinct; lower -k")]
    TooFewDistinctRows {
        /// K.
        k: usize,
        /// Distinct rows of positive weight.
        distinct: usize,
    },
    /// Not one label a sample.
    #[error("{found} labels for {rows} rows")]
    LabelCount {
        /// Labels found.
        found: usize,
        /// Rows.
        rows: usize,
    },
    /// A label that is no component.
    #[error("row {row}: label {found}, but with -k {k} labels go from 0 to {}", k - 1)]
    Label {
        /// The row, from 1.
        row: usize,
        /// The label.
        found: usize,
        /// K.
        k: usize,
    },
    /// A start whose shape is not the fit's: (K, D, covariance type).
    #[error(
        "the start has {} components of {} features ({}), the fit {} of {} ({})",
        found.0, found.1, found.2.name(), expected.0, expected.1, expected.2.name()
    )]
    Start {
        /// The start's.
        found: (usize, usize, CovarianceType),
        /// The fit's.
        expected: (usize, usize, CovarianceType),
    },
    /// A frozen component that there is not.
    #[error("--freeze components:{component}: with -k {k} components go from 0 to {}", k - 1)]
    FrozenComponent {
        /// The component.
        component: usize,
        /// K.
        k: usize,
    },
    /// Frozen components that share their covariance with others.
    #[error(
        "--freeze components: tied covariances belong to all components; freeze covariances instead"
    )]
    FrozenTied,
    /// A model and data of different features.
    #[error("the model has {model} features, the data {data}")]
    Features {
        /// The model's.
        model: usize,
        /// The data's.
        data: usize,
    },
    /// Data or parameters that single precision cannot hold to the promise.
    #[error(
        "scales within the mixture differ too much for single precision (kappa {kappa:.1e}); \
         --device cpu or auto goes on in double"
    )]
    BeyondSingle {
        /// The precision gate's κ.
        kappa: f64,
    },
    /// A repair under `strict`.
    #[error(
        "component {} at iteration {}: {}; without --strict this is repaired and reported",
        .0.component.unwrap_or_default(), .0.iteration, .0.reason
    )]
    Repair(Event),
    /// Something wrong with the samples.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Something wrong with the parameters.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Something wrong with the device.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
