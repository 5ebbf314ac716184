use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::backend::reference::Reference;
use crate::backend::{Backend, NoiseBox};
use crate::data::{Samples, Standardisation};

pub(in super::super) const TYPES: [CovarianceType; 4] = [
    CovarianceType::Full,
    CovarianceType::Tied,
    CovarianceType::Diag,
    CovarianceType::Spherical,
];

/// Overlapping components over three features, and noise if asked for.
pub(in super::super) fn components(
    covariance_type: CovarianceType,
    noise: bool,
    seed: u64,
) -> Components {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (k, d) = (3, 3);
    let mut random = |scale: f64| scale * (rng.random::<f64>() - 0.5);
    let mut factors = Vec::new();
    for component in 0..k {
        for i in 0..d {
            for j in 0..=i {
                factors.push(match covariance_type {
                    CovarianceType::Tied if component > 0 => factors[triangle::at(i, j)],
                    CovarianceType::Spherical if i > 0 && i == j => factors[component * d],
                    CovarianceType::Diag | CovarianceType::Spherical if i != j => continue,
                    _ if i == j => 1.2 + random(0.8),
                    _ if j == 0 => random(0.6),
                    _ => random(0.9),
                });
            }
        }
    }
    let components = Components {
        covariance_type,
        n_features: d,
        weights: vec![0.5, 0.3, 0.2],
        means: (0..k * d).map(|_| random(2.0)).collect(),
        factors,
        noise: None,
    };
    if !noise {
        return components;
    }
    let space = NoiseBox::new(vec![-4.0; 3], vec![4.0; 3], &Standardisation::identity(3));
    let mut components = components.and_noise(space, 0.25);
    components.weights[..3].iter_mut().for_each(|w| *w *= 0.75);
    components
}

/// Rows that the components explain so and so, some of weight 0, some of more than 1.
pub(in super::super) fn samples(seed: u64) -> Samples {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = 300;
    let values: Vec<f64> = (0..3 * n)
        .map(|_| 4.0 * (rng.random::<f64>() - 0.5))
        .collect();
    let weights = (0..n).map(|i| f64::from(i % 4)).collect();
    let samples = Samples::new(values, 3).expect("finite");
    samples.with_weights(weights).expect("a weight a row")
}

pub(in super::super) fn statistics(samples: &Samples, components: &Components) -> Statistics {
    statistics_of(samples, components, &Standardisation::identity(3))
}

pub(in super::super) fn statistics_of(
    samples: &Samples,
    components: &Components,
    map: &Standardisation,
) -> Statistics {
    let mut reference = Reference::load(samples, map);
    let mut all = reference
        .statistics(&[components.into()])
        .expect("statistics");
    all.swap_remove(0)
}

#[test]
fn coordinates_and_components_are_inverse_to_each_other() {
    for kind in TYPES {
        for noise in [false, true] {
            let (anchor, other) = (components(kind, noise, 1), components(kind, noise, 2));
            let chart = Chart::about(&anchor);
            assert!(chart.coordinates(&anchor).iter().all(|z| z.abs() < 1e-14));
            let z = chart.coordinates(&other);
            assert!(chart.size(&z) > 0.1);
            let back = chart.components(&z).expect("finite");
            let pairs = [
                (&back.weights, &other.weights),
                (&back.means, &other.means),
                (&back.factors, &other.factors),
            ];
            for (a, b) in pairs {
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < 1e-12, "{kind:?} {noise}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn the_gradient_is_that_of_the_log_likelihood() {
    let samples = samples(3);
    for kind in TYPES {
        for noise in [false, true] {
            let chart = Chart::about(&components(kind, noise, 1));
            let at = components(kind, noise, 2);
            let z = chart.coordinates(&at);
            let gradient = chart.gradient(&at, &statistics(&samples, &at));
            assert_eq!(gradient.len(), z.len());
            let value = |z: &[f64]| {
                let at = chart.components(z).expect("finite");
                -statistics(&samples, &at).mean_log_likelihood()
            };
            for i in 0..z.len() {
                // Central differences: errors of h² and of 1e-16/h.
                let h = 1e-5;
                let (mut more, mut less) = (z.clone(), z.clone());
                more[i] += h;
                less[i] -= h;
                let slope = (value(&more) - value(&less)) / (2.0 * h);
                assert!(
                    (slope - gradient[i]).abs() < 1e-8,
                    "{kind:?} {noise} {i}: {slope} {}",
                    gradient[i]
                );
            }
        }
    }
}

#[test]
fn what_has_no_weight_stays_as_it_is() {
    let mut anchor = components(CovarianceType::Full, false, 1);
    anchor.weights = vec![0.6, 0.0, 0.4];
    let chart = Chart::about(&anchor);
    let step = vec![0.3; chart.layout().len()];
    let moved = chart.components(&step).expect("finite");
    assert_eq!(
        (moved.weights[1], moved.mean(1), moved.factor(1)),
        (0.0, anchor.mean(1), anchor.factor(1))
    );
    assert!(moved.mean(0) != anchor.mean(0));
    assert!((moved.weights.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    let gradient = chart.gradient(&moved, &statistics(&samples(3), &moved));
    let dead = chart.layout().first(1)..chart.layout().first(2);
    assert!(gradient[dead].iter().all(|g| *g == 0.0));
    assert!(chart.components(&vec![1e9; step.len()]).is_none());
}
