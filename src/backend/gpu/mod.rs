//! Mixtures on a GPU, through wgpu (Vulkan, Metal, DirectX 12), in single precision.
//!
//! Samples are standardised in f64, cast and sent up, once where all of them may stay. Sums are made in fixed trees
//! without atomics: runs of at most 256 rows in f32, folded per summation block, and blocks added in f64 on the host.

mod adapter;
mod buffers;
mod device;
mod explain;
mod generate;
mod groups;
mod measure;
mod nearest;
mod parameters;
mod plan;
mod recording;
mod residency;
mod samples;
#[cfg(test)]
mod shader_tests;
mod shape;
mod stage;
mod staged;
mod startup;
mod statistics_registers;
mod sums;
mod upload;
mod walk;

use std::ops::Range;

#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub use adapter::live_objects;
pub use adapter::{AdapterDescription, DeviceKind, Selection, adapters};
#[doc(hidden)]
pub use device::Fault;
pub use device::{Compiled, Device, Options};
pub use measure::{Measured, MeasuredPass, measure};
pub use nearest::Nearest;
pub use startup::{StartUp, start_up};

use super::{
    Backend, BackendError, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks, Walk, Walked,
};
use crate::data::{Samples, Standardisation};
use buffers::Pool;
use parameters::Parameters;
use plan::{Plan, Regime, models_per_dispatch};
use recording::{Recording, Submission};
use samples::{AtHand, LoadedSamples};
use shape::Shape;
use stage::StageKey;
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
    /// Bytes of samples sent to the device, [`Gpu::load`] included.
    pub bytes_sent: u64,
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

/// Samples on a device, or on their way to it in each pass.
#[derive(Debug)]
pub struct Gpu<'a> {
    device: Device,
    samples: LoadedSamples<'a>,
    pool: Pool,
    counters: Counters,
    /// How the last model was evaluated.
    last: Option<(Plan, Shape)>,
}

impl<'a> Gpu<'a> {
    /// Uploads N × D samples, standardised by `map`, or as many of them as the device's options allow.
    ///
    /// # Errors
    /// A device that is lost, has not enough memory, or cannot bind even one summation block.
    pub fn load(
        device: &Device,
        samples: &'a Samples,
        map: &'a Standardisation,
    ) -> Result<Self, BackendError> {
        let most_bytes = device.options().max_sample_bytes;
        Ok(Self {
            samples: LoadedSamples::upload(device, samples, map, most_bytes)?,
            device: device.clone(),
            pool: Pool::default(),
            counters: Counters::default(),
            last: None,
        })
    }

    /// What ran since [`Gpu::load`].
    pub fn counters(&self) -> Counters {
        Counters {
            bytes_sent: self.samples.bytes_sent(),
            ..self.counters
        }
    }

    fn plan(&self, components: &Components) -> Result<Plan, BackendError> {
        let shape = Shape::of(components);
        let plan = match parameters::keeps_digits(components) {
            true => Plan::of_features,
            false => Plan::new,
        };
        plan(&self.samples.layout, shape, self.device.limits())
            .ok_or_else(|| self.device.too_large(shape.d, shape.k))
    }

