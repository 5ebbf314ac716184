//! From rows of numbers as read to samples: every used value finite, weights and labels apart.

use rayon::prelude::*;

use crate::data::samples;

/// Rows looked at as one piece.
const ROWS_A_CHUNK: usize = 16_384;

/// A number as a file stores it.
pub(in crate::data) trait Number: Copy + Into<f64> + Send + Sync {}

impl Number for f32 {}
impl Number for f64 {}

/// Which number of a row as read is what.
#[derive(Clone, Debug)]
pub(in crate::data) struct Slots {
    /// Numbers in a row as read, used or not.
    pub(in crate::data) width: usize,
    /// Where the features stand.
    pub(in crate::data) features: Vec<usize>,
    /// Where the weight stands.
    pub(in crate::data) weights: Option<usize>,
    /// Where the label stands.
    pub(in crate::data) labels: Option<usize>,
}

impl Slots {
    fn used(&self) -> Vec<usize> {
        let mut used = self.features.clone();
        used.extend(self.weights);
        used.extend(self.labels);
        used.sort_unstable();
        used
    }
}

/// Rows that can be samples.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Rows<T> {
    /// Row-major, N × D.
    pub(in crate::data) values: Vec<T>,
    pub(in crate::data) weights: Option<Vec<f64>>,
    pub(in crate::data) labels: Option<Vec<usize>>,
    /// The row as read of each sample, if some were skipped.
    pub(in crate::data) kept: Option<Vec<usize>>,
}

/// Where rows as read cannot be samples: a 0-based row, the slot in it and the number there.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) enum Fault {
    /// The first value that is not finite, and how many rows have one.
    NotFinite {
        row: usize,
        slot: usize,
        value: f64,
        rows: usize,
    },
    NegativeWeight {
        row: usize,
        slot: usize,
        value: f64,
    },
    Label {
        row: usize,
        slot: usize,
        value: f64,
    },
    /// No row is left.
    AllSkipped,
}

/// Takes features, weights and labels from rows of `slots.width` numbers, in place; a number that is missing
/// or text is NaN there.
pub(in crate::data) fn check<T: Number>(
    mut values: Vec<T>,
    slots: &Slots,
    skip_invalid: bool,
) -> Result<Rows<T>, Fault> {
    let used = slots.used();
    let bad = bad_rows(&values, slots.width, &used);
    let n = values.len() / slots.width;
    if let (Some(&row), false) = (bad.first(), skip_invalid) {
        let at = |slot: usize| values[row * slots.width + slot];
        let slot = used.iter().copied().find(|&slot| !finite(at(slot)));
        let slot = slot.unwrap_or(0);
        return Err(Fault::NotFinite {
            row,
            slot,
            value: at(slot).into(),
            rows: bad.len(),
        });
    }
    if bad.len() == n {
        return Err(Fault::AllSkipped);
    }
    // Negative weights are looked for in all rows: they are mistakes, not gaps.
    if let Some(slot) = slots.weights
        && let Some((row, value)) = first(&values, slots.width, slot, |w| w < 0.0 && w.is_finite())
    {
        return Err(Fault::NegativeWeight { row, slot, value });
    }
    if let Some(slot) = slots.labels
        && let Some((row, value)) = first(&values, slots.width, slot, is_no_label)
    {
        return Err(Fault::Label { row, slot, value });
    }
    let is_kept = kept(n, &bad);
    let column = |slot: usize| -> Vec<f64> {
        let rows = values.par_chunks_exact(slots.width).zip(&is_kept);
        rows.filter(|(_, kept)| **kept)
            .map(|(row, _)| row[slot].into())
            .collect()
    };
    let weights = slots.weights.map(column);
    let labels = slots
        .labels
        .map(|slot| column(slot).into_iter().map(|l| l as usize).collect());
    let whole = slots.features.iter().copied().eq(0..slots.width);
    if !whole || !bad.is_empty() {
        compact(&mut values, slots, &is_kept);
    }
    let kept = (!bad.is_empty()).then(|| (0..n).filter(|&i| is_kept[i]).collect());
    Ok(Rows {
        values,
        weights,
        labels,
        kept,
    })
}

fn finite<T: Number>(value: T) -> bool {
    value.into().is_finite()
}

/// Not a whole number from 0 that f64 holds exactly (gaps are met elsewhere).
fn is_no_label(x: f64) -> bool {
    x.is_finite() && !(x.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&x))
}

