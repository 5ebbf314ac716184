//! Rows in kernel order: standardised, rounded, and transposed into panels.
//!
//! A panel is a few vectors of neighbouring rows side by side, feature-major: `x[panel][feature][row]`.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::ahead::Ahead;
use super::real::{Pair, Real};
use super::vectors::{Aligned, MOST_LANES, Vector, load, splat, store, transpose};
use crate::data::{Samples, Standardisation, Values};

/// The most rows of a chunk, which a thread loads in one go; a multiple of every panel.
pub(super) const CHUNK: usize = 2048;

/// Rows whose weights are added at once: a divisor of every chunk but a block's last, wherever blocks begin.
pub(super) const WEIGHED: usize = 256;

/// Some rows in kernel order.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    /// Whole panels; rows beyond the last are zeros.
    pub(super) x: &'a [T],
    /// One weight a row of the panels, in units of the largest's power of two, 0 beyond the last row. None if all
    /// are 1.
    pub(super) weights: Option<&'a [T]>,
    /// The rows that come next.
    pub(super) ahead: Ahead<'a>,
}

/// Where rows come from, and what standardising them takes.
pub(super) struct Loader<'a> {
    samples: &'a Samples,
    map: &'a Standardisation,
    /// Centres and inverse scales as often as it takes for whole pairs of vectors, if features do not mix.
    pattern: Option<(Vec<f64>, Vec<f64>)>,
    /// What weights are divided by, so that single precision can hold them.
    weight_unit: f64,
}

/// Numbers of a pair of vectors of f64, at most.
const MOST_PAIR: usize = 16;

impl<'a> Loader<'a> {
    pub(super) fn new(samples: &'a Samples, map: &'a Standardisation) -> Self {
        let pattern = map.plain().map(|(center, inverse_scale)| {
            let repeat = |values: &[f64]| values.repeat(MOST_PAIR);
            (repeat(center), repeat(inverse_scale))
        });
        Self {
            samples,
            map,
            pattern,
            weight_unit: samples.weight_unit(),
        }
    }

    pub(super) fn samples(&self) -> &'a Samples {
        self.samples
    }

    pub(super) fn weight_unit(&self) -> f64 {
        self.weight_unit
    }

    /// Where some rows are read from.
    pub(super) fn source(&self, rows: Range<usize>) -> Ahead<'a> {
        let d = self.samples.n_features();
        let weights = (self.samples.weights()).map_or(&[][..], |w| &w[rows.clone()]);
        let values = rows.start * d..rows.end * d;
        match self.samples.values() {
            Values::F32(v) => Ahead::new(&v[values], d, weights),
            Values::F64(v) => Ahead::new(&v[values], d, weights),
        }
    }

    /// Writes rows in kernel order, in panels of `panel` rows. `by_rows` is scratch.
    #[inline(always)]
    pub(super) fn fill<S: Simd, T: Real>(
        &self,
        simd: S,
        rows: Range<usize>,
        panel: usize,
        by_rows: &mut Aligned<T>,
        x: &mut [T],
    ) {
        let d = self.samples.n_features();
        // Vectors of a row's features may reach beyond the panel.
        by_rows.reserve(panel * d + MOST_LANES);
        let by_rows = by_rows.first_mut(panel * d + MOST_LANES);
        for (p, x) in x.chunks_exact_mut(panel * d).enumerate() {
            let first = rows.start + p * panel;
            let count = panel.min(rows.end.saturating_sub(first));
            let values = first * d..(first + count) * d;
            match (self.samples.values(), &self.pattern) {
                (Values::F32(v), Some(pattern)) if count == panel => {
                    standardise(simd, &v[values], pattern, by_rows);
                }
                (Values::F64(v), Some(pattern)) if count == panel => {
                    standardise(simd, &v[values], pattern, by_rows);
                }
                _ => self.standardise_by_rows(first, count, by_rows),
            }
            to_panel(simd, by_rows, d, panel, x);
        }
    }

    fn standardise_by_rows<T: Real>(&self, first: usize, count: usize, by_rows: &mut [T]) {
        let d = self.samples.n_features();
        let mut row = vec![0.0; d];
        by_rows.fill(T::from_f64(0.0));
        for (n, to) in by_rows.chunks_exact_mut(d).take(count).enumerate() {
            self.samples.copy_row(first + n, &mut row);
            self.map.apply(&mut row);
            for (to, value) in to.iter_mut().zip(&row) {
                *to = T::from_f64(*value);
            }
        }
    }

    /// Writes the weights of at most [`WEIGHED`] rows, 0 beyond the last, and returns their sum.
    #[inline(always)]
    pub(super) fn fill_weights<S: Simd, T: Real>(
        &self,
        simd: S,
        rows: Range<usize>,
        weights: &mut [T],
    ) -> f64 {
        let count = rows.len();
        let (given, rest) = weights.split_at_mut(count);
        rest.fill(T::from_f64(0.0));
        let Some(exact) = self.samples.weights() else {
            given.fill(T::from_f64(1.0));
            return count as f64;
        };
        let exact = &exact[rows];
        let inverse_unit = 1.0 / self.weight_unit;
        let size = 2 * S::f64s::LEN;
        let mut total = [S::f64s::splat(simd, 0.0); 2];
        let vectors = exact.chunks_exact(size).zip(given.chunks_exact_mut(size));
        for (exact, weights) in vectors {
            let [low, high] = f64::load_pair(simd, exact);
            total[0] += low;
            total[1] += high;
            T::store_pair::<S>([low * inverse_unit, high * inverse_unit], weights);
        }
        let tail = count / size * size;
        for (weight, exact) in given[tail..].iter_mut().zip(&exact[tail..]) {
            *weight = T::from_f64(exact * inverse_unit);
        }
        let sum = total[0] + total[1];
        sum.as_slice().iter().sum::<f64>() + exact[tail..].iter().sum::<f64>()
    }
}

