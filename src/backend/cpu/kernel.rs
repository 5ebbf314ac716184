//! The E-step of one chunk of rows: samples in SIMD lanes, one component after the other.
//!
//! Every function here is inlined into one dispatch per strand, so that all of it is compiled for the
//! instruction set at hand.

use fearless_simd::prelude::*;

use super::prepared::Prepared;
use super::real::{Real, Vector};
use super::scratch::{ROWS, Scratch};
use crate::mixture::triangle;

/// Vectors worked at once: enough independent sums to hide the latency of a multiply-add.
const GROUPS: usize = 4;

/// Features whose squares are summed before they are added to the log density.
const SQUARES: usize = 8;

#[inline(always)]
fn load<S: Simd, T: Real>(simd: S, values: &[T], at: usize) -> Vector<S, T> {
    Vector::<S, T>::from_slice(simd, &values[at..at + Vector::<S, T>::LEN])
}

#[inline(always)]
fn store<S: Simd, T: Real>(vector: Vector<S, T>, values: &mut [T], at: usize) {
    vector.store_slice(&mut values[at..at + Vector::<S, T>::LEN]);
}

/// Whitened coordinates y of all components, responsibilities × weight, the largest log density and the sum of
/// the others relative to it, for the chunk in `scratch`.
#[inline(always)]
pub(super) fn evaluate<S: Simd, T: Real>(simd: S, model: &Prepared<T>, scratch: &mut Scratch<T>) {
    for k in 0..model.k {
        whiten(simd, model, k, scratch);
    }
    softmax(simd, model.k, scratch);
}

#[inline(always)]
fn whiten<S: Simd, T: Real>(simd: S, model: &Prepared<T>, k: usize, scratch: &mut Scratch<T>) {
    let (d, lanes) = (model.d, Vector::<S, T>::LEN);
    let half = Vector::<S, T>::splat(simd, T::from_f64(-0.5 * std::f64::consts::LOG2_E));
    let factor = &model.factors[k * triangle::packed_len(d)..(k + 1) * triangle::packed_len(d)];
    for j in 0..d {
        let mean = Vector::<S, T>::splat(simd, model.means[k * d + j]);
        for at in (j * ROWS..(j + 1) * ROWS).step_by(lanes) {
            store::<S, T>(
                load::<S, T>(simd, &scratch.x, at) - mean,
                &mut scratch.centred,
                at,
            );
        }
    }
    let y = &mut scratch.y[k * d * ROWS..(k + 1) * d * ROWS];
    let q = &mut scratch.q[k * ROWS..(k + 1) * ROWS];
    q.fill(model.log_constants[k]);
    // Squares of a few features are added up before they meet q, which may be far larger: in single precision
    // each addition to it rounds by its size.
    for features in (0..d).step_by(SQUARES) {
        let features = features..d.min(features + SQUARES);
        for at in (0..ROWS).step_by(GROUPS * lanes) {
            let mut squares = [Vector::<S, T>::splat(simd, T::from_f64(0.0)); GROUPS];
            for i in features.clone() {
                let first = if model.is_diagonal() { i } else { 0 };
                let row = &factor[triangle::at(i, first)..=triangle::at(i, i)];
                let mut sums = [Vector::<S, T>::splat(simd, -model.remainders[k * d + i]); GROUPS];
                for (u, x) in row
                    .iter()
                    .zip(scratch.centred[first * ROWS..].chunks_exact(ROWS))
                {
                    let u = Vector::<S, T>::splat(simd, *u);
                    let x = &x[at..at + GROUPS * lanes];
                    for (sum, x) in sums.iter_mut().zip(x.chunks_exact(lanes)) {
                        *sum = Vector::<S, T>::from_slice(simd, x).mul_add(u, *sum);
                    }
                }
                for (group, sum) in sums.into_iter().enumerate() {
                    store::<S, T>(sum, y, i * ROWS + at + group * lanes);
                    squares[group] = sum.mul_add(sum, squares[group]);
                }
            }
            for (group, squares) in squares.into_iter().enumerate() {
                let here = at + group * lanes;
                let before = load::<S, T>(simd, q, here);
                store::<S, T>(squares.mul_add(half, before), q, here);
            }
        }
    }
}

