//! `wgmm select DATA -k 1..10`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;

use serde_json::{Value, json};
use wgmm::data::{Table, check_writable, write_atomically};
use wgmm::em::{self, Candidate, Options, Selected, Selection, Sweep, Verdict};
use wgmm::mixture::CovarianceType;
use wgmm::report::LineChart;

use super::args::{CovarianceChoice, SelectArgs, Shared};
use super::failure::{Failure, Outcome};
use super::fit::notes;
use super::input::{check_reg_covar, check_restarts, check_tol, drawn};
use super::json;
use super::progress::Watch;

pub(crate) fn run(shared: &Shared, args: &SelectArgs) -> Result<Outcome, Failure> {
    let sweep = sweep(shared, args)?;
    if let Some(path) = &args.output {
        check_writable(path, &["json"])?;
    }
    if let Some(path) = &args.plot {
        check_writable(path, &["svg"])?;
    }
    let table = args.data.read(None)?;
    if !shared.quiet {
        notes(&table);
    }
    let watch = Watch::new(shared);
    let result = em::select(&table.samples, &sweep, &mut |models| watch.sweep(models));
    watch.finish();
    let selection =
        result.map_err(|e| Failure::fit(&args.data.data, &table.features, &shared.device, e))?;
    let chosen = selection
        .verdict
        .map(|verdict| &selection.candidates[verdict.bic.best]);
    if let (Some(path), Some(candidate)) = (&args.output, chosen) {
        write_model(path, candidate, &table, &sweep.options)?;
    }
    if let Some(path) = &args.plot {
        let file = args.data.data.file_name().unwrap_or_default();
        write_atomically(path, plot(&selection, &file.to_string_lossy()).as_bytes())?;
    }
    if shared.json {
        json::print(&document(&selection, &table, &args.data.data))?;
    } else if !shared.quiet {
        std::io::stdout()
            .lock()
            .write_all(text(&selection).as_bytes())?;
    }
    if chosen.is_none() {
        return Err(Failure::run(format!(
            "{}: no mixture of the sweep could be fitted without a component collapsing; lower -k",
            args.data.data.display()
        )));
    }
    Ok(if selection.interrupted {
        Outcome::Interrupted
    } else {
        Outcome::Done
    })
}

fn sweep(shared: &Shared, args: &SelectArgs) -> Result<Sweep, Failure> {
    check_tol(args.tol)?;
    check_reg_covar(args.reg_covar)?;
    check_restarts(args.restarts)?;
    if args.folds == 1 {
        return Err(Failure::usage(
            "--folds 1: at least 2 parts, or 0 for no held-out score",
        ));
    }
    let Some(init) = drawn(&args.init) else {
        return Err(Failure::usage(format!(
            "--init {}: expected k-means++, random or random-from-data",
            args.init
        )));
    };
    let components = range(&args.k)?;
    Ok(Sweep {
        covariance_types: covariance_types(&args.covariance),
        folds: args.folds,
        options: Options {
            init,
            restarts: args.restarts,
            max_iter: args.max_iter,
            tol: args.tol,
            reg_covar: args.reg_covar,
            seed: shared.seed,
            device: shared.device()?,
            gpu_memory: shared.gpu_memory(),
            precision: shared.precision(),
            ..Options::new(*components.end())
        },
        components,
    })
}

/// `A..B`, both included, or one number.
fn range(text: &str) -> Result<RangeInclusive<usize>, Failure> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    match (from.parse(), to.trim_start_matches('=').parse()) {
        (Ok(from), Ok(to)) if 1 <= from && from <= to => Ok(from..=to),
        _ => Err(Failure::usage(format!(
            "-k {text}: expected a range such as 1..10"
        ))),
    }
}

/// Each type once, in the order of the first mention.
fn covariance_types(choices: &[CovarianceChoice]) -> Vec<CovarianceType> {
    use CovarianceType::{Diag, Full, Spherical, Tied};
    let mut types = Vec::new();
    for choice in choices {
        let meant: &[CovarianceType] = match choice {
            CovarianceChoice::Full => &[Full],
            CovarianceChoice::Tied => &[Tied],
            CovarianceChoice::Diag => &[Diag],
            CovarianceChoice::Spherical => &[Spherical],
            CovarianceChoice::All => &[Full, Tied, Diag, Spherical],
        };
        for &covariance_type in meant {
            if !types.contains(&covariance_type) {
                types.push(covariance_type);
            }
        }
    }
    types
}

