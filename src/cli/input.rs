//! From options to what the library takes: tables, models, devices, fits.

use std::path::Path;

use wgmm::backend::gpu::Selection;
use wgmm::data::{self, ReadOptions, Table};
use wgmm::em::{DeviceChoice, Freeze, Init, Options, PrecisionChoice};
use wgmm::mixture::{CovarianceType, Mixture, ModelFile};

use super::args::{CovarianceArg, DataArgs, EmArgs, PrecisionArg, Shared};
use super::failure::Failure;

/// Where `--init` starts from.
pub(crate) enum Start {
    Drawn(Init),
    Labels(String),
}

impl Shared {
    pub(crate) fn device(&self) -> Result<DeviceChoice, Failure> {
        match self.device.as_str() {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "reference" => Ok(DeviceChoice::Reference),
            "gpu" => Ok(DeviceChoice::Gpu(Selection::Best)),
            other => match other.strip_prefix("gpu:") {
                Some(name) if !name.is_empty() => {
                    Ok(DeviceChoice::Gpu(Selection::Named(name.to_owned())))
                }
                _ => Err(Failure::usage(format!(
                    "--device {other}: expected auto, gpu, gpu:NAME, cpu or reference"
                ))),
            },
        }
    }

    /// In bytes.
    pub(crate) fn gpu_memory(&self) -> Option<u64> {
        self.gpu_memory.map(|mib| mib.saturating_mul(1 << 20))
    }

    pub(crate) fn precision(&self) -> PrecisionChoice {
        match self.precision {
            PrecisionArg::Auto => PrecisionChoice::Auto,
            PrecisionArg::F32 => PrecisionChoice::F32,
            PrecisionArg::F64 => PrecisionChoice::F64,
        }
    }
}

impl From<CovarianceArg> for CovarianceType {
    fn from(covariance: CovarianceArg) -> Self {
        match covariance {
            CovarianceArg::Full => Self::Full,
            CovarianceArg::Tied => Self::Tied,
            CovarianceArg::Diag => Self::Diag,
            CovarianceArg::Spherical => Self::Spherical,
        }
    }
}

impl DataArgs {
    /// Reads the table, with a column of start labels if one is named.
    pub(crate) fn read(&self, labels: Option<&str>) -> Result<Table, Failure> {
        self.read_with(labels, None)
    }

    fn read_with(&self, labels: Option<&str>, model: Option<&[String]>) -> Result<Table, Failure> {
        let options = ReadOptions {
            columns: self.columns.clone(),
            model: model.map(<[String]>::to_vec),
            among: None,
            weights: self.weights.clone(),
            labels: labels.map(str::to_owned),
            skip_invalid: self.skip_invalid,
        };
        Ok(data::read(&self.data, &options)?)
    }

    /// Reads the table for a model: by the model's names where both have names, else by position.
    pub(crate) fn read_for(&self, path: &Path, model: &Mixture) -> Result<Table, Failure> {
        let table = self.read_with(None, model.features())?;
        if table.samples.n_features() == model.n_features() {
            return Ok(table);
        }
        Err(Failure::run(format!(
            "{}: {} columns of numbers, but {} has {} features; name them with --columns",
            self.data.display(),
            table.samples.n_features(),
            path.display(),
            model.n_features()
        )))
    }
}

impl EmArgs {
    /// Checks what can be checked without the data, and loads a model to start from.
    pub(crate) fn start(&self) -> Result<Start, Failure> {
        if self.k == 0 {
            return Err(Failure::usage("-k 0: a mixture needs at least 1 component"));
        }
        check_reg_covar(self.reg_covar)?;
        self.restarts.map_or(Ok(()), check_restarts)?;
        self.freeze()?;
        if let Some(init) = drawn(&self.init) {
            return Ok(Start::Drawn(init));
        }
        if self.restarts.is_some_and(|restarts| restarts > 1) {
            return Err(Failure::usage(
                "--restarts needs starts that differ; with labels or a model there is one",
            ));
        }
        match self.init.strip_prefix("labels:") {
            Some(column) => Ok(Start::Labels(column.to_owned())),
            None if self.init.ends_with(".json") => {
                let model = read_model(Path::new(&self.init))?;
                if model.len() != self.k {
                    return Err(Failure::run(format!(
                        "{}: {} components, but -k {}",
                        self.init,
                        model.len(),
                        self.k
                    )));
                }
                Ok(Start::Drawn(Init::Model(model)))
            }
            None => Err(Failure::usage(format!(
                "--init {}: expected k-means++, random, random-from-data, labels:COLUMN or a model's file (.json)",
                self.init
            ))),
        }
    }

