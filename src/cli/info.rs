//! `wgmm info MODEL`.

use std::io::Write;

use wgmm::mixture::ModelFile;

use super::args::{InfoArgs, Shared};
use super::failure::{Failure, Outcome};
use super::{json, summary};

pub(crate) fn run(shared: &Shared, args: &InfoArgs) -> Result<Outcome, Failure> {
    let (model, fit) =
        ModelFile::read(&args.model).map_err(|error| Failure::model(&args.model, &error))?;
    let features: Vec<String> = (0..model.n_features())
        .map(|j| model.feature_name(j))
        .collect();
    if shared.json {
        json::print(&serde_json::json!({
            "command": "info",
            "version": env!("CARGO_PKG_VERSION"),
            "components": model.len(),
            "features": features,
            "parameters": model.n_parameters(),
            "model": ModelFile::new(&model, fit),
        }))?;
        return Ok(Outcome::Done);
    }
    let mut text = format!(
        "{} components ({}) over {} features, {} parameters\n",
        model.len(),
        model.covariance_type().name(),
        model.n_features(),
        model.n_parameters()
    );
    if let Some(fit) = fit {
        let ending = if fit.converged {
            "converged"
        } else {
            "not converged"
        };
        text.push_str(&format!(
            "fitted to {} rows on {} (seed {}): {ending} after {} iterations, mean log-likelihood {:.6}\n",
            fit.rows, fit.device, fit.seed, fit.iterations, fit.mean_log_likelihood
        ));
    }
    text.push('\n');
    text.push_str(&summary::mixture(&model, &features));
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Outcome::Done)
}
