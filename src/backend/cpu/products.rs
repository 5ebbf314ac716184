//! Sums Σ r x, and Σ r x² where covariances are diagonal, of rows as they are by register tiles: a few components against
//! a few features, so that each number that is loaded serves several sums.

use fearless_simd::prelude::*;

use super::gram::add;
use super::lane_sums::LaneSums;
use super::level::Registers;
use super::prepared::row_blocks;
use super::real::Real;
use super::vectors::{Vector, load, splat};

/// The most components of a tile.
pub(super) const COMPONENTS: usize = 4;
/// The most features of a tile: sums, features (and their squares) and a responsibility fit 32 registers.
const FEATURES: usize = 5;
const FEATURES_SQUARED: usize = 3;

/// All rows of a part, by panels, and K components' responsibilities × weight of them.
#[derive(Clone, Copy)]
pub(super) struct Products<'a, T> {
    pub(super) d: usize,
    pub(super) k: usize,
    /// `x[panel][feature][row]`
    pub(super) x: &'a [T],
    /// `r[panel][component][row]`
    pub(super) r: &'a [T],
}

impl<T: Real> Products<'_, T> {
    /// Adds the first moments of some components, and the second moments of each feature if SQUARES.
    #[inline(always)]
    pub(super) fn add<S: Simd, const M: usize, const SQUARES: bool>(
        &self,
        simd: S,
        components: &[usize],
        lane_sums: &mut LaneSums<T>,
    ) {
        let mut rest = components;
        if Registers::<S>::ARE_32 {
            let (fours, others) = rest.as_chunks::<COMPONENTS>();
            for four in fours {
                self.of_some::<S, COMPONENTS, M, SQUARES>(simd, four, lane_sums);
            }
            rest = others;
        }
        let (twos, rest) = rest.as_chunks::<2>();
        for two in twos {
            self.of_some::<S, 2, M, SQUARES>(simd, two, lane_sums);
        }
        if let [one] = rest {
            self.of_some::<S, 1, M, SQUARES>(simd, &[*one], lane_sums);
        }
    }

    #[inline(always)]
    fn of_some<S: Simd, const C: usize, const M: usize, const SQUARES: bool>(
        &self,
        simd: S,
        components: &[usize; C],
        lane_sums: &mut LaneSums<T>,
    ) {
        let most = match (Registers::<S>::ARE_32, SQUARES) {
            (true, false) => FEATURES,
            (true, true) | (false, false) => FEATURES_SQUARED,
            (false, true) => 2,
        };
        for (first, features) in row_blocks(self.d, most) {
            macro_rules! features {
                ($($f:literal)*) => {
                    match features {
                        $($f => self.tile::<S, C, $f, M, SQUARES>(simd, components, first, lane_sums),)*
                        _ => unreachable!("at most {FEATURES} features at once"),
                    }
                };
            }
            if SQUARES {
                features!(1 2 3);
            } else {
                features!(1 2 3 4 5);
            }
        }
    }

    #[inline(never)]
    fn tile<S: Simd, const C: usize, const F: usize, const M: usize, const SQUARES: bool>(
        &self,
        simd: S,
        components: &[usize; C],
        first: usize,
        lane_sums: &mut LaneSums<T>,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let Self { d, k, x, r } = *self;
                let width = M * Vector::<S, T>::LEN;
                let zero = splat::<S, T>(simd, T::from_f64(0.0));
                let (mut sums, mut squares) = ([[zero; F]; C], [[zero; F]; C]);
                for p in 0..x.len() / (d * width) {
                    let x = &x[(p * d + first) * width..(p * d + first + F) * width];
                    let r = &r[p * k * width..(p + 1) * k * width];
                    for m in 0..M {
                        let (mut features, mut squared) = ([zero; F], [zero; F]);
                        for f in 0..F {
                            features[f] = load::<S, T>(simd, &x[f * width..(f + 1) * width], m);
                            squared[f] = features[f] * features[f];
                        }
                        for c in 0..C {
                            let at = components[c] * width;
                            let r = load::<S, T>(simd, &r[at..at + width], m);
                            for f in 0..F {
                                sums[c][f] = r.mul_add(features[f], sums[c][f]);
                                if SQUARES {
                                    squares[c][f] = r.mul_add(squared[f], squares[c][f]);
                                }
                            }
                        }
                    }
                }
                for c in 0..C {
                    let (to, to_squares) = lane_sums.of(components[c]);
                    for f in 0..F {
                        add::<S, T>(simd, sums[c][f], to, 1 + first + f);
                        if SQUARES {
                            add::<S, T>(simd, squares[c][f], to_squares, first + f);
                        }
                    }
                }
            },
        );
    }
}
