//! How many components: restarts find good maxima, and the criteria find the truth where it is known.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Init, Options, Selection, Sweep, fit, select};
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use crate::recovery::draw;
use crate::reference_vs_textbook::TYPES;
use crate::scikit_learn::columns;
use crate::util::Dir;

fn selected(samples: &Samples, sweep: &Sweep) -> Selection {
    select(samples, sweep, &mut |_| ControlFlow::Continue(())).expect("some mixture fits")
}

fn k_by_bic(selection: &Selection) -> usize {
    let verdict = selection.verdict.expect("some fit is sound");
    selection.candidates[verdict.bic.best].components
}

/// A file of `tests/data/`.
fn table(name: &str, features: &[&str]) -> Samples {
    let names: Vec<String> = features.iter().map(|&name| name.to_owned()).collect();
    Samples::new(columns(name, &names), features.len()).expect("finite")
}

#[test]
fn the_notebooks_mixture_has_four_components() {
    let mut failures = Vec::new();
    for seed in 0..20 {
        let samples = Samples::new(draw(5_000, seed), 2).expect("finite");
        let mut sweep = Sweep::new(1..=7);
        sweep.folds = 0;
        sweep.options.seed = seed;
        sweep.options.device = DeviceChoice::Cpu;
        let k = k_by_bic(&selected(&samples, &sweep));
        if k != 4 {
            failures.push(format!("seed {seed}: K = {k}"));
        }
    }
    println!("{} of 20 seeds: K = 4", 20 - failures.len());
    assert!(failures.len() <= 1, "{}", failures.join("\n"));
}

#[test]
fn faithful_and_iris_have_two_components() {
    let faithful = table("faithful", &["eruptions", "waiting"]);
    let flower = ["Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width"];
    let iris = table("iris", &flower);
    // BIC of mclust's VVV with two components, as published with the package, with the sign turned.
    for (name, samples, bic) in [("faithful", faithful, 2322.2), ("iris", iris, 574.0)] {
        let selection = selected(&samples, &Sweep::new(1..=6));
        assert_eq!(k_by_bic(&selection), 2, "{name}");
        let two = selection.candidates[1].sound().expect("two components fit");
        assert!(
            (two.criteria.bic - bic).abs() < 0.1,
            "{name}: {:?}",
            two.criteria
        );
        let verdict = selection.verdict.expect("sound");
        assert_eq!(verdict.within_one_standard_error, Some(1), "{name}");
    }
}

#[test]
fn held_out_scores_are_a_little_below_those_of_the_fit() {
    // 300 rows: folds are copies of rows; 30,000: they are summation blocks.
    for n in [300, 30_000] {
        let samples = Samples::new(draw(n, 3), 2).expect("finite");
        let selection = selected(&samples, &Sweep::new(1..=4));
        for candidate in &selection.candidates {
            let fit = candidate.sound().expect("a fit");
            let score = candidate.held_out.expect("a score");
            // The optimism of a fit is about P/N; folds are a fifth smaller.
            let optimism = fit.mean_log_likelihood - score.mean_log_likelihood;
            let expected = fit.mixture.n_parameters() as f64 / n as f64;
            let k = candidate.components;
            assert!(
                optimism > 0.0 && optimism < 4.0 * expected,
                "n {n}, K {k}: {optimism:e}"
            );
            // The standard error of a mean of N log densities, whose deviation is about 1.
            let error = score.standard_error * (n as f64).sqrt();
            assert!((0.2..5.0).contains(&error), "n {n}, K {k}: {error}");
        }
    }
}

#[test]
fn more_components_than_the_data_bear_are_a_row_that_says_so() {
    let values: Vec<f64> = (0..40).map(|i| f64::from(i % 4)).collect();
    let samples = Samples::new(values, 1).expect("finite");
    let selection = selected(&samples, &Sweep::new(1..=6));
    assert_eq!(selection.candidates.len(), 6);
    for candidate in &selection.candidates[4..] {
        let error = candidate.fit.as_ref().expect_err("four distinct rows");
        assert!(
            error.to_string().contains("only 4 rows are distinct"),
            "{error}"
        );
    }
    assert!(selection.candidates[0].sound().is_some());
    assert!(selection.verdict.is_some());
}

#[test]
fn weights_are_repeated_rows_in_a_sweep_too() {
    let values = draw(600, 5);
    let weights: Vec<f64> = (0..600).map(|i| f64::from(i % 3)).collect();
    let repeated: Vec<f64> = values
        .chunks_exact(2)
        .enumerate()
        .flat_map(|(i, row)| row.repeat(i % 3))
        .collect();
    let weighted = Samples::new(values, 2)
        .and_then(|samples| samples.with_weights(weights))
        .expect("finite");
    let repeated = Samples::new(repeated, 2).expect("finite");
    for covariance_type in TYPES {
        // As many as there are: one clear maximum.
        let mut sweep = Sweep::new(4..=4);
        sweep.covariance_types = vec![covariance_type];
        sweep.options.restarts = 16;
        sweep.folds = 0;
        sweep.options.tol = 1e-10;
        sweep.options.max_iter = 2000;
        let bic = |samples: &Samples| -> Vec<f64> {
            let candidates = selected(samples, &sweep).candidates;
            let bic = |c: &wgmm::em::Candidate| c.sound().map(|fit| fit.criteria.bic);
            candidates.iter().map(|c| bic(c).expect("a fit")).collect()
        };
        // Other starts, the same maximum: tol is raised to a twentieth of a parameter's worth of BIC or 1e-5 nats.
        for (found, expected) in bic(&weighted).into_iter().zip(bic(&repeated)) {
            let allowed = 2.0 * repeated.len() as f64 * 1e-5;
            assert!(
                (found - expected).abs() < allowed,
                "{covariance_type:?}: {found} {expected}"
            );
        }
    }
}

