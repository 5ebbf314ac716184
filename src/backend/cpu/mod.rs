//! The CPU path: rows in SIMD lanes, instruction set chosen at run time, blocks shared out over threads.
//!
//! Samples are read in the type they came in and standardised chunk by chunk, so that nothing but the samples
//! themselves grows with N. Threads are those of the rayon pool that the call runs in.

mod kernel;
mod lane_sums;
mod prepared;
mod real;
mod scratch;

use std::convert::Infallible;
use std::ops::Range;

use fearless_simd::{Level, dispatch, prelude::*};
use rayon::prelude::*;

use self::lane_sums::LaneSums;
use self::prepared::Prepared;
use self::real::{Real, Vector};
use self::scratch::{ROWS, Scratch};
use super::{
    Backend, BackendError, BlockMask, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks, strands,
};
use crate::data::{Samples, Standardisation};

/// Rows a lane may add before its sums go to f64.
const RUN: usize = 256;

/// Evaluates mixtures on the CPU in single or double precision.
pub struct Cpu<'a> {
    samples: &'a Samples,
    map: &'a Standardisation,
    precision: Precision,
    level: Level,
    /// What weights are divided by in a pass, so that single precision can hold them.
    weight_unit: f64,
}

impl<'a> Cpu<'a> {
    /// Takes samples, the map to standardised units and the precision to evaluate them in.
    pub fn load(samples: &'a Samples, map: &'a Standardisation, precision: Precision) -> Self {
        Self {
            samples,
            map,
            precision,
            level: Level::new(),
            weight_unit: samples.weight_unit(),
        }
    }

