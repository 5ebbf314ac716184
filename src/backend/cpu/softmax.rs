//! From log densities to responsibilities, a panel of rows at a time.

use fearless_simd::prelude::*;

use super::real::Real;
use super::vectors::{Vector, load_all, splat, store_all};

/// Of some rows: the largest log density, to base 2 in steps ([`Real::STEPS`]), and the sum of densities relative to it.
pub(super) struct Densities<S: Simd, T: Real, const M: usize> {
    pub(super) largest: [Vector<S, T>; M],
    pub(super) sum: [Vector<S, T>; M],
}

/// Turns log densities to base 2 in steps, `q[component][row]`, into densities relative to the row's largest.
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
