//! EM steps that a GPU takes by itself, and what their stages take.

use wgmm::backend::gpu::{Device, Gpu, Options, Selection};
use wgmm::backend::{Backend, BackendError, Components, Precision, Walk, Watch};
use wgmm::data::{Samples, Standardisation};

use crate::clock::Clock;

/// Steps that are timed together.
const STEPS: usize = 32;
/// Models that are timed together.
const MODELS: usize = 4;

/// What a step takes: a walk of some less one of none, by their number; of one model, and of several together.
pub(crate) fn print(gpu: &mut Gpu<'_>, components: &Components) {
    let mut components = components.clone();
    components.round_to(Precision::F32);
    // Wide models are taken one after the other anyway.
    let few = components.len() * components.n_features <= 1000;
    for models in [1, MODELS].into_iter().filter(|&models| models == 1 || few) {
        let mut fastest = |most| fastest(gpu, &vec![&components; models], most);
        let none = fastest(0);
        match none.and_then(|none| Ok((fastest(STEPS)? - none) / STEPS as f64)) {
            Ok(step) => println!(
                "    a step on the device, {models} at once: {:.4} ms",
                1e3 * step
            ),
            Err(why) => println!("    no steps, {models} at once: {why}"),
        }
    }
}

/// Seconds of a walk of so many steps, the fastest of some.
fn fastest(gpu: &mut Gpu<'_>, models: &[&Components], most: usize) -> Result<f64, String> {
    let mut best = f64::INFINITY;
    // The first compiles.
    for _ in 0..4 {
        let clock = Clock::start();
        match walk(gpu, models, most) {
            Ok(taken) if taken == most * models.len() => best = best.min(clock.seconds()),
            Ok(taken) => return Err(format!("{taken} of {most} are taken there")),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(best)
}

/// What each stage of some steps takes, a dispatch and a step, by the device's clock, one dispatch after the other.
pub(crate) fn print_stages(
    selection: &Selection,
    samples: &Samples,
    map: &Standardisation,
    components: &Components,
) -> Result<(), BackendError> {
    let options = Options {
        timestamps: true,
        ..Options::default()
    };
    let device = Device::open(selection, options)?;
    let mut gpu = Gpu::load(&device, samples, map)?;
    let mut components = components.clone();
    components.round_to(Precision::F32);
    walk(&mut gpu, &[&components], STEPS)?;
    gpu.take_times();
    let passes = 1 + walk(&mut gpu, &[&components], STEPS)?;
    for time in gpu.take_times() {
        println!(
            "    {:<22} {:>9.4} ms a pass, {:>7.2} dispatches",
            time.stage,
            1e3 * time.seconds / passes as f64,
            time.dispatches as f64 / passes as f64
        );
    }
    Ok(())
}

/// Takes steps, and says how many, of all models.
fn walk(gpu: &mut Gpu<'_>, models: &[&Components], most: usize) -> Result<usize, BackendError> {
    let walks: Vec<Walk<'_>> = models
        .iter()
        .map(|components| Walk {
            model: (*components).into(),
            most,
            watch: Watch::default(),
        })
        .collect();
    let walked = gpu.walk(&walks)?;
    Ok(walked.iter().map(|walked| walked.steps.len()).sum())
}
