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
    /// Room for so many totals of model `m`.
    pub fn new(
        (device, pool): (&Device, &mut Pool),
        m: usize,
        len: usize,
    ) -> Result<Self, BackendError> {
        Ok(Self {
            buffer: pool.output_of(device, ("totals", m), (2 * len * 4) as u64)?,
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
