//! What evaluations ask of a device, recorded first and submitted together: one submission, one way back.

use std::sync::Arc;

use super::Counters;
use super::buffers::Pool;
use super::device::Device;
use super::stage::Bound;
use super::sums::Sums;
use crate::backend::BackendError;

/// A dispatch of a stage with the uniform structs that stand so many bytes into their buffers.
#[derive(Clone)]
pub(super) struct Dispatch {
    pub bound: Arc<Bound>,
    pub offsets: Vec<u32>,
    pub groups: [u32; 3],
}

/// Dispatches that follow each other, and what of their buffers is wanted on the host.
#[derive(Default)]
pub(super) struct Recording {
    pub dispatches: Vec<Dispatch>,
    /// Buffers, and how many of their first numbers. They are copied before the next recording runs, so that
    /// recordings may share them.
    pub wanted: Vec<(wgpu::Buffer, usize)>,
}

impl Recording {
    /// Appends a dispatch.
    pub fn dispatch(&mut self, bound: &Arc<Bound>, offsets: &[usize], groups: [u32; 3]) {
        self.dispatches.push(Dispatch {
            bound: bound.clone(),
            offsets: offsets.iter().map(|&offset| offset as u32).collect(),
            groups,
        });
    }

    /// Asks for the first `len` numbers of a buffer.
    pub fn want(&mut self, buffer: &wgpu::Buffer, len: usize) {
        self.wanted.push((buffer.clone(), len));
    }
}

/// Takes what came back of a recording into the sums of the models.
pub(super) type Fold<'a> = Box<dyn FnOnce(&[Vec<f32>], &mut [Sums]) + 'a>;

/// Recordings on their way, and the sums of all models that they add to.
pub(super) struct Submission<'a> {
    pub device: &'a Device,
    pub pool: &'a mut Pool,
    counters: &'a mut Counters,
    recorded: Vec<(Recording, Fold<'a>)>,
    /// How much of what a submission should cost is taken, 1 at most.
    share: f64,
    sums: Vec<Sums>,
}

impl<'a> Submission<'a> {
    /// Nothing yet, for models with these sums so far.
    pub fn new(
        device: &'a Device,
        pool: &'a mut Pool,
        counters: &'a mut Counters,
        sums: Vec<Sums>,
    ) -> Self {
        pool.begin();
        Self {
            device,
            pool,
            counters,
            recorded: Vec::new(),
            share: 0.0,
            sums,
        }
    }

    /// Makes room for a recording that takes this share of a submission, before its buffers are filled: submits
    /// what was recorded if both are too much at once.
    pub fn make_room(&mut self, share: f64) -> Result<(), BackendError> {
        // A pattern is to be seen by each recording.
        let alone = self.device.options().sentinel.is_some();
        if self.share + share > 1.0 || alone {
            self.flush()?;
        }
        self.share += share;
        Ok(())
    }

    /// Adds a recording. Its sums are folded after those of earlier ones.
    pub fn record(&mut self, recording: Recording, fold: Fold<'a>) {
        self.pool.keep(&recording);
        self.recorded.push((recording, fold));
    }

    /// What was recorded and is not yet submitted.
    #[cfg(test)]
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.recorded
            .iter()
            .flat_map(|(recording, _)| &recording.dispatches)
    }

    /// Submits one recording by itself, before which nothing is left, waits, and hands out what it wants.
    pub fn run(&mut self, recording: Recording) -> Result<Vec<Vec<f32>>, BackendError> {
        let mut results = self.pool.run(self.device, self.counters, &[recording])?;
        Ok(results.swap_remove(0))
    }

    /// Submits what was recorded, waits, and folds what comes back.
    pub fn flush(&mut self) -> Result<(), BackendError> {
        self.share = 0.0;
        if self.recorded.is_empty() {
            return Ok(());
        }
        let (recordings, folds): (Vec<_>, Vec<_>) = self.recorded.drain(..).unzip();
        let results = self.pool.run(self.device, self.counters, &recordings)?;
        for (fold, result) in folds.into_iter().zip(&results) {
            fold(result, &mut self.sums);
        }
        self.pool.begin();
        Ok(())
    }

    /// Submits what is left and hands out the sums.
    pub fn finish(mut self) -> Result<Vec<Sums>, BackendError> {
        self.flush()?;
        Ok(self.sums)
    }
}
