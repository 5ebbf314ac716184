//! Diagonal factors: whitened coordinates are one multiply-add each, so they are made twice and never stored.

use fearless_simd::prelude::*;

use super::prepared::Prepared;
use super::real::Real;
use super::vectors::{Vector, load, load_all, splat, store, store_all};
use super::whiten::centred;

/// Features whose sums are kept in registers while all panels go by.
const FEATURES: usize = 8;

/// Sums of squares of the whitened coordinates of component `k` for all panels of `x`.
#[inline(always)]
pub(super) fn squares<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    k: usize,
    x: &[T],
    squares: &mut [T],
) {
    if model.centred {
        squares_of::<S, T, M, true>(simd, model, k, x, squares);
    } else {
        squares_of::<S, T, M, false>(simd, model, k, x, squares);
    }
}

#[inline(always)]
fn squares_of<S: Simd, T: Real, const M: usize, const CENTRED: bool>(
    simd: S,
    model: &Prepared<T>,
    k: usize,
    x: &[T],
    squares: &mut [T],
) {
    let width = M * Vector::<S, T>::LEN;
    let (u, bias, mean) = (model.factor(k), model.bias(k), model.mean(k));
    let panels = x
        .chunks_exact(model.d * width)
        .zip(squares.chunks_exact_mut(width));
    for (x, squares) in panels {
        let mut total = [splat::<S, T>(simd, T::from_f64(0.0)); M];
        for (x, (u, (bias, mean))) in x
            .chunks_exact(width)
            .zip(u.iter().zip(bias.iter().zip(mean)))
        {
            let x = centred::<S, T, M, CENTRED>(simd, x, *mean);
            let (u, bias) = (splat::<S, T>(simd, *u), splat::<S, T>(simd, *bias));
            for m in 0..M {
                let y = x[m].mul_add(u, bias);
                total[m] = y.mul_add(y, total[m]);
            }
        }
        store_all::<S, T, M>(total, squares);
    }
}

/// Adds Σ r y to `s1` and Σ r y² to `s2`, D vectors each.
#[inline(always)]
pub(super) fn accumulate<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    k: usize,
    x: &[T],
    r: &[T],
    s1: &mut [T],
    s2: &mut [T],
) {
    let mut start = 0;
    while start < model.d {
        let features = FEATURES.min(model.d - start);
        macro_rules! features {
            ($($f:literal)*) => {
                match features {
                    $($f if model.centred => {
                        moments::<S, T, $f, M, true>(simd, model, k, start, x, r, s1, s2)
                    }
                    $f => moments::<S, T, $f, M, false>(simd, model, k, start, x, r, s1, s2),)*
                    _ => unreachable!("at most {FEATURES} features at once"),
                }
            };
        }
        features!(1 2 3 4 5 6 7 8);
        start += features;
    }
}

#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "one tile of one loop nest")]
fn moments<S: Simd, T: Real, const F: usize, const M: usize, const CENTRED: bool>(
    simd: S,
    model: &Prepared<T>,
    k: usize,
    start: usize,
    x: &[T],
    r: &[T],
    s1: &mut [T],
    s2: &mut [T],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let width = M * Vector::<S, T>::LEN;
            let zero = splat::<S, T>(simd, T::from_f64(0.0));
            let (mut first, mut second) = ([zero; F], [zero; F]);
            let u = &model.factor(k)[start..start + F];
            let bias = &model.bias(k)[start..start + F];
            let mean = &model.mean(k)[start..start + F];
            for (x, r) in x.chunks_exact(model.d * width).zip(r.chunks_exact(width)) {
                let x = &x[start * width..(start + F) * width];
                let r = load_all::<S, T, M>(simd, r);
                for f in 0..F {
                    let x =
                        centred::<S, T, M, CENTRED>(simd, &x[f * width..(f + 1) * width], mean[f]);
                    let (u, bias) = (splat::<S, T>(simd, u[f]), splat::<S, T>(simd, bias[f]));
                    for m in 0..M {
                        let y = x[m].mul_add(u, bias);
                        let t = r[m] * y;
                        first[f] += t;
                        second[f] = t.mul_add(y, second[f]);
                    }
                }
            }
            for f in 0..F {
                let at = start + f;
                store::<S, T>(load::<S, T>(simd, s1, at) + first[f], s1, at);
                store::<S, T>(load::<S, T>(simd, s2, at) + second[f], s2, at);
            }
        },
    );
}
