//! Sums of log-likelihoods over the rows of a pass.

use std::f64::consts::LN_2;

use fearless_simd::prelude::*;

use super::real::{Pair, Real, split};
use super::softmax::Densities;
use super::sum_logarithm::log2_of_sums;
use super::vectors::{Vector, splat};

/// Panels whose sums are added before they become f64: widening takes more operations than a panel's sums. Each panel is
/// added by itself first: a long chain of equal terms, as of features of two values, would be rounded in one direction all
/// along.
const PANELS: usize = 4;
/// How many powers of two the narrow products may grow by, with some to spare in f32, and the wide ones.
const NARROW_BITS: usize = 120;
const WIDE_BITS: usize = 1000;

/// Running sums of log-likelihoods: largest log densities in steps ([`Real::STEPS`]), logarithms to base 2.
pub(super) struct Likelihoods<S: Simd, T: Real> {
    k: usize,
    narrow: Narrow<S, T>,
    /// Panels that may still be added to the narrow sums, and at most.
    panels_left: usize,
    panels: usize,
    wide: Wide<S>,
    /// How many times the wide products may still take narrow ones, and at most.
    products_left: usize,
    products: usize,
}

/// Sums of a few panels.
struct Narrow<S: Simd, T: Real> {
    /// Σ w × largest log density, in steps.
    largest: Vector<S, T>,
    /// Σ w log of the sums, weighted rows.
    logs: Vector<S, T>,
    /// Products of the sums of rows of weight 1.
    product: Vector<S, T>,
}

/// The same of all panels before.
struct Wide<S: Simd> {
    largest: Pair<S>,
    logs: Pair<S>,
    product: Pair<S>,
    /// Powers of two that were taken out of the products.
    exponents: f64,
}

impl<S: Simd, T: Real> Narrow<S, T> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = splat::<S, T>(simd, T::from_f64(0.0));
        Self {
            largest: zero,
            logs: zero,
            product: splat::<S, T>(simd, T::from_f64(1.0)),
        }
    }
}

impl<S: Simd, T: Real> Likelihoods<S, T> {
    /// For K components and panels of `vectors` vectors.
    #[inline(always)]
    pub(super) fn new(simd: S, k: usize, vectors: usize) -> Self {
        let (zero, one) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, 1.0));
        // A sum is at most K (1 + tiny), so a panel's product of them at most 2^bits.
        let bits = vectors * (usize::BITS - k.leading_zeros()) as usize;
        let panels = (NARROW_BITS / bits).clamp(1, PANELS);
        let products = (WIDE_BITS / (panels * bits)).max(1);
        Self {
            k,
            narrow: Narrow::new(simd),
            panels_left: panels,
            panels,
            wide: Wide {
                largest: [zero; 2],
                logs: [zero; 2],
                product: [one; 2],
                exponents: 0.0,
            },
            products_left: products,
            products,
        }
    }

    /// Adds rows of weight 1.
    #[inline(always)]
    pub(super) fn add<const M: usize>(&mut self, simd: S, densities: &Densities<S, T, M>) {
        let (mut largest, mut product) = (densities.largest[0], densities.sum[0]);
        for m in 1..M {
            largest += densities.largest[m];
            product *= densities.sum[m];
        }
        self.narrow.largest += largest;
        self.narrow.product *= product;
        self.end_panel(simd);
    }

    /// Adds weighted rows, whose sums have the reciprocals `inverses`.
    #[inline(always)]
    pub(super) fn add_weighted<const M: usize>(
        &mut self,
        simd: S,
        densities: &Densities<S, T, M>,
        inverses: &[Vector<S, T>; M],
        weights: &[Vector<S, T>; M],
    ) {
        let log2 = log2_of_sums::<S, T, M>(simd, self.k, &densities.sum, inverses);
        let (mut largest, mut logs) = (densities.largest[0] * weights[0], log2[0] * weights[0]);
        for m in 1..M {
            largest = densities.largest[m].mul_add(weights[m], largest);
            logs = log2[m].mul_add(weights[m], logs);
        }
        self.narrow.largest += largest;
        self.narrow.logs += logs;
        self.end_panel(simd);
    }

    #[inline(always)]
    fn end_panel(&mut self, simd: S) {
        self.panels_left -= 1;
        if self.panels_left == 0 {
            self.widen(simd);
        }
    }

    /// Takes the narrow sums to the wide ones.
    #[inline(always)]
    fn widen(&mut self, simd: S) {
        let Narrow {
            largest,
            logs,
            product,
        } = std::mem::replace(&mut self.narrow, Narrow::new(simd));
        self.panels_left = self.panels;
        T::add_to(largest, &mut self.wide.largest);
        T::add_to(logs, &mut self.wide.logs);
        T::multiply_to(product, &mut self.wide.product);
        self.products_left -= 1;
        if self.products_left == 0 {
            self.products_left = self.products;
            self.wide.take_exponents();
        }
    }

    /// Σ w (log density) less the reference, and Σ w log of the largest responsibility, nats. Weights are in `unit`.
    #[inline(always)]
    pub(super) fn finish(mut self, simd: S, unit: f64) -> (f64, f64) {
        self.widen(simd);
        let mut wide = self.wide;
        wide.take_exponents();
        let sum =
            |pair: &Pair<S>| -> f64 { pair.iter().map(|v| v.as_slice().iter().sum::<f64>()).sum() };
        let product: f64 = (wide.product.iter())
            .map(|v| v.as_slice().iter().product::<f64>())
            .product();
        let logs = unit * sum(&wide.logs) + wide.exponents + product.log2();
        let largest = unit * sum(&wide.largest) / T::STEPS;
        ((largest + logs) * LN_2, -logs * LN_2)
    }
}

