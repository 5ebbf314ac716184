//! Rows in kernel order that stay between passes.

use std::ops::Range;
use std::sync::OnceLock;

use fearless_simd::prelude::*;

use super::ahead::Ahead;
use super::pass::panel_rows;
use super::real::Real;
use super::rows::{Loader, WEIGHED, clear_weightless};
use super::vectors::Aligned;
use crate::backend::SummationBlocks;

/// All rows, for data that are few enough to be held twice: block by block, each made by the pass that first needs it.
pub(super) struct Held<T> {
    blocks: Vec<OnceLock<Block<T>>>,
}

/// A summation block's rows.
pub(super) struct Block<T> {
    /// How many, with those that fill the last panel.
    rows: usize,
    /// As in [`super::rows::Rows::x`].
    pub(super) x: Aligned<T>,
    /// As in [`super::rows::Rows::weights`], and their exact sum. It stands here because whatever has to be fetched from
    /// elsewhere block by block is waited for: that was a hundredth of a pass.
    pub(super) weights: Option<(Aligned<T>, f64)>,
}

impl<T: Real> Held<T> {
    /// Room for all rows, if that is at most so many bytes.
    pub(super) fn new(
        loader: &Loader<'_>,
        blocks: SummationBlocks,
        most_bytes: usize,
    ) -> Option<Self> {
        let samples = loader.samples();
        let numbers = samples.n_features() + usize::from(samples.weights().is_some());
        (samples.len() * numbers * size_of::<T>() <= most_bytes).then(|| Self {
            blocks: (0..blocks.len()).map(|_| OnceLock::new()).collect(),
        })
    }

    /// The first rows of block `b` from `start` on, counted within it: at most `count`, and none if it is not there yet.
    pub(super) fn source(
        &self,
        d: usize,
        b: usize,
        start: usize,
        count: usize,
    ) -> Option<Ahead<'_>> {
        let block = self.blocks[b].get()?;
        let rows = start..block.rows.min(start + count);
        let weights = match &block.weights {
            Some((weights, _)) => weights.part(rows.clone()),
            None => &[],
        };
        Some(Ahead::new(
            block.x.part(rows.start * d..rows.end * d),
            d,
            weights,
        ))
    }

    /// Block `b`. `by_rows` is scratch.
    #[inline(always)]
    pub(super) fn block<S: Simd>(
        &self,
        simd: S,
        loader: &Loader<'_>,
        blocks: SummationBlocks,
        b: usize,
        by_rows: &mut Aligned<T>,
    ) -> &Block<T> {
        if let Some(block) = self.blocks[b].get() {
            return block;
        }
        // Made outside of the closure, which would not be compiled for the instruction set.
        let block = Block::new(simd, loader, blocks.rows(b), by_rows);
        self.blocks[b].get_or_init(|| block)
    }
}

impl<T: Real> Block<T> {
    #[inline(always)]
    fn new<S: Simd>(
        simd: S,
        loader: &Loader<'_>,
        rows: Range<usize>,
        by_rows: &mut Aligned<T>,
    ) -> Self {
        let (d, panel) = (loader.samples().n_features(), panel_rows::<S, T>());
        let padded = rows.len().next_multiple_of(panel);
        let mut x = Aligned::zeros(padded * d);
        loader.fill(simd, rows.clone(), panel, by_rows, x.first_mut(padded * d));
        if loader.samples().weights().is_none() {
            return Self {
                rows: padded,
                x,
                weights: None,
            };
        }
        let mut weights = Aligned::zeros(padded);
        let mut total = 0.0;
        let starts = rows.clone().step_by(WEIGHED);
        for (start, weights) in starts.zip(weights.first_mut(padded).chunks_mut(WEIGHED)) {
            let rows = start..rows.end.min(start + WEIGHED);
            total += loader.fill_weights(simd, rows, weights);
        }
        clear_weightless(weights.part(0..padded), d, panel, x.first_mut(padded * d));
        Self {
            rows: padded,
            x,
            weights: Some((weights, total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ahead::STEP;
    use super::super::level::{self, on_level};
    use super::super::tests::samples;
    use super::*;
    use crate::data::Standardisation;
    use crate::mixture::CovarianceType;

    /// What is asked for ahead are a block's rows, with those that fill its last panel, and nothing before it is made.
    #[test]
    fn source_ends_with_the_block() {
        for (n, d) in [(1_000, 3), (20_003, 2), (70, 9)] {
            for weighted in [false, true] {
                let samples = samples(n, d, true, weighted);
                let map = Standardisation::of(&samples, CovarianceType::Full).expect("varied");
                let loader = Loader::new(&samples, &map);
                let blocks = SummationBlocks::new(n);
                for level in level::all() {
                    let held = Held::<f32>::new(&loader, blocks, usize::MAX).expect("room");
                    let last = blocks.len() - 1;
                    assert!(held.source(d, last, 0, 10).is_none());
                    let panel = on_level!(level, simd => {
                        held.block(simd, &loader, blocks, last, &mut Aligned::zeros(0));
                        panel_of::<_, f32>(simd)
                    });
                    let padded = blocks.rows(last).len().next_multiple_of(panel);
                    for (start, count) in [(0, 1), (0, padded), (0, padded + 1), (padded - 1, 512)]
                    {
                        let rows = count.min(padded - start);
                        let ahead = held.source(d, last, start, count).expect("it is there");
                        let lines = |numbers: usize| numbers * size_of::<f32>() / 64;
                        let weights = if weighted { lines(rows) } else { 0 };
                        let expected = [lines(rows * d), weights];
                        assert_eq!(ahead.lines(), expected, "{n} x {d}, {level:?}");
                        let mut ahead = ahead;
                        for _ in 0..rows.div_ceil(STEP) {
                            ahead.ask();
                        }
                        assert_eq!(ahead.lines(), [0, 0], "{n} x {d}, {level:?}");
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn panel_of<S: Simd, T: Real>(_: S) -> usize {
        panel_rows::<S, T>()
    }
}
