//! A random order of rows that is computed place by place, so that no list of all rows is made and all threads take part.

use rand::{Rng, RngExt};

/// Pairs of rounds of the network, at least: two make a random permutation of random functions (Luby & Rackoff 1988,
/// *SIAM J. Comput.* 17(2)) where halves are wide.
const PAIRS: u32 = 2;
/// Where they are narrow, so many pairs that these are their bits together.
const BITS: u32 = 32;

/// A permutation of 0..n: a Feistel network over the next power of two, walked until it comes back below n.
#[derive(Clone, Debug)]
pub(super) struct Order {
    n: u64,
    /// Bits of the low half, and the masks of both.
    low_bits: u32,
    low: u64,
    high: u64,
    /// Two of each pair of rounds.
    keys: Vec<[u64; 2]>,
}

impl Order {
    /// An order of `n` rows, at least one.
    pub(super) fn new(n: usize, rng: &mut impl Rng) -> Self {
        let n = n as u64;
        let bits = u64::BITS - (n - 1).leading_zeros();
        let low_bits = bits.div_ceil(2);
        let mask = |bits: u32| (1 << bits) - 1;
        Self {
            n,
            low_bits,
            low: mask(low_bits),
            high: mask(bits - low_bits),
            keys: (0..PAIRS.max(BITS / bits.max(1)))
                .map(|_| rng.random())
                .collect(),
        }
    }

    /// The row at a place below n. Every row has one place.
    pub(super) fn row(&self, place: usize) -> usize {
        let mut at = place as u64;
        loop {
            let (mut high, mut low) = (at >> self.low_bits, at & self.low);
            for keys in &self.keys {
                high ^= mixed(low ^ keys[0]) & self.high;
                low ^= mixed(high ^ keys[1]) & self.low;
            }
            at = (high << self.low_bits) | low;
            if at < self.n {
                return at as usize;
            }
        }
    }
}

/// Bits of which each depends on all bits of `x`: the finaliser of SplitMix64 (Steele, Lea & Flood 2014).
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn order(n: usize, seed: u64) -> Order {
        Order::new(n, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn every_row_has_one_place() {
        for n in (1..300).chain([1023, 1024, 1025, 100_003]) {
            let order = order(n, n as u64);
            let mut rows: Vec<usize> = (0..n).map(|place| order.row(place)).collect();
            rows.sort_unstable();
            assert!(rows.into_iter().eq(0..n), "{n}");
        }
    }

    /// χ² of counts that are expected to be equal, in standard deviations from its mean.
    fn deviation(counts: &[u32]) -> f64 {
        let expected = counts.iter().sum::<u32>() as f64 / counts.len() as f64;
        let squares = counts.iter().map(|c| (f64::from(*c) - expected).powi(2));
        let freedom = (counts.len() - 1) as f64;
        (squares.sum::<f64>() / expected - freedom) / (2.0 * freedom).sqrt()
    }

    #[test]
    fn pairs_of_places_hold_all_pairs_of_rows_alike() {
        // Which rows stand at two places, over many orders. 5 σ come by chance once in a million times or so.
        for (n, places) in [
            (11, [0, 1]),
            (11, [2, 7]),
            (29, [0, 4]),
            (150, [0, 1]),
            (150, [149, 20]),
        ] {
            let mut counts = vec![0; n * n];
            for seed in 0..200_000 {
                let order = order(n, seed);
                let [first, second] = places.map(|place| order.row(place));
                counts[n * first + second] += 1;
            }
            let counts: Vec<u32> = (0..n * n)
                .filter(|i| i % (n + 1) != 0)
                .map(|i| counts[i])
                .collect();
            assert_eq!(counts.iter().sum::<u32>(), 200_000);
            assert!(
                deviation(&counts) < 5.0,
                "{places:?}: {}",
                deviation(&counts)
            );
        }
    }

    #[test]
    fn a_prefix_is_spread_over_all_rows() {
        let order = order(1_000_000, 3);
        for length in [1_000, 10_000, 100_000] {
            let mut counts = vec![0; 50];
            (0..length).for_each(|place| counts[order.row(place) / 20_000] += 1);
            let mut last_digits = vec![0; 50];
            (0..length).for_each(|place| last_digits[order.row(place) % 50] += 1);
            for counts in [counts, last_digits] {
                assert!(deviation(&counts).abs() < 5.0, "{length}: {counts:?}");
            }
        }
    }
}