    fn freeze(&self) -> Result<Freeze, Failure> {
        let mut freeze = Freeze::default();
        for part in &self.freeze {
            match (part.as_str(), part.strip_prefix("components:")) {
                ("weights", _) => freeze.weights = true,
                ("means", _) => freeze.means = true,
                ("covariances", _) => freeze.covariances = true,
                (_, Some(list)) => {
                    let parsed: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
                    let Ok(components) = parsed else {
                        return Err(freeze_failure(part));
                    };
                    freeze.components.extend(components);
                }
                _ => return Err(freeze_failure(part)),
            }
        }
        Ok(freeze)
    }

    /// The library's options, once the table is read.
    pub(crate) fn options(
        &self,
        shared: &Shared,
        start: Start,
        table: &mut Table,
        max_iter: usize,
        tol: f64,
    ) -> Result<Options, Failure> {
        let init = match start {
            Start::Drawn(init) => init,
            Start::Labels(_) => Init::Labels(table.labels.take().unwrap_or_default()),
        };
        Ok(Options {
            covariance_type: self.covariance.into(),
            init,
            restarts: self.restarts.unwrap_or(Options::new(self.k).restarts),
            max_iter: self.max_iter.unwrap_or(max_iter),
            tol,
            reg_covar: self.reg_covar,
            noise: self.noise,
            prior: self.prior,
            freeze: self.freeze()?,
            seed: shared.seed,
            device: shared.device()?,
            gpu_memory: shared.gpu_memory(),
            precision: shared.precision(),
            ..Options::new(self.k)
        })
    }
}

fn freeze_failure(part: &str) -> Failure {
    Failure::usage(format!(
        "--freeze {part}: expected weights, means, covariances or components:0,2"
    ))
}

/// A start that is drawn anew for each seed.
pub(crate) fn drawn(init: &str) -> Option<Init> {
    match init {
        "k-means++" => Some(Init::KMeansPlusPlus),
        "random" => Some(Init::Random),
        "random-from-data" => Some(Init::RandomFromData),
        _ => None,
    }
}

pub(crate) fn check_tol(tol: f64) -> Result<(), Failure> {
    if tol >= 0.0 && tol.is_finite() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--tol {tol}: expected a number of at least 0"
    )))
}

pub(crate) fn check_reg_covar(reg_covar: f64) -> Result<(), Failure> {
    if reg_covar >= 0.0 && reg_covar.is_finite() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--reg-covar {reg_covar}: expected a number of at least 0"
    )))
}

pub(crate) fn check_restarts(restarts: usize) -> Result<(), Failure> {
    if restarts > 0 {
        return Ok(());
    }
    Err(Failure::usage("--restarts 0: a fit needs at least 1 start"))
}

impl Start {
    /// The column of labels that the table must be read with.
    pub(crate) fn labels(&self) -> Option<&str> {
        match self {
            Start::Labels(column) => Some(column),
            Start::Drawn(_) => None,
        }
    }
}

/// The names of a model's features: their own, or their numbers.
pub(crate) fn feature_names(model: &Mixture) -> Vec<String> {
    (0..model.n_features())
        .map(|j| model.feature_name(j))
        .collect()
}

/// Reads a model.
pub(crate) fn read_model(path: &Path) -> Result<Mixture, Failure> {
    ModelFile::read(path)
        .map(|(mixture, _)| mixture)
        .map_err(|error| Failure::model(path, &error))
}
