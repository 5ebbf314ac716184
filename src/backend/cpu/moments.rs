//! Moments of rows as they are, Σ r x and Σ r x xᵀ, in place of those of whitened coordinates y = U x + b.
//!
//! They take the same multiply-adds, but no coordinates have to be stored and read again, and what is loaded is the same for
//! all components. Once the rows are summed, U and b take the moments to those of y, in double. Rounding of a sum counts
//! by κ² instead of κ in units of y, so it is for components of moderate κ.

use rayon::prelude::*;

use super::prepared::{Prepared, Shape};
use super::real::Real;
use crate::backend::{Components, Statistics};
use crate::mixture::{CovarianceType, triangle};

/// The largest κ of a component ([`Components::kappa_of`]): terms of its second moments in units of y are below its square, and
/// random rounding of N of them leaves √N times less of 6e-8 κ² in the mean.
const KAPPA: f64 = 64.0;
/// The fewest rows a feature: D³ operations take a component's moments to y, and what is saved grows with N D².
const ROWS_PER_FEATURE: usize = 128;

/// Of each component whether moments of rows as they are are summed.
pub(super) fn are_plain(
    components: &Components,
    shape: Shape,
    centred: bool,
    rows: usize,
) -> Vec<bool> {
    let (k, d) = (components.len(), components.n_features);
    let possible = match shape {
        Shape::Tiled => components.covariance_type == CovarianceType::Full,
        _ => false,
    };
    if !possible || centred || rows < ROWS_PER_FEATURE * d {
        return vec![false; k];
    }
    (0..k)
        .into_par_iter()
        .map(|k| components.kappa_of(k) <= KAPPA)
        .collect()
}

/// Takes the moments of rows as they are to those of the coordinates that the kernels would have used.
pub(super) fn whiten<T: Real>(model: &Prepared<T>, components: &Components, sums: &mut Statistics) {
    if model.stored == model.k {
        return;
    }
    let d = model.d;
    let length = triangle::packed_len(d);
    sums.s1
        .par_chunks_exact_mut(d)
        .zip(sums.s2.par_chunks_exact_mut(length))
        .enumerate()
        .filter(|(k, _)| model.slots[*k].is_none())
        .for_each(|(k, (s1, s2))| {
            let factor = components.kept_factor(k);
            let bias: Vec<f64> = model.bias(k).iter().map(|b| b.to_f64()).collect();
            let s0 = sums.s0[k];
            let first = triangle::apply(factor, s1);
            s2.copy_from_slice(&triangle::congruent(factor, s2, d));
            for i in 0..d {
                for j in 0..=i {
                    s2[triangle::at(i, j)] +=
                        first[i] * bias[j] + bias[i] * (first[j] + s0 * bias[j]);
                }
                s1[i] = first[i] + s0 * bias[i];
            }
        });
}
