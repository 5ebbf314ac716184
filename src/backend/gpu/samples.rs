//! The samples on the device: standardised in f64, cast once, feature-major within each summation block.

use rayon::prelude::*;

use super::buffers::create;
use super::device::Device;
use super::plan::SampleLayout;
use super::upload::{PIECE_BYTES, Staging};
use crate::backend::BackendError;
use crate::backend::cpu::Strips;
use crate::data::{Samples, Standardisation};

/// Samples in buffers of whole blocks.
#[derive(Debug)]
pub(super) struct LoadedSamples {
    pub layout: SampleLayout,
    pub weighted: bool,
    pub buffers: Vec<wgpu::Buffer>,
    /// What weights on the device are multiplied by to have the given ones: a power of two.
    pub weight_unit: f64,
    /// Σ w of each block.
    pub block_weights: Vec<f64>,
}

impl LoadedSamples {
    pub fn upload(
        device: &Device,
        samples: &Samples,
        map: &Standardisation,
    ) -> Result<Self, BackendError> {
        let d = samples.n_features();
        let weighted = samples.weights().is_some();
        let layout = SampleLayout::new(samples.len(), d, weighted, device.limits())
            .ok_or_else(|| device.too_large(d, 0))?;
        let block_weight = |b| match samples.weights() {
            Some(weights) => weights[layout.blocks.rows(b)].iter().sum(),
            None => layout.blocks.rows(b).len() as f64,
        };
        let strips = Strips::new(samples, map);
        let mut staging = Staging::default();
        let block_bytes = 4 * layout.block_len() as u64;
        let blocks_at_once = (PIECE_BYTES / block_bytes).max(1) as usize;
        let mut buffers = Vec::new();
        for first in (0..layout.blocks.len()).step_by(layout.blocks_per_buffer) {
            let end = (first + layout.blocks_per_buffer).min(layout.blocks.len());
            let bytes = (end - first) as u64 * block_bytes;
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let buffer = create(device, "samples", bytes, usage)?;
            for b in (first..end).step_by(blocks_at_once) {
                let blocks: Vec<usize> = (b..(b + blocks_at_once).min(end)).collect();
                let target = (&buffer, (b - first) as u64 * block_bytes);
                staging.send(device, (&strips, &layout), &blocks, target)?;
            }
            buffers.push(buffer);
        }
        Ok(Self {
            layout,
            weighted,
            buffers,
            weight_unit: samples.weight_unit(),
            block_weights: (0..layout.blocks.len())
                .into_par_iter()
                .map(block_weight)
                .collect(),
        })
    }

    /// Which buffer block `b` is in, and where its first number stands there.
    pub fn place(&self, b: usize) -> (usize, usize) {
        (
            b / self.layout.blocks_per_buffer,
            b % self.layout.blocks_per_buffer * self.layout.block_len(),
        )
    }

    /// The blocks of each buffer that `choose` takes, in groups of at most `most`.
    pub fn groups(&self, most: usize, choose: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for b in (0..self.layout.blocks.len()).filter(|&b| choose(b)) {
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
