//! Drawing a case: a random mixture, samples of it, and a start near it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Case;
use crate::textbook::{Matrix, Parameters, cholesky};

/// How far starts are from the truth, in σ along a random direction.
const START_DISTANCE: f64 = 0.3;

/// Sizes and difficulty of a random case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    /// Features.
    pub d: usize,
    /// Components.
    pub k: usize,
    /// Rows.
    pub n: usize,
    /// The edge, in σ, of the cube that each component has to itself: 1 overlaps, 8 is well separated.
    pub separation: f64,
    /// The condition number of covariances, along random axes: those of each component or common ones.
    pub condition: Option<(f64, Axes)>,
    /// Of the generator.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axes {
    /// Each component has its own.
    Own,
    /// One set for all, so that the samples as a whole are as ill conditioned.
    Common,
}

impl Recipe {
    /// A plain case: neighbours 3 σ apart, condition of a few.
    pub(super) fn new(d: usize, k: usize, n: usize) -> Self {
        Self {
            d,
            k,
            n,
            separation: 3.0,
            condition: None,
            seed: 0,
        }
    }

    fn truth(&self, rng: &mut ChaCha8Rng) -> Parameters {
        let (d, k) = (self.d, self.k);
        let raw: Vec<f64> = (0..k).map(|_| rng.random_range(0.5..1.5)).collect();
        let total: f64 = raw.iter().sum();
        // K cubes of the wanted edge fill this one.
        let half = 0.5 * self.separation * (k as f64).powf(1.0 / d as f64);
        let mut mean = || (0..d).map(|_| rng.random_range(-half..=half)).collect();
        let means = (0..k).map(|_| mean()).collect();
        let common = rotation(d, rng);
        let covariances = (0..k)
            .map(|_| match self.condition {
                None => product(&random_factor(d, rng)),
                Some((condition, Axes::Common)) => product(&stretched(&common, condition)),
                Some((condition, Axes::Own)) => product(&stretched(&rotation(d, rng), condition)),
            })
            .collect();
        Parameters {
            weights: raw.iter().map(|w| w / total).collect(),
            means,
            covariances,
        }
    }

    /// The plain case with feature j mapped to scale · x + offset, (scale, offset) = map(j).
    pub(super) fn mapped(self, name: &str, map: impl Fn(usize) -> (f64, f64)) -> Case {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut truth = self.truth(&mut rng);
        for (mean, covariance) in truth.means.iter_mut().zip(&mut truth.covariances) {
            for a in 0..self.d {
                let (scale, offset) = map(a);
                mean[a] = mean[a] * scale + offset;
                (0..self.d).for_each(|b| covariance[a][b] *= scale * map(b).0);
            }
        }
        Case {
            name: format!(
                "{name}, D = {}, K = {}, N = {}, seed {}",
                self.d, self.k, self.n, self.seed
            ),
            d: self.d,
            values: draw(&truth, self.n, &mut rng),
            weights: None,
            start: moved(&truth, START_DISTANCE, &mut rng),
            truth,
        }
    }

    /// The case as drawn.
    pub(super) fn plain(self, name: &str) -> Case {
        self.mapped(name, |_| (1.0, 0.0))
    }

    /// Every feature moved by `offset`.
    pub(super) fn offset(self, offset: f64) -> Case {
        self.mapped(&format!("offset {offset:e}"), |_| (1.0, offset))
    }

    /// Weights 0, 0.75, 1.5, 2.25 or 3; the first row's is 1.5, so that not all are 0.
    pub(super) fn weighted(self) -> Case {
        let mut case = self.plain("weighted");
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed + 1);
        let mut weights: Vec<f64> = (0..self.n)
            .map(|_| 0.75 * f64::from(rng.random_range(0..5u8)))
            .collect();
        weights[0] = 1.5;
        case.weights = Some(weights);
        case
    }
}

fn normals(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| StandardNormal.sample(rng)).collect()
}

/// A lower triangle with a diagonal about 1 and correlations below it.
fn random_factor(d: usize, rng: &mut ChaCha8Rng) -> Matrix {
    let mut factor: Matrix = (0..d).map(|_| normals(d, rng)).collect();
    for (i, row) in factor.iter_mut().enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            *value = match j.cmp(&i) {
                std::cmp::Ordering::Less => 0.4 * *value / (d as f64).sqrt(),
                std::cmp::Ordering::Equal => (0.2 * *value).exp(),
                std::cmp::Ordering::Greater => 0.0,
            };
        }
    }
    factor
}

/// D orthonormal rows, by Gram and Schmidt.
fn rotation(d: usize, rng: &mut ChaCha8Rng) -> Matrix {
    let mut rows: Matrix = Vec::new();
    for _ in 0..d {
        let mut row = normals(d, rng);
        for done in &rows {
            let along: f64 = row.iter().zip(done).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(done).for_each(|(a, b)| *a -= along * b);
        }
        let length = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        rows.push(row.iter().map(|a| a / length).collect());
    }
    rows
}

/// A matrix square root Q √Λ with eigenvalues from 1 down to 1/condition in even ratios.
fn stretched(rotation: &Matrix, condition: f64) -> Matrix {
    let steps = (rotation.len() - 1).max(1) as f64;
    let length = |j: usize| condition.powf(-0.5 * j as f64 / steps);
    let stretch = |row: &Vec<f64>| row.iter().enumerate().map(|(j, q)| q * length(j)).collect();
    rotation.iter().map(stretch).collect()
}

/// A Aᵀ.
fn product(a: &Matrix) -> Matrix {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum();
    a.iter()
        .map(|x| a.iter().map(|y| dot(x, y)).collect())
        .collect()
}

/// mean + L z.
fn point(mean: &[f64], l: &Matrix, z: &[f64]) -> Vec<f64> {
    let row = |i: usize| l[i].iter().zip(z).map(|(l, z)| l * z).sum::<f64>();
    mean.iter().enumerate().map(|(i, m)| m + row(i)).collect()
}

fn draw(p: &Parameters, n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let factors: Vec<Matrix> = p.covariances.iter().map(cholesky).collect();
    let mut values = Vec::with_capacity(n * p.means[0].len());
    for _ in 0..n {
        let mut left: f64 = rng.random_range(0.0..1.0);
        let mut k = 0;
        while k + 1 < p.weights.len() && left >= p.weights[k] {
            left -= p.weights[k];
            k += 1;
        }
        let z = normals(p.means[k].len(), rng);
        values.extend(point(&p.means[k], &factors[k], &z));
    }
    values
}

/// Every mean moved by `distance` σ in a random direction.
fn moved(p: &Parameters, distance: f64, rng: &mut ChaCha8Rng) -> Parameters {
    let mut start = p.clone();
    for (mean, covariance) in start.means.iter_mut().zip(&p.covariances) {
        let mut z = normals(mean.len(), rng);
        let length = z.iter().map(|z| z * z).sum::<f64>().sqrt();
        z.iter_mut().for_each(|z| *z *= distance / length);
        *mean = point(mean, &cholesky(covariance), &z);
    }
    start
}
