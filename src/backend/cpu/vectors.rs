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

    /// All numbers there is room for.
    #[inline(always)]
    pub(super) fn all_mut(&mut self) -> &mut [T] {
        &mut self.values[self.start..]
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
    let lanes = Vector::<S, T>::LEN;
    for (vector, values) in vectors.iter_mut().zip(values.chunks_exact(lanes)) {
        *vector = Vector::<S, T>::from_slice(simd, values);
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
    let lanes = Vector::<S, T>::LEN;
    for (vector, values) in vectors.iter().zip(values.chunks_exact_mut(lanes)) {
        vector.store_slice(values);
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

/// The vector whose lane i is the sum of the lanes of vector i of as many as one has lanes: half the work of
/// transposing, and the additions. Pairs are added depth first, so that few vectors are alive at once.
#[inline(always)]
pub(super) fn lane_sums<S: Simd, T: Real>(simd: S, vectors: &[T]) -> Vector<S, T> {
    let lanes = Vector::<S, T>::LEN;
    let vectors = &vectors[..lanes * lanes];
    fold::<S, T>(
        every_second::<S, T>(simd, vectors, 0),
        every_second::<S, T>(simd, vectors, 1),
    )
}

/// Vectors i, i + 2, i + 4, …, folded into one.
#[inline(always)]
fn every_second<S: Simd, T: Real>(simd: S, vectors: &[T], i: usize) -> Vector<S, T> {
    if Vector::<S, T>::LEN == 2 {
        return load(simd, vectors, i);
    }
    fold::<S, T>(
        every_fourth::<S, T>(simd, vectors, i),
        every_fourth::<S, T>(simd, vectors, i + 2),
    )
}

#[inline(always)]
fn every_fourth<S: Simd, T: Real>(simd: S, vectors: &[T], i: usize) -> Vector<S, T> {
    if Vector::<S, T>::LEN == 4 {
        return load(simd, vectors, i);
    }
    fold::<S, T>(
        every_eighth::<S, T>(simd, vectors, i),
        every_eighth::<S, T>(simd, vectors, i + 4),
    )
}

#[inline(always)]
fn every_eighth<S: Simd, T: Real>(simd: S, vectors: &[T], i: usize) -> Vector<S, T> {
    if Vector::<S, T>::LEN == 8 {
        return load(simd, vectors, i);
    }
    fold::<S, T>(load(simd, vectors, i), load(simd, vectors, i + 8))
}

/// Sums of neighbouring lanes of both vectors, interleaved.
#[inline(always)]
fn fold<S: Simd, T: Real>(a: Vector<S, T>, b: Vector<S, T>) -> Vector<S, T> {
    a.zip_low(b) + a.zip_high(b)
}

#[cfg(test)]
mod tests {
    use super::super::level::{self, on_level};
    use super::*;

    #[inline(always)]
    fn check<S: Simd, T: Real>(simd: S) {
        let lanes = Vector::<S, T>::LEN;
        let entry = |i: usize, lane: usize| (100 * i + lane) as f64;
        let mut square = [splat(simd, T::from_f64(0.0)); MOST_LANES];
        for (i, vector) in square[..lanes].iter_mut().enumerate() {
            *vector = Vector::<S, T>::from_fn(simd, |lane| T::from_f64(entry(i, lane)));
        }
        let flat: Vec<T> = (0..lanes * lanes)
            .map(|at| T::from_f64(entry(at / lanes, at % lanes)))
            .collect();
        let sums = lane_sums::<S, T>(simd, &flat);
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
        for level in level::all() {
            on_level!(level, simd => { check::<_, f32>(simd); check::<_, f64>(simd) });
        }
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
