//! How many rows the shapes take at once that do not keep all sums in the first-level cache.

use super::prepared::{Prepared, Shape};
use super::real::Real;
use super::rows::CHUNK;

/// Whitened coordinates of all components stay in memory from whitening to summing while they fit this.
const KEPT_BYTES: usize = 9 << 20;
/// Of few features they are done with so soon that they should stay in a second-level cache: at D = 10, K = 128 that is
/// a fifth faster. Of many, sums that come and go more often cost more.
const KEPT_BYTES_OF_FEW: usize = 3 << 19;
/// Rows and densities, where no coordinates are stored, should stay in half a second-level cache. Sums of a component go
/// to double once for them all: at D = 64, K = 64 2,048 rows are some 4 % faster than 512, and 256 an eighth slower.
const FAR_BYTES: usize = 1 << 20;
/// Of few features sums stay in a cache themselves.
const FAR_BYTES_OF_FEW: usize = 1 << 18;
const FEW_FEATURES: usize = 12;
/// Rows of tied covariances, whitened and as one component's coordinates, should stay in a first-level cache if features
/// are few: at D = 10, K = 20 that is a quarter faster. Of many, longer tiles are worth more.
const NEAR_ROWS_BYTES: usize = 24 << 10;
/// The fewest rows worth evaluating at once.
const FEWEST_ROWS: usize = 128;
/// Rows of a register tile of second moments: what it reads again and again should stay in a first-level cache.
pub(super) const TILE_ROWS: usize = 512;

/// How many rows are evaluated at once, and whether all components' coordinates are kept meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) rows: usize,
    pub(super) kept: bool,
}

impl Plan {
    pub(super) fn of<T: Real>(model: &Prepared<T>) -> Self {
        let bytes = |numbers: usize, rows: usize| numbers * rows * size_of::<T>();
        // At most so many rows of single precision.
        let fitting = |most: usize, numbers: usize, limit: usize| {
            let mut rows = most * size_of::<f32>() / size_of::<T>();
            while rows > FEWEST_ROWS && bytes(numbers, rows) > limit {
                rows /= 2;
            }
            rows
        };
        let (d, k) = (model.d, model.k);
        let few = d <= FEW_FEATURES;
        let passing = |rows: usize| Self { rows, kept: false };
        match model.shape {
            Shape::Tied if few && model.stored > 0 => {
                passing(fitting(TILE_ROWS, 2 * d, NEAR_ROWS_BYTES))
            }
            Shape::Tiled if model.stored == 0 => {
                let far = if few { FAR_BYTES_OF_FEW } else { FAR_BYTES };
                passing(fitting(CHUNK, k + d, far))
            }
            Shape::Tiled => {
                let all = k + model.stored * d;
                let best = if few { KEPT_BYTES_OF_FEW } else { KEPT_BYTES };
                let rows = fitting(TILE_ROWS, all, best);
                if bytes(all, rows) <= KEPT_BYTES {
                    Self { rows, kept: true }
                } else {
                    passing(fitting(TILE_ROWS, k, KEPT_BYTES))
                }
            }
            _ => passing(fitting(TILE_ROWS, k, KEPT_BYTES)),
        }
    }
}
