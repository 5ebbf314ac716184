//! What can be wrong with a model, one sentence each; components are counted from 0.

use thiserror::Error;

/// What is wrong with a model's parameters or its file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No component or no feature.
    #[error("a mixture needs at least one component and one feature")]
    Empty,
    /// A part whose size does not fit the others.
    #[error("{what}: {found} numbers where {expected} belong")]
    Shape {
        /// Which part.
        what: &'static str,
        /// Numbers found.
        found: usize,
        /// Numbers expected.
        expected: usize,
    },
    /// A weight that is negative or not finite.
    #[error("component {component}: weight {found} is not a finite number of at least 0")]
    Weight {
        /// Which component.
        component: usize,
        /// The weight.
        found: f64,
    },
    /// Weights that do not sum to 1.
    #[error("weights sum to {found}, not to 1")]
    WeightSum {
        /// Their sum.
        found: f64,
    },
    /// A mean that is not finite.
    #[error("component {component}: mean {found} is not finite")]
    Mean {
        /// Which component.
        component: usize,
        /// The value.
        found: f64,
    },
    /// A covariance that is not symmetric.
    #[error("component {component}: covariance is not symmetric in row {row}, column {column}")]
    NotSymmetric {
        /// Which component.
        component: usize,
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
    },
    /// A covariance without a Cholesky factor.
    #[error(
        "component {component}: covariance is not positive definite (smallest eigenvalue {smallest:e})"
    )]
    NotPositiveDefinite {
        /// Which component.
        component: usize,
        /// Its smallest eigenvalue.
        smallest: f64,
    },
    /// A noise component that is none.
    #[error(
        "noise: expected a weight from 0 to below 1 and a box whose lower sides are below its upper ones"
    )]
    Noise,
    /// Conditioning with a noise component.
    #[error(
        "a mixture with a noise component cannot be conditioned: its box says nothing about the rest"
    )]
    NoisyCondition,
    /// One feature name twice.
    #[error("two features are called \"{name}\"")]
    FeatureTwice {
        /// The name.
        name: String,
    },
    /// A feature that the mixture has not.
    #[error("no feature {feature}; the mixture has {n_features}, counted from 0")]
    UnknownFeature {
        /// The number asked for.
        feature: usize,
        /// How many there are.
        n_features: usize,
    },
    /// A feature asked for or given twice.
    #[error("feature \"{name}\" is named twice")]
    FeatureRepeated {
        /// Its name, or its number.
        name: String,
    },
    /// Values for all features.
    #[error("every feature is given; leave at least one to be described")]
    NothingLeft,
    /// A given value that is not finite.
    #[error("feature \"{name}\": {found} is not finite")]
    Given {
        /// The feature's name, or its number.
        name: String,
        /// The value.
        found: f64,
    },
    /// Given values whose distance from a component overflows.
    #[error("component {component}: the given values are too far away to compute with")]
    OutOfReach {
        /// Which component.
        component: usize,
    },
    /// A file that is not a model file.
    #[error("not a wgmm model: {reason}")]
    NotAModel {
        /// Why not.
        reason: String,
    },
    /// A version this program does not know.
    #[error("model version {found} is not known to this program, which reads version {known}")]
    Version {
        /// Version found.
        found: u64,
        /// Version known.
        known: u64,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
}
