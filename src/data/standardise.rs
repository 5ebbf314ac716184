//! The affine map from the user's units to the units a fit works in.
//!
//! EM is equivariant under affine maps, so any map near this one gives the same fit; what it buys is
//! accuracy: values of order one, centred, so that single precision keeps its digits (`ARCHITECTURE.md`,
//! "Numerics").

use nalgebra::DMatrix;

use super::survey::{Glance, Interval, moments, ranges};
use super::{DataError, Samples};
use crate::mixture::{CovarianceType, Mixture, triangle};

/// Above this condition number of the global correlation matrix, samples are whitened as a whole.
const WHITEN_ABOVE_CONDITION: f64 = 1e4;
/// Added to the correlation's diagonal before whitening, so that identical columns keep a factor.
const CORRELATION_RIDGE: f64 = 1e-10;
/// The smallest share of the global variance that a component may have in any direction.
const VARIANCE_FLOOR: f64 = 1e-12;
/// Scales whose squares, variances in the user's units, f64 can hold with all their digits.
const SCALES: std::ops::RangeInclusive<f64> = 1e-150..=1e150;

/// x′ = V ((x − c) / s): per feature a centre and a scale, then, for strongly correlated features, a
/// triangular whitening V. A function of the samples alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardisation {
    /// Ranges of the samples, in their units.
    lower: Vec<f64>,
    upper: Vec<f64>,
    center: Vec<f64>,
    scale: Vec<f64>,
    inverse_scale: Vec<f64>,
    whitening: Option<Whitening>,
    floor: Vec<f64>,
    largest: f64,
}

/// The triangle V and its inverse, packed by rows.
#[derive(Clone, Debug, PartialEq)]
struct Whitening {
    factor: Vec<f64>,
    inverse: Vec<f64>,
}

impl Standardisation {
    /// The map for these samples: weighted mean and standard deviation. Full and tied covariances keep their
    /// form under any linear map and are whitened where the correlation's condition number exceeds 1e4;
    /// spherical ones need one scale for all features.
    ///
    /// # Errors
    /// A feature that is the same in all rows of positive weight (named by its 0-based number), or one whose
    /// variance f64 cannot hold.
    pub fn of(samples: &Samples, covariance_type: CovarianceType) -> Result<Self, DataError> {
        let d = samples.n_features();
        let extremes = ranges(samples);
        if let Some(j) = extremes.iter().position(|range| range.low >= range.high) {
            return Err(DataError::ConstantColumn {
                column: j.to_string(),
                value: extremes[j].low,
            });
        }
        let (center, mut scale): (Vec<f64>, Vec<f64>) =
            moments(samples, &extremes).into_iter().unzip();
        if let Some(j) = scale.iter().position(|s| !SCALES.contains(s)) {
            return Err(DataError::Spread {
                column: j.to_string(),
                spread: scale[j],
            });
        }
        if covariance_type == CovarianceType::Spherical {
            share_scale(&mut scale);
        }
        let inverse_scale: Vec<f64> = scale.iter().map(|s| 1.0 / s).collect();
        let mixes = matches!(covariance_type, CovarianceType::Full | CovarianceType::Tied);
        let glance = Glance::of(samples, &center, &inverse_scale, mixes && d > 1);
        let mut floor: Vec<f64> = (0..d)
            .map(|j| {
                // A step beyond one deviation, as of a flag that is rarely set, must not lift the floor above
                // what the data vary by.
                let step = (glance.resolutions[j] / scale[j]).min(1.0);
                (step * step / 12.0).max(VARIANCE_FLOOR)
            })
            .collect();
        if covariance_type == CovarianceType::Spherical {
            floor = vec![floor.iter().copied().fold(0.0, f64::max); d];
        }
        let mut map = Self {
            lower: extremes.iter().map(|range| range.low).collect(),
            upper: extremes.iter().map(|range| range.high).collect(),
            center,
            scale,
            inverse_scale,
            whitening: Whitening::of(glance.correlation, d),
            floor,
            largest: 0.0,
        };
        map.largest = map.bound(&extremes);
        Ok(map)
    }

