//! The fused shape: few features, full or tied covariances, all sums in the first-level cache. Densities,
//! responsibilities and sums of one panel after the other: sums of rows as they are where all components allow it
//! ([`super::monomials`]), else of whitened coordinates.

use fearless_simd::prelude::*;

use super::ahead::STEP;
use super::lane_sums::LaneSums;
use super::likelihoods::Likelihoods;
use super::monomials::{self, Features};
use super::pass::write_shares;
use super::prepared::{FUSED_FEATURES, Prepared, Shape};
use super::real::Real;
use super::rows::Rows;
use super::scratch::Scratch;
use super::softmax::{Scale, softmax};
use super::vectors::{Vector, load, load_all, splat, store, store_all};

/// Calls `$f` for the number of features at hand: up to four of them go by whole panels of M vectors, more by HALF.
macro_rules! by_features {
    ($d:expr, $f:ident::<$s:ident, $t:ident $(, $plain:literal)?>($m:ident, $half:ident) $arguments:tt) => {
        match $d {
            1 => $f::<$s, $t, 1, $m $(, $plain)?> $arguments,
            2 => $f::<$s, $t, 2, $m $(, $plain)?> $arguments,
            3 => $f::<$s, $t, 3, $m $(, $plain)?> $arguments,
            4 => $f::<$s, $t, 4, $m $(, $plain)?> $arguments,
            5 => $f::<$s, $t, 5, $half $(, $plain)?> $arguments,
            6 => $f::<$s, $t, 6, $half $(, $plain)?> $arguments,
            7 => $f::<$s, $t, 7, $half $(, $plain)?> $arguments,
            8 => $f::<$s, $t, 8, $half $(, $plain)?> $arguments,
            _ => unreachable!("the fused shape has at most {FUSED_FEATURES} features"),
        }
    };
}

/// Adds the statistics of all rows to the lane sums.
#[inline(always)]
pub(super) fn statistics_of<S: Simd, T: Real, const M: usize, const HALF: usize>(
    simd: S,
    model: &Prepared<T>,
    rows: Rows<'_, T>,
    panel: usize,
    scratch: &mut Scratch<T>,
    lane_sums: &mut LaneSums<T>,
    likelihoods: &mut Likelihoods<S, T>,
) {
    macro_rules! statistics {
        ($plain:literal) => {
            by_features!(
                model.d,
                statistics::<S, T, $plain>(M, HALF)(
                    simd,
                    model,
                    rows,
                    panel,
                    scratch,
                    lane_sums,
                    likelihoods
                )
            )
        };
    }
    if model.stored == 0 {
        statistics!(true);
    } else {
        statistics!(false);
    }
}

/// Log densities (nats) and responsibilities of the rows of `x`.
#[inline(always)]
pub(super) fn responsibilities_of<S: Simd, T: Real, const M: usize, const HALF: usize>(
    simd: S,
    model: &Prepared<T>,
    x: &[T],
    panel: usize,
    scratch: &mut Scratch<T>,
    log_densities: &mut [f64],
    shares: &mut [f64],
) {
    by_features!(
        model.d,
        responsibilities::<S, T>(M, HALF)(simd, model, x, panel, scratch, log_densities, shares)
    );
}

#[inline(never)]
fn responsibilities<S: Simd, T: Real, const D: usize, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    x: &[T],
    panel: usize,
    scratch: &mut Scratch<T>,
    log_densities: &mut [f64],
    shares: &mut [f64],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let width = M * Vector::<S, T>::LEN;
            scratch.y.reserve(model.k * D * width);
            scratch.q.reserve(model.k * width);
            let y = scratch.y.first_mut(model.k * D * width);
            let q = scratch.q.first_mut(model.k * width);
            let parts = log_densities
                .chunks_mut(width)
                .zip(shares.chunks_mut(width * model.k))
                .enumerate();
            for (part, (log_densities, shares)) in parts {
                let (p, at) = (part * width / panel, part * width % panel);
                let x = &x[p * panel * D + at..];
                let largest = whitened::<S, T, D, M, false>(simd, model, x, panel, y, q);
                let densities = softmax::<S, T, M>(simd, q, largest);
                write_shares(simd, model, densities, q, log_densities, shares);
            }
        },
    );
}

