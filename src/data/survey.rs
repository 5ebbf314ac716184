//! What standardisation must know of all samples: ranges and moments, by all threads.
//!
//! Rows are folded in groups, and each place in a group has its own running result, so that values that lie side
//! by side are worked on side by side in vector registers whatever D is. Blocks of rows depend on N and D alone
//! and are added in their order, so neither threads nor the instruction set change a bit.

mod glance;

use std::ops::Range;

use fearless_simd::{Level, dispatch};
use rayon::prelude::*;

use super::{Samples, Values};

pub(super) use glance::Glance;

/// Values of a group, about: their running results stay in the first-level cache.
const GROUP_VALUES: usize = 128;
/// Values of a block, about: they stay in the second-level cache from one look to the next.
const BLOCK_VALUES: usize = 32_768;
/// The most strands of blocks, and so the most threads that work at once.
const MOST_STRANDS: usize = 256;

/// Smallest and largest value of a feature over rows of positive weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    pub(super) fn middle(self) -> f64 {
        self.low / 2.0 + self.high / 2.0
    }

    fn half(self) -> f64 {
        self.high / 2.0 - self.low / 2.0
    }

    /// The power of two at or below half the length, but at least the smallest normal number: what values less the
    /// middle are divided by, exactly, so that neither they nor their squares leave f64.
    fn unit(self) -> f64 {
        power_of_two_below(self.half()).max(f64::MIN_POSITIVE)
    }
}

/// The power of two at or below a number that is not negative; 0 below the normal numbers.
pub(super) fn power_of_two_below(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & (0x7ff << 52))
}

/// Weighted moments per feature of some rows: their weight, means, and sums of squared deviations from those.
#[derive(Clone, Debug)]
struct Moments {
    weight: f64,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn none(d: usize) -> Self {
        Self {
            weight: 0.0,
            means: vec![0.0; d],
            squares: vec![0.0; d],
        }
    }

    /// Moments of these rows and those together (Chan, Golub & LeVeque 1983): every term is positive, so nothing
    /// cancels.
    fn add(&mut self, other: &Self) {
        if other.weight == 0.0 {
            return;
        }
        let weight = self.weight + other.weight;
        let share = other.weight / weight;
        for j in 0..self.means.len() {
            let step = other.means[j] - self.means[j];
            self.means[j] += share * step;
            self.squares[j] += other.squares[j] + self.weight * share * step * step;
        }
        self.weight = weight;
    }
}

/// Ranges of all features of samples whose values are finite.
pub(super) fn ranges(samples: &Samples) -> Vec<Interval> {
    match samples.known_ranges() {
        Some(ranges) => ranges.to_vec(),
        None => look(samples).0,
    }
}

/// The same if all values are finite, found in one look.
pub(super) fn finite_ranges(samples: &Samples) -> Option<Vec<Interval>> {
    let (ranges, finite) = look(samples);
    finite.then_some(ranges)
}

/// Ranges of all features, and whether all values are finite.
fn look(samples: &Samples) -> (Vec<Interval>, bool) {
    let strands = by_strands(samples, |blocks, groups| groups.ranges(blocks));
    let mut all = vec![NOTHING; samples.n_features()];
    let mut all_finite = true;
    for (strand, finite) in strands {
        all_finite &= finite;
        for (range, other) in all.iter_mut().zip(strand) {
            range.low = range.low.min(other.low);
            range.high = range.high.max(other.high);
        }
    }
    (all, all_finite)
}

const NOTHING: Interval = Interval {
    low: f64::INFINITY,
    high: f64::NEG_INFINITY,
};

/// Weighted mean and standard deviation per feature. `ranges` are the features' own, and none is empty.
pub(super) fn moments(samples: &Samples, ranges: &[Interval]) -> Vec<(f64, f64)> {
    let strands = by_strands(samples, |blocks, groups| groups.moments(blocks, ranges));
    let mut all = Moments::none(samples.n_features());
    for strand in &strands {
        all.add(strand);
    }
    let scaled = all.means.iter().zip(&all.squares).zip(ranges);
    scaled
        .map(|((mean, squares), range)| {
            let deviation = range.unit() * (squares / all.weight).sqrt();
            (
                range.middle() + range.unit() * mean,
                deviation.min(f64::MAX),
            )
        })
        .collect()
}

