//! Whole fits with steps on the device against those whose every M-step is the host's, and against f64.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use wgmm::backend::gpu::{Device, Options};
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{DeviceChoice, EventKind, Fit, Init, Options as FitOptions, fit, fit_observed};
use wgmm::mixture::{CovarianceType, Covariances, Difference, Mixture};

use super::TYPES;
use crate::data::{device, open};

/// Rows of K clusters of different shapes and sizes; features of different scales, offset by so many of them.
fn problem(n: usize, d: usize, k: usize, narrow: f64, offset: f64) -> Samples {
    let mut random = ChaCha8Rng::seed_from_u64((n + 10 * d + k) as u64);
    let mut noise = || (0..4).map(|_| random.random::<f64>() - 0.5).sum::<f64>();
    let mut values = Vec::new();
    for i in 0..n {
        let c = i % k;
        let common = noise();
        for j in 0..d {
            let centre = 3.0 * ((c * (j + 2)) % k) as f64;
            // The last cluster is narrower than the first by `narrow`.
            let spread = narrow.powf(-(c as f64) / k.max(2) as f64);
            let x = centre + spread * (noise() + 0.7 * common);
            values.push(10f64.powi(j as i32 % 3) * (x + offset));
        }
    }
    Samples::new(values, d).expect("finite values")
}

/// The same fit with steps on the device, with every M-step on the host, and in f64.
fn three_ways(samples: &Samples, options: &FitOptions) -> [Fit; 3] {
    static HOST: OnceLock<Device> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        open(Options {
            no_steps: true,
            ..Options::default()
        })
    });
    let opened = |device: &Device| DeviceChoice::Opened {
        device: device.clone(),
        or_cpu: false,
    };
    [opened(device()), opened(host), DeviceChoice::Reference].map(|device| {
        let options = FitOptions {
            device,
            ..options.clone()
        };
        fit(samples, &options).expect("a fit")
    })
}

/// The parameters that a fit starts from, so that all start from the same.
fn begun(samples: &Samples, options: &FitOptions) -> Init {
    let options = FitOptions {
        max_iter: 0,
        restarts: 1,
        device: DeviceChoice::Reference,
        ..options.clone()
    };
    Init::Model(fit(samples, &options).expect("a start").mixture)
}

/// A covariance type, N, D, K, how much narrower the last cluster is, how far off all are, and whether rows have weights.
type Case = (CovarianceType, usize, usize, usize, f64, f64, bool);

#[test]
fn fits_agree_with_every_m_step_on_the_host_and_in_double() {
    let cases: [Case; 8] = [
        (CovarianceType::Full, 3001, 2, 3, 1.0, 0.0, false),
        (CovarianceType::Full, 2500, 2, 4, 10.0, 1e5, true),
        (CovarianceType::Full, 999, 3, 3, 30.0, 1e3, false),
        (CovarianceType::Full, 2000, 1, 5, 3.0, -40.0, true),
        (CovarianceType::Full, 500, 8, 2, 2.0, 7.0, false),
        (CovarianceType::Tied, 3001, 3, 4, 1.0, 1e4, true),
        (CovarianceType::Diag, 3001, 4, 4, 10.0, 1e4, false),
        (CovarianceType::Spherical, 3001, 4, 4, 10.0, 0.0, true),
    ];
    for case in cases {
        check(case);
    }
}

#[test]
fn fits_agree_in_every_regime() {
    let cases: [Case; 8] = [
        (CovarianceType::Full, 3001, 4, 8, 3.0, 1e3, true),
        (CovarianceType::Full, 3000, 17, 3, 3.0, 1e4, false),
        (CovarianceType::Full, 1001, 33, 2, 3.0, 0.0, true),
        (CovarianceType::Tied, 1500, 17, 4, 1.0, 1e3, true),
        (CovarianceType::Diag, 2001, 33, 8, 10.0, 1e4, false),
        (CovarianceType::Diag, 2001, 65, 5, 3.0, -7.0, true),
        (CovarianceType::Spherical, 2001, 20, 9, 1.0, 1e4, true),
        (CovarianceType::Spherical, 1001, 70, 7, 3.0, 0.0, false),
    ];
    for case in cases {
        check(case);
    }
}

