//! What a fit is asked to do.

use crate::mixture::{CovarianceType, Mixture};

use super::engine::DeviceChoice;
use super::freeze::Freeze;

/// How a fit starts.
#[derive(Clone, Debug)]
pub enum Init {
    /// Centres by greedy k-means++ (Arthur & Vassilvitskii 2007), or where that is long work by AFK-MC² (Bachem et
    /// al. 2016), and a few Lloyd steps on a subsample.
    KMeansPlusPlus,
    /// Random responsibilities, as scikit-learn's `random`.
    Random,
    /// K distinct rows as means, the covariance of one scale and equal weights.
    RandomFromData,
    /// One label a sample, 0 to K − 1.
    Labels(Vec<usize>),
    /// A mixture in the data's units.
    Model(Mixture),
}

/// In which precision samples are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// Single where it is large work and behind the precision gate, and the last word in double.
    #[default]
    Auto,
    /// Single, behind the precision gate.
    F32,
    /// Double throughout.
    F64,
}

/// Options of a fit, as the command line's of the same names.
#[derive(Clone, Debug)]
pub struct Options {
    /// K.
    pub n_components: usize,
    /// Which constraint the covariances obey.
    pub covariance_type: CovarianceType,
    /// The start.
    pub init: Init,
    /// How many starts run against each other on subsamples; the best one is fitted. Labels or a model are one start.
    pub restarts: usize,
    /// The most iterations over all rows.
    pub max_iter: usize,
    /// Stop when the estimated gain still to be had falls below this, nats per sample; 0 never stops.
    pub tol: f64,
    /// Added to the diagonal of every covariance, in the data's units squared.
    pub reg_covar: f64,
    /// Whether a uniform component takes up the samples that belong to no Gaussian.
    pub noise: bool,
    /// Whether a weak conjugate prior in the data's scale keeps covariances from collapsing.
    pub prior: bool,
    /// What stays at the start's values.
    pub freeze: Freeze,
    /// Seed of everything random.
    pub seed: u64,
    /// What evaluates the samples.
    pub device: DeviceChoice,
    /// Bytes of samples that a GPU may hold at once; the rest is sent anew in each pass. Changes no bit.
    pub gpu_memory: Option<u64>,
    /// In which precision.
    pub precision: PrecisionChoice,
    /// Whether a repair is an error.
    pub strict: bool,
    /// Whether to take plain EM steps only.
    pub plain: bool,
}

/// Fewer rows are fitted by plain EM, which takes little time there.
pub(super) const ACCELERATED_ROWS: usize = 2000;

impl Options {
    /// The defaults for K components.
    pub fn new(n_components: usize) -> Self {
        Self {
            n_components,
            covariance_type: CovarianceType::Full,
            init: Init::KMeansPlusPlus,
            restarts: 16,
            max_iter: 500,
            tol: 1e-6,
            reg_covar: 0.0,
            noise: false,
            prior: false,
            freeze: Freeze::default(),
            seed: 0,
            device: DeviceChoice::Auto,
            gpu_memory: None,
            precision: PrecisionChoice::Auto,
            strict: false,
            plain: false,
        }
    }

    /// Whether a fit to so many rows takes more than plain EM steps. Those need the gradient of what is maximised:
    /// there is none under `reg_covar`, and parts that are frozen or drawn to a prior are left to EM.
    pub fn is_accelerated(&self, rows: usize) -> bool {
        let constrained = self.reg_covar > 0.0 || self.prior || self.freeze.is_any();
        rows >= ACCELERATED_ROWS && self.tol > 0.0 && !self.plain && !constrained
    }

    /// Whether this asks for exactly `max_iter` plain iterations from a model: no polish, no repair.
    pub fn is_parity(&self) -> bool {
        matches!(self.init, Init::Model(_)) && self.tol == 0.0
    }
}