/// Folds strands of neighbouring blocks by all threads and hands back their results in order.
fn by_strands<T: Send>(
    samples: &Samples,
    fold: impl Fn(&mut dyn Iterator<Item = Range<usize>>, &mut Groups<'_>) -> T + Sync,
) -> Vec<T> {
    let n = samples.len();
    let rows = (BLOCK_VALUES / samples.n_features()).max(1);
    let blocks = n.div_ceil(rows);
    let strands = blocks.min(MOST_STRANDS);
    let unit = samples.weight_unit();
    let counts = |i: &usize| samples.weight(*i) / unit > 0.0;
    let counted = (0..n).find(counts).unwrap_or(0);
    (0..strands)
        .into_par_iter()
        .map(|s| {
            let own = s * blocks / strands..(s + 1) * blocks / strands;
            let mut ranges = own.map(|b| b * rows..((b + 1) * rows).min(n));
            fold(&mut ranges, &mut Groups::of(samples, counted))
        })
        .collect()
}

/// Rows of samples by groups, with room for one group.
struct Groups<'a> {
    samples: &'a Samples,
    level: Level,
    /// Rows of a group.
    rows: usize,
    /// The group's values, where they cannot be taken as they are: f32, or some row may not count.
    values: Vec<f64>,
    /// The weight of each value's row in units of [`Samples::weight_unit`].
    weights: Vec<f64>,
    /// A row that counts, over and over: it stands for rows of weight 0 in that unit, whose own values may lie out of
    /// range, so that 0 × ∞ is never met.
    counted: Vec<f64>,
}

impl<'a> Groups<'a> {
    fn of(samples: &'a Samples, counted: usize) -> Self {
        let d = samples.n_features();
        let rows = (GROUP_VALUES / d).max(1);
        let width = rows * d;
        Self {
            samples,
            level: Level::new(),
            rows,
            values: vec![0.0; width],
            weights: vec![1.0; width],
            counted: (0..width).map(|p| samples.value(counted, p % d)).collect(),
        }
    }

    /// Places in a group.
    fn width(&self) -> usize {
        self.weights.len()
    }

    /// Ranges, and whether all values are finite.
    fn ranges(&mut self, blocks: &mut dyn Iterator<Item = Range<usize>>) -> (Vec<Interval>, bool) {
        let mut lows = vec![f64::INFINITY; self.width()];
        let mut highs = vec![f64::NEG_INFINITY; self.width()];
        let mut zeros = vec![0.0; self.width()];
        for rows in blocks {
            let level = self.level;
            dispatch!(level, _simd => self.widen(rows, &mut lows, &mut highs, &mut zeros));
        }
        let d = self.samples.n_features();
        let mut ranges = vec![NOTHING; d];
        for (lows, highs) in lows.chunks_exact(d).zip(highs.chunks_exact(d)) {
            for (range, (low, high)) in ranges.iter_mut().zip(lows.iter().zip(highs)) {
                range.low = range.low.min(*low);
                range.high = range.high.max(*high);
            }
        }
        (ranges, zeros.iter().all(|zero| *zero == 0.0))
    }

    #[inline(always)]
    fn widen(
        &mut self,
        rows: Range<usize>,
        lows: &mut [f64],
        highs: &mut [f64],
        zeros: &mut [f64],
    ) {
        self.each(rows, |values, _| {
            let places = lows.iter_mut().zip(highs.iter_mut()).zip(zeros.iter_mut());
            for (((low, high), zero), &x) in places.zip(values) {
                *low = if x < *low { x } else { *low };
                *high = if x > *high { x } else { *high };
                // Not a number, from then on, if x is not finite.
                *zero += 0.0 * x;
            }
        });
    }

    /// Moments in units of the ranges: u = (x − middle) / unit, between −2 and 2.
    fn moments(
        &mut self,
        blocks: &mut dyn Iterator<Item = Range<usize>>,
        ranges: &[Interval],
    ) -> Moments {
        let (d, width) = (self.samples.n_features(), self.width());
        let by_place = |of: &dyn Fn(&Interval) -> f64| -> Vec<f64> {
            (0..width).map(|place| of(&ranges[place % d])).collect()
        };
        let middles = by_place(&|range| range.middle());
        let per_unit = by_place(&|range| 1.0 / range.unit());
        let mut means = vec![0.0; width];
        let mut sums = vec![0.0; width];
        let mut all = Moments::none(d);
        for rows in blocks {
            let mut block = Moments::none(d);
            block.weight = match self.samples.weights() {
                Some(weights) => {
                    weights[rows.clone()].iter().sum::<f64>() / self.samples.weight_unit()
                }
                None => rows.len() as f64,
            };
            if block.weight == 0.0 {
                continue;
            }
            let level = self.level;
            sums.fill(0.0);
            dispatch!(level, _simd => self.add(rows.clone(), &middles, &per_unit, &mut sums));
            fold(&sums, &mut block.means);
            block.means.iter_mut().for_each(|x| *x /= block.weight);
            for (place, mean) in means.iter_mut().enumerate() {
                *mean = block.means[place % d];
            }
            sums.fill(0.0);
            dispatch!(
                level,
                _simd => self.add_squares(rows, &middles, &per_unit, &means, &mut sums)
            );
            fold(&sums, &mut block.squares);
            all.add(&block);
        }
        all
    }

