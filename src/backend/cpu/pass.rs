//! One pass of a thread over its share of the rows, for all models that share it; and responsibilities of some rows.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::ahead::Ahead;
use super::held::Held;
use super::lane_sums::{LaneSums, RUN};
use super::level::Registers;
use super::likelihoods::Likelihoods;
use super::plan::{Plan, TILE_ROWS};
use super::prepared::{FUSED_FEATURES, Prepared, Shape};
use super::real::Real;
use super::rows::{CHUNK, Loader, Rows, WEIGHED, clear_weightless};
use super::scratch::Workspace;
use super::softmax::{Densities, Scale, largest_of, softmax};
use super::vectors::{Vector, load_all, store_all};
use super::{fused, tiled};
use crate::backend::{BlockMask, Statistics, SummationBlocks};

/// Vectors of a panel, and of what the fused shape takes of it at a time where features are many.
const PANEL_OF_32: (usize, usize) = (4, 2);
const PANEL_OF_16: (usize, usize) = (2, 1);

/// Rows of a panel.
#[inline(always)]
pub(super) fn panel_rows<S: Simd, T: Real>() -> usize {
    let (vectors, _) = if Registers::<S>::ARE_32 {
        PANEL_OF_32
    } else {
        PANEL_OF_16
    };
    vectors * Vector::<S, T>::LEN
}

/// Rows of a chunk, so few that no lane tires within it. Of few features it stays in a first-level cache: at D = 4, K = 16
/// that is a few percent faster than longer ones, and 2,048 rows at D = 2, K = 4 a percent or two faster than 512, whose first
/// panel, on which nothing is done ahead, comes more often.
fn chunk_rows<T>(d: usize, lanes: usize) -> usize {
    let most = if d <= FUSED_FEATURES {
        let numbers = TILE_ROWS * FUSED_FEATURES * size_of::<f32>() / size_of::<T>();
        (numbers / d.next_power_of_two()).clamp(TILE_ROWS, CHUNK)
    } else {
        CHUNK
    };
    most.min(RUN * lanes)
}

/// What a pass goes over.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a, T> {
    pub(super) loader: &'a Loader<'a>,
    /// Where rows in kernel order are held, if they are.
    pub(super) held: Option<&'a Held<T>>,
    pub(super) blocks: SummationBlocks,
    pub(super) models: &'a [(Prepared<T>, Option<&'a BlockMask>)],
}

