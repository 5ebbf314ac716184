//! How fast a device is: memory and multiply-adds by two tiny kernels, and beside what follows from them the kernels of
//! a fit. For people with hardware that the makers have not got.

use std::time::Instant;

use serde::Serialize;

use super::adapter::Selection;
use super::buffers::{Pool, create};
use super::device::{Device, Options};
use super::recording::Recording;
use super::shape::Shape;
use super::stage::StageKey;
use super::{Counters, Gpu};
use crate::backend::{Backend, BackendError, Components, Precision};
use crate::data::{Samples, Standardisation};
use crate::mixture::{CovarianceType, triangle};

/// A measurement takes so long at least, seconds.
const LONG_ENOUGH: f64 = 0.02;
/// How often each is taken; the fastest counts.
const REPETITIONS: usize = 5;
/// Bytes that a workgroup of `measure_bandwidth` reads.
const READ_BYTES: usize = 64 * 64 * 16;
/// Multiply-adds of a workgroup of `measure_fma`: invocations, rounds, steps, chains, parts.
const FMAS: usize = 64 * 256 * 4 * 8 * 4;

/// What a device reached.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Bytes read a second.
    pub bytes_per_second: f64,
    /// Multiply-adds in single precision a second.
    pub fmas_per_second: f64,
    /// Passes of the kernels that fits use.
    pub passes: Vec<MeasuredPass>,
}

/// One pass over samples: the statistics of one mixture, on the host again.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredPass {
    /// Of the mixture.
    pub covariance_type: &'static str,
    /// N.
    pub rows: usize,
    /// D.
    pub features: usize,
    /// K.
    pub components: usize,
    /// What the cost model chose.
    pub plan: String,
    /// The fastest.
    pub seconds: f64,
    /// The least that the measured speeds allow: the samples read once, or the formulas' operations.
    pub roofline_seconds: f64,
    /// How much of the roofline it reaches, 1 at most.
    pub roofline_share: f64,
}

/// Measures an adapter: a second or two of work.
///
/// # Errors
/// As [`Device::open`] and [`Backend::statistics`].
pub fn measure(selection: &Selection) -> Result<Measured, BackendError> {
    let device = Device::open(selection, Options::default())?;
    let (most_bytes, fma_groups) = match device.is_software() {
        true => (32 << 20, 64),
        false => (256 << 20, 16_384),
    };
    let most = usize::try_from(device.limits().max_binding_bytes).unwrap_or(most_bytes);
    let read_groups = (most_bytes.min(most) / READ_BYTES).max(1);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let numbers = create(&device, "numbers", (read_groups * READ_BYTES) as u64, usage)?;
    let (read, fma) = (StageKey::MeasureBandwidth, StageKey::MeasureFma);
    let bytes_per_second =
        (read_groups * READ_BYTES) as f64 / seconds(&device, read, &numbers, read_groups)?;
    let fmas_per_second = (fma_groups * FMAS) as f64 / seconds(&device, fma, &numbers, fma_groups)?;
    let mut measured = Measured {
        bytes_per_second,
        fmas_per_second,
        passes: Vec::new(),
    };
    let rows = if device.is_software() {
        1 << 15
    } else {
        1 << 20
    };
    for (covariance_type, d, k) in [
        (CovarianceType::Full, 2, 4),
        (CovarianceType::Full, 4, 20),
        (CovarianceType::Full, 32, 16),
        (CovarianceType::Diag, 64, 64),
    ] {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let pass = pass(&device, shape, rows, &measured)?;
        measured.passes.push(pass);
    }
    Ok(measured)
}

/// Seconds of one dispatch of a stage that reads `numbers`: many in a submission, the fastest submission.
fn seconds(
    device: &Device,
    key: StageKey,
    numbers: &wgpu::Buffer,
    groups: usize,
) -> Result<f64, BackendError> {
    let stage = device.stage(key)?;
    let mut pool = Pool::default();
    let results = pool.output(device, "results", (groups * 64 * 16) as u64)?;
    let bound = device.guarded(key.stem(), 0, || {
        stage.bind(device.raw(), &[numbers, &results])
    })?;
    let mut run = |count: usize| -> Result<f64, BackendError> {
        let mut recording = Recording::default();
        for _ in 0..count {
            recording.dispatch(&bound, &[], [groups as u32, 1, 1]);
        }
        recording.want(&results, 4);
        let started = Instant::now();
        pool.run(device, &mut Counters::default(), &[recording])?;
        Ok(started.elapsed().as_secs_f64())
    };
    // The first one warms up.
    run(1)?;
    let mut count = 1;
    while run(count)? < LONG_ENOUGH && count < 4096 {
        count *= 2;
    }
    let mut best = f64::INFINITY;
    for _ in 0..REPETITIONS {
        best = best.min(run(count)?);
    }
    Ok(best / count as f64)
}

fn pass(
    device: &Device,
    shape: Shape,
    rows: usize,
    speed: &Measured,
) -> Result<MeasuredPass, BackendError> {
    let Shape {
        covariance_type,
        d,
        k,
    } = shape;
    let (samples, components) = problem(device, shape, rows)?;
    let map = Standardisation::identity(d);
    let mut gpu = Gpu::load(device, &samples, &map)?;
    let mut seconds = f64::INFINITY;
    for _ in 0..=REPETITIONS {
        let started = Instant::now();
        gpu.statistics(&[(&components).into()])?;
        seconds = seconds.min(started.elapsed().as_secs_f64());
    }
    let plan = gpu.info().plan.unwrap_or_default();
    let near = gpu.plan(&components)?.regime.is_near();
    let read = (4 * rows * d) as f64 / speed.bytes_per_second;
    let operations = (rows * shape.least_operations(near)) as f64 / speed.fmas_per_second;
    Ok(MeasuredPass {
        covariance_type: covariance_type.name(),
        rows,
        features: d,
        components: k,
        plan,
        seconds,
        roofline_seconds: read.max(operations),
        roofline_share: read.max(operations) / seconds,
    })
}

/// Rows and a mixture of a shape.
pub(super) fn problem(
    device: &Device,
    shape: Shape,
    rows: usize,
) -> Result<(Samples, Components), BackendError> {
    let Shape {
        covariance_type,
        d,
        k,
    } = shape;
    // Any numbers do, as long as components share the rows.
    let spread = |i: usize| (i * 7919 % 10_007) as f64 / 2918.0 - 1.715;
    let samples = Samples::new((0..rows * d).map(spread).collect::<Vec<f64>>(), d)
        .map_err(|error| device.failed("measuring", error))?;
    let mut components = Components {
        noise: None,
        covariance_type,
        n_features: d,
        weights: vec![1.0 / k as f64; k],
        means: (0..k * d).map(|i| 0.3 * spread(31 * i)).collect(),
        factors: vec![0.0; k * shape.factor_len()],
    };
    let identity = triangle::identity(d);
    (0..k).for_each(|k| components.set_factor(k, &identity));
    components.round_to(Precision::F32);
    Ok((samples, components))
}
