//! Statistics as the kernels add them: one sum a SIMD lane, turned into f64 before single precision tires.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::prepared::{Prepared, Shape};
use super::products::COMPONENTS;
use super::real::Real;
use super::vectors::{Aligned, Vector, lane_sums, splat, store};
use crate::backend::Statistics;

/// Lane sums of a whole model are kept from chunk to chunk while they fit this, else those of a few components at a time.
const BYTES: usize = 1 << 20;

/// Rows a lane may add before its sums go to f64.
pub(super) const RUN: usize = 256;

/// Running sums of one model.
#[derive(Default)]
pub(super) struct LaneSums<T> {
    /// Per component 1 + D vectors: S0 and S1.
    first: Aligned<T>,
    /// Per component, or for all together if they are pooled, the vectors of second moments.
    second: Aligned<T>,
    first_len: usize,
    second_len: usize,
    /// Components that have room at once.
    pub(super) slots: usize,
    /// Numbers behind the sums that may be read.
    behind: usize,
    /// Whether second moments are summed over components.
    pooled: bool,
    /// Whether every component has room of its own, so that sums may run on from chunk to chunk.
    pub(super) kept: bool,
}

impl<T: Real> LaneSums<T> {
    /// Room for the sums of a model, all zero.
    pub(super) fn prepare(&mut self, model: &Prepared<T>, lanes: usize) {
        self.pooled = model.second_moments_are_pooled();
        self.behind = lanes * lanes;
        self.first_len = (1 + model.d) * lanes;
        self.second_len = model.second_moments() * lanes;
        let seconds = if self.pooled { 1 } else { model.k };
        let numbers = model.k * self.first_len + seconds * self.second_len;
        self.kept = numbers * size_of::<T>() <= BYTES;
        self.slots = match model.shape {
            _ if self.kept => model.k,
            Shape::Tied | Shape::Diagonal => COMPONENTS.min(model.k),
            Shape::Fused { .. } | Shape::Tiled => 1,
        };
        let lengths = [
            self.slots * self.first_len + self.behind,
            self.slots.min(seconds) * self.second_len + self.behind,
        ];
        for (sums, length) in [&mut self.first, &mut self.second].into_iter().zip(lengths) {
            sums.reserve(length);
            sums.first_mut(length).fill(T::from_f64(0.0));
        }
    }

    /// The sums of component `k`: S0 and S1, and second moments; and some numbers behind them, for [`add`].
    #[inline(always)]
    pub(super) fn of(&mut self, k: usize) -> (&mut [T], &mut [T]) {
        let slot = k % self.slots;
        let second = if self.pooled { 0 } else { slot };
        let part = |slot: usize, length: usize| slot * length..(slot + 1) * length + self.behind;
        (
            self.first.part_mut(part(slot, self.first_len)),
            self.second.part_mut(part(second, self.second_len)),
        )
    }

    /// The sums of all components, if they are kept: S0 and S1 of each, and second moments of each, or of all if they are
    /// pooled.
    #[inline(always)]
    pub(super) fn all(&mut self) -> (&mut [T], &mut [T]) {
        (self.first.all_mut(), self.second.all_mut())
    }

    /// Adds component `k`'s sums to the statistics in f64 and clears them; pooled ones with the last component.
    #[inline(always)]
    pub(super) fn flush<S: Simd>(
        &mut self,
        simd: S,
        model: &Prepared<T>,
        k: usize,
        unit: f64,
        sums: &mut Statistics,
    ) {
        let pooled = self.pooled;
        let (first, second) = self.of(k);
        flush_first(simd, first, model, k, unit, sums);
        if !pooled || k + 1 == model.k {
            let numbers = 0..model.second_moments();
            flush_second(simd, second, model, k, numbers, unit, sums);
        }
    }
}

/// Adds component `k`'s S0 and S1 to the statistics and clears them.
#[inline(always)]
pub(super) fn flush_first<S: Simd, T: Real>(
    simd: S,
    vectors: &mut [T],
    model: &Prepared<T>,
    k: usize,
    unit: f64,
    sums: &mut Statistics,
) {
    let d = model.d;
    let (s0, s1) = vectors.split_at_mut(Vector::<S, T>::LEN);
    sums.s0[k] += unit * s0.iter().map(|x| x.to_f64()).sum::<f64>();
    s0.fill(T::from_f64(0.0));
    add(simd, s1, unit, &mut sums.s1[k * d..(k + 1) * d]);
}

/// Adds some of component `k`'s second moments to the statistics and clears them.
#[inline(always)]
pub(super) fn flush_second<S: Simd, T: Real>(
    simd: S,
    vectors: &mut [T],
    model: &Prepared<T>,
    k: usize,
    numbers: Range<usize>,
    unit: f64,
    sums: &mut Statistics,
) {
    let start = if model.second_moments_are_pooled() {
        0
    } else {
        k * model.second_moments()
    };
    let to = &mut sums.s2[start + numbers.start..start + numbers.end];
    add(simd, vectors, unit, to);
}

/// Adds the sums of the lanes of each vector to a number and clears them. Of the vectors behind them as many as one has
/// lanes are read, not used.
#[inline(always)]
fn add<S: Simd, T: Real>(simd: S, vectors: &mut [T], unit: f64, to: &mut [f64]) {
    let (lanes, wide) = (Vector::<S, T>::LEN, S::f64s::LEN);
    let (zero, none) = (
        splat::<S, T>(simd, T::from_f64(0.0)),
        S::f64s::splat(simd, 0.0),
    );
    for (group, to) in to.chunks_mut(lanes).enumerate() {
        let vectors = &mut vectors[group * lanes * lanes..(group + 1) * lanes * lanes];
        let sums = lane_sums::<S, T>(simd, vectors);
        for v in 0..to.len() {
            store::<S, T>(zero, vectors, v);
        }
        if to.len() == lanes {
            let mut parts = [none; 2];
            T::add_to(sums, &mut parts);
            for (part, to) in parts.into_iter().zip(to.chunks_exact_mut(wide)) {
                let total = part.mul_add(unit, S::f64s::from_slice(simd, to));
                total.store_slice(to);
            }
        } else {
            for (to, sum) in to.iter_mut().zip(sums.as_slice()) {
                *to += unit * sum.to_f64();
            }
        }
    }
}
