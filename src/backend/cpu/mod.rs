//! The CPU path: rows in SIMD lanes, instruction set chosen at run time, blocks shared out over threads.
//!
//! Samples are standardised, rounded and transposed into panels of rows chunk by chunk, or once where that takes
//! little memory, so that nothing but the samples themselves grows with N. Threads are those of the rayon pool that
//! the call runs in.

mod diagonal;
mod fused;
mod gram;
mod lane_sums;
mod level;
mod pass;
mod prepared;
mod real;
mod rows;
mod scratch;
mod softmax;
mod tiled;
mod vectors;
mod whiten;

use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use fearless_simd::{Level, prelude::*};
use rayon::prelude::*;

use self::level::on_level;
use self::pass::{Pass, panel_rows};
use self::prepared::Prepared;
use self::real::Real;
use self::rows::{CHUNK, Loader, clear_weightless};
use self::scratch::Workspace;
use self::vectors::{Aligned, Vector};
use super::{
    Backend, BackendError, BlockMask, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks, strands,
};
use crate::data::{Samples, Standardisation};

/// Rows in kernel order are held between passes while they fit this.
const HELD_BYTES: usize = 32 << 20;

/// Evaluates mixtures on the CPU in single or double precision.
pub struct Cpu<'a> {
    loader: Loader<'a>,
    level: Level,
    buffers: Typed<Buffers<f32>, Buffers<f64>>,
}

/// One of two types, by precision.
enum Typed<A, B> {
    Single(A),
    Double(B),
}

/// What is kept between passes.
struct Buffers<T> {
    /// All rows in kernel order, from the first pass on, if they are few enough.
    held: Option<Aligned<T>>,
    /// One for each thread that is at work.
    workspaces: Mutex<Vec<Workspace<T>>>,
}

impl<T: Real> Buffers<T> {
    fn new() -> Self {
        Self {
            held: None,
            workspaces: Mutex::new(Vec::new()),
        }
    }

    /// Lends a workspace to `work`.
    fn with_workspace(&self, work: impl FnOnce(&mut Workspace<T>)) {
        let lock = || {
            self.workspaces
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let mut workspace = lock().pop().unwrap_or_default();
        work(&mut workspace);
        lock().push(workspace);
    }
}

impl<'a> Cpu<'a> {
    /// Takes samples, the map to standardised units and the precision to evaluate them in.
    pub fn load(samples: &'a Samples, map: &'a Standardisation, precision: Precision) -> Self {
        Self {
            loader: Loader::new(samples, map),
            level: Level::new(),
            buffers: match precision {
                Precision::F32 => Typed::Single(Buffers::new()),
                Precision::F64 => Typed::Double(Buffers::new()),
            },
        }
    }

    /// Restricts it to an instruction set, for tests of each. To be called before anything is evaluated.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn precision(&self) -> Precision {
        match self.buffers {
            Typed::Single(_) => Precision::F32,
            Typed::Double(_) => Precision::F64,
        }
    }
}

/// All rows in kernel order, if they are few enough.
fn hold<T: Real>(level: Level, loader: &Loader<'_>, blocks: SummationBlocks) -> Option<Aligned<T>> {
    let (n, d) = (loader.samples().len(), loader.samples().n_features());
    let panel = on_level!(level, simd => panel_of::<_, T>(simd));
    let numbers = n.next_multiple_of(panel) * d;
    if numbers * size_of::<T>() > HELD_BYTES {
        return None;
    }
    let mut held = Aligned::zeros(numbers);
    held.first_mut(numbers)
        .par_chunks_mut(blocks.rows_per_block() * d)
        .enumerate()
        .for_each_init(Workspace::<T>::default, |workspace, (b, x)| {
            on_level!(level, simd => hold_block(simd, loader, blocks.rows(b), workspace, x));
        });
    Some(held)
}

#[inline(always)]
fn panel_of<S: Simd, T: Real>(_: S) -> usize {
    panel_rows::<S, T>()
}

