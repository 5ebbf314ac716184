//! The yardstick: plain f64 loops, one thread, no SIMD. Reads like the formulas and stays slow on purpose.

use std::borrow::Cow;
use std::ops::Range;

use super::{
    Backend, BackendError, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks,
};
use crate::data::{Samples, Standardisation};
use crate::mixture::triangle;

/// Evaluates mixtures by the textbook's formulas, moments about the old means.
pub struct Reference<'a> {
    samples: &'a Samples,
    map: &'a Standardisation,
}

impl<'a> Reference<'a> {
    /// Takes samples and the map to standardised units.
    pub fn load(samples: &'a Samples, map: &'a Standardisation) -> Self {
        Self { samples, map }
    }

    fn add_rows(&self, rows: Range<usize>, components: &Components, sums: &mut Statistics) {
        let d = components.n_features;
        let mut evaluation = Evaluation::new(components);
        let mut row = vec![0.0; d];
        for i in rows {
            let weight = self.samples.weight(i);
            if weight == 0.0 {
                continue;
            }
            self.samples.copy_row(i, &mut row);
            self.map.apply(&mut row);
            let (log_density, log_largest) = evaluation.evaluate(&row);
            sums.log_likelihood += weight * log_density;
            sums.log_largest += weight * log_largest;
            sums.weight += weight;
            for k in 0..components.len() {
                let r = weight * evaluation.responsibilities[k];
                let y = &evaluation.whitened[k * d..(k + 1) * d];
                sums.s0[k] += r;
                for (s1, y) in sums.s1[k * d..(k + 1) * d].iter_mut().zip(y) {
                    *s1 += r * y;
                }
                sums.add_second_moments(k, r, y);
            }
        }
    }
}

/// Whitened coordinates and responsibilities of one row.
struct Evaluation<'a> {
    components: &'a Components,
    factors: Vec<Cow<'a, [f64]>>,
    log_constants: Vec<f64>,
    whitened: Vec<f64>,
    responsibilities: Vec<f64>,
}

impl<'a> Evaluation<'a> {
    fn new(components: &'a Components) -> Self {
        Self {
            components,
            factors: (0..components.len())
                .map(|k| components.factor(k))
                .collect(),
            log_constants: components.log_constants(),
            whitened: vec![0.0; components.len() * components.n_features],
            responsibilities: vec![0.0; components.len()],
        }
    }

    /// Log density and log of the largest responsibility of a row in standardised units.
    fn evaluate(&mut self, row: &[f64]) -> (f64, f64) {
        let components = self.components;
        let d = components.n_features;
        for k in 0..components.len() {
            let (mean, factor) = (components.mean(k), &self.factors[k]);
            let mut squares = 0.0;
            for i in 0..d {
                let mut y = 0.0;
                for j in 0..=i {
                    y += factor[triangle::at(i, j)] * (row[j] - mean[j]);
                }
                self.whitened[k * d + i] = y;
                squares += y * y;
            }
            self.responsibilities[k] = self.log_constants[k] - 0.5 * squares.min(1e300);
        }
        let largest = self
            .responsibilities
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for r in &mut self.responsibilities {
            *r = (*r - largest).exp();
            sum += *r;
        }
        for r in &mut self.responsibilities {
            *r /= sum;
        }
        (largest + sum.ln(), -sum.ln())
    }
}

impl Backend for Reference<'_> {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "reference",
            name: "plain f64 loops".to_owned(),
            driver: String::new(),
            precision: Precision::F64,
            threads: 1,
            plan: None,
        }
    }

    fn blocks(&self) -> SummationBlocks {
        SummationBlocks::new(self.samples.len())
    }

    fn statistics(&mut self, models: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError> {
        let blocks = self.blocks();
        Ok(models
            .iter()
            .map(|model| {
                let c = model.components;
                let zero = Statistics::zero(c.covariance_type, c.len(), c.n_features);
                let mut total = zero.clone();
                for b in (0..blocks.len()).filter(|&b| model.mask.is_none_or(|m| m.contains(b))) {
                    let mut sums = zero.clone();
                    self.add_rows(blocks.rows(b), c, &mut sums);
                    total += &sums;
                }
                total
            })
            .collect())
    }

    fn responsibilities(
        &mut self,
        components: &Components,
        rows: Range<usize>,
        log_densities: &mut [f64],
        responsibilities: &mut [f64],
    ) -> Result<(), BackendError> {
        let k = components.len();
        assert_eq!(
            (log_densities.len(), responsibilities.len()),
            (rows.len(), rows.len() * k)
        );
        let mut evaluation = Evaluation::new(components);
        let mut row = vec![0.0; components.n_features];
        for (n, i) in rows.enumerate() {
            self.samples.copy_row(i, &mut row);
            self.map.apply(&mut row);
            log_densities[n] = evaluation.evaluate(&row).0;
            responsibilities[n * k..(n + 1) * k].copy_from_slice(&evaluation.responsibilities);
        }
        Ok(())
    }
}
