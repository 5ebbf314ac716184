//! Where samples come from and what is done to them before a fit: readers, writers, standardisation.

mod error;
mod samples;
mod standardise;

pub use error::DataError;
pub use samples::{Samples, Values};
pub use standardise::Standardisation;
