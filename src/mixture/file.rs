//! The model file: versioned JSON that people can read and write (`format` "wgmm-model", version 1).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{CovarianceType, Covariances, Mixture, ModelError, Noise};

const FORMAT: &str = "wgmm-model";
const VERSION: u64 = 1;

/// What a fit adds to its model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitSummary {
    /// Rows used.
    pub rows: usize,
    /// Mean log-likelihood in nats per sample, in the data's units.
    pub mean_log_likelihood: f64,
    /// Accepted iterations over all rows.
    pub iterations: usize,
    /// Whether the stopping rule was met.
    pub converged: bool,
    /// Backend that ran it.
    pub device: String,
    /// Seed of the start.
    pub seed: u64,
}

/// A mixture as its file holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    format: String,
    version: u64,
    covariance_type: CovarianceType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    features: Option<Vec<String>>,
    weights: Vec<f64>,
    means: Vec<Vec<f64>>,
    covariances: serde_json::Value,
    #[serde(default)]
    noise: Option<Noise>,
    /// How the model came to be, if a fit made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<FitSummary>,
}

impl ModelFile {
    /// The file's content for a mixture.
    pub fn new(mixture: &Mixture, fit: Option<FitSummary>) -> Self {
        let d = mixture.n_features();
        let rows = |values: &[f64], width: usize| -> Vec<Vec<f64>> {
            values.chunks_exact(width).map(<[f64]>::to_vec).collect()
        };
        let covariances = match mixture.covariances() {
            Covariances::Full(v) => serde_json::json!(
                v.chunks_exact(d * d)
                    .map(|m| rows(m, d))
                    .collect::<Vec<_>>()
            ),
            Covariances::Tied(v) | Covariances::Diag(v) => serde_json::json!(rows(v, d)),
            Covariances::Spherical(v) => serde_json::json!(v),
        };
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            covariance_type: mixture.covariance_type(),
            features: mixture.features().map(<[String]>::to_vec),
            weights: mixture.weights().to_vec(),
            means: rows(mixture.means(), d),
            covariances,
            noise: mixture.noise().cloned(),
            fit,
        }
    }

    /// Reads and checks a model file.
    ///
    /// # Errors
    /// A file that cannot be read or is no model, an unknown version, or parameters that
    /// [`Mixture::new`] refuses.
    pub fn read(path: &Path) -> Result<(Mixture, Option<FitSummary>), ModelError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Checks the text of a model file.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn parse(text: &str) -> Result<(Mixture, Option<FitSummary>), ModelError> {
        let not_a_model = |reason: String| ModelError::NotAModel { reason };
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| not_a_model(e.to_string()))?;
        if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
            return Err(not_a_model(format!("its \"format\" is not \"{FORMAT}\"")));
        }
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            Some(found) => {
                return Err(ModelError::Version {
                    found,
                    known: VERSION,
                });
            }
            None => return Err(not_a_model("it has no \"version\"".to_owned())),
        }
        let file: Self = serde_json::from_value(value).map_err(|e| not_a_model(e.to_string()))?;
        file.into_mixture()
    }

    fn into_mixture(self) -> Result<(Mixture, Option<FitSummary>), ModelError> {
        let not_a_model = |reason: &str| ModelError::NotAModel {
            reason: reason.to_owned(),
        };
        let d = self.means.first().map_or(0, Vec::len);
        if self.means.len() != self.weights.len() {
            return Err(ModelError::Shape {
                what: "means",
                found: self.means.len(),
                expected: self.weights.len(),
            });
        }
        if let Some(row) = self.means.iter().find(|row| row.len() != d) {
            return Err(ModelError::Shape {
                what: "means",
                found: row.len(),
                expected: d,
            });
        }
        let mut covariances = Vec::new();
        let depth = match self.covariance_type {
            CovarianceType::Full => 3,
            CovarianceType::Tied | CovarianceType::Diag => 2,
            CovarianceType::Spherical => 1,
        };
        flatten(&self.covariances, depth, d, &mut covariances).ok_or_else(|| {
            not_a_model("\"covariances\" has not the shape of its covariance_type")
        })?;
        let covariances = match self.covariance_type {
            CovarianceType::Full => Covariances::Full(covariances),
            CovarianceType::Tied => Covariances::Tied(covariances),
            CovarianceType::Diag => Covariances::Diag(covariances),
            CovarianceType::Spherical => Covariances::Spherical(covariances),
        };
        let mixture = Mixture::with_noise(
            self.weights,
            self.means.concat(),
            d,
            covariances,
            self.noise,
        )?;
        let mixture = match self.features {
            Some(features) => mixture.with_features(features)?,
            None => mixture,
        };
        Ok((mixture, self.fit))
    }

    /// The file's text, one parameter row a line.
    pub fn to_json(&self) -> String {
        // The derived form cannot fail: no map with keys that are not strings, no foreign types.
        let mut text = serde_json::to_string_pretty(self).expect("a model file is plain JSON");
        text.push('\n');
        text
    }
}

