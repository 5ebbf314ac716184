//! What it takes from the start of a process to the first sums of a device.

use std::time::Instant;

use serde::Serialize;

use super::Gpu;
use super::adapter::{Selection, finding_seconds};
use super::device::{Device, Options};
use super::measure::problem;
use super::shape::Shape;
use crate::backend::{Backend, BackendError};
use crate::data::Standardisation;
use crate::mixture::CovarianceType;

/// Rows of the first pass: so few that starting is what takes time.
const ROWS: usize = 1 << 12;

/// How long each step took, seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StartUp {
    /// Loading the drivers and asking them for their adapters: once a process.
    pub adapters_seconds: f64,
    /// Opening the adapter.
    pub device_seconds: f64,
    /// Writing and compiling the first kernel, D = 2, K = 4; a driver may remember it from another process.
    pub pipeline_seconds: f64,
    /// The first pass with it, samples sent up and sums read back.
    pub pass_seconds: f64,
}

impl StartUp {
    /// From nothing to the first sums, seconds.
    pub fn seconds(&self) -> f64 {
        self.adapters_seconds + self.device_seconds + self.pipeline_seconds + self.pass_seconds
    }
}

/// Opens an adapter anew and takes the time of each step up to the first sums.
///
/// # Errors
/// As [`Device::open`] and [`Backend::statistics`].
pub fn start_up(selection: &Selection) -> Result<StartUp, BackendError> {
    let adapters_seconds = finding_seconds();
    let started = Instant::now();
    let device = Device::open(selection, Options::default())?;
    let device_seconds = started.elapsed().as_secs_f64();
    let shape = Shape {
        covariance_type: CovarianceType::Full,
        d: 2,
        k: 4,
    };
    let (samples, components) = problem(&device, shape, ROWS)?;
    let map = Standardisation::identity(shape.d);
    let started = Instant::now();
    let mut gpu = Gpu::load(&device, &samples, &map)?;
    gpu.statistics(&[(&components).into()])?;
    let seconds = started.elapsed().as_secs_f64();
    let pipeline_seconds = device.compiled().seconds;
    Ok(StartUp {
        adapters_seconds,
        device_seconds,
        pipeline_seconds,
        pass_seconds: seconds - pipeline_seconds,
    })
}