    /// A map for evaluating a mixture on samples that it need not fit, a single row among them: centre and
    /// scale of the mixture as a whole.
    pub fn of_mixture(mixture: &Mixture, samples: &Samples) -> Self {
        let d = mixture.n_features();
        let mut map = Self::identity(d);
        for j in 0..d {
            let weighted = |value: &dyn Fn(usize) -> f64| -> f64 {
                let weights = mixture.weights();
                let total: f64 = weights.iter().sum();
                let parts = weights.iter().enumerate();
                parts.map(|(k, w)| w / total * value(k)).sum()
            };
            let center = weighted(&|k| mixture.mean(k)[j]);
            let variance = weighted(&|k| {
                let shift = mixture.mean(k)[j] - center;
                mixture.covariance(k)[j * d + j] + shift * shift
            });
            let scale = variance.sqrt();
            map.center[j] = center;
            map.scale[j] = if SCALES.contains(&scale) { scale } else { 1.0 };
            map.inverse_scale[j] = 1.0 / map.scale[j];
        }
        map.largest = map.bound(&ranges(samples));
        map
    }

    /// The map that changes nothing, for D features.
    pub fn identity(d: usize) -> Self {
        Self {
            lower: Vec::new(),
            upper: Vec::new(),
            center: vec![0.0; d],
            scale: vec![1.0; d],
            inverse_scale: vec![1.0; d],
            whitening: None,
            floor: vec![VARIANCE_FLOOR; d],
            largest: 0.0,
        }
    }

    /// Least and largest values of the features, in the data's units. Empty if the map was not made of samples.
    pub fn extent(&self) -> (Vec<f64>, Vec<f64>) {
        (self.lower.clone(), self.upper.clone())
    }

    /// D.
    pub fn n_features(&self) -> usize {
        self.center.len()
    }

    /// Maps a row in place, in f64.
    #[inline]
    pub fn apply(&self, row: &mut [f64]) {
        for ((x, c), r) in row.iter_mut().zip(&self.center).zip(&self.inverse_scale) {
            *x = (*x - c) * r;
        }
        if let Some(whitening) = &self.whitening {
            for i in (0..row.len()).rev() {
                let start = triangle::at(i, 0);
                row[i] = whitening.factor[start..=start + i]
                    .iter()
                    .zip(row.iter())
                    .map(|(v, x)| v * x)
                    .sum();
            }
        }
    }

    /// The centres and the inverse scales, where each feature maps by itself to (x − c) × r: no whitening.
    pub(crate) fn plain(&self) -> Option<(&[f64], &[f64])> {
        match self.whitening {
            None => Some((&self.center, &self.inverse_scale)),
            Some(_) => None,
        }
    }

    /// Maps a point back to the user's units.
    pub fn restore(&self, point: &[f64]) -> Vec<f64> {
        let straight = match &self.whitening {
            Some(whitening) => triangle::apply(&whitening.inverse, point),
            None => point.to_vec(),
        };
        straight
            .iter()
            .zip(&self.scale)
            .zip(&self.center)
            .map(|((x, s), c)| c + s * x)
            .collect()
    }

    /// Maps an inverse factor U of a covariance, Σ = U⁻¹U⁻ᵀ (packed), into standardised units.
    pub fn apply_to_factor(&self, factor: &[f64]) -> Vec<f64> {
        let mut scaled = factor.to_vec();
        for i in 0..self.n_features() {
            for j in 0..=i {
                scaled[triangle::at(i, j)] *= self.scale[j];
            }
        }
        match &self.whitening {
            Some(w) => triangle::multiply(&scaled, &w.inverse, self.n_features()),
            None => scaled,
        }
    }

    /// Maps a factor L of a standardised covariance, Σ = L Lᵀ (packed), back to the user's units.
    pub fn restore_factor(&self, l: &[f64]) -> Vec<f64> {
        let d = self.n_features();
        let mut restored = match &self.whitening {
            Some(w) => triangle::multiply(&w.inverse, l, d),
            None => l.to_vec(),
        };
        for i in 0..d {
            for j in 0..=i {
                restored[triangle::at(i, j)] *= self.scale[i];
            }
        }
        restored
    }

