//! The samples of a fit: an N × D table in the file's own type, with optional weights.

use rayon::prelude::*;

use super::DataError;
use super::survey::{self, Interval, power_of_two_below};

/// Rows picked as one piece.
const PICKED: usize = 4096;
/// Numbers looked at or added as one piece.
const PIECE: usize = 16_384;

/// Sample values, row-major, N × D, held once in the type they came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Single precision, as in an `f4` NPY file.
    F32(Vec<f32>),
    /// Double precision, as in a CSV or an `f8` NPY file.
    F64(Vec<f64>),
}

impl Values {
    /// How many numbers there are, N × D.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
        }
    }

    /// Whether there is no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `i` of the row-major table.
    #[inline]
    pub fn get(&self, i: usize) -> f64 {
        match self {
            Values::F32(v) => f64::from(v[i]),
            Values::F64(v) => v[i],
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Values::F32(values)
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Values::F64(values)
    }
}

/// Sums of weights whose products with log densities (up to 1e30), squares and shares f64 can hold.
const TOTALS: std::ops::RangeInclusive<f64> = 1e-250..=1e250;

/// N samples of D features, every value finite, each row with a weight (1 unless given).
///
/// Weights are frequencies: a row of weight 3 counts as three equal rows, a row of weight 0 not at all.
#[derive(Clone, Debug)]
pub struct Samples {
    values: Values,
    n_features: usize,
    weights: Option<Weights>,
    /// The features' ranges, if they were met while the values were looked at. Unknown once some row may not count.
    ranges: Option<Vec<Interval>>,
}

/// What is known of samples makes no difference.
impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        self.n_features == other.n_features
            && self.values == other.values
            && self.weights == other.weights
    }
}

/// One weight a row, and what is made of them.
#[derive(Clone, Debug, PartialEq)]
struct Weights {
    values: Vec<f64>,
    total: f64,
    /// The power of two at or below the largest.
    unit: f64,
    /// Whether all are positive, in units of that too.
    positive: bool,
}

impl Weights {
    fn of(values: Vec<f64>) -> Self {
        // Pieces are added in their order, whatever thread made their sums.
        let pieces: Vec<(f64, f64, f64)> = values
            .par_chunks(PIECE)
            .map(|piece| {
                let largest = piece.iter().fold(0.0, |a: f64, w| a.max(*w));
                let least = piece.iter().fold(f64::INFINITY, |a: f64, w| a.min(*w));
                (piece.iter().sum(), largest, least)
            })
            .collect();
        let largest = pieces.iter().fold(0.0, |a: f64, piece| a.max(piece.1));
        let least = pieces.iter().fold(f64::INFINITY, |a, piece| a.min(piece.2));
        let unit = power_of_two_below(largest);
        Self {
            values,
            total: pieces.iter().map(|piece| piece.0).sum(),
            unit,
            positive: least / unit > 0.0,
        }
    }
}

/// Where the first wrong number is; all threads look.
pub(super) fn first<T: Copy + Sync>(
    values: &[T],
    wrong: impl Fn(T) -> bool + Sync,
) -> Option<usize> {
    let pieces = values.par_chunks(PIECE).enumerate();
    pieces.find_map_first(|(p, piece)| {
        // Without a way out the look at a piece is one of vectors.
        let any = piece.iter().fold(false, |any, x| any | wrong(*x));
        let at = || piece.iter().position(|x| wrong(*x));
        any.then(at).flatten().map(|i| p * PIECE + i)
    })
}

impl Samples {
    /// Samples from a row-major table of N × `n_features` values.
    ///
    /// # Errors
    /// No feature, no row, a length that is not a multiple of `n_features`, or a value that is not finite
    /// (named by its 1-based row and 0-based column).
    ///
    /// # Examples
    /// ```
    /// use wgmm::data::Samples;
    /// let samples = Samples::new(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 2)?;
    /// assert_eq!((samples.len(), samples.n_features()), (3, 2));
    /// # Ok::<(), wgmm::data::DataError>(())
    /// ```
    pub fn new(values: impl Into<Values>, n_features: usize) -> Result<Self, DataError> {
        let mut samples = Self::finite(values, n_features)?;
        samples.ranges = survey::finite_ranges(&samples);
        if samples.ranges.is_none() {
            let bad = match &samples.values {
                Values::F32(v) => first(v, |x| !x.is_finite()),
                Values::F64(v) => first(v, |x| !x.is_finite()),
            };
            let i = bad.expect("what has no finite ranges has a value that is not finite");
            return Err(DataError::NotFinite {
                row: i / n_features + 1,
                column: (i % n_features).to_string(),
                found: samples.values.get(i).to_string(),
                rows: 1,
            });
        }
        Ok(samples)
    }

