//! How workgroups of `accumulate` share out a product of a matrix with itself.
//!
//! Second moments are symmetric: a triangle of D rows, in square tiles, one an invocation. Where these are few, those along
//! the diagonal are triangles instead, two an invocation, which is about as much. The two take different branches: the
//! plan lays them out such that few subgroups have to go through both. Of many tiles few are on the diagonal, and few
//! slices fill no subgroups.

use super::found::Found;
use super::sharing::REGISTERS;
use super::{DeviceLimits, LONGEST_RUN};
use crate::mixture::triangle;

/// Workgroup memory for the rows of `accumulate`, bytes an invocation: what leaves room for as many of them as
/// registers do.
const TILE_BYTES: usize = 130;
/// What of it every device has.
pub const LEAST_TILE_BYTES: usize = 16_352;
/// The most of it: what leaves room for three workgroups of 256 on AMD's chips.
const MOST_TILE_BYTES: usize = 20 << 10;
/// The most rows of a segment of `accumulate`: adding up over slices is shared out between them.
const MOST_SEGMENT_ROWS: usize = 2048;

/// The most slices: what adding them up takes grows with them.
const MOST_SLICES: usize = 32;

/// The most sides of tiles where those on the diagonal are triangles. At D = 64 they took 12 % off `accumulate` on an H200; with subgroups of
/// 64 a pass takes 5 % longer with them, by counts.
const MOST_SIDES: usize = 8;

/// Registers of an invocation of `accumulate` beside those of its tile: with one round of rows that are read ahead, and of each
/// further one.
const OTHER_REGISTERS: usize = 88;
const ROUND_REGISTERS: usize = 20;
/// The most registers of a tile's sums and of rows on their way: what AMD's compiler keeps without spilling.
const MOST_REGISTERS: usize = 112;
/// What waiting adds, in hundredths, where a multiprocessor has one workgroup, two, or more. On an H200 `accumulate` took 3 % longer in
/// workgroups of 256 than of 128 at D = 64, where the rest of the model says a fifth less, and a third longer in those of 192 at D = 32.
const WAITING: [usize; 3] = [131, 116, 100];
/// What it adds that segments have half as many rows as they may, in hundredths: more sums are written and read again.
const SHORT: usize = 5;

