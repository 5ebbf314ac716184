//! The order of summation on the host: blocks are added along fixed strands, strands in their order.

use rayon::prelude::*;

use super::{Statistics, SummationBlocks};

/// Live partial sums stay below this.
const PARTIALS_BYTES: usize = 64 << 20;
/// The most strands, and so the most threads that sum at once.
const MOST_STRANDS: usize = 32;

/// How many strands sums of this many numbers a block are made along: a function of N, D and K alone.
pub fn strands(blocks: SummationBlocks, numbers: usize) -> usize {
    (PARTIALS_BYTES / (numbers * size_of::<f64>()).max(1))
        .clamp(1, MOST_STRANDS)
        .min(blocks.len())
}

/// Sums over blocks: strand s adds blocks s, s + S, s + 2S, … in this order, then strands are added in theirs.
/// Threads share out whole strands, so their number changes no bit.
///
/// `add` adds the blocks of one strand, given in order, to the sums.
pub fn sum_strands<E: Send>(
    blocks: SummationBlocks,
    strands: usize,
    zero: &[Statistics],
    add: impl Fn(&mut dyn Iterator<Item = usize>, &mut [Statistics]) -> Result<(), E> + Sync,
) -> Result<Vec<Statistics>, E> {
    // One by one: threads that got the shorter strands take some of the others' when they are done.
    let partials: Vec<Vec<Statistics>> = (0..strands)
        .into_par_iter()
        .with_max_len(1)
        .map(|s| {
            let mut sums = zero.to_vec();
            add(&mut (s..blocks.len()).step_by(strands), &mut sums)?;
            Ok(sums)
        })
        .collect::<Result<_, E>>()?;
    let mut total = zero.to_vec();
    for partial in &partials {
        for (sum, part) in total.iter_mut().zip(partial) {
            *sum += part;
        }
    }
    Ok(total)
}
