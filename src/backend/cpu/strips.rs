//! Rows for other devices: standardised in f64, rounded to single precision and turned, a strip of rows at a time.

use std::ops::Range;

use fearless_simd::Level;

use super::level::on_level;
use super::rows::{Loader, WEIGHED};
use super::vectors::Aligned;
use crate::data::{Samples, Standardisation};

/// Rows of a strip: a divisor of every summation block's length but the last one's.
pub(in crate::backend) const STRIP: usize = WEIGHED;

/// Standardised values are kept within this, so that no product overflows single precision. Only rows of weight 0, which
/// standardisation does not look at, come near it.
const FARTHEST: f32 = 1e12;

/// Where strips come from.
pub(in crate::backend) struct Strips<'a> {
    loader: Loader<'a>,
    level: Level,
}

/// What a thread needs to make strips, used again and again.
#[derive(Default)]
pub(in crate::backend) struct Scratch {
    by_rows: Aligned<f32>,
    columns: Aligned<f32>,
}

impl std::fmt::Debug for Strips<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The samples are too many to tell.
        f.debug_struct("Strips").finish_non_exhaustive()
    }
}

impl<'a> Strips<'a> {
    /// Strips of these samples.
    pub(in crate::backend) fn new(samples: &'a Samples, map: &'a Standardisation) -> Self {
        Self {
            loader: Loader::new(samples, map),
            level: Level::new(),
        }
    }

    /// At most [`STRIP`] rows, feature by feature, [`STRIP`] numbers each, and last their weights in units of the largest
    /// one's power of two if they have weights. Places beyond the last row hold finite numbers and weight 0.
    pub(in crate::backend) fn read<'s>(
        &self,
        rows: Range<usize>,
        scratch: &'s mut Scratch,
    ) -> &'s [f32] {
        let samples = self.loader.samples();
        let features = samples.n_features() * STRIP;
        let weights = samples.weights().map_or(0, |_| STRIP);
        scratch.columns.reserve(features + weights);
        let columns = scratch.columns.first_mut(features + weights);
        let (x, weights) = columns.split_at_mut(features);
        on_level!(self.level, simd => {
            self.loader.fill(simd, rows.clone(), STRIP, &mut scratch.by_rows, x);
            keep_near(x);
            if !weights.is_empty() {
                self.loader.fill_weights(simd, rows, weights);
            }
        });
        columns
    }
}

#[inline(always)]
fn keep_near(values: &mut [f32]) {
    for x in values {
        // Overflow in a row of weight 0 may leave a NaN.
        let number = if x.is_nan() { FARTHEST } else { *x };
        *x = number.clamp(-FARTHEST, FARTHEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::CovarianceType;

    #[test]
    fn strips_are_the_standardised_rows() {
        for (n, d, weighted) in [
            (1, 1, false),
            (300, 2, true),
            (256, 3, true),
            (600, 17, false),
        ] {
            let mut values: Vec<f64> = (0..n * d).map(|i| (i * 7919 % 1013) as f64 / 7.0).collect();
            let weights: Vec<f64> = (0..n).map(|i| (i % 7) as f64).collect();
            if weighted {
                // Of weight 0.
                values[0] = 1e308;
            }
            let mut samples = Samples::new(values, d).expect("finite");
            if weighted {
                samples = samples.with_weights(weights.clone()).expect("weights");
            }
            let map = Standardisation::of(&samples, CovarianceType::Full)
                .unwrap_or_else(|_| Standardisation::identity(d));
            let strips = Strips::new(&samples, &map);
            let mut scratch = Scratch::default();
            for first in (0..n).step_by(STRIP) {
                let rows = first..n.min(first + STRIP);
                let strip = strips.read(rows.clone(), &mut scratch);
                assert_eq!(strip.len(), (d + usize::from(weighted)) * STRIP);
                assert!(strip.iter().all(|x| x.is_finite()));
                let mut row = vec![0.0; d];
                for (n, i) in rows.enumerate() {
                    samples.copy_row(i, &mut row);
                    map.apply(&mut row);
                    for (j, x) in row.iter().enumerate() {
                        let wanted = (*x as f32).clamp(-FARTHEST, FARTHEST);
                        assert_eq!(strip[j * STRIP + n], wanted, "row {i}, feature {j}");
                    }
                    if weighted {
                        let wanted = (weights[i] / samples.weight_unit()) as f32;
                        assert_eq!(strip[d * STRIP + n], wanted);
                    }
                }
            }
        }
    }
}
