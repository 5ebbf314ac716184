use super::super::chart::tests::{components, samples, statistics};
use super::super::hessian;
use super::*;
use crate::data::Standardisation;
use crate::mixture::CovarianceType;

const STOP: Stop = Stop {
    gain: 1e-12,
    resolution: 0.0,
    is_verified: false,
};

/// One EM step, by its formulas in whitened coordinates.
fn em(at: &Components) -> Components {
    let sums = statistics(&samples(3), at);
    let chart = Chart::about(at);
    // To first order; good enough for a step that must not lose.
    let mut z: Vec<f64> = chart.gradient(at, &sums).iter().map(|g| -0.5 * g).collect();
    let scale = (0.5 / chart.size(&z)).min(1.0);
    z.iter_mut().for_each(|z| *z *= scale);
    chart.components(&z).expect("finite")
}

/// Goes on until converged, as a fit does; the objectives of all parameters that stood.
fn ascend(
    acceleration: &mut Acceleration,
    start: Components,
    precision: Precision,
    is_sound: IsSound<'_>,
) -> (Components, Vec<f64>) {
    let (mut trial, mut stands, mut objectives) = (start.clone(), start, Vec::new());
    for _ in 0..2000 {
        let sums = statistics(&samples(3), &trial);
        let step = match acceleration.judge(&trial, &sums, precision, is_sound) {
            Judgement::Rejected(step) => step,
            Judgement::Stands => {
                stands = trial.clone();
                objectives.push(-sums.mean_log_likelihood());
                acceleration.next(precision, is_sound)
            }
        };
        let step = match step {
            Step::Em => acceleration.beyond(em(&stands), is_sound),
            other => other,
        };
        match step {
            Step::To(next) => trial = next,
            _ => return (stands, objectives),
        }
    }
    panic!("no convergence: {:?}", objectives.last());
}

#[test]
fn it_ends_at_a_stationary_point_and_never_falls() {
    for kind in [
        CovarianceType::Full,
        CovarianceType::Tied,
        CovarianceType::Diag,
    ] {
        let mut acceleration = Acceleration::new(STOP);
        let (end, objectives) = ascend(
            &mut acceleration,
            components(kind, true, 2),
            Precision::F64,
            &|_| true,
        );
        assert!(
            objectives.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12),
            "{kind:?}"
        );
        let chart = Chart::about(&end);
        let gradient = chart.gradient(&end, &statistics(&samples(3), &end));
        // At a Newton decrement of 1e-12 with curvatures of 1e-3 and more.
        assert!(
            dot(&gradient, &gradient).sqrt() < 1e-5,
            "{kind:?} {gradient:?}"
        );
        assert!(acceleration.remaining < STOP.gain);
    }
}

#[test]
fn a_ridge_ends_where_the_estimate_stays_below_the_resolution() {
    let mut acceleration = Acceleration::new(Stop {
        gain: 0.0,
        resolution: 1e-3,
        is_verified: false,
    });
    let start = components(CovarianceType::Full, false, 2);
    let (_, objectives) = ascend(&mut acceleration, start, Precision::F64, &|_| true);
    let gain = objectives[objectives.len() - 1 - TIMES_UNSEEN] - objectives[objectives.len() - 1];
    assert!(acceleration.remaining < 1e-3 && gain < 1e-2, "{gain}");
}

#[test]
fn the_last_step_is_left_to_double_where_it_is_expected_to_arrive() {
    const GAIN: f64 = 1e-9;
    let samples = samples(3);
    let mut acceleration = Acceleration::new(Stop { gain: 1e-3, ..STOP });
    let start = components(CovarianceType::Full, true, 2);
    let (near, _) = ascend(&mut acceleration, start, Precision::F64, &|_| true);
    let (chart, map) = (Chart::about(&near), Standardisation::identity(3));
    let curvature = hessian::curvature(&chart, &near, &samples, &map, samples.len());
    let inverse = curvature.expect("finite").inverse;
    acceleration.know(chart, inverse, &near, &statistics(&samples, &near));
    // Sums are exact here, so that single precision is only what it is called.
    let ended = |is_verified| {
        let mut acceleration = acceleration.clone().over_other_rows(Stop {
            gain: GAIN,
            is_verified,
            ..STOP
        });
        let (end, objectives) = ascend(&mut acceleration, near.clone(), Precision::F32, &|_| true);
        (acceleration, end, objectives.len())
    };
    let (mut early, _, evaluated) = ended(true);
    let (late, _, all) = ended(false);
    assert!(evaluated < all, "{evaluated} of {all}");
    assert!(early.remaining > GAIN && late.remaining < GAIN);
    let Step::To(last) = early.once_more(&|_| true) else {
        panic!("no step");
    };
    let sums = statistics(&samples, &last);
    let judgement = early.judge(&last, &sums, Precision::F64, &|_| true);
    assert!(matches!(judgement, Judgement::Stands));
    assert!(matches!(
        early.next(Precision::F64, &|_| true),
        Step::Converged
    ));
}

#[test]
fn what_is_not_sound_is_never_evaluated() {
    // No mean of the first component beyond its start: steps of L-BFGS would go there.
    let start = components(CovarianceType::Full, false, 2);
    let limit = start.means[0] + 1e-3;
    let is_sound = |components: &Components| components.means[0] <= limit;
    let mut acceleration = Acceleration::new(STOP);
    let mut trial = start.clone();
    let mut evaluated = 0;
    for _ in 0..50 {
        let sums = statistics(&samples(3), &trial);
        let step = match acceleration.judge(&trial, &sums, Precision::F64, &is_sound) {
            Judgement::Rejected(step) => step,
            Judgement::Stands => acceleration.next(Precision::F64, &is_sound),
        };
        match step {
            Step::To(to) => {
                assert!(is_sound(&to));
                trial = to;
                evaluated += 1;
            }
            // In place of EM steps, back to where it began.
            _ => match acceleration.beyond(start.clone(), &is_sound) {
                Step::To(to) => trial = to,
                _ => break,
            },
        }
    }
    assert!(evaluated < 50);
}

#[test]
fn other_rows_keep_the_curvature_and_a_repair_forgets_it() {
    let mut acceleration = Acceleration::new(STOP);
    let (end, _) = ascend(
        &mut acceleration,
        components(CovarianceType::Full, false, 2),
        Precision::F64,
        &|_| true,
    );
    let mut onward = acceleration.clone().over_other_rows(STOP);
    let sums = statistics(&samples(3), &end);
    assert!(matches!(
        onward.judge(&end, &sums, Precision::F64, &|_| true),
        Judgement::Stands
    ));
    assert!(matches!(
        onward.next(Precision::F64, &|_| true),
        Step::Converged
    ));
    acceleration.restart();
    assert!(matches!(
        acceleration.judge(&end, &sums, Precision::F64, &|_| true),
        Judgement::Stands
    ));
    assert!(matches!(
        acceleration.next(Precision::F64, &|_| true),
        Step::Em
    ));
}
