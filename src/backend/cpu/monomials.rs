//! Sums of rows as they are in the fused shape ([`super::moments`]): products of features are made once a panel, and each
//! sum of each component is one of r times a feature or a product.

use fearless_simd::prelude::*;

use super::lane_sums::LaneSums;
use super::prepared::Prepared;
use super::real::Real;
use super::softmax::Scale;
use super::vectors::{Vector, load, load_all, splat, store};

/// M vectors of rows: features begin `panel` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Features<'a, T> {
    pub(super) x: &'a [T],
    pub(super) panel: usize,
}

impl<T: Real> Features<'_, T> {
    #[inline(always)]
    fn load<S: Simd, const M: usize>(&self, simd: S, feature: usize) -> [Vector<S, T>; M] {
        load_all(simd, &self.x[feature * self.panel..])
    }

    /// Writes the products of all pairs of D features, a triangle by rows.
    #[inline(always)]
    pub(super) fn multiply<S: Simd, const D: usize, const M: usize>(
        &self,
        simd: S,
        products: &mut [T],
    ) {
        let width = M * Vector::<S, T>::LEN;
        let products = &mut products[..D * (D + 1) / 2 * width];
        for m in 0..M {
            let mut features = [splat::<S, T>(simd, T::from_f64(0.0)); D];
            for i in 0..D {
                let feature = &self.x[i * self.panel..i * self.panel + width];
                features[i] = load::<S, T>(simd, feature, m);
            }
            for i in 0..D {
                for j in 0..=i {
                    let at = i * (i + 1) / 2 + j;
                    store::<S, T>(features[i] * features[j], products, at * M + m);
                }
            }
        }
    }
}

/// Adds the moments of M vectors of rows, whose relative densities are `q`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "what a panel consists of")]
pub(super) fn add<S: Simd, T: Real, const D: usize, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    features: Features<'_, T>,
    products: &[T],
    scale: &Scale<S, T, M>,
    weights: Option<&[T]>,
    q: &[T],
    lane_sums: &mut LaneSums<T>,
) {
    let lanes = Vector::<S, T>::LEN;
    let k = model.k;
    let (first, second) = ((1 + D) * lanes, D * (D + 1) / 2 * lanes);
    let (firsts, seconds) = lane_sums.all();
    // Two components at a time share what is loaded.
    let mut pairs = q[..k * M * lanes].chunks_exact(2 * M * lanes);
    let mut firsts = firsts[..k * first].chunks_exact_mut(2 * first);
    if model.second_moments_are_pooled() {
        add_totals::<S, T, M>(simd, weights, products, &mut seconds[..second]);
        for (q, first) in (&mut pairs).zip(&mut firsts) {
            add_some::<S, T, 2, D, M>(simd, features, products, scale, q, first, None);
        }
        let (q, first) = (pairs.remainder(), firsts.into_remainder());
        if !q.is_empty() {
            add_some::<S, T, 1, D, M>(simd, features, products, scale, q, first, None);
        }
    } else {
        let mut seconds = seconds[..k * second].chunks_exact_mut(2 * second);
        for (q, (first, second)) in (&mut pairs).zip((&mut firsts).zip(&mut seconds)) {
            add_some::<S, T, 2, D, M>(simd, features, products, scale, q, first, Some(second));
        }
        let (q, first) = (pairs.remainder(), firsts.into_remainder());
        if !q.is_empty() {
            let second = seconds.into_remainder();
            add_some::<S, T, 1, D, M>(simd, features, products, scale, q, first, Some(second));
        }
    }
}

/// Adds Σ w x xᵀ: a row's responsibilities add up to its weight.
#[inline(always)]
fn add_totals<S: Simd, T: Real, const M: usize>(
    simd: S,
    weights: Option<&[T]>,
    products: &[T],
    second: &mut [T],
) {
    let weights = match weights {
        None => [splat::<S, T>(simd, T::from_f64(1.0)); M],
        Some(weights) => load_all(simd, weights),
    };
    let products = products.chunks_exact(M * Vector::<S, T>::LEN);
    for (at, product) in products.enumerate() {
        multiply_add::<S, T, M>(simd, &weights, &load_all(simd, product), second, at);
    }
}

/// Adds the moments of C components, second moments if there is room for them.
#[inline(always)]
fn add_some<S: Simd, T: Real, const C: usize, const D: usize, const M: usize>(
    simd: S,
    features: Features<'_, T>,
    products: &[T],
    scale: &Scale<S, T, M>,
    q: &[T],
    first: &mut [T],
    second: Option<&mut [T]>,
) {
    let width = M * Vector::<S, T>::LEN;
    let mut r = [scale.apply(load_all::<S, T, M>(simd, q)); C];
    for c in 0..C {
        r[c] = scale.apply(load_all(simd, &q[c * width..]));
        let mut sum = load::<S, T>(simd, first, c * (1 + D));
        r[c].iter().for_each(|r| sum += *r);
        store::<S, T>(sum, first, c * (1 + D));
    }
    for i in 0..D {
        let x = features.load::<S, M>(simd, i);
        for c in 0..C {
            multiply_add::<S, T, M>(simd, &r[c], &x, first, c * (1 + D) + 1 + i);
        }
    }
    if let Some(second) = second {
        for (at, product) in products.chunks_exact(width).enumerate() {
            let product = load_all::<S, T, M>(simd, product);
            for c in 0..C {
                let at = c * (D * (D + 1) / 2) + at;
                multiply_add::<S, T, M>(simd, &r[c], &product, second, at);
            }
        }
    }
}

/// Adds Σ r x to vector `at` of the sums.
#[inline(always)]
fn multiply_add<S: Simd, T: Real, const M: usize>(
    simd: S,
    r: &[Vector<S, T>; M],
    x: &[Vector<S, T>; M],
    sums: &mut [T],
    at: usize,
) {
    let mut sum = load::<S, T>(simd, sums, at);
    for m in 0..M {
        sum = r[m].mul_add(x[m], sum);
    }
    store::<S, T>(sum, sums, at);
}