/// Adds the statistics of all rows to the lane sums: D features, M vectors at a time. Moments are of rows as they are if
/// PLAIN.
#[inline(never)]
fn statistics<S: Simd, T: Real, const D: usize, const M: usize, const PLAIN: bool>(
    simd: S,
    model: &Prepared<T>,
    rows: Rows<'_, T>,
    panel: usize,
    scratch: &mut Scratch<T>,
    lane_sums: &mut LaneSums<T>,
    likelihoods: &mut Likelihoods<S, T>,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let width = M * Vector::<S, T>::LEN;
            let densities = model.k * width;
            let coordinates = if PLAIN { 0 } else { D * densities };
            let products = if PLAIN { D * (D + 1) / 2 * width } else { 0 };
            scratch.t.reserve(products);
            let products = scratch.t.first_mut(products);
            scratch.y.reserve(2 * coordinates);
            scratch.q.reserve(2 * densities);
            let (mut y, mut next_y) = scratch
                .y
                .first_mut(2 * coordinates)
                .split_at_mut(coordinates);
            let (mut q, mut next_q) = scratch.q.first_mut(2 * densities).split_at_mut(densities);
            let mut coming = rows.ahead;
            let ahead = model.shape == Shape::Fused { ahead: true };
            let mut largest = [splat::<S, T>(simd, T::LOWEST); M];
            let (mut next, mut within) = (0, 0);
            for start in (0..rows.x.len() / D).step_by(width) {
                let x = &rows.x[next + within..];
                if start == 0 || !ahead {
                    largest = whitened::<S, T, D, M, PLAIN>(simd, model, x, panel, y, q);
                }
                let densities = softmax::<S, T, M>(simd, q, largest);
                if start.is_multiple_of(STEP) {
                    coming.ask();
                }
                let mut scale = densities.sum;
                for scale in &mut scale {
                    *scale = T::reciprocal(simd, *scale);
                }
                // The next rows' log densities, while these rows' reciprocals are waited for.
                within += width;
                if within == panel {
                    within = 0;
                    next += panel * D;
                }
                let goes_on = ahead && next < rows.x.len();
                if goes_on {
                    let x = &rows.x[next + within..];
                    largest = whitened::<S, T, D, M, PLAIN>(simd, model, x, panel, next_y, next_q);
                }
                match rows.weights {
                    None => likelihoods.add(simd, &densities),
                    Some(weights) => {
                        let weights = load_all::<S, T, M>(simd, &weights[start..]);
                        likelihoods.add_weighted(simd, &densities, &scale, &weights);
                        for m in 0..M {
                            scale[m] *= weights[m];
                        }
                    }
                }
                let scale = Scale::new(scale);
                if PLAIN {
                    let features = Features { x, panel };
                    features.multiply::<S, D, M>(simd, products);
                    monomials::add::<S, T, D, M>(
                        simd,
                        model,
                        features,
                        products,
                        &scale,
                        rows.weights.map(|weights| &weights[start..]),
                        q,
                        lane_sums,
                    );
                } else {
                    accumulate::<S, T, D, M>(simd, model, &scale, y, q, lane_sums);
                }
                if goes_on {
                    std::mem::swap(&mut y, &mut next_y);
                    std::mem::swap(&mut q, &mut next_q);
                }
            }
        },
    );
}

/// Log densities q of M vectors of rows, their whitened coordinates y unless PLAIN, and the row-wise largest of q. `x` begins
/// at the first of them.
#[inline(always)]
fn whitened<S: Simd, T: Real, const D: usize, const M: usize, const PLAIN: bool>(
    simd: S,
    model: &Prepared<T>,
    x: &[T],
    panel: usize,
    y: &mut [T],
    q: &mut [T],
) -> [Vector<S, T>; M] {
    let zero = splat::<S, T>(simd, T::from_f64(0.0));
    let mut features = [[zero; M]; D];
    for (j, feature) in features.iter_mut().enumerate() {
        *feature = load_all(simd, &x[j * panel..]);
    }
    // Components whose rows are summed as they are lie near the origin.
    debug_assert!(!(PLAIN && model.centred));
    if !PLAIN && model.centred {
        whiten::<S, T, D, M, PLAIN, true>(simd, model, &features, y, q)
    } else {
        whiten::<S, T, D, M, PLAIN, false>(simd, model, &features, y, q)
    }
}

/// Log densities q of all components, whitened coordinates y unless PLAIN; the row-wise largest of q.
#[inline(always)]
fn whiten<
    S: Simd,
    T: Real,
    const D: usize,
    const M: usize,
    const PLAIN: bool,
    const CENTRED: bool,
