//! Which number of components, and which covariance type: a sweep, its criteria and a verdict.
//!
//! For each covariance type all numbers of components are fitted side by side: restarts on subsamples choose each
//! one's start, then all models, and after them those of all folds, share each pass over the samples.

mod folds;
mod verdict;

use std::ops::{ControlFlow, RangeInclusive};
use std::time::{Duration, Instant};

use self::folds::Folds;
pub use self::folds::HeldOut;
pub use self::verdict::{Selected, Verdict};
use super::engine::Engine;
use super::init::shuffled;
use super::options::Options;
use super::run::{self, Run};
use super::warm::{Warm, Way, warm_up};
use super::{EventKind, Fit, FitError, Times, operations};
use crate::backend::{Components, Precision};
use crate::data::{Samples, Standardisation};
use crate::mixture::CovarianceType;

/// A fit may stop when the gain still to be had would change BIC by this for each parameter (which costs log N),
/// and is below so many nats a sample.
const PENALTY_SHARE: f64 = 0.05;
const UNSEEN: f64 = 1e-5;

/// What a sweep goes over.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The numbers of components.
    pub components: RangeInclusive<usize>,
    /// The covariance types.
    pub covariance_types: Vec<CovarianceType>,
    /// Parts of the data, each held out once; 0 for none.
    pub folds: usize,
    /// How each mixture is fitted, with its own K and covariance type; `tol` is raised to what the criteria
    /// cannot see.
    pub options: Options,
}

impl Sweep {
    /// The defaults over these numbers of components: full covariances, 8 starts each, at most 200 iterations
    /// (with more components than the data have, EM creeps along ridges that no criterion sees), 5 folds.
    pub fn new(components: RangeInclusive<usize>) -> Self {
        Self {
            options: Options {
                restarts: 8,
                max_iter: 200,
                ..Options::new(*components.end())
            },
            components,
            covariance_types: vec![CovarianceType::Full],
            folds: 5,
        }
    }
}

/// One mixture of a sweep.
#[derive(Debug)]
pub struct Candidate {
    /// K.
    pub components: usize,
    /// Which constraint the covariances obey.
    pub covariance_type: CovarianceType,
    /// The fit, or why there is none.
    pub fit: Result<Fit, FitError>,
    /// The score on rows that were held out, where there are folds and the data bear them.
    pub held_out: Option<HeldOut>,
    /// Its share of the time.
    pub time: Duration,
}

impl Candidate {
    /// The fit, unless a component of it had collapsed: its likelihood then depends on the floor alone.
    pub fn sound(&self) -> Option<&Fit> {
        let collapsed = |kind| matches!(kind, EventKind::Floored | EventKind::Kept);
        let fit = self.fit.as_ref().ok()?;
        (!fit.events.iter().any(|event| collapsed(event.kind))).then_some(fit)
    }
}

/// All mixtures of a sweep, and which to take.
#[derive(Debug)]
pub struct Selection {
    /// One a covariance type and number of components, in this order.
    pub candidates: Vec<Candidate>,
    /// What the criteria say; `None` if no fit is sound.
    pub verdict: Option<Verdict>,
    /// Whether the observer ended it.
    pub interrupted: bool,
}

/// Fits a mixture for each number of components and covariance type, and says which the criteria prefer.
///
/// `observe` sees after each pass over all rows how many models still run, and may end the sweep.
///
/// # Errors
/// Samples that no mixture can be fitted to; a device that fails. A number of components that the data do not
/// bear is no error: its candidate says so.
///
/// # Examples
/// ```
/// use std::ops::ControlFlow;
/// use rand::SeedableRng;
/// use wgmm::{data::Samples, em::{select, Sweep}, mixture::{Covariances, Mixture}};
/// // Two bells, ten standard deviations apart.
/// let truth = Mixture::new(vec![0.4, 0.6], vec![0.0, 10.0], 1, Covariances::Full(vec![1.0, 1.0]))?;
/// let (x, _) = truth.sample(400, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
/// let sweep = Sweep { folds: 0, ..Sweep::new(1..=3) };
/// let selection = select(&Samples::new(x, 1)?, &sweep, &mut |_| ControlFlow::Continue(()))?;
/// let verdict = selection.verdict.expect("sound fits");
/// assert_eq!(selection.candidates[verdict.bic.best].components, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn select(
    samples: &Samples,
    sweep: &Sweep,
    observe: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Selection, FitError> {
    // In random order whole blocks of rows are random subsets: folds.
    let samples = samples.subset(&shuffled(samples, samples.len(), sweep.options.seed));
    let mut candidates = Vec::new();
    let mut interrupted = false;
    for &covariance_type in &sweep.covariance_types {
        let of_type = fit_all(&samples, sweep, covariance_type, &mut interrupted, observe)?;
        candidates.extend(of_type);
    }
    if candidates.iter().all(|candidate| candidate.fit.is_err()) {
        // Nothing could be fitted: the first reason stands for all.
        candidates.swap_remove(0).fit?;
    }
    let verdict = verdict::verdict(&candidates);
    Ok(Selection {
        candidates,
        verdict,
        interrupted,
    })
}

