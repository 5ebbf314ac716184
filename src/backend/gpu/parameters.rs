//! What of a model goes to the device: single precision, with what that would lose taken care of in f64.

use rayon::prelude::*;

use super::digits::{MOST_GROWTH, growth};
use super::layout::{group_quads, padded};
use super::shape::{Shape, quads};
use crate::backend::Components;
use crate::backend::components::LOG_ZERO;
use crate::mixture::triangle;

/// A model's parameters as the device uses them.
///
/// Means are sent in two parts, μ = μ_hi + rest with μ_hi in single precision, and y = U (x − μ_hi) − e with
/// e = U (μ − μ_hi). Where all are near the origin kernels take nothing off their rows: μ_hi is 0 to them, and in its place
/// stands what single precision leaves of e. Log constants are taken relative to the largest, in bits instead of nats.
pub(super) struct Parameters<'a> {
    pub components: &'a Components,
    pub shape: Shape,
    /// The largest log constant, nats; every log density on the device lacks it.
    pub reference: f64,
    /// K log₂ constants less the reference.
    constants: Vec<f32>,
    /// Whether rows are taken as they are, see [`super::digits::Digits`].
    near: bool,
    /// Which components' rows `accumulate` whitens before it sums; see [`MOST_GROWTH`].
    whitened: Vec<bool>,
    /// What the device used, where it made the parameters itself: as [`Self::packed`].
    made: Option<&'a [f32]>,
}

/// What stands for the log constant of a component of weight 0: less than any score, and no more than a largest squared
/// distance (`FARTHEST` in shaders/shared/softmax.wgsl) above the least number.
const NO_SCORE: f32 = -3e38;

impl<'a> Parameters<'a> {
    /// `near` is whether kernels take rows as they are.
    pub fn new(components: &'a Components, near: bool) -> Self {
        let constants = components.log_constants();
        let reference = constants
            .iter()
            .zip(&components.weights)
            .filter(|(_, weight)| **weight > 0.0)
            .map(|(constant, _)| *constant)
            .reduce(f64::max)
            .unwrap_or(0.0);
        let constants = constants
            .iter()
            .map(|c| match *c <= LOG_ZERO {
                true => NO_SCORE,
                false => ((c - reference) * std::f64::consts::LOG2_E) as f32,
            })
            .collect();
        let shape = Shape::of(components);
        let whitened = match shape.is_diagonal() {
            true => vec![],
            // Components of weight 0 have nothing to whiten.
            false => (0..shape.k)
                .into_par_iter()
                .map(|k| {
                    components.weights[k] > 0.0 && growth(components, k).features > MOST_GROWTH
                })
                .collect(),
        };
        Self {
            components,
            shape,
            reference,
            constants,
            near,
            whitened,
            made: None,
        }
    }

    /// Those that the device made by steps from others, and their values in f64.
    pub fn after(before: &Self, components: &'a Components, made: &'a [f32]) -> Self {
        Self {
            components,
            shape: before.shape,
            reference: before.reference,
            constants: vec![],
            near: before.near,
            whitened: before.whitened.clone(),
            made: Some(made),
        }
    }

    /// What the device made of component `k`, from its number `first` on.
    fn made(&self, k: usize, first: usize, len: usize) -> Option<Vec<f32>> {
        let first = k * self.shape.parameters_len() + first;
        // What is no Gaussian has no parameters to make.
        let is_made = k < self.components.gaussians();
        let made = self.made.filter(|_| is_made);
        made.map(|made| made[first..first + len].to_vec())
    }

    /// Whether kernels take rows as they are.
    pub fn are_near(&self) -> bool {
        self.near
    }

    /// Whether `accumulate` whitens the rows of any component.
    pub fn whitens(&self) -> bool {
        self.whitened.contains(&true)
    }

    /// Whether it whitens those of component `k`.
    pub fn is_whitened(&self, k: usize) -> bool {
        self.whitened.get(k).is_some_and(|&yes| yes)
    }

