//! `wgmm compare DATA -k K`: the same plain iterations from one start on every backend, side by side.

use std::io::Write;

use serde::Serialize;
use wgmm::backend::gpu::{self, Selection};
use wgmm::data::{Standardisation, Table};
use wgmm::em::{self, DeviceChoice, Fit, FitError, Init, Options};
use wgmm::mixture::{Difference, label};

use super::args::{CompareArgs, Shared};
use super::failure::{Failure, Outcome};
use super::json;

/// What two backends may differ by: (trace, weights, means, covariances).
const TOLERANCES: (f64, Difference) = (
    1e-6,
    Difference {
        weights: 1e-5,
        means: 1e-5,
        covariances: 1e-4,
    },
);
/// Labels count where the two best responsibilities differ by at least this.
const CLEAR: f64 = 1e-3;
const ITERATIONS: usize = 20;

/// One backend beside the reference.
#[derive(Debug, Serialize)]
struct Row {
    backend: String,
    name: String,
    precision: Option<wgmm::backend::Precision>,
    software: bool,
    seconds_per_iteration: Option<f64>,
    /// Largest |Δℓ| / max(1, |ℓ|), ℓ in standardised units.
    trace: Option<f64>,
    #[serde(flatten)]
    difference: Option<Difference>,
    /// Share of rows with the reference's label, of those with a clear one.
    equal_labels: Option<f64>,
    agree: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The reference's labels, `None` where no component is clearly ahead.
type Labels = Vec<Option<usize>>;

pub(crate) fn run(shared: &Shared, args: &CompareArgs) -> Result<Outcome, Failure> {
    let start = args.em.start()?;
    let mut table = args.data.read(start.labels())?;
    let mut options = args
        .em
        .options(shared, start, &mut table, ITERATIONS, 0.0)?;
    options.restarts = args.em.restarts.unwrap_or(1);
    let failed = |e: FitError| Failure::fit(&args.data.data, &table.features, &shared.device, e);
    if !matches!(options.init, Init::Model(_)) {
        // One start for all: the parameters after no iteration.
        let first = Options {
            max_iter: 0,
            device: DeviceChoice::Reference,
            ..options.clone()
        };
        options.init = Init::Model(em::fit(&table.samples, &first).map_err(failed)?.mixture);
    }
    options.tol = 0.0;
    let map = Standardisation::of(&table.samples, options.covariance_type)
        .map_err(|e| failed(e.into()))?;
    let with = |device| Options {
        device,
        ..options.clone()
    };
    let reference_options = with(DeviceChoice::Reference);
    let reference = em::fit(&table.samples, &reference_options).map_err(failed)?;
    let labels = labels_of(&reference, &table, &reference_options).map_err(failed)?;
    let own = |fit: &Fit| own_row(fit, false);
    let mut rows = vec![own(&reference)];
    let mut devices = vec![(DeviceChoice::Cpu, "cpu".to_owned(), false)];
    let adapters = gpu::adapters();
    for adapter in &adapters {
        devices.push((
            DeviceChoice::Gpu(Selection::Named(adapter.index.to_string())),
            adapter.name.clone(),
            adapter.kind == gpu::DeviceKind::Software,
        ));
    }
    for (device, name, software) in devices {
        let row = beside(
            &with(device),
            &reference,
            &labels,
            &table,
            map.log_determinant(),
        );
        rows.push(row.map_or_else(
            |e| broken_row(&name, software, &e),
            |row| Row { software, ..row },
        ));
    }
    let agree = rows.iter().all(|row| row.agree != Some(false));
    if shared.json {
        json::print(&serde_json::json!({
            "command": "compare",
            "version": env!("CARGO_PKG_VERSION"),
            "rows": table.samples.len(),
            "components": options.n_components,
            "iterations": options.max_iter,
            "backends": rows,
            "agree": agree,
        }))?;
    } else {
        print(&rows, adapters.is_empty(), options.max_iter)?;
    }
    Ok(if agree {
        Outcome::Done
    } else {
        Outcome::Differs
    })
}

fn own_row(fit: &Fit, software: bool) -> Row {
    Row {
        backend: fit.device.backend.to_owned(),
        name: fit.device.name.clone(),
        precision: Some(fit.device.precision),
        software,
        seconds_per_iteration: Some(json::seconds_per_iteration(fit)),
        trace: None,
        difference: None,
        equal_labels: None,
        agree: None,
        error: None,
    }
}

fn broken_row(name: &str, software: bool, error: &FitError) -> Row {
    Row {
        backend: "gpu".to_owned(),
        name: name.to_owned(),
        precision: None,
        software,
        seconds_per_iteration: None,
        trace: None,
        difference: None,
        equal_labels: None,
        agree: Some(false),
        error: Some(error.to_string()),
    }
}

fn beside(
    options: &Options,
    reference: &Fit,
    expected: &Labels,
    table: &Table,
    log_determinant: f64,
) -> Result<Row, FitError> {
    let fit = em::fit(&table.samples, options)?;
    let trace = fit
        .trace
        .iter()
        .zip(&reference.trace)
        .map(|(a, b)| (a - b).abs() / (b - log_determinant).abs().max(1.0))
        .fold(0.0, f64::max);
    let difference = Difference::between(&reference.mixture, &fit.mixture);
    let labels = labels_of(&fit, table, options)?;
    // Rows that are clear to the reference are compared by the largest responsibility alone.
    let clear = expected.iter().zip(&labels).filter(|(e, _)| e.is_some());
    let (mut equal, mut count) = (0usize, 0usize);
    for (expected, found) in clear {
        count += 1;
        equal += usize::from(found.is_none() || expected == found);
    }
    let equal_labels = if count == 0 {
        1.0
    } else {
        equal as f64 / count as f64
    };
    let (most, allowed) = TOLERANCES;
    let agree = fit.trace.len() == reference.trace.len()
        && trace <= most
        && difference.weights <= allowed.weights
        && difference.means <= allowed.means
        && difference.covariances <= allowed.covariances
        && equal == count;
    Ok(Row {
        trace: Some(trace),
        difference: Some(difference),
        equal_labels: Some(equal_labels),
        agree: Some(agree),
        ..own_row(&fit, false)
    })
}

fn labels_of(fit: &Fit, table: &Table, options: &Options) -> Result<Labels, FitError> {
    let k = fit.mixture.n_responsibilities();
    let mut labels = Vec::with_capacity(table.samples.len());
    em::evaluate(&fit.mixture, &table.samples, options, &mut |part| {
        labels.extend(part.responsibilities.chunks_exact(k).map(|row| {
            let best = label(row);
            let others = row
                .iter()
                .enumerate()
                .filter(|(k, _)| *k != best)
                .map(|(_, r)| *r);
            let second = others.fold(0.0, f64::max);
            (row[best] - second >= CLEAR).then_some(best)
        }));
    })?;
    Ok(labels)
}

fn print(rows: &[Row], no_adapter: bool, iterations: usize) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{iterations} plain iterations from one start; largest differences from the reference"
    )?;
    writeln!(
        out,
        "{:<44} {:>4} {:>12} {:>9} {:>9} {:>9} {:>9} {:>8}",
        "backend", "", "ms/iteration", "trace", "weights", "means", "covar.", "labels"
    )?;
    for row in rows {
        let software = if row.software { ", software" } else { "" };
        let name = format!("{} ({}{software})", row.backend, row.name);
        if let Some(error) = &row.error {
            writeln!(out, "{name:<44} {error}")?;
            continue;
        }
        let precision = row
            .precision
            .map_or(String::new(), |p| format!("{p:?}").to_lowercase());
        let ms = row.seconds_per_iteration.unwrap_or_default() * 1e3;
        write!(out, "{name:<44} {precision:>4} {ms:>12.3}")?;
        if let (Some(trace), Some(d), Some(labels)) = (row.trace, row.difference, row.equal_labels)
        {
            let verdict = if row.agree == Some(true) {
                "agrees"
            } else {
                "DIFFERS"
            };
            write!(
                out,
                " {trace:>9.1e} {:>9.1e} {:>9.1e} {:>9.1e} {:>7.2}%  {verdict}",
                d.weights,
                d.means,
                d.covariances,
                100.0 * labels
            )?;
        }
        writeln!(out)?;
    }
    if no_adapter {
        writeln!(out, "{:<44} none", "gpu")?;
    }
    Ok(())
}