#[test]
fn slow_steps_are_not_lost_in_the_means_last_digits() {
    // Two components that overlap take thousands of steps, in which errors add up; a third holds them some standard
    // deviations from the origin.
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut noise = || -> f64 { StandardNormal.sample(&mut random) };
    for (t, d) in [
        (CovarianceType::Full, 1),
        (CovarianceType::Full, 2),
        (CovarianceType::Diag, 2),
        (CovarianceType::Tied, 2),
    ] {
        let clusters = [
            (-14.0, 1.0),
            (-14.0, 1.0),
            (-14.0, 1.0),
            (-0.5, 1.0),
            (-14.0, 1.0),
            (-14.0, 1.0),
            (-14.0, 1.0),
            (0.9, 1.1),
        ];
        let values: Vec<f64> = (0..8_000 * d)
            .map(|i| clusters[i / d % 8])
            .map(|(centre, deviation)| centre + deviation * noise())
            .collect();
        let samples = Samples::new(values, d).expect("finite values");
        let means = [-14.0, -1.0, 1.2].into_iter();
        let means = means.flat_map(|m| vec![m; d]).collect();
        let identity: Vec<f64> = (0..d * d)
            .map(|i| f64::from(u8::from(i % (d + 1) == 0)))
            .collect();
        let covariances = match t {
            CovarianceType::Full => Covariances::Full(identity.repeat(3)),
            CovarianceType::Tied => Covariances::Tied(identity),
            _ => Covariances::Diag(vec![1.0; 3 * d]),
        };
        let start = Mixture::new(vec![0.75, 0.125, 0.125], means, d, covariances);
        let options = FitOptions {
            covariance_type: t,
            init: Init::Model(start.expect("a mixture")),
            max_iter: 2_000,
            tol: 0.0,
            ..FitOptions::new(3)
        };
        let [device, host, double] = three_ways(&samples, &options);
        let what = format!("{t:?} D={d}");
        assert!(
            device.trace != host.trace,
            "{what}: the device took no step"
        );
        // One feature's 2,000 steps are not the last, and each keeps nearly all that those before it were off by: on average over
        // samples by less than a rounding of their shares, which a GPU's powers and reciprocals do not round evenly (on an
        // H200 means were off by 4e-5, on lavapipe by 7e-6).
        let most = match d {
            1 if !crate::data::device().is_software() => 2_000.0 * 2f64.powi(-24),
            _ => 1e-5,
        };
        let [device, host] = [device, host].map(|fit| {
            assert_eq!(fit.iterations, 2_000, "{what}");
            let off = Difference::between(&double.mixture, &fit.mixture);
            let within = off.weights <= 1e-5 && off.means <= most && off.covariances <= 1e-4;
            assert!(within, "{what}: {off:?}");
            off.means
        });
        // Passes are the same, and it is they that errors come from. A step's last place, 2⁻²⁴ of 10 deviations, would come
        // to 9e-6 at D = 2.
        assert!(
            device <= 2.0 * host + 3e-6,
            "{what}: {device:e} and {host:e}"
        );
    }
}

fn check((t, n, d, k, narrow, offset, weighted): Case) {
    let samples = problem(n, d, k, narrow, offset);
    let weights = (0..n).map(|i| (i * 7919 % 100) as f64 / 30.0).collect();
    let samples = match weighted {
        true => samples.with_weights(weights).expect("weights"),
        false => samples,
    };
    let what = format!("{t:?} N={n} D={d} K={k} narrow {narrow} offset {offset}");
    let mut options = FitOptions {
        covariance_type: t,
        max_iter: 30,
        tol: 0.0,
        ..FitOptions::new(k)
    };
    options.init = begun(&samples, &options);
    let map = Standardisation::of(&samples, t).expect("a spread");
    let [device, host, double] = three_ways(&samples, &options);
    for fit in [&device, &host] {
        assert_eq!((fit.iterations, fit.passes), (30, 31.0), "{what}");
        for (a, b) in fit.trace.iter().zip(&double.trace) {
            let scale = (b - map.log_determinant()).abs().max(1.0);
            assert!((a - b).abs() <= 1e-6 * scale, "{what}: {a} for {b}");
        }
        // What `wgmm compare` allows.
        let off = Difference::between(&double.mixture, &fit.mixture);
        let within = off.weights <= 1e-5 && off.means <= 1e-5 && off.covariances <= 1e-4;
        assert!(within, "{what}: {off:?}");
        assert!(fit.events.is_empty(), "{what}: {:?}", fit.events);
    }
    assert!(
        device.trace != host.trace,
        "{what}: the device took no step"
    );
}