#[test]
fn sixteen_starts_are_no_worse_than_one_and_the_same_for_any_number_of_threads() {
    let samples = Samples::new(draw(20_000, 9), 2).expect("finite");
    for init in [Init::KMeansPlusPlus, Init::Random, Init::RandomFromData] {
        let options = |restarts| Options {
            init: init.clone(),
            restarts,
            device: DeviceChoice::Cpu,
            ..Options::new(6)
        };
        let one = fit(&samples, &options(1)).expect("a fit");
        let many = fit(&samples, &options(16)).expect("a fit");
        let parameters = one.mixture.n_parameters() as f64;
        // The study's promise: within the statistical resolution, P/(2N), of the best.
        let allowed = parameters / (2.0 * samples.len() as f64);
        assert!(
            many.mean_log_likelihood >= one.mean_log_likelihood - allowed,
            "{init:?}: {} with 16 starts, {} with one",
            many.mean_log_likelihood,
            one.mean_log_likelihood
        );
        let restarts = many.restarts.expect("restarts");
        assert_eq!(restarts.mean_log_likelihoods.len(), 16);
        assert!(restarts.reached_best >= 1 && restarts.best < 16);
        assert_eq!(many.stages.len(), 3);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let alone = pool
            .expect("a thread")
            .install(|| fit(&samples, &options(16)).expect("a fit"));
        assert_eq!(alone.mixture, many.mixture);
    }
    let model = fit(&samples, &Options::new(2)).expect("a fit").mixture;
    let options = Options {
        init: Init::Model(model),
        ..Options::new(2)
    };
    let given = fit(&samples, &options).expect("a fit");
    assert!(given.restarts.is_none() && given.stages.len() == 1);
}

#[test]
fn the_command_prints_the_table_the_verdict_and_writes_plot_and_model() {
    let dir = Dir::new();
    dir.create("faithful.csv", include_str!("../data/faithful.csv"));
    let finished = dir
        .wgmm()
        .args(["select", "faithful.csv", "--columns", "eruptions,waiting"])
        .args(["-k", "1..4", "--covariance", "full,tied"])
        .args(["--plot", "k.svg", "-o", "m.json"])
        .run();
    finished
        .assert_success()
        .assert_stdout_has("BIC: K = 3 (tied), ahead of")
        .assert_stdout_has("held-out");
    assert_eq!(dir.files(), ["faithful.csv", "k.svg", "m.json"]);
    assert!(dir.read("k.svg").contains("BIC, tied"));
    dir.wgmm()
        .args(["info", "m.json"])
        .run()
        .assert_success()
        .assert_stdout_has("3 components (tied)");
    dir.wgmm()
        .args(["fit", "faithful.csv", "--columns", "eruptions,waiting"])
        .args(["-k", "2", "--restarts", "8"])
        .run()
        .assert_success()
        .assert_stdout_has("8 starts, on 272 rows from -4.15")
        .assert_stdout_has("8 found the best maximum");
    let json = dir
        .wgmm()
        .args(["select", "faithful.csv", "--columns", "eruptions,waiting"])
        .args(["-k", "1..3", "--json", "--folds", "0"])
        .run()
        .assert_success()
        .json();
    assert_eq!(json["chosen"]["components"], 2);
    assert_eq!(json["chosen"]["covariance_type"], "full");
    assert_eq!(json["chosen"]["criterion"], "bic");
    let bic = |k: usize| json["rows"][k - 1]["bic"].as_f64().expect("a number");
    let margin = json["margin"].as_f64().expect("a number");
    assert!((margin - (bic(3) - bic(2))).abs() < 1e-9);
    assert_eq!(json["rows"][1]["starts_at_best"], 8);
    for (args, said) in [
        (["-k", "0..3"], "-k 0..3: expected a range"),
        (["-k", "3..2"], "-k 3..2: expected a range"),
        (["-k", "1..3"], "--folds 1"),
    ] {
        let folds = if said.starts_with("--folds") {
            "1"
        } else {
            "5"
        };
        dir.wgmm()
            .args(["select", "faithful.csv", "--folds", folds])
            .args(args)
            .run()
            .assert_failure(2, said);
    }
}

#[test]
fn a_sweep_over_all_types_names_the_type() {
    // Two round groups of one size: spherical has the fewest parameters that tell it all.
    let groups = Mixture::new(
        vec![0.5, 0.5],
        vec![0.0, 0.0, 6.0, 6.0],
        2,
        Covariances::Spherical(vec![1.0, 1.0]),
    );
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let values = groups.expect("a mixture").sample(2_000, rng).0;
    let samples = Samples::new(values, 2).expect("finite");
    let mut sweep = Sweep::new(1..=3);
    sweep.covariance_types = TYPES.to_vec();
    sweep.folds = 0;
    let selection = selected(&samples, &sweep);
    let verdict = selection.verdict.expect("sound");
    let best = &selection.candidates[verdict.bic.best];
    assert_eq!(best.components, 2);
    assert_eq!(best.covariance_type, CovarianceType::Spherical);
}
