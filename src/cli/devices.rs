//! `wgmm devices [--check]`.

use std::io::Write;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use wgmm::backend::gpu::{self, AdapterDescription, DeviceKind, Measured, Selection, StartUp};
use wgmm::data::Samples;
use wgmm::em::{self, DeviceChoice, GPU_PAYS, Init, Options};
use wgmm::mixture::{Covariances, Difference, Mixture};

use super::args::{DevicesArgs, Shared};
use super::failure::{Failure, Outcome};
use super::json;

/// Rows of a check: more than 65,535 of them, so that a device whose loops end early is found out.
const ROWS: usize = 70_000;

pub(crate) fn run(shared: &Shared, args: &DevicesArgs) -> Result<Outcome, Failure> {
    let adapters = gpu::adapters();
    let hardware = adapters
        .iter()
        .filter(|a| a.kind != DeviceKind::Software)
        .min_by_key(|a| a.kind);
    let why = match hardware {
        Some(adapter) => format!(
            "auto: {} where a pass takes {GPU_PAYS:e} operations or more, else the CPU",
            adapter.name
        ),
        None if adapters.is_empty() => "auto: the CPU, since there is no adapter".to_owned(),
        None => "auto: the CPU, since all adapters are software; --device gpu takes one".to_owned(),
    };
    let mut results: Vec<(&AdapterDescription, Option<Check>)> =
        adapters.iter().map(|a| (a, None)).collect();
    if args.check {
        let (samples, reference) = problem(shared)?;
        for (adapter, result) in &mut results {
            let selection = Selection::Named(adapter.index.to_string());
            *result = Some(Check {
                start_up: gpu::start_up(&selection).map_err(|e| e.to_string()),
                difference: check(&selection, &samples, &reference),
                speed: gpu::measure(&selection).map_err(|e| e.to_string()),
            });
        }
    }
    let sound = results
        .iter()
        .all(|(_, r)| r.as_ref().is_none_or(Check::is_sound));
    if shared.json {
        let listed: Vec<Value> = results
            .iter()
            .map(|(adapter, result)| {
                let mut value = json!(adapter);
                if let Some(Check {
                    start_up,
                    difference,
                    speed,
                }) = result
                {
                    match start_up {
                        Ok(start_up) => value["start_up"] = json!(start_up),
                        Err(error) => value["error"] = json!(error),
                    }
                    match difference {
                        Ok(difference) => value["check"] = json!(difference),
                        Err(error) => value["error"] = json!(error),
                    }
                    match speed {
                        Ok(speed) => value["measured"] = json!(speed),
                        Err(error) => value["error"] = json!(error),
                    }
                }
                value
            })
            .collect();
        json::print(&json!({
            "command": "devices",
            "version": env!("CARGO_PKG_VERSION"),
            "adapters": listed,
            "auto": why,
            "sound": if args.check { Some(sound) } else { None },
        }))?;
    } else {
        let mut out = std::io::stdout().lock();
        for (adapter, result) in &results {
            writeln!(
                out,
                "{}  {} ({:?}, {}; {})",
                adapter.index, adapter.name, adapter.kind, adapter.api, adapter.driver
            )?;
            if let Some(check) = result {
                write!(out, "{}", check.text(shared.verbose))?;
            }
        }
        writeln!(out, "{why}")?;
    }
    Ok(if sound {
        Outcome::Done
    } else {
        Outcome::Differs
    })
}

/// What was found on an adapter.
struct Check {
    /// Before anything else ran there.
    start_up: Result<StartUp, String>,
    /// A fit's distance from the reference.
    difference: Result<Difference, String>,
    speed: Result<Measured, String>,
}

impl Check {
    /// By `compare`'s tolerances.
    fn is_sound(&self) -> bool {
        let close = |d: &Difference| d.weights <= 1e-5 && d.means <= 1e-5 && d.covariances <= 1e-4;
        self.difference.as_ref().is_ok_and(close) && self.speed.is_ok() && self.start_up.is_ok()
    }

    fn text(&self, verbose: bool) -> String {
        let verdict = if self.is_sound() {
            "sound"
        } else {
            "NOT SOUND"
        };
        let mut lines = vec![match &self.difference {
            Ok(d) => format!(
                "{verdict}: weights {:.1e}, means {:.1e}, covariances {:.1e} from the reference",
                d.weights, d.means, d.covariances
            ),
            Err(error) => format!("{verdict}: {error}"),
        }];
        lines.push(match &self.start_up {
            Ok(s) => format!(
                "first sums after {:.0} ms: drivers and adapters {:.0}, device {:.0}, first kernel compiled {:.0}, first pass {:.1}",
                1e3 * s.seconds(),
                1e3 * s.adapters_seconds,
                1e3 * s.device_seconds,
                1e3 * s.pipeline_seconds,
                1e3 * s.pass_seconds
            ),
            Err(error) => format!("{verdict}: {error}"),
        });
        match &self.speed {
            Ok(speed) => {
                lines.push(format!(
                    "reads {:.3} GB/s, {:.4} TFLOP/s of multiply-adds; passes, and how much of what these speeds allow:",
                    speed.bytes_per_second / 1e9,
                    2.0 * speed.fmas_per_second / 1e12
                ));
                for p in &speed.passes {
                    lines.push(format!(
                        "  {} N={} D={} K={}: {:.3} ms, {:.0} %",
                        p.covariance_type,
                        p.rows,
                        p.features,
                        p.components,
                        1e3 * p.seconds,
                        100.0 * p.roofline_share
                    ));
                    if verbose {
                        lines.push(format!("    {}", p.plan));
                    }
                }
            }
            Err(error) => lines.push(format!("{verdict}: {error}")),
        }
        lines.iter().map(|line| format!("   {line}\n")).collect()
    }
}

/// Samples of two overlapping components in three dimensions, and five iterations of the reference on them.
fn problem(shared: &Shared) -> Result<(Samples, (Options, Mixture)), Failure> {
    let truth = Mixture::new(
        vec![0.4, 0.6],
        vec![0.0, 0.0, 0.0, 2.0, -1.0, 1.0],
        3,
        Covariances::Full(vec![
            1.0, 0.5, 0.0, 0.5, 2.0, 0.3, 0.0, 0.3, 1.0, 1.5, -0.2, 0.1, -0.2, 0.5, 0.0, 0.1, 0.0,
            0.8,
        ]),
    )
    .map_err(|e| Failure::run(e.to_string()))?;
    let (values, _) = truth.sample(ROWS, &mut ChaCha8Rng::seed_from_u64(shared.seed));
    let samples = Samples::new(values, 3).map_err(|e| Failure::run(e.to_string()))?;
    let options = Options {
        init: Init::Model(truth),
        max_iter: 5,
        tol: 0.0,
        device: DeviceChoice::Reference,
        ..Options::new(2)
    };
    let reference = em::fit(&samples, &options).map_err(|e| Failure::run(e.to_string()))?;
    Ok((samples, (options, reference.mixture)))
}

fn check(
    selection: &Selection,
    samples: &Samples,
    (options, reference): &(Options, Mixture),
) -> Result<Difference, String> {
    let device = DeviceChoice::Gpu(selection.clone());
    let fit = em::fit(
        samples,
        &Options {
            device,
            ..options.clone()
        },
    )
    .map_err(|e| e.to_string())?;
    Ok(Difference::between(reference, &fit.mixture))
}
