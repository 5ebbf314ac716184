//! Buffers that evaluations reuse, and the way back to the host.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use bytemuck::Pod;

use super::Counters;
use super::device::Device;
use super::recording::Recording;
use super::stage::uniform_stride;
use super::stopwatch::{StageTime, Stopwatch};
use crate::backend::BackendError;

/// What output buffers hold before a kernel writes them: a NaN, so that nothing unwritten passes for a sum.
const UNWRITTEN: u32 = 0x7fc0_dead;
/// How long to wait for an answer before looking at the device again.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes of a fill that are staged at a time.
const FILL_BYTES: u64 = 4 << 20;

/// Named buffers, each as large as was ever needed.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// One of each name, which all recordings of a submission write in turn.
    outputs: HashMap<(&'static str, usize), wgpu::Buffer>,
    /// As many of each name as a submission reads.
    inputs: HashMap<&'static str, Vec<Input>>,
    /// Counts submissions.
    submission: u64,
    /// Where results are mapped.
    read_back: Option<wgpu::Buffer>,
    /// What stages took, where times are taken.
    pub times: Vec<StageTime>,
}

/// A buffer that the host fills.
#[derive(Debug)]
struct Input {
    buffer: wgpu::Buffer,
    /// The last submission that reads it. What the host writes meanwhile comes before all of that.
    read_by: u64,
}

impl Pool {
    /// Begins a submission: all that was submitted is done.
    pub fn begin(&mut self) {
        self.submission += 1;
    }

    /// Keeps what a recording reads from being filled anew before it ran.
    pub fn keep(&mut self, recording: &Recording) {
        for input in self.inputs.values_mut().flatten() {
            let reads = |buffers: &[wgpu::Buffer]| buffers.contains(&input.buffer);
            let mut dispatches = recording.dispatches.iter();
            if dispatches.any(|dispatch| reads(dispatch.bound.buffers())) {
                input.read_by = self.submission;
            }
        }
    }

    /// The output buffer `name` with room for `bytes`.
    pub fn output(
        &mut self,
        device: &Device,
        name: &'static str,
        bytes: u64,
    ) -> Result<wgpu::Buffer, BackendError> {
        self.output_of(device, (name, 0), bytes)
    }

    /// That of a model's own.
    pub fn output_of(
        &mut self,
        device: &Device,
        (name, m): (&'static str, usize),
        bytes: u64,
    ) -> Result<wgpu::Buffer, BackendError> {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let found = self.outputs.get(&(name, m)).filter(|b| b.size() >= bytes);
        let (buffer, is_new) = match found {
            Some(buffer) => (buffer.clone(), false),
            None => {
                self.outputs.remove(&(name, m));
                let buffer = create(device, name, bytes, usage)?;
                self.outputs.insert((name, m), buffer.clone());
                (buffer, true)
            }
        };
        let pattern = device.options().sentinel;
        if is_new || pattern.is_some() {
            fill(device, &buffer, pattern.unwrap_or(UNWRITTEN))?;
        }
        Ok(buffer)
    }

    /// An input buffer `name`, holding `content` once what is submitted next runs.
    pub fn input<T: Pod>(
        &mut self,
        device: &Device,
        name: &'static str,
        content: &[T],
    ) -> Result<wgpu::Buffer, BackendError> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        self.filled(device, name, bytemuck::cast_slice(content), usage)
    }

