//! Other programs: how they are found, what they are given and what they answer.
//!
//! A peer is run as `PROGRAM FOLDER N D K full|tied|diag|spherical f32|f64 ITERATIONS`. The folder holds samples (`samples.f32`,
//! `samples.f64`) and the start (`weights.f64`, `means.f64`, `covariances.f64`) as plain numbers by rows, in this
//! machine's byte order. It writes the fitted weights, means and covariances to `fitted.f64` there and prints the
//! seconds of a fit of one iteration and of one of all.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use super::case::{Case, Problem};

/// The type that samples and arithmetic have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    F32,
    F64,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::F32 => "f32",
            Type::F64 => "f64",
        }
    }
}

/// A program to run.
pub(crate) struct Peer {
    /// Its name and version.
    pub(crate) name: String,
    command: Vec<OsString>,
}

impl Peer {
    /// Those that the environment names, made ready in `folder`.
    pub(crate) fn all(folder: &Path) -> Vec<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare-peers");
        let mut peers = Vec::new();
        if let Some(python) = std::env::var_os("WGMM_PEERS_PYTHON") {
            peers.push(Self::of(vec![python, here.join("scikit_learn.py").into()]));
        }
        if let Some(python) = std::env::var_os("WGMM_PEERS_TGMM") {
            peers.push(Self::of(vec![python, here.join("tgmm_torch.py").into()]));
        }
        if let Some(compiler) = std::env::var_os("WGMM_PEERS_CXX") {
            let program = folder.join("armadillo");
            compile(&compiler, &here.join("armadillo.cpp"), &program);
            peers.push(Self::of(vec![program.into()]));
        }
        peers
    }

    /// A peer that says its name where it is run with nothing.
    fn of(command: Vec<OsString>) -> Self {
        let name = output(&mut start(&command)).unwrap_or_else(|error| panic!("{error}"));
        Self {
            name: name.trim().to_owned(),
            command,
        }
    }

    /// Seconds of a fit of 1 and of n iterations, and the latter's mixture; none if it fails.
    pub(crate) fn run(
        &self,
        folder: &Path,
        case: &Case,
        precision: Type,
    ) -> Option<(f64, f64, Mixture)> {
        let mut command = start(&self.command);
        command.arg(folder);
        command.args([case.n, case.d, case.k].map(|x| x.to_string()));
        command.args([case.kind(), precision.name()]);
        command.arg(case.iterations.to_string());
        let said = output(&mut command).map_err(|error| eprintln!("{error}"));
        let mut seconds = said.ok()?;
        seconds = seconds.trim().to_owned();
        let (one, all) = seconds.split_once(' ')?;
        let mixture = fitted(&folder.join("fitted.f64"), case)?;
        Some((one.parse().ok()?, all.parse().ok()?, mixture))
    }
}

/// A command with as many threads as this process.
fn start(command: &[OsString]) -> Command {
    let mut start = Command::new(&command[0]);
    start.args(&command[1..]);
    limit_threads(&mut start);
    start
}

pub(crate) fn limit_threads(start: &mut Command) {
    let threads = rayon::current_num_threads().to_string();
    for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
        start.env(name, &threads);
    }
    // These would choose slower loops than the machine's own.
    start.env_remove("OPENBLAS_CORETYPE");
    start.env_remove("OPENBLAS_L2_SIZE");
}

pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn compile(compiler: &OsString, source: &Path, program: &PathBuf) {
    let mut command = Command::new(compiler);
    command.args(["-O3", "-march=native", "-fopenmp", "-DARMA_NO_DEBUG"]);
    command
        .arg(source)
        .arg("-o")
        .arg(program)
        .arg("-larmadillo");
    output(&mut command).unwrap_or_else(|error| panic!("{error}"));
}

/// Writes what peers read.
pub(crate) fn write(folder: &Path, problem: &Problem) {
    let doubles =
        |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|x| x.to_ne_bytes()).collect() };
    let singles = problem
        .values
        .iter()
        .flat_map(|x| (*x as f32).to_ne_bytes());
    let start = &problem.start;
    let (Covariances::Full(covariances)
    | Covariances::Tied(covariances)
    | Covariances::Diag(covariances)
    | Covariances::Spherical(covariances)) = start.covariances();
    for (name, bytes) in [
        ("samples.f32", singles.collect()),
        ("samples.f64", doubles(&problem.values)),
        ("weights.f64", doubles(start.weights())),
        ("means.f64", doubles(start.means())),
        ("covariances.f64", doubles(covariances)),
    ] {
        fs::write(folder.join(name), bytes).expect("a folder that takes files");
    }
}

/// The mixture that a peer wrote. Sums to 1 and symmetry are made exact: it may have worked in f32.
fn fitted(path: &Path, case: &Case) -> Option<Mixture> {
    let (d, k) = (case.d, case.k);
    let bytes = fs::read(path).ok()?;
    let numbers: Vec<f64> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|b| f64::from_ne_bytes(*b))
        .collect();
    let (weights, rest) = numbers.split_at_checked(k)?;
    let (means, covariances) = rest.split_at_checked(k * d)?;
    let total: f64 = weights.iter().sum();
    let weights = weights.iter().map(|w| w / total).collect();
    let covariances = match case.covariance_type {
        CovarianceType::Full => Covariances::Full(symmetric(covariances, d)),
        CovarianceType::Tied => Covariances::Tied(symmetric(covariances, d)),
        CovarianceType::Diag => Covariances::Diag(covariances.to_vec()),
        CovarianceType::Spherical => Covariances::Spherical(covariances.to_vec()),
    };
    Mixture::new(weights, means.to_vec(), d, covariances).ok()
}

fn symmetric(covariances: &[f64], d: usize) -> Vec<f64> {
    let mut symmetric = covariances.to_vec();
    for (to, from) in symmetric
        .chunks_exact_mut(d * d)
        .zip(covariances.chunks_exact(d * d))
    {
        for i in 0..d {
            for j in 0..d {
                to[i * d + j] = (from[i * d + j] + from[j * d + i]) / 2.0;
            }
        }
    }
    symmetric
}
