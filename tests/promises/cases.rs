//! Named data sets with fixed seeds, the mixtures they were drawn from, and starts near these.
//!
//! Every case is small enough for the textbook's N × K numbers, except those with 100,003 rows. Random numbers
//! come from ChaCha8, whose stream never changes between releases.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use wgmm::data::Samples;
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use crate::textbook::{Kind, Matrix, Parameters, Table, cholesky, constrained};

/// How far starts are from the truth, in σ along a random direction.
const START_DISTANCE: f64 = 0.3;

/// Samples with the mixture they were drawn from and a start near it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What is particular about it.
    pub name: String,
    /// D.
    pub d: usize,
    /// N × D values by rows.
    pub values: Vec<f64>,
    /// N weights.
    pub weights: Option<Vec<f64>>,
    /// The mixture the samples were drawn from, full covariances.
    pub truth: Parameters,
    /// The truth with every mean moved by 0.3 σ.
    pub start: Parameters,
}

impl Case {
    /// N.
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.d
    }

    /// K of the start.
    pub(crate) fn k(&self) -> usize {
        self.start.weights.len()
    }

    /// The samples for the textbook.
    pub(crate) fn table(&self) -> Table<'_> {
        Table {
            values: &self.values,
            d: self.d,
            weights: self.weights.as_deref(),
        }
    }

    /// The samples for the crate.
    pub(crate) fn samples(&self) -> Samples {
        let samples = Samples::new(self.values.clone(), self.d).expect("the values are finite");
        match &self.weights {
            Some(weights) => samples.with_weights(weights.clone()),
            None => Ok(samples),
        }
        .expect("one weight a row, not all 0")
    }

    /// The start with its covariances constrained.
    pub(crate) fn start(&self, kind: Kind) -> Parameters {
        constrained(&self.start, kind)
    }
}

/// The crate's name of a constraint, as the textbook's.
pub(crate) fn kind_of(covariance_type: CovarianceType) -> Kind {
    match covariance_type {
        CovarianceType::Full => Kind::Full,
        CovarianceType::Tied => Kind::Tied,
        CovarianceType::Diag => Kind::Diag,
        CovarianceType::Spherical => Kind::Spherical,
    }
}

/// The textbook's mixture as the crate's.
pub(crate) fn mixture(p: &Parameters, kind: Kind) -> Mixture {
    let d = p.means[0].len();
    let flat = |s: &Matrix| s.concat();
    let covariances = match kind {
        Kind::Full => Covariances::Full(p.covariances.iter().flat_map(flat).collect()),
        Kind::Tied => Covariances::Tied(flat(&p.covariances[0])),
        Kind::Diag => Covariances::Diag(
            (p.covariances.iter())
                .flat_map(|s| (0..d).map(|j| s[j][j]))
                .collect(),
        ),
        Kind::Spherical => Covariances::Spherical(p.covariances.iter().map(|s| s[0][0]).collect()),
    };
    Mixture::new(p.weights.clone(), p.means.concat(), d, covariances)
        .expect("the textbook's covariances are positive definite")
}

/// Sizes and difficulty of a random case.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    d: usize,
    k: usize,
    n: usize,
    /// The edge, in σ, of the cube that each component has to itself: 1 overlaps, 8 is well separated.
    separation: f64,
    /// The condition number of covariances, along random axes: those of each component or common ones.
    condition: Option<(f64, Axes)>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axes {
    Own,
    Common,
}

