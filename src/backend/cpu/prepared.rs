//! Components in the form the kernels read: rounded, constants folded, logarithms to base 2 in steps, factors in the order of
//! use.

use super::moments;
use super::real::Real;
use crate::backend::{Components, Statistics};
use crate::mixture::{CovarianceType, triangle};

/// The most features of the fused shape.
pub(super) const FUSED_FEATURES: usize = 8;
/// The most bytes that the fused shape may go through for each panel, about twice a first-level cache: at D = 2, K = 64
/// (74 KiB) it is a third faster than the tiled one.
const FUSED_BYTES: usize = 76 << 10;
/// The same of more than four features: at D = 6, K = 20 (54 KiB) it is as fast, at D = 8, K = 14 (55 KiB) and 16 (63 KiB)
/// by 20 and 30 % slower.
const FUSED_BYTES_OF_MANY: usize = 54 << 10;
/// The most bytes with which the fused shape works ahead, so that divisions and largest densities are not waited for: at
/// D = 8, K = 2 it is a fifth faster, at D = 8, K = 8 (40.5 KiB) a seventh, at D = 2, K = 24 (45 KiB) slower by 8 %.
const AHEAD_BYTES: usize = 41 << 10;
/// The most rows of a factor that are worked at once.
pub(super) const WHITENED_ROWS: usize = 6;
/// Means may be folded into a bias, y = U x + b, while no |U| |μ| exceeds this: rounding of y grows with it.
const FOLDED: f64 = 64.0;

/// How a model is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Triangular factors of few features, all sums in cache: everything for one panel after the other.
    Fused {
        /// Whether the next panel's coordinates are made before this panel's sums.
        ahead: bool,
    },
    /// Triangular factors: register tiles of whitened coordinates, then of second moments.
    Tiled,
    /// One triangular factor for all: rows are whitened once.
    Tied,
    /// Diagonal factors.
    Diagonal,
}

/// Components ready for samples of type `T`.
pub(super) struct Prepared<T> {
    pub(super) covariance_type: CovarianceType,
    pub(super) shape: Shape,
    /// K.
    pub(super) k: usize,
    /// D.
    pub(super) d: usize,
    /// Whether y = U (x − mean) + bias, not U x + bias.
    pub(super) centred: bool,
    /// K × D means, rounded.
    pub(super) means: Vec<T>,
    /// K × D: −U (μ − rounded mean) if centred, −U μ if not, rounded.
    pub(super) biases: Vec<T>,
    /// D zeros: the bias of what is whitened about none.
    pub(super) zeros: Vec<T>,
    /// Where whitened coordinates of each component stand among those that are stored; of the others the moments of rows
    /// as they are are summed ([`super::moments`]).
    pub(super) slots: Vec<Option<usize>>,
    /// How many components' coordinates are stored.
    pub(super) stored: usize,
    /// K × D: what rounding the biases left out.
    shifts: Vec<f64>,
    /// K factors U (one in the tied shape), each [`Self::factor_len`] numbers: triangles by blocks of rows or diagonals.
    pub(super) factors: Vec<T>,
    /// In the fused shape, instead: log constant, biases, mean and triangle by rows of one component after the other.
    pub(super) side_by_side: Vec<T>,
    /// K log constants to base 2 in steps, less the reference.
    pub(super) log_constants: Vec<T>,
    /// The largest log constant, nats: added back in f64.
    pub(super) reference: f64,
}

