//! `wgmm` alone: the notebook's experiment, finished. Four known Gaussians, samples of them, a fit that does not
//! look at the labels, how far it is from the truth, and how one knows that there are four.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use glam::{DMat2, DVec2};
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use wgmm::data::{Samples, write_atomically};
use wgmm::em::{self, Fit, Options, Selection, Sweep};
use wgmm::mixture::{Covariances, Difference, FitSummary, Mixture, ModelFile, label};
use wgmm::report::Scatter;

use super::args::{ExperimentArgs, Shared};
use super::failure::{Failure, Outcome};
use super::progress::Watch;
use super::{json, select, summary};

/// The notebook's weights; they sum to 0.9.
const WEIGHTS: [f64; 4] = [0.1, 0.3, 0.2, 0.3];
const MEANS: [DVec2; 4] = [
    DVec2::new(1.7, 0.5),
    DVec2::new(2.0, 4.0),
    DVec2::new(0.0, 6.0),
    DVec2::new(5.0, 6.0),
];
/// The notebook's covariances, by columns; the last two are not symmetric.
const COVARIANCES: [DMat2; 4] = [
    DMat2::from_cols_array(&[0.9, 0.0, 0.0, 0.5]),
    DMat2::from_cols_array(&[0.4, 0.3, 0.3, 0.5]),
    DMat2::from_cols_array(&[2.0, 0.2, 0.7, 0.8]),
    DMat2::from_cols_array(&[0.6, 0.3, 0.6, 0.6]),
];
/// Points in a picture.
const SHOWN: usize = 4000;
/// Rows that the question of K is put to.
const SWEPT: usize = 20_000;
const FOLDER: &str = "wgmm-demo";

pub(crate) fn run(shared: &Shared, args: &ExperimentArgs) -> Result<Outcome, Failure> {
    if args.samples < 100 {
        return Err(Failure::usage(format!(
            "--samples {}: four Gaussians need at least 100 samples",
            args.samples
        )));
    }
    let folder = Path::new(FOLDER);
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::run(format!("{FOLDER}: cannot be made: {e}")))?;
    let run = |e: &dyn std::fmt::Display| Failure::run(e.to_string());
    let truth = truth().map_err(|e| run(&e))?;
    let mut out = std::io::stdout().lock();
    if !shared.json && !shared.quiet {
        writeln!(
            out,
            "The notebook's four Gaussians: weights .1 .3 .2 .3 divided by their sum .9; covariances 2 and 3 are \
             not symmetric there, their symmetric parts are taken."
        )?;
    }
    let started = Instant::now();
    let mut rng = ChaCha8Rng::seed_from_u64(shared.seed);
    let (values, labels) = truth.sample(args.samples, &mut rng);
    let samples = Samples::new(values, 2).map_err(|e| run(&e))?;
    let drawn = started.elapsed();
    let watch = Watch::new(shared);
    let options = Options {
        seed: shared.seed,
        device: shared.device()?,
        gpu_memory: shared.gpu_memory(),
        precision: shared.precision(),
        ..Options::new(truth.len())
    };
    let result = em::fit_observed(&samples, &options, &mut |p| watch.observe(p));
    watch.finish();
    let features = ["x".to_owned(), "y".to_owned()];
    let mut fit =
        result.map_err(|e| Failure::fit(Path::new("samples"), &features, &shared.device, e))?;
    // A fit finds components in any order; the truth's is the one to compare in.
    fit.mixture = fit.mixture.matched_to(&truth);
    let started = Instant::now();
    draw(folder, shared, &samples, &labels, &truth, &fit)?;
    let model = model(&fit, &features, &samples, shared)?;
    write_atomically(&folder.join("model.json"), model.to_json().as_bytes())?;
    let written = started.elapsed();
    let started = Instant::now();
    let swept = Samples::subset(&samples, &Vec::from_iter(0..SWEPT.min(samples.len())));
    let selection = sweep(shared, &swept)?;
    let picture = select::plot(&selection, &format!("{} samples", swept.len()));
    write_atomically(&folder.join("select.svg"), picture.as_bytes())?;
    let swept_in = started.elapsed();
    let verdict = selection
        .verdict
        .map(|verdict| select::sentence(&selection, &verdict));
    let difference = Difference::between(&truth, &fit.mixture);
    if shared.json {
        json::print(&serde_json::json!({
            "command": "experiment",
            "version": env!("CARGO_PKG_VERSION"),
            "rows": samples.len(),
            "device": fit.device,
            "seed": shared.seed,
            "iterations": fit.iterations,
            "converged": fit.converged,
            "mean_log_likelihood": fit.mean_log_likelihood,
            "trace": fit.trace,
            "events": fit.events,
            "difference": difference,
            "truth": ModelFile::new(&truth, None),
            "model": model,
            "verdict": verdict,
        }))?;
    } else if !shared.quiet {
        report(
            &mut out,
            &samples,
            &truth,
            &fit,
            difference,
            [drawn, written],
        )?;
        writeln!(
            out,
            "\nK = 4, but how do we know? A sweep over {} of the samples, {:.1} s:\n",
            swept.len(),
            swept_in.as_secs_f64()
        )?;
        write!(out, "{}", select::text(&selection))?;
        writeln!(
            out,
            "\nwritten: {FOLDER}/samples.svg, {FOLDER}/fit.svg, {FOLDER}/select.svg, {FOLDER}/model.json"
        )?;
    }
    Ok(if fit.interrupted || selection.interrupted {
        Outcome::Interrupted
    } else {
        Outcome::Done
    })
}