impl<S: Simd> Wide<S> {
    #[inline(always)]
    fn take_exponents(&mut self) {
        for product in &mut self.product {
            for product in product.as_mut_slice() {
                let (exponent, mantissa) = split(*product);
                self.exponents += exponent;
                *product = mantissa;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::cpu::Cpu;
    use crate::backend::cpu::level;
    use crate::backend::{Backend, Components, Precision};
    use crate::data::{Samples, Standardisation};
    use crate::mixture::CovarianceType;
    use crate::mixture::triangle;

    /// K times the standard normal of D features, over rows of ±1, whose densities are all the same.
    fn sums(
        n: usize,
        d: usize,
        k: usize,
        precision: Precision,
        weight: Option<f64>,
    ) -> Vec<[f64; 3]> {
        let sign = |i: usize| {
            if (i * 7 + i / 5).is_multiple_of(3) {
                1.0
            } else {
                -1.0
            }
        };
        let values: Vec<f64> = (0..n * d).map(sign).collect();
        let mut samples = Samples::new(values, d).expect("finite");
        if let Some(weight) = weight {
            samples = samples.with_weights(vec![weight; n]).expect("positive");
        }
        let map = Standardisation::identity(d);
        let mut factor = vec![0.0; triangle::packed_len(d)];
        (0..d).for_each(|i| factor[triangle::at(i, i)] = 1.0);
        let components = Components {
            covariance_type: CovarianceType::Full,
            n_features: d,
            weights: vec![1.0 / k as f64; k],
            means: vec![0.0; k * d],
            factors: factor.repeat(k),
            noise: None,
        };
        (level::all().into_iter())
            .map(|level| {
                let mut cpu = Cpu::load(&samples, &map, precision).with_level(level);
                let sums = cpu.statistics(&[(&components).into()]).expect("no device");
                let [sums] = &sums[..] else {
                    panic!("one model")
                };
                [sums.log_likelihood, sums.log_largest, sums.weight]
            })
            .collect()
    }

    /// Equal densities show what is rounded in one direction, and sums of K, the most that there are, whether products of them
    /// stay in range.
    #[test]
    fn equal_densities_add_up() {
        let cases = [1, 2, 8, 127, 128, 255, 2048].map(|k| [(2, k), (6, k)]);
        let cases = cases
            .into_iter()
            .flatten()
            .chain([(12, 1), (48, 1), (12, 64)]);
        for (d, k) in cases {
            for precision in [Precision::F32, Precision::F64] {
                for weight in [None, Some(0.7)] {
                    for [log_likelihood, log_largest, total] in
                        sums(if k > 255 { 700 } else { 1_537 }, d, k, precision, weight)
                    {
                        let d = d as f64;
                        let density = -0.5 * d * (1.0 + std::f64::consts::TAU.ln());
                        // Half a square of D is rounded once, a logarithm of K by 3 ulp of the larger of 1 and itself, or its
                        // sixteenth of a product once. A chain of all rows of a lane would be off by twice as much and more.
                        let epsilon = match precision {
                            Precision::F32 => f64::from(f32::EPSILON),
                            _ => 1e-14,
                        };
                        let logs = (k as f64).ln();
                        let tolerance = epsilon
                            * match k {
                                1 => 0.25 * d + 0.5,
                                _ => 0.25 * d + 3.0 * logs.max(1.0),
                            };
                        let what = format!("D {d}, K {k}, {precision:?}, {weight:?}");
                        let mean = log_likelihood / total;
                        assert!(
                            (mean - density).abs() <= tolerance,
                            "{what}: {mean}, {density}"
                        );
                        let mean = log_largest / total;
                        assert!(
                            (mean + logs).abs() <= tolerance,
                            "{what}: {mean}, {}",
                            -logs
                        );
                    }
                }
            }
        }
    }
}
