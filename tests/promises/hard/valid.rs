//! What a fit must be, whatever the data: finite, a mixture, above the variance floor, and with a trace that
//! falls only where an event names a repair.

use nalgebra::{DMatrix, SymmetricEigen};
use wgmm::backend::{Components, Precision};
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{EventKind, Fit, Options};
use wgmm::mixture::{CovarianceType, Mixture, triangle};

/// A covariance is at the floor when an eigenvalue is within this share of it: as far as the whole way to the data's
/// units and back may move one.
const FLOOR_DIGITS: f64 = 1e-3;

/// `Err` says what is wrong.
pub(super) fn check(found: &Fit, samples: &Samples, options: &Options) -> Result<(), String> {
    let map = Standardisation::of(samples, options.covariance_type).map_err(|e| e.to_string())?;
    let components = Components::from_mixture(&found.mixture, &map);
    is_mixture(&found.mixture, options)?;
    numbers(found)?;
    floor(found, &map, &components)?;
    trace(found, &map, &components)
}

fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The invariants of a mixture, by its own constructor, and the shape that was asked for.
fn is_mixture(mixture: &Mixture, options: &Options) -> Result<(), String> {
    let again = Mixture::new(
        mixture.weights().to_vec(),
        mixture.means().to_vec(),
        mixture.n_features(),
        mixture.covariances().clone(),
    );
    again.map_err(|e| e.to_string())?;
    demand(
        mixture.len() == options.n_components
            && mixture.covariance_type() == options.covariance_type,
        || "another shape".to_owned(),
    )
}

fn numbers(found: &Fit) -> Result<(), String> {
    let criteria = found.criteria;
    let single = [
        found.mean_log_likelihood,
        criteria.aic,
        criteria.bic,
        criteria.icl,
    ];
    let mut all = found.trace.iter().chain(&single);
    demand(all.all(|x| x.is_finite()), || {
        format!("{single:?}, trace {:?}", found.trace)
    })?;
    demand(
        found.trace.len() == found.iterations + 1
            && found.trace.last() == Some(&found.mean_log_likelihood),
        || "a trace that does not end with the fit".to_owned(),
    )
}

/// No component is below the variance floor, and one that is at the floor was reported.
fn floor(found: &Fit, map: &Standardisation, components: &Components) -> Result<(), String> {
    let d = components.n_features;
    for k in 0..components.len() {
        let seen = triangle::multiply(&components.factor(k), &map.floor_factor(), d);
        let square = triangle::unpack_symmetric(&triangle::square(&seen, d), d);
        let share = SymmetricEigen::new(DMatrix::from_row_slice(d, d, &square))
            .eigenvalues
            .max();
        let entries = floor_rounding(found, map, k);
        let rounding = FLOOR_DIGITS.max(entries);
        // What entries cannot hold, they need not.
        if rounding > 0.5 {
            continue;
        }
        demand(share <= 1.0 + 2.0 * rounding, || {
            format!("component {k} is {share} times narrower than the floor")
        })?;
        let tied = components.covariance_type == CovarianceType::Tied;
        let reported = found.events.iter().any(|e| {
            matches!(
                e.kind,
                EventKind::Floored | EventKind::Kept | EventKind::AtFloor
            ) && (tied || e.component == Some(k))
        });
        // One that comes near by itself is told from within the floor's digits on, and nothing is beyond those of its
        // entries.
        demand(
            reported || share < 1.0 - FLOOR_DIGITS + entries || entries > FLOOR_DIGITS,
            || {
                format!(
                    "component {k} is at the floor ({share}) without an event: {:?}",
                    found.events
                )
            },
        )?;
    }
    Ok(())
}

/// How far rounding a covariance's entries, a few D units in the last place of √(Σ_ii Σ_jj), may move an
/// eigenvalue at the floor, as a share of it.
fn floor_rounding(found: &Fit, map: &Standardisation, k: usize) -> f64 {
    let d = map.n_features();
    let floor = triangle::square(&map.restore_factor(&map.floor_factor()), d);
    let covariance = found.mixture.covariance(k);
    let ratios = (0..d).map(|j| covariance[j * d + j] / floor[triangle::at(j, j)]);
    16.0 * d as f64 * f64::EPSILON * ratios.fold(1.0, f64::max)
}

/// The bound of the promise on monotone traces: a log density is off by |y| κ ε, with |y| ≤ 10 and ε of the
/// precision. A component that was at the floor once had κ ≤ 1e7, and no single precision beyond the gate.
fn trace(found: &Fit, map: &Standardisation, components: &Components) -> Result<(), String> {
    let kappa = components.kappa().max(1.0);
    let single = found.device.precision == Precision::F32
        || found.events.iter().any(|e| e.kind == EventKind::Precision);
    let double = 1e-8f64.max(10.0 * f64::EPSILON * kappa);
    let rounding = if single {
        4e-7 * kappa.min(32_768.0)
    } else {
        double
    };
    for i in 1..found.trace.len() {
        let (before, after) = (found.trace[i - 1], found.trace[i]);
        let size = (after - map.log_determinant()).abs().max(1.0);
        let repaired = (found.events.iter()).any(|e| e.iteration == i && e.kind.is_repair());
        demand(repaired || after >= before - rounding * size, || {
            format!(
                "iteration {i}: {after} after {before}, a fall of {:e} where {:e}; kappa {kappa:e}; {:?}",
                before - after,
                rounding * size,
                found.events
            )
        })?;
    }
    Ok(())
}
