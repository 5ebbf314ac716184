//! An opened adapter: errors as values, compiled stages shared by all fits on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::adapter::{AdapterDescription, DeviceKind, Selection, select};
use super::plan::{DeviceLimits, MOST_ALIVE_IN_WORKGROUP, MOST_ALIVE_OF_NVIDIA};
use super::stage::{Stage, StageKey};
use crate::backend::BackendError;

/// How a device is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// At most so many bytes of samples in one buffer, below what the adapter allows. Changes no bit.
    pub max_binding_bytes: Option<u64>,
    /// At most so many bytes of samples on the device at once: what does not fit is sent anew in each pass. Changes no
    /// bit.
    pub max_sample_bytes: Option<u64>,
    /// At most so many blocks in one submission, below what the plan thinks right. For tests; changes no bit but by leaving
    /// steps of a software adapter to the host.
    pub max_submission_blocks: Option<usize>,
    /// Fills scratch and output buffers with this pattern before each evaluation, so that what a kernel failed
    /// to write is seen. For tests; changes no bit.
    pub sentinel: Option<u32>,
    /// Opens the adapter with the least limits that wgpu knows of (its downlevel defaults) instead of all it has.
    pub least_limits: bool,
    /// Does without subgroup operations, as adapters do that have none. For tests.
    pub no_subgroups: bool,
    /// Leaves every M-step to the host. For tests and comparisons.
    pub no_steps: bool,
    /// Takes means off rows even where all are so near the origin that it need not be. For tests and comparisons.
    pub no_near: bool,
    /// Takes the adapter for a card, so that a software adapter runs the kernels meant for hardware. For tests.
    pub as_hardware: Option<Hardware>,
    /// Takes the time of each dispatch, see [`Gpu::take_times`](super::Gpu::take_times): they run one after the other then.
    pub timestamps: bool,
}

/// Whose cards kernels may be meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// AMD's, and others that read what is the same for many invocations once.
    Amd,
    /// NVIDIA's, which have many registers, and read each parameter like anything else.
    Nvidia,
}

/// PCI numbers of AMD, whose scalar unit does it, and of Intel, whose compilers make one read for a subgroup. Others' vector
/// units read it like anything else.
const SCALAR_READERS: [u32; 2] = [0x1002, 0x8086];
/// NVIDIA's PCI number.
const NVIDIA: u32 = 0x10de;
/// How often to look whether a device that failed is lost, and how long to wait in between.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(2);

/// What can go wrong on a device; see [`Device::provoke`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device goes away.
    Lost,
    /// There is no memory for what is asked.
    OutOfMemory,
    /// The driver refuses a command.
    Refused,
}

/// An adapter opened with all its limits. Clones share it.
#[derive(Clone, Debug)]
pub struct Device {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    description: AdapterDescription,
    options: Options,
    limits: DeviceLimits,
    /// Why the device was lost, once it was.
    lost: Arc<Mutex<Option<String>>>,
    /// The first error that no scope caught.
    uncaught: Arc<Mutex<Option<String>>>,
    /// A fault to provoke, and how many calls go well before.
    provoked: Mutex<Option<(Fault, usize)>>,
    stages: Mutex<HashMap<StageKey, Slot>>,
    compiled: Mutex<Compiled>,
}

/// Where a stage is once it is compiled. Whoever wants it meanwhile waits, so that each is compiled once.
type Slot = Arc<Mutex<Option<Arc<Stage>>>>;

/// Stages that a device has compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compiled {
    /// How many.
    pub stages: usize,
    /// How long that took, seconds, added up where several were compiled at once.
    pub seconds: f64,
}

/// The value behind a lock. A panic elsewhere leaves ours whole: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A driver's words, which come as indented paragraphs, in one line.
fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asks for a buffer that no driver grants: mapped for reading and storage at once.
fn refuse(device: &wgpu::Device) {
    let _refused = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("wgmm.refused"),
        size: 4,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
}