>(
    simd: S,
    model: &Prepared<T>,
    x: &[[Vector<S, T>; M]; D],
    y: &mut [T],
    q: &mut [T],
) -> [Vector<S, T>; M] {
    let width = M * Vector::<S, T>::LEN;
    let half = splat::<S, T>(
        simd,
        T::from_f64(-0.5 * std::f64::consts::LOG2_E * T::STEPS),
    );
    let zero = splat::<S, T>(simd, T::from_f64(0.0));
    let mut largest = [splat::<S, T>(simd, T::LOWEST); M];
    let components = (model.side_by_side).chunks_exact(1 + D + D + D * (D + 1) / 2);
    for (component, (parameters, q)) in components.zip(q.chunks_exact_mut(width)).enumerate() {
        let (constant, parameters) = (parameters[0], &parameters[1..]);
        let (bias, parameters) = parameters.split_at(D);
        let (mean, u) = parameters.split_at(D);
        let constant = splat::<S, T>(simd, constant);
        let mut centred = *x;
        if CENTRED {
            for j in 0..D {
                let mean = splat::<S, T>(simd, mean[j]);
                centred[j].iter_mut().for_each(|x| *x -= mean);
            }
        }
        let mut squares = [zero; M];
        for i in 0..D {
            let mut sums = [splat::<S, T>(simd, bias[i]); M];
            for j in 0..D {
                if j <= i {
                    let u = splat::<S, T>(simd, u[i * (i + 1) / 2 + j]);
                    for m in 0..M {
                        sums[m] = centred[j][m].mul_add(u, sums[m]);
                    }
                }
            }
            for m in 0..M {
                squares[m] = sums[m].mul_add(sums[m], squares[m]);
            }
            if !PLAIN {
                store_all::<S, T, M>(sums, &mut y[(component * D + i) * width..]);
            }
        }
        for m in 0..M {
            squares[m] = squares[m].mul_add(half, constant);
            largest[m] = largest[m].max(squares[m]);
        }
        store_all::<S, T, M>(squares, q);
    }
    largest
}

#[inline(always)]
fn accumulate<S: Simd, T: Real, const D: usize, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    scale: &Scale<S, T, M>,
    y: &[T],
    q: &[T],
    lane_sums: &mut LaneSums<T>,
) {
    let lanes = Vector::<S, T>::LEN;
    let components = y.chunks_exact(D * M * lanes).zip(q.chunks_exact(M * lanes));
    let components = components.take(model.k);
    let (first, second) = lane_sums.all();
    let first = first.chunks_exact_mut((1 + D) * lanes);
    let length = D * (D + 1) / 2 * lanes;
    if model.second_moments_are_pooled() {
        let second = &mut second[..length];
        for ((y, q), first) in components.zip(first) {
            add::<S, T, D, M>(simd, scale, y, q, first, second);
        }
    } else {
        let second = second.chunks_exact_mut(length);
        for ((y, q), (first, second)) in components.zip(first.zip(second)) {
            add::<S, T, D, M>(simd, scale, y, q, first, second);
        }
    }
}

/// Adds one component's moments.
#[inline(always)]
fn add<S: Simd, T: Real, const D: usize, const M: usize>(
    simd: S,
    scale: &Scale<S, T, M>,
    y: &[T],
    q: &[T],
    first: &mut [T],
    second: &mut [T],
) {
    let width = M * Vector::<S, T>::LEN;
    let zero = splat::<S, T>(simd, T::from_f64(0.0));
    let mut coordinates = [[zero; M]; D];
    for (i, coordinate) in coordinates.iter_mut().enumerate() {
        *coordinate = load_all(simd, &y[i * width..]);
    }
    let r = scale.apply(load_all(simd, q));
    let mut s0 = load::<S, T>(simd, first, 0);
    r.iter().for_each(|r| s0 += *r);
    store::<S, T>(s0, first, 0);
    for i in 0..D {
        let mut t = r;
        let mut s1 = load::<S, T>(simd, first, 1 + i);
        for m in 0..M {
            t[m] *= coordinates[i][m];
            s1 += t[m];
        }
        store::<S, T>(s1, first, 1 + i);
        for j in 0..D {
            if j <= i {
                let at = i * (i + 1) / 2 + j;
                let mut s2 = load::<S, T>(simd, second, at);
                for m in 0..M {
                    s2 = t[m].mul_add(coordinates[j][m], s2);
                }
                store::<S, T>(s2, second, at);
            }
        }
    }
}
