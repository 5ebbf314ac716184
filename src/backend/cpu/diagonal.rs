//! Diagonal factors: whitened coordinates are one multiply-add each, so they are never stored; where moments are of them they
//! are made twice.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::gram::responsibilities;
use super::lane_sums::LaneSums;
use super::prepared::Prepared;
use super::products::Products;
use super::real::Real;
use super::scratch::Scratch;
use super::vectors::{Vector, load, load_all, splat, store, store_all};
use super::whiten::centred;
use crate::backend::Statistics;

/// Components that are evaluated side by side: each waits for its own sum of squares, and they share what is loaded.
pub(super) const COMPONENTS: usize = 4;
/// Features whose sums are kept in registers while all panels go by.
const FEATURES: usize = 8;

/// Sums of squares of the whitened coordinates of up to [`COMPONENTS`] components for all panels of `x`, one component's
/// after the other.
#[inline(always)]
pub(super) fn squares<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    components: Range<usize>,
    x: &[T],
    squares: &mut [T],
) {
    macro_rules! components {
        ($($c:literal)*) => {
            match (components.len(), model.centred) {
                $(($c, false) => {
                    squares_of::<S, T, $c, M, false>(simd, model, components.start, x, squares);
                }
                ($c, true) => {
                    squares_of::<S, T, $c, M, true>(simd, model, components.start, x, squares);
                })*
                _ => unreachable!("at most {COMPONENTS} components at once"),
            }
        };
    }
    components!(1 2 3 4);
}

#[inline(always)]
fn squares_of<S: Simd, T: Real, const C: usize, const M: usize, const CENTRED: bool>(
    simd: S,
    model: &Prepared<T>,
    start: usize,
    x: &[T],
    squares: &mut [T],
) {
    let (d, width) = (model.d, M * Vector::<S, T>::LEN);
    let rows = x.len() / d;
    let zero = splat::<S, T>(simd, T::from_f64(0.0));
    let (mut u, mut bias, mut mean) = ([&[][..]; C], [&[][..]; C], [&[][..]; C]);
    for c in 0..C {
        u[c] = &model.factor(start + c)[..d];
        bias[c] = &model.bias(start + c)[..d];
        mean[c] = &model.mean(start + c)[..d];
    }
    for (p, x) in x.chunks_exact(d * width).enumerate() {
        let mut total = [[zero; M]; C];
        for (j, x) in x.chunks_exact(width).enumerate() {
            for c in 0..C {
                let x = centred::<S, T, M, CENTRED>(simd, x, mean[c][j]);
                let (u, bias) = (
                    splat::<S, T>(simd, u[c][j]),
                    splat::<S, T>(simd, bias[c][j]),
                );
                for m in 0..M {
                    let y = x[m].mul_add(u, bias);
                    total[c][m] = y.mul_add(y, total[c][m]);
                }
            }
        }
        for c in 0..C {
            store_all::<S, T, M>(total[c], &mut squares[c * rows + p * width..]);
        }
    }
}

/// Adds the moments of rows whose relative densities and scales are known: of rows as they are for components that allow
/// it, of whitened coordinates for the others. Of these features are the outer loop: a few of them, of all rows, stay in
/// the first-level cache while all components go by.
#[inline(always)]
pub(super) fn add_sums<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    x: &[T],
    unit: f64,
    scratch: &mut Scratch<T>,
    lane_sums: &mut LaneSums<T>,
    sums: &mut Statistics,
) {
    let (d, k, lanes) = (model.d, model.k, Vector::<S, T>::LEN);
    let spherical = model.is_spherical();
    let (count, width) = (x.len() / d, M * lanes);
    let q = scratch.q.first_mut(k * count);
    let scale = scratch.scale.first_mut(count);
    for start in (0..k).step_by(lane_sums.slots) {
        let components = start..k.min(start + lane_sums.slots);
        let (plain, whitened) = (&mut scratch.plain, &mut scratch.whitened);
        plain.clear();
        whitened.clear();
        for component in components.clone() {
            let (first, _) = lane_sums.of(component);
            let (densities, s0) = (&mut q[component * width..], &mut first[..lanes]);
            if responsibilities::<S, T, M>(simd, densities, k * width, scale, s0) {
                match model.slots[component] {
                    None => plain.push(component),
                    Some(_) => whitened.push(component),
                }
            }
        }
        let products = Products { d, k, x, r: q };
        if spherical {
            products.add::<S, M, false>(simd, plain, lane_sums);
        } else {
            products.add::<S, M, true>(simd, plain, lane_sums);
        }
        for first_feature in (0..d).step_by(FEATURES) {
            for &component in &*whitened {
                let (first, second) = lane_sums.of(component);
                let tile = Tile {
                    model,
                    component,
                    first: first_feature,
                    x,
                    r: &q[component * width..],
                };
                tile.add::<S, M>(simd, &mut first[lanes..], second);
            }
        }
        if spherical {
            let distances = scratch.distances.first_mut(k * count);
            for &component in plain.iter().chain(&*whitened) {
                let (_, second) = lane_sums.of(component);
                let of = component * width..;
                trace::<S, T, M>(simd, &q[of.clone()], &distances[of], k * width, second);
            }
        }
        if !lane_sums.kept {
            for component in components {
                lane_sums.flush(simd, model, component, unit, sums);
            }
        }
    }
}

