//! Statistics as the kernels add them: one sum a SIMD lane, turned into f64 before single precision tires.

use super::prepared::Prepared;
use super::real::Real;
use crate::backend::Statistics;
use crate::mixture::{CovarianceType, triangle};

/// Lane sums of a whole model are kept between chunks while they fit this, else one component's at a time.
const BYTES: usize = 1 << 20;

/// Per component [1 + D + second moments] vectors of running sums.
pub(super) struct LaneSums<T> {
    values: Vec<T>,
    /// Lanes of a vector.
    lanes: usize,
    /// Numbers a component.
    length: usize,
    /// What the rows' weights were divided by.
    weight_unit: f64,
    /// Whether every component has room of its own, so that sums may run on from chunk to chunk.
    pub(super) outlive_a_chunk: bool,
}

impl<T: Real> LaneSums<T> {
    pub(super) fn new(model: &Prepared<T>, lanes: usize, weight_unit: f64) -> Self {
        let length = model.sums() * lanes;
        let outlive_a_chunk = model.k * length * size_of::<T>() <= BYTES;
        let slots = if outlive_a_chunk { model.k } else { 1 };
        Self {
            values: vec![T::from_f64(0.0); slots * length],
            lanes,
            length,
            weight_unit,
            outlive_a_chunk,
        }
    }

    /// The sums of component `k`.
    #[inline(always)]
    pub(super) fn of(&mut self, k: usize) -> &mut [T] {
        let slot = if self.outlive_a_chunk { k } else { 0 };
        &mut self.values[slot * self.length..(slot + 1) * self.length]
    }

    /// Adds component `k`'s sums to the statistics in f64 and clears them.
    #[inline(always)]
    pub(super) fn flush(&mut self, model: &Prepared<T>, k: usize, sums: &mut Statistics) {
        let (d, lanes, unit) = (model.d, self.lanes, self.weight_unit);
        for (s, lanes) in self.of(k).chunks_exact_mut(lanes).enumerate() {
            let total = unit * lanes.iter().map(|x| x.to_f64()).sum::<f64>();
            lanes.fill(T::from_f64(0.0));
            if s == 0 {
                sums.s0[k] += total;
            } else if s <= d {
                sums.s1[k * d + s - 1] += total;
            } else {
                let second = s - 1 - d;
                let at = match model.covariance_type {
                    CovarianceType::Full => k * triangle::packed_len(d) + second,
                    CovarianceType::Tied => second,
                    CovarianceType::Diag => k * d + second,
                    CovarianceType::Spherical => k,
                };
                sums.s2[at] += total;
            }
        }
    }
}