    /// A uniform buffer `name`, holding `content`.
    pub fn uniform<T: Pod>(
        &mut self,
        device: &Device,
        name: &'static str,
        content: &[T],
    ) -> Result<wgpu::Buffer, BackendError> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        self.filled(device, name, bytemuck::cast_slice(content), usage)
    }

    /// A uniform buffer `name`, holding the structs of `content` one [`uniform_stride`] apart.
    pub fn uniforms<T: Pod>(
        &mut self,
        device: &Device,
        name: &'static str,
        content: &[T],
    ) -> Result<wgpu::Buffer, BackendError> {
        let bytes = strided(content);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        self.filled(device, name, &bytes, usage)
    }

    /// A buffer `name`, holding `content`, that some stages read, perhaps as uniform, and others write.
    pub fn shared(
        &mut self,
        device: &Device,
        name: &'static str,
        content: &[u8],
    ) -> Result<wgpu::Buffer, BackendError> {
        let usage = wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        self.filled(device, name, content, usage)
    }

    fn filled(
        &mut self,
        device: &Device,
        name: &'static str,
        bytes: &[u8],
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, BackendError> {
        let buffer = self.free(device, name, bytes.len() as u64, usage)?;
        device.guarded(name, bytes.len() as u64, || {
            device.queue().write_buffer(&buffer, 0, bytes);
        })?;
        Ok(buffer)
    }

    /// An input buffer that nothing reads which has not run yet.
    fn free(
        &mut self,
        device: &Device,
        name: &'static str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, BackendError> {
        let now = self.submission;
        let inputs = self.inputs.entry(name).or_default();
        let is_free = |input: &Input| input.read_by < now;
        let fits = |input: &Input| is_free(input) && input.buffer.size() >= bytes;
        if let Some(input) = inputs.iter_mut().find(|input| fits(input)) {
            input.read_by = now;
            return Ok(input.buffer.clone());
        }
        if let Some(small) = inputs.iter().position(is_free) {
            inputs.swap_remove(small);
        }
        let buffer = create(device, name, bytes, usage)?;
        inputs.push(Input {
            buffer: buffer.clone(),
            read_by: now,
        });
        Ok(buffer)
    }

    /// Submits the recordings, waits, and hands back what each wants, as f32.
    pub fn run(
        &mut self,
        device: &Device,
        counters: &mut Counters,
        recordings: &[Recording],
    ) -> Result<Vec<Vec<Vec<f32>>>, BackendError> {
        let lens = |recording: &Recording| -> Vec<usize> {
            recording.wanted.iter().map(|&(_, len)| len).collect()
        };
        let len: usize = recordings.iter().flat_map(lens).sum();
        let bytes = 4 * len as u64;
        let target = match self.read_back.take().filter(|b| b.size() >= bytes) {
            Some(buffer) => buffer,
            None => create(
                device,
                "read_back",
                bytes,
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            )?,
        };
        let (mapped, outcome) = mpsc::channel();
        let watch = Stopwatch::new(device, recordings)?;
        device.guarded("submission", bytes, || {
            let commands = encode(device, (recordings, watch.as_ref()), &target);
            device.queue().submit([commands]);
            target.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
                // The receiver is gone only if this evaluation failed already.
                let _ = mapped.send(result);
            });
        })?;
        counters.count(recordings, bytes);
        loop {
            device.wait()?;
            // Another thread that waits for the device may be the one that brings the answer, a little later.
            match outcome.recv_timeout(PATIENCE) {
                Ok(Ok(())) => break,
                Ok(Err(error)) => return Err(device.blame("reading back", error)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(device.blame("reading back", "no answer"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let results = {
            let view = target
                .get_mapped_range(0..bytes)
                .map_err(|error| device.blame("reading back", error))?;
            let mut rest: &[u8] = &view;
            let mut take = |len: usize| {
                let (now, later) = rest.split_at(4 * len);
                rest = later;
                bytemuck::pod_collect_to_vec(now)
            };
            recordings
                .iter()
                .map(|recording| lens(recording).into_iter().map(&mut take).collect())
                .collect()
        };
        target.unmap();
        self.read_back = Some(target);
        if let Some(watch) = watch {
            watch.read(device, &mut self.times)?;
        }
        Ok(results)
    }
}

/// The commands of some recordings; what each wants is copied to `target`, one after the other. Where times are taken
/// each dispatch is a pass by itself.
fn encode(
    device: &Device,
    (recordings, watch): (&[Recording], Option<&Stopwatch>),
    target: &wgpu::Buffer,
) -> wgpu::CommandBuffer {
    let mut encoder = device
        .raw()
        .create_command_encoder(&wgpu::CommandEncoderDescriptor {
            label: Some("wgmm"),
        });
    let (mut at, mut timed) = (0, 0);
    for recording in recordings {
        let of_pass = watch.map_or(recording.dispatches.len().max(1), |_| 1);
        for dispatches in recording.dispatches.chunks(of_pass) {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: watch.map(|watch| watch.writes(timed)),
            });
            timed += 1;
            for dispatch in dispatches {
                dispatch
                    .bound
                    .dispatch(&mut pass, &dispatch.offsets, dispatch.groups);
            }
        }
        for (buffer, len) in &recording.wanted {
            let len = 4 * *len as u64;
            encoder.copy_buffer_to_buffer(buffer, 0, target, at, len);
            at += len;
        }
    }
    if let Some(watch) = watch {
        watch.resolve(&mut encoder);
    }
    encoder.finish()
}

/// Uniform structs one [`uniform_stride`] apart.
pub(super) fn strided<T: Pod>(content: &[T]) -> Vec<u8> {
    let stride = uniform_stride::<T>();
    let mut bytes = vec![0u8; content.len() * stride];
    for (to, from) in bytes.chunks_exact_mut(stride).zip(content) {
        let from = bytemuck::bytes_of(from);
        to[..from.len()].copy_from_slice(from);
    }
    bytes
}

/// A new buffer.
pub(super) fn create(
    device: &Device,
    name: &str,
    bytes: u64,
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, BackendError> {
    device.guarded(name, bytes, || {
        device.raw().create_buffer(&wgpu::BufferDescriptor {
            label: Some(&format!("wgmm.{name}")),
            size: bytes.max(4),
            usage,
            mapped_at_creation: false,
        })
    })
}

fn fill(device: &Device, buffer: &wgpu::Buffer, pattern: u32) -> Result<(), BackendError> {
    let words = vec![pattern; (buffer.size().min(FILL_BYTES) / 4) as usize];
    device.guarded("filling", buffer.size(), || {
        for offset in (0..buffer.size()).step_by(FILL_BYTES as usize) {
            let len = ((buffer.size() - offset).min(FILL_BYTES) / 4) as usize;
            device
                .queue()
                .write_buffer(buffer, offset, bytemuck::cast_slice(&words[..len]));
        }
    })
}