/// The rows with a used number that is not finite, in order.
fn bad_rows<T: Number>(values: &[T], width: usize, used: &[usize]) -> Vec<usize> {
    if used.len() == width && samples::first(values, |x| !finite(x)).is_none() {
        return Vec::new();
    }
    let chunks: Vec<Vec<usize>> = values
        .par_chunks(ROWS_A_CHUNK * width)
        .enumerate()
        .map(|(c, rows)| {
            let bad = |row: &[T]| used.iter().any(|&slot| !finite(row[slot]));
            rows.chunks_exact(width)
                .enumerate()
                .filter(|(_, row)| bad(row))
                .map(|(i, _)| c * ROWS_A_CHUNK + i)
                .collect()
        })
        .collect();
    chunks.concat()
}

/// The first row whose number in `slot` is wrong, and that number.
fn first<T: Number>(
    values: &[T],
    width: usize,
    slot: usize,
    wrong: impl Fn(f64) -> bool + Sync,
) -> Option<(usize, f64)> {
    values
        .par_chunks_exact(width)
        .map(|row| row[slot].into())
        .enumerate()
        .find_first(|(_, x)| wrong(*x))
}

fn kept(n: usize, bad: &[usize]) -> Vec<bool> {
    let mut kept = vec![true; n];
    for &row in bad {
        kept[row] = false;
    }
    kept
}

/// Moves the features of the rows kept to the front and cuts the rest off.
fn compact<T: Number>(values: &mut Vec<T>, slots: &Slots, kept: &[bool]) {
    let mut row = Vec::with_capacity(slots.features.len());
    let mut end = 0;
    for (i, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
        let from = &values[i * slots.width..(i + 1) * slots.width];
        row.clear();
        row.extend(slots.features.iter().map(|&slot| from[slot]));
        values[end..end + row.len()].copy_from_slice(&row);
        end += row.len();
    }
    values.truncate(end);
    values.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(width: usize, features: &[usize]) -> Slots {
        Slots {
            width,
            features: features.to_vec(),
            weights: None,
            labels: None,
        }
    }

    #[test]
    fn features_come_in_the_order_asked_for() {
        let values = vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
        let rows = check(values, &slots(3, &[2, 0]), false).expect("finite");
        assert_eq!(rows.values, [2.0, 0.0, 12.0, 10.0]);
        assert_eq!(rows.kept, None);
    }

    #[test]
    fn the_first_gap_is_named_and_the_rows_are_counted() {
        let n = 3 * ROWS_A_CHUNK;
        let mut values = vec![1.0f32; 2 * n];
        values[2 * 40_000] = f32::INFINITY;
        values[2 * 20_000 + 1] = f32::NAN;
        let fault = check(values.clone(), &slots(2, &[0, 1]), false).expect_err("gaps");
        assert!(
            matches!(fault, Fault::NotFinite { row: 20_000, slot: 1, value, rows: 2 } if value.is_nan()),
            "{fault:?}"
        );
        let rows = check(values, &slots(2, &[0, 1]), true).expect("skipped");
        assert_eq!(rows.values, vec![1.0f32; 2 * (n - 2)]);
        let kept: Vec<usize> = (0..n).filter(|i| ![20_000, 40_000].contains(i)).collect();
        assert_eq!(rows.kept, Some(kept));
    }

    #[test]
    fn gaps_in_unused_columns_do_not_matter() {
        let rows = check(vec![f64::NAN, 1.0, f64::NAN, 2.0], &slots(2, &[1]), false);
        assert_eq!(rows.expect("unused").values, [1.0, 2.0]);
    }

    #[test]
    fn weights_and_labels_are_taken_from_the_rows_kept() {
        let roles = Slots {
            weights: Some(0),
            labels: Some(2),
            ..slots(3, &[1])
        };
        let values = vec![0.5, 7.0, 1.0, f64::NAN, 8.0, 0.0, 2.0, 9.0, 3.0];
        let rows = check(values.clone(), &roles, true).expect("one skipped");
        assert_eq!(rows.values, [7.0, 9.0]);
        assert_eq!(rows.weights, Some(vec![0.5, 2.0]));
        assert_eq!(rows.labels, Some(vec![1, 3]));
        assert_eq!(rows.kept, Some(vec![0, 2]));

        let mut negative = values.clone();
        negative[6] = -1.0;
        let fault = check(negative, &roles, true).expect_err("negative");
        let expected = Fault::NegativeWeight {
            row: 2,
            slot: 0,
            value: -1.0,
        };
        assert_eq!(fault, expected);
        for label in [0.5, -1.0, 1e300] {
            let mut wrong = values.clone();
            wrong[8] = label;
            let fault = check(wrong, &roles, true).expect_err("label");
            let expected = Fault::Label {
                row: 2,
                slot: 2,
                value: label,
            };
            assert_eq!(fault, expected);
        }
    }

    #[test]
    fn no_row_left_is_an_error() {
        let fault = check(vec![f64::NAN; 2], &slots(1, &[0]), true).expect_err("none left");
        assert_eq!(fault, Fault::AllSkipped);
    }
}