#[test]
fn plain_fits_converge_at_the_same_iteration() {
    for (t, noise) in TYPES.into_iter().flat_map(|t| [(t, false), (t, true)]) {
        let samples = problem(2001, 2, 3, 3.0, 5.0);
        let mut options = FitOptions {
            covariance_type: t,
            plain: true,
            tol: 1e-5,
            noise,
            max_iter: 5_000,
            ..FitOptions::new(3)
        };
        options.init = begun(&samples, &options);
        let [device, host, double] = three_ways(&samples, &options);
        let what = format!("{t:?} noise={noise}");
        for fit in [&device, &host, &double] {
            assert!(fit.converged, "{what}");
            // Single precision takes one more step in double at its end.
            let apart = fit.iterations.abs_diff(double.iterations);
            assert!(
                apart <= 2,
                "{what}: {} for {}",
                fit.iterations,
                double.iterations
            );
            let off = (fit.mean_log_likelihood - double.mean_log_likelihood).abs();
            assert!(off < options.tol, "{what}: {off:e}");
        }
        assert!(device.iterations.abs_diff(host.iterations) <= 1, "{what}");
        assert!(
            device.trace != host.trace,
            "{what}: the device took no step"
        );
        assert_eq!(device.passes as usize, device.iterations + 2, "{what}");
    }
}

#[test]
fn accelerated_fits_begin_on_the_device_and_end_alike() {
    let samples = problem(4001, 3, 3, 3.0, 5.0);
    let mut options = FitOptions::new(3);
    options.init = begun(&samples, &options);
    let [device, host, _] = three_ways(&samples, &options);
    assert!(
        device.trace[..5] != host.trace[..5],
        "the device took no step"
    );
    for fit in [&device, &host] {
        assert!(fit.converged && fit.events.is_empty());
    }
    let off = (device.mean_log_likelihood - host.mean_log_likelihood).abs();
    assert!(off < 1e-8, "{off:e}");
    assert_eq!(device.passes, host.passes);
}

#[test]
fn a_collapse_is_the_hosts_to_repair() {
    // Whole numbers, so that the floor is not far below; a fifth of the rows on one point, and a component there.
    let mut values = Vec::new();
    for i in 0..1000u32 {
        values.extend(match i % 5 {
            0 => [25.0, 50.0],
            _ => [f64::from(i * 7919 % 101), f64::from(i * 104_729 % 103)],
        });
    }
    let samples = Samples::new(values, 2).expect("finite values");
    let start = Mixture::new(
        vec![0.5, 0.5],
        vec![27.0, 48.0, 60.0, 50.0],
        2,
        Covariances::Full(vec![30.0, 0.0, 0.0, 30.0, 800.0, 0.0, 0.0, 800.0]),
    );
    let options = FitOptions {
        init: Init::Model(start.expect("a mixture")),
        plain: true,
        max_iter: 60,
        ..FitOptions::new(2)
    };
    let [device, host, _] = three_ways(&samples, &options);
    let told = |fit: &Fit| -> Vec<_> {
        let events = fit.events.iter();
        events.map(|e| (e.iteration, e.component, e.kind)).collect()
    };
    assert!(
        told(&device)
            .iter()
            .any(|event| event.2 == EventKind::Floored),
        "{:?}",
        told(&device)
    );
    assert_eq!(told(&device), told(&host));
    assert!(
        device.trace[..3] != host.trace[..3],
        "the device took no step"
    );
}

#[test]
fn an_observer_sees_every_iteration_and_may_end_the_fit_at_any() {
    let samples = problem(2001, 2, 3, 3.0, 5.0);
    let mut options = FitOptions {
        plain: true,
        tol: 0.0,
        max_iter: 40,
        device: DeviceChoice::Opened {
            device: device().clone(),
            or_cpu: false,
        },
        ..FitOptions::new(3)
    };
    options.init = begun(&samples, &options);
    let whole = fit(&samples, &options).expect("a fit");
    for stop in [0, 1, 17, 40] {
        let mut seen = Vec::new();
        let fit = fit_observed(&samples, &options, &mut |progress| {
            seen.push((progress.iteration, progress.mean_log_likelihood));
            match progress.iteration == stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let fit = fit.expect("a fit");
        let wanted: Vec<(usize, f64)> = whole.trace[..=stop].iter().copied().enumerate().collect();
        assert_eq!(seen, wanted);
        assert_eq!((fit.interrupted, fit.iterations), (true, stop));
        let off = (fit.mean_log_likelihood - whole.trace[stop]).abs();
        assert!(off < 1e-6, "{off:e}");
    }
}
