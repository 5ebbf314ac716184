//! The samples on the device: standardised in f64, cast once, feature-major within each summation block.

use rayon::prelude::*;

use super::buffers::create;
use super::device::Device;
use super::plan::SampleLayout;
use crate::backend::BackendError;
use crate::data::{Samples, Standardisation};

/// Standardised values are kept within this, so that no product overflows single precision. Only rows of
/// weight 0, which standardisation does not look at, come near it.
const FARTHEST: f64 = 1e12;
/// Bytes that are staged at a time.
const UPLOAD_BYTES: usize = 32 << 20;

/// Samples in buffers of whole blocks.
#[derive(Debug)]
pub(super) struct LoadedSamples {
    pub layout: SampleLayout,
    pub n_features: usize,
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
        let heaviest = samples
            .weights()
            .map_or(1.0, |w| w.iter().copied().fold(0.0, f64::max));
        let mut loaded = Self {
            layout,
            n_features: d,
            weighted,
            buffers: Vec::new(),
            weight_unit: power_of_two_below(heaviest),
            block_weights: (0..layout.blocks.len())
                .map(|b| layout.blocks.rows(b).map(|i| samples.weight(i)).sum())
                .collect(),
        };
        let block_len = layout.block_len();
        let blocks_at_once = (UPLOAD_BYTES / (4 * block_len)).max(1);
        for first in (0..layout.blocks.len()).step_by(layout.blocks_per_buffer) {
            let end = (first + layout.blocks_per_buffer).min(layout.blocks.len());
            let bytes = ((end - first) * block_len * 4) as u64;
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let buffer = create(device, "samples", bytes, usage)?;
            for b in (first..end).step_by(blocks_at_once) {
                let blocks = b..(b + blocks_at_once).min(end);
                let mut values = vec![0.0f32; blocks.len() * block_len];
                values
                    .par_chunks_exact_mut(block_len)
                    .zip(blocks)
                    .for_each(|(to, b)| loaded.standardise(samples, map, b, to));
                device.guarded("samples", bytes, || {
                    let at = ((b - first) * block_len * 4) as u64;
                    device
                        .queue()
                        .write_buffer(&buffer, at, bytemuck::cast_slice(&values));
                    device.queue().submit([]);
                })?;
                device.wait()?;
            }
            loaded.buffers.push(buffer);
        }
        Ok(loaded)
    }

    fn standardise(&self, samples: &Samples, map: &Standardisation, b: usize, to: &mut [f32]) {
        let stride = self.layout.blocks.rows_per_block();
        let mut row = vec![0.0; self.n_features];
        for (n, i) in self.layout.blocks.rows(b).enumerate() {
            samples.copy_row(i, &mut row);
            map.apply(&mut row);
            for (j, x) in row.iter().enumerate() {
                // Overflow in a row of weight 0 may leave a NaN.
                let x = if x.is_nan() { FARTHEST } else { *x };
                to[j * stride + n] = x.clamp(-FARTHEST, FARTHEST) as f32;
            }
            if self.weighted {
                to[self.n_features * stride + n] = (samples.weight(i) / self.weight_unit) as f32;
            }
        }
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

/// The largest power of two not above a positive `x` (f64's smallest normal number at least).
fn power_of_two_below(x: f64) -> f64 {
    f64::from_bits(x.max(f64::MIN_POSITIVE).to_bits() & (0x7ff << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_unit_is_a_power_of_two() {
        for (x, unit) in [
            (1.0, 1.0),
            (3.0, 2.0),
            (0.3, 0.25),
            (1e-310, f64::MIN_POSITIVE),
        ] {
            assert_eq!(power_of_two_below(x), unit);
        }
    }
}
