//! Where passes over blocks leave sums, and how these count.

use super::buffers::Pool;
use super::device::Device;
use super::recording::{Dispatch, Fold, Recording, Submission};
use super::sums::Sums;
use super::totals::{self, Totals};
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

    /// Asks for all rows.
    pub fn want_rows(&self, recording: &mut Recording) {
        recording.want(&self.partials, self.rows * self.len);
    }

    /// Asks for the logarithms that stand beside rows.
    pub fn want_logs(&self, recording: &mut Recording) {
        if let Some((logs, pairs)) = &self.logs {
            recording.want(logs, 2 * pairs);
        }
    }

    /// Records what fills it: model `m`'s passes over blocks of these weights. Its rows go to the totals, which come back with
    /// the `last` of them.
    pub fn record(
        &self,
        submission: &mut Submission<'_>,
        (m, totals): (usize, &mut Totals),
        mut dispatches: Vec<Dispatch>,
        weights: Vec<f64>,
        last: bool,
    ) -> Result<(), BackendError> {
        let order: Vec<u32> = (0..self.rows as u32).collect();
        let (device, pool) = (submission.device, &mut *submission.pool);
        dispatches.push(totals.add((device, pool), &self.partials, &order)?);
        let mut recording = Recording {
            dispatches,
            ..Recording::default()
        };
        self.want_logs(&mut recording);
        if last {
            totals.want(&mut recording);
        }
        submission.record(recording, fold_logs_and_totals(m, weights));
        Ok(())
    }

    /// Adds up rows that end with their logarithms, each to a model, with a weight.
    pub fn fold_rows<'a>(&self, owners: Vec<(usize, f64)>) -> Fold<'a> {
        let len = self.len;
        Box::new(move |results: &[Vec<f32>], all: &mut [Sums]| {
            for (row, &(m, weight)) in results[0].chunks_exact(len).zip(&owners) {
                all[m].add_block(row, weight);
            }
        })
    }
}

/// Takes totals of models, so far and with their logarithms at the end, each with the weights of the rows added last.
pub(super) fn fold_totals<'a>(owners: Vec<(usize, Vec<f64>)>) -> Fold<'a> {
    Box::new(move |results: &[Vec<f32>], all: &mut [Sums]| {
        for (result, (m, weights)) in results.iter().zip(owners) {
            let sums = &mut all[m];
            let mut totals: Vec<f64> = totals::read(result).collect();
            if let (Some(logs), Some(tops)) = (totals.pop(), totals.pop()) {
                (sums.tops, sums.logs) = (tops, logs);
            }
            sums.components = totals;
            sums.add_weights(&weights);
        }
    })
}

/// Takes pairs of logarithms of the blocks of model `m` added last, of these weights, then its totals so far, where
/// they were asked for.
pub(super) fn fold_logs_and_totals<'a>(m: usize, weights: Vec<f64>) -> Fold<'a> {
    Box::new(move |results: &[Vec<f32>], all: &mut [Sums]| {
        let sums = &mut all[m];
        // Every workgroup writes its pair, 0 where it has no rows.
        for pair in results[0].chunks_exact(2) {
            sums.tops += f64::from(pair[0]);
            sums.logs += f64::from(pair[1]);
        }
        if let Some(totals) = results.get(1) {
            sums.components = totals::read(totals).collect();
        }
        sums.add_weights(&weights);
    })
}