impl Device {
    /// Opens the adapter that `selection` means.
    ///
    /// # Errors
    /// [`BackendError::NoAdapter`] where none fits, [`BackendError::Start`] where it refuses.
    pub fn open(selection: &Selection, options: Options) -> Result<Self, BackendError> {
        let (adapter, description) = select(selection)?;
        let limits = if options.least_limits {
            wgpu::Limits::downlevel_defaults().or_worse_values_from(&adapter.limits())
        } else {
            adapter.limits()
        };
        let vendor = match options.as_hardware {
            Some(Hardware::Amd) => SCALAR_READERS[0],
            Some(Hardware::Nvidia) => NVIDIA,
            None => adapter.get_info().vendor,
        };
        // NVIDIA's driver makes some 46 instructions of a sum over a subgroup, seven times what workgroup memory takes.
        let wants_subgroups = !options.no_subgroups && !options.least_limits && vendor != NVIDIA;
        let least_subgroup = match adapter.features().contains(wgpu::Features::SUBGROUP) {
            true if wants_subgroups => adapter.get_info().subgroup_min_size,
            _ => 0,
        };
        let mut features = match least_subgroup {
            0 => wgpu::Features::empty(),
            _ => wgpu::Features::SUBGROUP,
        };
        if options.timestamps {
            features |= adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
        }
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("wgmm"),
            required_features: features,
            required_limits: limits.clone(),
            ..Default::default()
        }))
        .map_err(|error| BackendError::Start {
            adapter: description.name.clone(),
            reason: one_line(&error.to_string()),
        })?;
        let lost = Arc::new(Mutex::new(None));
        let uncaught = Arc::new(Mutex::new(None));
        device.set_device_lost_callback({
            let lost = lost.clone();
            move |reason, text| {
                lock(&lost).get_or_insert(format!("{reason:?} {text}").trim().to_owned());
            }
        });
        device.on_uncaptured_error({
            let uncaught = uncaught.clone();
            Arc::new(move |error: wgpu::Error| {
                lock(&uncaught).get_or_insert(error.to_string());
            })
        });
        let max_binding_bytes = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        Ok(Self {
            shared: Arc::new(Shared {
                limits: DeviceLimits {
                    max_binding_bytes,
                    max_samples_bytes: max_binding_bytes
                        .min(options.max_binding_bytes.unwrap_or(u64::MAX)),
                    max_workgroups: limits.max_compute_workgroups_per_dimension,
                    max_invocations: limits
                        .max_compute_invocations_per_workgroup
                        .min(limits.max_compute_workgroup_size_x),
                    workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
                    max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
                    least_subgroup,
                    max_submission_blocks: options.max_submission_blocks.unwrap_or(usize::MAX),
                    software: description.kind == DeviceKind::Software
                        && options.as_hardware.is_none(),
                    discrete: description.kind == DeviceKind::Discrete
                        || options.as_hardware.is_some(),
                    scalar_reads: SCALAR_READERS.contains(&vendor),
                    most_alive: match vendor {
                        NVIDIA => MOST_ALIVE_OF_NVIDIA,
                        _ => MOST_ALIVE_IN_WORKGROUP,
                    },
                },
                device,
                queue,
                description,
                options,
                lost,
                uncaught,
                provoked: Mutex::default(),
                stages: Mutex::default(),
                compiled: Mutex::default(),
            }),
        })
    }

    /// Which adapter this is.
    pub fn description(&self) -> &AdapterDescription {
        &self.shared.description
    }

    /// Whether it computes on the processor.
    pub fn is_software(&self) -> bool {
        self.description().kind == DeviceKind::Software
    }

    /// Whether kernels run as on hardware: a software adapter that is not taken for it gains nothing over the CPU.
    pub(crate) fn is_hardware(&self) -> bool {
        !self.limits().software
    }

    /// Lets so many calls of the driver go well and spoils the next one, so that the handling of faults can be tried.
    #[doc(hidden)]
    pub fn provoke(&self, fault: Fault, after: usize) {
        *lock(&self.shared.provoked) = Some((fault, after));
    }

    /// The provoked fault, at the call that it is due at.
    fn due(&self) -> Option<Fault> {
        let mut provoked = lock(&self.shared.provoked);
        match provoked.as_mut()? {
            (fault, 0) => {
                let fault = *fault;
                *provoked = None;
                Some(fault)
            }
            (_, after) => {
                *after -= 1;
                None
            }
        }
    }

    pub(super) fn limits(&self) -> &DeviceLimits {
        &self.shared.limits
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Whether it takes the time of each dispatch.
    pub(super) fn takes_times(&self) -> bool {
        let features = self.raw().features();
        self.options().timestamps && features.contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    pub(super) fn raw(&self) -> &wgpu::Device {
        &self.shared.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.shared.queue
    }

    pub(super) fn too_large(&self, n_features: usize, n_components: usize) -> BackendError {
        BackendError::TooLarge {
            adapter: self.description().name.clone(),
            n_features,
            n_components,
        }
    }

    pub(super) fn failed(&self, stage: &str, reason: impl ToString) -> BackendError {
        BackendError::Failed {
            adapter: self.description().name.clone(),
            stage: stage.to_owned(),
            reason: one_line(&reason.to_string()),
        }
    }

    /// What was compiled so far.
    pub fn compiled(&self) -> Compiled {
        *lock(&self.shared.compiled)
    }

    /// The stage under `key`, compiled on first use.
    pub(super) fn stage(&self, key: StageKey) -> Result<Arc<Stage>, BackendError> {
        let slot = self.slot(key);
        let mut slot = lock(&slot);
        if let Some(stage) = slot.as_ref() {
            return Ok(stage.clone());
        }
        let started = Instant::now();
        let stage = self.guarded(key.stem(), 0, || Arc::new(Stage::compile(self.raw(), key)))?;
        let mut compiled = lock(&self.shared.compiled);
        compiled.stages += 1;
        compiled.seconds += started.elapsed().as_secs_f64();
        *slot = Some(stage.clone());
        Ok(stage)
    }

    /// The stages under these keys; those that are new are compiled side by side.
    pub(super) fn stages(&self, keys: &[StageKey]) -> Result<Vec<Arc<Stage>>, BackendError> {
        let is_compiled = |&key: &StageKey| lock(&self.slot(key)).is_some();
        if keys.iter().all(is_compiled) {
            keys.iter().map(|&key| self.stage(key)).collect()
        } else {
            keys.par_iter().map(|&key| self.stage(key)).collect()
        }
    }

    fn slot(&self, key: StageKey) -> Slot {
        lock(&self.shared.stages).entry(key).or_default().clone()
    }

    /// Runs `work`, whatever of it the driver refuses becoming an error. `bytes` is what it allocates.
    pub(super) fn guarded<T>(
        &self,
        stage: &str,
        bytes: u64,
        work: impl FnOnce() -> T,
    ) -> Result<T, BackendError> {
        self.check_lost()?;
        let device = self.raw();
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let due = self.due();
        match due {
            Some(Fault::Lost) => device.destroy(),
            Some(Fault::Refused) => refuse(device),
            Some(Fault::OutOfMemory) | None => {}
        }
        let result = work();
        let [validation, internal, memory] =
            [validation, internal, memory].map(|scope| pollster::block_on(scope.pop()));
        // A driver without memory may be given up as lost; the cause is the better word.
        if memory.is_some() || due == Some(Fault::OutOfMemory) {
            return Err(BackendError::OutOfMemory {
                adapter: self.description().name.clone(),
                bytes,
            });
        }
        let uncaught = lock(&self.shared.uncaught).take();
        let refused = validation.or(internal).map(|error| error.to_string());
        match refused.or(uncaught) {
            Some(reason) => Err(self.blame(stage, reason)),
            None => self.check_lost().map(|()| result),
        }
    }

    /// Waits until all that was submitted is done.
    pub(super) fn wait(&self) -> Result<(), BackendError> {
        self.poll(wgpu::PollType::wait_indefinitely())
    }

    /// Waits until a submission, and all before it, is done.
    pub(super) fn wait_for(&self, index: wgpu::SubmissionIndex) -> Result<(), BackendError> {
        self.poll(wgpu::PollType::Wait {
            submission_index: Some(index),
            timeout: None,
        })
    }

    fn poll(&self, until: wgpu::PollType) -> Result<(), BackendError> {
        let done = self.raw().poll(until);
        self.check_lost()?;
        done.map(|_| ())
            .map_err(|error| self.blame("waiting", error))
    }

    /// Why something failed: the device went away, of which one may only hear on asking, or else `reason`.
    pub(super) fn blame(&self, stage: &str, reason: impl ToString) -> BackendError {
        for _ in 0..LOOKS {
            // Whatever this answers, what matters is that it calls back, which it does once nothing is under way.
            let _ = self.raw().poll(wgpu::PollType::wait_indefinitely());
            if let Err(lost) = self.check_lost() {
                return lost;
            }
            // Another thread's call may be what lost it, and not be over.
            std::thread::sleep(PAUSE);
        }
        self.failed(stage, reason)
    }

    fn check_lost(&self) -> Result<(), BackendError> {
        match lock(&self.shared.lost).as_ref() {
            Some(reason) => Err(BackendError::Lost {
                adapter: self.description().name.clone(),
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }
}
