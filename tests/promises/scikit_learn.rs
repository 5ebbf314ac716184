//! Recorded figures of scikit-learn (`tests/oracle/`), to 1e-8.
//!
//! Same start, same iterations, the same mathematics: what differs is rounding. scikit-learn adds 10 ε to
//! each count and takes tied and diagonal covariances as raw moments minus products of means (relative
//! rounding ε · mean²/variance ≈ 2e-16 · 200 for these files); 1e-8 leaves ample room over 25 iterations and
//! is far below what one iteration more or less would change.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wgmm::mixture::{CovarianceType, Criteria};

use crate::cases::kind_of;
use crate::textbook::{self, Fit, Kind, Parameters, Table};

const TOLERANCE: f64 = 1e-8;

/// A recorded file: columns of the data, and runs from given starts.
#[derive(Deserialize)]
pub(crate) struct Figures<R> {
    pub columns: Vec<String>,
    pub runs: Vec<R>,
}

#[derive(Deserialize)]
struct Run {
    covariance_type: CovarianceType,
    iterations: usize,
    start: Model,
    end: Model,
    trace: Vec<f64>,
    bic: f64,
    aic: f64,
}

/// A recorded mixture, with K full covariance matrices.
#[derive(Deserialize)]
pub(crate) struct Model {
    pub weights: Vec<f64>,
    pub means: Vec<Vec<f64>>,
    pub covariances: Vec<textbook::Matrix>,
}

impl Model {
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters {
            weights: self.weights.clone(),
            means: self.means.clone(),
            covariances: self.covariances.clone(),
        }
    }
}

fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

/// What `tests/oracle/` has under this name.
pub(crate) fn figures<R: DeserializeOwned>(name: &str) -> Figures<R> {
    let path = in_tests(&format!("oracle/{name}.json"));
    let text = std::fs::read_to_string(&path).expect("the recorded figures are in the repository");
    serde_json::from_str(&text).expect("the recorded figures are valid JSON")
}

/// The named columns of a file in `tests/data/`, by rows.
pub(crate) fn columns(name: &str, columns: &[String]) -> Vec<f64> {
    let path = in_tests(&format!("data/{name}.csv"));
    let mut reader = csv::Reader::from_path(&path).expect("the data is in the repository");
    let header = reader.headers().expect("the data has a header").clone();
    let places: Vec<usize> = columns
        .iter()
        .map(|column| {
            let place = header.iter().position(|title| title == column);
            place.unwrap_or_else(|| panic!("{name}.csv has no column {column}"))
        })
        .collect();
    reader
        .records()
        .flat_map(|record| {
            let record = record.expect("the data is well formed");
            let number = |&place: &usize| record[place].parse::<f64>();
            let row: Result<Vec<f64>, _> = places.iter().map(number).collect();
            row.expect("the columns hold numbers")
        })
        .collect()
}

/// Calls `fit` (rows, start, kind, iterations) for every recorded run and compares what it returns.
pub(crate) fn check_all(fit: impl Fn(Table<'_>, &Parameters, Kind, usize) -> Fit) {
    for name in ["faithful", "iris"] {
        let figures = figures::<Run>(name);
        let values = columns(name, &figures.columns);
        let table = Table {
            values: &values,
            d: figures.columns.len(),
            weights: None,
        };
        assert_eq!(figures.runs.len(), 8);
        for run in &figures.runs {
            let start = run.start.parameters();
            let kind = kind_of(run.covariance_type);
            let found = fit(table, &start, kind, run.iterations);
            check(name, run, &found, table);
        }
    }
}

fn check(name: &str, run: &Run, found: &Fit, table: Table<'_>) {
    let (k, d) = (run.end.weights.len(), table.d);
    let n = (table.values.len() / d) as f64;
    let near = |what: &str, found: f64, expected: f64| {
        assert!(
            (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0),
            "{name}, {:?}, {} iterations: {what} is {found}, scikit-learn has {expected}",
            run.covariance_type,
            run.iterations
        );
    };
    assert_eq!(found.trace.len(), run.iterations + 1);
    assert_eq!(run.trace.len(), run.iterations + 1);
    for (found, expected) in found.trace.iter().zip(&run.trace) {
        near("a log-likelihood of the trace", *found, *expected);
    }
    let log_likelihood = found.trace[run.iterations];
    let parameters = run.covariance_type.n_parameters(k, d);
    let criteria = Criteria::new(log_likelihood * n, 0.0, parameters, n);
    near("BIC", criteria.bic, run.bic);
    near("AIC", criteria.aic, run.aic);
    for c in 0..k {
        let (found, end) = (&found.parameters, &run.end);
        near("a weight", found.weights[c], end.weights[c]);
        for a in 0..d {
            near("a mean", found.means[c][a], end.means[c][a]);
            for b in 0..d {
                let pair = [&found.covariances, &end.covariances].map(|s| s[c][a][b]);
                near("a covariance", pair[0], pair[1]);
            }
        }
    }
}

#[test]
fn the_textbook_gives_scikit_learns_figures() {
    check_all(textbook::fit);
}
