//! Vector loops for what stands outside the kernels.

use fearless_simd::{Level, prelude::*};

use super::level::{Registers, on_level};
use super::real::Real;
use super::vectors::{MOST_LANES, lane_sums, load, splat, store};

/// Columns that [`add_products`] works at once: their number is a multiple of it.
pub(crate) const COLUMNS: usize = 4;

/// eˣ of numbers of at most 0; of those below −88 as of −88. As many as a multiple of 8.
pub(crate) fn exponentials(values: &mut [f64]) {
    on_level!(Level::new(), simd => exponentials_of(simd, values));
}

#[inline(always)]
fn exponentials_of<S: Simd>(simd: S, values: &mut [f64]) {
    for values in values.chunks_exact_mut(S::f64s::LEN) {
        let x =
            S::f64s::from_slice(simd, values) * (std::f64::consts::LOG2_E * <f64 as Real>::STEPS);
        <f64 as Real>::exp2(simd, [[x]])[0][0].store_slice(values);
    }
}

/// Adds the products of columns with each other, `columns[column][row]`, to the lower triangle of `sums`, a matrix of
/// order `p` by columns. Columns beyond the p-th make [`COLUMNS`] whole; rows are a multiple of 8.
pub(crate) fn add_products(columns: &[f64], rows: usize, p: usize, sums: &mut [f64]) {
    on_level!(Level::new(), simd => add_products_of(simd, columns, rows, p, sums));
}

#[inline(always)]
fn add_products_of<S: Simd>(simd: S, columns: &[f64], rows: usize, p: usize, sums: &mut [f64]) {
    if Registers::<S>::ARE_32 {
        by_tiles::<S, COLUMNS>(simd, columns, rows, p, sums);
    } else {
        by_tiles::<S, 2>(simd, columns, rows, p, sums);
    }
}

#[inline(always)]
fn by_tiles<S: Simd, const T: usize>(
    simd: S,
    columns: &[f64],
    rows: usize,
    p: usize,
    sums: &mut [f64],
) {
    let lanes = S::f64s::LEN;
    for i in (0..p).step_by(T) {
        for j in (0..=i).step_by(T) {
            let tile = tile::<S, T>(
                simd,
                &columns[i * rows..(i + T) * rows],
                &columns[j * rows..(j + T) * rows],
                rows,
            );
            for (group, vectors) in tile
                .chunks_exact(lanes * lanes)
                .take(T * T / lanes)
                .enumerate()
            {
                let totals = lane_sums::<S, f64>(simd, vectors);
                for (lane, total) in totals.as_slice().iter().enumerate() {
                    let at = group * lanes + lane;
                    let (row, column) = (i + at / T, j + at % T);
                    if column <= row && row < p {
                        sums[column * p + row] += total;
                    }
                }
            }
        }
    }
}

/// The products of T columns with T others, each a vector whose lanes are still to be added.
#[inline(always)]
fn tile<S: Simd, const T: usize>(
    simd: S,
    left: &[f64],
    right: &[f64],
    rows: usize,
) -> [f64; COLUMNS * COLUMNS * MOST_LANES] {
    let zero = splat::<S, f64>(simd, 0.0);
    let mut products = [[zero; T]; T];
    for n in 0..rows / S::f64s::LEN {
        let mut factors = [zero; T];
        for c in 0..T {
            factors[c] = load::<S, f64>(simd, &right[c * rows..(c + 1) * rows], n);
        }
        for r in 0..T {
            let factor = load::<S, f64>(simd, &left[r * rows..(r + 1) * rows], n);
            for c in 0..T {
                products[r][c] = factor.mul_add(factors[c], products[r][c]);
            }
        }
    }
    let mut vectors = [0.0; COLUMNS * COLUMNS * MOST_LANES];
    for r in 0..T {
        for c in 0..T {
            store::<S, f64>(products[r][c], &mut vectors, r * T + c);
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::super::level;
    use super::*;

    #[test]
    fn exponentials_are_right_to_rounding() {
        for level in level::all() {
            let exact: Vec<f64> = (0..=8_007).map(|i| -0.01 * f64::from(i)).collect();
            let mut found = exact.clone();
            on_level!(level, simd => exponentials_of(simd, &mut found));
            for (x, found) in exact.iter().zip(&found) {
                // The rounding of x log₂ e, up to half an ulp of 2⁷, and an ulp of 2ˣ.
                let tolerance = 2f64.powi(-46) + 2.0 * f64::EPSILON;
                assert!((found / x.exp() - 1.0).abs() <= tolerance, "{x}: {found}");
            }
            let mut far = [
                -1e3,
                -1e300,
                f64::NEG_INFINITY,
                -100.0,
                -90.0,
                -1e9,
                -0.0,
                0.0,
            ];
            on_level!(level, simd => exponentials_of(simd, &mut far));
            assert!(far[..6].iter().all(|x| *x == f64::TINY));
            assert_eq!(far[6..], [1.0, 1.0]);
        }
    }

    #[test]
    fn products_of_columns_are_those_of_plain_loops() {
        let rows = 24;
        for level in level::all() {
            for p in 1..=9_usize {
                // Whole numbers, whose sums are exact.
                let value = |i: usize| ((i * 37 + 11) % 19) as f64 - 9.0;
                let columns: Vec<f64> =
                    (0..p.next_multiple_of(COLUMNS) * rows).map(value).collect();
                let mut sums = vec![1.0; p * p];
                on_level!(level, simd => add_products_of(simd, &columns, rows, p, &mut sums));
                for row in 0..p {
                    for column in 0..p {
                        let exact = |n| columns[row * rows + n] * columns[column * rows + n];
                        let exact = if column <= row {
                            1.0 + (0..rows).map(exact).sum::<f64>()
                        } else {
                            1.0
                        };
                        assert_eq!(sums[column * p + row], exact, "{row} {column} of {p}");
                    }
                }
            }
        }
    }
}
