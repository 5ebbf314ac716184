//! The scores of a chunk of rows. Rows lie side by side, so that loops over them are those of vectors.

use super::super::chart::Layout;
use super::Sums;
use crate::backend::Components;
use crate::backend::cpu::{COLUMNS, add_products, exponentials, vectorized};
use crate::data::{Samples, Standardisation, Values};
use crate::mixture::{CovarianceType, triangle};

/// Rows whose scores are multiplied at once.
pub(super) const CHUNK: usize = 256;

/// The scores of a chunk of rows, and room for what they are made of.
pub(super) struct Scores<'a> {
    layout: Layout,
    components: &'a Components,
    log_constants: Vec<f64>,
    /// Per Gaussian √(w r) t, `own[component][number of t][row]`; columns of zeros make [`COLUMNS`] whole.
    own: Vec<Vec<f64>>,
    /// √w Σ r t, `expected[parameter][row]`, parameters in the chart's order; columns of zeros behind them.
    expected: Vec<f64>,
    noise: f64,
    weight: f64,
    row: Vec<f64>,
    /// `x[feature][row]`.
    x: Vec<f64>,
    weights: [f64; CHUNK],
    /// `y[component][feature][row]` of all Gaussians.
    whitened: Vec<f64>,
    /// `r[component][row]`.
    responsibilities: Vec<f64>,
}

impl<'a> Scores<'a> {
    pub(super) fn new(layout: Layout, components: &'a Components) -> Self {
        let d = components.n_features;
        Self {
            layout,
            components,
            log_constants: components.log_constants(),
            own: vec![columns(layout.own() + layout.shared()); layout.gaussians()],
            expected: columns(layout.len()),
            noise: 0.0,
            weight: 0.0,
            row: vec![0.0; d],
            x: vec![0.0; d * CHUNK],
            weights: [0.0; CHUNK],
            whitened: vec![0.0; layout.gaussians() * d * CHUNK],
            responsibilities: vec![0.0; components.len() * CHUNK],
        }
    }

    /// Takes rows `start` to `end`, at most [`CHUNK`] of them; those of weight 0, and those that are missing, count for nothing.
    pub(super) fn take(
        &mut self,
        samples: &Samples,
        map: &Standardisation,
        start: usize,
        end: usize,
    ) {
        self.x.fill(0.0);
        self.weights.fill(0.0);
        for (n, i) in (start..end).enumerate() {
            self.weights[n] = samples.weight(i);
        }
        self.weight = self.weights.iter().sum();
        match map.plain() {
            Some(map) => match samples.values() {
                Values::F32(values) => self.standardise(values, map, start, end),
                Values::F64(values) => self.standardise(values, map, start, end),
            },
            None => self.map_rows(samples, map, start, end),
        }
        vectorized(
            #[inline(always)]
            || self.whiten(),
        );
        self.respond();
        self.expected.fill(0.0);
        self.noise = 0.0;
        vectorized(
            #[inline(always)]
            || self.score(),
        );
    }

    /// Rows whose features do not mix.
    fn standardise<V: Copy + Into<f64>>(
        &mut self,
        values: &[V],
        (center, inverse_scale): (&[f64], &[f64]),
        start: usize,
        end: usize,
    ) {
        let d = self.row.len();
        for (j, x) in self.x.chunks_exact_mut(CHUNK).enumerate() {
            let rows = values[start * d..end * d].chunks_exact(d);
            for ((x, row), weight) in x.iter_mut().zip(rows).zip(&self.weights) {
                if *weight > 0.0 {
                    *x = (row[j].into() - center[j]) * inverse_scale[j];
                }
            }
        }
    }

    fn map_rows(&mut self, samples: &Samples, map: &Standardisation, start: usize, end: usize) {
        for (n, i) in (start..end).enumerate() {
            if self.weights[n] > 0.0 {
                samples.copy_row(i, &mut self.row);
                map.apply(&mut self.row);
                for (j, x) in self.row.iter().enumerate() {
                    self.x[j * CHUNK + n] = *x;
                }
            }
        }
    }

    /// Whitened coordinates and log densities.
    #[inline(always)]
    fn whiten(&mut self) {
        let d = self.row.len();
        for (k, log_densities) in self.responsibilities.chunks_exact_mut(CHUNK).enumerate() {
            log_densities.fill(self.log_constants[k]);
            if k == self.layout.gaussians() {
                continue;
            }
            let (factor, mean) = (self.components.kept_factor(k), self.components.mean(k));
            let is_diagonal = self.components.covariance_type.is_diagonal();
            for i in 0..d {
                let mut y = [0.0; CHUNK];
                for j in if is_diagonal { i } else { 0 }..=i {
                    let at = if is_diagonal { i } else { triangle::at(i, j) };
                    let (u, mean) = (factor[at], mean[j]);
                    let x = &self.x[j * CHUNK..(j + 1) * CHUNK];
                    for (y, x) in y.iter_mut().zip(x) {
                        *y += u * (x - mean);
                    }
                }
                for (log_density, y) in log_densities.iter_mut().zip(&y) {
                    *log_density -= 0.5 * y * y;
                }
                self.whitened[(k * d + i) * CHUNK..][..CHUNK].copy_from_slice(&y);
            }
        }
    }

