//! Tied covariances: one factor whitens each row once, z = U x, and each component's coordinates are y = z + b.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::prepared::Prepared;
use super::real::Real;
use super::vectors::{Vector, load_all, splat, store_all};

/// Sums of squares of the coordinates of up to [`COMPONENTS`](super::diagonal::COMPONENTS) components for all panels of
/// `z`, one component's after the other.
#[inline(always)]
pub(super) fn squares<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    components: Range<usize>,
    z: &[T],
    squares: &mut [T],
) {
    macro_rules! components {
        ($($c:literal)*) => {
            match components.len() {
                $($c => squares_of::<S, T, $c, M>(simd, model, components.start, z, squares),)*
                _ => unreachable!("as many components as diagonal factors have at once"),
            }
        };
    }
    components!(1 2 3 4);
}

#[inline(always)]
fn squares_of<S: Simd, T: Real, const C: usize, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    start: usize,
    z: &[T],
    squares: &mut [T],
) {
    let (d, width) = (model.d, M * Vector::<S, T>::LEN);
    let rows = z.len() / d;
    let zero = splat::<S, T>(simd, T::from_f64(0.0));
    let mut bias = [&[][..]; C];
    for c in 0..C {
        bias[c] = &model.bias(start + c)[..d];
    }
    for (p, z) in z.chunks_exact(d * width).enumerate() {
        let mut total = [[zero; M]; C];
        for (j, z) in z.chunks_exact(width).enumerate() {
            let z = load_all::<S, T, M>(simd, z);
            for c in 0..C {
                let bias = splat::<S, T>(simd, bias[c][j]);
                for m in 0..M {
                    let y = z[m] + bias;
                    total[c][m] = y.mul_add(y, total[c][m]);
                }
            }
        }
        for c in 0..C {
            store_all::<S, T, M>(total[c], &mut squares[c * rows + p * width..]);
        }
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
    let width = M * Vector::<S, T>::LEN;
    let panels = z
        .chunks_exact(bias.len() * width)
        .zip(y.chunks_exact_mut(bias.len() * width));
    for (z, y) in panels {
        let rows = z.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((z, y), bias) in rows.zip(bias) {
            let mut shifted = load_all::<S, T, M>(simd, z);
            let bias = splat::<S, T>(simd, *bias);
            shifted.iter_mut().for_each(|z| *z += bias);
            store_all::<S, T, M>(shifted, y);
        }
    }
}
