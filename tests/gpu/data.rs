//! Devices, samples and models that the tests share.

use std::sync::OnceLock;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::backend::gpu::{Device, Hardware, Options, Selection, adapters};
use wgmm::backend::{Components, Precision};
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{DeviceChoice, Init, Options as FitOptions};
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

/// A device of its own, opened with `options`.
pub fn open(options: Options) -> Device {
    let device = Device::open(&Selection::Best, options).expect("these tests need an adapter");
    if adapters().iter().all(|a| a.name.contains("llvmpipe")) {
        assert!(device.description().name.contains("llvmpipe") && device.is_software());
    }
    device
}

/// The device that most tests share.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let device = open(Options::default());
        println!("adapter: {}", device.description().name);
        device
    })
}

/// The same adapter, where means are taken off rows however near the origin they are.
pub fn off_origin() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        open(Options {
            no_near: true,
            ..Options::default()
        })
    })
}

/// Someone's card, played by the processor; and one that takes means off all rows.
pub fn cards(hardware: Hardware) -> [Device; 2] {
    [false, true].map(|no_near| {
        open(Options {
            as_hardware: Some(hardware),
            no_near,
            ..Options::default()
        })
    })
}

pub fn is_full() -> bool {
    std::env::var_os("WGMM_FULL").is_some_and(|v| v == "1")
}

/// Whether this process runs the named test alone, so that nothing of other tests counts; if not, runs it so.
pub fn alone(test: &str) -> bool {
    if std::env::var_os("WGMM_ALONE").is_some() {
        return true;
    }
    let me = std::env::current_exe().expect("this program");
    let status = std::process::Command::new(me)
        .args(["--exact", test])
        .env("WGMM_ALONE", "1")
        .status();
    assert!(status.expect("it starts").success());
    false
}

/// Bytes of memory that this process holds (`VmRSS`) or held at most (`VmHWM`), where the system tells.
pub fn memory(which: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(which))?;
    let kib = line.split_whitespace().nth(1)?;
    Some(1024 * kib.parse::<usize>().ok()?)
}

/// N rows of three loose clusters; where weighted, a fifth of the weights is 0 and one of those rows is absurd.
pub fn samples(n: usize, d: usize, weighted: bool) -> (Samples, Standardisation) {
    let mut random = ChaCha8Rng::seed_from_u64((1000 * n + d) as u64);
    let mut values: Vec<f64> = (0..n)
        .flat_map(|i| (0..d).map(move |j| 3.0 * ((i * (j + 1)) % 3) as f64))
        .collect();
    values
        .iter_mut()
        .for_each(|x| *x += random.random::<f64>() + random.random::<f64>());
    let mut weights: Vec<f64> = (0..n)
        .map(|i| {
            if i % 5 == 1 {
                0.0
            } else {
                7.0 * random.random::<f64>() + 0.01
            }
        })
        .collect();
    if weighted && n > 1 {
        values[d] = 1e100;
        weights[1] = 0.0;
    }
    let samples = Samples::new(values, d).expect("finite values");
    let samples = if weighted {
        samples.with_weights(weights).expect("weights")
    } else {
        samples
    };
    // Fewer rows than it takes to have a spread are taken as they are.
    let map = Standardisation::of(&samples, wgmm::mixture::CovarianceType::Full)
        .unwrap_or_else(|_| Standardisation::identity(d));
    (samples, map)
}

/// K Gaussians on the standardised scale, with factors as the device wants them: diagonal ones, of different
/// scales, for diagonal and spherical covariances.
pub fn components(d: usize, k: usize, covariance_type: CovarianceType) -> Components {
    let mut random = ChaCha8Rng::seed_from_u64((100 * d + k) as u64);
    let weights: Vec<f64> = (0..k).map(|_| random.random::<f64>() + 0.1).collect();
    let total: f64 = weights.iter().sum();
    let mut components = Components {
        noise: None,
        covariance_type,
        n_features: d,
        weights: weights.iter().map(|w| w / total).collect(),
        means: (0..k * d)
            .map(|_| 3.0 * random.random::<f64>() - 1.5)
            .collect(),
        factors: (0..k)
            .flat_map(|_| {
                let mut factor = Vec::new();
                for i in 0..d {
                    for _ in (0..i).filter(|_| !covariance_type.is_diagonal()) {
                        factor.push((random.random::<f64>() - 0.5) / (d as f64).sqrt());
                    }
                    factor.push(0.7 + random.random::<f64>());
                }
                factor
            })
            .collect(),
    };
    components.round_to(Precision::F32);
    components
}

/// The same with component `at` switched off.
pub fn without(mut components: Components, at: usize) -> Components {
    let rest = 1.0 - components.weights[at];
    components.weights[at] = 0.0;
    components.weights.iter_mut().for_each(|w| *w /= rest);
    components
}

/// Four plain iterations from K wide components, on an opened device.
pub fn few_iterations(d: usize, k: usize, device: &Device, or_cpu: bool) -> FitOptions {
    let mut random = ChaCha8Rng::seed_from_u64((10 * d + k) as u64);
    let means = (0..k * d).map(|_| 8.0 * random.random::<f64>()).collect();
    let mut covariances = vec![0.0; k * d * d];
    (0..k * d).for_each(|i| covariances[i / d * d * d + i % d * (d + 1)] = 4.0);
    let weights = vec![1.0 / k as f64; k];
    let start = Mixture::new(weights, means, d, Covariances::Full(covariances));
    FitOptions {
        init: Init::Model(start.expect("a valid mixture")),
        max_iter: 4,
        tol: 0.0,
        device: DeviceChoice::Opened {
            device: device.clone(),
            or_cpu,
        },
        ..FitOptions::new(k)
    }
}
