//! The way of samples to a device: blocks are standardised, cast and turned on all threads, straight into staging memory,
//! while what was staged before is copied.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::device::Device;
use super::plan::SampleLayout;
use crate::backend::BackendError;
use crate::backend::cpu::{STRIP, Scratch, Strips};

/// Bytes that are staged at a time, if a block is no larger.
pub(super) const PIECE_BYTES: u64 = 16 << 20;
/// Bytes of staging memory that are alive at once: the piece that is being written, and two that are copied.
const STAGED_BYTES: u64 = 3 * PIECE_BYTES;

/// Staging memory that a device has not copied yet.
#[derive(Debug, Default)]
pub(super) struct Staging {
    /// The submission that copies it, and its bytes, oldest first.
    in_flight: VecDeque<(wgpu::SubmissionIndex, u64)>,
}

impl Staging {
    /// Sends `blocks` to `target`, side by side from byte `at` on. They arrive before what is submitted next runs.
    pub fn send(
        &mut self,
        device: &Device,
        (strips, layout): (&Strips<'_>, &SampleLayout),
        blocks: &[usize],
        (target, at): (&wgpu::Buffer, u64),
    ) -> Result<(), BackendError> {
        let bytes = (4 * blocks.len() * layout.block_len()) as u64;
        let Some(size) = wgpu::BufferSize::new(bytes) else {
            return Ok(());
        };
        self.make_room(device, bytes)?;
        let queue = device.queue();
        let staged = device.guarded("samples", bytes, || queue.write_buffer_with(target, at, size))?;
        let Some(mut staged) = staged else {
            return Err(device.blame("samples", "no memory to write to"));
        };
        write(strips, layout, blocks, staged.slice(..));
        let index = device.guarded("samples", bytes, || {
            // What it holds is copied with the next submission.
            drop(staged);
            queue.submit([])
        })?;
        self.in_flight.push_back((index, bytes));
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

fn write(
    strips: &Strips<'_>,
    layout: &SampleLayout,
    blocks: &[usize],
    mut to: wgpu::WriteOnly<'_, [u8]>,
) {
    let stride = layout.blocks.rows_per_block();
    let parts: Vec<_> = blocks
        .iter()
        .map_while(|&b| Some((b, to.split_off(..4 * layout.block_len())?)))
        .collect();
    parts
        .into_par_iter()
        .for_each_init(Scratch::default, |scratch, (b, mut to)| {
            let rows = layout.blocks.rows(b);
            // The last block is padded: what was staged there before is nobody's business.
            for first in (0..stride).step_by(STRIP) {
                let start = (rows.start + first).min(rows.end);
                let strip = strips.read(start..(start + STRIP).min(rows.end), scratch);
                for (column, values) in strip.chunks_exact(STRIP).enumerate() {
                    let at = 4 * (column * stride + first);
                    to.slice(at..at + 4 * STRIP)
                        .copy_from_slice(bytemuck::cast_slice(values));
                }
            }
        });
}
