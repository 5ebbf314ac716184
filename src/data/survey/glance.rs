//! What is learnt from some of the rows: the grid that values lie on, and the correlation of features.

use fearless_simd::{Level, dispatch};
use rayon::prelude::*;

use crate::data::{Samples, Values};
use crate::mixture::triangle;

/// Rows looked at, at most.
const ROWS_LOOKED_AT: usize = 65_536;
/// Rows of a block: feature by feature they stay in the cache.
const ROWS: usize = 256;
/// Live partial sums stay below this.
const PARTIALS_BYTES: usize = 32 << 20;
/// The most strands of blocks, and so the most threads that work at once.
const MOST_STRANDS: usize = 32;
/// Decimal digits of the finest grid that is looked for.
const MOST_DIGITS: i32 = 6;
/// Sums that run side by side.
const LANES: usize = 16;

/// Rows of positive weight, evenly spread, as seen.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Glance {
    /// Per feature, the step of the decimal grid that all its values lie on (1, 0.1, … 1e-6), or 0 where there is
    /// none.
    pub(in crate::data) resolutions: Vec<f64>,
    /// Σ w z zᵀ / Σ w of z = (x − centre) / scale, packed; empty unless asked for or where no row counts.
    pub(in crate::data) correlation: Vec<f64>,
}

/// What one strand of blocks has seen.
struct Seen {
    digits: Vec<i32>,
    products: Vec<f64>,
    weight: f64,
}

impl Glance {
    /// Looks at the samples; at the products of features too where `correlate` says so.
    pub(in crate::data) fn of(
        samples: &Samples,
        centers: &[f64],
        inverse_scales: &[f64],
        correlate: bool,
    ) -> Self {
        let d = samples.n_features();
        let stride = samples.len().div_ceil(ROWS_LOOKED_AT);
        let rows = samples.len().div_ceil(stride);
        let blocks = rows.div_ceil(ROWS);
        let numbers = if correlate {
            triangle::packed_len(d)
        } else {
            0
        };
        let strands = (PARTIALS_BYTES / (size_of::<f64>() * numbers.max(1)))
            .clamp(1, MOST_STRANDS)
            .min(blocks);
        let level = Level::new();
        let seen: Vec<Seen> = (0..strands)
            .into_par_iter()
            .map(|s| {
                let mut columns = Columns::new(d);
                let mut seen = Seen {
                    digits: vec![0; d],
                    products: vec![0.0; numbers],
                    weight: 0.0,
                };
                for block in s * blocks / strands..(s + 1) * blocks / strands {
                    let own = block * ROWS..((block + 1) * ROWS).min(rows);
                    columns.fill(samples, own.map(|row| row * stride));
                    dispatch!(level, _simd => {
                        columns.digits(&mut seen.digits);
                        if correlate {
                            columns.standardise(centers, inverse_scales);
                            columns.multiply(&mut seen.products);
                        }
                    });
                    seen.weight += columns.weights.iter().sum::<f64>();
                }
                seen
            })
            .collect();
        let mut digits = vec![0; d];
        let mut products = vec![0.0; numbers];
        let mut weight = 0.0;
        for strand in seen {
            weight += strand.weight;
            for (most, other) in digits.iter_mut().zip(strand.digits) {
                *most = other.max(*most);
            }
            for (sum, other) in products.iter_mut().zip(strand.products) {
                *sum += other;
            }
        }
        if weight == 0.0 {
            products.clear();
        }
        products.iter_mut().for_each(|sum| *sum /= weight);
        Self {
            resolutions: digits.into_iter().map(step).collect(),
            correlation: products,
        }
    }
}

/// The step of a grid of so many digits.
fn step(digits: i32) -> f64 {
    if digits > MOST_DIGITS {
        return 0.0;
    }
    10f64.powi(-digits)
}

/// A block of rows, feature by feature.
struct Columns {
    /// Rows of positive weight in it.
    rows: usize,
    /// D × [`ROWS`] values, 0 beyond those rows.
    values: Vec<f64>,
    /// The same times the rows' weights.
    weighted: Vec<f64>,
    /// [`ROWS`] weights in units of [`Samples::weight_unit`], 0 beyond those rows.
    weights: Vec<f64>,
}

impl Columns {
    fn new(d: usize) -> Self {
        Self {
            rows: 0,
            values: vec![0.0; d * ROWS],
            weighted: vec![0.0; d * ROWS],
            weights: vec![0.0; ROWS],
        }
    }

    fn fill(&mut self, samples: &Samples, rows: impl Iterator<Item = usize>) {
        match samples.values() {
            Values::F32(values) => self.take(samples, values, rows),
            Values::F64(values) => self.take(samples, values, rows),
        }
    }