/// How `accumulate` shares out the tiles of a component: a function of D, of a device's workgroup memory, and of whether
/// parameters are loads like any other. The tiles themselves depend on D alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiling {
    /// Features of a tile, 4 or 8.
    pub edge: usize,
    /// Invocations of a workgroup.
    pub workgroup: usize,
    /// Square tiles of a workgroup.
    pub squares: usize,
    /// Pairs of triangles of a workgroup.
    pub pairs: usize,
    /// How many invocations share the rows of a tile.
    pub slices: usize,
    /// The first invocation that has triangles, if any has.
    pub split: usize,
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
        // Tiles of 4 are for few features: beyond, those of 8 have triangles, which devices without scalar reads gain more by.
        let edges: &[usize] = if d.div_ceil(4) <= MOST_SIDES {
            &[4, 8]
        } else {
            &[8]
        };
        let found = edges
            .iter()
            .filter_map(|&edge| Self::with_edge(d, edge, LEAST_TILE_BYTES, false));
        let least = |a: Self, b: Self| if b.cost(d) < a.cost(d) { b } else { a };
        let found = found.reduce(least);
        found.unwrap_or_else(|| {
            let groups = triangle::packed_len(d.div_ceil(4)).div_ceil(256);
            Self {
                rows: 4,
                ..Self::shared(d, 4, [256, groups, 1], false)
            }
        })
    }

    /// The same tiles as a device shares them out.
    pub fn on(d: usize, limits: &DeviceLimits) -> Self {
        let of = Self::of(d);
        let bytes =
            (limits.workgroup_memory_bytes as usize).clamp(LEAST_TILE_BYTES, MOST_TILE_BYTES);
        Self::with_edge(d, of.edge, bytes, limits.parameters_are_loads()).unwrap_or(of)
    }

    /// The tiling of the least cost with such tiles, in so much memory. It is asked for in every call, and looking for it takes
    /// up to half a millisecond: what was found is kept.
    fn with_edge(d: usize, edge: usize, bytes: usize, ahead: bool) -> Option<Self> {
        static FOUND: Found<(usize, usize, usize, bool), Option<Tiling>> = Found::new();
        FOUND.or_find((d, edge, bytes, ahead), || {
            Self::search(d, edge, bytes, ahead)
        })
    }

    fn search(d: usize, edge: usize, bytes: usize, ahead: bool) -> Option<Self> {
        let mut best: Option<Self> = None;
        let tiles = triangle::packed_len(d.div_ceil(edge));
        for workgroup in [64, 128, 192, 256] {
            let least = tiles.div_ceil(workgroup);
            for groups in least.max(1)..least + 4 {
                for slices in 1..=MOST_SLICES {
                    let shared = Self::shared(d, edge, [workgroup, groups, slices], ahead);
                    if shared.split + shared.pairs * slices > workgroup {
                        break;
                    }
                    for tiling in shared.with_rows(d, bytes) {
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

    /// Workgroups of that size, so many of a component, in so many slices; no rows yet. Triangles start with a subgroup where
    /// there is room for that.
    fn shared(d: usize, edge: usize, sizes: [usize; 3], ahead: bool) -> Self {
        let [workgroup, groups, slices] = sizes;
        let mut tiling = Self {
            edge,
            workgroup,
            squares: 0,
            pairs: 0,
            slices,
            split: 0,
            rows: 0,
            groups,
            ahead,
        };
        tiling.squares = tiling.all_squares(d).div_ceil(groups);
        tiling.pairs = tiling.all_pairs(d).div_ceil(groups);
        let of_squares = tiling.squares * slices;
        if tiling.pairs == 0 {
            tiling.split = of_squares.max(workgroup);
            return tiling;
        }
        let aligned = of_squares.next_multiple_of(tiling.subgroup());
        let fits = aligned + tiling.pairs * slices <= workgroup;
        tiling.split = if fits { aligned } else { of_squares };
        tiling
    }

    /// The same with rows, as many as there is room for or fewer.
    fn with_rows(self, d: usize, bytes: usize) -> impl Iterator<Item = Self> {
        // Whole fours of rows are brought in, and each slice takes as many.
        let whole = Self::UNROLLED * self.slices;
        let bytes = (TILE_BYTES * self.workgroup).min(bytes);
        let fit = (bytes / (16 * self.four_len(d))).max(1) * 4;
        let brings = self.vec4s(d) <= self.workgroup;
        let most = if brings { fit / whole } else { 0 };
        let tilings = (1..=most).map(move |turns| Self {
            rows: turns * whole,
            ..self
        });
        // Slices add up where the rows were.
        tilings.filter(move |tiling| {
            let registers = tiling.tile_len(d) + ROUND_REGISTERS * tiling.rounds(d);
            registers <= MOST_REGISTERS && (tiling.slices == 1 || tiling.columns_at_once(d) > 0)
        })
    }

    /// Invocations that go through a branch together: the most on devices of the kind.
    pub const fn subgroup(self) -> usize {
        if self.ahead { 32 } else { 64 }
    }

    /// Sides of the triangle.
    const fn sides(self, d: usize) -> usize {
        d.div_ceil(self.edge)
    }

    /// Whether tiles on the diagonal are triangles.
    pub const fn has_triangles(self, d: usize) -> bool {
        self.sides(d) <= MOST_SIDES
    }

    /// Square tiles of a component.
    pub const fn all_squares(self, d: usize) -> usize {
        let triangles = if self.has_triangles(d) {
            self.sides(d)
        } else {
            0
        };
        triangle::packed_len(self.sides(d)) - triangles
    }

    /// Pairs of triangles of a component; the last may have one.
    pub const fn all_pairs(self, d: usize) -> usize {
        if self.has_triangles(d) {
            self.sides(d).div_ceil(2)
        } else {
            0
        }
    }

    /// Numbers that an invocation adds up: of a pair of triangles, the larger, or where there are none of a square.
    pub const fn tile_len(self, d: usize) -> usize {
        if self.has_triangles(d) {
            self.pair_len()
        } else {
            self.square_len()
        }
    }

    /// Numbers of a square tile.
    pub const fn square_len(self) -> usize {
        self.edge * self.edge
    }

    /// Numbers of a pair of triangles.
    pub const fn pair_len(self) -> usize {
        2 * triangle::packed_len(self.edge)
    }

    /// Second moments of a component: those of its squares, by columns, then its triangles, by rows.
    pub const fn moments_len(self, d: usize) -> usize {
        self.all_squares(d) * self.square_len() + self.all_pairs(d) * self.pair_len()
    }

    /// Where among them that of features `i` and `j` stands, `j` <= `i`.
    pub const fn moment_at(self, d: usize, i: usize, j: usize) -> usize {
        let (side_i, side_j) = (i / self.edge, j / self.edge);
        let (i, j) = (i % self.edge, j % self.edge);
        if !self.has_triangles(d) {
            return triangle::at(side_i, side_j) * self.square_len() + self.edge * j + i;
        }
        if side_i == side_j {
            let squares = self.all_squares(d) * self.square_len();
            return squares + side_i * triangle::packed_len(self.edge) + triangle::at(i, j);
        }
        triangle::at(side_i - 1, side_j) * self.square_len() + self.edge * j + i
    }

    /// vec4s of a row, filled up to whole tiles.
    pub const fn vec4s(self, d: usize) -> usize {
        self.sides(d) * self.edge / 4
    }

    /// vec4s between fours of rows in workgroup memory. Eight neighbours' vec4s are read at once where they are in
    /// different banks: those of few sides continue in the next slice four banks of vec4s on, and one more.
    pub const fn padding(self, d: usize) -> usize {
        let wanted = if self.sides(d) <= 5 { 5 } else { 1 };
        (8 + wanted - 4 * self.vec4s(d) % 8) % 8
    }

    /// vec4s of four rows and of what lies between fours.
    pub const fn four_len(self, d: usize) -> usize {
        4 * self.vec4s(d) + self.padding(d)
    }

    /// Workgroup memory, bytes.
    #[cfg(test)]
    pub const fn bytes(self, d: usize) -> usize {
        16 * self.rows / 4 * self.four_len(d)
    }

    /// vec4s of each tile of a slice that fit where its rows are, one an invocation, or all of them.
    pub fn columns_at_once(self, d: usize) -> usize {
        let places = (4 * self.vec4s(d) * self.turns()).min(self.workgroup);
        (places / (self.squares + self.pairs)).min(self.tile_len(d) / 4)
    }

    /// Fours of rows that an invocation takes between two barriers.
    pub const fn turns(self) -> usize {
        self.rows / Self::UNROLLED / self.slices
    }

    /// Whether all of them are written out, which spares the moves at a loop's end.
    pub const fn is_written_out(self) -> bool {
        self.turns() * Self::UNROLLED * self.square_len() <= Self::MOST_WRITTEN
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
        let mut rows = MOST_SEGMENT_ROWS;
        while self.longest_run(d, rows) > LONGEST_RUN {
            rows /= 2;
        }
        rows
    }

    /// The most of so many rows that an invocation adds up, of a tile's or of those that it brings in.
    pub fn longest_run(self, d: usize, rows: usize) -> usize {
        let (whole, rest) = (rows / self.rows, (rows % self.rows).div_ceil(4));
        let run = |fours: usize, lanes: usize| 4 * (whole * fours + rest.div_ceil(lanes));
        run(self.turns(), self.slices).max(run(self.rounds(d), self.row_lanes(d)))
    }

    /// Invocations that go through the squares' branch and through the triangles', whole subgroups.
    pub const fn lanes(self) -> [usize; 2] {
        let subgroup = self.subgroup();
        let squares = self.split.next_multiple_of(subgroup);
        [squares, self.workgroup - self.split / subgroup * subgroup]
    }

    /// Instructions for a thousand rows, all invocations together: of a tile's row (reading it from workgroup memory
    /// may take longer than the multiply-adds), of bringing in four rows, and of a turn of the loop.
    fn cost(self, d: usize) -> usize {
        let [square, pair] = if self.edge == 4 { [26, 30] } else { [76, 84] };
        let [squares, pairs] = self.lanes();
        let tiles = self.rows / self.slices * (squares * square + pairs * pair);
        let others = self.workgroup * (90 * self.rounds(d) + 40);
        let cost = 1000 * self.groups * (tiles + others) / self.rows;
        if !self.ahead {
            return cost;
        }
        let registers = self.tile_len(d) + OTHER_REGISTERS + ROUND_REGISTERS * (self.rounds(d) - 1);
        let resident = REGISTERS / (registers * self.workgroup);
        let waiting = WAITING[resident.clamp(1, WAITING.len()) - 1];
        let short = MOST_SEGMENT_ROWS / self.segment_rows(d) - 1;
        cost * (waiting + SHORT * short) / 100
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tilings_keep_most_invocations_busy() {
        let devices = [
            DeviceLimits::WEBGPU,
            DeviceLimits::CARD,
            DeviceLimits::NVIDIA,
        ];
        for (d, limits) in (10..=128).flat_map(|d| devices.map(|limits| (d, limits))) {
            let tiling = Tiling::on(d, &limits);
            assert_eq!(tiling.edge, Tiling::of(d).edge);
            // A column of each invocation fits where the rows were.
            let places = tiling.rows * tiling.vec4s(d);
            assert!(
                tiling.slices == 1 || places >= tiling.workgroup,
                "D={d}: {tiling:?}"
            );
            let (squares, pairs) = (tiling.all_squares(d), tiling.all_pairs(d));
            let share = ((squares + pairs) * tiling.slices) as f64
                / (tiling.workgroup * tiling.groups) as f64;
            assert!(share > 0.7, "D={d}: {tiling:?}");
            let of_squares = tiling.squares * tiling.slices;
            let of_pairs = tiling.pairs * tiling.slices;
            assert!(of_squares <= tiling.split && tiling.split + of_pairs <= tiling.workgroup);
            assert!(tiling.workgroup <= 256 && tiling.vec4s(d) <= tiling.workgroup);
            assert!(
                tiling.squares * tiling.groups >= squares && tiling.pairs * tiling.groups >= pairs
            );
            assert!(
                tiling.bytes(d) <= limits.workgroup_memory_bytes as usize
                    && tiling.rows.is_multiple_of(4)
            );
            assert!(tiling.rows.is_multiple_of(Tiling::UNROLLED * tiling.slices));
            // Row by row: who has most to add of tiles, and of rows that are brought in.
            let rows = tiling.segment_rows(d);
            let [mut of_slices, mut of_lanes] =
                [vec![0; tiling.slices], vec![0; tiling.row_lanes(d)]];
            for row in 0..rows {
                let four = row % tiling.rows / 4;
                of_slices[four % tiling.slices] += 1;
                of_lanes[four % tiling.row_lanes(d)] += 1;
            }
            let most = of_slices.into_iter().chain(of_lanes).max();
            assert!(
                most <= Some(LONGEST_RUN) && rows.is_multiple_of(64),
                "D={d}: {tiling:?}"
            );
            assert_eq!(most, Some(tiling.longest_run(d, rows)), "D={d}");
            // Each pair of features has a place of its own.
            let places = (0..d).flat_map(|i| (0..=i).map(move |j| tiling.moment_at(d, i, j)));
            let places: BTreeSet<usize> = places.collect();
            assert_eq!(places.len(), triangle::packed_len(d));
            assert!(places.last() < Some(&tiling.moments_len(d)));
        }
    }
}
