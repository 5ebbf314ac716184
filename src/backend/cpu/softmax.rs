//! From log densities to responsibilities and log-likelihoods, a panel of rows at a time.

use std::f64::consts::LN_2;

use fearless_simd::prelude::*;

use super::real::{Pair, Real, split};
use super::sum_logarithm::log2_of_sums;
use super::vectors::{Vector, load_all, splat, store_all};

/// Of some rows: the largest log density to base 2, and the sum of densities relative to it.
pub(super) struct Densities<S: Simd, T: Real, const M: usize> {
    pub(super) largest: [Vector<S, T>; M],
    pub(super) sum: [Vector<S, T>; M],
}

/// Turns log densities to base 2, `q[component][row]`, into densities relative to the row's largest.
///
/// They are at least [`Real::TINY`], which [`Scale`] takes off again.
#[inline(always)]
pub(super) fn softmax<S: Simd, T: Real, const M: usize>(
    simd: S,
    q: &mut [T],
    mut largest: [Vector<S, T>; M],
) -> Densities<S, T, M> {
    let panel = M * Vector::<S, T>::LEN;
    let lowest = splat::<S, T>(simd, T::LOWEST);
    let mut least = largest[0];
    for m in 0..M {
        least = least.min(largest[m]);
    }
    if least.simd_le(lowest).any_true() {
        // Rows infinitely far from every component belong to all of them alike.
        for q in q.chunks_exact_mut(panel) {
            let mut clamped = load_all::<S, T, M>(simd, q);
            clamped.iter_mut().for_each(|q| *q = q.max(lowest));
            store_all::<S, T, M>(clamped, q);
        }
        largest.iter_mut().for_each(|l| *l = l.max(lowest));
    }
    let mut sum = [splat::<S, T>(simd, T::from_f64(0.0)); M];
    // Two components at a time: as many independent vectors as it takes to wait for none.
    let mut pairs = q.chunks_exact_mut(2 * panel);
    for q in &mut pairs {
        relative::<S, T, M, 2>(simd, q, &largest, &mut sum);
    }
    let rest = pairs.into_remainder();
    if !rest.is_empty() {
        relative::<S, T, M, 1>(simd, rest, &largest, &mut sum);
    }
    Densities { largest, sum }
}

/// The same of C components, which are added to `sum`.
#[inline(always)]
fn relative<S: Simd, T: Real, const M: usize, const C: usize>(
    simd: S,
    q: &mut [T],
    largest: &[Vector<S, T>; M],
    sum: &mut [Vector<S, T>; M],
) {
    let panel = M * Vector::<S, T>::LEN;
    let mut e = [*largest; C];
    for c in 0..C {
        e[c] = load_all::<S, T, M>(simd, &q[c * panel..]);
        for m in 0..M {
            e[c][m] -= largest[m];
        }
    }
    for (c, e) in T::exp2(simd, e).into_iter().enumerate() {
        for m in 0..M {
            sum[m] += e[m];
        }
        store_all::<S, T, M>(e, &mut q[c * panel..]);
    }
}

/// The row-wise largest of `q[component][row]`.
#[inline(always)]
pub(super) fn largest_of<S: Simd, T: Real, const M: usize>(simd: S, q: &[T]) -> [Vector<S, T>; M] {
    let mut largest = [splat::<S, T>(simd, T::LOWEST); M];
    for q in q.chunks_exact(M * Vector::<S, T>::LEN) {
        let q = load_all::<S, T, M>(simd, q);
        for m in 0..M {
            largest[m] = largest[m].max(q[m]);
        }
    }
    largest
}

/// What turns relative densities into responsibilities × weight.
#[derive(Clone, Copy)]
pub(super) struct Scale<S: Simd, T: Real, const M: usize> {
    scale: [Vector<S, T>; M],
    /// [`Real::TINY`] × scale.
    tiny: [Vector<S, T>; M],
}

impl<S: Simd, T: Real, const M: usize> Scale<S, T, M> {
    #[inline(always)]
    pub(super) fn new(scale: [Vector<S, T>; M]) -> Self {
        let mut tiny = scale;
        tiny.iter_mut().for_each(|t| *t *= -T::TINY);
        Self { scale, tiny }
    }

    /// Responsibilities × weight; exactly 0 where densities are far below the largest.
    #[inline(always)]
    pub(super) fn apply(&self, e: [Vector<S, T>; M]) -> [Vector<S, T>; M] {
        let mut r = e;
        for m in 0..M {
            r[m] = e[m].mul_add(self.scale[m], self.tiny[m]);
        }
        r
    }
}

/// Running sums of log-likelihoods, to base 2.
pub(super) struct Likelihoods<S: Simd> {
    k: usize,
    /// Σ w × largest log density.
    largest: Pair<S>,
    /// Σ w log of the sums, weighted rows.
    logs: Pair<S>,
    /// Products of the sums of rows of weight 1, and the powers of two that were taken out of them.
    products: Pair<S>,
    exponents: f64,
    /// How many panels the products may still take before they leave f64.
    room: usize,
    capacity: usize,
}

impl<S: Simd> Likelihoods<S> {
    /// For K components and panels of `vectors` vectors.
    #[inline(always)]
    pub(super) fn new(simd: S, k: usize, vectors: usize) -> Self {
        let (zero, one) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, 1.0));
        // A sum is at most K (1 + tiny), so a panel's product of them at most 2^bits.
        let bits = vectors * (usize::BITS - k.leading_zeros()) as usize;
        let capacity = (1000 / bits).max(1);
        Self {
            k,
            largest: [zero; 2],
            logs: [zero; 2],
            products: [one; 2],
            exponents: 0.0,
            room: capacity,
            capacity,
        }
    }

    /// Adds rows of weight 1.
    #[inline(always)]
    pub(super) fn add<T: Real, const M: usize>(&mut self, densities: &Densities<S, T, M>) {
        let (mut largest, mut product) = (densities.largest[0], densities.sum[0]);
        for m in 1..M {
            largest += densities.largest[m];
            product *= densities.sum[m];
        }
        T::add_to(largest, &mut self.largest);
        T::multiply_to(product, &mut self.products);
        self.room -= 1;
        if self.room == 0 {
            self.room = self.capacity;
            self.take_exponents();
        }
    }

    /// Adds weighted rows, whose sums have the reciprocals `inverses`.
    #[inline(always)]
    pub(super) fn add_weighted<T: Real, const M: usize>(
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
        T::add_to(largest, &mut self.largest);
        T::add_to(logs, &mut self.logs);
    }

    #[inline(always)]
    fn take_exponents(&mut self) {
        for product in &mut self.products {
            for product in product.as_mut_slice() {
                let (exponent, mantissa) = split(*product);
                self.exponents += exponent;
                *product = mantissa;
            }
        }
    }

    /// Σ w (log density) less the reference, and Σ w log of the largest responsibility, nats. Weights are in `unit`.
    #[inline(always)]
    pub(super) fn finish(mut self, unit: f64) -> (f64, f64) {
        self.take_exponents();
        let sum =
            |pair: &Pair<S>| -> f64 { pair.iter().map(|v| v.as_slice().iter().sum::<f64>()).sum() };
        let product: f64 = (self.products.iter())
            .map(|v| v.as_slice().iter().product::<f64>())
            .product();
        let logs = unit * sum(&self.logs) + self.exponents + product.log2();
        let largest = unit * sum(&self.largest);
        ((largest + logs) * LN_2, -logs * LN_2)
    }
}