impl<T: Real> Prepared<T> {
    /// For vectors of `lanes` numbers; moments of `rows` rows are summed.
    pub(super) fn new(components: &Components, lanes: usize, rows: usize) -> Self {
        let (k, d) = (components.len(), components.n_features);
        let spread = spread(components);
        let centred = spread > FOLDED;
        let shape = shape::<T>(components, lanes, centred);
        let plain = moments::are_plain(components, shape, spread, rows);
        let means: Vec<T> = components.means.iter().map(|m| T::from_f64(*m)).collect();
        let mut exact = Vec::with_capacity(k * d);
        for component in 0..k {
            let mean = components.mean(component);
            let rounded = &means[component * d..(component + 1) * d];
            let left: Vec<f64> = mean
                .iter()
                .zip(rounded)
                .map(|(mean, rounded)| {
                    if centred {
                        mean - rounded.to_f64()
                    } else {
                        *mean
                    }
                })
                .collect();
            let whitened = components.apply_factor(component, &left);
            exact.extend(whitened.into_iter().map(|y| -y));
        }
        let biases: Vec<T> = exact.iter().map(|b| T::from_f64(*b)).collect();
        let shifts = exact
            .iter()
            .zip(&biases)
            .map(|(exact, rounded)| exact - rounded.to_f64())
            .collect();
        let log_constants = components.log_constants();
        let reference = log_constants
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let log_constants: Vec<T> = log_constants
            .iter()
            .map(|c| T::from_f64((c - reference) * std::f64::consts::LOG2_E * T::STEPS))
            .collect();
        let (mut factors, mut side_by_side) = (Vec::new(), Vec::new());
        match shape {
            Shape::Fused { .. } => {
                for component in 0..k {
                    let features = component * d..(component + 1) * d;
                    side_by_side.push(log_constants[component]);
                    side_by_side.extend_from_slice(&biases[features.clone()]);
                    side_by_side.extend_from_slice(&means[features]);
                    let factor = components.kept_factor(component);
                    push_in_order_of_use(factor, d, shape, &mut side_by_side);
                }
            }
            Shape::Tied => {
                push_in_order_of_use(components.kept_factor(0), d, shape, &mut factors);
            }
            Shape::Tiled | Shape::Diagonal => {
                for component in 0..k {
                    let factor = components.kept_factor(component);
                    push_in_order_of_use(factor, d, shape, &mut factors);
                }
            }
        }
        Self {
            covariance_type: components.covariance_type,
            shape,
            k,
            d,
            centred,
            means,
            biases,
            zeros: vec![T::from_f64(0.0); d],
            stored: plain.iter().filter(|plain| !**plain).count(),
            slots: {
                let mut next = 0..;
                let slot = |plain: &bool| if *plain { None } else { next.next() };
                plain.iter().map(slot).collect()
            },
            shifts,
            factors,
            side_by_side,
            log_constants,
            reference,
        }
    }

    /// Numbers of a factor.
    pub(super) fn factor_len(&self) -> usize {
        match self.shape {
            Shape::Diagonal => self.d,
            _ => triangle::packed_len(self.d),
        }
    }

    /// Whether second moments are summed over components.
    #[inline(always)]
    pub(super) fn second_moments_are_pooled(&self) -> bool {
        self.covariance_type == CovarianceType::Tied
    }

    /// Whether only traces of second moments are summed.
    #[inline(always)]
    pub(super) fn is_spherical(&self) -> bool {
        self.covariance_type == CovarianceType::Spherical
    }

    /// The factor of component `k`; that of component 0 is everyone's in the tied shape.
    #[inline(always)]
    pub(super) fn factor(&self, k: usize) -> &[T] {
        let length = self.factor_len();
        &self.factors[k * length..(k + 1) * length]
    }

    /// The mean of component `k`.
    #[inline(always)]
    pub(super) fn mean(&self, k: usize) -> &[T] {
        &self.means[k * self.d..(k + 1) * self.d]
    }

    /// The bias of component `k`.
    #[inline(always)]
    pub(super) fn bias(&self, k: usize) -> &[T] {
        &self.biases[k * self.d..(k + 1) * self.d]
    }

    /// How many second moments are summed for each component.
    pub(super) fn second_moments(&self) -> usize {
        if self.is_spherical() {
            1
        } else {
            self.factor_len()
        }
    }

    /// Takes the sums from the coordinates y that the kernels used to the true y + shift, exactly for the moments and
    /// to first order in the shift for the log-likelihood: its second order is below 1e-11.
    pub(super) fn shift(&self, sums: &mut Statistics) {
        let d = self.d;
        if self.covariance_type == CovarianceType::Spherical {
            for k in 0..self.k {
                let shift = &self.shifts[k * d..(k + 1) * d];
                let s1 = &sums.s1[k * d..(k + 1) * d];
                let cross: f64 = shift.iter().zip(s1).map(|(e, s1)| e * s1).sum();
                let square: f64 = shift.iter().map(|e| e * e).sum();
                sums.s2[k] += 2.0 * cross + sums.s0[k] * square;
            }
        } else {
            let pooled = self.covariance_type == CovarianceType::Tied;
            let diagonal = self.covariance_type == CovarianceType::Diag;
            let length = sums.s2.len() / if pooled { 1 } else { self.k };
            for k in 0..self.k {
                let shift = &self.shifts[k * d..(k + 1) * d];
                let s1 = &sums.s1[k * d..(k + 1) * d];
                let first = if pooled { 0 } else { k * length };
                let s2 = &mut sums.s2[first..first + length];
                for i in 0..d {
                    let columns = if diagonal { i..i + 1 } else { 0..i + 1 };
                    for j in columns {
                        let at = if diagonal { i } else { triangle::at(i, j) };
                        s2[at] +=
                            shift[i] * s1[j] + s1[i] * shift[j] + sums.s0[k] * shift[i] * shift[j];
                    }
                }
            }
        }
        for k in 0..self.k {
            let shift = &self.shifts[k * d..(k + 1) * d];
            for (s1, e) in sums.s1[k * d..(k + 1) * d].iter_mut().zip(shift) {
                sums.log_likelihood -= e * (*s1 + 0.5 * e * sums.s0[k]);
                *s1 += e * sums.s0[k];
            }
        }
    }
}

