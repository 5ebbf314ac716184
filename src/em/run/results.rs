//! What a run that has ended hands over.

use super::super::events::{Event, EventKind};
use super::super::options::Init;
use super::super::warm::Way;
use super::super::{Fit, FitError, Stage, Times};
use super::{Ending, Run};
use crate::backend::DeviceInfo;
use crate::mixture::{Criteria, Noise};

impl Run<'_> {
    /// The results of a run that has ended, after `passes` over `rows` rows on `device`.
    pub(in super::super) fn finish(
        mut self,
        rows: usize,
        passes: f64,
        device: DeviceInfo,
        device_events: &[Event],
        way: Way,
        times: Times,
    ) -> Result<Fit, FitError> {
        let mean_log_likelihood = self.mean_log_likelihood();
        let iterations = self.iterations();
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.report_floor();
        let mut mixture = self.components.to_mixture(self.map)?;
        if let (true, Init::Model(start)) = (self.options.freeze.is_any(), &self.options.init) {
            mixture = self.options.freeze.restored(&mixture, start)?;
        }
        let freeze = &self.options.freeze;
        let mut n_parameters = freeze.n_parameters(
            mixture.covariance_type(),
            mixture.len(),
            mixture.n_features(),
        );
        if mixture.noise().is_some() && !freeze.weights {
            n_parameters += Noise::PARAMETERS;
        }
        let (total, log_largest) = self
            .standing
            .map_or((0.0, 0.0), |(_, s)| (s.weight, s.log_largest));
        let criteria = Criteria::new(
            mean_log_likelihood * total,
            log_largest,
            n_parameters,
            total,
        );
        let mut events = device_events.to_vec();
        events.extend(self.events);
        events.sort_by_key(|event| event.iteration);
        let Way {
            mut stages,
            restarts,
        } = way;
        stages.push(Stage {
            rows,
            iterations,
            passes,
        });
        Ok(Fit {
            mixture,
            n_parameters,
            device,
            iterations,
            passes: stages.iter().map(|stage| stage.passes).sum(),
            stages,
            restarts,
            remaining_gain: self
                .acceleration
                .map(|a| a.remaining)
                .filter(|gain| gain.is_finite()),
            converged: self.ending == Some(Ending::Converged),
            at_resolution: self.ending == Some(Ending::Resolved),
            interrupted: self.ending == Some(Ending::Interrupted),
            mean_log_likelihood,
            trace: self.trace,
            criteria,
            events,
            times,
        })
    }

    /// Reports the covariances that came to the floor by themselves: no repair, but no estimate to be trusted either.
    fn report_floor(&mut self) {
        if self.options.is_parity() {
            return;
        }
        let told = |k| {
            let says = |event: &Event| {
                matches!(event.kind, EventKind::Floored | EventKind::Kept)
                    && event.component == Some(k)
            };
            self.events.iter().any(says)
        };
        let silent = self.maximisation.floored(&self.components);
        let silent: Vec<usize> = silent
            .filter(|&k| !told(k) && !self.options.freeze.covariance(k))
            .collect();
        let iteration = self.iterations();
        self.events.extend(silent.into_iter().map(|k| Event {
            iteration,
            component: Some(k),
            kind: EventKind::AtFloor,
            reason: "its covariance ended at the smallest that is allowed".to_owned(),
        }));
    }
}