    /// A covariance that is diagonal in the user's units (variances in `diagonal`) as a factor in
    /// standardised units: the packed L with L Lᵀ = V diag(diagonal / s²) Vᵀ.
    pub fn factor_of_diagonal(&self, diagonal: &[f64]) -> Vec<f64> {
        let d = self.n_features();
        let mut factor = vec![0.0; triangle::packed_len(d)];
        for j in 0..d {
            factor[triangle::at(j, j)] = diagonal[j].sqrt() / self.scale[j];
        }
        self.whitened(factor)
    }

    /// The smallest covariance a component may have, as a packed factor in standardised units: per feature
    /// max(1e-12 of the global variance, resolution²/12 up to a twelfth of that variance), `ARCHITECTURE.md`, "Collapse".
    pub fn floor_factor(&self) -> Vec<f64> {
        let d = self.n_features();
        let mut factor = vec![0.0; triangle::packed_len(d)];
        for j in 0..d {
            factor[triangle::at(j, j)] = self.floor[j].sqrt();
        }
        self.whitened(factor)
    }

    fn whitened(&self, factor: Vec<f64>) -> Vec<f64> {
        match &self.whitening {
            Some(w) => triangle::multiply(&w.factor, &factor, self.n_features()),
            None => factor,
        }
    }

    /// log |det ∂x′/∂x|: what is added to a log density in standardised units to have it in the user's.
    pub fn log_determinant(&self) -> f64 {
        let scales: f64 = self.scale.iter().map(|s| s.ln()).sum();
        let whitening = self.whitening.as_ref().map_or(0.0, |w| {
            (0..self.n_features())
                .map(|i| w.factor[triangle::at(i, i)].ln())
                .sum()
        });
        whitening - scales
    }

    /// A bound on |x′| over all samples and features.
    pub fn largest(&self) -> f64 {
        self.largest
    }

    fn bound(&self, extremes: &[Interval]) -> f64 {
        let largest: Vec<f64> = (0..self.n_features())
            .map(|j| {
                let low = (self.center[j] - extremes[j].low) / self.scale[j];
                let high = (extremes[j].high - self.center[j]) / self.scale[j];
                low.max(high)
            })
            .collect();
        let rows = match &self.whitening {
            Some(w) => triangle::apply(
                &w.factor.iter().map(|v| v.abs()).collect::<Vec<_>>(),
                &largest,
            ),
            None => largest,
        };
        rows.into_iter().fold(0.0, f64::max)
    }
}

impl Whitening {
    /// V = chol(correlation)⁻¹ where the correlation (packed; empty where none is known) is ill conditioned.
    fn of(mut correlation: Vec<f64>, d: usize) -> Option<Self> {
        if correlation.is_empty() {
            return None;
        }
        let matrix = DMatrix::from_row_slice(d, d, &triangle::unpack_symmetric(&correlation, d));
        let eigenvalues = matrix.symmetric_eigenvalues();
        if eigenvalues.max() <= WHITEN_ABOVE_CONDITION * eigenvalues.min() {
            return None;
        }
        for i in 0..d {
            correlation[triangle::at(i, i)] += CORRELATION_RIDGE;
        }
        let inverse = triangle::cholesky(&correlation, d).ok()?;
        Some(Self {
            factor: triangle::invert(&inverse, d),
            inverse,
        })
    }
}