/// The largest Σ |U_ij| |μ_j| of any coordinate.
fn spread(components: &Components) -> f64 {
    let d = components.n_features;
    let is_diagonal = components.covariance_type.is_diagonal();
    let of = |k: usize| {
        let (factor, mean) = (components.kept_factor(k), components.mean(k));
        let row = |i: usize| {
            let (terms, means) = match is_diagonal {
                true => (i..=i, &mean[i..]),
                false => (triangle::at(i, 0)..=triangle::at(i, i), mean),
            };
            let terms = factor[terms].iter().zip(means);
            terms.map(|(u, m)| (u * m).abs()).sum::<f64>()
        };
        (0..d).map(row).fold(0.0, f64::max)
    };
    (0..components.len()).map(of).fold(0.0, f64::max)
}

fn shape<T>(components: &Components, lanes: usize, centred: bool) -> Shape {
    let (k, d) = (components.len(), components.n_features);
    if components.covariance_type.is_diagonal() {
        return Shape::Diagonal;
    }
    // Per component its sums, and coordinates and a density of the vectors that are worked at once.
    let at_once = if d <= 4 { 4 } else { 2 };
    let worked = at_once * (d + 1);
    let vectors = 1 + d + triangle::packed_len(d) + worked;
    let bytes = |vectors: usize| k * vectors * lanes * size_of::<T>();
    let most = if d <= 4 {
        FUSED_BYTES
    } else {
        FUSED_BYTES_OF_MANY
    };
    if d <= FUSED_FEATURES && bytes(vectors) <= most {
        let ahead = bytes(vectors + worked) <= AHEAD_BYTES;
        return Shape::Fused { ahead };
    }
    if components.covariance_type == CovarianceType::Tied && components.share_a_factor() && !centred
    {
        Shape::Tied
    } else {
        Shape::Tiled
    }
}

/// Rows of a triangle in blocks of at most `most`, as equal as can be: first row and length of each.
pub(super) fn row_blocks(d: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let blocks = d.div_ceil(most);
    let start = move |b: usize| b * d / blocks;
    (0..blocks).map(move |b| (start(b), start(b + 1) - start(b)))
}

/// Appends a factor, rounded, in the order in which a shape reads it.
fn push_in_order_of_use<T: Real>(factor: &[f64], d: usize, shape: Shape, to: &mut Vec<T>) {
    let number = |u: f64| T::from_f64(if u.abs() < T::NEGLIGIBLE { 0.0 } else { u });
    match shape {
        Shape::Fused { .. } | Shape::Diagonal => to.extend(factor.iter().map(|u| number(*u))),
        // Per block of rows, column by column.
        Shape::Tiled | Shape::Tied => {
            for (start, rows) in row_blocks(d, WHITENED_ROWS) {
                let end = start + rows;
                for j in 0..end {
                    to.extend((start.max(j)..end).map(|i| number(factor[triangle::at(i, j)])));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_blocks_are_balanced_and_cover_all() {
        for d in 1..80 {
            for most in 1..7 {
                let blocks: Vec<_> = row_blocks(d, most).collect();
                let mut next = 0;
                for (start, rows) in &blocks {
                    assert_eq!(*start, next);
                    assert!((1..=most).contains(rows));
                    next = start + rows;
                }
                assert_eq!(next, d);
                let sizes = || blocks.iter().map(|b| b.1);
                assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
            }
        }
    }
}
