//! How workgroups share out matrix products.

use super::super::shape::{Shape, quads};
use super::LONGEST_RUN;
use crate::mixture::{CovarianceType, triangle};

/// Workgroup memory for the rows of `accumulate`, bytes an invocation: what leaves room for as many of them as
/// registers do.
const TILE_BYTES: usize = 130;
/// The most of it: what every device has.
const MOST_TILE_BYTES: usize = 16_352;
/// The most rows of a segment of `accumulate`: adding up over slices is shared out between them.
const MOST_SEGMENT_ROWS: usize = 1024;

/// How `accumulate` shares out the tiles of a component: a function of D alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Features of a tile, 4 or 8.
    pub edge: usize,
    /// Invocations of a workgroup.
    pub workgroup: usize,
    /// Tiles of a workgroup.
    pub lanes: usize,
    /// How many invocations share the rows of a tile.
    pub slices: usize,
    /// Rows in workgroup memory at once.
    pub rows: usize,
    /// Workgroups of a component.
    pub groups: usize,
}

impl Tiling {
    /// Rows of a tile that are written out.
    pub const UNROLLED: usize = 4;
    /// The most multiply-adds of an invocation that are written out.
    const MOST_WRITTEN: usize = 512;
    /// The most features: an invocation brings in four.
    pub const MOST_FEATURES: usize = 1000;

    /// The tiling of the least cost; of equals the one with the smaller workgroup.
    pub fn of(d: usize) -> Self {
        let mut best: Option<Self> = None;
        for edge in [4, 8] {
            let tiles = triangle::packed_len(d.div_ceil(edge));
            for workgroup in [64, 128, 192, 256] {
                let least = tiles.div_ceil(workgroup);
                for (groups, slices) in
                    (least..least + 4).flat_map(|g| (1..=16).map(move |s| (g, s)))
                {
                    let lanes = tiles.div_ceil(groups);
                    let fits = lanes * slices <= workgroup;
                    let tiling = Self::new(d, edge, workgroup, lanes, slices, groups);
                    let is_better = |t: &Self| best.is_none_or(|best| t.cost(d) < best.cost(d));
                    best = tiling.filter(|t| fits && is_better(t)).or(best);
                }
            }
        }
        best.unwrap_or(Self {
            edge: 4,
            workgroup: 256,
            lanes: 256,
            slices: 1,
            rows: 4,
            groups: triangle::packed_len(d.div_ceil(4)).div_ceil(256),
        })
    }

    fn new(
        d: usize,
        edge: usize,
        workgroup: usize,
        lanes: usize,
        slices: usize,
        groups: usize,
    ) -> Option<Self> {
        let mut tiling = Self {
            edge,
            workgroup,
            lanes,
            slices,
            rows: 0,
            groups,
        };
        // Whole fours of rows are brought in, and each slice takes as many.
        let whole = Self::UNROLLED * slices;
        let bytes = (TILE_BYTES * workgroup).min(MOST_TILE_BYTES);
        let fit = (bytes / (16 * tiling.four_len(d))).max(1) * 4;
        tiling.rows = fit / whole * whole;
        let brings = tiling.vec4s(d) <= workgroup;
        (brings && tiling.rows > 0).then_some(tiling)
    }

    /// vec4s of a row, filled up to whole tiles.
    pub const fn vec4s(self, d: usize) -> usize {
        d.div_ceil(self.edge) * self.edge / 4
    }

    /// vec4s between fours of rows in workgroup memory. Eight neighbours' vec4s are read at once where they are in
    /// different banks: those of few sides continue in the next slice four banks of vec4s on, and one more.
    pub const fn padding(self, d: usize) -> usize {
        let wanted = if d.div_ceil(self.edge) <= 5 { 5 } else { 1 };
        (8 + wanted - 4 * self.vec4s(d) % 8) % 8
    }

    /// vec4s of four rows and of what lies between fours.
    pub const fn four_len(self, d: usize) -> usize {
        4 * self.vec4s(d) + self.padding(d)
    }

