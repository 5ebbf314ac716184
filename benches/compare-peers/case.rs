//! What is fitted.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use super::floors::Floors;
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

pub(crate) const CASES: [Case; 5] = [
    full("s1", 1_000_000, 2, 4, 11),
    full("s2", 500_000, 10, 20, 4),
    full("s3", 200_000, 32, 32, 3),
    full("s4", 100_000, 64, 64, 3),
    Case {
        covariance_type: CovarianceType::Diag,
        ..full("diag", 500_000, 40, 64, 3)
    },
];

const fn full(name: &'static str, n: usize, d: usize, k: usize, iterations: usize) -> Case {
    Case {
        name,
        n,
        d,
        k,
        covariance_type: CovarianceType::Full,
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
            CovarianceType::Diag => "diag",
            _ => "full",
        }
    }

    /// Seconds of one iteration at the least: of its multiply-adds, one exp counted as 20 operations, or of
    /// reading the samples.
    pub(crate) fn floor(&self, floors: &Floors, precision: Type) -> f64 {
        let (n, d, k) = (self.n as f64, self.d as f64, self.k as f64);
        let operations = match self.covariance_type {
            CovarianceType::Diag => n * k * (8.0 * d + 20.0),
            _ => n * k * (2.0 * d * (d + 1.0) + 4.0 * d + 20.0),
        };
        let (flops, bytes) = match precision {
            Type::F32 => (floors.f32_flops, 4.0),
            Type::F64 => (floors.f64_flops, 8.0),
        };
        (operations / flops).max(bytes * n * d / floors.bytes_per_second)
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

    /// Diagonal ones, or I/2 + A Aᵀ/(2 D) of random A.
    fn covariances(&self, rng: &mut ChaCha8Rng) -> Covariances {
        let (d, k) = (self.d, self.k);
        if self.covariance_type == CovarianceType::Diag {
            return Covariances::Diag((0..k * d).map(|_| 0.5 + rng.random::<f64>()).collect());
        }
        let mut all = Vec::with_capacity(k * d * d);
        for _ in 0..k {
            let a: Vec<f64> = (0..d * d).map(|_| rng.sample(StandardNormal)).collect();
            for i in 0..d {
                for j in 0..d {
                    let rows = a[i * d..(i + 1) * d].iter().zip(&a[j * d..(j + 1) * d]);
                    let product: f64 = rows.map(|(x, y)| x * y).sum();
                    all.push(0.5 * product / d as f64 + if i == j { 0.5 } else { 0.0 });
                }
            }
        }
        Covariances::Full(all)
    }
}
