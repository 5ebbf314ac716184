//! The JSON documents of `--json`.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use wgmm::data::Table;
use wgmm::em::{Fit, Options};
use wgmm::mixture::{FitSummary, ModelFile};

use super::failure::Failure;

/// Prints one document on standard output.
pub(crate) fn print(document: &Value) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{document:#}")?;
    Ok(())
}

/// The model file of a fit, features by name where the data names them.
pub(crate) fn model(fit: &Fit, table: &Table, options: &Options) -> Result<ModelFile, Failure> {
    let mixture = if table.named {
        fit.mixture
            .clone()
            .with_features(table.features.clone())
            .map_err(|e| Failure::run(e.to_string()))?
    } else {
        fit.mixture.clone()
    };
    let summary = FitSummary {
        rows: table.samples.len(),
        mean_log_likelihood: fit.mean_log_likelihood,
        iterations: fit.iterations,
        converged: fit.converged,
        device: fit.device.backend.to_owned(),
        seed: options.seed,
    };
    Ok(ModelFile::new(&mixture, Some(summary)))
}

/// The document of `fit`.
pub(crate) fn fit(
    path: &str,
    table: &Table,
    options: &Options,
    fit: &Fit,
    model: &ModelFile,
    read: Duration,
) -> Value {
    let times = fit.times;
    let total = read + times.prepare + times.init + times.em;
    json!({
        "command": "fit",
        "version": env!("CARGO_PKG_VERSION"),
        "data": {
            "path": path,
            "rows": table.samples.len(),
            "features": table.features,
            "rows_skipped": table.total_rows - table.samples.len(),
        },
        "device": fit.device,
        "components": options.n_components,
        "covariance_type": options.covariance_type,
        "seed": options.seed,
        "iterations": fit.iterations,
        "passes": fit.passes,
        "converged": fit.converged,
        "at_resolution": fit.at_resolution,
        "remaining_gain": fit.remaining_gain,
        "accelerated": options.is_accelerated(table.samples.len()),
        "mean_log_likelihood": fit.mean_log_likelihood,
        "trace": fit.trace,
        "stages": fit.stages,
        "restarts": fit.restarts,
        "parameters": fit.n_parameters,
        "bic": fit.criteria.bic,
        "aic": fit.criteria.aic,
        "icl": fit.criteria.icl,
        "events": fit.events,
        "seconds": {
            "read": read.as_secs_f64(),
            "prepare": times.prepare.as_secs_f64(),
            "init": times.init.as_secs_f64(),
            "em": times.em.as_secs_f64(),
            "total": total.as_secs_f64(),
        },
        "seconds_per_iteration": seconds_per_iteration(fit),
        "model": model,
    })
}

/// Seconds of EM a pass over all samples.
pub(crate) fn seconds_per_iteration(fit: &Fit) -> f64 {
    let over_all_rows = fit.stages.last().map_or(1.0, |stage| stage.passes);
    fit.times.em.as_secs_f64() / over_all_rows
}
