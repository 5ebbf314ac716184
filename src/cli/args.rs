//! The options as typed; `input.rs` turns them into what the library takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Fits Gaussian mixtures to millions of points, on any GPU or none.
#[derive(Debug, Parser)]
#[command(
    name = "wgmm",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command: draws samples from four known Gaussians, fits them, compares with the truth, \
                  finds out how many there are and writes pictures into wgmm-demo/."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    #[command(flatten)]
    pub(crate) shared: Shared,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fit a mixture to a table of samples
    Fit(FitArgs),
    /// Which number of components, and which covariance type: criteria, held-out scores, a verdict
    Select(SelectArgs),
    /// The same iterations on the reference, the CPU and every GPU: differences and times, side by side
    Compare(CompareArgs),
    /// Label rows by a model
    Predict(PredictArgs),
    /// Mean log-likelihood of rows under a model
    Score(ScoreArgs),
    /// Draw rows from a model
    Sample(SampleArgs),
    /// What a model says of some features once others are known
    Condition(ConditionArgs),
    /// What is in a model
    Info(InfoArgs),
    /// Adapters, and what `--device auto` picks and why
    Devices(DevicesArgs),
}

/// Options that every command understands.
#[derive(Debug, Args)]
pub(crate) struct Shared {
    /// auto, gpu, gpu:NAME (part of an adapter's name or its number), cpu or reference
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE")]
    pub(crate) device: String,
    /// Mebibytes of samples that a GPU may hold at once; the rest is sent anew in each pass [default: all of them]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) gpu_memory: Option<u64>,
    /// Threads to use on the CPU [default: all]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Seed of everything random
    #[arg(long, global = true, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
    /// In which precision samples are evaluated; auto: single where it keeps its promise, the last word in double
    #[arg(long, global = true, default_value = "auto", value_name = "PRECISION")]
    pub(crate) precision: PrecisionArg,
    /// One JSON document on standard output and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no summary
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PrecisionArg {
    Auto,
    F32,
    F64,
}

#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    /// How many samples the experiment draws
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub(crate) samples: usize,
}

/// Which columns of a table are what.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A table: .csv, .tsv, .npy, or - for CSV on standard input
    pub(crate) data: PathBuf,
    /// Only these columns, in this order [default: all columns of numbers]
    #[arg(long, value_delimiter = ',', value_name = "A,B,C")]
    pub(crate) columns: Option<Vec<String>>,
    /// A column of frequencies: a row of weight 3 counts as three equal rows
    #[arg(long, value_name = "COLUMN")]
    pub(crate) weights: Option<String>,
    /// Leave out rows with missing or infinite values
    #[arg(long)]
    pub(crate) skip_invalid: bool,
}

