//! Which samples stay on a device and which pass through it. A pure function of sizes and limits, no device in sight, and
//! never of what memory is free: it changes no bit of a pass.

use super::plan::SampleLayout;
use super::upload::PIECE_BYTES;

/// The first blocks stay; the others pass through two buffers that are used in turn, one filled while the other is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residency {
    /// Blocks that stay.
    pub resident: usize,
    /// Blocks that each of the two buffers holds, 0 where all stay.
    pub blocks_per_piece: usize,
}

impl Residency {
    /// As many blocks as `most_bytes` allow, all without a bound; `None` if not even two blocks fit at once.
    pub fn new(layout: &SampleLayout, most_bytes: Option<u64>) -> Option<Self> {
        let block_bytes = 4 * layout.block_len() as u64;
        let fit = most_bytes.map_or(u64::MAX, |bytes| bytes / block_bytes);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX);
        if fit >= layout.blocks.len() {
            return Some(Self {
                resident: layout.blocks.len(),
                blocks_per_piece: 0,
            });
        }
        // A piece is what is staged at once: larger ones save nothing, and what stays is not sent again.
        let most = (fit / 4).clamp(1, layout.blocks_per_buffer);
        let blocks_per_piece = ((PIECE_BYTES / block_bytes) as usize).clamp(1, most);
        (fit >= 2).then(|| Self {
            resident: fit - 2 * blocks_per_piece,
            blocks_per_piece,
        })
    }

    /// Whether all blocks stay.
    pub fn is_whole(self) -> bool {
        self.blocks_per_piece == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::DeviceLimits;
    use super::*;

    const LIMITS: DeviceLimits = DeviceLimits {
        least_subgroup: 32,
        ..DeviceLimits::WEBGPU
    };

    fn layout(n: usize, d: usize) -> SampleLayout {
        SampleLayout::new(n, d, false, &LIMITS).expect("a block fits")
    }

    #[test]
    fn everything_stays_without_a_bound_or_within_it() {
        let layout = layout(1_000_000, 2);
        let all = Residency::new(&layout, None).expect("no bound");
        assert!(all.is_whole() && all.resident == layout.blocks.len());
        let bytes = 4 * (layout.blocks.len() * layout.block_len()) as u64;
        assert_eq!(Residency::new(&layout, Some(bytes)), Some(all));
        assert!(
            !Residency::new(&layout, Some(bytes - 1))
                .expect("most fit")
                .is_whole()
        );
    }

    #[test]
    fn what_stays_and_both_buffers_are_within_the_bound() {
        for (n, d) in [(1000, 1), (20_003, 2), (10_000_000, 8), (300_000, 128)] {
            let layout = layout(n, d);
            let block_bytes = 4 * layout.block_len() as u64;
            for fit in (0..layout.blocks.len() as u64).step_by(1 + layout.blocks.len() / 50) {
                let found = Residency::new(&layout, Some(fit * block_bytes + 3));
                assert_eq!(found.is_some(), fit >= 2, "{fit} blocks");
                let Some(found) = found else { continue };
                let piece = found.blocks_per_piece;
                assert!(piece >= 1 && found.resident < layout.blocks.len());
                assert_eq!((found.resident + 2 * piece) as u64, fit);
                assert!(piece == 1 || piece as u64 * block_bytes <= PIECE_BYTES);
            }
        }
    }
}
