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
mod samples;
#[cfg(test)]
mod shader_tests;
mod shape;
mod stage;
mod staged;
mod statistics_registers;
mod sums;

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
    Backend, BackendError, BlockMask, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks,
};
use crate::data::{Samples, Standardisation};
use buffers::Pool;
use parameters::Parameters;
use plan::{Plan, Regime, models_per_dispatch};
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
}

impl Counters {
    fn count(&mut self, dispatches: u64, buffers: &[&wgpu::Buffer]) {
        self.dispatches += dispatches;
        self.bytes_bound += dispatches * buffers.iter().map(|b| b.size()).sum::<u64>();
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

fn encoder(device: &Device) -> wgpu::CommandEncoder {
    device
        .raw()
        .create_command_encoder(&wgpu::CommandEncoderDescriptor {
            label: Some("wgmm"),
        })
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

    /// Several models of one shape and plan, side by side where their sums stay in registers.
    fn evaluate(
        &mut self,
        plan: &Plan,
        models: Vec<(Parameters<'_>, Option<&BlockMask>)>,
    ) -> Result<Vec<Statistics>, BackendError> {
        let all = match plan.regime {
            Regime::Registers { reduction } => statistics_registers::statistics_registers(
                &self.device,
                &mut self.pool,
                &mut self.counters,
                &self.samples,
                (plan, reduction),
                &models,
            )?,
            Regime::Groups(groups) => models
                .iter()
                .map(|(parameters, mask)| {
                    groups::statistics_groups(
                        &self.device,
                        &mut self.pool,
                        &mut self.counters,
                        &self.samples,
                        (plan, groups),
                        parameters,
                        |b| mask.is_none_or(|mask| mask.contains(b)),
                    )
                })
                .collect::<Result<_, _>>()?,
            Regime::Staged {
                segment_rows,
                segments_per_batch,
            } => models
                .iter()
                .map(|(parameters, mask)| {
                    Staged {
                        device: &self.device,
                        pool: &mut self.pool,
                        counters: &mut self.counters,
                        samples: &self.samples,
                        plan,
                        segment_rows,
                        segments_per_batch,
                    }
                    .statistics(parameters, |b| mask.is_none_or(|mask| mask.contains(b)))
                })
                .collect::<Result<_, _>>()?,
        };
        if !all.iter().all(Sums::is_finite) {
            return Err(self.device.failed("statistics", "a sum is not a number"));
        }
        let weight_unit = self.samples.weight_unit;
        let statistics = models.iter().zip(all).map(|((parameters, _), sums)| {
            sums.into_statistics(plan.regime, parameters, weight_unit)
        });
        Ok(statistics.collect())
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
        let mut results: Vec<Option<Statistics>> = vec![None; models.len()];
        for group in by_shape(models) {
            let components = models[group[0]].components;
            let plan = self.plan(components)?;
            self.last = Some((plan, Shape::of(components)));
            let prepared = |&m: &usize| (Parameters::new(models[m].components), models[m].mask);
            let found = self.evaluate(&plan, group.iter().map(prepared).collect())?;
            for (m, statistics) in group.into_iter().zip(found) {
                results[m] = Some(statistics);
            }
        }
        // Every model is in exactly one group.
        Ok(results.into_iter().flatten().collect())
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
        Staged {
            device: &self.device,
            pool: &mut self.pool,
            counters: &mut self.counters,
            samples: &self.samples,
            plan: &plan,
            segment_rows,
            segments_per_batch,
        }
        .responsibilities(
            &Parameters::new(components),
            rows,
            log_densities,
            responsibilities,
        )
    }
}
