//! `wgmm info MODEL`.

use std::io::Write;

use serde_json::{Value, json};
use wgmm::mixture::{CovarianceType, FitSummary, Mixture, ModelFile};

use super::args::{InfoArgs, Shared};
use super::failure::{Failure, Outcome};
use super::input::feature_names;
use super::{json, relations, summary};

pub(crate) fn run(shared: &Shared, args: &InfoArgs) -> Result<Outcome, Failure> {
    let (model, fit) =
        ModelFile::read(&args.model).map_err(|error| Failure::model(&args.model, &error))?;
    if shared.json {
        json::print(&document(&model, fit))?;
    } else {
        let text = text(&model, fit.as_ref());
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(Outcome::Done)
}

fn document(model: &Mixture, fit: Option<FitSummary>) -> Value {
    let (k, d) = (model.len(), model.n_features());
    let (mean, sd) = model.moments();
    json!({
        "command": "info",
        "version": env!("CARGO_PKG_VERSION"),
        "components": k,
        "components_by_weight": summary::by_weight(model),
        "effective_components": model.effective_components(),
        "features": feature_names(model),
        "parameters": model.n_parameters(),
        "mean": mean,
        "standard_deviation": sd,
        "standard_deviations": rows(&model.standard_deviations(), d),
        "correlations": correlations(model),
        "overlap": rows(&model.overlap(), k),
        "model": ModelFile::new(model, fit),
    })
}

/// The correlations in the shape of the covariances; null where their type leaves none.
fn correlations(model: &Mixture) -> Value {
    let matrix = |k| rows(&model.correlations(k), model.n_features());
    match model.covariance_type() {
        CovarianceType::Full => json!((0..model.len()).map(matrix).collect::<Vec<_>>()),
        CovarianceType::Tied => matrix(0),
        CovarianceType::Diag | CovarianceType::Spherical => Value::Null,
    }
}

fn rows(values: &[f64], width: usize) -> Value {
    json!(values.chunks_exact(width).collect::<Vec<_>>())
}

fn text(model: &Mixture, fit: Option<&FitSummary>) -> String {
    let features = feature_names(model);
    let mut text = format!(
        "{} components ({}) over {} features, {} parameters\n",
        model.len(),
        model.covariance_type().name(),
        model.n_features(),
        model.n_parameters()
    );
    if model.len() > 1 {
        text.push_str(&format!(
            "{:.2} components in effect, by the entropy of their weights\n",
            model.effective_components()
        ));
    }
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
    text.push_str(&summary::mixture(model, &features));
    text.push_str(&relations::correlations(model, &features));
    text.push_str(&relations::overlap(model));
    text
}