    fn take<V: Copy + Into<f64>>(
        &mut self,
        samples: &Samples,
        values: &[V],
        rows: impl Iterator<Item = usize>,
    ) {
        let (d, unit) = (samples.n_features(), samples.weight_unit());
        self.rows = 0;
        self.weights.fill(0.0);
        for i in rows.filter(|&i| samples.weight(i) > 0.0) {
            self.weights[self.rows] = samples.weight(i) / unit;
            for (j, x) in values[i * d..(i + 1) * d].iter().enumerate() {
                self.values[j * ROWS + self.rows] = (*x).into();
            }
            self.rows += 1;
        }
        for column in self.values.chunks_exact_mut(ROWS) {
            column[self.rows..].fill(0.0);
        }
    }

    /// Raises the digits of each feature until its values lie on the grid.
    #[inline(always)]
    fn digits(&self, digits: &mut [i32]) {
        for (digits, column) in digits.iter_mut().zip(self.values.chunks_exact(ROWS)) {
            for values in column[..self.rows].chunks(LANES) {
                while *digits <= MOST_DIGITS && !all_on_grid(values, *digits) {
                    *digits += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn standardise(&mut self, centers: &[f64], inverse_scales: &[f64]) {
        let columns = self.values.chunks_exact_mut(ROWS);
        let weighted = self.weighted.chunks_exact_mut(ROWS);
        for (j, (column, weighted)) in columns.zip(weighted).enumerate() {
            for x in &mut column[..self.rows] {
                *x = (*x - centers[j]) * inverse_scales[j];
            }
            for ((to, x), weight) in weighted.iter_mut().zip(column).zip(&self.weights) {
                *to = weight * *x;
            }
        }
    }

    /// Adds Σ w z zᵀ.
    #[inline(always)]
    fn multiply(&self, products: &mut [f64]) {
        let d = self.values.len() / ROWS;
        for a in 0..d {
            let weighted = &self.weighted[a * ROWS..(a + 1) * ROWS];
            for (b, column) in self.values.chunks_exact(ROWS).enumerate().take(a + 1) {
                products[triangle::at(a, b)] += dot(weighted, column);
            }
        }
    }
}

/// Σ x y over a whole number of lanes.
#[inline(always)]
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for (x, y) in x.chunks_exact(LANES).zip(y.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    // Halves are added, since one lane after the other would take longer than the products.
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

#[inline(always)]
fn all_on_grid(values: &[f64], digits: i32) -> bool {
    let per_step = 10f64.powi(digits);
    values.iter().fold(true, |all, x| {
        let scaled = x * per_step;
        // Decimal text leaves at most a few units in the last place.
        let off = (scaled - scaled.round_ties_even()).abs();
        all & (off <= 4.0 * f64::EPSILON * scaled.abs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolution(values: &[f64]) -> f64 {
        let samples = Samples::new(values.to_vec(), 1).expect("valid samples");
        Glance::of(&samples, &[0.0], &[1.0], false).resolutions[0]
    }

    #[test]
    fn a_decimal_grid_is_found() {
        assert_eq!(resolution(&[1.0, 7.0, -3.0]), 1.0);
        assert_eq!(resolution(&[0.1, 0.7, 3.0]), 0.1);
        assert_eq!(resolution(&[0.1, std::f64::consts::PI]), 0.0);
        // The one value that is off the grid stands in the last of many blocks.
        let mut many: Vec<f64> = (0..10_000).map(|i| f64::from(i) / 4.0).collect();
        assert_eq!(resolution(&many), 0.01);
        many.push(0.125);
        assert_eq!(resolution(&many), 0.001);
    }

    #[test]
    fn correlations_are_those_of_plain_sums_whatever_the_weights() {
        let (n, d) = (70_001, 3);
        let values: Vec<f64> = (0..n * d).map(|i| (i as f64 * 0.7).sin()).collect();
        let weights: Vec<f64> = (0..n).map(|i| f64::from(i as u32 % 4)).collect();
        let plain = Samples::new(values, d).expect("finite");
        let weighted = plain.clone().with_weights(weights).expect("weights");
        let (centers, inverse_scales) = ([0.1, 0.2, -0.3], [1.5, 0.5, 2.0]);
        for samples in [plain, weighted] {
            let (mut sums, mut total) = ([0.0; 6], 0.0);
            for i in (0..n).step_by(2) {
                let z: Vec<f64> = (0..d)
                    .map(|j| (samples.value(i, j) - centers[j]) * inverse_scales[j])
                    .collect();
                total += samples.weight(i);
                for a in 0..d {
                    for b in 0..=a {
                        sums[triangle::at(a, b)] += samples.weight(i) * z[a] * z[b];
                    }
                }
            }
            let glance = Glance::of(&samples, &centers, &inverse_scales, true);
            for (seen, sum) in glance.correlation.iter().zip(sums) {
                // 35,001 terms of order 1, added in two orders: each within n ε / 2 of the sum of magnitudes.
                assert!((seen - sum / total).abs() < 1e-11, "{seen} {}", sum / total);
            }
        }
    }
}