    /// Restricts it to an instruction set, for tests of each.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn statistics_in<T: Real>(&self, models: &[MaskedModel<'_>]) -> Vec<Statistics> {
        let blocks = self.blocks();
        let mut results: Vec<Option<Statistics>> = vec![None; models.len()];
        for (strands, group) in groups(blocks, models) {
            let prepared: Vec<(Prepared<T>, Option<&BlockMask>)> = group
                .iter()
                .map(|&m| (Prepared::new(models[m].components), models[m].mask))
                .collect();
            let zero: Vec<Statistics> = group
                .iter()
                .map(|&m| zero_of(models[m].components))
                .collect();
            let sums = strands::sum_strands(blocks, strands, &zero, |strand, sums| {
                dispatch!(self.level, simd => self.strand(simd, blocks, strand, &prepared, sums));
                Ok::<(), Infallible>(())
            });
            let sums = sums.unwrap_or_else(|never| match never {});
            for (m, sum) in group.into_iter().zip(sums) {
                results[m] = Some(sum);
            }
        }
        // Every model is in exactly one group.
        results.into_iter().flatten().collect()
    }

    #[inline(always)]
    fn strand<S: Simd, T: Real>(
        &self,
        simd: S,
        blocks: SummationBlocks,
        strand: &mut dyn Iterator<Item = usize>,
        models: &[(Prepared<T>, Option<&BlockMask>)],
        sums: &mut [Statistics],
    ) {
        let lanes = Vector::<S, T>::LEN;
        let largest_k = models.iter().map(|(m, _)| m.k).max().unwrap_or(0);
        let mut scratch = Scratch::<T>::new(largest_k, self.samples.n_features());
        let mut lane_sums: Vec<LaneSums<T>> = models
            .iter()
            .map(|(model, _)| LaneSums::new(model, lanes, self.weight_unit))
            .collect();
        for b in strand {
            let rows = blocks.rows(b);
            for start in rows.clone().step_by(ROWS) {
                let end = (start + ROWS).min(rows.end);
                self.fill_for(&mut scratch, models, b, start, end);
                for (m, (model, mask)) in models.iter().enumerate() {
                    if mask.is_some_and(|mask| !mask.contains(b)) {
                        continue;
                    }
                    let (sums, lane_sums) = (&mut sums[m], &mut lane_sums[m]);
                    kernel::evaluate(simd, model, &mut scratch);
                    let (log_likelihood, log_largest) = scratch.likelihoods(model);
                    sums.log_likelihood += log_likelihood;
                    sums.log_largest += log_largest;
                    sums.weight += scratch.exact_weights.iter().sum::<f64>();
                    let run = (start - rows.start) / lanes % RUN + ROWS / lanes;
                    let full = end == rows.end || run >= RUN;
                    for k in 0..model.k {
                        let own = lane_sums.of(k);
                        kernel::accumulate(simd, model, k, &mut scratch, own);
                        if full || !lane_sums.outlive_a_chunk {
                            lane_sums.flush(model, k, sums);
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn fill_for<T: Real>(
        &self,
        scratch: &mut Scratch<T>,
        models: &[(Prepared<T>, Option<&BlockMask>)],
        block: usize,
        start: usize,
        end: usize,
    ) {
        if models
            .iter()
            .any(|(_, mask)| mask.is_none_or(|mask| mask.contains(block)))
        {
            scratch.fill(self.samples, self.map, start, end, Some(self.weight_unit));
        }
    }

    fn responsibilities_in<T: Real>(
        &self,
        components: &Components,
        rows: Range<usize>,
        log_densities: &mut [f64],
        responsibilities: &mut [f64],
    ) {
        let model = Prepared::<T>::new(components);
        let k = model.k;
        log_densities
            .par_chunks_mut(ROWS)
            .zip(responsibilities.par_chunks_mut(ROWS * k))
            .enumerate()
            .for_each_init(
                || Scratch::<T>::new(k, model.d),
                |scratch, (chunk, (log_densities, responsibilities))| {
                    let start = rows.start + chunk * ROWS;
                    let end = start + log_densities.len();
                    scratch.fill(self.samples, self.map, start, end, None);
                    dispatch!(self.level, simd => kernel::evaluate(simd, &model, scratch));
                    for (n, log_density) in log_densities.iter_mut().enumerate() {
                        *log_density = scratch.largest[n].to_f64() * std::f64::consts::LN_2
                            + model.reference
                            + scratch.sum[n].to_f64().ln();
                        for (c, r) in responsibilities[n * k..(n + 1) * k].iter_mut().enumerate() {
                            *r = scratch.q[c * ROWS + n].to_f64();
                        }
                    }
                },
            );
    }
}

fn zero_of(components: &Components) -> Statistics {
    Statistics::zero(
        components.covariance_type,
        components.len(),
        components.n_features,
    )
}

/// Models that share a pass: those with equal strands, as many as keep live partial sums small. A model's own
/// order of summation does not depend on which others share its pass.
fn groups(blocks: SummationBlocks, models: &[MaskedModel<'_>]) -> Vec<(usize, Vec<usize>)> {
    let mut groups: Vec<(usize, usize, Vec<usize>)> = Vec::new();
    for (m, model) in models.iter().enumerate() {
        let numbers = zero_of(model.components).numbers();
        let own = strands::strands(blocks, numbers);
        let fits = |(strands, held, _): &&mut (usize, usize, Vec<usize>)| {
            *strands == own && strands::strands(blocks, held + numbers) == own
        };
        match groups.iter_mut().find(fits) {
            Some((_, held, members)) => {
                *held += numbers;
                members.push(m);
            }
            None => groups.push((own, numbers, vec![m])),
        }
    }
    groups
        .into_iter()
        .map(|(strands, _, members)| (strands, members))
        .collect()
}

impl Backend for Cpu<'_> {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "cpu",
            name: format!("{:?}", self.level)
                .split('(')
                .next()
                .unwrap_or_default()
                .to_owned(),
            driver: String::new(),
            precision: self.precision,
            threads: rayon::current_num_threads(),
        }
    }

    fn blocks(&self) -> SummationBlocks {
        SummationBlocks::new(self.samples.len())
    }

    fn statistics(&mut self, models: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError> {
        Ok(match self.precision {
            Precision::F32 => self.statistics_in::<f32>(models),
            Precision::F64 => self.statistics_in::<f64>(models),
        })
    }

    fn responsibilities(
        &mut self,
        components: &Components,
        rows: Range<usize>,
        log_densities: &mut [f64],
        responsibilities: &mut [f64],
    ) -> Result<(), BackendError> {
        let k = components.len();
        assert_eq!(
            (log_densities.len(), responsibilities.len()),
            (rows.len(), rows.len() * k)
        );
        match self.precision {
            Precision::F32 => {
                self.responsibilities_in::<f32>(components, rows, log_densities, responsibilities)
            }
            Precision::F64 => {
                self.responsibilities_in::<f64>(components, rows, log_densities, responsibilities)
            }
        }
        Ok(())
    }
}