/// Makes rows of weight 0 zeros, so that no value of theirs meets the weight as 0 × ∞.
#[inline(always)]
pub(super) fn clear_weightless<T: Real>(weights: &[T], d: usize, panel: usize, x: &mut [T]) {
    let zero = T::from_f64(0.0);
    for (weights, x) in weights
        .chunks_exact(panel)
        .zip(x.chunks_exact_mut(panel * d))
    {
        // Comparing all of them first is cheap; rows of weight 0 are rare.
        if !weights.iter().fold(false, |any, w| any | (*w == zero)) {
            continue;
        }
        for (n, _) in weights.iter().enumerate().filter(|(_, w)| **w == zero) {
            x[n..].iter_mut().step_by(panel).for_each(|x| *x = zero);
        }
    }
}

/// Standardises values that lie row after row.
#[inline(always)]
fn standardise<S: Simd, V: Real, T: Real>(
    simd: S,
    values: &[V],
    (centers, inverse_scales): &(Vec<f64>, Vec<f64>),
    by_rows: &mut [T],
) {
    let size = 2 * S::f64s::LEN;
    let period = centers.len() / MOST_PAIR * size;
    let pattern = |at: usize| (&centers[at..at + size], &inverse_scales[at..at + size]);
    // By places, not by zipped chunks, which divide to find how many there are, panel by panel.
    let pairs = (0..values.len()).step_by(size);
    // A power of two divides the size, itself one, if it is no larger.
    if period.is_power_of_two() && period <= size * size {
        // Every pair of vectors holds the same features.
        let (c, r) = pattern(0);
        let (c, r) = (f64::load_pair(simd, c), f64::load_pair(simd, r));
        for at in pairs {
            standardise_pair(simd, &values[at..], (c, r), &mut by_rows[at..at + size]);
        }
    } else {
        let mut place = 0;
        for at in pairs {
            let (c, r) = pattern(place);
            let (c, r) = (f64::load_pair(simd, c), f64::load_pair(simd, r));
            standardise_pair(simd, &values[at..], (c, r), &mut by_rows[at..at + size]);
            place += size;
            if place == period {
                place = 0;
            }
        }
    }
}

#[inline(always)]
fn standardise_pair<S: Simd, V: Real, T: Real>(
    simd: S,
    values: &[V],
    (c, r): (Pair<S>, Pair<S>),
    to: &mut [T],
) {
    let x = V::load_pair(simd, &values[..2 * S::f64s::LEN]);
    T::store_pair::<S>([(x[0] - c[0]) * r[0], (x[1] - c[1]) * r[1]], to);
}

/// Rows one after the other become a panel, feature by feature.
#[inline(always)]
fn to_panel<S: Simd, T: Real>(simd: S, by_rows: &[T], d: usize, panel: usize, x: &mut [T]) {
    let lanes = Vector::<S, T>::LEN;
    match d {
        1 => x.copy_from_slice(&by_rows[..panel]),
        2 => part::<S, T, 2>(simd, by_rows, panel, x),
        4 => part::<S, T, 4>(simd, by_rows, panel, x),
        8 => part::<S, T, 8>(simd, by_rows, panel, x),
        _ => {
            for v in 0..panel / lanes {
                let rows = &by_rows[v * lanes * d..];
                for feature in (0..d).step_by(lanes) {
                    let mut square = [splat(simd, T::from_f64(0.0)); MOST_LANES];
                    for (n, row) in square[..lanes].iter_mut().enumerate() {
                        let at = n * d + feature;
                        *row = Vector::<S, T>::from_slice(simd, &rows[at..at + lanes]);
                    }
                    transpose::<S, T>(&mut square);
                    for (j, column) in square[..lanes.min(d - feature)].iter().enumerate() {
                        store::<S, T>(*column, &mut x[(feature + j) * panel..], v);
                    }
                }
            }
        }
    }
}

/// The same for D features, a power of two: numbers of even and of odd places are parted until each feature is alone.
#[inline(always)]
fn part<S: Simd, T: Real, const D: usize>(simd: S, by_rows: &[T], panel: usize, x: &mut [T]) {
    for v in 0..panel / Vector::<S, T>::LEN {
        let mut vectors = [splat(simd, T::from_f64(0.0)); D];
        for (i, vector) in vectors.iter_mut().enumerate() {
            *vector = load::<S, T>(simd, by_rows, D * v + i);
        }
        let steps = D.trailing_zeros();
        for step in 0..steps {
            let (from, half) = (vectors, D >> (step + 1));
            for i in 0..D / 2 {
                let (stream, at) = (i / half, i % half);
                let (a, b) = (from[2 * i], from[2 * i + 1]);
                vectors[2 * stream * half + at] = a.unzip_low(b);
                vectors[(2 * stream + 1) * half + at] = a.unzip_high(b);
            }
        }
        for (i, vector) in vectors.iter().enumerate() {
            // The first step parted by the last bit of the feature.
            let feature = i.reverse_bits() >> (usize::BITS - steps);
            store::<S, T>(*vector, &mut x[feature * panel..], v);
        }
    }
}
