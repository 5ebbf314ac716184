//! Stage `total_rows`: a model's sums over all blocks, on the device, so that one row of them goes to the host and not
//! one a block. Rows are added in their order, each total with what it lacks beside it: how many are at hand at a time
//! changes no bit.
//!
//! | binding | name | shape | access |
//! |---|---|---|---|
//! | 0 | `range` | [`RowRange`] | uniform |
//! | 1 | `rows` | numbers of rows | read |
//! | 2 | `partials` | rows × sums, f32 | read |
//! | 3 | `totals` | what they are and what they lack × sums, f32 | read, write |

use bytemuck::{Pod, Zeroable};

use super::buffers::Pool;
use super::device::Device;
use super::plan::grid;
use super::recording::{Dispatch, Recording};
use super::stage::StageKey;
use crate::backend::BackendError;

/// Uniform `range`: which rows are added to which totals. Mirrors `struct RowRange`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct RowRange {
    /// Entries of `rows`.
    pub count: u32,
    /// Numbers of a row.
    pub len: u32,
    /// Workgroups in x.
    pub width: u32,
    /// 1 where these are the first.
    pub begins: u32,
    /// A zero that compilers do not know.
    pub zero: u32,
    pub padding_0: u32,
    pub padding_1: u32,
    pub padding_2: u32,
}

/// A model's totals.
pub(super) struct Totals {
    /// What they are, then what they lack.
    pub buffer: wgpu::Buffer,
    /// How many.
    pub len: usize,
    /// Whether any row was added.
    begun: bool,
}

impl Totals {
    /// Room for so many totals, the same for all of a place: models may share one whose passes are recorded one after the
    /// other.
    pub fn new(
        (device, pool): (&Device, &mut Pool),
        place: (&'static str, usize),
        len: usize,
    ) -> Result<Self, BackendError> {
        Ok(Self {
            buffer: pool.output_of(device, place, (2 * len * 4) as u64)?,
            len,
            begun: false,
        })
    }

    /// What adds some more rows.
    pub fn add(
        &mut self,
        (device, pool): (&Device, &mut Pool),
        partials: &wgpu::Buffer,
        rows: &[u32],
    ) -> Result<Dispatch, BackendError> {
        let begins = !std::mem::replace(&mut self.begun, true);
        self.dispatch((device, pool), partials, rows, begins)
    }

    /// What adds these rows, as the first ones or after others.
    pub fn dispatch(
        &self,
        (device, pool): (&Device, &mut Pool),
        partials: &wgpu::Buffer,
        rows: &[u32],
        begins: bool,
    ) -> Result<Dispatch, BackendError> {
        let key = StageKey::TotalRows;
        let (width, height) = grid(self.len.div_ceil(64), device.limits().max_workgroups);
        let range = RowRange {
            count: rows.len() as u32,
            len: self.len as u32,
            width,
            begins: u32::from(begins),
            zero: 0,
            padding_0: 0,
            padding_1: 0,
            padding_2: 0,
        };
        let stage = device.stage(key)?;
        let range = pool.uniform(device, "row_range", &[range])?;
        let rows = pool.input(device, "rows", rows)?;
        let buffers = [&range, &rows, partials, &self.buffer];
        let bound = device.guarded(key.stem(), 0, || stage.bind(device.raw(), &buffers))?;
        Ok(Dispatch {
            bound,
            offsets: Vec::new(),
            groups: [width, height, 1],
        })
    }

    /// Asks for all of them.
    pub fn want(&self, recording: &mut Recording) {
        recording.want(&self.buffer, 2 * self.len);
    }
}

/// The totals that came back.
pub(super) fn read(results: &[f32]) -> impl Iterator<Item = f64> {
    let (are, lack) = results.split_at(results.len() / 2);
    let pairs = are.iter().zip(lack);
    pairs.map(|(is, lacks)| f64::from(*is) + f64::from(*lacks))
}

#[cfg(test)]
mod tests {
    use super::super::device::Options;
    use super::super::{Counters, Selection};
    use super::*;

    /// Rows whose sums cancel: single precision alone would lose most of them.
    fn rows(count: usize, len: usize) -> Vec<f32> {
        let number = |i: usize| (i * 7919 % 10_007) as f32 / 3.0;
        let row = |r: usize| (0..len).map(move |s| number(r * len + s));
        let sign = |r: usize| [1e6, 1e-3, -1e6][r % 3];
        (0..count)
            .flat_map(|r| row(r).map(move |x| sign(r) * x))
            .collect()
    }

    #[test]
    fn totals_keep_what_single_precision_loses_however_many_rows_come_at_a_time() {
        let device = Device::open(&Selection::Best, Options::default());
        let device = device.expect("these tests need an adapter");
        for (count, len) in [(1, 1), (16, 64), (17, 65), (1000, 130)] {
            let rows = rows(count, len);
            let run = |at_once: usize| {
                let mut pool = Pool::default();
                pool.begin();
                let partials = pool.input(&device, "partials", &rows).expect("room");
                let place = ("totals", 3);
                let mut totals = Totals::new((&device, &mut pool), place, len).expect("room");
                let mut recording = Recording::default();
                // Every other row.
                let order: Vec<u32> = (0..count as u32).step_by(2).collect();
                for some in order.chunks(at_once) {
                    let add = totals.add((&device, &mut pool), &partials, some);
                    recording.dispatches.push(add.expect("bound"));
                }
                totals.want(&mut recording);
                let results = pool.run(&device, &mut Counters::default(), &[recording]);
                read(&results.expect("totals")[0][0]).collect::<Vec<f64>>()
            };
            let found = run(count);
            for at_once in [1, 5, 16, 100] {
                assert_eq!(run(at_once), found, "{count} rows, {at_once} at a time");
            }
            for (s, found) in found.iter().enumerate() {
                let terms = rows
                    .chunks_exact(len)
                    .step_by(2)
                    .map(|row| f64::from(row[s]));
                let (sum, size) = terms.fold((0.0, 0.0), |(a, b), x| (a + x, b + x.abs()));
                // What a total lacks is rounded to 24 digits of its own, each time by at most half a unit of 2^-24 of a
                // sum's 2^-24.
                let most = size * count as f64 * 2f64.powi(-48);
                assert!((found - sum).abs() <= most, "{found} for {sum}");
            }
        }
    }
}
