//! Sums of log-likelihoods over the rows of a pass.

use std::f64::consts::LN_2;

use fearless_simd::prelude::*;

use super::real::{Pair, Real, split};
use super::softmax::Densities;
use super::sum_logarithm::log2_of_sums;
use super::vectors::{Vector, splat};

/// Panels whose sums are added before they become f64: a lane rounds some sixteen terms more, and widening, which takes as
/// long as a twentieth of a pass at D = 2, K = 4, is needed less often.
const PANELS: usize = 4;
/// How many powers of two products may grow by: in f32, with some to spare, and in f64.
const NARROW_BITS: usize = 120;
const WIDE_BITS: usize = 1000;

/// Running sums of log-likelihoods, to base 2.
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
        for m in 0..M {
            self.narrow.largest += densities.largest[m];
            self.narrow.product *= densities.sum[m];
        }
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
        for m in 0..M {
            self.narrow.largest = densities.largest[m].mul_add(weights[m], self.narrow.largest);
            self.narrow.logs = log2[m].mul_add(weights[m], self.narrow.logs);
        }
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
