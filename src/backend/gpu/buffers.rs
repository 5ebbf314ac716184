//! Buffers that evaluations reuse, and the way back to the host.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use bytemuck::Pod;

use super::device::Device;
use super::stage::uniform_stride;
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
    buffers: HashMap<&'static str, wgpu::Buffer>,
    /// Where results are mapped.
    read_back: Option<wgpu::Buffer>,
}

impl Pool {
    /// The output buffer `name` with room for `bytes`.
    pub fn output(
        &mut self,
        device: &Device,
        name: &'static str,
        bytes: u64,
    ) -> Result<wgpu::Buffer, BackendError> {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let grown = self.buffers.get(name).is_none_or(|b| b.size() < bytes);
        let buffer = self.get(device, name, bytes, usage)?;
        let pattern = device.options().sentinel;
        if grown || pattern.is_some() {
            fill(device, &buffer, pattern.unwrap_or(UNWRITTEN))?;
        }
        Ok(buffer)
    }

    /// The input buffer `name`, holding `content` once what is submitted next runs.
    pub fn input<T: Pod>(
        &mut self,
        device: &Device,
        name: &'static str,
        content: &[T],
    ) -> Result<wgpu::Buffer, BackendError> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        self.filled(device, name, bytemuck::cast_slice(content), usage)
    }

    /// The uniform buffer `name`, holding `content`.
    pub fn uniform<T: Pod>(
        &mut self,
        device: &Device,
        name: &'static str,
        content: &[T],
    ) -> Result<wgpu::Buffer, BackendError> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        self.filled(device, name, bytemuck::cast_slice(content), usage)
    }

    /// The uniform buffer `name`, holding the structs of `content` one [`uniform_stride`] apart.
    pub fn uniforms<T: Pod>(
        &mut self,
        device: &Device,
        name: &'static str,
        content: &[T],
    ) -> Result<wgpu::Buffer, BackendError> {
        let stride = uniform_stride::<T>();
        let mut bytes = vec![0u8; content.len() * stride];
        for (to, from) in bytes.chunks_exact_mut(stride).zip(content) {
            let from = bytemuck::bytes_of(from);
            to[..from.len()].copy_from_slice(from);
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        self.filled(device, name, &bytes, usage)
    }

    fn filled(
        &mut self,
        device: &Device,
        name: &'static str,
        bytes: &[u8],
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, BackendError> {
        let buffer = self.get(device, name, bytes.len() as u64, usage)?;
        device.guarded(name, bytes.len() as u64, || {
            device.queue().write_buffer(&buffer, 0, bytes);
        })?;
        Ok(buffer)
    }

    fn get(
        &mut self,
        device: &Device,
        name: &'static str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, BackendError> {
        if let Some(buffer) = self.buffers.get(name).filter(|b| b.size() >= bytes) {
            return Ok(buffer.clone());
        }
        self.buffers.remove(name);
        let buffer = create(device, name, bytes, usage)?;
        self.buffers.insert(name, buffer.clone());
        Ok(buffer)
    }

    /// Submits the commands, waits, and hands back the first numbers of each buffer as f32.
    pub fn submit_and_read(
        &mut self,
        device: &Device,
        mut encoder: wgpu::CommandEncoder,
        wanted: &[(&wgpu::Buffer, usize)],
    ) -> Result<Vec<Vec<f32>>, BackendError> {
        let bytes: u64 = wanted.iter().map(|&(_, len)| 4 * len as u64).sum();
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
        device.guarded("submission", bytes, || {
            let mut at = 0;
            for (buffer, len) in wanted {
                let len = 4 * *len as u64;
                encoder.copy_buffer_to_buffer(buffer, 0, &target, at, len);
                at += len;
            }
            device.queue().submit([encoder.finish()]);
            target.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
                // The receiver is gone only if this evaluation failed already.
                let _ = mapped.send(result);
            });
        })?;
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
            wanted
                .iter()
                .map(|&(_, len)| {
                    let (now, later) = rest.split_at(4 * len);
                    rest = later;
                    bytemuck::pod_collect_to_vec(now)
                })
                .collect()
        };
        target.unmap();
        self.read_back = Some(target);
        Ok(results)
    }
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
