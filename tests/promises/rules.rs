//! What a fit may be asked beside maximum likelihood: a noise component, a prior, frozen parts.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Freeze, Init, Options, PrecisionChoice, fit};
use wgmm::mixture::{CovarianceType, Covariances, Mixture, Noise};

use crate::cases::ordinary;
use crate::reference_vs_textbook::TYPES;
use crate::util::Dir;

/// Every device, the CPU in both precisions.
fn ways() -> [(DeviceChoice, PrecisionChoice); 4] {
    [
        (DeviceChoice::Reference, PrecisionChoice::F64),
        (DeviceChoice::Cpu, PrecisionChoice::F64),
        (DeviceChoice::Cpu, PrecisionChoice::F32),
        (DeviceChoice::Gpu(Default::default()), PrecisionChoice::F32),
    ]
}

/// Three round clusters and clutter over the box [−10, 20]².
fn cluttered() -> Mixture {
    Mixture::with_noise(
        vec![0.3, 0.3, 0.2],
        vec![0.0, 0.0, 10.0, 0.0, 5.0, 9.0],
        2,
        Covariances::Spherical(vec![1.0, 0.5, 0.8]),
        Some(Noise {
            weight: 0.2,
            lower: vec![-10.0; 2],
            upper: vec![20.0; 2],
        }),
    )
    .expect("a mixture")
}

fn draw(mixture: &Mixture, n: usize, seed: u64) -> (Samples, Vec<usize>) {
    let (values, labels) = mixture.sample(n, &mut ChaCha8Rng::seed_from_u64(seed));
    let samples = Samples::new(values, mixture.n_features()).expect("finite");
    (samples, labels)
}

#[test]
fn three_clusters_are_found_under_a_fifth_of_clutter() {
    let truth = cluttered();
    let mut failures = Vec::new();
    for seed in 0..20 {
        let (samples, _) = draw(&truth, 3_000, seed);
        let options = Options {
            noise: true,
            restarts: 8,
            seed,
            ..Options::new(3)
        };
        let found = fit(&samples, &options).expect("the samples fit").mixture;
        let found = found.matched_to(&truth);
        // Means are known to σ/√(n w) = 1/√600 = 0.04, weights to √(w(1 − w)/n) = 0.009: five times that.
        let means = found.means().iter().zip(truth.means());
        let far = means.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let weight = found.noise().expect("noise").weight;
        if far > 0.2 || (weight - 0.2).abs() > 0.045 {
            failures.push(format!(
                "seed {seed}: means {far:.2} off, noise {weight:.3}"
            ));
        }
    }
    println!("{} of 20 seeds", 20 - failures.len());
    assert!(failures.len() <= 1, "{}", failures.join("\n"));
}

#[test]
fn noise_is_the_same_on_every_device_and_in_every_use_of_the_model() {
    let truth = cluttered();
    let (samples, _) = draw(&truth, 2_000, 1);
    let start = fit(
        &samples,
        &Options {
            noise: true,
            max_iter: 2,
            ..Options::new(3)
        },
    );
    let start = start.expect("the samples fit").mixture;
    let fits = ways().map(|(device, precision)| {
        let options = Options {
            init: Init::Model(start.clone()),
            tol: 0.0,
            max_iter: 10,
            device,
            precision,
            ..Options::new(3)
        };
        fit(&samples, &options).expect("the samples fit")
    });
    let [reference, others @ ..] = &fits;
    for other in others {
        for (a, b) in other.trace.iter().zip(&reference.trace) {
            assert!(
                (a - b).abs() < 1e-6 * b.abs().max(1.0),
                "{:?}",
                other.device
            );
        }
        let weights = [other, reference].map(|f| f.mixture.noise().expect("noise").weight);
        assert!((weights[0] - weights[1]).abs() < 1e-5, "{weights:?}");
    }
    // The log-likelihood by hand: the density of the mixture as returned, row by row.
    let density = reference.mixture.density();
    let mut shares = vec![0.0; reference.mixture.n_responsibilities()];
    let mut row = vec![0.0; 2];
    let total: f64 = (0..samples.len())
        .map(|i| {
            samples.copy_row(i, &mut row);
            let log_density = density.responsibilities(&row, &mut shares);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            log_density
        })
        .sum();
    let mean = total / samples.len() as f64;
    assert!((mean - reference.mean_log_likelihood).abs() < 1e-12);
    // Three weights, of which noise's makes a fourth free, its volume, six means, three covariances of three.
    assert_eq!(reference.n_parameters, 2 + 2 + 6 + 9);
    // Outside the box there is no noise.
    let far = density.responsibilities(&[1e3, 1e3], &mut shares);
    assert!(far < -1e4 && shares[3] == 0.0, "{far}");
}