fn write_model(
    path: &Path,
    candidate: &Candidate,
    table: &Table,
    options: &Options,
) -> Result<(), Failure> {
    if let Ok(fit) = &candidate.fit {
        let model = json::model(fit, table, options)?;
        write_atomically(path, model.to_json().as_bytes())?;
    }
    Ok(())
}

/// Whether the sweep went over more than one covariance type.
fn has_types(selection: &Selection) -> bool {
    let first = selection.candidates[0].covariance_type;
    let other = |candidate: &Candidate| candidate.covariance_type != first;
    selection.candidates.iter().any(other)
}

/// What a candidate is called in a sentence.
fn name(selection: &Selection, position: usize) -> String {
    let candidate = &selection.candidates[position];
    let k = candidate.components;
    if has_types(selection) {
        format!("K = {k} ({})", candidate.covariance_type.name())
    } else {
        format!("K = {k}")
    }
}

/// The table and the verdict.
pub(crate) fn text(selection: &Selection) -> String {
    // Writing to a String cannot fail.
    let mut text = format!(
        "{:>4} {:<9} {:>15} {:>6} {:>14} {:>14} {:>14} {:>20} {:>7} {:>8}\n",
        "K", "type", "log-likelihood", "P", "BIC", "AIC", "ICL", "held out", "starts", "seconds"
    );
    for candidate in &selection.candidates {
        let (k, kind) = (candidate.components, candidate.covariance_type.name());
        let fit = match &candidate.fit {
            Ok(fit) => fit,
            Err(error) => {
                let _ = writeln!(text, "{k:>4} {kind:<9} {error}");
                continue;
            }
        };
        let held_out = candidate.held_out.map_or("–".to_owned(), |score| {
            format!(
                "{:.5} ± {:.5}",
                score.mean_log_likelihood, score.standard_error
            )
        });
        let starts = fit.restarts.as_ref().map_or(String::new(), |restarts| {
            format!("{}/{}", restarts.reached_best, restarts.starts)
        });
        let remark = if candidate.sound().is_none() {
            "  collapsed"
        } else if fit.at_resolution {
            "  at resolution"
        } else if !fit.converged {
            "  not converged"
        } else {
            ""
        };
        let c = fit.criteria;
        let _ = writeln!(
            text,
            "{k:>4} {kind:<9} {:>15.6} {:>6} {:>14.1} {:>14.1} {:>14.1} {held_out:>20} {starts:>7} {:>8.2}{remark}",
            fit.mean_log_likelihood,
            fit.n_parameters,
            c.bic,
            c.aic,
            c.icl,
            candidate.time.as_secs_f64(),
        );
    }
    if let Some(verdict) = &selection.verdict {
        let _ = write!(text, "\n{}\n", sentence(selection, verdict));
    }
    text
}

/// The verdict in words.
pub(crate) fn sentence(selection: &Selection, verdict: &Verdict) -> String {
    let name = |position| name(selection, position);
    let bic = verdict.bic;
    let mut text = format!("BIC: {}", name(bic.best));
    if let (Some(next), Some(margin)) = (bic.next, bic.margin) {
        let _ = write!(
            text,
            ", ahead of {} by {margin:.1}: {}",
            name(next),
            bic.strength()
        );
    }
    let mut other = |criterion: &str, selected: Selected| {
        if selected.best == bic.best {
            let _ = write!(text, "; {criterion} agrees");
        } else {
            let _ = write!(text, "; {criterion}: {}", name(selected.best));
        }
    };
    other("ICL", verdict.icl);
    other("AIC", verdict.aic);
    if let (Some(held_out), Some(within)) = (verdict.held_out, verdict.within_one_standard_error) {
        let _ = if within == bic.best {
            write!(
                text,
                "; held-out agrees within one standard error at {}",
                name(within)
            )
        } else {
            write!(
                text,
                "; held-out: best at {}, smallest within one standard error {}",
                name(held_out.best),
                name(within)
            )
        };
    }
    text
}