    /// Slices whose tiles, four columns of them, fit workgroup memory together.
    pub const fn shares(self, d: usize) -> usize {
        let shares = self.rows / 4 * d.div_ceil(self.edge) / self.lanes;
        if shares == 0 { 1 } else { shares }
    }

    /// Fours of rows that an invocation takes between two barriers.
    pub const fn turns(self) -> usize {
        self.rows / Self::UNROLLED / self.slices
    }

    /// Whether all of them are written out, which spares the moves at a loop's end.
    pub const fn is_written_out(self) -> bool {
        self.turns() * Self::UNROLLED * self.tile_len() <= Self::MOST_WRITTEN
    }

    /// Numbers of a tile.
    pub const fn tile_len(self) -> usize {
        self.edge * self.edge
    }

    /// Tiles of a component.
    pub const fn tiles(self, d: usize) -> usize {
        triangle::packed_len(d.div_ceil(self.edge))
    }

    /// Invocations that bring in the same four features.
    pub const fn row_lanes(self, d: usize) -> usize {
        self.workgroup / self.vec4s(d)
    }

    /// How often each of them brings in four rows.
    pub const fn rounds(self, d: usize) -> usize {
        (self.rows / 4).div_ceil(self.row_lanes(d))
    }

    /// Rows of a segment: no invocation adds up more than [`LONGEST_RUN`].
    pub fn segment_rows(self, d: usize) -> usize {
        let runs = self.slices.min(self.row_lanes(d));
        (LONGEST_RUN * runs).min(MOST_SEGMENT_ROWS)
    }

    /// Instructions for a thousand rows, all invocations together: of a tile's row (reading it from workgroup memory
    /// may take longer than the multiply-adds), of bringing in four rows, and of a turn of the loop.
    const fn cost(self, d: usize) -> usize {
        let tile = if self.edge == 4 { 26 } else { 76 };
        let turn = self.rows / self.slices * tile + 90 * self.rounds(d) + 40;
        1000 * self.groups * self.workgroup * turn / self.rows
    }
}

/// How `accumulate_tiles` shares out some components by four features an invocation: a function of the shape alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiles {
    /// Invocations of a workgroup.
    pub workgroup: usize,
    /// Components of an invocation: what registers allow.
    pub pack: usize,
    /// Octets of components of a workgroup.
    pub octets: usize,
    /// vec4s of features of a workgroup.
    pub features: usize,
    /// How many invocations share the rows of a tile.
    pub slices: usize,
}

impl Tiles {
    /// Rows in workgroup memory at once: a little more than 8 KiB for the largest tiles.
    pub const ROWS: usize = 16;
    /// Components of an invocation that keeps no second moments of features.
    pub const PACK_OF_SPHERICAL: usize = 8;

    /// The tiles of a shape.
    pub fn of(shape: Shape) -> Self {
        let spherical = shape.covariance_type == CovarianceType::Spherical;
        let pack = if spherical {
            Self::PACK_OF_SPHERICAL
        } else {
            4
        };
        let octets = shape.k.div_ceil(8).next_power_of_two().min(8);
        let packs = 8 * octets / pack;
        let features = quads(shape.d).next_power_of_two().min(128 / packs).min(16);
        let workgroup = (packs * features).max(64);
        Self {
            workgroup,
            pack,
            octets,
            features,
            slices: (workgroup / (packs * features)).min(Self::ROWS),
        }
    }

    /// How many rows are written out.
    pub const fn unrolled(self) -> usize {
        let rows = Self::ROWS / self.slices;
        if rows < 4 { rows } else { 4 }
    }

    /// Workgroups of a segment, by features and by components.
    pub fn groups(self, shape: Shape) -> [usize; 2] {
        let (quads, octets) = (quads(shape.d), shape.k.div_ceil(8));
        [quads.div_ceil(self.features), octets.div_ceil(self.octets)]
    }
}
