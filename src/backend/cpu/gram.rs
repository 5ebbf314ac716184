//! Weighted second moments Σ r y yᵀ by register tiles: a block of features against another.

use fearless_simd::prelude::*;

use super::level::Registers;
use super::prepared::row_blocks;
use super::real::Real;
use super::vectors::{Vector, load, load_all, splat, store, store_all};
use crate::mixture::triangle;

/// The most features of a block.
pub(super) const BLOCK: usize = 5;

/// One component's responsibilities × weight and coordinates, or rows as they are, of D features and all panels. Responsibilities of panel p
/// begin at `p * stride`.
///
/// Tiles take it and the sums by reference: what a call hands over by the stack stalls its first loads.
pub(super) struct Gram<'a, T> {
    pub(super) d: usize,
    pub(super) r: &'a [T],
    pub(super) stride: usize,
    pub(super) y: &'a [T],
}

/// Where a component's sums go.
pub(super) struct Moments<'a, T> {
    /// Σ r y, D vectors.
    pub(super) first: &'a mut [T],
    /// The triangle of Σ r y yᵀ from number `start` on.
    pub(super) second: &'a mut [T],
    pub(super) start: usize,
}

/// Features that are worked at once: first and number of each block. There are the sums, one vector each of a block's
/// columns and one product r y: C R + C + 1 registers.
#[inline(always)]
pub(super) fn blocks<S: Simd>(d: usize) -> impl Iterator<Item = (usize, usize)> {
    row_blocks(d, if Registers::<S>::ARE_32 { BLOCK } else { 3 })
}