#[inline(always)]
fn softmax<S: Simd, T: Real>(simd: S, k: usize, scratch: &mut Scratch<T>) {
    let lanes = Vector::<S, T>::LEN;
    let q = &mut scratch.q[..k * ROWS];
    // Squares that left the type's range must not become differences of infinities.
    let lowest = Vector::<S, T>::splat(simd, T::from_f64(-2e30));
    for at in (0..ROWS).step_by(lanes) {
        let mut largest = lowest;
        for row in q.chunks_exact(ROWS) {
            largest = largest.max(load::<S, T>(simd, row, at));
        }
        let mut sum = Vector::<S, T>::splat(simd, T::from_f64(0.0));
        for row in q.chunks_exact_mut(ROWS) {
            let e = T::exp2(simd, load::<S, T>(simd, row, at).max(lowest) - largest);
            sum += e;
            store::<S, T>(e, row, at);
        }
        let scale = load::<S, T>(simd, &scratch.weights, at) / sum;
        for row in q.chunks_exact_mut(ROWS) {
            store::<S, T>(load::<S, T>(simd, row, at) * scale, row, at);
        }
        store::<S, T>(largest, &mut scratch.largest, at);
        store::<S, T>(sum, &mut scratch.sum, at);
    }
}

/// Adds component `k`'s S0, S1 and S2 of the chunk to its lane sums: [1 + D + second moments] vectors.
#[inline(always)]
pub(super) fn accumulate<S: Simd, T: Real>(
    simd: S,
    model: &Prepared<T>,
    k: usize,
    scratch: &mut Scratch<T>,
    lane_sums: &mut [T],
) {
    let (d, lanes) = (model.d, Vector::<S, T>::LEN);
    let zero = Vector::<S, T>::splat(simd, T::from_f64(0.0));
    let sums = lane_sums;
    let r = &scratch.q[k * ROWS..(k + 1) * ROWS];
    let y = &scratch.y[k * d * ROWS..(k + 1) * d * ROWS];
    let mut s0 = zero;
    for at in (0..ROWS).step_by(lanes) {
        s0 += load::<S, T>(simd, r, at);
    }
    store::<S, T>(load::<S, T>(simd, sums, 0) + s0, sums, 0);
    for i in 0..d {
        let mut s1 = zero;
        for at in (0..ROWS).step_by(lanes) {
            let t = load::<S, T>(simd, r, at) * load::<S, T>(simd, y, i * ROWS + at);
            s1 += t;
            store::<S, T>(t, &mut scratch.t, at);
        }
        let at = (1 + i) * lanes;
        store::<S, T>(load::<S, T>(simd, sums, at) + s1, sums, at);
        let second = (1 + d) * lanes;
        if model.is_diagonal() {
            products::<S, T, 1>(simd, &scratch.t, y, i, sums, second + i * lanes);
        } else {
            let mut j = 0;
            while j + GROUPS <= i + 1 {
                let at = second + triangle::at(i, j) * lanes;
                products::<S, T, GROUPS>(simd, &scratch.t, y, j, sums, at);
                j += GROUPS;
            }
            for j in j..=i {
                let at = second + triangle::at(i, j) * lanes;
                products::<S, T, 1>(simd, &scratch.t, y, j, sums, at);
            }
        }
    }
}

/// Adds Σ t y_j for C consecutive features j to as many lane sums.
#[inline(always)]
fn products<S: Simd, T: Real, const C: usize>(
    simd: S,
    t: &[T],
    y: &[T],
    first: usize,
    sums: &mut [T],
    at: usize,
) {
    let lanes = Vector::<S, T>::LEN;
    let mut acc = [Vector::<S, T>::splat(simd, T::from_f64(0.0)); C];
    let y = &y[first * ROWS..(first + C) * ROWS];
    for (row, t) in t[..ROWS].chunks_exact(lanes).enumerate() {
        let t = Vector::<S, T>::from_slice(simd, t);
        for (acc, y) in acc.iter_mut().zip(y.chunks_exact(ROWS)) {
            *acc = load::<S, T>(simd, y, row * lanes).mul_add(t, *acc);
        }
    }
    for (c, acc) in acc.into_iter().enumerate() {
        let at = at + c * lanes;
        store::<S, T>(load::<S, T>(simd, sums, at) + acc, sums, at);
    }
}
