//! Expectation Maximization: one loop for all backends.
//!
//! Dempster, Laird & Rubin (1977), *J. R. Stat. Soc. B* 39(1), in whitened coordinates (`ARCHITECTURE.md`,
//! "Numerics").

mod accelerate;
mod chart;
mod collapse;
mod convergence;
mod engine;
mod error;
mod evaluate;
mod events;
mod freeze;
mod hessian;
mod init;
mod kmeans;
mod lbfgs;
mod maximise;
mod options;
mod prior;
mod reseed;
mod run;
mod select;
mod shuffle;
mod squarem;
mod starts;
mod summit;
mod update;
mod walk;
mod warm;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::Serialize;

pub use engine::{DeviceChoice, GPU_PAYS, operations};
pub use error::FitError;
pub use evaluate::{Evaluated, evaluate};
pub use events::{Event, EventKind};
pub use freeze::Freeze;
pub use options::{Init, Options, PrecisionChoice};
pub use select::{Candidate, HeldOut, Selected, Selection, Sweep, Verdict, select};

pub use starts::Restarts;

use self::engine::Engine;
use self::run::Run;
use self::warm::Warm;
use crate::backend::{DeviceInfo, Precision};
use crate::data::{Samples, Standardisation};
use crate::mixture::{CovarianceType, Criteria, Mixture};

/// A fitted mixture and how it came to be.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The mixture, in the data's units.
    pub mixture: Mixture,
    /// P: parameters that were free.
    pub n_parameters: usize,
    /// What evaluated the samples (last, if it changed).
    pub device: DeviceInfo,
    /// Accepted iterations over all rows.
    pub iterations: usize,
    /// Evaluations of all rows, those of a last verification and of restarts included; one of a part of them
    /// counts as that part.
    pub passes: f64,
    /// What the restarts did on subsamples, if there were any, and last the fit to all rows.
    pub stages: Vec<Stage>,
    /// How the restarts compare, if there were any.
    pub restarts: Option<Restarts>,
    /// Whether the estimated gain still to be had fell below `tol`.
    pub converged: bool,
    /// The last estimate of the gain still to be had, nats per sample, where steps were more than plain EM's.
    pub remaining_gain: Option<f64>,
    /// Whether it ended before that, where the estimate had stayed far below P/(2N), which is how far the truth itself is
    /// below the maximum: on a ridge of the likelihood.
    pub at_resolution: bool,
    /// Whether the observer ended it.
    pub interrupted: bool,
    /// Mean log-likelihood of the returned mixture, nats per unit of weight, in the data's units.
    pub mean_log_likelihood: f64,
    /// The same after 0, 1, … iterations: `iterations + 1` values.
    pub trace: Vec<f64>,
    /// BIC, AIC and ICL.
    pub criteria: Criteria,
    /// Repairs and changes of device.
    pub events: Vec<Event>,
    /// Where the time went.
    pub times: Times,
}

/// A part of a fit over so many rows.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// Rows looked at.
    pub rows: usize,
    /// Iterations, the most of any model.
    pub iterations: usize,
    /// Evaluations in passes over all rows, models that shared one counted each.
    #[serde(skip)]
    pub passes: f64,
}

/// Where a fit's time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Standardising and loading.
    pub prepare: Duration,
    /// The start.
    pub init: Duration,
    /// Iterations and the last verification.
    pub em: Duration,
    /// What these were spent on, apart from the host's own work.
    pub parts: Parts,
}

/// What a fit's time was spent on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    /// Evaluations of all rows, samples made ready for the device included.
    pub passes: Duration,
    /// Subsamples drawn.
    pub subsamples: Duration,
    /// Evaluations of subsamples.
    pub stages: Duration,
    /// Starts drawn.
    pub starts: Duration,
    /// Hessians.
    pub hessians: Duration,
}

/// What an observer sees after each evaluation of all rows.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Iterations so far.
    pub iteration: usize,
    /// Mean log-likelihood, nats per unit of weight, in the data's units.
    pub mean_log_likelihood: f64,
}

