//! Warm starts: many starts on few rows, fewer on more, and the curvature for the fit to all rows.
//!
//! Successive halving (Jamieson & Talwalkar 2016) with a factor of four: all starts run on a random subsample, a
//! quarter of them goes on with several times as many rows, until one is left. That one goes on over growing
//! subsamples with what it has learnt of the likelihood's curvature; a Hessian from the last of them is the metric of
//! the fit to all rows. All that run share each pass over the rows.

use std::time::Instant;

use super::accelerate::{Acceleration, Look, Stop};
use super::chart::Layout;
use super::engine::Engine;
use super::init::{self, Start, shuffled};
use super::options::{ACCELERATED_ROWS, Init, Options};
use super::starts::{self, Going, Restarts};
use super::summit;
use super::{FitError, Parts, Stage};
use crate::data::{Samples, Standardisation};

/// Rows of the first subsample: so many a parameter, and at least so many.
const ROWS_PER_PARAMETER: usize = 20;
const ROWS: usize = 1000;
/// How many times more for a start that is alone: what few rows make of it may be worse than what all rows would. (Of 300
/// problems of 20,000 to 60,000 rows 4 then ended more than P/(2N) below plain EM, 12 above; 7 and 10 from the fewer.)
const ALONE: usize = 2;
/// Samples that are not so many times more than that are fitted all at once: little is saved.
const FEW: usize = 4;
/// The rows of a last subsample are so many times fewer than all: beyond, they cost more than the steps over all rows
/// that they save.
const LAST: usize = 8;
/// One row in so many is cheap enough always, up to so many rows, and shows small components of large samples.
const SMALL_PART: usize = 250;
const SMALL_PART_ROWS: usize = 20_000;
/// How many times fewer starts the next stage has.
const HALVING: usize = 4;
/// How many times more rows, and how many times more where the samples are at least so many.
const GROWTH: usize = 4;
const LARGE_GROWTH: usize = 10;
const LARGE: usize = 1_000_000;
/// A stage has converged when its remaining gain is this share of P/(2n), what n rows can tell at all, or this many
/// nats a sample where rows are few.
const RESOLUTION: f64 = 0.02;
const COARSE: f64 = 1e-4;
/// The most iterations of a stage of several starts, plain and accelerated, and of one.
const PLAIN_ITERATIONS: usize = 100;
const STARTS_ITERATIONS: usize = 15;
const ITERATIONS: usize = 200;
/// The same of a fit to all rows that creeps: a gain this far below what the rows can tell is not worth its passes.
const UNSEEN: f64 = 0.01;
/// A fit ends when its estimate of the gain still to be had is this many times below the tolerance: estimates are blind
/// for flat directions that were not walked yet.
const SAFETY: f64 = 100.0;

/// Where the fit to all rows begins.
pub(super) struct Warm {
    /// The parameters.
    pub(super) start: Start,
    /// What is known of the curvature there, unless the fit is by plain EM.
    pub(super) acceleration: Option<Acceleration>,
    /// How it came there.
    pub(super) way: Way,
    /// What took time on the way.
    pub(super) parts: Parts,
}

/// The way to a warm start.
pub(super) struct Way {
    /// What was done on subsamples.
    pub(super) stages: Vec<Stage>,
    /// How the starts compare, if there were several.
    pub(super) restarts: Option<Restarts>,
}

/// A subsample of so many rows, on which so many starts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    rows: usize,
    starts: usize,
}

