//! The way of samples to a device: blocks are standardised, cast and turned on all threads, straight into staging memory,
//! while what was staged before is copied.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::device::Device;
use super::plan::SampleLayout;
use crate::backend::BackendError;
use crate::backend::cpu::{STRIP, Scratch, Strips};

/// Bytes that are sent at a time, if a block is no larger.
pub(super) const PIECE_BYTES: u64 = 8 << 20;
/// Bytes of staging memory that are alive at once: the piece that is being written, and two that are copied.
const STAGED_BYTES: u64 = 3 * PIECE_BYTES;
/// Bytes of staging memory that a thread writes before it takes the next, if a block is no larger.
const PART_BYTES: u64 = 1 << 20;

/// Staging memory that a device has not copied yet.
#[derive(Debug, Default)]
pub(super) struct Staging {
    /// The submission that copies it, and its bytes, oldest first.
    in_flight: VecDeque<(wgpu::SubmissionIndex, u64)>,
    /// Bytes staged so far.
    pub sent: u64,
}

impl Staging {
    /// Sends `blocks` to `target`, side by side from its block `at` on. They arrive before what is submitted next runs.
    pub fn send(
        &mut self,
        device: &Device,
        (strips, layout): (&Strips<'_>, &SampleLayout),
        blocks: &[usize],
        (target, at): (&wgpu::Buffer, usize),
    ) -> Result<(), BackendError> {
        let block_bytes = 4 * layout.block_len() as u64;
        let bytes = blocks.len() as u64 * block_bytes;
        self.make_room(device, bytes)?;
        let blocks_per_part = (PART_BYTES / block_bytes).max(1) as usize;
        blocks
            .par_chunks(blocks_per_part)
            .enumerate()
            .try_for_each_init(Scratch::default, |scratch, (part, blocks)| {
                let at = (at + part * blocks_per_part) as u64 * block_bytes;
                send_part(device, (strips, layout), blocks, (target, at), scratch)
            })?;
        // What is staged is copied with the next submission.
        let index = device.guarded("samples", bytes, || device.queue().submit([]))?;
        self.in_flight.push_back((index, bytes));
        self.sent += bytes;
        Ok(())
    }

    /// Waits until so many bytes more may be staged.
    fn make_room(&mut self, device: &Device, bytes: u64) -> Result<(), BackendError> {
        let staged = |all: &VecDeque<(_, u64)>| all.iter().map(|(_, bytes)| bytes).sum::<u64>();
        while staged(&self.in_flight) + bytes > STAGED_BYTES {
            match self.in_flight.pop_front() {
                Some((index, _)) => device.wait_for(index)?,
                // A block larger than all of them is staged alone.
                None => break,
            }
        }
        Ok(())
    }
}

/// Stages some blocks, to stand from byte `at` of `target` on.
fn send_part(
    device: &Device,
    (strips, layout): (&Strips<'_>, &SampleLayout),
    blocks: &[usize],
    (target, at): (&wgpu::Buffer, u64),
    scratch: &mut Scratch,
) -> Result<(), BackendError> {
    let block_bytes = 4 * layout.block_len();
    let bytes = (blocks.len() * block_bytes) as u64;
    let Some(size) = wgpu::BufferSize::new(bytes) else {
        return Ok(());
    };
    let queue = device.queue();
    let staged = device.guarded("samples", bytes, || {
        queue.write_buffer_with(target, at, size)
    })?;
    let Some(mut staged) = staged else {
        return Err(device.blame("samples", "no memory to write to"));
    };
    let stride = layout.blocks.rows_per_block();
    for (place, &b) in blocks.iter().enumerate() {
        let rows = layout.blocks.rows(b);
        // The last block is padded: what was in staging memory before is nobody's business.
        for first in (0..stride).step_by(STRIP) {
            let start = (rows.start + first).min(rows.end);
            let strip = strips.read(start..(start + STRIP).min(rows.end), scratch);
            for (column, values) in strip.chunks_exact(STRIP).enumerate() {
                let at = place * block_bytes + 4 * (column * stride + first);
                staged
                    .slice(at..at + 4 * STRIP)
                    .copy_from_slice(bytemuck::cast_slice(values));
            }
        }
    }
    device.guarded("samples", bytes, || drop(staged))
}
