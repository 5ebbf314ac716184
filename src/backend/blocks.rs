//! Summation blocks: the fixed groups of rows by which all sums are made.
//!
//! Blocks depend on N alone. Threads, submissions and memory limits take whole blocks, and blocks are added in
//! their order, so none of these changes a bit of a result.

use std::ops::Range;

/// How many blocks a data set is cut into at least, where it is large enough.
const BLOCKS: usize = 64;
/// The fewest rows of a block; block sizes are multiples of it.
const SMALLEST: usize = 256;
/// The most rows of a block.
const LARGEST: usize = 4096;

/// N rows cut into blocks of equal size (the last may be shorter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummationBlocks {
    n: usize,
    rows_per_block: usize,
}

impl SummationBlocks {
    /// The blocks of N rows: 256 to 4,096 rows each, about 64 of them while N allows.
    pub fn new(n: usize) -> Self {
        let rows_per_block = n
            .div_ceil(BLOCKS)
            .next_multiple_of(SMALLEST)
            .clamp(SMALLEST, LARGEST);
        Self { n, rows_per_block }
    }

    /// How many blocks.
    #[expect(clippy::len_without_is_empty, reason = "samples are never empty")]
    pub fn len(&self) -> usize {
        self.n.div_ceil(self.rows_per_block)
    }

    /// Rows of every block but the last.
    pub fn rows_per_block(&self) -> usize {
        self.rows_per_block
    }

    /// The block of row `i`.
    pub fn of_row(&self, i: usize) -> usize {
        i / self.rows_per_block
    }

    /// The rows of block `b`.
    pub fn rows(&self, b: usize) -> Range<usize> {
        let start = b * self.rows_per_block;
        start..(start + self.rows_per_block).min(self.n)
    }
}

/// A choice of summation blocks: a fold, a subsample, what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMask {
    chosen: Vec<bool>,
}

impl BlockMask {
    /// The blocks for which `choose` says so.
    pub fn new(blocks: SummationBlocks, choose: impl FnMut(usize) -> bool) -> Self {
        Self {
            chosen: (0..blocks.len()).map(choose).collect(),
        }
    }

    /// How many rows the chosen blocks hold.
    pub fn rows(&self, blocks: SummationBlocks) -> usize {
        let chosen = (0..blocks.len()).filter(|&b| self.chosen[b]);
        chosen.map(|b| blocks.rows(b).len()).sum()
    }

    /// Whether block `b` is chosen.
    pub fn contains(&self, b: usize) -> bool {
        self.chosen[b]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_row_once() {
        for n in [1, 2, 255, 256, 257, 16_384, 100_003, 1_000_000, 5_000_001] {
            let blocks = SummationBlocks::new(n);
            let mut next = 0;
            for b in 0..blocks.len() {
                let rows = blocks.rows(b);
                assert_eq!(rows.start, next);
                assert!(!rows.is_empty() && rows.len() <= LARGEST);
                next = rows.end;
            }
            assert_eq!(next, n);
        }
        assert!(SummationBlocks::new(100_003).len() > 20);
    }
}
