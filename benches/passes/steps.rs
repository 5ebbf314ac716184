//! EM steps that a GPU takes by itself, and what their stages take.

use wgmm::backend::gpu::{Device, Gpu, Options, Selection};
use wgmm::backend::{Backend, BackendError, Components, Precision, Walk, Watch};
use wgmm::data::{Samples, Standardisation};

use crate::clock::Clock;

/// Steps that are timed together.
const STEPS: usize = 32;

/// What a step takes: a walk of some less one of none, by their number.
pub(crate) fn print(gpu: &mut Gpu<'_>, components: &Components) {
    let mut components = components.clone();
    components.round_to(Precision::F32);
    let none = fastest(gpu, &components, 0);
    match none.and_then(|none| Ok((fastest(gpu, &components, STEPS)? - none) / STEPS as f64)) {
        Ok(step) => println!("    a step on the device: {:.4} ms", 1e3 * step),
        Err(why) => println!("    no steps: {why}"),
    }
}

/// Seconds of a walk of so many steps, the fastest of some.
fn fastest(gpu: &mut Gpu<'_>, components: &Components, most: usize) -> Result<f64, String> {
    let mut best = f64::INFINITY;
    // The first compiles.
    for _ in 0..4 {
        let clock = Clock::start();
        match walk(gpu, components, most) {
            Ok(taken) if taken == most => best = best.min(clock.seconds()),
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
    walk(&mut gpu, &components, STEPS)?;
    gpu.take_times();
    let passes = 1 + walk(&mut gpu, &components, STEPS)?;
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

/// Takes steps, and says how many.
fn walk(gpu: &mut Gpu<'_>, components: &Components, most: usize) -> Result<usize, BackendError> {
    let walked = gpu.walk(&[Walk {
        model: components.into(),
        most,
        watch: Watch::default(),
    }])?;
    Ok(walked.iter().map(|walked| walked.steps.len()).sum())
}
