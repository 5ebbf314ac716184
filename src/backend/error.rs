//! What can go wrong on a device.

use thiserror::Error;

/// Why a device cannot do, or did not finish, what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BackendError {
    /// No adapter fits the request.
    #[error(
        "no GPU adapter found{wanted}; --device cpu needs none, `wgmm devices` shows what is here"
    )]
    NoAdapter {
        /// What was asked for, as ` called "NAME"`, or empty.
        wanted: String,
    },
    /// The adapter refused to open.
    #[error("{adapter} cannot be used: {reason}; --device cpu needs no GPU")]
    Start {
        /// The adapter.
        adapter: String,
        /// The driver's words.
        reason: String,
    },
    /// The device went away during a fit.
    #[error("{adapter} stopped answering: {reason}; --device cpu needs no GPU")]
    Lost {
        /// The adapter.
        adapter: String,
        /// The driver's words.
        reason: String,
    },
    /// The device has not enough memory.
    #[error(
        "{adapter} has not enough memory for {bytes} bytes; --gpu-memory bounds what samples take, --device cpu needs no GPU"
    )]
    OutOfMemory {
        /// The adapter.
        adapter: String,
        /// Bytes asked for.
        bytes: u64,
    },
    /// A model or a data set that the device's limits cannot hold in any pieces.
    #[error(
        "{adapter} cannot hold {n_features} features × {n_components} components; --device cpu needs no GPU"
    )]
    TooLarge {
        /// The adapter.
        adapter: String,
        /// D.
        n_features: usize,
        /// K; 0 where the samples alone are too wide.
        n_components: usize,
    },
    /// The driver refused a command or wrote no number: a fault of the driver or of this program.
    #[error("{adapter} failed at {stage}: {reason}; --device cpu needs no GPU")]
    Failed {
        /// The adapter.
        adapter: String,
        /// What it was asked to do.
        stage: String,
        /// The driver's words.
        reason: String,
    },
}
