//! The device of a fit, and what takes its place when it cannot go on.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::FitError;
use super::chart::Layout;
use super::events::{Event, EventKind};
use super::hessian;
use super::options::{Options, PrecisionChoice};
use super::summit::{self, Summit};
use crate::backend::cpu::Cpu;
use crate::backend::gpu::{self, Gpu};
use crate::backend::reference::Reference;
use crate::backend::{
    Backend, BackendError, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks, Walk, Walked,
};
use crate::data::{Samples, Standardisation};

/// What evaluates the samples.
#[derive(Clone, Debug, Default)]
pub enum DeviceChoice {
    /// A hardware GPU where it pays, else the CPU.
    #[default]
    Auto,
    /// A GPU, software adapters included.
    Gpu(gpu::Selection),
    /// A GPU that is open already, so that fits share its compiled stages.
    Opened {
        /// The device.
        device: gpu::Device,
        /// Whether the CPU goes on where it fails, as under `Auto`.
        or_cpu: bool,
    },
    /// The CPU, all threads, SIMD.
    Cpu,
    /// Plain f64 loops.
    Reference,
}

impl DeviceChoice {
    /// Whether a GPU that cannot go on ends the fit.
    fn insists_on_gpu(&self) -> bool {
        match self {
            Self::Gpu(_) => true,
            Self::Opened { or_cpu, .. } => !or_cpu,
            Self::Auto | Self::Cpu | Self::Reference => false,
        }
    }

    /// Whether the CPU takes the place of a GPU that cannot go on.
    fn falls_back(&self) -> bool {
        matches!(self, Self::Auto | Self::Opened { or_cpu: true, .. })
    }
}

/// Above this κ single precision cannot keep its promise.
const GATE_KAPPA: f64 = 32_768.0;
/// Above this standardised magnitude whitened squares could leave single precision.
const GATE_LARGEST: f64 = 1_048_576.0;
/// Below this many multiplications a pass, double precision costs nothing worth saving.
const SMALL_PASS: f64 = 4e6;

/// A loaded backend, with the samples at hand to load another.
pub(super) struct Engine<'a> {
    samples: &'a Samples,
    map: &'a Standardisation,
    options: &'a Options,
    backend: Box<dyn Backend + 'a>,
    /// The GPU in use, so that other samples find its compiled stages.
    device: Option<gpu::Device>,
    /// Evaluations of a model so far, one that looks at all rows counting as one.
    pub(super) passes: f64,
    /// How long they took.
    pub(super) time: Duration,
    /// How long looks at the curvature took.
    pub(super) hessians: Duration,
    /// What happened to the device.
    pub(super) events: Vec<Event>,
}

impl<'a> Engine<'a> {
    /// Loads the samples on the device that the options ask for.
    pub(super) fn load(
        samples: &'a Samples,
        map: &'a Standardisation,
        options: &'a Options,
    ) -> Result<Self, FitError> {
        Self::on(
            None,
            samples,
            map,
            options,
            host_precision(samples, options),
        )
    }

