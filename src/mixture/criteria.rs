//! Information criteria: what a fit's log-likelihood is worth after paying for its parameters.

use serde::Serialize;

/// BIC, AIC and ICL, smaller is better, as in scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Criteria {
    /// −2 log-likelihood + P log N (Schwarz 1978).
    pub bic: f64,
    /// −2 log-likelihood + 2 P (Akaike 1974).
    pub aic: f64,
    /// BIC − 2 Σ log of each sample's largest responsibility (Biernacki, Celeux & Govaert 2000).
    pub icl: f64,
}

impl Criteria {
    /// From Σ log density, Σ log of the largest responsibility (≤ 0), P and N = Σ weights; all in nats.
    ///
    /// # Examples
    /// ```
    /// let c = wgmm::mixture::Criteria::new(-100.0, -2.0, 5, 100.0);
    /// assert_eq!(c.aic, 210.0);
    /// assert_eq!(c.icl - c.bic, 4.0);
    /// ```
    pub fn new(log_likelihood: f64, log_largest: f64, n_parameters: usize, n: f64) -> Self {
        let parameters = n_parameters as f64;
        let bic = -2.0 * log_likelihood + parameters * n.ln();
        let aic = -2.0 * log_likelihood + 2.0 * parameters;
        Self {
            bic,
            aic,
            icl: bic - 2.0 * log_largest,
        }
    }
}
