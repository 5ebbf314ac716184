//! Mixtures on a GPU, through wgpu (Vulkan, Metal, DirectX 12), in single precision.
//!
//! Samples are standardised in f64, cast and uploaded once. Sums are made in fixed trees without atomics: runs
//! of at most 256 rows in f32, folded per summation block, and blocks added in f64 on the host.

mod adapter;
mod buffers;
mod device;
mod explain;
mod generate;
mod groups;
mod measure;
mod parameters;
mod plan;
mod recording;
mod samples;
#[cfg(test)]
mod shader_tests;
mod shape;
mod stage;
mod staged;
mod statistics_registers;
mod sums;
mod upload;

use std::ops::Range;

#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub use adapter::live_objects;
pub use adapter::{AdapterDescription, DeviceKind, Selection, adapters};
#[doc(hidden)]
pub use device::Fault;
pub use device::{Device, Options};
pub use measure::{Measured, MeasuredPass, measure};

use super::{
    Backend, BackendError, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks,
};
use crate::data::{Samples, Standardisation};
use buffers::Pool;
use parameters::Parameters;
use plan::{Plan, Regime, models_per_dispatch};
use recording::{Recording, Submission};
use samples::LoadedSamples;
use shape::Shape;
use staged::Staged;
use sums::Sums;

/// What a [`Gpu`] has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Dispatches run.
    pub dispatches: u64,
    /// Bytes of the buffers that they were bound to, summed over dispatches.
    pub bytes_bound: u64,
    /// Submissions, each of which the host waited for and read back from once.
    pub submissions: u64,
    /// Bytes read back.
    pub bytes_read: u64,
}

impl Counters {
    /// Counts one submission.
    fn count(&mut self, recordings: &[Recording], bytes_read: u64) {
        for dispatch in recordings.iter().flat_map(|r| &r.dispatches) {
            self.dispatches += 1;
            let buffers = dispatch.bound.buffers().iter();
            self.bytes_bound += buffers.map(wgpu::Buffer::size).sum::<u64>();
        }
        self.submissions += 1;
        self.bytes_read += bytes_read;
    }
}

/// Samples on a device.
#[derive(Debug)]
pub struct Gpu {
    device: Device,
    samples: LoadedSamples,
    pool: Pool,
    counters: Counters,
    /// How the last model was evaluated.
    last: Option<(Plan, Shape)>,
}

impl Gpu {
    /// Uploads N × D samples, standardised by `map`.
    ///
    /// # Errors
    /// A device that is lost, has not enough memory, or cannot bind even one summation block.
    pub fn load(
        device: &Device,
        samples: &Samples,
        map: &Standardisation,
    ) -> Result<Self, BackendError> {
        Ok(Self {
            samples: LoadedSamples::upload(device, samples, map)?,
            device: device.clone(),
            pool: Pool::default(),
            counters: Counters::default(),
            last: None,
        })
    }

    /// What ran since [`Gpu::load`].
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn plan(&self, components: &Components) -> Result<Plan, BackendError> {
        let shape = Shape::of(components);
        Plan::new(&self.samples.layout, shape, self.device.limits())
            .ok_or_else(|| self.device.too_large(shape.d, shape.k))
    }

