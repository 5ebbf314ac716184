use super::super::chart::tests::{TYPES, components, samples, statistics};
use super::*;

#[test]
fn the_hessian_is_the_change_of_the_gradient() {
    let (samples, map) = (samples(3), Standardisation::identity(3));
    for kind in TYPES {
        for noise in [false, true] {
            let at = components(kind, noise, 2);
            let chart = Chart::about(&at);
            let hessian = hessian(&chart, &at, &samples, &map, samples.len());
            let p = chart.layout().len();
            for i in 0..p {
                let gradient = |h: f64| {
                    let mut z = vec![0.0; p];
                    z[i] = h;
                    let at = chart.components(&z).expect("finite");
                    chart.gradient(&at, &statistics(&samples, &at))
                };
                // Central differences: errors of h² and of 1e-16/h.
                let h = 1e-5;
                let (more, less) = (gradient(h), gradient(-h));
                for j in 0..p {
                    let change = (more[j] - less[j]) / (2.0 * h);
                    let found = hessian[(j, i)];
                    assert!(
                        (change - found).abs() < 1e-8,
                        "{kind:?} {noise} ({j}, {i}): {change} {found}"
                    );
                }
            }
        }
    }
}

#[test]
fn only_the_first_rows_count_and_threads_change_no_bit() {
    let (samples, map) = (samples(3), Standardisation::identity(3));
    let at = components(CovarianceType::Full, false, 2);
    let chart = Chart::about(&at);
    let first: Vec<usize> = (0..277).collect();
    let of_first = hessian(&chart, &at, &samples.subset(&first), &map, 277);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        assert_eq!(
            pool.install(|| hessian(&chart, &at, &samples, &map, 277)),
            of_first
        );
    }
}

#[test]
fn flat_and_concave_directions_are_made_steep_enough() {
    for (curvatures, expected) in [
        ([2.0, 1e-9], [0.5, 1e3]),
        ([2.0, -0.5], [0.5, 2.0]),
        ([2.0, -1e-9], [0.5, 1e3]),
    ] {
        let hessian = DMatrix::from_diagonal(&DVector::from_row_slice(&curvatures));
        let Curvature { inverse, downhill } = Curvature::of(hessian);
        let is_saddle = curvatures[1] < -1e-3;
        assert_eq!(downhill.is_some(), is_saddle);
        assert!(downhill.is_none_or(|v| v[0] == 0.0 && v[1].abs() == 1.0));
        let inverse = inverse.apply(&[1.0, 1.0]);
        for (found, expected) in inverse.iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-3, "{inverse:?}");
        }
    }
}