/// One scale for all features: the root mean square, without overflow.
fn share_scale(scale: &mut [f64]) {
    let largest = scale.iter().copied().fold(0.0, f64::max);
    let squares: f64 = scale.iter().map(|s| (s / largest) * (s / largest)).sum();
    let shared = largest * (squares / scale.len() as f64).sqrt();
    scale.fill(shared);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64], d: usize) -> Samples {
        Samples::new(values.to_vec(), d).expect("valid samples")
    }

    #[test]
    fn mean_and_deviation_become_zero_and_one() {
        let s = samples(&[1.0, 3.0, 5.0, 7.5], 1);
        let map = Standardisation::of(&s, CovarianceType::Full).expect("not constant");
        let mapped: Vec<f64> = (0..4)
            .map(|i| {
                let mut row = [s.value(i, 0)];
                map.apply(&mut row);
                row[0]
            })
            .collect();
        assert!(mapped.iter().sum::<f64>().abs() < 1e-14);
        assert!((mapped.iter().map(|x| x * x).sum::<f64>() / 4.0 - 1.0).abs() < 1e-14);
        assert!((map.restore(&mapped[..1])[0] - 1.0).abs() < 1e-14);
    }

    #[test]
    fn spreads_whose_squares_leave_f64_are_named() {
        for size in [1.7e308, 1e151, 1e-151, 5e-320] {
            let error = Standardisation::of(&samples(&[-size, size, 0.0], 1), CovarianceType::Full)
                .expect_err("variance out of range");
            assert!(
                matches!(error, DataError::Spread { spread, .. } if spread.is_finite()),
                "{size}"
            );
        }
        let map = Standardisation::of(&samples(&[-1e149, 1e149, 0.0], 1), CovarianceType::Full);
        assert!(map.expect("in range").largest() < 2.0);
    }

    #[test]
    fn rows_of_weight_zero_count_nowhere() {
        let heavy = samples(&[1.0, 2.0, 9e9], 1)
            .with_weights(vec![2.0, 1.0, 0.0])
            .expect("weights");
        let repeated = samples(&[1.0, 1.0, 2.0], 1);
        let (a, b) = (
            Standardisation::of(&heavy, CovarianceType::Full).unwrap(),
            Standardisation::of(&repeated, CovarianceType::Full).unwrap(),
        );
        assert!(
            (a.center[0] - b.center[0]).abs() < 1e-15 && (a.scale[0] - b.scale[0]).abs() < 1e-15
        );
    }

    #[test]
    fn the_floor_of_a_grid_stays_below_the_variance() {
        let mut flags = vec![0.0; 10_000];
        flags[7] = 1.0;
        let map = Standardisation::of(&samples(&flags, 1), CovarianceType::Full).unwrap();
        assert!((map.floor[0] - 1.0 / 12.0).abs() < 1e-15);
        let integers: Vec<f64> = (0..1000).map(f64::from).collect();
        let map = Standardisation::of(&samples(&integers, 1), CovarianceType::Full).unwrap();
        let deviation = 1.0 / map.inverse_scale[0];
        assert!((map.floor[0] * deviation * deviation - 1.0 / 12.0).abs() < 1e-12);
    }

    #[test]
    fn a_constant_feature_is_named() {
        let error = Standardisation::of(&samples(&[1.0, 5.0, 2.0, 5.0], 2), CovarianceType::Full)
            .expect_err("constant");
        assert!(
            matches!(error, DataError::ConstantColumn { column, value } if column == "1" && value == 5.0)
        );
    }

    #[test]
    fn strongly_correlated_features_are_whitened_and_mapped_back() {
        let values: Vec<f64> = (0..1000)
            .flat_map(|i| {
                let x = f64::from(i % 37) + 0.1234567;
                [x, x + 1e-4 * f64::from(i % 11) * 1.0000001]
            })
            .collect();
        let s = samples(&values, 2);
        let map = Standardisation::of(&s, CovarianceType::Full).expect("not constant");
        assert!(map.whitening.is_some());
        let mut row = [values[4], values[5]];
        map.apply(&mut row);
        let back = map.restore(&row);
        assert!((back[0] - values[4]).abs() < 1e-9 && (back[1] - values[5]).abs() < 1e-9);
        // A factor goes there and back: U′ L′ = I where L restores to the covariance's own factor.
        let l = [2.0, 0.3, 1.5];
        let there = map.apply_to_factor(&triangle::invert(&l, 2));
        let again = map.restore_factor(&triangle::invert(&there, 2));
        for (a, b) in again.iter().zip(&l) {
            assert!((a - b).abs() < 1e-9, "{again:?}");
        }
    }
}