    /// The numbers of models, by groups that are evaluated together: each with its plan.
    fn planned(&self, models: &[MaskedModel<'_>]) -> Result<Vec<(Plan, Vec<usize>)>, BackendError> {
        let groups = by_shape(models).into_iter();
        groups
            .map(|group| Ok((self.plan(models[group[0]].components)?, group)))
            .collect()
    }
}

/// Models by shape, in the order of their first, at most [`models_per_dispatch`] a group.
fn by_shape(models: &[MaskedModel<'_>]) -> Vec<Vec<usize>> {
    let shape = |m: usize| Shape::of(models[m].components);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for m in 0..models.len() {
        let most = models_per_dispatch(shape(m)).max(1);
        let open = |group: &&mut Vec<usize>| group.len() < most && shape(group[0]) == shape(m);
        match groups.iter_mut().find(open) {
            Some(group) => group.push(m),
            None => groups.push(vec![m]),
        }
    }
    groups
}

impl Backend for Gpu {
    fn info(&self) -> DeviceInfo {
        let about = self.device.description();
        DeviceInfo {
            backend: "gpu",
            name: about.name.clone(),
            driver: about.driver.clone(),
            precision: Precision::F32,
            threads: rayon::current_num_threads(),
            plan: self
                .last
                .map(|(plan, shape)| explain::explain(&plan, &self.samples.layout, shape)),
        }
    }

    fn blocks(&self) -> SummationBlocks {
        self.samples.layout.blocks
    }

    fn statistics(&mut self, models: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError> {
        let planned = self.planned(models)?;
        let parameters: Vec<Parameters<'_>> = models
            .iter()
            .map(|model| Parameters::new(model.components))
            .collect();
        let mut sums: Vec<Sums> = models.iter().map(|_| Sums::zero(0)).collect();
        for (plan, group) in &planned {
            for &m in group {
                sums[m] = Sums::zero(plan.sums_per_block);
            }
        }
        if let Some((plan, group)) = planned.last() {
            self.last = Some((*plan, parameters[group[0]].shape));
        }
        let samples = &self.samples;
        let mut submission =
            Submission::new(&self.device, &mut self.pool, &mut self.counters, sums);
        for (plan, group) in &planned {
            match plan.regime {
                Regime::Registers { reduction } => {
                    let these: Vec<_> = group
                        .iter()
                        .map(|&m| (m, &parameters[m], models[m].mask))
                        .collect();
                    statistics_registers::record(
                        &mut submission,
                        samples,
                        (plan, reduction),
                        &these,
                    )?;
                }
                Regime::Groups(groups) => {
                    for &m in group {
                        groups::record(
                            &mut submission,
                            samples,
                            (plan, groups),
                            (m, &parameters[m]),
                            |b| models[m].mask.is_none_or(|mask| mask.contains(b)),
                        )?;
                    }
                }
                Regime::Staged {
                    segment_rows,
                    segments_per_batch,
                } => {
                    for &m in group {
                        let staged = Staged {
                            samples,
                            plan,
                            segment_rows,
                            segments_per_batch,
                        };
                        staged.record(&mut submission, (m, &parameters[m]), |b| {
                            models[m].mask.is_none_or(|mask| mask.contains(b))
                        })?;
                    }
                }
            }
        }
        let sums = submission.finish()?;
        if !sums.iter().all(Sums::is_finite) {
            return Err(self.device.failed("statistics", "a sum is not a number"));
        }
        let mut regimes = vec![None; models.len()];
        for (plan, group) in &planned {
            group.iter().for_each(|&m| regimes[m] = Some(plan.regime));
        }
        let weight_unit = self.samples.weight_unit;
        let all = sums.into_iter().zip(&parameters).zip(regimes);
        // Every model is in exactly one group.
        Ok(all
            .filter_map(|((sums, parameters), regime)| {
                Some(sums.into_statistics(regime?, parameters, weight_unit))
            })
            .collect())
    }

    fn responsibilities(
        &mut self,
        components: &Components,
        rows: Range<usize>,
        log_densities: &mut [f64],
        responsibilities: &mut [f64],
    ) -> Result<(), BackendError> {
        assert_eq!(
            (log_densities.len(), responsibilities.len()),
            (rows.len(), rows.len() * components.len())
        );
        let shape = Shape::of(components);
        let too_large = || self.device.too_large(shape.d, shape.k);
        let plan = Plan::staged(&self.samples.layout, shape, self.device.limits())
            .ok_or_else(too_large)?;
        let Regime::Staged {
            segment_rows,
            segments_per_batch,
        } = plan.regime
        else {
            return Err(too_large());
        };
        let staged = Staged {
            samples: &self.samples,
            plan: &plan,
            segment_rows,
            segments_per_batch,
        };
        let (device, pool, counters) = (&self.device, &mut self.pool, &mut self.counters);
        staged.responsibilities(
            (device, pool, counters),
            &Parameters::new(components),
            rows,
            log_densities,
            responsibilities,
        )
    }
}