/// The stages before a fit of P parameters to `rows` rows. Several starts run on all rows where those are few; one
/// alone on a part of them, if it may grow on subsamples of many. `looks` says whether a look at the curvature is worth
/// its price on so many rows: the last stage then has the winner alone.
fn plan(
    rows: usize,
    parameters: usize,
    starts: usize,
    grows: bool,
    looks: impl Fn(usize) -> bool,
) -> Vec<Plan> {
    let growth = if rows >= LARGE { LARGE_GROWTH } else { GROWTH };
    let mut stages: Vec<Plan> = Vec::new();
    let (mut n, mut left) = (ROWS.max(ROWS_PER_PARAMETER * parameters), starts);
    if starts == 1 {
        n *= ALONE;
    }
    n = n.max(SMALL_PART_ROWS.min(rows / SMALL_PART));
    let grows = grows && (starts > 1 || n <= rows / FEW);
    let most = |stages: &[Plan]| rows / if stages.is_empty() { FEW } else { LAST };
    while left > 1 || (grows && n <= most(&stages)) {
        stages.push(Plan {
            rows: n.min(rows),
            starts: left,
        });
        n = n.saturating_mul(growth);
        left = left.div_ceil(HALVING);
    }
    match stages.last() {
        Some(last) if grows && last.starts > 1 && last.rows < rows && looks(last.rows) => {
            stages.push(Plan { starts: 1, ..*last });
        }
        _ => {}
    }
    stages
}

/// Finds where to begin the fit to all rows of the engine.
pub(super) fn warm_up(
    engine: &Engine<'_>,
    map: &Standardisation,
    options: &Options,
) -> Result<Warm, FitError> {
    let samples = engine.samples();
    let (k, d) = (options.n_components, samples.n_features());
    let parameters = options.covariance_type.n_parameters(k, d);
    let layout = Layout::new(options.covariance_type, d, k, options.noise);
    let accelerated = options.is_accelerated(samples.len());
    let mut looked = false;
    // A start that was given may be better than a subsample's optimum.
    let given = matches!(options.init, Init::Labels(_) | Init::Model(_));
    let starts = if given { 1 } else { options.restarts };
    let rows_to_look_at = |rows: usize| summit::rows_of_part(layout, rows, samples.len());
    let grows = accelerated && !given;
    let plan = plan(samples.len(), parameters, starts, grows, |rows| {
        rows_to_look_at(rows) > 0
    });
    let mut parts = Parts::default();
    let started = Instant::now();
    let order = shuffled(
        samples,
        plan.last().map_or(0, |last| last.rows),
        options.seed,
    );
    parts.subsamples += started.elapsed();
    let mut going: Vec<Going> = (0..starts).map(Going::new).collect();
    let alone = starts == 1;
    let mut stages = Vec::new();
    let mut restarts = None;
    let mut drawn: Option<Samples> = None;
    for Plan { rows, starts } in plan {
        let started = Instant::now();
        let rows = rows.min(order.len());
        let same = drawn.filter(|drawn| drawn.len() == rows);
        let subsample = same.unwrap_or_else(|| samples.subset(&order[..rows]));
        parts.subsamples += started.elapsed();
        let share = subsample.len() as f64 / samples.len() as f64;
        let coarse = (RESOLUTION * resolution(parameters, subsample.len() as f64)).min(COARSE);
        // Nothing is saved on all rows.
        let all_rows = subsample.len() == samples.len();
        let enough = if all_rows && options.tol > 0.0 {
            coarse.min(options.tol)
        } else {
            coarse
        };
        let max_iter = match (accelerated, starts) {
            (true, 1) => ITERATIONS,
            (true, _) => STARTS_ITERATIONS,
            // The first iterations from random responsibilities say nothing of where they lead.
            (false, _) if samples.len() < ACCELERATED_ROWS => options.max_iter,
            (false, _) => PLAIN_ITERATIONS,
        };
        let stage_options = Options {
            max_iter,
            tol: enough,
            strict: false,
            ..options.clone()
        };
        going.truncate(starts);
        let mut stage_engine = engine.beside(&subsample)?;
        if accelerated {
            let stop = Stop {
                gain: enough,
                resolution: 0.0,
                is_verified: false,
            };
            let rows = match starts {
                1 => rows_to_look_at(subsample.len()),
                _ => 0,
            };
            let look = Look {
                rows,
                at_creeping: false,
            };
            looked |= rows > 0;
            going
                .iter_mut()
                .for_each(|going| going.accelerate(stop, look));
        }
        // A start that is alone is the same as that of plain EM; many are cheaper to draw from few rows.
        let source = if alone { samples } else { &subsample };
        let (ended, drawing) = starts::run_all(
            &mut stage_engine,
            source,
            all_rows,
            map,
            &stage_options,
            going,
        )?;
        parts.starts += drawing;
        parts.stages += stage_engine.time;
        parts.hessians += stage_engine.hessians;
        if restarts.is_none() && starts > 1 {
            restarts = Some(starts::compare(&ended, starts, enough));
        }
        let iterations = ended.iter().map(|e| e.iterations).max().unwrap_or(0);
        going = starts::distinct(ended, enough);
        stages.push(Stage {
            rows: subsample.len(),
            iterations,
            passes: stage_engine.passes * share,
        });
        drop(stage_engine);
        drawn = Some(subsample);
    }
    let winner = going.swap_remove(0);
    let start = match winner.components {
        Some(components) => Start::at(components, winner.past),
        None => init::start(samples, map, options, winner.number, engine.device()),
    };
    let acceleration = match winner.acceleration {
        Some(acceleration) => {
            let stop = stop(options, parameters, samples.total_weight(), true);
            Some(acceleration.over_other_rows(stop))
        }
        None => cold(options, samples, true),
    };
    let look = match summit::rows_of_all(layout, samples.len()) {
        rows if rows > 0 && !looked => Look {
            rows,
            at_creeping: false,
        },
        _ => Look {
            rows: summit::rows_where_steps_crept(layout, samples.len()),
            at_creeping: true,
        },
    };
    let acceleration = acceleration.map(|acceleration| acceleration.with(look));
    if let Some(restarts) = &mut restarts {
        restarts.best = winner.number;
    }
    Ok(Warm {
        start,
        acceleration,
        way: Way { stages, restarts },
        parts,
    })
}