    /// Adds w u.
    #[inline(always)]
    fn add(&mut self, rows: Range<usize>, middles: &[f64], per_unit: &[f64], sums: &mut [f64]) {
        self.each(rows, |values, weights| {
            let places = sums.iter_mut().zip(middles.iter().zip(per_unit));
            for ((sum, (middle, per_unit)), (x, weight)) in places.zip(values.iter().zip(weights)) {
                *sum += weight * ((x - middle) * per_unit);
            }
        });
    }

    /// Adds w (u − mean)².
    #[inline(always)]
    fn add_squares(
        &mut self,
        rows: Range<usize>,
        middles: &[f64],
        per_unit: &[f64],
        means: &[f64],
        sums: &mut [f64],
    ) {
        self.each(rows, |values, weights| {
            let places = sums.iter_mut().zip(middles.iter().zip(per_unit)).zip(means);
            for (((sum, (middle, per_unit)), mean), (x, weight)) in
                places.zip(values.iter().zip(weights))
            {
                let u = (x - middle) * per_unit - mean;
                *sum += weight * (u * u);
            }
        });
    }

    /// Hands out these rows group by group: values, and the weights of their rows.
    #[inline(always)]
    fn each(&mut self, rows: Range<usize>, take: impl FnMut(&[f64], &[f64])) {
        let d = self.samples.n_features();
        let flat = rows.start * d..rows.end * d;
        let weights = self.samples.weights().map_or(&[][..], |w| &w[rows]);
        match self.samples.values() {
            Values::F64(all) if self.samples.all_count() => {
                self.as_they_are(&all[flat], weights, take);
            }
            Values::F64(all) => self.copied(&all[flat], weights, take),
            Values::F32(all) => self.copied(&all[flat], weights, take),
        }
    }

    /// Where all rows count; `weights` may be empty.
    #[inline(always)]
    fn as_they_are(&mut self, all: &[f64], weights: &[f64], mut take: impl FnMut(&[f64], &[f64])) {
        let mut weights = weights.chunks(self.rows);
        for values in all.chunks(self.width()) {
            if let Some(weights) = weights.next() {
                self.weigh(weights);
            }
            take(values, &self.weights);
        }
    }

    /// By way of the room for one group; `weights` may be empty.
    #[inline(always)]
    fn copied<V: Copy + Into<f64>>(
        &mut self,
        all: &[V],
        weights: &[f64],
        mut take: impl FnMut(&[f64], &[f64]),
    ) {
        let mut weights = weights.chunks(self.rows);
        for group in all.chunks(self.width()) {
            for (to, from) in self.values.iter_mut().zip(group) {
                *to = (*from).into();
            }
            if let Some(weights) = weights.next() {
                self.weigh(weights);
                let counted = self.counted.iter().zip(&self.weights);
                for (to, (counted, weight)) in self.values.iter_mut().zip(counted) {
                    *to = if *weight > 0.0 { *to } else { *counted };
                }
            }
            take(&self.values[..group.len()], &self.weights);
        }
    }

    /// Spreads the weights of a group's rows over its places.
    #[inline(always)]
    fn weigh(&mut self, weights: &[f64]) {
        let (d, unit) = (self.samples.n_features(), self.samples.weight_unit());
        let places = &mut self.weights[..weights.len() * d];
        // A copy of known length is a shuffle of registers, one of any length a loop.
        match d {
            1 => spread::<1>(weights, unit, places),
            2 => spread::<2>(weights, unit, places),
            3 => spread::<3>(weights, unit, places),
            4 => spread::<4>(weights, unit, places),
            _ => {
                for (row, weight) in places.chunks_exact_mut(d).zip(weights) {
                    row.fill(weight / unit);
                }
            }
        }
    }
}

/// Writes each weight D times, in units of a power of two.
#[inline(always)]
fn spread<const D: usize>(weights: &[f64], unit: f64, places: &mut [f64]) {
    let per_unit = 1.0 / unit;
    for (row, weight) in places.as_chunks_mut::<D>().0.iter_mut().zip(weights) {
        *row = [weight * per_unit; D];
    }
}

/// Adds the places of a group up by feature.
fn fold(places: &[f64], features: &mut [f64]) {
    for row in places.chunks_exact(features.len()) {
        for (sum, x) in features.iter_mut().zip(row) {
            *sum += x;
        }
    }
}

#[cfg(test)]
mod tests;