    /// The same from values that are known to be finite.
    pub(super) fn finite(values: impl Into<Values>, n_features: usize) -> Result<Self, DataError> {
        let values = values.into();
        if n_features == 0 || values.is_empty() {
            return Err(DataError::Empty);
        }
        if !values.len().is_multiple_of(n_features) {
            return Err(DataError::Ragged {
                len: values.len(),
                n_features,
            });
        }
        Ok(Self {
            values,
            n_features,
            weights: None,
            ranges: None,
        })
    }

    /// The same samples with one weight a row.
    ///
    /// # Errors
    /// A length other than N, a weight that is negative or not finite, or a sum of 0 or outside 1e-250 to 1e250.
    pub fn with_weights(mut self, weights: Vec<f64>) -> Result<Self, DataError> {
        if weights.len() != self.len() {
            return Err(DataError::WeightCount {
                found: weights.len(),
                rows: self.len(),
            });
        }
        if let Some(i) = first(&weights, |w| !w.is_finite() || w < 0.0) {
            return Err(DataError::Weight {
                row: i + 1,
                found: weights[i].to_string(),
            });
        }
        let weights = Weights::of(weights);
        let total = weights.total;
        if total == 0.0 {
            return Err(DataError::NoWeight);
        }
        if !TOTALS.contains(&total) {
            return Err(DataError::WeightTotal { total });
        }
        if !weights.positive {
            self.ranges = None;
        }
        self.weights = Some(weights);
        Ok(self)
    }

    /// How many rows, N. Never 0.
    #[expect(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.values.len() / self.n_features
    }

    /// How many features, D.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The table, row-major, N × D.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Feature `j` of row `i`.
    #[inline]
    pub fn value(&self, i: usize, j: usize) -> f64 {
        self.values.get(i * self.n_features + j)
    }

    /// Copies row `i` into `row` (D values).
    #[inline]
    pub fn copy_row(&self, i: usize, row: &mut [f64]) {
        let start = i * self.n_features;
        match &self.values {
            Values::F32(v) => {
                for (to, from) in row.iter_mut().zip(&v[start..start + self.n_features]) {
                    *to = f64::from(*from);
                }
            }
            Values::F64(v) => row.copy_from_slice(&v[start..start + self.n_features]),
        }
    }

    /// The weights, if any were given.
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_ref().map(|w| w.values.as_slice())
    }

    /// The weight of row `i`.
    #[inline]
    pub fn weight(&self, i: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w.values[i])
    }

    /// The samples of these rows, in their order, in the same type.
    ///
    /// # Panics
    /// If a row is not below N.
    #[must_use]
    pub fn subset(&self, rows: &[usize]) -> Self {
        // Rows far apart are waited for: all threads wait at once.
        fn pick<T: Copy + Default + Send + Sync>(values: &[T], d: usize, rows: &[usize]) -> Vec<T> {
            let mut picked = vec![T::default(); rows.len() * d];
            picked
                .par_chunks_mut(PICKED * d)
                .zip(rows.par_chunks(PICKED))
                .for_each(|(picked, rows)| {
                    for (to, &i) in picked.chunks_exact_mut(d).zip(rows) {
                        to.copy_from_slice(&values[i * d..(i + 1) * d]);
                    }
                });
            picked
        }
        Self {
            values: match &self.values {
                Values::F32(v) => Values::F32(pick(v, self.n_features, rows)),
                Values::F64(v) => Values::F64(pick(v, self.n_features, rows)),
            },
            n_features: self.n_features,
            weights: self
                .weights
                .as_ref()
                .map(|w| Weights::of(pick(&w.values, 1, rows))),
            ranges: None,
        }
    }

    /// Ranges of all features over rows of positive weight, where they are known.
    pub(super) fn known_ranges(&self) -> Option<&[Interval]> {
        self.ranges.as_deref()
    }

    /// Whether every row has a positive weight, in units of [`Samples::weight_unit`] too.
    pub(crate) fn all_count(&self) -> bool {
        self.weights.as_ref().is_none_or(|w| w.positive)
    }

    /// What weights are divided by for a device of little range: the power of two at or below the largest.
    pub(crate) fn weight_unit(&self) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w.unit)
    }

    /// Σ w: the number of samples that the criteria count.
    pub fn total_weight(&self) -> f64 {
        self.weights.as_ref().map_or(self.len() as f64, |w| w.total)
    }
}
