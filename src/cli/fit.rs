//! `wgmm fit DATA -k K [-o MODEL]`.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use wgmm::data::{TABLE_ENDINGS, Table, check_writable, write_atomically};
use wgmm::em::{self, Fit, Options};

use super::args::{FitArgs, Shared};
use super::failure::{Failure, Outcome};
use super::input::check_tol;
use super::output::{Columns, write_table};
use super::progress::Watch;
use super::{json, summary};

pub(crate) fn run(shared: &Shared, args: &FitArgs) -> Result<Outcome, Failure> {
    check_tol(args.tol)?;
    shared.device()?;
    let start = args.em.start()?;
    check_outputs(args)?;
    let started = Instant::now();
    let mut table = args.data.read(start.labels())?;
    let read = started.elapsed();
    let mut options = args.em.options(shared, start, &mut table, 500, args.tol)?;
    options.strict = args.strict;
    options.plain = args.plain;
    if args.plain && args.em.restarts.is_none() {
        options.restarts = 1;
    }
    let path = &args.data.data;
    let failed = |error| Failure::fit(path, &table.features, &shared.device, error);
    let watch = Watch::new(shared);
    let result = em::fit_observed(&table.samples, &options, &mut |p| watch.observe(p));
    watch.finish();
    let fit = result.map_err(failed)?;
    warn(shared, &fit, &table, &options);
    let model = json::model(&fit, &table, &options)?;
    if let Some(output) = &args.output {
        write_atomically(output, model.to_json().as_bytes())?;
    }
    if let Some(output) = &args.labels {
        write_labels(output, &fit, &table, &options).map_err(|e| match e {
            LabelsError::Fit(error) => Failure::fit(path, &table.features, &shared.device, error),
            LabelsError::Write(failure) => failure,
        })?;
    }
    if shared.json {
        json::print(&json::fit(
            &path.display().to_string(),
            &table,
            &options,
            &fit,
            &model,
            read,
        ))?;
    } else if !shared.quiet {
        let mut text = summary::fit(&fit, &options, table.samples.len(), &table.features);
        if shared.verbose {
            let t = fit.times;
            if let Some(plan) = &fit.device.plan {
                text.push_str(&format!("\non the GPU: {plan}\n"));
            }
            text.push_str(&format!(
                "\nseconds: read {:.3}, prepare {:.3}, start {:.3}, EM {:.3} ({:.2} ms a pass)\n",
                read.as_secs_f64(),
                t.prepare.as_secs_f64(),
                t.init.as_secs_f64(),
                t.em.as_secs_f64(),
                1e3 * json::seconds_per_iteration(&fit),
            ));
        }
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(if fit.interrupted {
        Outcome::Interrupted
    } else {
        Outcome::Done
    })
}

/// Outputs that cannot be written are found before the fit.
fn check_outputs(args: &FitArgs) -> Result<(), Failure> {
    if let Some(path) = &args.output {
        check_writable(path, &["json"])?;
    }
    if let Some(path) = &args.labels {
        check_writable(path, &TABLE_ENDINGS)?;
    }
    Ok(())
}

fn warn(shared: &Shared, fit: &Fit, table: &Table, options: &Options) {
    if shared.quiet {
        return;
    }
    notes(table);
    let parameters = fit.n_parameters as f64;
    if table.samples.total_weight() < 2.0 * parameters {
        eprintln!(
            "warning: {} samples for {parameters} parameters; a smaller -k is safer",
            table.samples.total_weight()
        );
    }
    for event in &fit.events {
        let component = event
            .component
            .map_or(String::new(), |k| format!("component {k}: "));
        eprintln!(
            "warning: iteration {}: {component}{}",
            event.iteration, event.reason
        );
    }
    if !(fit.converged || fit.at_resolution || fit.interrupted) && options.tol > 0.0 {
        eprintln!(
            "warning: stopped at --max-iter {} before the estimated gain fell below --tol {:e}",
            options.max_iter, options.tol
        );
    }
}

/// What of the table was not taken.
pub(crate) fn notes(table: &Table) {
    if !table.left_out.is_empty() {
        eprintln!("note: left out, not numbers: {}", table.left_out.join(", "));
    }
    if let Some(name) = &table.row_numbers {
        eprintln!(
            "note: the first column has no name and only counts rows: left out (--columns {name},… takes it)"
        );
    }
    let skipped = table.total_rows - table.samples.len();
    if skipped > 0 {
        eprintln!("note: {skipped} of {} rows left out", table.total_rows);
    }
}

enum LabelsError {
    Fit(em::FitError),
    Write(Failure),
}

fn write_labels(
    path: &Path,
    fit: &Fit,
    table: &Table,
    options: &Options,
) -> Result<(), LabelsError> {
    let shares = fit.mixture.n_responsibilities();
    let mut labels = Vec::with_capacity(table.samples.len());
    em::evaluate(&fit.mixture, &table.samples, options, &mut |part| {
        let rows = part.responsibilities.chunks_exact(shares);
        labels.extend(rows.map(|row| fit.mixture.label(row)));
    })
    .map_err(LabelsError::Fit)?;
    let labels = Columns::Labels(labels);
    write_table(
        path,
        &["label"],
        &labels,
        table.total_rows,
        table.kept.as_deref(),
    )
    .map_err(LabelsError::Write)
}
