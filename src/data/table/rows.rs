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
    let column = |slot: usize| -> Vec<f64> {
        let rows = values.par_chunks_exact(slots.width);
        rows.with_min_len(ROWS_A_CHUNK)
            .map(|row| row[slot].into())
            .collect()
    };
    let weights = slots.weights.map(column);
    let labels = slots.labels.map(column);
    // What is wrong is looked for in all rows: it is a mistake, not a gap.
    if let (Some(slot), Some(weights)) = (slots.weights, &weights)
        && let Some(row) = samples::first(weights, |w| w < 0.0 && w.is_finite())
    {
        let value = weights[row];
        return Err(Fault::NegativeWeight { row, slot, value });
    }
    if let (Some(slot), Some(labels)) = (slots.labels, &labels)
        && let Some(row) = samples::first(labels, is_no_label)
    {
        let value = labels[row];
        return Err(Fault::Label { row, slot, value });
    }
    let kept = (!bad.is_empty()).then(|| kept(n, &bad));
    compact(&mut values, slots, kept.as_deref());
    let of_kept = |column: Vec<f64>| match &kept {
        Some(kept) => kept.iter().map(|&row| column[row]).collect(),
        None => column,
    };
    Ok(Rows {
        values,
        weights: weights.map(of_kept),
        labels: labels.map(|labels| of_kept(labels).into_iter().map(|l| l as usize).collect()),
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

/// The rows that are not bad, in order.
fn kept(n: usize, bad: &[usize]) -> Vec<usize> {
    let mut bad = bad.iter().copied().peekable();
    (0..n).filter(|row| bad.next_if_eq(row).is_none()).collect()
}

/// Moves the features of the rows kept (all, without a list) to the front and cuts the rest off.
fn compact<T: Number>(values: &mut Vec<T>, slots: &Slots, kept: Option<&[usize]>) {
    let features = &slots.features;
    if kept.is_none() && features.iter().copied().eq(0..slots.width) {
        return;
    }
    let rows = kept.map_or(values.len() / slots.width, <[usize]>::len);
    let in_order = features.is_sorted();
    let mut row = Vec::with_capacity(features.len());
    let mut end = 0;
    for i in 0..rows {
        let start = kept.map_or(i, |kept| kept[i]) * slots.width;
        if in_order {
            // No number is written over before it is moved.
            for slot in features {
                values[end] = values[start + slot];
                end += 1;
            }
        } else {
            row.clear();
            row.extend(features.iter().map(|slot| values[start + slot]));
            values[end..end + row.len()].copy_from_slice(&row);
            end += row.len();
        }
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
    fn features_of_the_rows_kept_move_in_any_order() {
        let row = |i: f64| [i, i + 0.25, i + 0.5, i + 0.75];
        let mut values = [row(0.0), row(1.0), row(2.0), row(3.0)].concat();
        values[4 + 1] = f64::NAN;
        for (features, expected) in [
            (vec![1, 3], vec![0.25, 0.75, 2.25, 2.75, 3.25, 3.75]),
            (vec![3, 1], vec![0.75, 0.25, 2.75, 2.25, 3.75, 3.25]),
            (
                vec![2, 1, 0],
                vec![0.5, 0.25, 0.0, 2.5, 2.25, 2.0, 3.5, 3.25, 3.0],
            ),
        ] {
            let rows = check(values.clone(), &slots(4, &features), true).expect("one skipped");
            assert_eq!(rows.values, expected);
            assert_eq!(rows.kept, Some(vec![0, 2, 3]));
        }
    }

    #[test]
    fn a_negative_weight_is_told_before_a_wrong_label() {
        let roles = Slots {
            weights: Some(1),
            labels: Some(2),
            ..slots(3, &[0])
        };
        let values = vec![0.0, 1.0, 0.5, 0.0, 1.0, 0.0, 0.0, -2.0, 0.0];
        let fault = check(values, &roles, false).expect_err("two faults");
        let expected = Fault::NegativeWeight {
            row: 2,
            slot: 1,
            value: -2.0,
        };
        assert_eq!(fault, expected);
    }

    #[test]
    fn no_row_left_is_an_error() {
        let fault = check(vec![f64::NAN; 2], &slots(1, &[0]), true).expect_err("none left");
        assert_eq!(fault, Fault::AllSkipped);
    }
}
