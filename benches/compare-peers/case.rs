//! What is fitted.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use super::floors::Floors;
use super::operations::operations;
use super::peer::Type;

/// A size of problem.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) n: usize,
    pub(crate) d: usize,
    pub(crate) k: usize,
    pub(crate) covariance_type: CovarianceType,
    /// Iterations of the longer fit.
    pub(crate) iterations: usize,
}

pub(crate) const CASES: [Case; 7] = [
    case("s1", 1_000_000, 2, 4, CovarianceType::Full, 11),
    case("s2", 500_000, 10, 20, CovarianceType::Full, 4),
    case("s3", 200_000, 32, 32, CovarianceType::Full, 3),
    case("s4", 100_000, 64, 64, CovarianceType::Full, 3),
    case("diag", 500_000, 40, 64, CovarianceType::Diag, 3),
    case("tied", 500_000, 10, 20, CovarianceType::Tied, 4),
    case("spherical", 500_000, 40, 64, CovarianceType::Spherical, 3),
];

const fn case(
    name: &'static str,
    n: usize,
    d: usize,
    k: usize,
    covariance_type: CovarianceType,
    iterations: usize,
) -> Case {
    Case {
        name,
        n,
        d,
        k,
        covariance_type,
        iterations,
    }
}

/// Samples and where fits of them start.
pub(crate) struct Problem {
    /// Row-major. All are f32 numbers, so that both types hold the same samples.
    pub(crate) values: Vec<f64>,
    pub(crate) start: Mixture,
}

impl Case {
    /// The kind of covariance as all programs name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.covariance_type {
            CovarianceType::Full => "full",
            CovarianceType::Tied => "tied",
            CovarianceType::Diag => "diag",
            CovarianceType::Spherical => "spherical",
        }
    }

    /// Seconds of one iteration at the least: of its multiply-adds, or of reading the samples.
    pub(crate) fn floor(&self, floors: &Floors, precision: Type) -> f64 {
        let (flops, bytes) = match precision {
            Type::F32 => (floors.f32_flops, 4.0),
            Type::F64 => (floors.f64_flops, 8.0),
        };
        let operations = operations(self.covariance_type, self.n, self.d, self.k);
        let read = bytes * (self.n * self.d) as f64;
        (operations / flops).max(read / floors.bytes_per_second)
    }

    /// Samples of a random mixture of overlapping components, and that mixture with its means moved and all
    /// weights equal. The seed is the sizes'.
    pub(crate) fn problem(&self) -> Problem {
        let (d, k) = (self.d, self.k);
        let mut rng = ChaCha8Rng::seed_from_u64((self.n + 100 * d + k) as u64);
        let spread = 4.0 / (d as f64).sqrt();
        let means: Vec<f64> = (0..k * d)
            .map(|_| spread * rng.sample::<f64, _>(StandardNormal))
            .collect();
        let covariances = self.covariances(&mut rng);
        let mixture = |means: &[f64]| {
            let weights = vec![1.0 / k as f64; k];
            Mixture::new(weights, means.to_vec(), d, covariances.clone()).expect("a valid mixture")
        };
        let (values, _) = mixture(&means).sample(self.n, &mut rng);
        let moved: Vec<f64> = means
            .iter()
            .map(|x| x + 0.2 * rng.sample::<f64, _>(StandardNormal))
            .collect();
        Problem {
            values: values.into_iter().map(|x| f64::from(x as f32)).collect(),
            start: mixture(&moved),
        }
    }

    /// I/2 + A Aᵀ/(2 D) of random A, variances between 1/2 and 3/2, as many as there are of the type.
    fn covariances(&self, rng: &mut ChaCha8Rng) -> Covariances {
        let (d, k) = (self.d, self.k);
        match self.covariance_type {
            CovarianceType::Full => {
                Covariances::Full((0..k).flat_map(|_| covariance(d, rng)).collect())
            }
            CovarianceType::Tied => Covariances::Tied(covariance(d, rng)),
            CovarianceType::Diag => Covariances::Diag(variances(k * d, rng)),
            CovarianceType::Spherical => Covariances::Spherical(variances(k, rng)),
        }
    }
}

fn variances(count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..count).map(|_| 0.5 + rng.random::<f64>()).collect()
}

fn covariance(d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let a: Vec<f64> = (0..d * d).map(|_| rng.sample(StandardNormal)).collect();
    let mut covariance = Vec::with_capacity(d * d);
    for i in 0..d {
        for j in 0..d {
            let rows = a[i * d..(i + 1) * d].iter().zip(&a[j * d..(j + 1) * d]);
            let product: f64 = rows.map(|(x, y)| x * y).sum();
            covariance.push(0.5 * product / d as f64 + if i == j { 0.5 } else { 0.0 });
        }
    }
    covariance
}
