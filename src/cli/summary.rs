//! Fits and mixtures as text for people.

use std::fmt::Write;

use wgmm::em::{Fit, Options};
use wgmm::mixture::Mixture;

/// A few features are written out, the rest counted.
const SHOWN: usize = 6;

/// What a fit by these options did, and its mixture.
pub(crate) fn fit(fit: &Fit, options: &Options, rows: usize, features: &[String]) -> String {
    let mut text = String::new();
    let device = &fit.device;
    let precision = format!("{:?}", device.precision).to_lowercase();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} components over {rows} rows × {} features; {} ({}), {precision}",
        fit.mixture.len(),
        features.len(),
        device.backend,
        device.name,
    );
    let _ = writeln!(
        text,
        "{} after {} iterations{}; mean log-likelihood {:.6} (start {:.6})",
        ending(fit),
        fit.iterations,
        if options.is_accelerated(rows) {
            ""
        } else {
            " of plain EM"
        },
        fit.mean_log_likelihood,
        fit.trace[0]
    );
    if let (Some(restarts), Some(stage)) = (&fit.restarts, fit.stages.first()) {
        let found = || restarts.mean_log_likelihoods.iter().flatten().copied();
        let _ = writeln!(
            text,
            "{} starts, on {} rows from {:.6} to {:.6}: {} found the best maximum; start {} won",
            restarts.starts,
            stage.rows,
            found().fold(f64::INFINITY, f64::min),
            found().fold(f64::NEG_INFINITY, f64::max),
            restarts.reached_best,
            restarts.best
        );
    }
    let c = fit.criteria;
    let _ = writeln!(
        text,
        "{} parameters; BIC {:.1}, AIC {:.1}, ICL {:.1}",
        fit.n_parameters, c.bic, c.aic, c.icl
    );
    text.push('\n');
    text.push_str(&mixture(&fit.mixture, features));
    text
}

/// How a fit ended.
pub(crate) fn ending(fit: &Fit) -> &'static str {
    match (fit.converged, fit.at_resolution) {
        (true, _) => "converged",
        (_, true) => "converged to statistical resolution",
        _ => "not converged",
    }
}

/// A table of components, heaviest first: weight, mean ± standard deviation of each feature.
pub(crate) fn mixture(mixture: &Mixture, features: &[String]) -> String {
    let d = mixture.n_features();
    let shown = d.min(SHOWN);
    let mut text = format!("{:>9}  {:>8}", "component", "weight");
    for name in features.iter().take(shown) {
        let _ = write!(text, "  {name:>22}");
    }
    text.push_str(if d > shown { "  …\n" } else { "\n" });
    for k in by_weight(mixture) {
        let covariance = mixture.covariance(k);
        let _ = write!(text, "{k:>9}  {:>8.5}", mixture.weights()[k]);
        for j in 0..shown {
            let (mean, sd) = (mixture.mean(k)[j], covariance[j * d + j].sqrt());
            let _ = write!(
                text,
                "  {:>22}",
                format!("{} ± {}", number(mean), number(sd))
            );
        }
        text.push('\n');
    }
    if let Some(noise) = mixture.noise() {
        let _ = write!(text, "{:>9}  {:>8.5}", "noise", noise.weight);
        for (low, high) in noise.lower.iter().zip(&noise.upper).take(shown) {
            let _ = write!(
                text,
                "  {:>22}",
                format!("{} … {}", number(*low), number(*high))
            );
        }
        text.push('\n');
    }
    text
}

/// All components, heaviest first.
pub(crate) fn by_weight(mixture: &Mixture) -> Vec<usize> {
    let mut order: Vec<usize> = (0..mixture.len()).collect();
    order.sort_by(|a, b| mixture.weights()[*b].total_cmp(&mixture.weights()[*a]));
    order
}

/// A table of features: mean ± standard deviation of each.
pub(crate) fn moments(features: &[String], mean: &[f64], sd: &[f64]) -> String {
    let width = features.iter().map(|name| name.chars().count());
    let width = width.max().unwrap_or(0).max(9);
    features
        .iter()
        .zip(mean.iter().zip(sd))
        .map(|(name, (mean, sd))| format!("{name:>width$}  {} ± {}\n", number(*mean), number(*sd)))
        .collect()
}

/// Five or six digits, in the form that reads best.
pub(crate) fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || (1e-3..1e6).contains(&size) {
        let digits = (5 - size.max(1e-3).log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{x:.digits$}");
        if text.contains('.') {
            return text.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        return text;
    }
    format!("{x:.4e}")
}
