//! The model: a Gaussian mixture in the user's units. Knows nothing of EM or devices.

mod conditional;
mod covariance;
mod criteria;
mod density;
mod difference;
mod error;
mod file;
mod marginal;
mod moments;
mod noise;
mod overlap;
mod sampling;
pub mod triangle;

pub use conditional::Conditional;
pub use covariance::{CovarianceType, Covariances};
pub use criteria::Criteria;
pub use density::{Density, label};
pub use difference::Difference;
pub use error::ModelError;
pub use file::{FitSummary, ModelFile};
pub use noise::Noise;

/// A mixture of K Gaussians over D features: weights, means, covariances.
///
/// Always valid: weights, with that of a noise component if there is one, are ≥ 0 and sum to 1, all numbers are finite, covariances are positive definite.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Covariances,
    n_features: usize,
    features: Option<Vec<String>>,
    noise: Option<Noise>,
}

/// How far the weights' sum may be from 1 in a model file or a call.
const WEIGHT_SUM_TOLERANCE: f64 = 1e-6;

impl Mixture {
    /// A mixture from its parameters: K weights, K × D means (row-major), covariances of matching shape.
    /// Weights are divided by their sum.
    ///
    /// # Errors
    /// Shapes that disagree, a number that is not finite, weights that are negative or do not sum to 1
    /// within 1e-6, or a covariance that is not symmetric and positive definite (named by its component).
    ///
    /// # Examples
    /// ```
    /// use wgmm::mixture::{Covariances, Mixture};
    /// let two = Mixture::new(vec![0.25, 0.75], vec![-1.0, 2.0], 1, Covariances::Full(vec![1.0, 4.0]))?;
    /// assert_eq!(two.len(), 2);
    /// # Ok::<(), wgmm::mixture::ModelError>(())
    /// ```
    pub fn new(
        weights: Vec<f64>,
        means: Vec<f64>,
        n_features: usize,
        covariances: Covariances,
    ) -> Result<Self, ModelError> {
        Self::with_noise(weights, means, n_features, covariances, None)
    }

    /// [`Mixture::new`] with a noise component, whose weight and the others' sum to 1.
    ///
    /// # Errors
    /// As [`Mixture::new`], and a box that is empty or has not D sides.
    pub fn with_noise(
        mut weights: Vec<f64>,
        means: Vec<f64>,
        n_features: usize,
        covariances: Covariances,
        mut noise: Option<Noise>,
    ) -> Result<Self, ModelError> {
        let k = weights.len();
        if k == 0 || n_features == 0 {
            return Err(ModelError::Empty);
        }
        if means.len() != k * n_features {
            return Err(ModelError::Shape {
                what: "means",
                found: means.len(),
                expected: k * n_features,
            });
        }
        if let Some(component) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(ModelError::Weight {
                component,
                found: weights[component],
            });
        }
        if let Some(noise) = &noise {
            noise.check(n_features)?;
        }
        let sum: f64 = weights.iter().sum::<f64>() + noise.as_ref().map_or(0.0, |n| n.weight);
        if (sum - 1.0).abs() > WEIGHT_SUM_TOLERANCE {
            return Err(ModelError::WeightSum { found: sum });
        }
        // A sum that rounding alone kept from 1 is one: a model read again has the same bits.
        if (sum - 1.0).abs() > 4.0 * k as f64 * f64::EPSILON {
            weights.iter_mut().for_each(|w| *w /= sum);
            if let Some(noise) = &mut noise {
                noise.weight /= sum;
            }
        }
        if let Some(i) = means.iter().position(|m| !m.is_finite()) {
            return Err(ModelError::Mean {
                component: i / n_features,
                found: means[i],
            });
        }
        covariances.check(k, n_features)?;
        Ok(Self {
            weights,
            means,
            covariances,
            n_features,
            features: None,
            noise,
        })
    }

    /// The same mixture with names for its features.
    ///
    /// # Errors
    /// Not one name a feature, or one name twice.
    pub fn with_features(mut self, features: Vec<String>) -> Result<Self, ModelError> {
        if features.len() != self.n_features {
            return Err(ModelError::Shape {
                what: "features",
                found: features.len(),
                expected: self.n_features,
            });
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(name) = features.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(ModelError::FeatureTwice { name: name.clone() });
        }
        self.features = Some(features);
        Ok(self)
    }

    /// How many components, K. Never 0.
    #[expect(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// How many features, D.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// K weights, ≥ 0, summing to 1 with the noise's.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// K × D means, row-major.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// The mean of component `k`.
    pub fn mean(&self, k: usize) -> &[f64] {
        &self.means[k * self.n_features..(k + 1) * self.n_features]
    }

    /// The covariances, in the shape of their type.
    pub fn covariances(&self) -> &Covariances {
        &self.covariances
    }

    /// The covariance of component `k` as a full row-major D × D matrix.
    pub fn covariance(&self, k: usize) -> Vec<f64> {
        self.covariances.full(k, self.n_features)
    }

    /// Which constraint the covariances obey.
    pub fn covariance_type(&self) -> CovarianceType {
        self.covariances.covariance_type()
    }

    /// The noise component, if there is one.
    pub fn noise(&self) -> Option<&Noise> {
        self.noise.as_ref()
    }

    /// How many responsibilities a row has: K, and last the noise's if there is one.
    pub fn n_responsibilities(&self) -> usize {
        self.len() + usize::from(self.noise.is_some())
    }

    /// The label of a row with these responsibilities: the number of the component, −1 for noise.
    pub fn label(&self, responsibilities: &[f64]) -> i64 {
        let best = label(responsibilities);
        if best == self.len() { -1 } else { best as i64 }
    }

    /// Names of the features, if known.
    pub fn features(&self) -> Option<&[String]> {
        self.features.as_deref()
    }

    /// The name of feature `j`: its own, or its number.
    pub fn feature_name(&self, j: usize) -> String {
        self.features
            .as_ref()
            .map_or_else(|| j.to_string(), |names| names[j].clone())
    }

    /// P, the number of free parameters: K − 1 weights, K·D means, the covariances' own and two for noise.
    pub fn n_parameters(&self) -> usize {
        let noise = self.noise.as_ref().map_or(0, |_| Noise::PARAMETERS);
        self.covariance_type()
            .n_parameters(self.len(), self.n_features)
            + noise
    }

    /// The Cholesky factor L of component `k`'s covariance, Σ = L Lᵀ, packed by rows.
    ///
    /// # Panics
    /// Never: a mixture's covariances are positive definite by construction.
    pub fn cholesky(&self, k: usize) -> Vec<f64> {
        let packed = triangle::pack(&self.covariance(k), self.n_features);
        triangle::cholesky(&packed, self.n_features)
            .expect("covariances are checked on construction")
    }

    /// The same mixture with component `order[k]` in place k.
    fn permuted(&self, order: &[usize]) -> Self {
        let d = self.n_features;
        let pick = |values: &[f64], width: usize| -> Vec<f64> {
            order
                .iter()
                .flat_map(|&k| values[k * width..(k + 1) * width].to_vec())
                .collect()
        };
        let covariances = match &self.covariances {
            Covariances::Full(v) => Covariances::Full(pick(v, d * d)),
            Covariances::Tied(v) => Covariances::Tied(v.clone()),
            Covariances::Diag(v) => Covariances::Diag(pick(v, d)),
            Covariances::Spherical(v) => Covariances::Spherical(pick(v, 1)),
        };
        Self {
            weights: pick(&self.weights, 1),
            means: pick(&self.means, d),
            covariances,
            n_features: d,
            features: self.features.clone(),
            noise: self.noise.clone(),
        }
    }
}
