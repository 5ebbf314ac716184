//! `wgmm score MODEL DATA`.

use std::io::Write;

use wgmm::data::{TABLE_ENDINGS, check_writable};
use wgmm::em;
use wgmm::mixture::{Criteria, label};

use super::args::{ScoreArgs, Shared};
use super::failure::{Failure, Outcome};
use super::input::read_model;
use super::json;
use super::output::{Columns, write_table};

pub(crate) fn run(shared: &Shared, args: &ScoreArgs) -> Result<Outcome, Failure> {
    let model = read_model(&args.model)?;
    if let Some(output) = &args.output {
        check_writable(output, &TABLE_ENDINGS)?;
    }
    let options = shared.evaluation(model.len())?;
    let table = args.data.read_for(&args.model, &model)?;
    let (k, samples) = (model.n_responsibilities(), &table.samples);
    let mut log_densities = Vec::new();
    let (mut log_likelihood, mut log_largest) = (0.0, 0.0);
    let device = em::evaluate(&model, samples, &options, &mut |part| {
        let rows = part.rows.clone().zip(part.log_densities);
        for ((i, l), r) in rows.zip(part.responsibilities.chunks_exact(k)) {
            let weight = samples.weight(i);
            if weight > 0.0 {
                log_likelihood += weight * l;
                log_largest += weight * r[label(r)].ln();
            }
        }
        if args.output.is_some() {
            log_densities.extend_from_slice(part.log_densities);
        }
    })
    .map_err(|e| Failure::fit(&args.data.data, &table.features, &shared.device, e))?;
    if let Some(output) = &args.output {
        let columns = Columns::Reals(log_densities);
        write_table(
            output,
            &["log_density"],
            &columns,
            table.total_rows,
            table.kept.as_deref(),
        )?;
    }
    let total = samples.total_weight();
    let mean = log_likelihood / total;
    let criteria = Criteria::new(log_likelihood, log_largest, model.n_parameters(), total);
    if shared.json {
        json::print(&serde_json::json!({
            "command": "score",
            "version": env!("CARGO_PKG_VERSION"),
            "rows": samples.len(),
            "rows_skipped": table.total_rows - samples.len(),
            "device": device,
            "mean_log_likelihood": mean,
            "parameters": model.n_parameters(),
            "bic": criteria.bic,
            "aic": criteria.aic,
            "icl": criteria.icl,
        }))?;
    } else if args
        .output
        .as_ref()
        .is_none_or(|path| path.as_os_str() != "-")
    {
        writeln!(std::io::stdout().lock(), "{mean}")?;
    }
    Ok(Outcome::Done)
}
