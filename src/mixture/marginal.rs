//! The mixture of some of the features, the others left open.

use super::{Covariances, Mixture, ModelError, Noise};

impl Mixture {
    /// The mixture of some features, in the order given. Names and the covariances' type stay.
    ///
    /// # Errors
    /// No feature, one that there is not, or one twice.
    ///
    /// # Examples
    /// ```
    /// use wgmm::mixture::{Covariances, Mixture};
    /// let plane = Mixture::new(vec![1.0], vec![3.0, 5.0], 2, Covariances::Diag(vec![1.0, 4.0]))?;
    /// let second = plane.marginal(&[1])?;
    /// assert_eq!((second.means(), second.covariances()), (&[5.0][..], &Covariances::Diag(vec![4.0])));
    /// # Ok::<(), wgmm::mixture::ModelError>(())
    /// ```
    pub fn marginal(&self, features: &[usize]) -> Result<Mixture, ModelError> {
        self.chosen(features)?;
        let d = self.n_features();
        let pick = |values: &[f64]| -> Vec<f64> {
            values
                .chunks_exact(d)
                .flat_map(|row| features.iter().map(|&j| row[j]))
                .collect()
        };
        let block = |matrices: &[f64]| -> Vec<f64> {
            matrices
                .chunks_exact(d * d)
                .flat_map(|matrix| features.iter().map(|&i| &matrix[i * d..(i + 1) * d]))
                .flat_map(pick)
                .collect()
        };
        let covariances = match self.covariances() {
            Covariances::Full(v) => Covariances::Full(block(v)),
            Covariances::Tied(v) => Covariances::Tied(block(v)),
            Covariances::Diag(v) => Covariances::Diag(pick(v)),
            Covariances::Spherical(v) => Covariances::Spherical(v.clone()),
        };
        self.of_features(features, pick(self.means()), covariances)
    }

    /// A mixture of these features with the weights and the names of this one.
    pub(super) fn of_features(
        &self,
        features: &[usize],
        means: Vec<f64>,
        covariances: Covariances,
    ) -> Result<Mixture, ModelError> {
        let pick = |side: &[f64]| features.iter().map(|&j| side[j]).collect();
        let noise = self.noise().map(|noise| Noise {
            weight: noise.weight,
            lower: pick(&noise.lower),
            upper: pick(&noise.upper),
        });
        let weights = self.weights().to_vec();
        let mixture = Mixture::with_noise(weights, means, features.len(), covariances, noise)?;
        match self.features() {
            Some(names) => {
                mixture.with_features(features.iter().map(|&j| names[j].clone()).collect())
            }
            None => Ok(mixture),
        }
    }

    /// Which of the D features are among these, each of which must be there and named once.
    pub(super) fn chosen(&self, features: &[usize]) -> Result<Vec<bool>, ModelError> {
        let n_features = self.n_features();
        let mut chosen = vec![false; n_features];
        for &feature in features {
            let Some(chosen) = chosen.get_mut(feature) else {
                return Err(ModelError::UnknownFeature {
                    feature,
                    n_features,
                });
            };
            if std::mem::replace(chosen, true) {
                let name = self.feature_name(feature);
                return Err(ModelError::FeatureRepeated { name });
            }
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::CovarianceType;

    #[test]
    fn features_come_in_the_order_given_with_their_names() {
        let names = ["x", "y", "z"].map(str::to_owned).to_vec();
        let mixture = Mixture::new(
            vec![0.4, 0.6],
            vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            3,
            Covariances::Tied(vec![4.0, 1.0, 0.5, 1.0, 9.0, 0.25, 0.5, 0.25, 1.0]),
        )
        .and_then(|m| m.with_features(names))
        .expect("valid");
        let marginal = mixture.marginal(&[2, 0]).expect("two features");
        assert_eq!(marginal.means(), [3.0, 1.0, 6.0, 4.0]);
        assert_eq!(
            marginal.covariances(),
            &Covariances::Tied(vec![1.0, 0.5, 0.5, 4.0])
        );
        assert_eq!(
            marginal.features(),
            Some(&["z".to_owned(), "x".to_owned()][..])
        );
        assert_eq!(marginal.weights(), mixture.weights());
    }

    #[test]
    fn a_sphere_stays_a_sphere() {
        let mixture = Mixture::new(
            vec![1.0],
            vec![1.0, 2.0],
            2,
            Covariances::Spherical(vec![4.0]),
        )
        .expect("valid");
        let marginal = mixture.marginal(&[1]).expect("one feature");
        assert_eq!(marginal.covariance_type(), CovarianceType::Spherical);
        assert_eq!(marginal.means(), [2.0]);
    }

    #[test]
    fn what_is_not_there_is_said_so() {
        let mixture = Mixture::new(
            vec![1.0],
            vec![1.0, 2.0],
            2,
            Covariances::Diag(vec![1.0; 2]),
        )
        .expect("valid");
        let said = |features: &[usize]| mixture.marginal(features).expect_err("wrong").to_string();
        assert_eq!(
            said(&[0, 2]),
            "no feature 2; the mixture has 2, counted from 0"
        );
        assert_eq!(said(&[1, 1]), "feature \"1\" is named twice");
        assert_eq!(
            said(&[]),
            "a mixture needs at least one component and one feature"
        );
    }
}
