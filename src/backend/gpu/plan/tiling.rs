//! How workgroups share out matrix products.

use super::super::shape::{Shape, quads};
use super::sharing::REGISTERS;
use super::{DeviceLimits, LONGEST_RUN};
use crate::mixture::{CovarianceType, triangle};

/// Workgroup memory for the rows of `accumulate`, bytes an invocation: what leaves room for as many of them as
/// registers do.
const TILE_BYTES: usize = 130;
/// The most of it: what every device has.
const MOST_TILE_BYTES: usize = 16_352;
/// The most rows of a segment of `accumulate`: adding up over slices is shared out between them.
const MOST_SEGMENT_ROWS: usize = 1024;

/// Registers of an invocation of `accumulate` beside those of its tile: with one round of rows that are read ahead, and of each
/// further one.
const OTHER_REGISTERS: usize = 88;
const ROUND_REGISTERS: usize = 20;
/// What waiting adds, in hundredths, where a multiprocessor has one workgroup, two, or more. On an H100 workgroups of 256, 192
/// and 128 took 11.2, 10.6 and 10.7 ms, with 98, 94 and 84 % of their invocations at work (D = 64).
const WAITING: [usize; 3] = [121, 109, 100];
/// What it adds that segments have half as many rows as they may, in hundredths: more sums are written and read again.
const SHORT: usize = 5;

/// How `accumulate` shares out the tiles of a component: a function of D and of whether parameters are loads like any
/// other. The tiles themselves depend on D alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Whether rows are read while those before are at work: it hides what waiting is left where invocations are few, and takes
    /// registers that some chips do not have.
    pub ahead: bool,
}

impl Tiling {
    /// Rows of a tile that are written out.
    pub const UNROLLED: usize = 4;
    /// The most multiply-adds of an invocation that are written out.
    const MOST_WRITTEN: usize = 512;
    /// The most features: an invocation brings in four.
    pub const MOST_FEATURES: usize = 1000;

    /// The tiling of the least cost with scalar reads; of equals the one with the smaller workgroup.
    pub fn of(d: usize) -> Self {
        let found = [4, 8].map(|edge| Self::with_edge(d, edge, false));
        let least = |a: Self, b: Self| if b.cost(d) < a.cost(d) { b } else { a };
        found.into_iter().flatten().reduce(least).unwrap_or(Self {
            edge: 4,
            workgroup: 256,
            lanes: 256,
            slices: 1,
            rows: 4,
            groups: triangle::packed_len(d.div_ceil(4)).div_ceil(256),
            ahead: false,
        })
    }

    /// The same tiles as a device shares them out.
    pub fn on(d: usize, limits: &DeviceLimits) -> Self {
        let of = Self::of(d);
        match limits.parameters_are_loads() {
            true => Self::with_edge(d, of.edge, true).unwrap_or(of),
            false => of,
        }
    }

    fn with_edge(d: usize, edge: usize, ahead: bool) -> Option<Self> {
        let mut best: Option<Self> = None;
        let tiles = triangle::packed_len(d.div_ceil(edge));
        for workgroup in [64, 128, 192, 256] {
            let least = tiles.div_ceil(workgroup);
            for groups in least..least + 4 {
                let lanes = tiles.div_ceil(groups);
                for slices in 1..=workgroup.checked_div(lanes).unwrap_or(0).min(16) {
                    let tiling = Self {
                        edge,
                        workgroup,
                        lanes,
                        slices,
                        rows: 0,
                        groups,
                        ahead,
                    };
                    for tiling in tiling.with_rows(d) {
                        let is_better = |best: Self| tiling.cost(d) < best.cost(d);
                        if best.is_none_or(is_better) {
                            best = Some(tiling);
                        }
                    }
                }
            }
        }
        best
    }

    /// The same with the most rows for which there is room, and where they are read ahead with fewer, too.
    fn with_rows(self, d: usize) -> impl Iterator<Item = Self> {
        // Whole fours of rows are brought in, and each slice takes as many.
        let whole = Self::UNROLLED * self.slices;
        let bytes = (TILE_BYTES * self.workgroup).min(MOST_TILE_BYTES);
        let fit = (bytes / (16 * self.four_len(d))).max(1) * 4;
        let brings = self.vec4s(d) <= self.workgroup;
        let most = if brings { fit / whole } else { 0 };
        let least = if self.ahead { 1 } else { most.max(1) };
        let tilings = (least..=most).map(move |turns| Self {
            rows: turns * whole,
            ..self
        });
        // Slices add up where the rows were.
        tilings.filter(move |tiling| tiling.slices == 1 || tiling.fits(d) > 0)
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
        let fits = self.fits(d);
        if fits == 0 { 1 } else { fits }
    }

    const fn fits(self, d: usize) -> usize {
        self.rows / 4 * d.div_ceil(self.edge) / self.lanes
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

    /// Rows of a segment: no invocation adds up more than [`LONGEST_RUN`]. A power of two, as blocks of many samples have, so that
    /// no segment of theirs is a small rest.
    pub fn segment_rows(self, d: usize) -> usize {
        let runs = self.slices.min(self.row_lanes(d));
        1 << (LONGEST_RUN * runs).min(MOST_SEGMENT_ROWS).ilog2()
    }

    /// Instructions for a thousand rows, all invocations together: of a tile's row (reading it from workgroup memory
    /// may take longer than the multiply-adds), of bringing in four rows, and of a turn of the loop.
    fn cost(self, d: usize) -> usize {
        let tile = if self.edge == 4 { 26 } else { 76 };
        let turn = self.rows / self.slices * tile + 90 * self.rounds(d) + 40;
        let cost = 1000 * self.groups * self.workgroup * turn / self.rows;
        if !self.ahead {
            return cost;
        }
        let registers = self.tile_len() + OTHER_REGISTERS + ROUND_REGISTERS * (self.rounds(d) - 1);
        let resident = REGISTERS / (registers * self.workgroup);
        let waiting = WAITING[resident.clamp(1, WAITING.len()) - 1];
        let short = MOST_SEGMENT_ROWS / self.segment_rows(d) - 1;
        cost * (waiting + SHORT * short) / 100
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

    /// Whether invocations look for means so near the origin that they are taken off at the end: it costs what some rows do.
    pub const fn looks_for_far(self) -> bool {
        self.pack == Self::PACK_OF_SPHERICAL && self.slices == 1
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
