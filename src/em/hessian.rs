//! The Hessian of the log-likelihood, in closed form, from some of the rows.
//!
//! Louis (1982), *J. R. Stat. Soc. B* 44(2): the observed information is the complete data's expected one less the
//! covariance, given each sample, of the complete data's score. In a chart about the mixture itself both are sums
//! over samples of products of t = (1, y, shape), the derivatives of a component's log-density by its log weight,
//! mean and shape.

mod scores;

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rayon::prelude::*;

use self::scores::{CHUNK, Scores};
use super::chart::{Chart, Layout};
use crate::backend::Components;
use crate::data::{Samples, Standardisation};
use crate::mixture::{CovarianceType, triangle};

/// Sums made side by side, whatever the number of threads.
const STRANDS: usize = 8;
/// Curvatures smaller than this are taken as this: a direction that flat is not known from a part of the rows. (On
/// the problems of `benches/solution` 1e-5 to 1e-3 need about as many passes; the largest goes least astray.)
const LEAST_CURVATURE: f64 = 1e-3;

/// The inverse of a Hessian that was made positive definite: negative curvatures count by their size.
#[derive(Clone, Debug)]
pub(super) struct Inverse {
    matrix: DMatrix<f64>,
}

/// What a Hessian says.
#[derive(Clone, Debug)]
pub(super) struct Curvature {
    pub(super) inverse: Inverse,
    /// The direction of the most negative curvature, if one is clearly negative.
    pub(super) downhill: Option<Vec<f64>>,
}

impl Curvature {
    fn of(hessian: DMatrix<f64>) -> Self {
        let p = hessian.nrows();
        let shifted = &hessian + DMatrix::from_diagonal_element(p, p, LEAST_CURVATURE);
        if let Some(factor) = shifted.cholesky() {
            return Self {
                inverse: Inverse {
                    matrix: factor.inverse(),
                },
                downhill: None,
            };
        }
        let eigen = SymmetricEigen::new(hessian);
        let inverse = eigen
            .eigenvalues
            .map(|x| 1.0 / x.abs().max(LEAST_CURVATURE));
        let scaled = &eigen.eigenvectors * DMatrix::from_diagonal(&inverse);
        let direction = eigen.eigenvectors.column(eigen.eigenvalues.imin());
        Self {
            inverse: Inverse {
                matrix: scaled * eigen.eigenvectors.transpose(),
            },
            downhill: Some(direction.iter().copied().collect()),
        }
    }
}

impl Inverse {
    /// The product with a vector.
    pub(super) fn apply(&self, vector: &[f64]) -> Vec<f64> {
        let product = &self.matrix * DVector::from_column_slice(vector);
        product.as_slice().to_vec()
    }
}

/// What the Hessian over `rows` rows costs, in evaluations of these rows for their statistics: products of P scores
/// with each other and of a component's with themselves, where statistics take twice a product a parameter.
pub(super) fn cost(layout: Layout) -> f64 {
    (layout.len() + layout.own() + layout.shared()) as f64 / 2.0
}

/// The curvature of f = −mean log-likelihood over the first `rows` samples, in the chart about `components`; `None`
/// where f64 cannot hold it.
pub(super) fn curvature(
    chart: &Chart,
    components: &Components,
    samples: &Samples,
    map: &Standardisation,
    rows: usize,
) -> Option<Curvature> {
    let hessian = hessian(chart, components, samples, map, rows);
    hessian
        .iter()
        .all(|x| x.is_finite())
        .then(|| Curvature::of(hessian))
}

fn hessian(
    chart: &Chart,
    components: &Components,
    samples: &Samples,
    map: &Standardisation,
    rows: usize,
) -> DMatrix<f64> {
    let layout = chart.layout();
    let sums = sum(layout, components, samples, map, rows);
    // Less the covariance of the scores: their own products, plus those of their expectations.
    let mut hessian = sums.expected;
    for (k, own) in sums.own.iter().enumerate() {
        let at = |i: usize| {
            if i < layout.own() {
                layout.first(k) + i
            } else {
                layout.shape_of(k) + i - layout.own()
            }
        };
        let complete = complete(layout, own);
        for i in 0..own.nrows() {
            for j in 0..own.ncols() {
                hessian[(at(i), at(j))] += complete[(i, j)] - own[(i, j)];
            }
        }
    }
    if components.noise.is_some() {
        let noise = layout.first(layout.gaussians());
        hessian[(noise, noise)] -= sums.noise;
    }
    hessian /= sums.weight;
    for (k, weight) in components.weights.iter().enumerate() {
        for (l, other) in components.weights.iter().enumerate() {
            let same = if k == l { *weight } else { 0.0 };
            hessian[(layout.first(k), layout.first(l))] += same - weight * other;
        }
    }
    let scales = chart.scales();
    for i in 0..layout.len() {
        for j in 0..layout.len() {
            let scale = scales[i] * scales[j];
            let value = &mut hessian[(i, j)];
            *value = match scale {
                0.0 if i == j => 1.0,
                0.0 => 0.0,
                scale => *value / scale,
            };
        }
    }
    hessian
}