impl<T: Real> Pass<'_, T> {
    /// Adds the statistics of some blocks, in their order.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &self,
        simd: S,
        blocks: &mut dyn Iterator<Item = usize>,
        workspace: &mut Workspace<T>,
        sums: &mut [Statistics],
    ) {
        if Registers::<S>::ARE_32 {
            self.add_by::<S, { PANEL_OF_32.0 }, { PANEL_OF_32.1 }>(simd, blocks, workspace, sums);
        } else {
            self.add_by::<S, { PANEL_OF_16.0 }, { PANEL_OF_16.1 }>(simd, blocks, workspace, sums);
        }
    }

    /// Where rows of a block are read from: some from `start` on, counted within it.
    fn ahead(&self, block: usize, start: usize, count: usize) -> Ahead<'_> {
        let rows = self.blocks.rows(block);
        let first = rows.start + start;
        let d = self.loader.samples().n_features();
        self.held
            .and_then(|held| held.source(d, block, start, count))
            .unwrap_or_else(|| self.loader.source(first..rows.end.min(first + count)))
    }

    #[inline(always)]
    fn add_by<S: Simd, const M: usize, const HALF: usize>(
        &self,
        simd: S,
        blocks: &mut dyn Iterator<Item = usize>,
        workspace: &mut Workspace<T>,
        sums: &mut [Statistics],
    ) {
        let lanes = Vector::<S, T>::LEN;
        let panel = M * lanes;
        let d = self.loader.samples().n_features();
        let chunk = chunk_rows::<T>(d, lanes);
        let Workspace {
            by_rows,
            x,
            weights,
            scratch,
            lane_sums,
        } = workspace;
        lane_sums.resize_with(self.models.len().max(lane_sums.len()), LaneSums::default);
        for ((model, _), lane_sums) in self.models.iter().zip(lane_sums.iter_mut()) {
            lane_sums.prepare(model, lanes);
        }
        // Until all rows were seen: what ends them takes as long as some panels.
        let mut likelihoods: Vec<Likelihoods<S, T>> = (self.models.iter())
            .map(|(model, _)| Likelihoods::new(simd, model.k, M))
            .collect();
        x.reserve(chunk * d);
        weights.reserve(chunk);
        let wanted =
            |mask: &Option<&BlockMask>, block| mask.is_none_or(|mask| mask.contains(block));
        let mut blocks = blocks
            .filter(|block| self.models.iter().any(|(_, mask)| wanted(mask, *block)))
            .peekable();
        while let Some(block) = blocks.next() {
            let rows = self.blocks.rows(block);
            // Not by a closure, which is compiled for the instruction set only where it is inlined.
            let held = match self.held {
                Some(held) => Some(held.block(simd, self.loader, self.blocks, block, by_rows)),
                None => None,
            };
            let held_weights = held.and_then(|held| held.weights.as_ref());
            let mut total = held_weights.map_or(0.0, |(_, total)| *total);
            for start in rows.clone().step_by(chunk) {
                let end = (start + chunk).min(rows.end);
                let padded = (end - start).next_multiple_of(panel);
                let uniform = self.loader.samples().weights().is_none() && padded == end - start;
                let own_weights = weights.first_mut(padded);
                let within = start - rows.start..start - rows.start + padded;
                let weights = match held_weights {
                    Some((weights, _)) => Some(weights.part(within.clone())),
                    None if uniform => {
                        total += padded as f64;
                        None
                    }
                    None => {
                        let parts = own_weights.chunks_mut(WEIGHED);
                        for (start, weights) in (start..end).step_by(WEIGHED).zip(parts) {
                            let rows = start..end.min(start + WEIGHED);
                            total += self.loader.fill_weights(simd, rows, weights);
                        }
                        Some(&*own_weights)
                    }
                };
                let mut rows_here = Rows {
                    x: match held {
                        Some(held) => held.x.part(within.start * d..within.end * d),
                        None => {
                            let x = x.first_mut(padded * d);
                            self.loader.fill(simd, start..end, panel, by_rows, x);
                            if let Some(weights) = weights {
                                clear_weightless(weights, d, panel, x);
                            }
                            x
                        }
                    },
                    weights,
                    ahead: match (end < rows.end, blocks.peek()) {
                        (true, _) => self.ahead(block, end - rows.start, chunk),
                        (false, Some(next)) => self.ahead(*next, 0, chunk),
                        (false, None) => Ahead::default(),
                    },
                };
                let run = (start - rows.start) / lanes % RUN + chunk / lanes;
                let tired = end == rows.end || run >= RUN;
                for (m, (model, mask)) in self.models.iter().enumerate() {
                    if !wanted(mask, block) {
                        continue;
                    }
                    let (sums, lane_sums) = (&mut sums[m], &mut lane_sums[m]);
                    let likelihoods = &mut likelihoods[m];
                    let unit = self.loader.weight_unit();
                    match model.shape {
                        Shape::Fused { .. } => fused::statistics_of::<S, T, M, HALF>(
                            simd,
                            model,
                            rows_here,
                            panel,
                            scratch,
                            lane_sums,
                            likelihoods,
                        ),
                        _ => tiled::statistics::<S, T, M>(
                            simd,
                            model,
                            rows_here,
                            unit,
                            scratch,
                            lane_sums,
                            likelihoods,
                            sums,
                        ),
                    }
                    rows_here.ahead = Ahead::default();
                    if tired && lane_sums.kept {
                        for k in 0..model.k {
                            lane_sums.flush(simd, model, k, unit, sums);
                        }
                    }
                }
            }
            for ((model, mask), sums) in self.models.iter().zip(sums.iter_mut()) {
                if wanted(mask, block) {
                    sums.log_likelihood += model.reference * total;
                    sums.weight += total;
                }
            }
        }
        for (likelihoods, sums) in likelihoods.into_iter().zip(sums) {
            let (log_likelihood, log_largest) = likelihoods.finish(simd, self.loader.weight_unit());
            sums.log_likelihood += log_likelihood;
            sums.log_largest += log_largest;
        }
    }
}