/// How a mixture is fitted.
#[derive(Debug, Args)]
pub(crate) struct EmArgs {
    /// How many components
    #[arg(short = 'k', value_name = "K")]
    pub(crate) k: usize,
    /// Which constraint covariances obey
    #[arg(long, default_value = "full", value_name = "TYPE")]
    pub(crate) covariance: CovarianceArg,
    /// k-means++, random, random-from-data, labels:COLUMN or MODEL.json
    #[arg(long, default_value = "k-means++", value_name = "START")]
    pub(crate) init: String,
    /// So many starts against each other on growing subsamples; the best one is fitted [default: 16; 1 with --plain,
    /// labels or a model]
    #[arg(long, value_name = "R")]
    pub(crate) restarts: Option<usize>,
    /// The most iterations [default: 500; compare: 20]
    #[arg(long, value_name = "N")]
    pub(crate) max_iter: Option<usize>,
    /// Added to the diagonal of covariances, in the data's units squared
    #[arg(long, default_value_t = 0.0, value_name = "R")]
    pub(crate) reg_covar: f64,
    /// A uniform component for samples that belong to no Gaussian; its label is -1
    #[arg(long)]
    pub(crate) noise: bool,
    /// Maximum a posteriori under a weak prior in the data's scale, which keeps components from collapsing
    #[arg(long)]
    pub(crate) prior: bool,
    /// What stays at the start's values: weights, means, covariances or components:0,2
    #[arg(long, value_name = "PART")]
    pub(crate) freeze: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CovarianceArg {
    /// A matrix a component
    Full,
    /// One matrix for all components
    Tied,
    /// Variances a component, features uncorrelated
    Diag,
    /// One variance a component, the same in every direction
    Spherical,
}

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) em: EmArgs,
    /// Stop when the estimated gain still to be had falls below this, nats per sample; not scikit-learn's tol
    #[arg(long, default_value_t = 1e-6, value_name = "NATS")]
    pub(crate) tol: f64,
    /// Plain EM: no acceleration, and no subsamples unless --restarts asks for them
    #[arg(long)]
    pub(crate) plain: bool,
    /// Make a repair of a collapsed component an error
    #[arg(long)]
    pub(crate) strict: bool,
    /// Where the model goes (.json)
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) output: Option<PathBuf>,
    /// Where the label of each row goes (.csv, .tsv, .npy)
    #[arg(long, value_name = "OUT")]
    pub(crate) labels: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// From how many components to how many, such as 1..10
    #[arg(short = 'k', value_name = "A..B")]
    pub(crate) k: String,
    /// Covariance types to try, or all
    #[arg(
        long,
        default_value = "full",
        value_delimiter = ',',
        value_name = "TYPE,…|all"
    )]
    pub(crate) covariance: Vec<CovarianceChoice>,
    /// k-means++, random or random-from-data
    #[arg(long, default_value = "k-means++", value_name = "START")]
    pub(crate) init: String,
    /// Starts of each mixture, against each other on growing subsamples
    #[arg(long, default_value_t = 8, value_name = "R")]
    pub(crate) restarts: usize,
    /// Parts of the data, each held out once; 0 for no held-out score
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) folds: usize,
    /// The most iterations
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) max_iter: usize,
    /// Stop when the estimated gain still to be had falls below this, nats per sample; not scikit-learn's tol
    #[arg(long, default_value_t = 1e-6, value_name = "NATS")]
    pub(crate) tol: f64,
    /// Added to the diagonal of covariances, in the data's units squared
    #[arg(long, default_value_t = 0.0, value_name = "R")]
    pub(crate) reg_covar: f64,
    /// Where a picture of the criteria goes (.svg)
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Where the chosen model goes (.json)
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) output: Option<PathBuf>,
}

/// A covariance type, or each of them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CovarianceChoice {
    /// A matrix a component
    Full,
    /// One matrix for all components
    Tied,
    /// Variances a component, features uncorrelated
    Diag,
    /// One variance a component, the same in every direction
    Spherical,
    /// Each of them
    All,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) em: EmArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A model
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Responsibilities of all components instead of labels
    #[arg(long)]
    pub(crate) proba: bool,
    /// Where they go (.csv, .tsv, .npy, or -)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// A model
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Write the log density of every row
    #[arg(long, requires = "output")]
    pub(crate) samples: bool,
    /// Where they go (.csv, .tsv, .npy, or -)
    #[arg(short, long, requires = "samples", value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// A model
    pub(crate) model: PathBuf,
    /// How many rows
    #[arg(short, value_name = "N")]
    pub(crate) n: usize,
    /// Where they go (.csv, .tsv, .npy, or -)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ConditionArgs {
    /// A model
    pub(crate) model: PathBuf,
    /// What is known: features by name, or by number (from 0) where the model has no names
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) given: Vec<String>,
    /// A table of what is known, row by row: its columns that are features of the model (.csv, .tsv, .npy, or -)
    #[arg(long, requires = "output", value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Only these columns of the table; in a table without a header, the feature that each column is
    #[arg(long, value_delimiter = ',', requires = "data", value_name = "A,B,C")]
    pub(crate) columns: Option<Vec<String>>,
    /// Leave out rows with missing or infinite values
    #[arg(long, requires = "data")]
    pub(crate) skip_invalid: bool,
    /// Where the mixture of the other features goes (.json); with --data, where their means and standard deviations
    /// go (.csv, .tsv, .npy, or -)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A model
    pub(crate) model: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Each adapter's fit against the reference, its speed, and how much of that the kernels reach
    #[arg(long)]
    pub(crate) check: bool,
}