/// How many components the criteria find in the samples.
fn sweep(shared: &Shared, samples: &Samples) -> Result<Selection, Failure> {
    let mut sweep = Sweep::new(1..=8);
    sweep.options.seed = shared.seed;
    sweep.options.device = shared.device()?;
    sweep.options.gpu_memory = shared.gpu_memory();
    sweep.options.precision = shared.precision();
    let watch = Watch::new(shared);
    let result = em::select(samples, &sweep, &mut |models| watch.sweep(models));
    watch.finish();
    result.map_err(|e| Failure::run(e.to_string()))
}

/// The notebook's mixture: weights normalised, covariances symmetric.
fn truth() -> Result<Mixture, wgmm::mixture::ModelError> {
    let sum: f64 = WEIGHTS.iter().sum();
    let covariances = COVARIANCES
        .iter()
        .flat_map(|c| (0.5 * (*c + c.transpose())).to_cols_array())
        .collect();
    Mixture::new(
        WEIGHTS.iter().map(|w| w / sum).collect(),
        MEANS.iter().flat_map(|m| m.to_array()).collect(),
        2,
        Covariances::Full(covariances),
    )?
    .with_features(vec!["x".to_owned(), "y".to_owned()])
}

fn model(
    fit: &Fit,
    features: &[String],
    samples: &Samples,
    shared: &Shared,
) -> Result<ModelFile, Failure> {
    let mixture = fit
        .mixture
        .clone()
        .with_features(features.to_vec())
        .map_err(|e| Failure::run(e.to_string()))?;
    let summary = FitSummary {
        rows: samples.len(),
        mean_log_likelihood: fit.mean_log_likelihood,
        iterations: fit.iterations,
        converged: fit.converged,
        device: fit.device.backend.to_owned(),
        seed: shared.seed,
    };
    Ok(ModelFile::new(&mixture, Some(summary)))
}

/// Writes `samples.svg` and `fit.svg`: a fixed subset, coloured by true and by fitted component.
fn draw(
    folder: &Path,
    shared: &Shared,
    samples: &Samples,
    labels: &[usize],
    truth: &Mixture,
    fit: &Fit,
) -> Result<(), Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(shared.seed);
    rng.set_stream(1);
    let shown = index::sample(&mut rng, samples.len(), SHOWN.min(samples.len())).into_vec();
    let values: Vec<f64> = shown
        .iter()
        .flat_map(|&i| [samples.value(i, 0), samples.value(i, 1)])
        .collect();
    let true_labels: Vec<usize> = shown.iter().map(|&i| labels[i]).collect();
    let density = fit.mixture.density();
    let mut shares = vec![0.0; fit.mixture.len()];
    let fitted: Vec<usize> = values
        .chunks_exact(2)
        .map(|row| {
            density.responsibilities(row, &mut shares);
            label(&shares)
        })
        .collect();
    let about = format!("{} of {} samples", shown.len(), samples.len());
    let pictures = [
        (
            "samples.svg",
            Scatter::new([0, 1], ["x", "y"])
                .title("Samples of four Gaussians")
                .subtitle(format!(
                    "{about}, coloured by the component they were drawn from"
                ))
                .samples(&values, 2, &true_labels),
        ),
        (
            "fit.svg",
            Scatter::new([0, 1], ["x", "y"])
                .title("The fit, made without the labels")
                .subtitle(format!(
                    "{about}, coloured by fitted component; 1σ and 2σ ellipses"
                ))
                .samples(&values, 2, &fitted)
                .mixture(&fit.mixture)
                .truth(truth),
        ),
    ];
    for (name, picture) in pictures {
        let text = picture
            .to_svg()
            .map_err(|e| Failure::run(format!("{name}: {e}")))?;
        write_atomically(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

fn report(
    out: &mut impl Write,
    samples: &Samples,
    truth: &Mixture,
    fit: &Fit,
    difference: Difference,
    [drawn, written]: [Duration; 2],
) -> Result<(), Failure> {
    let names = ["x".to_owned(), "y".to_owned()];
    writeln!(out, "{} samples, K = {}\n", samples.len(), truth.len())?;
    writeln!(out, "truth\n{}", summary::mixture(truth, &names))?;
    writeln!(
        out,
        "fit, in the truth's order\n{}",
        summary::mixture(&fit.mixture, &names)
    )?;
    writeln!(
        out,
        "largest differences: weights {:.1e}, means {:.1e} standard deviations, covariances {:.1e} of the truth's",
        difference.weights, difference.means, difference.covariances
    )?;
    let ending = summary::ending(fit);
    writeln!(
        out,
        "mean log-likelihood {:.6} at the start, {:.6} after {} iterations ({ending})",
        fit.trace[0], fit.mean_log_likelihood, fit.iterations
    )?;
    for event in &fit.events {
        writeln!(out, "iteration {}: {}", event.iteration, event.reason)?;
    }
    let device = &fit.device;
    writeln!(
        out,
        "device: {} ({}), {}, {} threads",
        device.backend,
        device.name,
        format!("{:?}", device.precision).to_lowercase(),
        device.threads
    )?;
    let t = fit.times;
    writeln!(
        out,
        "seconds: draw {:.3}, prepare {:.3}, start {:.3}, EM {:.3} ({:.1} ms a pass), pictures {:.3}",
        drawn.as_secs_f64(),
        t.prepare.as_secs_f64(),
        t.init.as_secs_f64(),
        t.em.as_secs_f64(),
        1e3 * json::seconds_per_iteration(fit),
        written.as_secs_f64()
    )?;
    Ok(())
}
