//! Where passes over blocks leave sums, and how these count.

use super::buffers::Pool;
use super::device::Device;
use super::recording::{Fold, Recording};
use super::sums::Sums;
use crate::backend::BackendError;

/// Buffers that passes fill.
pub(super) struct Outcome {
    /// Rows of sums, those of several models in turn.
    pub partials: wgpu::Buffer,
    /// How many rows, and numbers of each.
    pub rows: usize,
    pub len: usize,
    /// Logarithms, and how many pairs of them, where they do not end the rows.
    pub logs: Option<(wgpu::Buffer, usize)>,
}

impl Outcome {
    /// Rows that end with their logarithms.
    pub fn of_rows(
        (device, pool): (&Device, &mut Pool),
        (rows, len): (usize, usize),
    ) -> Result<Self, BackendError> {
        Ok(Self {
            partials: pool.output(device, "partials", (rows * len * 4) as u64)?,
            rows,
            len,
            logs: None,
        })
    }

    /// Rows with so many pairs of logarithms beside them.
    pub fn of_rows_and_logs(
        (device, pool): (&Device, &mut Pool),
        (rows, len): (usize, usize),
        pairs: usize,
    ) -> Result<Self, BackendError> {
        let logs = pool.output(device, "logs", (pairs * 8) as u64)?;
        let mut outcome = Self::of_rows((device, pool), (rows, len))?;
        outcome.logs = Some((logs, pairs));
        Ok(outcome)
    }

    /// Asks for all of it.
    pub fn want(&self, recording: &mut Recording) {
        recording.want(&self.partials, self.rows * self.len);
        if let Some((logs, pairs)) = &self.logs {
            recording.want(logs, 2 * pairs);
        }
    }

    /// Adds it up, each row to a model, with a weight. Where logarithms stand apart there is one model.
    pub fn fold<'a>(&self, owners: Vec<(usize, f64)>) -> Fold<'a> {
        let (len, is_apart) = (self.len, self.logs.is_some());
        Box::new(move |results: &[Vec<f32>], all: &mut [Sums]| {
            for (row, &(m, weight)) in results[0].chunks_exact(len).zip(&owners) {
                if is_apart {
                    all[m].add(row);
                    all[m].weight += weight;
                } else {
                    all[m].add_block(row, weight);
                }
            }
            let Some(&(m, _)) = owners.first().filter(|_| is_apart) else {
                return;
            };
            // Every workgroup writes its pair, 0 where it has no rows.
            for pair in results[1].chunks_exact(2) {
                all[m].tops += f64::from(pair[0]);
                all[m].logs += f64::from(pair[1]);
            }
        })
    }
}
