//! The samples on the device: standardised in f64, cast, feature-major within each summation block. The first blocks
//! stay; where that is not all of them, the others pass through two buffers in each pass.

use std::ops::Range;
use std::slice;

use rayon::prelude::*;

use super::buffers::create;
use super::device::Device;
use super::plan::SampleLayout;
use super::residency::Residency;
use super::upload::{PIECE_BYTES, Staging};
use crate::backend::BackendError;
use crate::backend::cpu::Strips;
use crate::data::{Samples, Standardisation};

/// Samples of which a device holds as many blocks as it may.
#[derive(Debug)]
pub(super) struct LoadedSamples<'a> {
    pub layout: SampleLayout,
    pub residency: Residency,
    /// What weights on the device are multiplied by to have the given ones: a power of two.
    pub weight_unit: f64,
    weighted: bool,
    /// Σ w of each block.
    block_weights: Vec<f64>,
    /// Where blocks come from.
    strips: Strips<'a>,
    staging: Staging,
    resident: Vec<wgpu::Buffer>,
    /// For the blocks that do not stay.
    passing: Vec<wgpu::Buffer>,
}

/// Blocks that are on the device now, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtHand<'a> {
    pub layout: SampleLayout,
    pub weighted: bool,
    pub buffers: &'a [wgpu::Buffer],
    /// Σ w of each block.
    pub block_weights: &'a [f64],
    lie: Lie<'a>,
}

/// How blocks lie in buffers.
#[derive(Clone, Copy, Debug)]
enum Lie<'a> {
    /// The first so many, in buffers as long as the layout says.
    Resident(usize),
    /// These, one after the other in one buffer.
    Passing(&'a [usize]),
}

impl<'a> LoadedSamples<'a> {
    /// Sends the blocks that stay, of samples of which at most `most_bytes` may be on the device at once.
    pub fn upload(
        device: &Device,
        samples: &'a Samples,
        map: &'a Standardisation,
        most_bytes: Option<u64>,
    ) -> Result<Self, BackendError> {
        let d = samples.n_features();
        let weighted = samples.weights().is_some();
        let layout = SampleLayout::new(samples.len(), d, weighted, device.limits())
            .ok_or_else(|| device.too_large(d, 0))?;
        let residency =
            Residency::new(&layout, most_bytes).ok_or_else(|| device.too_large(d, 0))?;
        let block_weight = |b| match samples.weights() {
            Some(weights) => weights[layout.blocks.rows(b)].iter().sum(),
            None => layout.blocks.rows(b).len() as f64,
        };
        let mut loaded = Self {
            layout,
            residency,
            weight_unit: samples.weight_unit(),
            weighted,
            block_weights: (0..layout.blocks.len())
                .into_par_iter()
                .map(block_weight)
                .collect(),
            strips: Strips::new(samples, map),
            staging: Staging::default(),
            resident: Vec::new(),
            passing: Vec::new(),
        };
        let block_bytes = 4 * layout.block_len() as u64;
        let blocks_at_once = (PIECE_BYTES / block_bytes).max(1) as usize;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = |blocks: usize| create(device, "samples", blocks as u64 * block_bytes, usage);
        for first in (0..residency.resident).step_by(layout.blocks_per_buffer) {
            let end = (first + layout.blocks_per_buffer).min(residency.resident);
            let target = buffer(end - first)?;
            for b in (first..end).step_by(blocks_at_once) {
                let blocks: Vec<usize> = (b..(b + blocks_at_once).min(end)).collect();
                let from = (&loaded.strips, &layout);
                let to = (&target, b - first);
                loaded.staging.send(device, from, &blocks, to)?;
            }
            loaded.resident.push(target);
        }
        if !residency.is_whole() {
            for _ in 0..2 {
                loaded.passing.push(buffer(residency.blocks_per_piece)?);
            }
        }
        Ok(loaded)
    }

    /// Bytes sent so far.
    pub fn bytes_sent(&self) -> u64 {
        self.staging.sent
    }

    /// The blocks that stay.
    pub fn at_hand(&self) -> AtHand<'_> {
        AtHand {
            layout: self.layout,
            weighted: self.weighted,
            buffers: &self.resident,
            block_weights: &self.block_weights,
            lie: Lie::Resident(self.residency.resident),
        }
    }

    /// Calls `evaluate` for pieces of the samples that together hold each block that `choose` takes once, in their order:
    /// the blocks that stay, then as many of the others at a time as a buffer holds. While a piece is evaluated the next
    /// one is on its way to the other buffer.
    pub fn each_piece(
        &mut self,
        device: &Device,
        choose: impl Fn(usize) -> bool,
        mut evaluate: impl FnMut(&AtHand<'_>) -> Result<(), BackendError> + Send,
    ) -> Result<(), BackendError> {
        let Self {
            layout,
            residency,
            weighted,
            ref block_weights,
            ref strips,
            ref mut staging,
            ref resident,
            ref passing,
            ..
        } = *self;
        let at_hand = |buffers, lie| AtHand {
            layout,
            weighted,
            buffers,
            block_weights,
            lie,
        };
        let others: Vec<usize> = (residency.resident..layout.blocks.len())
            .filter(|&b| choose(b))
            .collect();
        let pieces: Vec<&[usize]> = others.chunks(residency.blocks_per_piece.max(1)).collect();
        let mut now = at_hand(resident, Lie::Resident(residency.resident));
        for (next, target) in pieces.into_iter().zip(passing.iter().cycle()) {
            let (sent, evaluated) = rayon::join(
                || staging.send(device, (strips, &layout), next, (target, 0)),
                || evaluate(&now),
            );
            sent.and(evaluated)?;
            now = at_hand(slice::from_ref(target), Lie::Passing(next));
        }
        evaluate(&now)
    }
}

impl AtHand<'_> {
    /// Those of consecutive rows that are in blocks at hand, which must be neighbours.
    pub fn rows(&self, rows: &Range<usize>) -> Range<usize> {
        let blocks = match self.lie {
            Lie::Resident(count) => 0..count,
            Lie::Passing(blocks) => blocks[0]..blocks[0] + blocks.len(),
        };
        let per_block = self.layout.blocks.rows_per_block();
        let start = rows.start.max(blocks.start * per_block);
        start..rows.end.min(blocks.end * per_block).max(start)
    }

    /// Which buffer block `b` is in, and where its first number stands there.
    pub fn place(&self, b: usize) -> (usize, usize) {
        match self.lie {
            Lie::Resident(_) => (
                b / self.layout.blocks_per_buffer,
                b % self.layout.blocks_per_buffer * self.layout.block_len(),
            ),
            Lie::Passing(blocks) => {
                let before = blocks.partition_point(|&other| other < b);
                (0, before * self.layout.block_len())
            }
        }
    }

    /// The blocks of each buffer that `choose` takes, in groups of at most `most`.
    pub fn groups(&self, most: usize, choose: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let blocks: Vec<usize> = match self.lie {
            Lie::Resident(count) => (0..count).collect(),
            Lie::Passing(blocks) => blocks.to_vec(),
        };
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for b in blocks.into_iter().filter(|&b| choose(b)) {
            match groups.last_mut() {
                Some(group) if group.len() < most && self.place(group[0]).0 == self.place(b).0 => {
                    group.push(b);
                }
                _ => groups.push(vec![b]),
            }
        }
        groups
    }
}
