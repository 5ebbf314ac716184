//! Accelerated fits against plain EM from the same start: never worse by more than the samples can tell, never
//! falling, and as close to their maximum as they say.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Fit, Init, Options, PrecisionChoice, fit};
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use crate::reference_vs_textbook::TYPES;

/// Problems.
const PROBLEMS: u64 = 200;

/// Samples of a random mixture, and how to fit as many components.
struct Problem {
    samples: Samples,
    options: Options,
}

impl Problem {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(7000 + seed);
        let (d, k) = (rng.random_range(1..=4), rng.random_range(2..=5));
        let n = rng.random_range(2000..=6000);
        let covariance_type = if seed.is_multiple_of(2) {
            CovarianceType::Full
        } else {
            TYPES[(seed / 2 % 4) as usize]
        };
        let mut between = |low: f64, high: f64| low + (high - low) * rng.random::<f64>();
        let weights: Vec<f64> = (0..k).map(|_| between(0.5, 2.0)).collect();
        let sum: f64 = weights.iter().sum();
        let weights = weights.iter().map(|w| w / sum).collect();
        let means = (0..k * d).map(|_| between(-3.0, 3.0)).collect();
        let mut covariances = Vec::new();
        for _ in 0..k {
            let l: Vec<f64> = (0..d * d)
                .map(|at| match (at / d).cmp(&(at % d)) {
                    std::cmp::Ordering::Less => 0.0,
                    std::cmp::Ordering::Equal => between(0.4, 1.4),
                    std::cmp::Ordering::Greater => between(-0.7, 0.7),
                })
                .collect();
            for i in 0..d {
                for j in 0..d {
                    covariances.push((0..d).map(|m| l[i * d + m] * l[j * d + m]).sum());
                }
            }
        }
        let truth =
            Mixture::new(weights, means, d, Covariances::Full(covariances)).expect("a mixture");
        let (values, _) = truth.sample(n, &mut rng);
        let samples = Samples::new(values, d).expect("finite");
        let samples = if seed % 5 == 4 {
            let weights = (0..n)
                .map(|_| f64::from(rng.random_range(0..4u32)))
                .collect();
            samples.with_weights(weights).expect("a weight a row")
        } else {
            samples
        };
        let options = Options {
            covariance_type,
            restarts: 1,
            noise: seed % 7 == 6,
            device: DeviceChoice::Cpu,
            seed,
            ..Options::new(k)
        };
        Self { samples, options }
    }

    fn fit(&self, options: Options) -> Fit {
        fit(&self.samples, &options).expect("a fit")
    }

    fn plain(&self) -> Fit {
        self.fit(Options {
            plain: true,
            max_iter: 2000,
            tol: 1e-9,
            precision: PrecisionChoice::F64,
            ..self.options.clone()
        })
    }

    /// P/(2N): what the samples can tell.
    fn resolution(&self, fit: &Fit) -> f64 {
        fit.n_parameters as f64 / (2.0 * self.samples.total_weight())
    }
}

fn problems() -> impl Iterator<Item = (u64, Problem)> {
    (0..PROBLEMS).map(|seed| (seed, Problem::new(seed)))
}

#[test]
fn a_fit_is_no_worse_than_plain_em_from_the_same_start() {
    // Another path may end at another maximum: of 3,000 such problems one ends this far below, 13 this far above.
    let mut worse = Vec::new();
    for (seed, problem) in problems() {
        let plain = problem.plain();
        let accelerated = problem.fit(problem.options.clone());
        let short = plain.mean_log_likelihood - accelerated.mean_log_likelihood;
        if short > problem.resolution(&plain) {
            worse.push((seed, short, problem.resolution(&plain)));
        }
    }
    assert!(worse.is_empty(), "{worse:?}");
}

#[test]
fn from_a_given_start_it_never_falls_and_is_no_worse_than_plain_em() {
    let mut worse = Vec::new();
    for (seed, problem) in problems() {
        let start = problem.fit(Options {
            max_iter: 0,
            plain: true,
            ..problem.options.clone()
        });
        let given = Problem {
            options: Options {
                init: Init::Model(start.mixture),
                ..problem.options.clone()
            },
            ..problem
        };
        let plain = given.plain();
        for precision in [PrecisionChoice::F32, PrecisionChoice::F64] {
            let fit = given.fit(Options {
                precision,
                ..given.options.clone()
            });
            // Rounding of a mean log-likelihood: the slack of every comparison, and of the last word in double.
            let rounding = match precision {
                PrecisionChoice::F64 => 1e-12,
                _ => 1e-6,
            } * fit.mean_log_likelihood.abs().max(1.0);
            for (i, pair) in fit.trace.windows(2).enumerate() {
                let named = fit.events.iter().any(|event| event.iteration == i + 1);
                assert!(
                    named || pair[1] >= pair[0] - rounding,
                    "{seed} {precision:?} at {i}: {pair:?}"
                );
            }
            let short = plain.mean_log_likelihood - fit.mean_log_likelihood;
            if short > given.resolution(&plain) {
                worse.push((seed, precision, short));
            }
        }
    }
    assert!(worse.is_empty(), "{worse:?}");
}

#[test]
fn converged_means_that_less_than_the_tolerance_is_left() {
    let (mut converged, mut at_resolution, mut early) = (0, 0, Vec::new());
    for (seed, problem) in problems() {
        let found = problem.fit(problem.options.clone());
        at_resolution += usize::from(found.at_resolution);
        if !found.converged {
            continue;
        }
        converged += 1;
        let best = problem.fit(Options {
            init: Init::Model(found.mixture.clone()),
            tol: 1e-12,
            precision: PrecisionChoice::F64,
            ..problem.options.clone()
        });
        let left = best.mean_log_likelihood - found.mean_log_likelihood;
        if left > problem.options.tol {
            early.push((seed, left, problem.resolution(&found)));
        }
    }
    let ended = converged + at_resolution;
    assert!(10 * ended >= 9 * problems().count(), "{ended}");
    assert!(early.is_empty(), "{early:?}");
}

#[test]
fn plateaus_are_left() {
    // Problems on which steps alone ended up to 90 P/(2N) below plain EM, which leaves after hundreds of iterations.
    for seed in [1659, 1666, 2162, 2354, 2393] {
        let problem = Problem::new(seed);
        let (plain, found) = (problem.plain(), problem.fit(problem.options.clone()));
        let short = plain.mean_log_likelihood - found.mean_log_likelihood;
        assert!(short < problem.resolution(&plain), "{seed}: {short:e}");
    }
}

#[test]
fn what_has_no_gradient_is_left_to_plain_em() {
    let problem = Problem::new(0);
    let rows = problem.samples.len();
    let base = || problem.options.clone();
    assert!(base().is_accelerated(rows) && !base().is_accelerated(100));
    let fitted = problem.fit(base());
    assert!(fitted.remaining_gain.is_some_and(|gain| gain < base().tol));
    for options in [
        Options {
            plain: true,
            ..base()
        },
        Options {
            prior: true,
            ..base()
        },
        Options {
            reg_covar: 1e-6,
            ..base()
        },
    ] {
        assert!(!options.is_accelerated(rows));
        let fitted = problem.fit(options);
        assert!(fitted.remaining_gain.is_none() && fitted.stages.len() == 1);
    }
}