    /// Log densities become responsibilities.
    fn respond(&mut self) {
        let mut largest = [f64::NEG_INFINITY; CHUNK];
        for log_densities in self.responsibilities.chunks_exact(CHUNK) {
            for (largest, l) in largest.iter_mut().zip(log_densities) {
                *largest = largest.max(*l);
            }
        }
        let mut sums = [0.0; CHUNK];
        for densities in self.responsibilities.chunks_exact_mut(CHUNK) {
            for (l, largest) in densities.iter_mut().zip(&largest) {
                *l -= largest;
            }
            exponentials(densities);
            for (l, sum) in densities.iter().zip(&mut sums) {
                *sum += l;
            }
        }
        for responsibilities in self.responsibilities.chunks_exact_mut(CHUNK) {
            for (r, sum) in responsibilities.iter_mut().zip(&sums) {
                *r /= sum;
            }
        }
    }

    /// The scores of all rows.
    #[inline(always)]
    fn score(&mut self) {
        let (layout, d) = (self.layout, self.row.len());
        for (k, r) in self.responsibilities.chunks_exact(CHUNK).enumerate() {
            let (mut share, mut own) = ([0.0; CHUNK], [0.0; CHUNK]);
            let rows = r.iter().zip(&self.weights);
            for ((share, own), (r, weight)) in share.iter_mut().zip(&mut own).zip(rows) {
                *share = weight.sqrt() * r;
                *own = (weight * r).sqrt();
            }
            if k == layout.gaussians() {
                self.noise += own.iter().map(|root| root * root).sum::<f64>();
                column(&mut self.expected, layout.first(k)).copy_from_slice(&share);
                continue;
            }
            let y = &self.whitened[k * d * CHUNK..(k + 1) * d * CHUNK];
            for at in 0..layout.own() + layout.shared() {
                let mut score = [1.0; CHUNK];
                derivative(layout, y, at, &mut score);
                let to = column(&mut self.own[k], at);
                for ((to, own), t) in to.iter_mut().zip(&own).zip(&score) {
                    *to = own * t;
                }
                let place = if at < layout.own() {
                    layout.first(k) + at
                } else {
                    layout.shape_of(k) + at - layout.own()
                };
                let to = column(&mut self.expected, place);
                for ((to, share), t) in to.iter_mut().zip(&share).zip(&score) {
                    *to += share * t;
                }
            }
        }
    }

    /// Adds the products of the scores, to lower triangles.
    pub(super) fn add_to(&self, sums: &mut Sums) {
        for (to, own) in sums.own.iter_mut().zip(&self.own) {
            add_products(own, CHUNK, to.nrows(), to.as_mut_slice());
        }
        let to = &mut sums.expected;
        add_products(&self.expected, CHUNK, to.nrows(), to.as_mut_slice());
        sums.noise += self.noise;
        sums.weight += self.weight;
    }
}

#[inline(always)]
fn column(columns: &mut [f64], at: usize) -> &mut [f64] {
    &mut columns[at * CHUNK..(at + 1) * CHUNK]
}

/// Room for `n` columns.
fn columns(n: usize) -> Vec<f64> {
    vec![0.0; n.next_multiple_of(COLUMNS) * CHUNK]
}

/// Number `at` of t = (1, y, shape): the derivative of a component's log-density by log weight, mean or shape at the
/// anchor. `score` comes as ones.
#[inline(always)]
fn derivative(layout: Layout, y: &[f64], at: usize, score: &mut [f64; CHUNK]) {
    let d = layout.n_features();
    if at == 0 {
        return;
    }
    if at <= d {
        score.copy_from_slice(feature(y, at - 1));
        return;
    }
    let shape = at - 1 - d;
    match layout.covariance_type() {
        CovarianceType::Full | CovarianceType::Tied => {
            let (i, j) = triangle::place(shape);
            if i == j {
                less_squares(score, feature(y, i));
            } else {
                let rows = score.iter_mut().zip(feature(y, i)).zip(feature(y, j));
                for ((score, a), b) in rows {
                    *score = -a * b;
                }
            }
        }
        CovarianceType::Diag => less_squares(score, feature(y, shape)),
        CovarianceType::Spherical => {
            score.fill(d as f64);
            for i in 0..d {
                less_squares(score, feature(y, i));
            }
        }
    }
}

#[inline(always)]
fn feature(y: &[f64], i: usize) -> &[f64] {
    &y[i * CHUNK..(i + 1) * CHUNK]
}

#[inline(always)]
fn less_squares(score: &mut [f64; CHUNK], y: &[f64]) {
    for (score, y) in score.iter_mut().zip(y) {
        *score -= y * y;
    }
}
