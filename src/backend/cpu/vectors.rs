//! Vectors in memory: aligned storage, loads and stores, transposing.

use std::ops::Range;

use fearless_simd::{SimdFloatElement, prelude::*};

use super::real::Real;

/// A vector of `T` in the instruction set `S`.
pub(super) type Vector<S, T> = <T as SimdFloatElement>::Native<S>;

/// The most lanes of a vector.
pub(super) const MOST_LANES: usize = 16;

/// Where vectors should begin in memory: a cache line.
const ALIGNMENT: usize = 64;

/// Numbers that start on a cache line, so that no vector of them straddles two. Grows, never shrinks.
#[derive(Default)]
pub(super) struct Aligned<T> {
    values: Vec<T>,
    start: usize,
}

impl<T: Real> Aligned<T> {
    pub(super) fn zeros(length: usize) -> Self {
        let mut aligned = Self {
            values: Vec::new(),
            start: 0,
        };
        aligned.reserve(length);
        aligned
    }

    /// Makes room for `length` numbers. What was there is lost if it has to grow; new numbers are zeros.
    pub(super) fn reserve(&mut self, length: usize) {
        if self.values.len() < self.start + length {
            let spare = ALIGNMENT / size_of::<T>();
            self.values = vec![T::from_f64(0.0); length + spare];
            self.start = self.values.as_ptr().align_offset(ALIGNMENT).min(spare);
        }
    }

    /// The first `length` numbers.
    #[inline(always)]
    pub(super) fn first_mut(&mut self, length: usize) -> &mut [T] {
        &mut self.values[self.start..self.start + length]
    }

    /// Some of the numbers.
    #[inline(always)]
    pub(super) fn part(&self, range: Range<usize>) -> &[T] {
        &self.values[self.start + range.start..self.start + range.end]
    }

    /// Some of the numbers.
    #[inline(always)]
    pub(super) fn part_mut(&mut self, range: Range<usize>) -> &mut [T] {
        &mut self.values[self.start + range.start..self.start + range.end]
    }
}

/// Vector `at` of a slice.
#[inline(always)]
pub(super) fn load<S: Simd, T: Real>(simd: S, values: &[T], at: usize) -> Vector<S, T> {
    let lanes = Vector::<S, T>::LEN;
    Vector::<S, T>::from_slice(simd, &values[at * lanes..(at + 1) * lanes])
}

/// Makes `vector` vector `at` of a slice.
#[inline(always)]
pub(super) fn store<S: Simd, T: Real>(vector: Vector<S, T>, values: &mut [T], at: usize) {
    let lanes = Vector::<S, T>::LEN;
    vector.store_slice(&mut values[at * lanes..(at + 1) * lanes]);
}

/// The number in all lanes.
#[inline(always)]
pub(super) fn splat<S: Simd, T: Real>(simd: S, value: T) -> Vector<S, T> {
    Vector::<S, T>::splat(simd, value)
}

/// The first M vectors of a slice.
#[inline(always)]
pub(super) fn load_all<S: Simd, T: Real, const M: usize>(
    simd: S,
    values: &[T],
) -> [Vector<S, T>; M] {
    let values = &values[..M * Vector::<S, T>::LEN];
    let mut vectors = [splat(simd, T::from_f64(0.0)); M];
    for (m, vector) in vectors.iter_mut().enumerate() {
        *vector = load(simd, values, m);
    }
    vectors
}

/// Makes them the first M vectors of a slice.
#[inline(always)]
pub(super) fn store_all<S: Simd, T: Real, const M: usize>(
    vectors: [Vector<S, T>; M],
    values: &mut [T],
) {
    let values = &mut values[..M * Vector::<S, T>::LEN];
    for (m, vector) in vectors.into_iter().enumerate() {
        store::<S, T>(vector, values, m);
    }
}

/// As many vectors as one has lanes; the rest of the array is not looked at.
pub(super) type Square<S, T> = [Vector<S, T>; MOST_LANES];

/// Rows become columns.
#[inline(always)]
pub(super) fn transpose<S: Simd, T: Real>(square: &mut Square<S, T>) {
    // Each round interleaves the first half of the vectors with the second, lane by lane.
    let lanes = Vector::<S, T>::LEN;
    if lanes == 16 {
        interleave_halves::<S, T, 8>(square);
        interleave_halves::<S, T, 8>(square);
        interleave_halves::<S, T, 8>(square);
        interleave_halves::<S, T, 8>(square);
    } else if lanes == 8 {
        interleave_halves::<S, T, 4>(square);
        interleave_halves::<S, T, 4>(square);
        interleave_halves::<S, T, 4>(square);
    } else if lanes == 4 {
        interleave_halves::<S, T, 2>(square);
        interleave_halves::<S, T, 2>(square);
    } else {
        interleave_halves::<S, T, 1>(square);
    }
}

#[inline(always)]
fn interleave_halves<S: Simd, T: Real, const H: usize>(square: &mut Square<S, T>) {
    let before = *square;
    for i in 0..H {
        square[2 * i] = before[i].zip_low(before[i + H]);
        square[2 * i + 1] = before[i].zip_high(before[i + H]);
    }
}

/// The vector whose lane i is the sum of the lanes of vector i: half the work of transposing, and the additions.
#[inline(always)]
pub(super) fn lane_sums<S: Simd, T: Real>(mut square: Square<S, T>) -> Vector<S, T> {
    let lanes = Vector::<S, T>::LEN;
    if lanes > 8 {
        add_halves::<S, T, 8>(&mut square);
    }
    if lanes > 4 {
        add_halves::<S, T, 4>(&mut square);
    }
    if lanes > 2 {
        add_halves::<S, T, 2>(&mut square);
    }
    add_halves::<S, T, 1>(&mut square);
    square[0]
}

#[inline(always)]
fn add_halves<S: Simd, T: Real, const H: usize>(square: &mut Square<S, T>) {
    for i in 0..H {
        square[i] = square[i].zip_low(square[i + H]) + square[i].zip_high(square[i + H]);
    }
}

#[cfg(test)]
mod tests {
    use fearless_simd::Level;

    use super::super::level::on_level;
    use super::*;

    #[inline(always)]
    fn check<S: Simd, T: Real>(simd: S) {
        let lanes = Vector::<S, T>::LEN;
        let entry = |i: usize, lane: usize| (100 * i + lane) as f64;
        let mut square = [splat(simd, T::from_f64(0.0)); MOST_LANES];
        for (i, vector) in square[..lanes].iter_mut().enumerate() {
            *vector = Vector::<S, T>::from_fn(simd, |lane| T::from_f64(entry(i, lane)));
        }
        let sums = lane_sums::<S, T>(square);
        transpose::<S, T>(&mut square);
        for i in 0..lanes {
            let sum: f64 = (0..lanes).map(|lane| entry(i, lane)).sum();
            assert_eq!(sums.as_slice()[i].to_f64(), sum);
            for lane in 0..lanes {
                assert_eq!(square[i].as_slice()[lane].to_f64(), entry(lane, i));
            }
        }
    }

    #[test]
    fn squares_are_transposed_and_summed() {
        on_level!(Level::new(), simd => { check::<_, f32>(simd); check::<_, f64>(simd) });
    }

    #[test]
    fn aligned_numbers_start_on_a_cache_line() {
        let mut numbers = Aligned::<f32>::zeros(3);
        for length in [3, 1_000] {
            numbers.reserve(length);
            assert_eq!(numbers.first_mut(length).as_ptr() as usize % ALIGNMENT, 0);
            assert!(numbers.first_mut(length).iter().all(|x| *x == 0.0));
        }
    }
}
