//! A mixture on samples, row by row, on any device: labels, responsibilities, log densities.

use std::ops::Range;

use super::FitError;
use super::engine::Engine;
use super::options::Options;
use crate::backend::{Components, DeviceInfo};
use crate::data::{Samples, Standardisation};
use crate::mixture::Mixture;

/// Numbers of responsibilities held at once.
const HELD: usize = 1 << 20;

/// Some rows' densities and responsibilities under a mixture.
#[derive(Clone, Debug)]
pub struct Evaluated<'a> {
    /// Which rows.
    pub rows: Range<usize>,
    /// Log density of each, nats, in the data's units.
    pub log_densities: &'a [f64],
    /// The responsibilities of each, row-major: of K components, and last of the noise if there is one.
    pub responsibilities: &'a [f64],
}

/// Evaluates a mixture on all samples and hands over a few thousand rows at a time, in order.
///
/// Of the options only `device` and `precision` count. Returns what evaluated them.
///
/// # Errors
/// Another number of features than the mixture's; a device that fails.
pub fn evaluate(
    mixture: &Mixture,
    samples: &Samples,
    options: &Options,
    visit: &mut dyn FnMut(Evaluated<'_>),
) -> Result<DeviceInfo, FitError> {
    let (k, n) = (mixture.n_responsibilities(), samples.len());
    if mixture.n_features() != samples.n_features() {
        return Err(FitError::Features {
            model: mixture.n_features(),
            data: samples.n_features(),
        });
    }
    let map = Standardisation::of_mixture(mixture, samples);
    let mut engine = Engine::load(samples, &map, options)?;
    let mut components = Components::from_mixture(mixture, &map);
    engine.admit(&mut components, 0)?;
    let density = mixture.noise().map(|_| mixture.density());
    let mut row = vec![0.0; samples.n_features()];
    let chunk = (HELD / k).clamp(1, n);
    let mut log_densities = vec![0.0; chunk];
    let mut responsibilities = vec![0.0; chunk * k];
    for start in (0..n).step_by(chunk) {
        let rows = start..(start + chunk).min(n);
        let (log_densities, responsibilities) = (
            &mut log_densities[..rows.len()],
            &mut responsibilities[..rows.len() * k],
        );
        engine.responsibilities(
            &components,
            rows.clone(),
            log_densities,
            responsibilities,
            0,
        )?;
        log_densities
            .iter_mut()
            .for_each(|l| *l += map.log_determinant());
        if let (Some(noise), Some(density)) = (mixture.noise(), &density) {
            // Devices take the noise's density to be the same everywhere.
            let shares = responsibilities.chunks_exact_mut(k);
            for ((i, log_density), shares) in rows.clone().zip(&mut *log_densities).zip(shares) {
                samples.copy_row(i, &mut row);
                if !noise.contains(&row) {
                    *log_density = density.responsibilities(&row, shares);
                }
            }
        }
        visit(Evaluated {
            rows,
            log_densities,
            responsibilities,
        });
    }
    Ok(engine.info())
}