#[inline(always)]
fn hold_block<S: Simd, T: Real>(
    simd: S,
    loader: &Loader<'_>,
    rows: Range<usize>,
    workspace: &mut Workspace<T>,
    x: &mut [T],
) {
    let (d, panel) = (loader.samples().n_features(), panel_rows::<S, T>());
    loader.fill(simd, rows.clone(), panel, &mut workspace.by_rows, x);
    if loader.samples().weights().is_some() {
        let padded = x.len() / d;
        workspace.weights.reserve(padded);
        let weights = workspace.weights.first_mut(padded);
        loader.fill_weights(simd, rows, weights);
        clear_weightless(weights, d, panel, x);
    }
}

fn statistics<T: Real>(
    level: Level,
    loader: &Loader<'_>,
    buffers: &mut Buffers<T>,
    models: &[MaskedModel<'_>],
) -> Vec<Statistics> {
    let blocks = SummationBlocks::new(loader.samples().len());
    if buffers.held.is_none() {
        buffers.held = hold(level, loader, blocks);
    }
    let buffers = &*buffers;
    let lanes = on_level!(level, simd => lanes_of::<_, T>(simd));
    let mut results: Vec<Option<Statistics>> = vec![None; models.len()];
    for (strands, group) in groups(blocks, models) {
        let prepared: Vec<(Prepared<T>, Option<&BlockMask>)> = group
            .iter()
            .map(|&m| (Prepared::new(models[m].components, lanes), models[m].mask))
            .collect();
        let zero: Vec<Statistics> = group
            .iter()
            .map(|&m| zero_of(models[m].components))
            .collect();
        let pass = Pass {
            loader,
            held: buffers.held.as_ref(),
            blocks,
            models: &prepared,
        };
        let sums = strands::sum_strands(blocks, strands, &zero, |strand, sums| {
            buffers.with_workspace(
                |workspace| on_level!(level, simd => pass.add(simd, strand, workspace, sums)),
            );
            Ok::<(), Infallible>(())
        });
        let sums = sums.unwrap_or_else(|never| match never {});
        for ((m, mut sum), (model, _)) in group.into_iter().zip(sums).zip(&prepared) {
            model.shift(&mut sum);
            results[m] = Some(sum);
        }
    }
    // Every model is in exactly one group.
    results.into_iter().flatten().collect()
}

#[inline(always)]
fn lanes_of<S: Simd, T: Real>(_: S) -> usize {
    Vector::<S, T>::LEN
}

fn responsibilities<T: Real>(
    level: Level,
    loader: &Loader<'_>,
    buffers: &Buffers<T>,
    components: &Components,
    rows: Range<usize>,
    log_densities: &mut [f64],
    responsibilities: &mut [f64],
) {
    let lanes = on_level!(level, simd => lanes_of::<_, T>(simd));
    let model = Prepared::<T>::new(components, lanes);
    log_densities
        .par_chunks_mut(CHUNK)
        .zip(responsibilities.par_chunks_mut(CHUNK * model.k))
        .enumerate()
        .for_each(|(chunk, (log_densities, shares))| {
            let start = rows.start + chunk * CHUNK;
            let rows = start..start + log_densities.len();
            buffers.with_workspace(|workspace| {
                on_level!(level, simd => pass::responsibilities(
                    simd, loader, &model, rows, workspace, log_densities, shares,
                ));
            });
        });
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
            precision: self.precision(),
            threads: rayon::current_num_threads(),
        }
    }

    fn blocks(&self) -> SummationBlocks {
        SummationBlocks::new(self.loader.samples().len())
    }

    fn statistics(&mut self, models: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError> {
        let (level, loader) = (self.level, &self.loader);
        Ok(match &mut self.buffers {
            Typed::Single(buffers) => statistics(level, loader, buffers, models),
            Typed::Double(buffers) => statistics(level, loader, buffers, models),
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
        let (level, loader) = (self.level, &self.loader);
        match &self.buffers {
            Typed::Single(buffers) => self::responsibilities(
                level,
                loader,
                buffers,
                components,
                rows,
                log_densities,
                responsibilities,
            ),
            Typed::Double(buffers) => self::responsibilities(
                level,
                loader,
                buffers,
                components,
                rows,
                log_densities,
                responsibilities,
            ),
        }
        Ok(())
    }
}
