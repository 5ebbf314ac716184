//! The data's side of EM: read every sample once, return O(K) statistics. One trait, three implementations.

mod blocks;
pub mod components;
pub mod cpu;
mod error;
pub mod gpu;
pub mod reference;
pub mod statistics;
pub mod strands;
mod walk;

use std::ops::Range;

use serde::Serialize;

pub use blocks::{BlockMask, SummationBlocks};
pub use components::{Components, NoiseBox};
pub use error::BackendError;
pub use statistics::Statistics;
pub use walk::{EmStep, Walk, Walked, Watch};

/// In which precision a backend evaluates samples. Parameters, sums over blocks and updates are always f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision, within 1e-6 of f64 behind the precision gate.
    F32,
    /// Double precision.
    F64,
}

/// What a backend runs on, for people and for results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// `gpu`, `cpu` or `reference`.
    pub backend: &'static str,
    /// The adapter's or the instruction set's name.
    pub name: String,
    /// The driver and its version; empty where there is none.
    pub driver: String,
    /// In which precision samples are evaluated.
    pub precision: Precision,
    /// Threads used on the host.
    pub threads: usize,
    /// How a GPU evaluated the last model, in words.
    #[serde(skip)]
    pub plan: Option<String>,
}

/// A model to evaluate, and on which summation blocks (all of them without a mask).
#[derive(Clone, Copy, Debug)]
pub struct MaskedModel<'a> {
    /// Parameters in standardised units.
    pub components: &'a Components,
    /// Which blocks of rows to read.
    pub mask: Option<&'a BlockMask>,
}

impl<'a> From<&'a Components> for MaskedModel<'a> {
    fn from(components: &'a Components) -> Self {
        Self {
            components,
            mask: None,
        }
    }
}

/// A device that holds a set of standardised samples and evaluates mixtures on them.
///
/// All methods give the same bits for the same samples, components and device, whatever the number of
/// threads, the load or the memory limit.
pub trait Backend: Send {
    /// What this runs on.
    fn info(&self) -> DeviceInfo;

    /// How rows are grouped for summation.
    fn blocks(&self) -> SummationBlocks;

    /// One E-step for each model: expected sufficient statistics of the samples, all models in one pass.
    ///
    /// In single precision the factors must be representable ([`Components::round_to`]), so that the sums
    /// belong to the very parameters they are used with.
    ///
    /// # Errors
    /// A device that is lost or out of memory; no partial sum is returned.
    fn statistics(&mut self, models: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError>;

    /// How many plain EM steps the device takes by itself at once from a model of this shape, without a mask; 0 where
    /// it takes none. A function of sizes and the device alone.
    fn most_steps(&self, _components: &Components) -> usize {
        0
    }

    /// Steps of plain EM as far as the device takes them, then an E-step where they led; of all models in one pass, as
    /// [`Backend::statistics`].
    ///
    /// # Errors
    /// As [`Backend::statistics`].
    fn walk(&mut self, walks: &[Walk<'_>]) -> Result<Vec<Walked>, BackendError> {
        let models: Vec<MaskedModel<'_>> = walks.iter().map(|walk| walk.model).collect();
        let walked = |statistics| Walked {
            steps: Vec::new(),
            stopped: false,
            statistics: Some(statistics),
        };
        Ok(self.statistics(&models)?.into_iter().map(walked).collect())
    }

    /// Per row of `rows`: the log density (nats, standardised units, without the row's weight) and the K
    /// responsibilities, row-major. The caller chooses `rows` small enough to hold rows × K numbers.
    ///
    /// # Errors
    /// As [`Backend::statistics`].
    ///
    /// # Panics
    /// If the slices are not rows.len() and rows.len() × K long.
    fn responsibilities(
        &mut self,
        components: &Components,
        rows: Range<usize>,
        log_densities: &mut [f64],
        responsibilities: &mut [f64],
    ) -> Result<(), BackendError>;
}
