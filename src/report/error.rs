//! What can keep a picture from being drawn.

use thiserror::Error;

/// What is wrong with the inputs of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// A feature that the samples or a mixture do not have.
    #[error("{what}: no feature {feature} among {n_features} (counted from 0)")]
    NoSuchFeature {
        /// "samples", "mixture" or "truth".
        what: &'static str,
        /// The feature asked for, from 0.
        feature: usize,
        /// How many there are, D.
        n_features: usize,
    },
    /// Values that do not make whole rows.
    #[error("samples: {found} numbers are not whole rows of {n_features}")]
    Ragged {
        /// Numbers found.
        found: usize,
        /// D.
        n_features: usize,
    },
    /// Not one label a sample.
    #[error("labels: {found} for {expected} samples; give one a sample, or none at all")]
    Labels {
        /// Labels found.
        found: usize,
        /// Samples, N.
        expected: usize,
    },
}