impl<T: Real> Gram<'_, T> {
    /// Adds the moments of the features of a block with these and all before. `t` is scratch for their products r y.
    #[inline(always)]
    pub(super) fn add<S: Simd, const M: usize>(
        &self,
        simd: S,
        (first, rows): (usize, usize),
        t: &mut [T],
        moments: &mut Moments<'_, T>,
    ) {
        macro_rules! diagonal {
            ($($r:literal)*) => {
                match rows {
                    $($r => self.diagonal_tile::<S, $r, M>(simd, first, t, moments),)*
                    _ => unreachable!("blocks have at most {BLOCK} rows"),
                }
            };
        }
        diagonal!(1 2 3 4 5);
        for (column, columns) in blocks::<S>(self.d).take_while(|(column, _)| *column < first) {
            macro_rules! tile {
                ($($r:literal $c:literal)*) => {
                    match (rows, columns) {
                        $(($r, $c) => self.tile::<S, $r, $c, M>(simd, first, column, t, moments),)*
                        _ => unreachable!("blocks differ by at most one row"),
                    }
                };
            }
            tile!(1 1 1 2 2 1 2 2 2 3 3 2 3 3 3 4 4 3 4 4 4 5 5 4 5 5);
        }
    }

    /// Products t = r y of R features, their sums, and their second moments.
    #[inline(never)]
    fn diagonal_tile<S: Simd, const R: usize, const M: usize>(
        &self,
        simd: S,
        first: usize,
        t: &mut [T],
        moments: &mut Moments<'_, T>,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let lanes = Vector::<S, T>::LEN;
                let (d, width) = (self.d, M * lanes);
                let zero = splat::<S, T>(simd, T::from_f64(0.0));
                let mut sums = [zero; R];
                let mut squares = [[zero; R]; R];
                // By index: iterators over three slices are not always inlined, and one is made for every tile.
                for p in 0..self.y.len() / (d * width) {
                    let r = &self.r[p * self.stride..p * self.stride + width];
                    let t = &mut t[p * R * width..(p + 1) * R * width];
                    let y = &self.y[(p * d + first) * width..(p * d + first + R) * width];
                    for m in 0..M {
                        let r = load::<S, T>(simd, r, m);
                        let mut features = [zero; R];
                        for i in 0..R {
                            features[i] = load::<S, T>(simd, &y[i * width..(i + 1) * width], m);
                        }
                        for i in 0..R {
                            let product = r * features[i];
                            store::<S, T>(product, t, m * R + i);
                            sums[i] += product;
                            for j in 0..R {
                                if j <= i {
                                    squares[i][j] = product.mul_add(features[j], squares[i][j]);
                                }
                            }
                        }
                    }
                }
                for i in 0..R {
                    add::<S, T>(simd, sums[i], moments.first, first + i);
                    let at = triangle::at(first + i, first) - moments.start;
                    let to = &mut moments.second[at * lanes..(at + i + 1) * lanes];
                    for j in 0..R {
                        if j <= i {
                            add::<S, T>(simd, squares[i][j], to, j);
                        }
                    }
                }
            },
        );
    }

    /// Second moments of R features, as products t = r y from `row` on, with C features from `column` on.
    #[inline(never)]
    fn tile<S: Simd, const R: usize, const C: usize, const M: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        t: &[T],
        moments: &mut Moments<'_, T>,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let lanes = Vector::<S, T>::LEN;
                let (d, width) = (self.d, M * lanes);
                let zero = splat::<S, T>(simd, T::from_f64(0.0));
                let mut products = [[zero; C]; R];
                // Vector by vector: of a panel's loads unrolled some would be done too early, and sums spilled for them.
                for v in 0..self.y.len() / (d * lanes) {
                    let t = &t[v * R * lanes..(v + 1) * R * lanes];
                    let at = (v / M * d + column) * width + v % M * lanes;
                    let y = &self.y[at..at + (C - 1) * width + lanes];
                    let mut features = [zero; C];
                    for j in 0..C {
                        features[j] = load::<S, T>(simd, &y[j * width..j * width + lanes], 0);
                    }
                    for i in 0..R {
                        let t = load::<S, T>(simd, t, i);
                        for j in 0..C {
                            products[i][j] = t.mul_add(features[j], products[i][j]);
                        }
                    }
                }
                for i in 0..R {
                    // Checked once a row: with more the loop would not unroll, and sums would stand in memory.
                    let at = triangle::at(row + i, column) - moments.start;
                    let to = &mut moments.second[at * lanes..(at + C) * lanes];
                    for j in 0..C {
                        add::<S, T>(simd, products[i][j], to, j);
                    }
                }
            },
        );
    }
}

/// Adds to vector `at` of a slice.
#[inline(always)]
pub(super) fn add<S: Simd, T: Real>(simd: S, vector: Vector<S, T>, to: &mut [T], at: usize) {
    store::<S, T>(load::<S, T>(simd, to, at) + vector, to, at);
}

/// One component's relative densities of all panels become its responsibilities × weight; those of panel p begin at
/// `p * stride`. Adds their sum to `s0` and says whether any is not 0.
#[inline(always)]
pub(super) fn responsibilities<S: Simd, T: Real, const M: usize>(
    simd: S,
    densities: &mut [T],
    stride: usize,
    scale: &[T],
    s0: &mut [T],
) -> bool {
    let width = M * Vector::<S, T>::LEN;
    let mut sum = splat::<S, T>(simd, T::from_f64(0.0));
    let tiny = splat::<S, T>(simd, -T::TINY);
    for (p, scale) in scale.chunks_exact(width).enumerate() {
        let shares = &mut densities[p * stride..p * stride + width];
        let scale = load_all::<S, T, M>(simd, scale);
        let mut r = load_all::<S, T, M>(simd, shares);
        for m in 0..M {
            r[m] = r[m].mul_add(scale[m], scale[m] * tiny);
            sum += r[m];
        }
        store_all::<S, T, M>(r, shares);
    }
    store::<S, T>(load::<S, T>(simd, s0, 0) + sum, s0, 0);
    sum.simd_gt(splat::<S, T>(simd, T::from_f64(0.0)))
        .any_true()
}