/// Log densities (nats) and responsibilities of some rows, each of weight 1.
#[inline(always)]
pub(super) fn responsibilities<S: Simd, T: Real>(
    simd: S,
    loader: &Loader<'_>,
    model: &Prepared<T>,
    rows: Range<usize>,
    workspace: &mut Workspace<T>,
    log_densities: &mut [f64],
    shares: &mut [f64],
) {
    if Registers::<S>::ARE_32 {
        responsibilities_by::<S, T, { PANEL_OF_32.0 }, { PANEL_OF_32.1 }>(
            simd,
            loader,
            model,
            rows,
            workspace,
            log_densities,
            shares,
        );
    } else {
        responsibilities_by::<S, T, { PANEL_OF_16.0 }, { PANEL_OF_16.1 }>(
            simd,
            loader,
            model,
            rows,
            workspace,
            log_densities,
            shares,
        );
    }
}

#[inline(always)]
fn responsibilities_by<S: Simd, T: Real, const M: usize, const HALF: usize>(
    simd: S,
    loader: &Loader<'_>,
    model: &Prepared<T>,
    rows: Range<usize>,
    workspace: &mut Workspace<T>,
    log_densities: &mut [f64],
    shares: &mut [f64],
) {
    let (d, k, panel) = (model.d, model.k, M * Vector::<S, T>::LEN);
    let padded = rows.len().next_multiple_of(panel);
    let Workspace {
        by_rows,
        x,
        scratch,
        ..
    } = workspace;
    x.reserve(padded * d);
    let x = x.first_mut(padded * d);
    loader.fill(simd, rows, panel, by_rows, x);
    match model.shape {
        Shape::Fused { .. } => fused::responsibilities_of::<S, T, M, HALF>(
            simd,
            model,
            x,
            panel,
            scratch,
            log_densities,
            shares,
        ),
        _ => {
            let step = Plan::of(model).rows;
            let parts = x
                .chunks(step * d)
                .zip(log_densities.chunks_mut(step))
                .zip(shares.chunks_mut(step * k));
            for ((x, log_densities), shares) in parts {
                tiled::log_densities::<S, T, M>(simd, model, x, false, scratch);
                let q = scratch.q.first_mut(x.len() / d * k);
                let panels = q
                    .chunks_exact_mut(k * panel)
                    .zip(log_densities.chunks_mut(panel))
                    .zip(shares.chunks_mut(panel * k));
                for ((q, log_densities), shares) in panels {
                    let largest = largest_of::<S, T, M>(simd, q);
                    let densities = softmax::<S, T, M>(simd, q, largest);
                    write_shares(simd, model, densities, q, log_densities, shares);
                }
            }
        }
    }
}

/// Writes the log densities and responsibilities of a panel's rows, as many as there is room for.
#[inline(always)]
pub(super) fn write_shares<S: Simd, T: Real, const M: usize>(
    simd: S,
    model: &Prepared<T>,
    densities: Densities<S, T, M>,
    q: &mut [T],
    log_densities: &mut [f64],
    shares: &mut [f64],
) {
    let (lanes, width) = (Vector::<S, T>::LEN, M * Vector::<S, T>::LEN);
    let mut scale = densities.sum;
    for scale in &mut scale {
        *scale = T::reciprocal(simd, *scale);
    }
    let scale = Scale::<S, T, M>::new(scale);
    for q in q.chunks_exact_mut(width).take(model.k) {
        let r = scale.apply(load_all::<S, T, M>(simd, q));
        store_all::<S, T, M>(r, q);
    }
    for (n, log_density) in log_densities.iter_mut().enumerate() {
        let (m, lane) = (n / lanes, n % lanes);
        let largest = densities.largest[m].as_slice()[lane].to_f64();
        let sum = densities.sum[m].as_slice()[lane].to_f64();
        *log_density = largest / T::STEPS * std::f64::consts::LN_2 + model.reference + sum.ln();
        for (c, share) in shares[n * model.k..(n + 1) * model.k]
            .iter_mut()
            .enumerate()
        {
            *share = q[c * width + n].to_f64();
        }
    }
}
