//! The shapes whose sums do not stay in the first-level cache: log densities of all components for some panels,
//! responsibilities, then one component's sums after the other.

use fearless_simd::prelude::*;

use super::ahead::STEP;
use super::diagonal::COMPONENTS;
use super::gram::{BLOCK, Gram, Moments, blocks, responsibilities};
use super::lane_sums::{LaneSums, flush_first, flush_second};
use super::likelihoods::Likelihoods;
use super::plan::{Plan, TILE_ROWS};
use super::prepared::{Prepared, Shape};
use super::real::Real;
use super::rows::Rows;
use super::scratch::Scratch;
use super::softmax::{largest_of, softmax};
use super::vectors::{Vector, load_all, splat, store_all};
use super::whiten::whiten;
use super::{diagonal, tied};
use crate::backend::Statistics;
use crate::mixture::triangle;

/// What is read again and again should fit this.
const NEAR_BYTES: usize = 32 << 10;

/// Adds the statistics of all rows. Sums that find no room between calls go to `sums` at once.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop nest")]
pub(super) fn statistics<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    rows: Rows<'_, T>,
    unit: f64,
    scratch: &mut Scratch<T>,
    lane_sums: &mut LaneSums<T>,
    likelihoods: &mut Likelihoods<S, T>,
    sums: &mut Statistics,
) {
    let (d, k, width) = (model.d, model.k, M * Vector::<S, T>::LEN);
    let plan = Plan::of(model);
    let mut coming = rows.ahead;
    let parts = rows.x.chunks(plan.rows * d).enumerate();
    for (part, x) in parts {
        let count = x.len() / d;
        log_densities::<S, T, M>(simd, model, x, plan.kept, scratch);
        scratch.scale.reserve(count);
        let q = scratch.q.first_mut(k * count);
        let scale = scratch.scale.first_mut(count);
        for (p, (q, scale)) in q
            .chunks_exact_mut(k * width)
            .zip(scale.chunks_exact_mut(width))
            .enumerate()
        {
            let first = part * plan.rows + p * width;
            if first.is_multiple_of(STEP) {
                coming.ask();
            }
            let largest = largest_of::<S, T, M>(simd, q);
            let densities = softmax::<S, T, M>(simd, q, largest);
            let mut inverses = densities.sum;
            for inverse in &mut inverses {
                *inverse = T::reciprocal(simd, *inverse);
            }
            match rows.weights {
                None => likelihoods.add(simd, &densities),
                Some(weights) => {
                    let weights = load_all::<S, T, M>(simd, &weights[first..]);
                    likelihoods.add_weighted(simd, &densities, &inverses, &weights);
                    for m in 0..M {
                        inverses[m] *= weights[m];
                    }
                }
            }
            store_all::<S, T, M>(inverses, scale);
        }
        match model.shape {
            Shape::Diagonal => {
                diagonal::add_sums::<S, T, M>(simd, model, x, unit, scratch, lane_sums, sums);
            }
            Shape::Tied if model.stored == 0 => {
                let weights = rows.weights.map(|weights| &weights[part * plan.rows..]);
                tied::add_sums::<S, T, M>(
                    simd, model, weights, count, unit, scratch, lane_sums, sums,
                );
            }
            _ => add_sums::<S, T, M>(simd, model, x, plan, unit, scratch, lane_sums, sums),
        }
    }
}

/// Adds the moments of triangular factors: component after component, of rows whose relative densities and scales are known.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop nest")]
fn add_sums<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    x: &[T],
    plan: Plan,
    unit: f64,
    scratch: &mut Scratch<T>,
    lane_sums: &mut LaneSums<T>,
    sums: &mut Statistics,
) {
    let (d, k, width) = (model.d, model.k, M * Vector::<S, T>::LEN);
    let count = x.len() / d;
    if !plan.kept && model.stored > 0 {
        scratch.y.reserve(count * d);
    }
    scratch.t.reserve(TILE_ROWS * BLOCK);
    let t = scratch.t.first_mut(TILE_ROWS * BLOCK);
    let q = scratch.q.first_mut(k * count);
    let scale = scratch.scale.first_mut(count);
    // Sums that go to f64 before the next component's do so block by block, from the first-level cache.
    let by_blocks = !lane_sums.kept && !model.second_moments_are_pooled();
    for component in 0..k {
        let (first, second) = lane_sums.of(component);
        let (s0, s1) = first.split_at_mut(Vector::<S, T>::LEN);
        let r = &mut q[component * width..];
        if responsibilities::<S, T, M>(simd, r, k * width, scale, s0) {
            let bias = model.bias(component);
            let y = match model.slots[component] {
                None => x,
                Some(slot) => {
                    let slot = if plan.kept { slot } else { 0 };
                    let y = (scratch.y).part_mut(slot * count * d..(slot + 1) * count * d);
                    if model.shape == Shape::Tied {
                        let z = scratch.z.first_mut(count * d);
                        tied::coordinates::<S, T, M>(simd, bias, z, y);
                    } else if !plan.kept {
                        scratch.squares.reserve(count);
                        let squares = scratch.squares.first_mut(count);
                        whiten::<S, T, M>(simd, model, component, bias, x, Some(&mut *y), squares);
                    }
                    y
                }
            };
            for block in blocks::<S>(d) {
                let (start, features) = block;
                let numbers = triangle::packed_len(start)..triangle::packed_len(start + features);
                let mut moments = Moments {
                    first: &mut *s1,
                    second: &mut *second,
                    start: if by_blocks { numbers.start } else { 0 },
                };
                for (part, y) in y.chunks(TILE_ROWS * d).enumerate() {
                    let gram = Gram {
                        d,
                        r: &r[part * TILE_ROWS * k..],
                        stride: k * width,
                        y,
                    };
                    gram.add::<S, M>(simd, block, t, &mut moments);
                }
                if by_blocks {
                    flush_second(simd, second, model, component, numbers, unit, sums);
                }
            }
        }
        if by_blocks {
            flush_first(simd, first, model, component, unit, sums);
        } else if !lane_sums.kept {
            lane_sums.flush(simd, model, component, unit, sums);
        }
    }
}

