//! Recorded figures of R's mclust (`tests/oracle/mclust_figures.R`), to 1e-8.
//!
//! Same start, same iterations, the same mathematics; the models VVV, EEE, VVI and VII are our covariance types
//! full, tied, diag and spherical. What differs is rounding. A sum of N ≤ 272 rows is off by N ε = 6e-14 of its
//! size at most. The responsibilities of the next step see that times the covariances' condition number, below
//! 1,400 in all starts and ends, and 25 iterations add it up 25 times: 25 · 1,400 · 6e-14 = 2e-9, at worst.
//! Measured: 4.3e-13.

use serde::Deserialize;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Options, fit};
use wgmm::mixture::{CovarianceType, Criteria};

use crate::cases::{kind_of, mixture};
use crate::driver::{parameters, plain};
use crate::scikit_learn::{Model, columns, figures};
use crate::textbook::{self, Parameters, Table};

const TOLERANCE: f64 = 1e-8;

#[derive(Deserialize)]
struct Run {
    model: String,
    covariance_type: CovarianceType,
    iterations: usize,
    start: Model,
    end: Model,
    trace: Vec<f64>,
    loglik: f64,
    /// 2 loglik − P log N: larger is better.
    bic: f64,
    n_parameters: usize,
}

/// A fit in the words of the figures.
struct Found {
    parameters: Parameters,
    trace: Vec<f64>,
    criteria: Criteria,
    n_parameters: usize,
}

fn check_all(fit: impl Fn(Table<'_>, &Run) -> Found) {
    for name in ["faithful", "iris"] {
        let figures = figures::<Run>(&format!("mclust-{name}"));
        let values = columns(name, &figures.columns);
        let table = Table {
            values: &values,
            d: figures.columns.len(),
            weights: None,
        };
        assert_eq!(figures.runs.len(), 16);
        for run in &figures.runs {
            check(name, run, &fit(table, run), values.len() / table.d);
        }
    }
}

fn check(name: &str, run: &Run, found: &Found, n: usize) {
    let near = |what: &str, found: f64, expected: f64| {
        assert!(
            (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0),
            "{name}, {}, K = {}, {} iterations: {what} is {found}, mclust has {expected}",
            run.model,
            run.end.weights.len(),
            run.iterations
        );
    };
    assert_eq!(found.trace.len(), run.iterations + 1);
    assert_eq!(run.trace.len(), run.iterations + 1);
    for (found, expected) in found.trace.iter().zip(&run.trace) {
        near("a log-likelihood of the trace", *found, *expected);
    }
    let log_likelihood = found.trace[run.iterations] * n as f64;
    near("the log-likelihood", log_likelihood, run.loglik);
    near("BIC", found.criteria.bic, -run.bic);
    assert_eq!(
        found.n_parameters, run.n_parameters,
        "{name}, {}",
        run.model
    );
    let (found, end) = (&found.parameters, run.end.parameters());
    assert_eq!(found.weights.len(), end.weights.len());
    for (c, expected) in end.covariances.iter().enumerate() {
        near("a weight", found.weights[c], end.weights[c]);
        for (a, row) in expected.iter().enumerate() {
            near("a mean", found.means[c][a], end.means[c][a]);
            for (b, expected) in row.iter().enumerate() {
                near("a covariance", found.covariances[c][a][b], *expected);
            }
        }
    }
}

#[test]
fn the_textbook_gives_mclusts_figures() {
    check_all(|table, run| {
        let kind = kind_of(run.covariance_type);
        let found = textbook::fit(table, &run.start.parameters(), kind, run.iterations);
        let n = (table.values.len() / table.d) as f64;
        let n_parameters = (run.covariance_type).n_parameters(run.start.weights.len(), table.d);
        let log_likelihood = found.trace[run.iterations] * n;
        Found {
            parameters: found.parameters,
            trace: found.trace,
            criteria: Criteria::new(log_likelihood, 0.0, n_parameters, n),
            n_parameters,
        }
    });
}

#[test]
fn the_reference_gives_mclusts_figures() {
    check_all(|table, run| {
        let samples = Samples::new(table.values.to_vec(), table.d).expect("the values are finite");
        let start = mixture(&run.start.parameters(), kind_of(run.covariance_type));
        let options = Options {
            device: DeviceChoice::Reference,
            ..plain(start, run.iterations)
        };
        let found = fit(&samples, &options).expect("the samples fit");
        Found {
            parameters: parameters(&found.mixture),
            trace: found.trace,
            criteria: found.criteria,
            n_parameters: found.n_parameters,
        }
    });
}
