//! Means, standard deviations and correlations: what a mixture is summed up by.

use super::{Covariances, Mixture};

impl Mixture {
    /// The mean and the standard deviation of each feature over the whole mixture.
    ///
    /// Of a conditional mixture these are the regression's prediction and how far off it may be.
    ///
    /// # Examples
    /// ```
    /// use wgmm::mixture::{Covariances, Mixture};
    /// let two = Mixture::new(vec![0.5, 0.5], vec![-3.0, 3.0], 1, Covariances::Full(vec![16.0, 16.0]))?;
    /// assert_eq!(two.moments(), (vec![0.0], vec![5.0]));
    /// # Ok::<(), wgmm::mixture::ModelError>(())
    /// ```
    pub fn moments(&self) -> (Vec<f64>, Vec<f64>) {
        let d = self.n_features();
        let mut mean = vec![0.0; d];
        let mut sd = vec![0.0; d];
        let (mut weights, mut means) = (self.weights().to_vec(), self.means().to_vec());
        let mut sds = self.standard_deviations();
        if let Some(noise) = self.noise() {
            weights.push(noise.weight);
            for (low, high) in noise.lower.iter().zip(&noise.upper) {
                means.push(low / 2.0 + high / 2.0);
                sds.push((high - low) / 12f64.sqrt());
            }
        }
        moments(&weights, &means, &sds, &mut mean, &mut sd);
        (mean, sd)
    }

    /// The standard deviation of each feature in each component, K × D.
    pub fn standard_deviations(&self) -> Vec<f64> {
        let d = self.n_features();
        let diagonal = |v: &[f64]| -> Vec<f64> { v.iter().step_by(d + 1).copied().collect() };
        let mut sds = match self.covariances() {
            Covariances::Full(v) => v.chunks_exact(d * d).flat_map(diagonal).collect(),
            Covariances::Tied(v) => diagonal(v).repeat(self.len()),
            Covariances::Diag(v) => v.clone(),
            Covariances::Spherical(v) => {
                v.iter().flat_map(|&v| std::iter::repeat_n(v, d)).collect()
            }
        };
        sds.iter_mut().for_each(|v: &mut f64| *v = v.sqrt());
        sds
    }

    /// The correlations of component `k` as a full row-major D × D matrix.
    pub fn correlations(&self, k: usize) -> Vec<f64> {
        let d = self.n_features();
        let mut matrix = self.covariance(k);
        let sd: Vec<f64> = (0..d).map(|j| matrix[j * d + j].sqrt()).collect();
        for i in 0..d {
            for j in 0..d {
                let r = matrix[i * d + j] / sd[i] / sd[j];
                matrix[i * d + j] = if i == j { 1.0 } else { r.clamp(-1.0, 1.0) };
            }
        }
        matrix
    }
}

/// Mean and standard deviation of each of D features over components with these weights, means and standard
/// deviations (K × D). A component of weight 0 counts for nothing, wherever it is.
pub(super) fn moments(
    weights: &[f64],
    means: &[f64],
    sds: &[f64],
    mean: &mut [f64],
    sd: &mut [f64],
) {
    let d = mean.len();
    let of = |j: usize| {
        weights
            .iter()
            .enumerate()
            .filter(|(_, w)| **w > 0.0)
            .map(move |(k, w)| (*w, means[k * d + j], sds[k * d + j]))
    };
    for j in 0..d {
        mean[j] = of(j).map(|(w, m, _)| w * m).sum();
        // In units of the largest part, so that no square overflows.
        let unit = of(j).fold(0.0f64, |u, (_, m, s)| u.max(s).max((m - mean[j]).abs()));
        let square: f64 = of(j)
            .map(|(w, m, s)| w * ((s / unit).powi(2) + ((m - mean[j]) / unit).powi(2)))
            .sum();
        sd[j] = unit * square.sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_is_the_mean_of_variances_and_the_variance_of_means() {
        let mixture = Mixture::new(
            vec![0.25, 0.75],
            vec![1.0, 0.0, 5.0, 0.0],
            2,
            Covariances::Full(vec![1.0, 0.5, 0.5, 4.0, 9.0, -3.0, -3.0, 4.0]),
        )
        .expect("valid");
        let (mean, sd) = mixture.moments();
        assert_eq!(mean, [4.0, 0.0]);
        assert!((sd[0] - (7.0f64 + 3.0).sqrt()).abs() < 1e-14, "{sd:?}");
        assert!((sd[1] - 2.0).abs() < 1e-14, "{sd:?}");
        assert_eq!(mixture.standard_deviations(), [1.0, 2.0, 3.0, 2.0]);
        assert_eq!(mixture.correlations(0), [1.0, 0.25, 0.25, 1.0]);
        assert_eq!(mixture.correlations(1), [1.0, -0.5, -0.5, 1.0]);
    }

    #[test]
    fn standard_deviations_of_every_type() {
        let sds = |covariances| {
            Mixture::new(vec![0.5, 0.5], vec![0.0; 4], 2, covariances)
                .expect("valid")
                .standard_deviations()
        };
        assert_eq!(
            sds(Covariances::Tied(vec![4.0, 1.0, 1.0, 9.0])),
            [2.0, 3.0, 2.0, 3.0]
        );
        assert_eq!(
            sds(Covariances::Diag(vec![1.0, 4.0, 9.0, 16.0])),
            [1.0, 2.0, 3.0, 4.0]
        );
        assert_eq!(
            sds(Covariances::Spherical(vec![1.0, 4.0])),
            [1.0, 1.0, 2.0, 2.0]
        );
    }

    #[test]
    fn means_far_apart_do_not_overflow() {
        let mixture = Mixture::new(
            vec![0.5, 0.5, 0.0],
            vec![-1e200, 1e200, 1e308],
            1,
            Covariances::Full(vec![1.0; 3]),
        )
        .expect("valid");
        assert_eq!(mixture.moments(), (vec![0.0], vec![1e200]));
    }
}
