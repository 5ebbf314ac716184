//! Starting a collapsed or empty component anew where the mixture explains the data worst.

use rand::RngExt;

use super::FitError;
use super::engine::Engine;
use super::events::{Event, EventKind};
use super::init::{Stream, generator};
use super::options::Options;
use crate::backend::{BlockMask, Components};
use crate::data::Standardisation;
use crate::mixture::triangle;

/// Among how many of the worst explained rows the new mean is drawn, at most.
const WORST_ROWS: usize = 1000;
/// Numbers of responsibilities held at once.
const HELD: usize = 1 << 20;

/// Gives each component of `which` the mean of a badly explained row, the average covariance of the others and
/// one K-th of the weight.
#[expect(
    clippy::too_many_arguments,
    reason = "one call, all of it state of the fit"
)]
pub(super) fn reseed(
    engine: &mut Engine<'_>,
    mask: Option<&BlockMask>,
    map: &Standardisation,
    options: &Options,
    evaluated: &Components,
    components: &mut Components,
    which: &[usize],
    iteration: usize,
    events: &mut Vec<Event>,
) -> Result<(), FitError> {
    let (k, d) = (components.len(), components.n_features);
    let worst = worst_rows(engine, mask, evaluated, iteration)?;
    let samples = engine.samples();
    let average = average_factor(components, which);
    let mut rng = generator(options.seed, Stream::Reseed(iteration));
    let mut row = vec![0.0; d];
    for &component in which {
        let i = worst[rng.random_range(0..worst.len())];
        samples.copy_row(i, &mut row);
        map.apply(&mut row);
        components.means[component * d..(component + 1) * d].copy_from_slice(&row);
        components.set_factor(component, &average);
        components.weights[component] = 0.0;
        events.push(Event {
            iteration,
            component: Some(component),
            kind: EventKind::Reseeded,
            reason: format!(
                "it had collapsed or lost its samples; started anew on row {}",
                i + 1
            ),
        });
    }
    let share = 1.0 / k as f64;
    let left: f64 = components.weights.iter().sum();
    let scale = if left > 0.0 {
        (1.0 - share * which.len() as f64) / left
    } else {
        0.0
    };
    for (component, weight) in components.weights.iter_mut().enumerate() {
        *weight = if which.contains(&component) {
            share
        } else {
            *weight * scale
        };
    }
    let sum: f64 = components.weights.iter().sum();
    components.weights.iter_mut().for_each(|w| *w /= sum);
    Ok(())
}

/// The rows of lowest log density, lowest first: one in a hundred, D + 1 to [`WORST_ROWS`] of them.
fn worst_rows(
    engine: &mut Engine<'_>,
    mask: Option<&BlockMask>,
    components: &Components,
    iteration: usize,
) -> Result<Vec<usize>, FitError> {
    let (samples, blocks) = (engine.samples(), engine.blocks());
    let is_seen = |i: usize| {
        samples.weight(i) > 0.0 && mask.is_none_or(|mask| mask.contains(blocks.of_row(i)))
    };
    let n = samples.len();
    let keep = (n / 100)
        .clamp(components.n_features + 1, WORST_ROWS)
        .min(n);
    let chunk = (HELD / components.len()).clamp(1, n);
    let mut log_densities = vec![0.0; chunk];
    let mut responsibilities = vec![0.0; chunk * components.len()];
    let mut worst: Vec<(f64, usize)> = Vec::new();
    for start in (0..n).step_by(chunk) {
        let rows = start..(start + chunk).min(n);
        let count = rows.len();
        engine.responsibilities(
            components,
            rows.clone(),
            &mut log_densities[..count],
            &mut responsibilities[..count * components.len()],
            iteration,
        )?;
        worst.extend(
            rows.zip(&log_densities[..count])
                .filter(|(i, _)| is_seen(*i))
                .map(|(i, l)| (*l, i)),
        );
        worst.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        worst.truncate(keep);
    }
    Ok(worst.into_iter().map(|(_, i)| i).collect())
}

/// The factor of the weighted average covariance of the components that stay, or of the data as a whole.
fn average_factor(components: &Components, leave_out: &[usize]) -> Vec<f64> {
    let d = components.n_features;
    let mut sum = vec![0.0; triangle::packed_len(d)];
    let mut total = 0.0;
    for k in (0..components.gaussians()).filter(|k| !leave_out.contains(k)) {
        let weight = components.weights[k];
        let covariance = triangle::square(&triangle::invert(&components.factor(k), d), d);
        total += weight;
        sum.iter_mut()
            .zip(covariance)
            .for_each(|(s, c)| *s += weight * c);
    }
    sum.iter_mut().for_each(|s| *s /= total);
    let factor = triangle::cholesky(&sum, d).map(|l| triangle::invert(&l, d));
    factor.unwrap_or_else(|_| triangle::identity(d))
}
