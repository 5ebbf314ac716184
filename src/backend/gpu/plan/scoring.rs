//! How scores are made where sums do not fit registers.

use super::super::shape::Shape;
use super::DeviceLimits;

/// The kernel, and what an invocation of it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scoring {
    /// `score_full`: so many rows, whose features stay in registers. Each parameter is read for them alone, which costs
    /// nothing where a scalar unit reads what is the same for all.
    Rows(usize),
    /// `score_products`: four rows by sixteen coordinates at a time, of so many components a workgroup. Where each
    /// parameter is a load like any other, it serves all of the rows, and each feature all of the coordinates.
    Products(usize),
    /// `score_tiles`, where factors are diagonal: four rows of a segment, eight components.
    Tiles,
    /// `score_panels`: the same under so many octets of components a workgroup, where each parameter is a load like any
    /// other.
    Panels(usize),
}

impl Scoring {
    /// Invocations of a workgroup of `score_products`.
    pub const PRODUCTS_WORKGROUP: usize = 128;
    /// From so many features on it is the faster one where there is no scalar unit.
    const LEAST_FEATURES: usize = 12;
    /// Rows stay in registers up to so many features.
    pub const MOST_UNROLLED: usize = 64;

    /// The kernel for a shape.
    pub const fn of(shape: Shape, limits: &DeviceLimits) -> Self {
        let Shape { d, k, .. } = shape;
        if shape.is_diagonal() {
            let octets = Self::components(k.div_ceil(8));
            return match limits.parameters_are_loads() && octets > 1 {
                true => Self::Panels(octets),
                false => Self::Tiles,
            };
        }
        let is_better = match limits.scalar_reads {
            true => d > Self::MOST_UNROLLED,
            false => d >= Self::LEAST_FEATURES,
        };
        if is_better && !limits.software {
            Self::Products(Self::components(k))
        } else if d <= 32 {
            Self::Rows(2)
        } else {
            Self::Rows(1)
        }
    }

    /// Invocations of an octet in `score_panels`.
    pub const PANEL_LANES: usize = 32;
    /// Fours of features that are in its workgroup memory at once: those of rows take half of it.
    pub const PANEL_CHUNK: usize = 4;

    /// How many components, or octets of them, of the same rows share a workgroup: each read of a sample from beyond the multiprocessor
    /// serves so many, while at most an eighth of all places is beyond K.
    const fn components(k: usize) -> usize {
        if 8 * (k.next_multiple_of(4) - k) <= k {
            4
        } else if 8 * (k % 2) <= k {
            2
        } else {
            1
        }
    }

    /// Rows of an invocation.
    pub const fn rows(self) -> usize {
        match self {
            Self::Rows(rows) => rows,
            Self::Products(_) | Self::Tiles | Self::Panels(_) => 4,
        }
    }

    /// Workgroups of a segment of so many rows, by rows and by components.
    pub const fn groups(self, rows: usize, k: usize) -> [usize; 2] {
        match self {
            Self::Rows(each) => [rows.div_ceil(64 * each), k],
            Self::Products(components) => {
                let lanes = Self::PRODUCTS_WORKGROUP / components;
                [rows.div_ceil(4 * lanes), k.div_ceil(components)]
            }
            Self::Tiles => [1, k.div_ceil(8)],
            Self::Panels(octets) => [rows.div_ceil(4 * Self::PANEL_LANES), k.div_ceil(8 * octets)],
        }
    }

    /// Of how many rows the first must be a multiple: they are read at once.
    pub const fn alignment(self) -> usize {
        match self {
            // Each row by itself: other kernels make responsibilities there.
            Self::Tiles | Self::Panels(_) => 1,
            _ => self.rows(),
        }
    }
}
