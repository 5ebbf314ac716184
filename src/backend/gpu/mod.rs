//! Mixtures on a GPU, through wgpu (Vulkan, Metal, DirectX 12), in single precision.
//!
//! Samples are standardised in f64, cast and sent up, once where all of them may stay. Sums are made in fixed trees
//! without atomics: runs of at most 256 rows in f32, folded per summation block, and blocks added in f64 on the host.

mod adapter;
mod buffers;
mod device;
mod digits;
mod explain;
mod generate;
mod groups;
mod layout;
mod measure;
mod nearest;
mod outcome;
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
mod stopwatch;
mod sums;
mod totals;
#[cfg(test)]
mod traffic_tests;
mod upload;
mod walk;

use std::ops::Range;

#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub use adapter::live_objects;
pub use adapter::{AdapterDescription, DeviceKind, Selection, adapters};
#[doc(hidden)]
pub use device::Fault;
pub use device::{Compiled, Device, Hardware, Options};
pub use measure::{Measured, MeasuredPass, measure};
pub use nearest::Nearest;
pub use startup::{StartUp, start_up};
pub use stopwatch::StageTime;

use super::{
    Backend, BackendError, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks, Walk, Walked,
};
use crate::data::{Samples, Standardisation};
use buffers::Pool;
use digits::Digits;
use layout::SumLayout;
use parameters::Parameters;
use plan::{DeviceLimits, Plan, Regime, models_per_dispatch};
use recording::{Recording, Submission};
use samples::{AtHand, LoadedSamples};
use shape::Shape;
use staged::Staged;
use statistics_registers::{How, Masked};
use sums::Sums;
use totals::Totals;
use walk::Party;

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

    /// What each stage took since this was asked last; nothing unless [`Options::timestamps`] was asked for and the
    /// adapter can.
    pub fn take_times(&mut self) -> Vec<StageTime> {
        std::mem::take(&mut self.pool.times)
    }

    fn plan(&self, components: &Components) -> Result<Plan, BackendError> {
        self.plan_of(Shape::of(components), Digits::of(components))
    }

    fn plan_of(&self, shape: Shape, digits: Digits) -> Result<Plan, BackendError> {
        let (layout, limits) = (&self.samples.layout, self.device.limits());
        let digits = match self.device.options().no_near {
            true => digits.off_origin(),
            false => digits,
        };
        Plan::of(layout, shape, digits, limits)
            .ok_or_else(|| self.device.too_large(shape.d, shape.k))
    }

    /// The models by groups that are evaluated together.
    fn planned(&self, walks: &[Walk<'_>]) -> Result<Vec<Planned>, BackendError> {
        let groups = by_kind(walks).into_iter();
        groups
            .map(|((shape, _, digits), models)| {
                let components = walks[models[0]].model.components;
                let plan = self.plan_of(shape, digits)?;
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
        let (layout, shape) = (&self.samples.layout, Shape::of(components));
        match self.device.options().no_steps {
            true => 0,
            false => plan.steps((layout, shape), models, self.device.limits()),
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

impl Planned {
    /// The models on their way; `None` where the host makes their M-steps.
    fn party<'a>(
        &'a self,
        parameters: &'a [Parameters<'a>],
        walks: &'a [Walk<'a>],
        limits: &DeviceLimits,
    ) -> Option<Party<'a>> {
        let shape = parameters[self.models[0]].shape;
        let walker = |&m: &usize| (m, &parameters[m], &walks[m]);
        Some(Party {
            plan: &self.plan,
            m_step: self.plan.m_step(shape, limits)?,
            walkers: self.models.iter().map(walker).collect(),
            most: self.steps,
        })
    }
}

/// A shape, whether steps are wanted, and what single precision can make of the components.
type Kind = (Shape, bool, Digits);

/// Models by their kind, in the order of their first, at most [`models_per_dispatch`] a group.
fn by_kind(walks: &[Walk<'_>]) -> Vec<(Kind, Vec<usize>)> {
    let kind = |m: usize| {
        let walk = &walks[m];
        let takes_steps = walk.most > 0 && walk.model.mask.is_none();
        let components = walk.model.components;
        (Shape::of(components), takes_steps, Digits::of(components))
    };
    let mut groups: Vec<(Kind, Vec<usize>)> = Vec::new();
    for m in 0..walks.len() {
        let kind = kind(m);
        let most = models_per_dispatch(kind.0).max(1);
        let open = |group: &&mut (Kind, Vec<usize>)| group.1.len() < most && group.0 == kind;
        match groups.iter_mut().find(open) {
            Some((_, group)) => group.push(m),
            None => groups.push((kind, vec![m])),
        }
    }
    groups
}

/// Totals of those of so many models whose passes need them. They share a place where one model's passes end before the
/// next one's begin: not in one dispatch, and not where samples pass through.
fn totals_of(
    (device, pool): (&Device, &mut Pool),
    planned: &[Planned],
    (count, streams): (usize, bool),
) -> Result<Vec<Option<Totals>>, BackendError> {
    let mut totals: Vec<Option<Totals>> = (0..count).map(|_| None).collect();
    for planned in planned.iter().filter(|planned| planned.steps == 0) {
        if let Some(len) = planned.plan.totals() {
            let shares = !streams && !matches!(planned.plan.regime, Regime::Workgroup { .. });
            for &m in &planned.models {
                let place = ("totals", if shares { 0 } else { m });
                totals[m] = Some(Totals::new((device, pool), place, len)?);
            }
        }
    }
    Ok(totals)
}

/// Records one pass of each model over the blocks at hand.
fn record(
    submission: &mut Submission<'_>,
    samples: &AtHand<'_>,
    Planned { plan, models, .. }: &Planned,
    (parameters, walks): (&[Parameters<'_>], &[Walk<'_>]),
    totals: &mut [Option<Totals>],
) -> Result<(), BackendError> {
    if let Some(how) = How::of(plan, (parameters[models[0]].shape, models.len()), samples) {
        let mut these: Vec<Masked<'_>> = totals
            .iter_mut()
            .enumerate()
            .filter(|(m, _)| models.contains(m))
            .map(|(m, totals)| Masked {
                m,
                parameters: &parameters[m],
                mask: walks[m].model.mask,
                totals: totals.as_mut(),
            })
            .collect();
        return statistics_registers::record(submission, samples, how, &mut these);
    }
    for &m in models {
        let mask = walks[m].model.mask;
        let choose = |b: usize| mask.is_none_or(|mask| mask.contains(b));
        let Some(totals) = &mut totals[m] else {
            return Err(submission
                .device
                .failed("statistics", "a model has no totals"));
        };
        let model = (m, &parameters[m], totals);
        if let Regime::Groups(groups) = plan.regime {
            groups::record(submission, samples, (plan, groups), model, choose)?;
        } else if let Some(staged) = Staged::new(samples, plan) {
            staged.record(submission, model, choose)?;
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
                explain::explain(&plan, samples, shape, self.device.limits())
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
        let mut sums: Vec<Sums> = walks.iter().map(|_| Sums::zero(0)).collect();
        let mut regimes = vec![None; walks.len()];
        for Planned { plan, models, .. } in &planned {
            for &m in models {
                sums[m] = Sums::zero(plan.sums());
                regimes[m] = Some(plan.regime);
            }
            let shape = Shape::of(walks[models[0]].model.components);
            self.last = Some((*plan, shape));
        }
        let parameters: Vec<Parameters<'_>> = walks
            .iter()
            .zip(&regimes)
            .map(|(walk, regime)| {
                let near = regime.is_some_and(Regime::is_near);
                Parameters::new(walk.model.components, near)
            })
            .collect();
        let Self {
            device,
            samples,
            pool,
            counters,
            ..
        } = self;
        let limits = device.limits();
        let streams = !samples.residency.is_whole();
        let mut totals = totals_of((device, pool), &planned, (walks.len(), streams))?;
        let (walking, others): (Vec<_>, Vec<_>) =
            planned.iter().partition(|planned| planned.steps > 0);
        let parties: Vec<Party<'_>> = walking
            .into_iter()
            .filter_map(|planned| planned.party(&parameters, walks, limits))
            .collect();
        if streams {
            for party in &parties {
                sums = party.stream((device, pool, counters), samples, sums)?;
            }
        }
        let masks: Vec<_> = others
            .iter()
            .flat_map(|planned| planned.models.iter().map(|&m| walks[m].model.mask))
            .collect();
        let looked_at = |b: usize| {
            let mut masks = masks.iter();
            masks.any(|mask| mask.is_none_or(|mask| mask.contains(b)))
        };
        samples.each_piece(device, looked_at, |at_hand| {
            let so_far = std::mem::take(&mut sums);
            let mut submission = Submission::new(device, pool, counters, so_far);
            for party in parties.iter().filter(|_| !streams) {
                party.record(&mut submission, at_hand)?;
            }
            for planned in &others {
                let models = (&*parameters, walks);
                record(&mut submission, at_hand, planned, models, &mut totals)?;
            }
            sums = submission.finish()?;
            Ok(())
        })?;
        let weight_unit = samples.weight_unit;
        let all = sums.into_iter().zip(&parameters).zip(regimes);
        all.map(|((sums, parameters), regime)| {
            let Some(regime) = regime else {
                return Err(device.failed("statistics", "a model has no plan"));
            };
            let layout = SumLayout::of(regime, parameters.shape);
            let (steps, reference) = walk::steps(parameters, (&sums, layout), weight_unit);
            let stopped = sums.taken.stopped || reference.is_none();
            let statistics = match reference {
                Some(_) if !sums.is_finite() => {
                    return Err(device.failed("statistics", "a sum is not a number"));
                }
                Some(reference) => {
                    let made = sums.taken.steps.last().map(|step| step.packed.clone());
                    let led = match (&made, steps.last()) {
                        (Some(made), Some(step)) => {
                            &Parameters::after(parameters, &step.components, made)
                        }
                        _ => parameters,
                    };
                    Some(sums.into_statistics(regime, led, reference, weight_unit))
                }
                None => None,
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
        let Self {
            device,
            samples,
            pool,
            counters,
            ..
        } = self;
        let too_large = || device.too_large(shape.d, shape.k);
        let plan = Plan::staged(&samples.layout, shape, device.limits()).ok_or_else(too_large)?;
        let parameters = Parameters::new(components, false);
        let per_block = samples.layout.blocks.rows_per_block();
        let looked_at = rows.start / per_block..rows.end.div_ceil(per_block);
        samples.each_piece(
            device,
            |b| looked_at.contains(&b),
            |at_hand| {
                let these = at_hand.rows(&rows);
                let places = these.start - rows.start..these.end - rows.start;
                let staged = Staged::new(at_hand, &plan).ok_or_else(too_large)?;
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
