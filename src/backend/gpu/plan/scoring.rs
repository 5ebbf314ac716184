//! How scores are made where sums do not fit registers.

use super::super::shape::Shape;
use super::{DeviceLimits, ScoreTile};

/// The kernel, and what an invocation of it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scoring {
    /// `score_full`: so many rows, whose features stay in registers. Each parameter is read for them alone, which costs
    /// nothing where a scalar unit reads what is the same for all.
    Rows(usize),
    /// `score_products`: so many rows by as many coordinates at a time, a multiple of four. Where each parameter is a
    /// load like any other, it serves all of the rows, and each feature all of the coordinates.
    Products(usize),
    /// `score_tiles`, where factors are diagonal.
    Tiles(ScoreTile),
}

impl Scoring {
    /// The most features of `score_products`: the columns of eight coordinates fit workgroup memory that all devices have.
    const MOST_FEATURES: usize = 448;
    /// From so many features on it is the faster one where there is no scalar unit.
    const LEAST_FEATURES: usize = 12;
    /// Rows stay in registers up to so many features.
    pub const MOST_UNROLLED: usize = 64;

    /// The kernel for a shape.
    pub const fn of(shape: Shape, limits: &DeviceLimits) -> Self {
        if shape.is_diagonal() {
            return Self::Tiles(ScoreTile::of(limits));
        }
        let d = shape.d;
        let is_better = match limits.scalar_reads {
            true => d > Self::MOST_UNROLLED,
            false => d >= Self::LEAST_FEATURES,
        };
        if is_better && d <= Self::MOST_FEATURES && !limits.software {
            Self::Products(8)
        } else if d <= 32 {
            Self::Rows(2)
        } else {
            Self::Rows(1)
        }
    }

    /// Rows of an invocation.
    pub const fn rows(self) -> usize {
        match self {
            Self::Rows(rows) | Self::Products(rows) => rows,
            Self::Tiles(tile) => tile.rows(),
        }
    }

    /// Of how many rows the first must be a multiple: they are read at once.
    pub const fn alignment(self) -> usize {
        match self {
            Self::Rows(rows) => rows,
            Self::Products(_) => 4,
            // Other kernels make responsibilities there.
            Self::Tiles(_) => 1,
        }
    }
}