/// Up to [`FEATURES`] features of a component. Responsibilities × weight of panel p begin at `p` times those of a panel
/// of all components.
struct Tile<'a, T> {
    model: &'a Prepared<T>,
    component: usize,
    first: usize,
    x: &'a [T],
    r: &'a [T],
}

impl<T: Real> Tile<'_, T> {
    /// Adds Σ r y to `s1` and, if covariances are diagonal, Σ r y² to `s2`, D vectors each.
    #[inline(always)]
    fn add<S: Simd, const M: usize>(&self, simd: S, s1: &mut [T], s2: &mut [T]) {
        let model = self.model;
        macro_rules! features {
            ($($f:literal)*) => {
                match FEATURES.min(model.d - self.first) {
                    $($f => match (model.centred, model.is_spherical()) {
                        (false, false) => self.run::<S, $f, M, false, false>(simd, s1, s2),
                        (true, false) => self.run::<S, $f, M, true, false>(simd, s1, s2),
                        (false, true) => self.run::<S, $f, M, false, true>(simd, s1, s2),
                        (true, true) => self.run::<S, $f, M, true, true>(simd, s1, s2),
                    })*
                    _ => unreachable!("at most {FEATURES} features at once"),
                }
            };
        }
        features!(1 2 3 4 5 6 7 8);
    }

    #[inline(never)]
    fn run<S: Simd, const F: usize, const M: usize, const CENTRED: bool, const SPHERICAL: bool>(
        &self,
        simd: S,
        s1: &mut [T],
        s2: &mut [T],
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let Self {
                    model,
                    component,
                    first: start,
                    x,
                    r,
                } = *self;
                let (d, width) = (model.d, M * Vector::<S, T>::LEN);
                let stride = model.k * width;
                let zero = splat::<S, T>(simd, T::from_f64(0.0));
                let (mut first, mut second) = ([zero; F], [zero; F]);
                let u = &model.factor(component)[start..start + F];
                let bias = &model.bias(component)[start..start + F];
                let mean = &model.mean(component)[start..start + F];
                for p in 0..x.len() / (d * width) {
                    let r = &r[p * stride..p * stride + width];
                    let x = &x[(p * d + start) * width..(p * d + start + F) * width];
                    let r = load_all::<S, T, M>(simd, r);
                    for f in 0..F {
                        let x = &x[f * width..(f + 1) * width];
                        let x = centred::<S, T, M, CENTRED>(simd, x, mean[f]);
                        let (u, bias) = (splat::<S, T>(simd, u[f]), splat::<S, T>(simd, bias[f]));
                        for m in 0..M {
                            let y = x[m].mul_add(u, bias);
                            if SPHERICAL {
                                first[f] = r[m].mul_add(y, first[f]);
                            } else {
                                let t = r[m] * y;
                                first[f] += t;
                                second[f] = t.mul_add(y, second[f]);
                            }
                        }
                    }
                }
                for f in 0..F {
                    let at = start + f;
                    store::<S, T>(load::<S, T>(simd, s1, at) + first[f], s1, at);
                    if !SPHERICAL {
                        store::<S, T>(load::<S, T>(simd, s2, at) + second[f], s2, at);
                    }
                }
            },
        );
    }
}

/// Adds Σ r y², summed over features, to the one vector of `s2`: of both, numbers of panel p begin at `p * stride`.
#[inline(always)]
fn trace<S: Simd, T: Real, const M: usize>(
    simd: S,
    r: &[T],
    distances: &[T],
    stride: usize,
    s2: &mut [T],
) {
    let mut sum = load::<S, T>(simd, s2, 0);
    for (r, distances) in r.chunks(stride).zip(distances.chunks(stride)) {
        let r = load_all::<S, T, M>(simd, r);
        let distances = load_all::<S, T, M>(simd, distances);
        for m in 0..M {
            sum = r[m].mul_add(distances[m], sum);
        }
    }
    store::<S, T>(sum, s2, 0);
}
