//! How workgroups of `accumulate_tiles` share out a product of matrices.

use super::super::shape::{Shape, quads};
use crate::mixture::CovarianceType;

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
