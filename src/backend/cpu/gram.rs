//! Weighted second moments Σ r y yᵀ by register tiles: a block of features against another.

use fearless_simd::prelude::*;

use super::level::Registers;
use super::prepared::row_blocks;
use super::real::Real;
use super::vectors::{Vector, load, load_all, splat, store, store_all};
use crate::mixture::triangle;

/// The most features of a block.
pub(super) const MOST_ROWS: usize = 5;

/// Adds Σ r y to `s1` (D vectors) and the triangle of Σ r y yᵀ to `s2` (T vectors). `t` is scratch for the products
/// r y of a block of features.
#[inline(always)]
pub(super) fn gram<S: Simd, T: Real, const M: usize>(
    simd: S,
    d: usize,
    r: &[T],
    y: &[T],
    t: &mut [T],
    s1: &mut [T],
    s2: &mut [T],
) {
    // Sums, and one vector each of a block's factors: C R + C + R + 1 registers.
    let most = if Registers::<S>::ARE_32 { MOST_ROWS } else { 3 };
    for (i, rows) in row_blocks(d, most) {
        macro_rules! diagonal {
            ($($r:literal)*) => {
                match rows {
                    $($r => diagonal_tile::<S, T, $r, M>(simd, d, i, r, y, t, s1, s2),)*
                    _ => unreachable!("blocks have at most {MOST_ROWS} rows"),
                }
            };
        }
        diagonal!(1 2 3 4 5);
        for (j, columns) in row_blocks(d, most).take_while(|(j, _)| *j < i) {
            macro_rules! tile {
                ($($r:literal $c:literal)*) => {
                    match (rows, columns) {
                        $(($r, $c) => tile::<S, T, $r, $c, M>(simd, d, i, j, t, y, s2),)*
                        _ => unreachable!("blocks differ by at most one row"),
                    }
                };
            }
            tile!(1 1 1 2 2 1 2 2 2 3 3 2 3 3 3 4 4 3 4 4 4 5 5 4 5 5);
        }
    }
}

/// Products t = r y of features i to i + R, their sums, and their second moments.
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "one tile of one loop nest")]
fn diagonal_tile<S: Simd, T: Real, const R: usize, const M: usize>(
    simd: S,
    d: usize,
    first: usize,
    r: &[T],
    y: &[T],
    t: &mut [T],
    s1: &mut [T],
    s2: &mut [T],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let width = M * Vector::<S, T>::LEN;
            let zero = splat::<S, T>(simd, T::from_f64(0.0));
            let mut sums = [zero; R];
            let mut moments = [[zero; R]; R];
            let panels = y
                .chunks_exact(d * width)
                .zip(r.chunks_exact(width))
                .zip(t.chunks_exact_mut(R * width));
            for ((y, r), t) in panels {
                let y = &y[first * width..(first + R) * width];
                for m in 0..M {
                    let r = load::<S, T>(simd, r, m);
                    let mut features = [zero; R];
                    for i in 0..R {
                        features[i] = load::<S, T>(simd, &y[i * width..(i + 1) * width], m);
                    }
                    for i in 0..R {
                        let product = r * features[i];
                        store::<S, T>(product, &mut t[i * width..(i + 1) * width], m);
                        sums[i] += product;
                        for j in 0..R {
                            if j <= i {
                                moments[i][j] = product.mul_add(features[j], moments[i][j]);
                            }
                        }
                    }
                }
            }
            for i in 0..R {
                let at = first + i;
                store::<S, T>(load::<S, T>(simd, s1, at) + sums[i], s1, at);
                for j in 0..R {
                    if j <= i {
                        let at = triangle::at(first + i, first + j);
                        store::<S, T>(load::<S, T>(simd, s2, at) + moments[i][j], s2, at);
                    }
                }
            }
        },
    );
}

/// Second moments of R features, as products t = r y from `row` on, with C features from `column` on.
#[inline(never)]
fn tile<S: Simd, T: Real, const R: usize, const C: usize, const M: usize>(
    simd: S,
    d: usize,
    row: usize,
    column: usize,
    t: &[T],
    y: &[T],
    s2: &mut [T],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let width = M * Vector::<S, T>::LEN;
            let zero = splat::<S, T>(simd, T::from_f64(0.0));
            let mut moments = [[zero; C]; R];
            for (y, t) in y.chunks_exact(d * width).zip(t.chunks_exact(R * width)) {
                let y = &y[column * width..(column + C) * width];
                for m in 0..M {
                    let mut features = [zero; C];
                    for j in 0..C {
                        features[j] = load::<S, T>(simd, &y[j * width..(j + 1) * width], m);
                    }
                    for i in 0..R {
                        let product = load::<S, T>(simd, &t[i * width..(i + 1) * width], m);
                        for j in 0..C {
                            moments[i][j] = product.mul_add(features[j], moments[i][j]);
                        }
                    }
                }
            }
            for i in 0..R {
                for j in 0..C {
                    let at = triangle::at(row + i, column + j);
                    store::<S, T>(load::<S, T>(simd, s2, at) + moments[i][j], s2, at);
                }
            }
        },
    );
}

/// One component's responsibilities × weight of all panels: `q` and `scale` into `r`. Adds their sum to `s0` and
/// says whether any is not 0.
#[inline(always)]
pub(super) fn responsibilities<S: Simd, T: Real, const M: usize>(
    simd: S,
    q: &[T],
    stride: usize,
    scale: &[T],
    r: &mut [T],
    s0: &mut [T],
) -> bool {
    let width = M * Vector::<S, T>::LEN;
    let mut sum = splat::<S, T>(simd, T::from_f64(0.0));
    let tiny = splat::<S, T>(simd, -T::TINY);
    let panels = scale
        .chunks_exact(width)
        .zip(r.chunks_exact_mut(width))
        .enumerate();
    for (p, (scale, r)) in panels {
        let scale = load_all::<S, T, M>(simd, scale);
        let mut shares = load_all::<S, T, M>(simd, &q[p * stride..]);
        for m in 0..M {
            shares[m] = shares[m].mul_add(scale[m], scale[m] * tiny);
            sum += shares[m];
        }
        store_all::<S, T, M>(shares, r);
    }
    store::<S, T>(load::<S, T>(simd, s0, 0) + sum, s0, 0);
    sum.simd_gt(splat::<S, T>(simd, T::from_f64(0.0)))
        .any_true()
}
