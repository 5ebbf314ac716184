//! What a thread reads next, asked for while it is at work on the rows that it has.
//!
//! A chunk of rows is read in one go and worked on for long: a processor that guesses what comes next from what was read
//! last leaves its memory idle meanwhile.

/// Bytes that are fetched at once.
const LINE: usize = 64;
/// Rows that are asked for at once: a panel of the widest vectors, a few of narrow ones.
pub(super) const STEP: usize = 64;

/// The rows that come after those at hand, in the memory that they are read from.
#[derive(Clone, Copy, Default)]
pub(super) struct Ahead<'a> {
    /// Their values, and their weights if they have any.
    streams: [Stream<'a>; 2],
}

/// What is left to ask for.
#[derive(Clone, Copy, Default)]
struct Stream<'a> {
    lines: &'a [[u8; LINE]],
    /// Lines of [`STEP`] rows.
    step: usize,
}

impl<'a> Stream<'a> {
    /// Rows of so many numbers, a line's length at a time. An end that is shorter is left out: none has to be asked for.
    fn new<V: bytemuck::Pod>(values: &'a [V], numbers: usize) -> Self {
        Self {
            lines: bytemuck::cast_slice(values).as_chunks().0,
            step: (STEP * numbers * size_of::<V>()).div_ceil(LINE),
        }
    }
}

impl<'a> Ahead<'a> {
    /// Rows of `values` and `weights`, with so many numbers and one (or none) a row.
    pub(super) fn new<V: bytemuck::Pod, W: bytemuck::Pod>(
        values: &'a [V],
        n_features: usize,
        weights: &'a [W],
    ) -> Self {
        Self {
            streams: [Stream::new(values, n_features), Stream::new(weights, 1)],
        }
    }

    /// Asks for the next [`STEP`] rows.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        for stream in &mut self.streams {
            if stream.lines.is_empty() {
                continue;
            }
            let (now, later) = stream.lines.split_at(stream.step.min(stream.lines.len()));
            stream.lines = later;
            for line in now {
                fetch(&line[0]);
            }
        }
    }

    /// How many lines there are of values and of weights.
    #[cfg(test)]
    pub(super) fn lines(&self) -> [usize; 2] {
        self.streams.map(|stream| stream.lines.len())
    }
}

/// Has the line of `byte` brought into the caches, and waits for nothing. No safe function does this.
///
/// Two threads on AMD Zen 5, without and with it, in turn (2026-11-27): 5,000,000 rows of D = 2, K = 4 from memory 5.2 and 4.1 ms a pass
/// in f32, 7.1 and 5.0 with weights, 10.4 and 8.4 in f64; 1,000,000 rows of D = 8, K = 8 6.1 and 4.1.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a fifth of a pass over rows in memory")
)]
fn fetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64; the address is that of a reference, and asking for it changes nothing but caches.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = byte;
}
