//! Nearest centres on the device against plain f64 loops, and starts that are found with them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::backend::BackendError;
use wgmm::backend::gpu::{Fault, Hardware, Nearest, Options};
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Options as FitOptions, fit};
use wgmm::mixture::{CovarianceType, Difference};

use crate::data::{device, open};

/// Numbers about as standardised features are, `far` of them per cent a thousand times as large.
fn numbers(count: usize, seed: u64, far: usize) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|i| {
            let x = 4.0 * random.random::<f64>() - 2.0;
            if i % 100 < far { 1000.0 * x } else { x }
        })
        .collect()
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// Checks the label of each point: that of the nearest centre, or of one as near as single precision tells.
///
/// A coordinate of x − c is off by half a unit in the last place of x, of c and of itself, ε (|x| + |c|) at most with
/// ε = 2⁻²⁴ · 2. The root of the sum of squares is off by √D times the largest of these and, for the D additions, by
/// ½ D ε of itself.
fn check(points: &[f64], d: usize, centres: &[f64], labels: &[usize]) -> usize {
    let epsilon = f64::from(f32::EPSILON);
    let largest = |row: &[f64]| row.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let mut ties = 0;
    assert_eq!(labels.len(), points.len() / d);
    for (point, &label) in points.chunks_exact(d).zip(labels) {
        let distances: Vec<f64> = centres
            .chunks_exact(d)
            .map(|centre| squared_distance(point, centre).sqrt())
            .collect();
        let nearest = (0..distances.len()).fold(0, |best, next| {
            if distances[next] < distances[best] {
                next
            } else {
                best
            }
        });
        if label == nearest {
            continue;
        }
        ties += 1;
        let off = |k: usize| {
            let centre = &centres[k * d..(k + 1) * d];
            let scale = largest(point) + largest(centre);
            epsilon * ((d as f64).sqrt() * scale + 0.5 * d as f64 * distances[k])
        };
        assert!(
            distances[label] - distances[nearest] <= off(label) + off(nearest),
            "{label}, {} away, for {nearest}, {} away",
            distances[label],
            distances[nearest]
        );
    }
    ties
}

#[test]
fn nearest_centres_are_those_of_f64_but_for_ties() {
    // Octets, blocks, slices and pieces that are whole or not.
    for (n, d, k) in [
        (1, 1, 1),
        (255, 1, 8),
        (257, 3, 9),
        (1000, 2, 100),
        (5000, 17, 33),
        (300, 128, 1024),
        (2100, 1000, 5),
    ] {
        for far in [0, 1] {
            let points = numbers(n * d, (n + d) as u64, far);
            let centres = numbers(k * d, (k + 1) as u64, far);
            let mut search = Nearest::new(device());
            let labels = search.labels(d, &points, &centres).expect("labels");
            let ties = check(&points, d, &centres, &labels);
            assert!(ties * 100 <= n, "N={n} D={d} K={k}: {ties} ties");
            let again = search.labels(d, &points, &centres).expect("labels");
            assert_eq!(again, labels);
        }
    }
}

#[test]
fn of_equal_centres_the_first_is_taken_and_points_on_a_centre_are_its_own() {
    let d = 5;
    let centres = numbers(20 * d, 3, 0);
    let twice = centres.repeat(3);
    // As the device has them.
    let rounded: Vec<f64> = centres.iter().map(|x| f64::from(*x as f32)).collect();
    let labels = Nearest::new(device()).labels(d, &rounded, &twice);
    assert_eq!(labels.expect("labels"), Vec::from_iter(0..20));
}

#[test]
fn what_fails_is_an_error() {
    let points = numbers(1000, 1, 0);
    for (fault, lost) in [(Fault::Lost, true), (Fault::OutOfMemory, false)] {
        let device = open(Options::default());
        device.provoke(fault, 2);
        let error = Nearest::new(&device).labels(2, &points, &points[..8]);
        match error.expect_err("a fault") {
            BackendError::Lost { .. } => assert!(lost),
            BackendError::OutOfMemory { .. } => assert!(!lost),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_start_found_on_the_device_is_that_of_the_cpu() {
    // Enough for k-means to be left to a GPU. Each of 1000 points stands for 25 rows, so that no cluster's border goes
    // through a crowd.
    let (n, d, k) = (25_000, 32, 500);
    let groups = numbers(1000 * d, 7, 0);
    let values: Vec<f64> = (0..n * d).map(|i| groups[i % (1000 * d)]).collect();
    let samples = Samples::new(values, d).expect("finite values");
    let on = |device| {
        let options = FitOptions {
            covariance_type: CovarianceType::Spherical,
            restarts: 1,
            max_iter: 0,
            plain: true,
            device,
            ..FitOptions::new(k)
        };
        fit(&samples, &options).expect("a fit").mixture
    };
    let device = open(Options {
        as_hardware: Some(Hardware::Nvidia),
        ..Options::default()
    });
    let found = on(DeviceChoice::Opened {
        device: device.clone(),
        or_cpu: false,
    });
    let with = device.compiled().stages;
    let wanted = on(DeviceChoice::Cpu);
    let off = Difference::between(&wanted, &found);
    assert!(off.means < 1e-9 && off.covariances < 1e-9, "{off:?}");
    // The stage is among those that were compiled.
    Nearest::new(&device)
        .labels(1, &[0.5], &[0.5])
        .expect("labels");
    assert_eq!(device.compiled().stages, with);
}