/// Appends the numbers of nested arrays of the given depth; below the outermost level each array has
/// `d` entries. `None` if the shape differs.
fn flatten(value: &serde_json::Value, depth: usize, d: usize, out: &mut Vec<f64>) -> Option<()> {
    let items = value.as_array()?;
    for item in items {
        if depth == 1 {
            out.push(item.as_f64()?);
        } else {
            if item.as_array()?.len() != d {
                return None;
            }
            flatten(item, depth - 1, d, out)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Mixture {
        Mixture::new(
            vec![0.1, 0.9],
            vec![0.1 + 0.2, 1e-300, 3.0, 1.0 / 3.0],
            2,
            Covariances::Full(vec![1.0, 0.1, 0.1, 1.0, 2.0, 0.5, 0.5, 1.0]),
        )
        .and_then(|m| m.with_features(vec!["x".into(), "y".into()]))
        .expect("a valid mixture")
    }

    #[test]
    fn a_model_survives_its_file_bit_for_bit() {
        let (back, fit) =
            ModelFile::parse(&ModelFile::new(&two(), None).to_json()).expect("readable");
        assert_eq!(back, two());
        assert_eq!(fit, None);
    }

    #[test]
    fn noise_survives_its_file_bit_for_bit() {
        let mixture = two();
        let noisy = Mixture::with_noise(
            vec![0.07, 0.63],
            mixture.means().to_vec(),
            2,
            mixture.covariances().clone(),
            Some(Noise {
                weight: 0.3,
                lower: vec![0.1 + 0.2, -1.0 / 3.0],
                upper: vec![1e300, 2.0],
            }),
        )
        .expect("a valid mixture");
        let text = ModelFile::new(&noisy, None).to_json();
        assert_eq!(ModelFile::parse(&text).expect("readable").0, noisy);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence() {
        let good = ModelFile::new(&two(), None).to_json();
        let said = |from: &str, to: &str| {
            assert!(good.contains(from), "{good}");
            ModelFile::parse(&good.replacen(from, to, 1))
                .expect_err(to)
                .to_string()
        };
        assert!(said("\"version\": 1", "\"version\": 2").contains("version 2 is not known"));
        assert!(said("wgmm-model", "other").contains("\"format\""));
        assert!(said("\"full\"", "\"diag\"").contains("shape"));
        assert!(said("0.9", "0.8").contains("sum to"));
        assert!(said("2.0", "-2.0").contains("component 1: covariance is not positive definite"));
        assert!(said("0.5", "0.4").contains("not symmetric"));
        assert!(said("\"y\"", "\"x\"").contains("two features"));
        let noise = |box_: &str| said("\"noise\": null", &format!("\"noise\": {box_}"));
        assert!(noise("{}").contains("weight"));
        let open = r#"{"weight": 0.0, "lower": [0, 0], "upper": [1, 0]}"#;
        assert!(noise(open).contains("noise: expected a weight"));
        let heavy = r#"{"weight": 0.5, "lower": [0, 0], "upper": [1, 1]}"#;
        assert!(noise(heavy).contains("sum to"));
    }
}