    /// Whitens sums of r (x − μ_hi), to sums of r y, and of r (x − μ_hi)(x − μ_hi)ᵀ, of which it gives those of r y yᵀ.
    pub fn whiten_triangle(&self, k: usize, s0: f64, s1: &mut [f64], s2: &[f64]) -> Vec<f64> {
        let (_, remainder) = self.mean(k);
        let e: Vec<f64> = remainder.into_iter().map(f64::from).collect();
        let factor: Vec<f64> = self.factor(k).into_iter().map(f64::from).collect();
        let u = triangle::apply(&factor, s1);
        let mut whitened = triangle::congruent(&factor, s2, s1.len());
        for i in 0..s1.len() {
            for j in 0..=i {
                whitened[triangle::at(i, j)] += s0 * e[i] * e[j] - u[i] * e[j] - e[i] * u[j];
            }
        }
        for ((s1, u), e) in s1.iter_mut().zip(u).zip(e) {
            *s1 = u - e * s0;
        }
        whitened
    }

    /// μ_hi and e of component `k`, or what e lacks and e.
    fn mean(&self, k: usize) -> (Vec<f32>, Vec<f32>) {
        let (d, len) = (self.shape.d, self.shape.factor_len());
        if let (Some(high), Some(remainder)) = (self.made(k, 0, d), self.made(k, d + len, d)) {
            return (high, remainder);
        }
        let mean = self.components.mean(k);
        if self.near {
            let whole = self.components.apply_factor(k, mean);
            let remainder: Vec<f32> = whole.iter().map(|&e| e as f32).collect();
            let low = whole.iter().zip(&remainder);
            let low = low.map(|(whole, e)| (whole - f64::from(*e)) as f32);
            return (low.collect(), remainder);
        }
        let high: Vec<f32> = mean.iter().map(|&m| m as f32).collect();
        let rest: Vec<f64> = mean
            .iter()
            .zip(&high)
            .map(|(m, h)| m - f64::from(*h))
            .collect();
        let remainder = self.components.apply_factor(k, &rest);
        (high, remainder.into_iter().map(|e| e as f32).collect())
    }

    /// The numbers of component `k`'s factor that its kernels read: the triangle, or its diagonal.
    fn factor(&self, k: usize) -> Vec<f32> {
        if let Some(made) = self.made(k, self.shape.d, self.shape.factor_len()) {
            return made;
        }
        let factor = self.components.kept_factor(k);
        factor.iter().map(|&u| u as f32).collect()
    }

    /// For `statistics_registers`: per component mean, factor, remainder, constant; padded to whole vec4s.
    pub fn packed(&self) -> Vec<f32> {
        let mut packed = Vec::new();
        (0..self.shape.k).for_each(|k| self.push(k, &mut packed));
        packed.resize(packed.len().next_multiple_of(4), 0.0);
        packed
    }

    fn push(&self, k: usize, packed: &mut Vec<f32>) {
        let (mean, remainder) = self.mean(k);
        packed.extend(mean);
        packed.extend(self.factor(k));
        packed.extend(remainder);
        packed.push(self.constants[k]);
    }

    /// The same for groups of `group` components, in chunks of `chunk` vec4s. What lacks to the last group is
    /// filled with components of weight 0.
    pub fn chunks(&self, group: usize, chunk: usize) -> Chunks {
        let quads = group_quads(self.shape, group);
        let (groups, per_chunk) = (self.shape.k.div_ceil(group), chunk / quads);
        let mut numbers = Vec::new();
        for g in 0..groups {
            if g % per_chunk == 0 {
                numbers.resize(g / per_chunk * 4 * chunk, 0.0);
            }
            let end = numbers.len() + 4 * quads;
            for k in g * group..(g + 1) * group {
                if k < self.shape.k {
                    self.push(k, &mut numbers);
                } else {
                    numbers.resize(numbers.len() + self.shape.parameters_len() - 1, 0.0);
                    numbers.push(NO_SCORE);
                }
            }
            numbers.resize(end, 0.0);
        }
        numbers.resize(groups.div_ceil(per_chunk) * 4 * chunk, 0.0);
        Chunks {
            numbers,
            groups,
            per_chunk,
        }
    }