#[test]
fn commands_know_noise() {
    let dir = Dir::new();
    let (samples, truth) = draw(&cluttered(), 2_000, 2);
    let mut text = "x,y\n".to_owned();
    for i in 0..samples.len() {
        text.push_str(&format!(
            "{},{}\n",
            samples.value(i, 0),
            samples.value(i, 1)
        ));
    }
    dir.create("t.csv", &text);
    let run = |args: &[&str]| dir.wgmm().args(args.iter().copied()).run();
    run(&[
        "fit",
        "t.csv",
        "-k",
        "3",
        "--noise",
        "--restarts",
        "8",
        "-o",
        "m.json",
    ])
    .assert_success()
    .assert_stdout_has("noise");
    run(&["predict", "m.json", "t.csv", "-o", "l.csv"]).assert_success();
    let labels: Vec<i64> = (dir.read("l.csv").lines().skip(1))
        .map(|line| line.parse().expect("a label"))
        .collect();
    let noise = |is: &dyn Fn(usize) -> bool| (0..labels.len()).filter(|&i| is(i)).count();
    let (found, right) = (
        noise(&|i| labels[i] == -1),
        noise(&|i| labels[i] == -1 && truth[i] == 3),
    );
    // Some clutter falls into the clusters; hardly any sample of these is called noise.
    assert!(
        (250..500).contains(&found) && right * 100 > found * 90,
        "{found} {right}"
    );
    run(&["predict", "m.json", "t.csv", "--proba", "-o", "p.csv"]).assert_success();
    assert!(dir.read("p.csv").starts_with("p0,p1,p2,noise\n"));
    run(&["score", "m.json", "t.csv"]).assert_success();
    run(&["sample", "m.json", "-n", "50", "-o", "s.csv"]).assert_success();
    assert_eq!(dir.read("s.csv").lines().count(), 51);
    run(&["info", "m.json"])
        .assert_success()
        .assert_stdout_has("noise");
    run(&["condition", "m.json", "x=1"]).assert_failure(1, "noise component");
    dir.create("c.csv", "x,y\n1,2\n1,3\n1,4\n1,5\n");
    run(&["fit", "c.csv", "-k", "1", "--noise"]).assert_failure(1, "\"x\"");
    dir.create(
        "bad.json",
        dir.read("m.json")
            .replace("\"upper\": [", "\"upper\": [1e9,"),
    );
    run(&["info", "bad.json"]).assert_failure(1, "noise");
}