    /// The models by groups that are evaluated together.
    fn planned(&self, walks: &[Walk<'_>]) -> Result<Vec<Planned>, BackendError> {
        let groups = by_shape(walks).into_iter();
        groups
            .map(|models| {
                let components = walks[models[0]].model.components;
                let plan = self.plan(components)?;
                let wanted = models.iter().map(|&m| walks[m].most).max().unwrap_or(0);
                Ok(Planned {
                    steps: wanted.min(self.steps(&plan, components, models.len())),
                    plan,
                    models,
                })
            })
            .collect()
    }

    /// How many EM steps so many models may take in one submission. They go over all samples at once.
    fn steps(&self, plan: &Plan, components: &Components, models: usize) -> usize {
        let LoadedSamples {
            layout, residency, ..
        } = &self.samples;
        match residency.is_whole() && !self.device.options().no_steps {
            true => plan.steps(Shape::of(components), layout.blocks.len() * models),
            false => 0,
        }
    }
}

/// Models that are evaluated together.
struct Planned {
    plan: Plan,
    /// EM steps that the device takes first.
    steps: usize,
    /// Their numbers.
    models: Vec<usize>,
}

/// Models by shape, by whether they want steps and by whether sums of features keep their digits, in the order of their first, at most [`models_per_dispatch`] a group.
fn by_shape(walks: &[Walk<'_>]) -> Vec<Vec<usize>> {
    let kind = |m: usize| {
        let walk = &walks[m];
        let takes_steps = walk.most > 0 && walk.model.mask.is_none();
        let components = walk.model.components;
        (
            Shape::of(components),
            takes_steps,
            parameters::keeps_digits(components),
        )
    };
    let kinds: Vec<_> = (0..walks.len()).map(kind).collect();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for m in 0..walks.len() {
        let most = models_per_dispatch(kinds[m].0).max(1);
        let open = |group: &&mut Vec<usize>| group.len() < most && kinds[group[0]] == kinds[m];
        match groups.iter_mut().find(open) {
            Some(group) => group.push(m),
            None => groups.push(vec![m]),
        }
    }
    groups
}

/// Records the steps of all models, then one pass of each over the blocks at hand.
fn record(
    submission: &mut Submission<'_>,
    samples: &AtHand<'_>,
    planned: &[Planned],
    parameters: &[Parameters<'_>],
    walks: &[Walk<'_>],
) -> Result<(), BackendError> {
    let chooses = |m: usize| {
        let mask = walks[m].model.mask;
        move |b: usize| mask.is_none_or(|mask| mask.contains(b))
    };
    for Planned {
        plan,
        steps,
        models,
    } in planned
    {
        match plan.regime {
            Regime::Registers { reduction } if *steps > 0 => {
                let walk = |&m: &usize| (m, &parameters[m], &walks[m]);
                let these: Vec<_> = models.iter().map(walk).collect();
                walk::record(submission, samples, (plan, reduction), &these, *steps)?;
            }
            Regime::Registers { reduction } => {
                let model = |&m: &usize| (m, &parameters[m], walks[m].model.mask);
                let these: Vec<_> = models.iter().map(model).collect();
                let key = StageKey::StatisticsRegisters {
                    shape: parameters[models[0]].shape,
                    weighted: samples.weighted,
                    reduction,
                };
                let part_rows = samples.layout.blocks.rows_per_block();
                let how = (plan, key, part_rows);
                statistics_registers::record(submission, samples, how, &these)?;
            }
            Regime::Workgroup { sharing, part_rows } => {
                let model = |&m: &usize| (m, &parameters[m], walks[m].model.mask);
                let these: Vec<_> = models.iter().map(model).collect();
                let key = StageKey::StatisticsWorkgroup {
                    shape: parameters[models[0]].shape,
                    weighted: samples.weighted,
                    sharing,
                };
                let how = (plan, key, part_rows);
                statistics_registers::record(submission, samples, how, &these)?;
            }
            Regime::Groups(groups) => {
                for &m in models {
                    let model = (m, &parameters[m]);
                    groups::record(submission, samples, (plan, groups), model, chooses(m))?;
                }
            }
            Regime::Staged {
                segment_rows,
                segments_per_batch,
            } => {
                for &m in models {
                    let staged = Staged {
                        samples,
                        plan,
                        segment_rows,
                        segments_per_batch,
                    };
                    staged.record(submission, (m, &parameters[m]), chooses(m))?;
                }
            }
        }
    }
    Ok(())
}

impl Backend for Gpu<'_> {
    fn info(&self) -> DeviceInfo {
        let about = self.device.description();
        DeviceInfo {
            backend: "gpu",
            name: about.name.clone(),
            driver: about.driver.clone(),
            precision: Precision::F32,
            threads: rayon::current_num_threads(),
            plan: self.last.map(|(plan, shape)| {
                let samples = (&self.samples.layout, self.samples.residency);
                explain::explain(&plan, samples, shape)
            }),
        }
    }

    fn blocks(&self) -> SummationBlocks {
        self.samples.layout.blocks
    }

    fn statistics(&mut self, models: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError> {
        let walks: Vec<Walk<'_>> = models.iter().map(|model| Walk::none(*model)).collect();
        let walked = self.walk(&walks)?;
        // Where no step is taken none lacks.
        Ok(walked.into_iter().filter_map(|w| w.statistics).collect())
    }

    fn most_steps(&self, components: &Components) -> usize {
        let plan = self.plan(components);
        plan.map_or(0, |plan| self.steps(&plan, components, 1))
    }

    fn walk(&mut self, walks: &[Walk<'_>]) -> Result<Vec<Walked>, BackendError> {
        let planned = self.planned(walks)?;
        let parameters: Vec<Parameters<'_>> = walks
            .iter()
            .map(|walk| Parameters::new(walk.model.components))
            .collect();
        let mut sums: Vec<Sums> = walks.iter().map(|_| Sums::zero(0)).collect();
        let mut regimes = vec![None; walks.len()];
        for Planned { plan, models, .. } in &planned {
            for &m in models {
                sums[m] = Sums::zero(plan.sums());
                regimes[m] = Some(plan.regime);
            }
            self.last = Some((*plan, parameters[models[0]].shape));
        }
        let looked_at = |b: usize| {
            let mut masks = walks.iter().map(|walk| walk.model.mask);
            masks.any(|mask| mask.is_none_or(|mask| mask.contains(b)))
        };
        let Self {
            device,
            samples,
            pool,
            counters,
            ..
        } = self;
        samples.each_piece(device, looked_at, |at_hand| {
            let so_far = std::mem::take(&mut sums);
            let mut submission = Submission::new(device, pool, counters, so_far);
            record(&mut submission, at_hand, &planned, &parameters, walks)?;
            sums = submission.finish()?;
            Ok(())
        })?;
        let weight_unit = samples.weight_unit;
        let all = sums.into_iter().zip(&parameters).zip(regimes);
        all.map(|((sums, parameters), regime)| {
            let (steps, reference) = walk::steps(parameters, &sums, weight_unit);
            let stopped = sums.taken.stopped || reference.is_none();
            let statistics = match (reference, regime) {
                (Some(reference), Some(regime)) if sums.is_finite() => {
                    Some(sums.into_statistics(regime, parameters, reference, weight_unit))
                }
                (None, _) => None,
                _ => return Err(device.failed("statistics", "a sum is not a number")),
            };
            Ok(Walked {
                steps,
                stopped,
                statistics,
            })
        })
        .collect()
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
        let (shape, k) = (Shape::of(components), components.len());
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
        let parameters = Parameters::new(components);
        let per_block = self.blocks().rows_per_block();
        let looked_at = rows.start / per_block..rows.end.div_ceil(per_block);
        let Self {
            device,
            samples,
            pool,
            counters,
            ..
        } = self;
        samples.each_piece(
            device,
            |b| looked_at.contains(&b),
            |at_hand| {
                let these = at_hand.rows(&rows);
                let places = these.start - rows.start..these.end - rows.start;
                let staged = Staged {
                    samples: at_hand,
                    plan: &plan,
                    segment_rows,
                    segments_per_batch,
                };
                staged.responsibilities(
                    (device, pool, counters),
                    &parameters,
                    these,
                    &mut log_densities[places.clone()],
                    &mut responsibilities[places.start * k..places.end * k],
                )
            },
        )
    }
}