/// A number of components on its way.
struct Entry<'a> {
    /// Time of its warm start.
    time: Duration,
    begun: Result<(Way, Run<'a>), FitError>,
}

/// All numbers of components with one covariance type.
fn fit_all(
    samples: &Samples,
    sweep: &Sweep,
    covariance_type: CovarianceType,
    interrupted: &mut bool,
    observe: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<Candidate>, FitError> {
    let started = Instant::now();
    let map = Standardisation::of(samples, covariance_type)?;
    let all_options: Vec<Options> = sweep
        .components
        .clone()
        .map(|k| {
            let parameters = covariance_type.n_parameters(k, samples.n_features()) as f64;
            let unseen = (PENALTY_SHARE * parameters / (2.0 * samples.total_weight())).min(UNSEEN);
            Options {
                n_components: k,
                covariance_type,
                tol: sweep.options.tol.max(unseen),
                ..sweep.options.clone()
            }
        })
        .collect();
    let mut engine = Engine::load(samples, &map, &sweep.options)?;
    let prepare = started.elapsed();
    let mut entries = Vec::new();
    for options in &all_options {
        let started = Instant::now();
        let begun = super::check(samples, options).and_then(|()| {
            let Warm {
                start,
                acceleration,
                way,
                ..
            } = warm_up(&engine, &map, options)?;
            let run = Run::begin(start, acceleration, &mut engine, &map, options, None)?;
            Ok((way, run))
        });
        entries.push(Entry {
            time: started.elapsed(),
            begun,
        });
    }
    let started = Instant::now();
    let mut live: Vec<&mut Run<'_>> = entries
        .iter_mut()
        .filter_map(|entry| entry.begun.as_mut().ok())
        .map(|(_, run)| run)
        .collect();
    run::advance(&mut engine, &mut live, &mut |_, all| {
        let step = observe(all.len());
        *interrupted |= step.is_break();
        step
    })?;
    let device = engine.info();
    if device.precision == Precision::F32 {
        engine.use_double();
        for run in live.iter_mut().filter(|run| run.failure.is_none()) {
            run.verify(&mut engine)?;
        }
    }
    let fitted: Vec<Option<&Components>> = entries
        .iter()
        .map(|entry| match &entry.begun {
            Ok((_, run)) if run.failure.is_none() => Some(&run.components),
            _ => None,
        })
        .collect();
    let held_out = if sweep.folds > 1 && !*interrupted {
        let folds = Folds::new(samples, engine.blocks(), sweep.folds);
        folds.score(&engine, &map, &all_options, &fitted)?
    } else {
        vec![None; entries.len()]
    };
    let shared = started.elapsed();
    // Time of shared passes is split by the operations that each took in them.
    let work = |entry: &Entry<'_>| {
        entry.begun.as_ref().map_or(0.0, |(_, run)| {
            let k = run.components.len();
            run.trace.len() as f64 * operations(samples.len(), samples.n_features(), k)
        })
    };
    let total: f64 = entries.iter().map(work).sum();
    let candidates = entries
        .into_iter()
        .zip(all_options.iter().zip(held_out))
        .map(|(entry, (options, held_out))| {
            let share = if total > 0.0 {
                work(&entry) / total
            } else {
                0.0
            };
            let time = entry.time + shared.mul_f64(share);
            let times = Times {
                prepare,
                init: entry.time,
                em: shared.mul_f64(share),
                ..Times::default()
            };
            let fit = entry.begun.and_then(|(way, run)| {
                let passes = run.trace.len() as f64;
                run.finish(
                    samples.len(),
                    passes,
                    device.clone(),
                    &engine.events,
                    way,
                    times,
                )
            });
            Candidate {
                components: options.n_components,
                covariance_type,
                fit,
                held_out,
                time,
            }
        });
    Ok(candidates.collect())
}