#[test]
fn the_prior_gives_the_posterior_mode() {
    // One component: everything is known in closed form (Fraley & Raftery 2007, κ = 0.01, ν = D + 2).
    let case = ordinary(3, 1, 200);
    let samples = case.samples();
    let n = samples.len() as f64;
    let mut mean = [0.0; 3];
    let mut scatter = [[0.0; 3]; 3];
    for row in case.values.chunks_exact(3) {
        (0..3).for_each(|a| mean[a] += row[a] / n);
    }
    for row in case.values.chunks_exact(3) {
        for a in 0..3 {
            (0..3).for_each(|b| scatter[a][b] += (row[a] - mean[a]) * (row[b] - mean[b]));
        }
    }
    let trace = (0..3).map(|a| scatter[a][a]).sum::<f64>();
    for covariance_type in TYPES {
        // The prior's scale is the samples' covariance: that of one more sample.
        let expected = |a: usize, b: usize| match covariance_type {
            CovarianceType::Full | CovarianceType::Tied => {
                scatter[a][b] * (1.0 + 1.0 / n) / (n + 5.0 + 3.0 + 2.0)
            }
            _ if a != b => 0.0,
            CovarianceType::Diag => scatter[a][a] * (1.0 + 1.0 / n) / (n + 5.0 + 3.0),
            CovarianceType::Spherical => (trace + trace / 3.0 / n) / ((n + 1.0) * 3.0 + 5.0 + 2.0),
        };
        for (device, precision) in ways() {
            let options = Options {
                covariance_type,
                prior: true,
                device,
                precision,
                ..Options::new(1)
            };
            let found = fit(&samples, &options).expect("the samples fit").mixture;
            for a in 0..3 {
                assert!((found.mean(0)[a] - mean[a]).abs() < 1e-6);
                for b in 0..3 {
                    let (found, expected) = (found.covariance(0)[a * 3 + b], expected(a, b));
                    assert!(
                        (found - expected).abs() < 1e-5 * trace / n,
                        "{covariance_type:?}: {found} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_prior_keeps_components_from_collapsing() {
    // More components than groups of equal rows bear.
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let values: Vec<f64> = (0..60)
        .map(|i| f64::from(i / 20) + 1e-9 * rng.random::<f64>())
        .collect();
    let samples = Samples::new(values, 1).expect("finite");
    for covariance_type in TYPES {
        let options = |prior| Options {
            covariance_type,
            prior,
            ..Options::new(3)
        };
        let free = fit(&samples, &options(false)).expect("a repaired fit");
        assert!(!free.events.is_empty(), "{covariance_type:?}");
        let held = fit(&samples, &options(true)).expect("a fit");
        assert!(
            held.events.is_empty(),
            "{covariance_type:?}: {:?}",
            held.events
        );
        assert!(held.converged);
    }
}

#[test]
fn frozen_parts_stay_as_they_were_to_the_bit() {
    let case = ordinary(3, 3, 900);
    let samples = case.samples();
    for covariance_type in TYPES {
        let options = Options {
            covariance_type,
            max_iter: 1,
            ..Options::new(3)
        };
        let start = fit(&samples, &options).expect("the samples fit").mixture;
        let frozen = |freeze: Freeze, (device, precision)| {
            let options = Options {
                init: Init::Model(start.clone()),
                freeze,
                device,
                precision,
                tol: 1e-9,
                max_iter: 50,
                covariance_type,
                ..Options::new(3)
            };
            fit(&samples, &options)
        };
        for way in ways() {
            let part = |freeze| frozen(freeze, way.clone()).expect("the samples fit");
            let weights = part(Freeze {
                weights: true,
                ..Freeze::default()
            });
            assert_eq!(weights.mixture.weights(), start.weights());
            assert_ne!(weights.mixture.means(), start.means());
            let means = part(Freeze {
                means: true,
                ..Freeze::default()
            });
            assert_eq!(means.mixture.means(), start.means());
            assert_ne!(means.mixture.covariances(), start.covariances());
            let covariances = part(Freeze {
                covariances: true,
                ..Freeze::default()
            });
            assert_eq!(covariances.mixture.covariances(), start.covariances());
            assert_ne!(covariances.mixture.weights(), start.weights());
            for fit in [&weights, &means, &covariances] {
                assert!(fit.n_parameters < fit.mixture.n_parameters());
                let falls = fit.trace.windows(2).any(|pair| pair[1] < pair[0] - 4e-7);
                assert!(!falls, "{covariance_type:?}: {:?}", fit.trace);
            }
            let of_component = Freeze {
                components: vec![1],
                ..Freeze::default()
            };
            let one = frozen(of_component, way.clone());
            if covariance_type == CovarianceType::Tied {
                assert!(one.expect_err("shared").to_string().contains("tied"));
                continue;
            }
            let one = one.expect("the samples fit").mixture;
            assert_eq!(one.weights()[1], start.weights()[1]);
            assert_eq!(one.mean(1), start.mean(1));
            assert_eq!(one.covariance(1), start.covariance(1));
            assert_ne!(one.mean(0), start.mean(0));
        }
    }
    let beyond = Options {
        freeze: Freeze {
            components: vec![3],
            ..Freeze::default()
        },
        ..Options::new(3)
    };
    let error = fit(&samples, &beyond).expect_err("no such component");
    assert!(
        error.to_string().contains("components go from 0 to 2"),
        "{error}"
    );
}

#[test]
fn the_command_freezes_and_refuses_what_is_no_part() {
    let dir = Dir::new();
    dir.create("t.csv", include_str!("../data/faithful.csv"));
    let fit = |more: &[&str]| {
        let command =
            dir.wgmm()
                .args(["fit", "t.csv", "-k", "2", "--columns", "eruptions,waiting"]);
        command.args(more.iter().copied()).run()
    };
    fit(&["--max-iter", "2", "-o", "a.json"]).assert_success();
    let json = fit(&[
        "--init",
        "a.json",
        "--freeze",
        "means",
        "--freeze",
        "components:0",
        "--json",
    ])
    .assert_success()
    .json();
    let start: serde_json::Value = serde_json::from_str(&dir.read("a.json")).expect("JSON");
    assert_eq!(json["model"]["means"], start["means"]);
    assert_eq!(json["model"]["covariances"][0], start["covariances"][0]);
    // One covariance of three numbers is left.
    assert_eq!(json["parameters"], 3);
    fit(&["--freeze", "everything"]).assert_failure(2, "--freeze everything: expected");
    fit(&["--freeze", "components:2"]).assert_failure(2, "components go from 0 to 1");
    fit(&["--prior"]).assert_success();
}
