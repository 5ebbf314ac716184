//! Mixtures that are hard in different ways, drawn from fixed seeds.

use nalgebra::DMatrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use wgmm::data::{ReadOptions, Samples, read};

/// Samples, and how many components to fit.
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) k: usize,
    pub(crate) samples: Samples,
}

struct Draw {
    rng: ChaCha8Rng,
}

impl Draw {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.rng.random::<f64>()
    }

    fn normals(&mut self, n: usize) -> Vec<f64> {
        (0..n)
            .map(|_| StandardNormal.sample(&mut self.rng))
            .collect()
    }

    /// A covariance with log-uniform eigenvalues in a random orientation.
    fn covariance(&mut self, d: usize, low: f64, high: f64) -> DMatrix<f64> {
        let q = DMatrix::from_vec(d, d, self.normals(d * d)).qr().q();
        let values = (0..d)
            .map(|_| self.uniform(low.ln(), high.ln()).exp())
            .collect();
        let values = DMatrix::from_diagonal(&nalgebra::DVector::from_vec(values));
        &q * values * q.transpose()
    }

    fn mixture(
        &mut self,
        n: usize,
        weights: &[f64],
        means: &[f64],
        covariances: &[DMatrix<f64>],
    ) -> Vec<f64> {
        let d = covariances[0].nrows();
        let total: f64 = weights.iter().sum();
        let roots: Vec<DMatrix<f64>> = covariances
            .iter()
            .map(|c| c.clone().cholesky().expect("positive definite").l())
            .collect();
        let mut values = Vec::with_capacity(n * d);
        for _ in 0..n {
            let mut left = self.uniform(0.0, total);
            let chosen = weights.iter().position(|w| {
                left -= w;
                left < 0.0
            });
            let k = chosen.unwrap_or(weights.len() - 1);
            let z = nalgebra::DVector::from_vec(self.normals(d));
            let x = &roots[k] * z;
            values.extend((0..d).map(|j| means[k * d + j] + x[j]));
        }
        values
    }
}

fn identity(d: usize, scale: f64) -> DMatrix<f64> {
    DMatrix::from_diagonal_element(d, d, scale)
}

fn notebook(draw: &mut Draw, n: usize) -> Vec<f64> {
    let covariances = [
        [0.9, 0.0, 0.5],
        [0.4, 0.3, 0.5],
        [2.0, 0.45, 0.8],
        [0.6, 0.45, 0.6],
    ]
    .map(|[a, b, c]| DMatrix::from_row_slice(2, 2, &[a, b, b, c]));
    draw.mixture(
        n,
        &[0.1, 0.3, 0.2, 0.3],
        &[1.7, 0.5, 2.0, 4.0, 0.0, 6.0, 5.0, 6.0],
        &covariances,
    )
}

fn random(
    draw: &mut Draw,
    n: usize,
    d: usize,
    k: usize,
    spread: f64,
    eigenvalues: [f64; 2],
) -> Vec<f64> {
    let weights: Vec<f64> = (0..k).map(|_| draw.uniform(0.5, 2.0)).collect();
    let means: Vec<f64> = draw.normals(k * d).iter().map(|x| spread * x).collect();
    let covariances: Vec<DMatrix<f64>> = (0..k)
        .map(|_| draw.covariance(d, eigenvalues[0], eigenvalues[1]))
        .collect();
    draw.mixture(n, &weights, &means, &covariances)
}

/// The names of all problems, in order.
pub(crate) const NAMES: [&str; 12] = [
    "notebook",
    "overlap 1-D",
    "overlap 2-D",
    "overlap 5-D",
    "ties",
    "skewed",
    "near diagonal",
    "condition 1e4",
    "too many",
    "heavy tails",
    "D 10, K 20",
    "D 20, K 10",
];