/// Sums over samples, weighted: of products of t with itself under each component's responsibility, and of products
/// of all scores' expectations.
struct Sums {
    own: Vec<DMatrix<f64>>,
    expected: DMatrix<f64>,
    noise: f64,
    weight: f64,
}

impl Sums {
    fn zero(layout: Layout) -> Self {
        let own = layout.own() + layout.shared();
        Self {
            own: vec![DMatrix::zeros(own, own); layout.gaussians()],
            expected: DMatrix::zeros(layout.len(), layout.len()),
            noise: 0.0,
            weight: 0.0,
        }
    }

    fn add(&mut self, other: &Self) {
        for (own, theirs) in self.own.iter_mut().zip(&other.own) {
            *own += theirs;
        }
        self.expected += &other.expected;
        self.noise += other.noise;
        self.weight += other.weight;
    }
}

fn sum(
    layout: Layout,
    components: &Components,
    samples: &Samples,
    map: &Standardisation,
    rows: usize,
) -> Sums {
    let chunks = rows.div_ceil(CHUNK);
    let partials: Vec<Sums> = (0..STRANDS)
        .into_par_iter()
        .map(|strand| {
            let mut sums = Sums::zero(layout);
            let mut scores = Scores::new(layout, components);
            for chunk in (strand..chunks).step_by(STRANDS) {
                scores.take(samples, map, chunk * CHUNK, rows.min((chunk + 1) * CHUNK));
                scores.add_to(&mut sums);
            }
            sums
        })
        .collect();
    let mut total = Sums::zero(layout);
    partials.iter().for_each(|partial| total.add(partial));
    total
        .own
        .iter_mut()
        .for_each(DMatrix::fill_upper_triangle_with_lower_triangle);
    total.expected.fill_upper_triangle_with_lower_triangle();
    total
}

/// The complete data's information on a component's mean and shape: minus the second derivatives of its log-density,
/// from S0, S1 and S2, which stand in the first row of `own` as sums of r t.
fn complete(layout: Layout, own: &DMatrix<f64>) -> DMatrix<f64> {
    let d = layout.n_features();
    let s0 = own[(0, 0)];
    let s1 = |i: usize| own[(0, 1 + i)];
    let shape = 1 + d;
    let mut information = DMatrix::zeros(own.nrows(), own.ncols());
    let mut put = |i: usize, j: usize, value: f64| {
        information[(i, j)] = value;
        information[(j, i)] = value;
    };
    (0..d).for_each(|i| put(1 + i, 1 + i, s0));
    match layout.covariance_type() {
        CovarianceType::Full | CovarianceType::Tied => {
            let s2 = |i: usize, j: usize| {
                let (i, j) = (i.max(j), i.min(j));
                let diagonal = if i == j { s0 } else { 0.0 };
                diagonal - own[(0, shape + triangle::at(i, j))]
            };
            for i in 0..d {
                let here = |j: usize| shape + triangle::at(i, j);
                // Row i of H: q_i = Σ_j H_ij v_j enters as −½ q_i² + log H_ii.
                for j in 0..=i {
                    for l in 0..=j {
                        put(here(j), here(l), s2(j, l));
                    }
                }
                put(here(i), here(i), 2.0 * s2(i, i));
                for j in 0..i {
                    put(1 + i, here(j), -s1(j));
                    put(1 + j, here(j), -s1(i));
                }
                put(1 + i, here(i), -2.0 * s1(i));
            }
        }
        CovarianceType::Diag => {
            for i in 0..d {
                put(shape + i, shape + i, 2.0 * (s0 - own[(0, shape + i)]));
                put(1 + i, shape + i, -2.0 * s1(i));
            }
        }
        CovarianceType::Spherical => {
            put(shape, shape, 2.0 * (d as f64 * s0 - own[(0, shape)]));
            (0..d).for_each(|i| put(1 + i, shape, -2.0 * s1(i)));
        }
    }
    information
}

#[cfg(test)]
mod tests;