    /// Loads a part of the samples, in the same precision, on the same GPU where that pays for them.
    pub(super) fn beside<'b>(&self, samples: &'b Samples) -> Result<Engine<'b>, FitError>
    where
        'a: 'b,
    {
        let device = self.device.clone();
        Engine::on(device, samples, self.map, self.options, self.precision())
    }

    fn on(
        device: Option<gpu::Device>,
        samples: &'a Samples,
        map: &'a Standardisation,
        options: &'a Options,
        precision: Precision,
    ) -> Result<Self, FitError> {
        let mut engine = Self {
            samples,
            map,
            options,
            backend: Box::new(Cpu::load(samples, map, precision)),
            device,
            passes: 0.0,
            time: Duration::ZERO,
            hessians: Duration::ZERO,
            events: Vec::new(),
        };
        match &options.device {
            DeviceChoice::Reference => engine.backend = Box::new(Reference::load(samples, map)),
            DeviceChoice::Cpu => {}
            DeviceChoice::Gpu(selection) => engine.use_gpu(selection)?,
            DeviceChoice::Opened { device, or_cpu } => {
                engine.device = Some(device.clone());
                match engine.use_gpu(&gpu::Selection::Best) {
                    Err(error) if *or_cpu => engine.events.push(left_device(&error, 0)),
                    tried => tried?,
                }
            }
            DeviceChoice::Auto if auto_prefers_gpu(samples, options) => {
                if let Err(error) = engine.use_gpu(&gpu::Selection::Best) {
                    engine.events.push(left_device(&error, 0));
                }
            }
            DeviceChoice::Auto => {}
        }
        Ok(engine)
    }

    fn use_gpu(&mut self, selection: &gpu::Selection) -> Result<(), BackendError> {
        let device = match self.device.take() {
            Some(device) => device,
            None => {
                let options = gpu::Options {
                    max_sample_bytes: self.options.gpu_memory,
                    ..gpu::Options::default()
                };
                gpu::Device::open(selection, options)?
            }
        };
        self.backend = Box::new(Gpu::load(&device, self.samples, self.map)?);
        self.device = Some(device);
        Ok(())
    }

    /// The GPU that was opened, if one was.
    pub(super) fn device(&self) -> Option<&gpu::Device> {
        self.device.as_ref()
    }

    /// The rows it evaluates.
    pub(super) fn samples(&self) -> &'a Samples {
        self.samples
    }

    /// Their summation blocks.
    pub(super) fn blocks(&self) -> SummationBlocks {
        self.backend.blocks()
    }

    /// What evaluates the samples now.
    pub(super) fn info(&self) -> DeviceInfo {
        self.backend.info()
    }

    /// In which precision.
    pub(super) fn precision(&self) -> Precision {
        self.info().precision
    }

    /// Rounds the components to the device's precision, after leaving single precision where they are beyond
    /// its gate.
    pub(super) fn admit(
        &mut self,
        components: &mut Components,
        iteration: usize,
    ) -> Result<(), FitError> {
        if self.precision() == Precision::F32 {
            let (kappa, largest) = (components.kappa(), self.map.largest());
            if !(kappa <= GATE_KAPPA && largest <= GATE_LARGEST) {
                let insists = self.options.device.insists_on_gpu();
                if self.options.precision == PrecisionChoice::F32 || insists {
                    return Err(FitError::BeyondSingle { kappa });
                }
                self.events.push(Event {
                    iteration,
                    component: None,
                    kind: EventKind::Precision,
                    reason: format!(
                        "scales within the mixture differ too much for single precision (kappa {kappa:.1e}); \
                         going on in double on the CPU"
                    ),
                });
                self.use_double();
            }
        }
        components.round_to(self.precision());
        Ok(())
    }

    /// Goes on in f64 on the CPU.
    pub(super) fn use_double(&mut self) {
        self.backend = Box::new(Cpu::load(self.samples, self.map, Precision::F64));
    }

    /// One E-step of several models, in one pass over the rows where the device can.
    pub(super) fn statistics(
        &mut self,
        models: &[MaskedModel<'_>],
        iteration: usize,
    ) -> Result<Vec<Statistics>, FitError> {
        for model in models {
            self.passes += self.share(model);
        }
        let started = Instant::now();
        let all = match self.backend.statistics(models) {
            Ok(all) => all,
            Err(error) => {
                self.fall_back(error, iteration)?;
                self.backend.statistics(models)?
            }
        };
        self.time += started.elapsed();
        Ok(all)
    }

    /// How many plain EM steps the device takes by itself at once, as [`Backend::most_steps`].
    pub(super) fn most_steps(&self, components: &Components) -> usize {
        self.backend.most_steps(components)
    }

    /// Models after steps that the device takes by itself, as [`Backend::walk`].
    pub(super) fn walk(
        &mut self,
        walks: &[Walk<'_>],
        iteration: usize,
    ) -> Result<Vec<Walked>, FitError> {
        let started = Instant::now();
        let all = match self.backend.walk(walks) {
            Ok(all) => all,
            Err(error) => {
                self.fall_back(error, iteration)?;
                self.backend.walk(walks)?
            }
        };
        self.time += started.elapsed();
        for (walk, walked) in walks.iter().zip(&all) {
            self.passes += (walked.steps.len() + 1) as f64 * self.share(&walk.model);
        }
        Ok(all)
    }

    /// The share of the rows that a model looks at.
    fn share(&self, model: &MaskedModel<'_>) -> f64 {
        let rows = self.samples.len() as f64;
        model
            .mask
            .map_or(1.0, |mask| mask.rows(self.blocks()) as f64 / rows)
    }

    /// A look at the curvature of the likelihood of the first `rows` rows; `None` if they are none.
    pub(super) fn look(&mut self, components: &Components, rows: usize) -> Option<Summit> {
        if rows == 0 {
            return None;
        }
        let started = Instant::now();
        let summit = summit::look(components, self.samples, self.map, rows);
        self.hessians += started.elapsed();
        let cost = hessian::cost(Layout::of(components));
        self.passes += cost * rows as f64 / self.samples.len() as f64;
        summit
    }

    /// Log densities and responsibilities of some rows, as [`Backend::responsibilities`].
    pub(super) fn responsibilities(
        &mut self,
        components: &Components,
        rows: Range<usize>,
        log_densities: &mut [f64],
        responsibilities: &mut [f64],
        iteration: usize,
    ) -> Result<(), FitError> {
        let backend = &mut self.backend;
        let first =
            backend.responsibilities(components, rows.clone(), log_densities, responsibilities);
        if let Err(error) = first {
            self.fall_back(error, iteration)?;
            self.backend
                .responsibilities(components, rows, log_densities, responsibilities)?;
        }
        Ok(())
    }

    /// Under `auto`, a device that fails is replaced by the CPU; else its error is the fit's.
    fn fall_back(&mut self, error: BackendError, iteration: usize) -> Result<(), FitError> {
        if !self.options.device.falls_back() {
            return Err(error.into());
        }
        self.events.push(left_device(&error, iteration));
        self.backend = Box::new(Cpu::load(self.samples, self.map, self.precision()));
        Ok(())
    }
}

fn left_device(error: &BackendError, iteration: usize) -> Event {
    Event {
        iteration,
        component: None,
        kind: EventKind::Device,
        reason: format!("{error}; the fit goes on on the CPU"),
    }
}

/// Floating-point operations of a pass from which a GPU earns its start-up: a function of the sizes alone.
pub const GPU_PAYS: f64 = 1e9;

/// Operations of one pass over N samples: whitening, softmax and second moments.
pub fn operations(n: usize, d: usize, k: usize) -> f64 {
    let (n, d, k) = (n as f64, d as f64, k as f64);
    n * k * (2.0 * d * (d + 1.0) + 4.0 * d + 20.0)
}

/// Whether `auto` takes a GPU: the work pays for it and there is a hardware adapter.
fn auto_prefers_gpu(samples: &Samples, options: &Options) -> bool {
    options.precision != PrecisionChoice::F64
        && operations(samples.len(), samples.n_features(), options.n_components) >= GPU_PAYS
        && gpu::adapters()
            .iter()
            .any(|adapter| adapter.kind != gpu::DeviceKind::Software)
}

/// The CPU's precision: as asked, or single where a pass is large work. A function of the sizes alone.
fn host_precision(samples: &Samples, options: &Options) -> Precision {
    match options.precision {
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::F64 => Precision::F64,
        PrecisionChoice::Auto => {
            let (n, d) = (samples.len() as f64, samples.n_features() as f64);
            let work = n * options.n_components as f64 * (1.0 + d + d * (d + 1.0) / 2.0);
            if work < SMALL_PASS {
                Precision::F64
            } else {
                Precision::F32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::CovarianceType;

    /// A device that was lost.
    struct Lost;

    fn lost() -> BackendError {
        BackendError::Lost {
            adapter: "a GPU".to_owned(),
            reason: "gone".to_owned(),
        }
    }

    impl Backend for Lost {
        fn info(&self) -> DeviceInfo {
            DeviceInfo {
                backend: "gpu",
                name: "a GPU".to_owned(),
                driver: String::new(),
                precision: Precision::F32,
                threads: 1,
                plan: None,
            }
        }

        fn blocks(&self) -> SummationBlocks {
            SummationBlocks::new(3)
        }

        fn statistics(&mut self, _: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError> {
            Err(lost())
        }

        fn responsibilities(
            &mut self,
            _: &Components,
            _: Range<usize>,
            _: &mut [f64],
            _: &mut [f64],
        ) -> Result<(), BackendError> {
            Err(lost())
        }
    }

    #[test]
    fn a_lost_device_is_replaced_under_auto_and_an_error_where_it_was_asked_for() {
        let samples = Samples::new(vec![-1.0, 0.0, 1.0], 1).expect("finite");
        let map = Standardisation::of(&samples, CovarianceType::Full).expect("not constant");
        let component = Components {
            covariance_type: CovarianceType::Full,
            n_features: 1,
            weights: vec![1.0],
            means: vec![0.0],
            factors: vec![1.0],
            noise: None,
        };
        let asked = DeviceChoice::Gpu(gpu::Selection::Best);
        for (device, goes_on) in [(DeviceChoice::Auto, true), (asked, false)] {
            let options = Options {
                device,
                ..Options::new(1)
            };
            let mut engine = Engine {
                samples: &samples,
                map: &map,
                options: &options,
                backend: Box::new(Lost),
                device: None,
                passes: 0.0,
                time: Duration::ZERO,
                hessians: Duration::ZERO,
                events: Vec::new(),
            };
            let statistics = engine.statistics(&[(&component).into()], 7);
            if goes_on {
                assert_eq!(statistics.expect("the CPU's")[0].weight, 3.0);
                assert_eq!(engine.info().backend, "cpu");
                let event = &engine.events[0];
                assert_eq!((event.iteration, event.kind), (7, EventKind::Device));
            } else {
                let error = statistics.expect_err("lost");
                assert!(matches!(
                    error,
                    FitError::Backend(BackendError::Lost { .. })
                ));
            }
            engine.backend = Box::new(Lost);
            let (mut log_densities, mut shares) = ([f64::NAN; 3], [f64::NAN; 3]);
            let asked_for =
                engine.responsibilities(&component, 0..3, &mut log_densities, &mut shares, 8);
            assert_eq!(asked_for.is_ok(), goes_on);
            assert_eq!(shares == [1.0; 3], goes_on);
        }
    }
}
