//! What one thread needs to evaluate a chunk of rows.

use super::prepared::Prepared;
use super::real::Real;
use crate::data::{Samples, Standardisation, Values};

/// Rows of a chunk: feature-major, so that a vector holds one feature of neighbouring rows.
pub(super) const ROWS: usize = 256;

/// Rows in kernel order, and all that is made of them.
pub(super) struct Scratch<T> {
    /// D × ROWS standardised samples.
    pub(super) x: Vec<T>,
    /// D × ROWS samples less a mean.
    pub(super) centred: Vec<T>,
    /// K × D × ROWS whitened coordinates.
    pub(super) y: Vec<T>,
    /// K × ROWS log densities to base 2, then responsibilities × weight.
    pub(super) q: Vec<T>,
    /// ROWS products r y_i.
    pub(super) t: Vec<T>,
    /// ROWS sample weights in units of the largest's power of two, 0 beyond the last row.
    pub(super) weights: Vec<T>,
    /// ROWS largest log densities to base 2, less the reference.
    pub(super) largest: Vec<T>,
    /// ROWS sums of densities relative to the largest.
    pub(super) sum: Vec<T>,
    /// The same weights as given.
    pub(super) exact_weights: Vec<f64>,
    row: Vec<f64>,
    /// Whether the chunk is full and every weight is 1.
    uniform: bool,
}

impl<T: Real> Scratch<T> {
    /// Room for models of at most `k` components over `d` features.
    pub(super) fn new(k: usize, d: usize) -> Self {
        let zero = T::from_f64(0.0);
        Self {
            x: vec![zero; d * ROWS],
            centred: vec![zero; d * ROWS],
            y: vec![zero; k * d * ROWS],
            q: vec![zero; k * ROWS],
            t: vec![zero; ROWS],
            weights: vec![zero; ROWS],
            largest: vec![zero; ROWS],
            sum: vec![zero; ROWS],
            exact_weights: vec![0.0; ROWS],
            row: vec![0.0; d],
            uniform: false,
        }
    }

    /// Standardises rows `start..end` (at most [`ROWS`]) into kernel order. Rows of weight 0 and those beyond the
    /// end become zeros, so that no value of theirs meets a 0 weight as 0 × ∞. With a unit, weights are divided by
    /// it; without, every row weighs 1.
    #[inline(always)]
    pub(super) fn fill(
        &mut self,
        samples: &Samples,
        map: &Standardisation,
        start: usize,
        end: usize,
        weight_unit: Option<f64>,
    ) {
        let d = samples.n_features();
        self.uniform =
            end - start == ROWS && (weight_unit.is_none() || samples.weights().is_none());
        if self.uniform && map.is_plain() {
            self.weights.fill(T::from_f64(1.0));
            self.exact_weights.fill(1.0);
            let rows = start * d..end * d;
            for j in 0..d {
                let x = &mut self.x[j * ROWS..(j + 1) * ROWS];
                let put = |n: usize, value: f64| x[n] = T::from_f64(value);
                match samples.values() {
                    Values::F32(v) => map.apply_to_feature(&v[rows.clone()], j, put),
                    Values::F64(v) => map.apply_to_feature(&v[rows.clone()], j, put),
                }
            }
            return;
        }
        let zero = T::from_f64(0.0);
        for n in 0..ROWS {
            let i = start + n;
            let (weight, unit) = match weight_unit {
                _ if i >= end => (0.0, 1.0),
                Some(unit) => (samples.weight(i), unit),
                None => (1.0, 1.0),
            };
            self.weights[n] = T::from_f64(weight / unit);
            self.exact_weights[n] = weight;
            if weight == 0.0 {
                (0..d).for_each(|j| self.x[j * ROWS + n] = zero);
                continue;
            }
            samples.copy_row(i, &mut self.row);
            map.apply(&mut self.row);
            for (j, x) in self.row.iter().enumerate() {
                self.x[j * ROWS + n] = T::from_f64(*x);
            }
        }
    }

    /// Adds Σ w log density and Σ w log of the largest responsibility of the chunk, nats.
    #[inline(always)]
    pub(super) fn likelihoods(&self, model: &Prepared<T>) -> (f64, f64) {
        // Running sums side by side, so that additions need not wait for each other.
        const SIDE: usize = 8;
        let (mut tops, mut logs) = ([0.0f64; SIDE], [0.0f64; SIDE]);
        let ln_2 = std::f64::consts::LN_2;
        if self.uniform {
            // One logarithm for ROWS / SIDE sums: each is at most K, and their product stays in range.
            let mut products = [1.0f64; SIDE];
            let pairs = self
                .largest
                .chunks_exact(SIDE)
                .zip(self.sum.chunks_exact(SIDE));
            for (largest, sum) in pairs {
                for i in 0..SIDE {
                    tops[i] += largest[i].to_f64();
                    products[i] *= sum[i].to_f64();
                }
            }
            let logs: f64 = products.iter().map(|p| p.ln()).sum();
            let tops: f64 = tops.iter().sum();
            return (tops * ln_2 + logs + model.reference * ROWS as f64, -logs);
        }
        for n in (0..ROWS).filter(|&n| self.exact_weights[n] > 0.0) {
            let weight = self.exact_weights[n];
            tops[n % SIDE] += weight * (self.largest[n].to_f64() * ln_2 + model.reference);
            logs[n % SIDE] += weight * self.sum[n].to_f64().ln();
        }
        let logs: f64 = logs.iter().sum();
        (tops.iter().sum::<f64>() + logs, -logs)
    }
}
