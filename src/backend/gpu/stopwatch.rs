//! How long each dispatch took, by the device's own clock. For benches: dispatches that are timed run one after the other.

use std::sync::mpsc;

use super::device::Device;
use super::recording::Recording;
use crate::backend::BackendError;

/// Queries of a set, the most that WebGPU promises.
const QUERIES: usize = 4096;

/// Dispatches of a stage and their time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageTime {
    /// The stage's name.
    pub stage: &'static str,
    /// How many.
    pub dispatches: u64,
    /// How long they took together, seconds.
    pub seconds: f64,
}

/// A beginning and an end for each dispatch of a submission.
pub(super) struct Stopwatch {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    mapped: wgpu::Buffer,
    stages: Vec<&'static str>,
}

impl Stopwatch {
    /// For these recordings; `None` where the device takes no times.
    pub fn new(device: &Device, recordings: &[Recording]) -> Result<Option<Self>, BackendError> {
        let all = recordings.iter().flat_map(|r| &r.dispatches);
        let stages: Vec<_> = all.map(|dispatch| dispatch.bound.stem()).collect();
        if !device.takes_times() || stages.is_empty() {
            return Ok(None);
        }
        let raw = device.raw();
        let size = 16 * stages.len() as u64;
        let buffer = |label, usage| {
            raw.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        device.guarded("timestamps", size, || {
            let set = |_| {
                raw.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("wgmm.timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: QUERIES as u32,
                })
            };
            use wgpu::BufferUsages as Usage;
            Some(Self {
                sets: (0..stages.len().div_ceil(QUERIES / 2)).map(set).collect(),
                resolved: buffer("wgmm.resolved", Usage::QUERY_RESOLVE | Usage::COPY_SRC),
                mapped: buffer("wgmm.times", Usage::MAP_READ | Usage::COPY_DST),
                stages,
            })
        })
    }

    /// Where dispatch `at` writes its times.
    pub fn writes(&self, at: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = (2 * at % QUERIES) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[2 * at / QUERIES],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Encodes the way of the times to the host.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        for (i, set) in self.sets.iter().enumerate() {
            let used = (2 * self.stages.len() - i * QUERIES).min(QUERIES) as u32;
            encoder.resolve_query_set(set, 0..used, &self.resolved, (8 * i * QUERIES) as u64);
        }
        let bytes = 16 * self.stages.len() as u64;
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.mapped, 0, bytes);
    }

    /// Adds the times, by stage, once the submission is done.
    pub fn read(&self, device: &Device, times: &mut Vec<StageTime>) -> Result<(), BackendError> {
        let bytes = 0..16 * self.stages.len() as u64;
        let (mapped, outcome) = mpsc::channel();
        self.mapped
            .map_async(wgpu::MapMode::Read, bytes.clone(), move |result| {
                let _ = mapped.send(result);
            });
        device.wait()?;
        // Another thread that waits may be the one that brings the answer, a little later.
        match outcome.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(device.blame("timestamps", error)),
            Err(_) => return Err(device.blame("timestamps", "no answer")),
        }
        let view = self.mapped.get_mapped_range(bytes);
        let view = view.map_err(|error| device.blame("timestamps", error))?;
        let period = 1e-9 * f64::from(device.queue().get_timestamp_period());
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        for (&stage, ticks) in self.stages.iter().zip(ticks.chunks_exact(2)) {
            let seconds = period * ticks[1].saturating_sub(ticks[0]) as f64;
            match times.iter_mut().find(|time| time.stage == stage) {
                Some(time) => {
                    time.dispatches += 1;
                    time.seconds += seconds;
                }
                None => times.push(StageTime {
                    stage,
                    dispatches: 1,
                    seconds,
                }),
            }
        }
        Ok(())
    }
}