/// Problem `index`.
pub(crate) fn problem(index: usize) -> Problem {
    let mut draw = Draw {
        rng: ChaCha8Rng::seed_from_u64(1000 + index as u64),
    };
    let draw = &mut draw;
    let (k, d, values) = match index {
        0 => (4, 2, notebook(draw, 400_000)),
        1 => {
            let covariances = [identity(1, 1.0), identity(1, 0.7)];
            (
                2,
                1,
                draw.mixture(100_000, &[0.6, 0.4], &[0.0, 1.2], &covariances),
            )
        }
        2 => {
            let covariances = [
                identity(2, 1.0),
                draw.covariance(2, 0.3, 2.0),
                identity(2, 0.8),
            ];
            let means = [0.0, 0.0, 1.5, 0.0, 0.5, 1.4];
            (
                3,
                2,
                draw.mixture(100_000, &[0.4, 0.3, 0.3], &means, &covariances),
            )
        }
        3 => {
            let covariances = [identity(5, 1.0), draw.covariance(5, 0.5, 1.5)];
            let means: Vec<f64> = [[0.0; 5], [0.55; 5]].concat();
            (
                2,
                5,
                draw.mixture(60_000, &[0.5, 0.5], &means, &covariances),
            )
        }
        4 => {
            let means: Vec<f64> = draw.normals(12).iter().map(|x| 3.0 * x).collect();
            let covariances: Vec<_> = (0..4).map(|_| draw.covariance(3, 1.0, 9.0)).collect();
            let values = draw.mixture(80_000, &[0.3, 0.3, 0.2, 0.2], &means, &covariances);
            (4, 3, values.iter().map(|x| x.round()).collect())
        }
        5 => {
            let means = [0.0, 0.0, 0.0, 2.0, 1.0, 0.0, -2.0, 2.0, 1.0, 3.0, -3.0, 2.0];
            let covariances = [
                identity(3, 1.0),
                draw.covariance(3, 0.3, 2.0),
                draw.covariance(3, 0.3, 2.0),
                0.3 * draw.covariance(3, 0.3, 2.0),
            ];
            (
                4,
                3,
                draw.mixture(100_000, &[1000.0, 300.0, 30.0, 1.0], &means, &covariances),
            )
        }
        6 => {
            let weights: Vec<f64> = (0..5).map(|_| draw.uniform(0.5, 2.0)).collect();
            let means = draw.normals(40);
            let covariances: Vec<_> = (0..5)
                .map(|_| {
                    let diagonal = (0..8).map(|_| draw.uniform(0.3, 2.0)).collect();
                    DMatrix::from_diagonal(&nalgebra::DVector::from_vec(diagonal)).add_scalar(0.02)
                })
                .collect();
            (5, 8, draw.mixture(50_000, &weights, &means, &covariances))
        }
        7 => (5, 6, random(draw, 60_000, 6, 5, 1.2, [1e-3, 10.0])),
        8 => (8, 2, notebook(draw, 60_000)),
        9 => {
            let shape = draw.covariance(3, 0.3, 2.0);
            let freedom = ChiSquared::new(4.0).expect("positive");
            let mut values = Vec::new();
            for _ in 0..40_000 {
                let z = nalgebra::DVector::from_vec(draw.normals(3));
                let chi: f64 = freedom.sample(&mut draw.rng);
                values.extend((&shape * z / (chi / 4.0).sqrt()).iter());
            }
            (6, 3, values)
        }
        10 => (20, 10, random(draw, 60_000, 10, 20, 1.6, [0.3, 2.0])),
        _ => (10, 20, random(draw, 40_000, 20, 10, 0.7, [0.3, 2.0])),
    };
    let samples = Samples::new(values, d).expect("finite values");
    Problem {
        name: NAMES[index].to_owned(),
        k,
        samples,
    }
}

/// The samples of a file, of which K components are asked: `FILE:K`; `None` for a word that is no such thing.
pub(crate) fn of_file(word: &str) -> Option<Problem> {
    let (path, k) = word.rsplit_once(':')?;
    let path = std::path::Path::new(path);
    let table = read(path, &ReadOptions::default()).expect("a table");
    Some(Problem {
        name: path.file_stem()?.to_string_lossy().into_owned(),
        k: k.parse().ok()?,
        samples: table.samples,
    })
}
