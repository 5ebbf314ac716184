//! Where the sums of a model stand once its kernels have made them, and where the kernels read its parameters: for the
//! M-step on the device.

use super::plan::{Groups, Regime, Tiling};
use super::shape::{Shape, quads};

/// The order of a model's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SumLayout {
    /// Groups of so many components, each followed by what its components share; of whitened coordinates.
    Groups(usize),
    /// Per component S0, and sums of features.
    Features,
    /// Per component sums of features and S0, then tiles of their products.
    Tiles,
    /// Per component sums of features, S0 and the squared distances.
    Diagonals,
}

impl SumLayout {
    /// What the kernels of a regime leave.
    pub fn of(regime: Regime, shape: Shape) -> Self {
        match regime {
            Regime::Registers { .. } => Self::Groups(shape.k),
            Regime::Workgroup { .. } => Self::Features,
            Regime::Groups(groups) => Self::Groups(groups.sum),
            Regime::Staged { .. } if shape.is_diagonal() => Self::Diagonals,
            Regime::Staged { .. } => Self::Tiles,
        }
    }

    /// Whether sums are of whitened coordinates, for all components.
    pub fn is_whitened(self) -> bool {
        matches!(self, Self::Groups(_))
    }

    /// Where S0 of component `k` stands.
    pub fn s0_at(self, shape: Shape, k: usize) -> usize {
        match self {
            Self::Groups(group) => {
                let len = shape.with(group).statistics_len();
                k / group * len + k % group * shape.component_len()
            }
            Self::Features => k * shape.component_in_workgroup_len(),
            Self::Tiles => {
                let q = Tiling::of(shape.d).vec4s(shape.d);
                4 * (k * (q + 1) + q)
            }
            Self::Diagonals => 4 * ((k + 1) * shape.with(1).staged_len() - 1),
        }
    }
}

/// Where the kernels of a regime read parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ParameterLayout {
    /// As [`super::parameters::Parameters::packed`] has them.
    Packed,
    /// In groups for the scores and in others for the sums.
    Chunks {
        /// Components of the former.
        score: usize,
        /// And of the latter.
        sum: usize,
    },
    /// As [`super::parameters::Parameters::tiled`] has them.
    Tiled,
}

impl ParameterLayout {
    /// That of a regime.
    pub fn of(regime: Regime) -> Self {
        match regime {
            Regime::Registers { .. } | Regime::Workgroup { .. } => Self::Packed,
            Regime::Groups(Groups { score, sum, .. }) => Self::Chunks { score, sum },
            Regime::Staged { .. } => Self::Tiled,
        }
    }

    /// How many buffers hold them beside the packed ones.
    pub fn buffers(self) -> usize {
        match self {
            Self::Packed => 0,
            Self::Chunks { .. } => 2,
            Self::Tiled => 1,
        }
    }
}

/// vec4s of a group of components' parameters.
pub(super) fn group_quads(shape: Shape, group: usize) -> usize {
    (group * shape.parameters_len()).div_ceil(4)
}

/// D filled up to whole vec4s, as tiled parameters have it.
pub(super) const fn padded(d: usize) -> usize {
    4 * quads(d)
}