/// Fits a mixture to samples.
///
/// # Errors
/// Samples that cannot be fitted (a constant feature, fewer distinct rows than components), labels or a model
/// that do not fit the samples, a device that fails, a repair under `strict`.
///
/// # Examples
/// ```
/// use wgmm::{data::Samples, em::{fit, Options}};
/// let x: Vec<f64> = (0..100).map(|i| if i % 2 == 0 { 0.0 } else { 10.0 } + f64::from(i % 7)).collect();
/// let fit = fit(&Samples::new(x, 1)?, &Options::new(2))?;
/// assert!(fit.converged);
/// assert!((fit.mixture.weights()[0] - 0.5).abs() < 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fit(samples: &Samples, options: &Options) -> Result<Fit, FitError> {
    fit_observed(samples, options, &mut |_| ControlFlow::Continue(()))
}

/// [`fit`], telling an observer of each evaluation; the observer may end it, keeping the parameters so far.
///
/// # Errors
/// As [`fit`].
pub fn fit_observed(
    samples: &Samples,
    options: &Options,
    observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Fit, FitError> {
    check(samples, options)?;
    let started = Instant::now();
    let map = Standardisation::of(samples, options.covariance_type)?;
    let mut engine = Engine::load(samples, &map, options)?;
    let prepare = started.elapsed();
    let started = Instant::now();
    let Warm {
        start,
        acceleration,
        way,
        parts,
    } = warm::warm_up(&engine, &map, options)?;
    let run = Run::begin(start, acceleration, &mut engine, &map, options, None)?;
    let init = started.elapsed();
    let started = Instant::now();
    let mut runs = [run];
    run::advance(&mut engine, &mut runs, &mut |iteration, means| {
        observer(Progress {
            iteration,
            mean_log_likelihood: means[0] + map.log_determinant(),
        })
    })?;
    let [mut run] = runs;
    let device = engine.info();
    if !options.is_parity() && device.precision == Precision::F32 {
        engine.use_double();
        run.verify(&mut engine)?;
    }
    let times = Times {
        prepare,
        init,
        em: started.elapsed(),
        parts: Parts {
            passes: engine.time,
            hessians: parts.hessians + engine.hessians,
            ..parts
        },
    };
    let passes = engine.passes;
    run.finish(samples.len(), passes, device, &engine.events, way, times)
}

/// What can be known to be wrong before any work is done.
fn check(samples: &Samples, options: &Options) -> Result<(), FitError> {
    let (k, d) = (options.n_components, samples.n_features());
    if k == 0 {
        return Err(FitError::NoComponents);
    }
    match &options.init {
        Init::Labels(labels) => {
            if labels.len() != samples.len() {
                return Err(FitError::LabelCount {
                    found: labels.len(),
                    rows: samples.len(),
                });
            }
            if let Some(i) = labels.iter().position(|label| *label >= k) {
                return Err(FitError::Label {
                    row: i + 1,
                    found: labels[i],
                    k,
                });
            }
        }
        Init::Model(model) => {
            let found = (model.len(), model.n_features(), model.covariance_type());
            let expected = (k, d, options.covariance_type);
            if found != expected {
                return Err(FitError::Start { found, expected });
            }
        }
        Init::KMeansPlusPlus | Init::Random | Init::RandomFromData => {}
    }
    if let Some(&component) = options.freeze.components.iter().find(|c| **c >= k) {
        return Err(FitError::FrozenComponent { component, k });
    }
    if !options.freeze.components.is_empty() && options.covariance_type == CovarianceType::Tied {
        return Err(FitError::FrozenTied);
    }
    let distinct = distinct_rows(samples, k);
    if distinct < k && !options.is_parity() {
        return Err(FitError::TooFewDistinctRows { k, distinct });
    }
    Ok(())
}

/// How many rows of positive weight are distinct, counted up to `enough`.
fn distinct_rows(samples: &Samples, enough: usize) -> usize {
    let mut seen: HashSet<Vec<u64>> = HashSet::new();
    let mut row = vec![0; samples.n_features()];
    for i in (0..samples.len()).filter(|&i| samples.weight(i) > 0.0) {
        for (j, bits) in row.iter_mut().enumerate() {
            // + 0.0 makes −0 the same as 0.
            *bits = (samples.value(i, j) + 0.0).to_bits();
        }
        if !seen.contains(&row) {
            seen.insert(row.clone());
            if seen.len() >= enough {
                break;
            }
        }
    }
    seen.len()
}