/// Criteria against K, the choice marked: all three of one covariance type, or BIC of each type.
pub(crate) fn plot(selection: &Selection, about: &str) -> String {
    type Pick = fn(&wgmm::mixture::Criteria) -> f64;
    let points = |kind: CovarianceType, value: Pick| -> Vec<(f64, f64)> {
        selection
            .candidates
            .iter()
            .filter(|candidate| candidate.covariance_type == kind)
            .map(|candidate| {
                let y = candidate
                    .sound()
                    .map_or(f64::NAN, |fit| value(&fit.criteria));
                (candidate.components as f64, y)
            })
            .collect()
    };
    let mut chart = LineChart::new(["components, K", "criterion (smaller is better)"])
        .title("How many components?");
    if has_types(selection) {
        let mut kinds: Vec<CovarianceType> = Vec::new();
        for candidate in &selection.candidates {
            if !kinds.contains(&candidate.covariance_type) {
                kinds.push(candidate.covariance_type);
            }
        }
        for kind in kinds {
            chart = chart.series(format!("BIC, {}", kind.name()), points(kind, |c| c.bic));
        }
    } else {
        let kind = selection.candidates[0].covariance_type;
        let all: [(&str, Pick); 3] = [("BIC", |c| c.bic), ("ICL", |c| c.icl), ("AIC", |c| c.aic)];
        for (name, value) in all {
            chart = chart.series(name, points(kind, value));
        }
    }
    if let Some(verdict) = &selection.verdict {
        let best = verdict.bic.best;
        chart = chart
            .subtitle(format!("{about}; {}", short(selection, verdict)))
            .mark(
                selection.candidates[best].components as f64,
                name(selection, best),
            );
    }
    chart.to_svg()
}

/// BIC's part of the verdict.
fn short(selection: &Selection, verdict: &Verdict) -> String {
    let text = sentence(selection, verdict);
    text.split(';').next().unwrap_or_default().to_owned()
}

fn document(selection: &Selection, table: &Table, path: &Path) -> Value {
    let rows: Vec<Value> = selection.candidates.iter().map(row).collect();
    let named = |position: usize, criterion: &str| {
        let candidate = &selection.candidates[position];
        json!({
            "components": candidate.components,
            "covariance_type": candidate.covariance_type,
            "criterion": criterion,
        })
    };
    let verdict = selection.verdict;
    json!({
        "command": "select",
        "version": env!("CARGO_PKG_VERSION"),
        "data": {
            "path": path.display().to_string(),
            "rows": table.samples.len(),
            "features": table.features,
            "rows_skipped": table.total_rows - table.samples.len(),
        },
        "rows": rows,
        "chosen": verdict.map(|v| named(v.bic.best, "bic")),
        "margin": verdict.and_then(|v| v.bic.margin),
        "strength": verdict.map(|v| v.bic.strength()),
        "by_icl": verdict.map(|v| named(v.icl.best, "icl")),
        "by_aic": verdict.map(|v| named(v.aic.best, "aic")),
        "by_held_out": verdict.and_then(|v| v.held_out).map(|s| named(s.best, "held_out")),
        "within_one_standard_error": verdict
            .and_then(|v| v.within_one_standard_error)
            .map(|position| named(position, "held_out")),
        "verdict": verdict.map(|v| sentence(selection, &v)),
    })
}

fn row(candidate: &Candidate) -> Value {
    let mut row = json!({
        "components": candidate.components,
        "covariance_type": candidate.covariance_type,
        "seconds": candidate.time.as_secs_f64(),
    });
    let more = match &candidate.fit {
        Err(error) => json!({ "error": error.to_string() }),
        Ok(fit) => json!({
            "mean_log_likelihood": fit.mean_log_likelihood,
            "parameters": fit.n_parameters,
            "bic": fit.criteria.bic,
            "aic": fit.criteria.aic,
            "icl": fit.criteria.icl,
            "held_out": candidate.held_out,
            "restarts": fit.restarts,
            "best_start": fit.restarts.as_ref().map(|r| r.best),
            "starts_at_best": fit.restarts.as_ref().map(|r| r.reached_best),
            "iterations": fit.iterations,
            "converged": fit.converged,
            "collapsed": candidate.sound().is_none(),
            "events": fit.events,
        }),
    };
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row
}

impl Watch {
    /// To be called after each pass of a sweep.
    pub(crate) fn sweep(&self, models: usize) -> ControlFlow<()> {
        self.say(|| format!("{models} mixtures still run"));
        self.go_on()
    }
}
