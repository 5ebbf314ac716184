//! Tied covariances: one factor whitens each row once, z = U x, and each component's coordinates are y = z + b.

use fearless_simd::prelude::*;

use super::real::Real;
use super::vectors::{Vector, load_all, splat, store_all};

/// Sums of squares of a component's coordinates for all panels of `z`.
#[inline(always)]
pub(super) fn squares<S: Simd, T: Real, const M: usize>(
    simd: S,
    bias: &[T],
    z: &[T],
    squares: &mut [T],
) {
    let (d, width) = (bias.len(), M * Vector::<S, T>::LEN);
    for p in 0..squares.len() / width {
        let z = &z[p * d * width..(p + 1) * d * width];
        let squares = &mut squares[p * width..(p + 1) * width];
        let mut total = [splat::<S, T>(simd, T::from_f64(0.0)); M];
        for j in 0..d {
            let z = load_all::<S, T, M>(simd, &z[j * width..(j + 1) * width]);
            let bias = splat::<S, T>(simd, bias[j]);
            for m in 0..M {
                let y = z[m] + bias;
                total[m] = y.mul_add(y, total[m]);
            }
        }
        store_all::<S, T, M>(total, squares);
    }
}

/// A component's coordinates.
#[inline(always)]
pub(super) fn coordinates<S: Simd, T: Real, const M: usize>(
    simd: S,
    bias: &[T],
    z: &[T],
    y: &mut [T],
) {
    let (d, width) = (bias.len(), M * Vector::<S, T>::LEN);
    for p in 0..z.len() / (d * width) {
        for j in 0..d {
            let row = (p * d + j) * width..(p * d + j + 1) * width;
            let mut shifted = load_all::<S, T, M>(simd, &z[row.clone()]);
            let bias = splat::<S, T>(simd, bias[j]);
            shifted.iter_mut().for_each(|z| *z += bias);
            store_all::<S, T, M>(shifted, &mut y[row]);
        }
    }
}
