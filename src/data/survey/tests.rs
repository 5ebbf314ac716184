use super::*;
use proptest::prelude::*;

/// The same in plain loops over rows that count beside the heaviest: two passes, one row after the other.
fn plain(samples: &Samples) -> Vec<(Interval, f64, f64)> {
    let unit = samples.weight_unit();
    let rows: Vec<usize> = (0..samples.len())
        .filter(|&i| samples.weight(i) / unit > 0.0)
        .collect();
    let total: f64 = rows.iter().map(|&i| samples.weight(i)).sum();
    (0..samples.n_features())
        .map(|j| {
            let values = || {
                rows.iter()
                    .map(|&i| (samples.weight(i), samples.value(i, j)))
            };
            let range = Interval {
                low: values().map(|(_, x)| x).fold(f64::INFINITY, f64::min),
                high: values().map(|(_, x)| x).fold(f64::NEG_INFINITY, f64::max),
            };
            // About the middle, so that the plain sums keep their digits far from 0.
            let shifts = || values().map(|(w, x)| (w, x - range.middle()));
            let mean = shifts().map(|(w, x)| w * x).sum::<f64>() / total;
            let squares: f64 = shifts().map(|(w, x)| w * (x - mean) * (x - mean)).sum();
            (range, range.middle() + mean, (squares / total).sqrt())
        })
        .collect()
}

/// Ranges agree exactly; means and deviations within what n additions of f64 lose.
fn agree(samples: &Samples) {
    let found = ranges(samples);
    let moments = moments(samples, &found);
    let bound = (samples.len() as f64 + 8.0) * f64::EPSILON;
    for (j, (range, mean, deviation)) in plain(samples).into_iter().enumerate() {
        assert_eq!(found[j], range);
        let (m, s) = moments[j];
        let length = range.high - range.low;
        // A mean has the rounding of the values themselves too.
        let rounding = f64::EPSILON * range.low.abs().max(range.high.abs());
        assert!(
            (m - mean).abs() <= bound * length + 2.0 * rounding,
            "feature {j}: mean {m}, plainly {mean}"
        );
        assert!(
            (s - deviation).abs() <= bound * length,
            "feature {j}: deviation {s}, plainly {deviation}"
        );
    }
}

#[test]
fn sizes_around_groups_and_blocks_agree_with_plain_loops() {
    for d in [1, 2, 3, 7, 64, 129, 300] {
        let block = BLOCK_VALUES / d;
        for n in [2, 3, 255, block - 1, block + 1, 3 * block + 17] {
            let value = |i: usize| (i as f64 * 0.37).sin() + 1e6 * (i % d) as f64;
            let values: Vec<f64> = (0..n * d).map(value).collect();
            let weights = |of: [f64; 4]| (0..n).map(|i| of[(i + 1) % 4]).collect();
            let singles: Vec<f32> = values.iter().map(|x| *x as f32).collect();
            let double = Samples::new(values, d).expect("finite");
            agree(&double);
            for of in [
                [1.0, 0.0, 2.5, 1e-3],
                [1.0, 0.3, 2.5, 1e-3],
                [1e240, 1e-300, 1e239, 1e238],
            ] {
                let weighted = double.clone().with_weights(weights(of));
                agree(&weighted.expect("weights"));
            }
            agree(&Samples::new(singles, d).expect("finite"));
        }
    }
}

#[test]
fn a_far_outlier_costs_no_digits_of_the_others() {
    // One value a million times as far out as the rest is wide: Σ u² − mean² would cancel.
    let mut values: Vec<f64> = (0..1_000_000).map(|i| f64::from(i % 1000) * 1e-3).collect();
    values[123_456] = 1e6;
    agree(&Samples::new(values, 1).expect("finite"));
}

#[test]
fn values_at_the_edges_of_f64_stay_in_range() {
    for size in [f64::MAX, 1e151, 1e-151, f64::MIN_POSITIVE, 5e-320] {
        let samples = Samples::new(vec![-size, size, 0.0], 1).expect("finite");
        let found = ranges(&samples);
        let (mean, deviation) = moments(&samples, &found)[0];
        let expected = size * (2.0f64 / 3.0).sqrt();
        assert!(mean.abs() <= f64::EPSILON * size, "{size}: {mean}");
        // Below the normal numbers the result itself has few digits.
        let bound = 4.0 * f64::EPSILON * expected + 5e-324;
        assert!((deviation - expected).abs() <= bound, "{size}: {deviation}");
    }
}

#[test]
fn threads_change_no_bit() {
    let values: Vec<f64> = (0..300_001).map(|i| (f64::from(i) * 0.7).sin()).collect();
    let samples = Samples::new(values, 1).expect("finite");
    let found = ranges(&samples);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads").install(|| {
            (
                moments(&samples, &found),
                Glance::of(&samples, &[0.1], &[1.3], true),
            )
        })
    };
    assert_eq!(with(1), with(3));
    assert_eq!(with(1), with(2));
}

proptest! {
    #[test]
    fn random_tables_agree_with_plain_loops(
        rows in prop::collection::vec((prop::collection::vec(-1e3f64..1e3, 3), 0u8..4), 1..400),
        offset in prop_oneof![Just(0.0), Just(1e9)],
    ) {
        let values = rows.iter().flat_map(|(row, _)| row.iter().map(|x| x + offset)).collect::<Vec<_>>();
        let weights = rows.iter().map(|(_, weight)| f64::from(*weight)).collect();
        let samples = Samples::new(values, 3).expect("finite");
        agree(&samples);
        if let Ok(weighted) = samples.with_weights(weights) {
            agree(&weighted);
        }
    }
}

#[test]
fn values_that_are_not_finite_are_named_wherever_they_stand() {
    for d in [1, 2, 3, 129] {
        let n = 2 * (BLOCK_VALUES / d) + 17;
        for at in [0, d - 1, n / 2 * d, n * d - 1] {
            for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let mut values = vec![f64::MAX; n * d];
                values[at] = wrong;
                let mut singles = vec![f32::MIN; n * d];
                singles[at] = wrong as f32;
                for found in [Samples::new(values, d), Samples::new(singles, d)] {
                    let error = found.expect_err("a value that is not finite");
                    let crate::data::DataError::NotFinite { row, column, .. } = error else {
                        panic!("{error}");
                    };
                    assert_eq!((row, column), (at / d + 1, (at % d).to_string()));
                }
            }
        }
        // The largest numbers are numbers.
        assert!(Samples::new(vec![f64::MAX; n * d], d).is_ok());
    }
}