/// Log densities to base 2, in steps, of all components for the panels of `x`: `q[panel][component][row]`.
#[inline(always)]
pub(super) fn log_densities<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    x: &[T],
    kept: bool,
    scratch: &mut Scratch<T>,
) {
    let (d, k, width) = (model.d, model.k, M * Vector::<S, T>::LEN);
    let count = x.len() / d;
    scratch.q.reserve(k * count);
    scratch.squares.reserve(COMPONENTS * count);
    if kept {
        scratch.y.reserve(model.stored * count * d);
    }
    if model.shape == Shape::Tied {
        scratch.z.reserve(count * d);
    }
    if model.is_spherical() {
        scratch.distances.reserve(k * count);
    }
    // So few panels that they stay in the first-level cache while all components go by.
    let near = (NEAR_BYTES / (d * width * size_of::<T>())).max(1) * width;
    let squares = scratch.squares.first_mut(COMPONENTS * near.min(count));
    let q = scratch.q.first_mut(k * count);
    let parts = x.chunks(near * d).zip(q.chunks_mut(k * near)).enumerate();
    for (part, (x, q)) in parts {
        let count_here = x.len() / d;
        let rows = part * near * d..part * near * d + x.len();
        if model.shape == Shape::Tiled {
            let squares = &mut squares[..count_here];
            for component in 0..k {
                let y = match model.slots[component] {
                    Some(slot) if kept => {
                        let first = slot * count * d;
                        Some((scratch.y).part_mut(first + rows.start..first + rows.end))
                    }
                    _ => None,
                };
                whiten::<S, T, M>(simd, model, component, model.bias(component), x, y, squares);
                from_squares::<S, T, M>(simd, model, component, squares, q);
            }
            continue;
        }
        let x = if model.shape == Shape::Tied {
            let z = scratch.z.part_mut(rows);
            whiten::<S, T, M>(
                simd,
                model,
                0,
                &model.zeros,
                x,
                Some(&mut *z),
                &mut squares[..count_here],
            );
            &*z
        } else {
            x
        };
        for start in (0..k).step_by(COMPONENTS) {
            let components = start..k.min(start + COMPONENTS);
            if model.shape == Shape::Tied {
                tied::squares::<S, T, M>(simd, model, components.clone(), x, squares);
            } else {
                diagonal::squares::<S, T, M>(simd, model, components.clone(), x, squares);
            }
            for (component, squares) in components.zip(squares.chunks_exact(count_here)) {
                from_squares::<S, T, M>(simd, model, component, squares, q);
                if model.is_spherical() {
                    let distances = scratch.distances.part_mut(part * near * k..k * count);
                    let panels = distances
                        .chunks_exact_mut(k * width)
                        .zip(squares.chunks_exact(width));
                    for (distances, squares) in panels {
                        distances[component * width..(component + 1) * width]
                            .copy_from_slice(squares);
                    }
                }
            }
        }
    }
}

/// One component's log densities from the sums of squares of its whitened coordinates.
#[inline(always)]
fn from_squares<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    component: usize,
    squares: &[T],
    q: &mut [T],
) {
    let width = M * Vector::<S, T>::LEN;
    let half = splat::<S, T>(
        simd,
        T::from_f64(-0.5 * std::f64::consts::LOG2_E * T::STEPS),
    );
    let constant = splat::<S, T>(simd, model.log_constants[component]);
    let panels = q
        .chunks_exact_mut(model.k * width)
        .zip(squares.chunks_exact(width));
    for (q, squares) in panels {
        let mut log_density = load_all::<S, T, M>(simd, squares);
        for value in &mut log_density {
            *value = value.mul_add(half, constant);
        }
        store_all::<S, T, M>(log_density, &mut q[component * width..]);
    }
}