    /// For the staged regime: per component the constant and whether to whiten, mean and remainder padded to vec4s, and the factor as
    /// 4 × 4 sub-blocks by columns, with zeros beyond D; where factors are diagonal, [`Self::octets`].
    pub fn tiled(&self) -> Vec<f32> {
        if self.shape.is_diagonal() {
            return self.octets();
        }
        let padded = padded(self.shape.d);
        let mut tiled = Vec::new();
        for k in 0..self.shape.k {
            let (mut mean, mut remainder) = self.mean(k);
            mean.resize(padded, 0.0);
            remainder.resize(padded, 0.0);
            let whitens = f32::from(u8::from(self.is_whitened(k)));
            tiled.extend([self.constants[k], whitens, 0.0, 0.0]);
            tiled.extend(mean);
            tiled.extend(remainder);
            push_tiles(&self.factor(k), self.shape.d, &mut tiled);
        }
        tiled
    }

    /// By eight components, filled up by others of weight 0: an entry of constants, and for each four features one of
    /// means, remainders and diagonals, zeros beyond D. Mirrors `struct Octet`.
    fn octets(&self) -> Vec<f32> {
        // Numbers of an entry, and of one of its arrays.
        const ENTRY: usize = 4 * Shape::OCTET_ENTRY;
        const ARRAY: usize = 4 * 8;
        let entries = 1 + quads(self.shape.d);
        let octets = self.shape.k.div_ceil(8);
        let mut numbers = vec![0.0; octets * entries * ENTRY];
        for k in 0..8 * octets {
            let own = k / 8 * entries * ENTRY + k % 8 * 4;
            let Some(&constant) = self.constants.get(k) else {
                numbers[own] = NO_SCORE;
                continue;
            };
            numbers[own] = constant;
            let (mean, remainder) = self.mean(k);
            for (array, of) in [mean, remainder, self.factor(k)].iter().enumerate() {
                for (quad, four) in of.chunks(4).enumerate() {
                    let at = own + (1 + quad) * ENTRY + array * ARRAY;
                    numbers[at..at + four.len()].copy_from_slice(four);
                }
            }
        }
        numbers
    }

    /// Whitens sums of r (x − μ_hi), and of r (x − μ_hi)² where those of features are kept, to sums of r y and r y²,
    /// with the diagonal U that the device uses.
    pub fn whiten_sums(&self, k: usize, s0: f64, s1: &mut [f64], s2: Option<&mut [f64]>) {
        let (_, remainder) = self.mean(k);
        let factor = self.factor(k);
        let used: Vec<(f64, f64)> = factor
            .iter()
            .zip(&remainder)
            .map(|(&u, &e)| (f64::from(u), f64::from(e)))
            .collect();
        if let Some(s2) = s2 {
            for ((s2, s1), (u, e)) in s2.iter_mut().zip(&*s1).zip(&used) {
                *s2 = u * u * *s2 - 2.0 * u * e * s1 + e * e * s0;
            }
        }
        for (s1, (u, e)) in s1.iter_mut().zip(&used) {
            *s1 = u * *s1 - e * s0;
        }
    }
}

/// Components in groups, whole groups in chunks of equal length.
pub(super) struct Chunks {
    /// All chunks, one after the other.
    pub numbers: Vec<f32>,
    /// How many groups there are.
    pub groups: usize,
    /// How many of them a chunk holds.
    pub per_chunk: usize,
}

impl Chunks {
    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.groups.div_ceil(self.per_chunk)
    }

    /// Groups of chunk `c`.
    pub fn groups_of(&self, c: usize) -> usize {
        (self.groups - c * self.per_chunk).min(self.per_chunk)
    }
}

/// Appends a packed triangle as 4 × 4 sub-blocks by columns.
fn push_tiles(factor: &[f32], d: usize, tiled: &mut Vec<f32>) {
    for tile_i in 0..quads(d) {
        for tile_j in 0..=tile_i {
            for j in 4 * tile_j..4 * tile_j + 4 {
                for i in 4 * tile_i..4 * tile_i + 4 {
                    let inside = j <= i && i < d;
                    tiled.push(if inside {
                        factor[triangle::at(i, j)]
                    } else {
                        0.0
                    });
                }
            }
        }
    }
}
