//! Tied covariances: one factor whitens each row once, z = U x, and each component's coordinates are y = z + b. Where the
//! means allow it moments are summed of z.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::gram::{BLOCK, Gram, Moments, blocks, responsibilities};
use super::lane_sums::LaneSums;
use super::plan::TILE_ROWS;
use super::prepared::Prepared;
use super::products::Products;
use super::real::Real;
use super::scratch::Scratch;
use super::vectors::{Vector, load_all, splat, store_all};
use crate::backend::Statistics;

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

/// Adds the moments of `count` rows whose relative densities and scales are known: S0 and Σ r z of each component, and Σ w z zᵀ
/// once for all, since a row's responsibilities add up to its weight.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop nest")]
pub(super) fn add_sums<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    weights: Option<&[T]>,
    count: usize,
    unit: f64,
    scratch: &mut Scratch<T>,
    lane_sums: &mut LaneSums<T>,
    sums: &mut Statistics,
) {
    let (d, k, lanes) = (model.d, model.k, Vector::<S, T>::LEN);
    let width = M * lanes;
    add_totals::<S, T, M>(simd, d, weights, count, scratch, lane_sums);
    let q = scratch.q.first_mut(k * count);
    let scale = scratch.scale.first_mut(count);
    for start in (0..k).step_by(lane_sums.slots) {
        let components = start..k.min(start + lane_sums.slots);
        scratch.plain.clear();
        for component in components.clone() {
            let (first, _) = lane_sums.of(component);
            let (densities, s0) = (&mut q[component * width..], &mut first[..lanes]);
            if responsibilities::<S, T, M>(simd, densities, k * width, scale, s0) {
                scratch.plain.push(component);
            }
        }
        let z = scratch.z.part(0..count * d);
        let products = Products { d, k, x: z, r: q };
        products.add::<S, M, false>(simd, &scratch.plain, lane_sums);
        if !lane_sums.kept {
            for component in components {
                lane_sums.flush(simd, model, component, unit, sums);
            }
        }
    }
}

/// Adds Σ w z zᵀ to the second moments.
#[inline(always)]
fn add_totals<S: Simd, T: Real, const M: usize>(
    simd: S,
    d: usize,
    weights: Option<&[T]>,
    count: usize,
    scratch: &mut Scratch<T>,
    lane_sums: &mut LaneSums<T>,
) {
    let width = M * Vector::<S, T>::LEN;
    scratch.squares.reserve(count);
    let all = scratch.squares.first_mut(count);
    match weights {
        None => all.fill(T::from_f64(1.0)),
        Some(weights) => all.copy_from_slice(&weights[..count]),
    }
    // The means of all rows are of no use.
    let unused = d * Vector::<S, T>::LEN;
    scratch.y.reserve(unused);
    let first = scratch.y.first_mut(unused);
    first.fill(T::from_f64(0.0));
    scratch.t.reserve(TILE_ROWS * BLOCK);
    let t = scratch.t.first_mut(TILE_ROWS * BLOCK);
    let (_, second) = lane_sums.of(0);
    let mut moments = Moments {
        first,
        second,
        start: 0,
    };
    let z = scratch.z.part(0..count * d);
    let gram = Gram {
        d,
        r: all,
        stride: width,
        y: z,
    };
    for block in blocks::<S>(d) {
        gram.add::<S, M>(simd, block, t, &mut moments);
    }
}
