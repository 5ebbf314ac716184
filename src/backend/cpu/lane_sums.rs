//! Statistics as the kernels add them: one sum a SIMD lane, turned into f64 before single precision tires.

use fearless_simd::prelude::*;

use super::prepared::Prepared;
use super::real::Real;
use super::vectors::{Aligned, MOST_LANES, Vector, lane_sums, load, splat};
use crate::backend::Statistics;
use crate::mixture::CovarianceType;

/// Lane sums of a whole model are kept from chunk to chunk while they fit this, else one component's at a time.
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
    /// Whether second moments are summed over components.
    pooled: bool,
    /// Whether every component has room of its own, so that sums may run on from chunk to chunk.
    pub(super) kept: bool,
}

impl<T: Real> LaneSums<T> {
    /// Room for the sums of a model, all zero.
    pub(super) fn prepare(&mut self, model: &Prepared<T>, lanes: usize) {
        self.pooled = model.covariance_type == CovarianceType::Tied;
        self.first_len = (1 + model.d) * lanes;
        self.second_len = model.second_moments() * lanes;
        let seconds = if self.pooled { 1 } else { model.k };
        let numbers = model.k * self.first_len + seconds * self.second_len;
        self.kept = numbers * size_of::<T>() <= BYTES;
        let slots = |all: usize| if self.kept { all } else { 1 };
        let lengths = [
            slots(model.k) * self.first_len,
            slots(seconds) * self.second_len,
        ];
        for (sums, length) in [&mut self.first, &mut self.second].into_iter().zip(lengths) {
            sums.reserve(length);
            sums.first_mut(length).fill(T::from_f64(0.0));
        }
    }

    /// The sums of component `k`: S0 and S1, and second moments.
    #[inline(always)]
    pub(super) fn of(&mut self, k: usize) -> (&mut [T], &mut [T]) {
        let slot = if self.kept { k } else { 0 };
        let second = if self.pooled { 0 } else { slot };
        (
            self.first
                .part_mut(slot * self.first_len..(slot + 1) * self.first_len),
            self.second
                .part_mut(second * self.second_len..(second + 1) * self.second_len),
        )
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
        let (d, lanes) = (model.d, Vector::<S, T>::LEN);
        let pooled = self.pooled;
        let (first, second) = self.of(k);
        let (s0, s1) = first.split_at_mut(lanes);
        add(simd, s0, unit, &mut sums.s0[k..=k]);
        add(simd, s1, unit, &mut sums.s1[k * d..(k + 1) * d]);
        let length = second.len() / lanes;
        match model.covariance_type {
            CovarianceType::Tied if k + 1 < model.k => {}
            CovarianceType::Tied => add(simd, second, unit, &mut sums.s2),
            CovarianceType::Spherical => {
                let trace: f64 = second.iter().map(|x| x.to_f64()).sum();
                second.fill(T::from_f64(0.0));
                sums.s2[k] += unit * trace;
            }
            CovarianceType::Full | CovarianceType::Diag => {
                add(
                    simd,
                    second,
                    unit,
                    &mut sums.s2[k * length..(k + 1) * length],
                );
            }
        }
        debug_assert!(pooled == (model.covariance_type == CovarianceType::Tied));
    }
}

/// Adds the sums of the lanes of each vector to a number and clears them.
#[inline(always)]
fn add<S: Simd, T: Real>(simd: S, vectors: &mut [T], unit: f64, to: &mut [f64]) {
    let lanes = Vector::<S, T>::LEN;
    let zero = splat::<S, T>(simd, T::from_f64(0.0));
    for (vectors, to) in vectors.chunks_mut(lanes * lanes).zip(to.chunks_mut(lanes)) {
        let mut square = [zero; MOST_LANES];
        for (v, vector) in square[..vectors.len() / lanes].iter_mut().enumerate() {
            *vector = load(simd, vectors, v);
        }
        vectors.fill(T::from_f64(0.0));
        let sums = lane_sums::<S, T>(square);
        for (to, sum) in to.iter_mut().zip(sums.as_slice()) {
            *to += unit * sum.to_f64();
        }
    }
}
