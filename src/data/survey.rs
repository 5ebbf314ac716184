//! What standardisation must know of samples: ranges, moments, the grid that values may lie on.

use rayon::prelude::*;

use super::Samples;

/// Rows looked at for the correlation and for the grid that values may lie on.
const ROWS_LOOKED_AT: usize = 65_536;

/// Smallest and largest value of a feature over rows of positive weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Range {
    pub(super) fn middle(self) -> f64 {
        self.low / 2.0 + self.high / 2.0
    }

    pub(super) fn half(self) -> f64 {
        self.high / 2.0 - self.low / 2.0
    }
}

const ROWS_A_CHUNK: usize = 16_384;

/// Folds fixed chunks of rows in parallel and hands back the chunks' results in order, so that sums do not
/// depend on the number of threads.
fn by_chunks<T: Send>(
    samples: &Samples,
    fold: impl Fn(std::ops::Range<usize>) -> T + Sync,
) -> Vec<T> {
    let n = samples.len();
    (0..n.div_ceil(ROWS_A_CHUNK))
        .into_par_iter()
        .map(|c| fold(c * ROWS_A_CHUNK..((c + 1) * ROWS_A_CHUNK).min(n)))
        .collect()
}

pub(super) fn ranges(samples: &Samples) -> Vec<Range> {
    let d = samples.n_features();
    let none = Range {
        low: f64::INFINITY,
        high: f64::NEG_INFINITY,
    };
    let chunks = by_chunks(samples, |rows| {
        let mut ranges = vec![none; d];
        for i in rows.filter(|&i| samples.weight(i) > 0.0) {
            for (j, range) in ranges.iter_mut().enumerate() {
                let x = samples.value(i, j);
                range.low = range.low.min(x);
                range.high = range.high.max(x);
            }
        }
        ranges
    });
    let mut all = vec![none; d];
    for chunk in chunks {
        for (range, other) in all.iter_mut().zip(chunk) {
            range.low = range.low.min(other.low);
            range.high = range.high.max(other.high);
        }
    }
    all
}

/// Weighted mean and standard deviation per feature, in units of its range: u = (x − middle) / half ∈ [−1, 1],
/// so that no sum overflows.
pub(super) fn moments(samples: &Samples, extremes: &[Range]) -> Vec<(f64, f64)> {
    let d = samples.n_features();
    let heaviest = samples
        .weights()
        .map_or(1.0, |w| w.iter().fold(0.0, |a: f64, b| a.max(*b)));
    let scaled =
        |i: usize, j: usize| (samples.value(i, j) - extremes[j].middle()) / extremes[j].half();
    let sums = |shift: &[f64], square: bool| {
        let chunks = by_chunks(samples, |rows| {
            let mut sums = vec![0.0; d + 1];
            for i in rows {
                let weight = samples.weight(i) / heaviest;
                if weight == 0.0 {
                    continue; // its value may be out of range, and 0 × ∞ is no number
                }
                sums[d] += weight;
                for j in 0..d {
                    let u = scaled(i, j) - shift[j];
                    sums[j] += weight * if square { u * u } else { u };
                }
            }
            sums
        });
        let mut total = vec![0.0; d + 1];
        for chunk in chunks {
            for (t, c) in total.iter_mut().zip(chunk) {
                *t += c;
            }
        }
        let weight = total[d];
        total.truncate(d);
        total.iter_mut().for_each(|t| *t /= weight);
        total
    };
    let means = sums(&vec![0.0; d], false);
    let variances = sums(&means, true);
    means
        .into_iter()
        .zip(variances.into_iter().map(f64::sqrt))
        .collect()
}

/// At most [`ROWS_LOOKED_AT`] rows of positive weight, evenly spread.
pub(super) fn looked_at(samples: &Samples) -> impl Iterator<Item = usize> + '_ {
    let stride = samples.len().div_ceil(ROWS_LOOKED_AT).max(1);
    (0..samples.len())
        .step_by(stride)
        .filter(|&i| samples.weight(i) > 0.0)
}

/// The step of the decimal grid that all values looked at lie on (1, 0.1, … 1e-6), or 0 where there is none.
pub(super) fn resolution(samples: &Samples, feature: usize) -> f64 {
    let mut digits = 0;
    for i in looked_at(samples) {
        let x = samples.value(i, feature);
        while !on_grid(x, digits) {
            digits += 1;
            if digits > 6 {
                return 0.0;
            }
        }
    }
    10f64.powi(-digits)
}

fn on_grid(x: f64, digits: i32) -> bool {
    let scaled = x * 10f64.powi(digits);
    // Decimal text leaves at most a few units in the last place.
    (scaled - scaled.round()).abs() <= 4.0 * f64::EPSILON * scaled.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64], d: usize) -> Samples {
        Samples::new(values.to_vec(), d).expect("valid samples")
    }

    #[test]
    fn a_decimal_grid_is_found() {
        assert_eq!(resolution(&samples(&[1.0, 7.0, -3.0], 1), 0), 1.0);
        assert_eq!(resolution(&samples(&[0.1, 0.7, 3.0], 1), 0), 0.1);
        assert_eq!(
            resolution(&samples(&[0.1, std::f64::consts::PI], 1), 0),
            0.0
        );
    }
}