/// P/(2n): how far, in nats per sample, the log-likelihood of the truth is below the maximum over n rows.
fn resolution(parameters: usize, rows: f64) -> f64 {
    parameters as f64 / (2.0 * rows)
}

/// The acceleration of a fit to all these rows from a start of which nothing is known; `None` for plain EM.
pub(super) fn cold(
    options: &Options,
    samples: &Samples,
    is_verified: bool,
) -> Option<Acceleration> {
    let parameters = options
        .covariance_type
        .n_parameters(options.n_components, samples.n_features());
    let stop = stop(options, parameters, samples.total_weight(), is_verified);
    options
        .is_accelerated(samples.len())
        .then(|| Acceleration::new(stop))
}

/// When a fit to all rows has converged.
fn stop(options: &Options, parameters: usize, rows: f64, is_verified: bool) -> Stop {
    Stop {
        gain: options.tol / SAFETY,
        resolution: UNSEEN * resolution(parameters, rows),
        is_verified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_thin_out_while_rows_grow_to_an_eighth_of_all() {
        let stages = |rows, p, starts, accelerated| -> Vec<[usize; 2]> {
            let plan = plan(rows, p, starts, accelerated, |rows| rows >= 40_000);
            plan.iter()
                .map(|stage| [stage.rows, stage.starts])
                .collect()
        };
        assert_eq!(stages(1_000_000, 23, 1, true), [[4000, 1], [40_000, 1]]);
        assert_eq!(stages(10_000_000, 23, 1, true), [[20_000, 1], [200_000, 1]]);
        // The winner alone, where a look at the curvature is worth its price.
        assert_eq!(
            stages(1_000_000, 23, 16, true),
            [[4000, 16], [40_000, 4], [40_000, 1]]
        );
        assert_eq!(stages(50_000, 100, 16, true), [[2000, 16], [8000, 4]]);
        assert_eq!(stages(150, 20, 16, false), [[150, 16], [150, 4]]);
        assert_eq!(stages(50_000, 100, 1, false), [[0; 2]; 0]);
        // Few rows.
        assert_eq!(stages(15_999, 100, 1, true), [[0; 2]; 0]);
        assert_eq!(stages(16_000, 100, 1, true), [[4000, 1]]);
    }
}
