//! Whitened coordinates y = U x + b by register tiles: a few rows of U against a panel.

use fearless_simd::prelude::*;

use super::prepared::{Prepared, WHITENED_ROWS, row_blocks};
use super::real::Real;
use super::vectors::{Vector, load_all, splat, store_all};

/// Whitened coordinates for all panels of `x` by the factor of component `k`, and the sums of their squares. Coordinates
/// that nobody asks for are not stored.
#[inline(always)]
pub(super) fn whiten<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    k: usize,
    bias: &[T],
    x: &[T],
    mut y: Option<&mut [T]>,
    squares: &mut [T],
) {
    squares.fill(T::from_f64(0.0));
    let mut factor = model.factor(k);
    for (start, rows) in row_blocks(model.d, WHITENED_ROWS) {
        let (u, rest) = factor.split_at(start * rows + rows * (rows + 1) / 2);
        factor = rest;
        let tile = Tile {
            start,
            d: model.d,
            u,
            bias: &bias[start..start + rows],
            mean: model.mean(k),
        };
        macro_rules! rows {
            ($($r:literal)*) => {
                match (rows, y.as_deref_mut()) {
                    $(($r, None) if model.centred => {
                        tile.run::<S, $r, M, true, false>(simd, x, &mut [], squares);
                    }
                    ($r, None) => tile.run::<S, $r, M, false, false>(simd, x, &mut [], squares),
                    ($r, Some(y)) if model.centred => {
                        tile.run::<S, $r, M, true, true>(simd, x, y, squares);
                    }
                    ($r, Some(y)) => tile.run::<S, $r, M, false, true>(simd, x, y, squares),)*
                    _ => unreachable!("blocks have at most {WHITENED_ROWS} rows"),
                }
            };
        }
        rows!(1 2 3 4 5 6);
    }
}

/// Some rows of a factor: from `start` on, column by column.
struct Tile<'a, T> {
    start: usize,
    d: usize,
    u: &'a [T],
    bias: &'a [T],
    mean: &'a [T],
}

impl<T: Real> Tile<'_, T> {
    /// Makes R coordinates of every panel, adds their squares, and writes them if they are to be stored.
    #[inline(never)]
    fn run<S: Simd, const R: usize, const M: usize, const CENTRED: bool, const STORED: bool>(
        &self,
        simd: S,
        x: &[T],
        y: &mut [T],
        squares: &mut [T],
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let width = M * Vector::<S, T>::LEN;
                let (columns, triangle) = self.u.split_at(self.start * R);
                let mut bias = [splat::<S, T>(simd, T::from_f64(0.0)); R];
                for i in 0..R {
                    bias[i] = splat(simd, self.bias[i]);
                }
                // By index: iterators over three slices are not always inlined, and one is made for every tile.
                let size = self.d * width;
                for p in 0..x.len() / size {
                    let x = &x[p * size..(p + 1) * size];
                    let squares = &mut squares[p * width..(p + 1) * width];
                    let mut sums = [[bias[0]; M]; R];
                    for i in 0..R {
                        sums[i] = [bias[i]; M];
                    }
                    let terms = columns
                        .chunks_exact(R)
                        .zip(x.chunks_exact(width).zip(self.mean));
                    for (u, (x, mean)) in terms {
                        let x = centred::<S, T, M, CENTRED>(simd, x, *mean);
                        for i in 0..R {
                            let u = splat::<S, T>(simd, u[i]);
                            for m in 0..M {
                                sums[i][m] = x[m].mul_add(u, sums[i][m]);
                            }
                        }
                    }
                    let x = &x[self.start * width..(self.start + R) * width];
                    let mean = &self.mean[self.start..self.start + R];
                    let triangle = &triangle[..R * (R + 1) / 2];
                    for j in 0..R {
                        let x = centred::<S, T, M, CENTRED>(simd, &x[j * width..], mean[j]);
                        for i in 0..R {
                            if i >= j {
                                // Columns before j hold R, R − 1, … numbers.
                                let at = j * R - j * j.saturating_sub(1) / 2 + i - j;
                                let u = splat::<S, T>(simd, triangle[at]);
                                for m in 0..M {
                                    sums[i][m] = x[m].mul_add(u, sums[i][m]);
                                }
                            }
                        }
                    }
                    let mut total = load_all::<S, T, M>(simd, squares);
                    for sums in &sums {
                        for m in 0..M {
                            total[m] = sums[m].mul_add(sums[m], total[m]);
                        }
                    }
                    if STORED {
                        let at = p * size + self.start * width;
                        let y = &mut y[at..at + R * width];
                        for (sums, y) in sums.iter().zip(y.chunks_exact_mut(width)) {
                            store_all::<S, T, M>(*sums, y);
                        }
                    }
                    store_all::<S, T, M>(total, squares);
                }
            },
        );
    }
}

#[inline(always)]
pub(super) fn centred<S: Simd, T: Real, const M: usize, const CENTRED: bool>(
    simd: S,
    x: &[T],
    mean: T,
) -> [Vector<S, T>; M] {
    let mut x = load_all::<S, T, M>(simd, x);
    if CENTRED {
        let mean = splat::<S, T>(simd, mean);
        x.iter_mut().for_each(|x| *x -= mean);
    }
    x
}