impl Recipe {
    fn new(d: usize, k: usize, n: usize) -> Self {
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

    /// A case whose feature j is scale[j] times and offset[j] beyond the plain one.
    fn mapped(self, name: &str, map: impl Fn(usize) -> (f64, f64)) -> Case {
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

    fn plain(self, name: &str) -> Case {
        self.mapped(name, |_| (1.0, 0.0))
    }

    fn offset(self, offset: f64) -> Case {
        self.mapped(&format!("offset {offset:e}"), |_| (1.0, offset))
    }

    /// Weights 0, 0.75, 1.5, 2.25 or 3; the first row's is 1.5, so that not all are 0.
    fn weighted(self) -> Case {
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

/// The features, components and rows of the promised matrix.
const MATRIX_D: [usize; 7] = [1, 2, 3, 5, 10, 17, 32];
const MATRIX_K: [usize; 5] = [1, 2, 4, 7, 33];
const MATRIX_N: [usize; 7] = [1, 2, 63, 64, 65, 1_000, 100_003];

/// The promised matrix of (D, K, N), weighted and not. Thinned to one N and one weighting for each (D, K),
/// every N five times, unless the environment variable `WGMM_FULL` is set (`tests/run --full`).
pub(crate) fn matrix() -> impl Iterator<Item = Case> {
    let full = std::env::var_os("WGMM_FULL").is_some();
    let grid = |lengths: [usize; 4]| {
        let total: usize = lengths.iter().product();
        (0..total).map(move |mut at| {
            lengths.map(|length| {
                let index = at % length;
                at /= length;
                index
            })
        })
    };
    grid([MATRIX_D.len(), MATRIX_K.len(), MATRIX_N.len(), 2])
        .filter(move |&[d, k, n, w]| full || (n == (d + 2 * k) % 7 && w == (d + k) % 2))
        .map(|[d, k, n, w]| {
            let mut recipe = Recipe::new(MATRIX_D[d], MATRIX_K[k], MATRIX_N[n]);
            recipe.seed = (1_000 + 100 * d + 10 * k + n) as u64;
            recipe.separation = [1.0, 3.0, 8.0][(d + k + n) % 3];
            match w {
                0 => recipe.plain("plain"),
                _ => recipe.weighted(),
            }
        })
}

/// The cases that have a difficulty of their own.
pub(crate) fn hard() -> Vec<Case> {
    let seeded = |recipe: Recipe, seed| Recipe { seed, ..recipe };
    let conditioned = |recipe: Recipe, axes| Recipe {
        condition: Some((1e6, axes)),
        ..recipe
    };
    vec![
        seeded(Recipe::new(3, 4, 1_237), 1).offset(1e4),
        seeded(Recipe::new(3, 4, 1_237), 2).offset(1e6),
        conditioned(seeded(Recipe::new(4, 3, 1_237), 3), Axes::Common)
            .plain("condition 1e6, common axes"),
        conditioned(seeded(Recipe::new(4, 3, 1_237), 4), Axes::Own)
            .plain("condition 1e6, own axes"),
        seeded(Recipe::new(3, 3, 1_237), 5)
            .mapped("scales 1e-3 to 1e6", |j| ([1e-3, 10.0, 1e6][j], 0.0)),
        seeded(Recipe::new(5, 1, 6), 6).plain("N = D + 1"),
        seeded(Recipe::new(1, 3, 811), 7).plain("one feature"),
        seeded(Recipe::new(4, 1, 811), 8).plain("one component"),
        seeded(Recipe::new(2, 3, 4_099), 9).weighted(),
        duplicates(seeded(Recipe::new(2, 2, 50), 10), 7),
        with_an_empty_component(seeded(Recipe::new(3, 2, 811), 11)),
    ]
}

/// Every row `times` times.
fn duplicates(recipe: Recipe, times: usize) -> Case {
    let mut case = recipe.plain("duplicates");
    let rows = case.values.chunks_exact(case.d);
    case.values = rows.flat_map(|row| row.repeat(times)).collect();
    case
}

/// A start with one component more, 1,000 σ away from every row: its responsibilities, e^(−500,000), are 0.
fn with_an_empty_component(recipe: Recipe) -> Case {
    let mut case = recipe.plain("an empty component");
    let start = &mut case.start;
    start.weights.iter_mut().for_each(|w| *w *= 0.75);
    start.weights.push(0.25);
    start.means.push(vec![1e3; case.d]);
    start.covariances.push(start.covariances[0].clone());
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::textbook::whiten;

    #[test]
    fn starts_are_three_tenths_of_a_sigma_from_the_truth() {
        for case in hard() {
            for k in 0..case.truth.weights.len() {
                let (truth, start) = (&case.truth, &case.start);
                let step = whiten(
                    &cholesky(&truth.covariances[k]),
                    &start.means[k],
                    &truth.means[k],
                );
                let length = step.iter().map(|z| z * z).sum::<f64>().sqrt();
                // An offset of 1e6 leaves means 1e-10 σ; the condition multiplies by 1e3.
                assert!((length - 0.3).abs() < 1e-6, "{}: {length}", case.name);
            }
        }
    }

    #[test]
    fn the_hard_cases_are_hard() {
        let cases = hard();
        let case = |name: &str| {
            let found = cases.iter().find(|case| case.name.starts_with(name));
            found.unwrap_or_else(|| panic!("no case {name}"))
        };
        assert!(case("offset 1e6").values.iter().all(|x| (x - 1e6).abs() < 20.0));
        assert_eq!(case("N = D + 1").len(), case("N = D + 1").d + 1);
        let scales = &case("scales").truth.covariances[0];
        assert!((scales[2][2] / scales[0][0]).sqrt() > 1e8);
        let rows = case("duplicates").values.chunks_exact(2);
        let mut distinct: Vec<&[f64]> = rows.collect();
        distinct.dedup();
        assert_eq!((distinct.len(), case("duplicates").len()), (50, 350));
        for name in ["condition 1e6, common", "condition 1e6, own"] {
            // λ_min⁻¹ ≤ trace of Σ⁻¹ ≤ 4 λ_min⁻¹ with L⁻¹ found column by column, and λ_max is 1.
            let l = cholesky(&case(name).truth.covariances[0]);
            let unit = |j| (0..4).map(|i| f64::from(u8::from(i == j))).collect::<Vec<_>>();
            let columns = (0..4).map(|j| whiten(&l, &unit(j), &[0.0; 4]));
            let trace: f64 = columns.flatten().map(|x| x * x).sum();
            assert!((1e6..1.1e6).contains(&trace), "{name}: {trace}");
        }
    }

    #[test]
    fn the_matrix_is_the_same_each_time_and_holds_every_size() {
        let sizes = |case: &Case| (case.d, case.k(), case.len());
        let (mut rows, mut shapes) = (Vec::new(), Vec::new());
        for (a, b) in matrix().zip(matrix()).filter(|(a, _)| a.len() <= 1_000) {
            assert_eq!((&a.values, &a.weights), (&b.values, &b.weights), "{}", a.name);
            rows.push(a.len());
            shapes.push((sizes(&a).0, sizes(&a).1));
        }
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows, MATRIX_N[..6]);
        shapes.sort_unstable();
        shapes.dedup();
        assert!(shapes.len() >= 30);
    }
}
