//! What one thread needs to evaluate a chunk of rows. Kept between passes: fresh memory costs page faults.

use super::lane_sums::LaneSums;
use super::vectors::Aligned;

/// Buffers that grow to what the models at hand need.
#[derive(Default)]
pub(super) struct Scratch<T> {
    /// Whitened coordinates, `y[component][panel][feature][row]`, of components whose moments are of them; of one component if
    /// all would be too many.
    pub(super) y: Aligned<T>,
    /// Whitened rows of tied covariances, `z[panel][feature][row]`.
    pub(super) z: Aligned<T>,
    /// Log densities to base 2 in steps, then relative densities, then responsibilities × weight, `q[panel][component][row]`.
    pub(super) q: Aligned<T>,
    /// Σ y² of spherical covariances, `distances[panel][component][row]`.
    pub(super) distances: Aligned<T>,
    /// What turns relative densities into responsibilities × weight.
    pub(super) scale: Aligned<T>,
    /// Σ y² so far.
    pub(super) squares: Aligned<T>,
    /// The components that any of these rows belongs to, to some part: those whose moments are of rows as they are, and
    /// those whose are of whitened coordinates.
    pub(super) plain: Vec<usize>,
    pub(super) whitened: Vec<usize>,
    /// Products r y of a block of features, `t[vector][feature][row]`; in the fused shape those of features with each other,
    /// `t[product][row]`.
    pub(super) t: Aligned<T>,
}

/// A thread's buffers: rows in kernel order, what the kernels make of them, and sums of each model.
#[derive(Default)]
pub(super) struct Workspace<T> {
    pub(super) by_rows: Aligned<T>,
    pub(super) x: Aligned<T>,
    pub(super) weights: Aligned<T>,
    pub(super) scratch: Scratch<T>,
    pub(super) lane_sums: Vec<LaneSums<T>>,
}
