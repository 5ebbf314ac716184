//! The CPU path: rows in SIMD lanes, instruction set chosen at run time, blocks shared out over threads.
//!
//! Samples are standardised, rounded and transposed into panels of rows chunk by chunk; where that takes little memory
//! they stay so, once a few passes have shown that more will follow. So nothing but the samples themselves grows with N.
//! Threads are those of the rayon pool that the call runs in.

mod ahead;
mod diagonal;
mod fused;
mod gram;
mod held;
mod lane_sums;
mod level;
mod likelihoods;
mod loops;
mod moments;
mod monomials;
mod pass;
mod plan;
mod prepared;
mod products;
mod real;
mod rows;
mod scratch;
mod softmax;
mod strips;
mod sum_logarithm;
mod tied;
mod tiled;
mod vectors;
mod whiten;

use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use fearless_simd::{Level, prelude::*};
use rayon::prelude::*;

use self::held::Held;
use self::level::on_level;
pub(crate) use self::level::vectorized;
pub(crate) use self::loops::{COLUMNS, add_products, exponentials};
use self::pass::Pass;
use self::plan::TILE_ROWS;
use self::prepared::Prepared;
use self::real::Real;
use self::rows::Loader;
use self::scratch::Workspace;
pub(super) use self::strips::{STRIP, Scratch, Strips};
use self::vectors::Vector;
use super::{
    Backend, BackendError, BlockMask, Components, DeviceInfo, MaskedModel, Precision, Statistics,
    SummationBlocks, strands,
};
use crate::data::{Samples, Standardisation};

/// Of memory for rows in kernel order.
const HELD_BYTES: usize = 32 << 20;
/// Passes before rows are held: fresh memory for them costs as much as making them for one or two passes more (at D = 2;
/// at larger D both are small beside a pass), and a fit's last word in double is one pass.
const PASSES_BEFORE: usize = 2;

/// Evaluates mixtures on the CPU in single or double precision.
pub struct Cpu<'a> {
    loader: Loader<'a>,
    level: Level,
    /// Rows in kernel order are held between passes while they fit this.
    held_bytes: usize,
    buffers: Typed<Buffers<f32>, Buffers<f64>>,
}

/// One of two types, by precision.
enum Typed<A, B> {
    Single(A),
    Double(B),
}

/// What is kept between passes.
struct Buffers<T> {
    /// How many there were.
    passes: usize,
    /// Rows in kernel order, if all are few enough.
    held: Option<Held<T>>,
    /// One for each thread that is at work.
    workspaces: Mutex<Vec<Workspace<T>>>,
}

impl<T: Real> Buffers<T> {
    fn new() -> Self {
        Self {
            passes: 0,
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
            held_bytes: HELD_BYTES,
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

fn statistics<T: Real>(
    level: Level,
    loader: &Loader<'_>,
    held_bytes: usize,
    buffers: &mut Buffers<T>,
    models: &[MaskedModel<'_>],
) -> Vec<Statistics> {
    let blocks = SummationBlocks::new(loader.samples().len());
    if buffers.passes == PASSES_BEFORE {
        buffers.held = Held::new(loader, blocks, held_bytes);
    }
    buffers.passes += 1;
    let buffers = &*buffers;
    let lanes = on_level!(level, simd => lanes_of::<_, T>(simd));
    let mut results: Vec<Option<Statistics>> = vec![None; models.len()];
    let prepare = |m: usize| {
        let MaskedModel { components, mask } = models[m];
        let rows = mask.map_or(loader.samples().len(), |mask| mask.rows(blocks));
        Prepared::new(components, lanes, rows)
    };
    for (strands, group) in groups(blocks, models) {
        let prepared: Vec<(Prepared<T>, Option<&BlockMask>)> = group
            .iter()
            .map(|&m| (prepare(m), models[m].mask))
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
            moments::to_coordinates(model, models[m].components, &mut sum);
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
    // No moments are summed.
    let model = Prepared::<T>::new(components, lanes, 0);
    log_densities
        .par_chunks_mut(TILE_ROWS)
        .zip(responsibilities.par_chunks_mut(TILE_ROWS * model.k))
        .enumerate()
        .for_each(|(chunk, (log_densities, shares))| {
            let start = rows.start + chunk * TILE_ROWS;
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
            plan: None,
        }
    }

    fn blocks(&self) -> SummationBlocks {
        SummationBlocks::new(self.loader.samples().len())
    }

    fn statistics(&mut self, models: &[MaskedModel<'_>]) -> Result<Vec<Statistics>, BackendError> {
        let (level, loader, held) = (self.level, &self.loader, self.held_bytes);
        Ok(match &mut self.buffers {
            Typed::Single(buffers) => statistics(level, loader, held, buffers, models),
            Typed::Double(buffers) => statistics(level, loader, held, buffers, models),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::reference::Reference;
    use crate::data::Values;
    use crate::mixture::CovarianceType;

    const TYPES: [CovarianceType; 4] = [
        CovarianceType::Full,
        CovarianceType::Tied,
        CovarianceType::Diag,
        CovarianceType::Spherical,
    ];

    /// Numbers in [0, 1) without pattern: multiples of the golden ratio.
    fn number(i: usize) -> f64 {
        (i as f64 * 0.618_033_988_749_894_9).fract()
    }

    /// N × D values, some rows of weight 0.
    pub(super) fn samples(n: usize, d: usize, single: bool, weighted: bool) -> Samples {
        let values: Vec<f64> = (0..n * d).map(|i| 4.0 * number(i + i / 97) - 1.0).collect();
        let values = match single {
            true => Values::F32(values.iter().map(|x| *x as f32).collect()),
            false => Values::F64(values),
        };
        let samples = Samples::new(values, d).expect("finite");
        if !weighted {
            return samples;
        }
        let weight = |i: usize| if i % 5 == 2 { 0.0 } else { 0.5 + number(i) };
        let weights = (0..n).map(weight).collect();
        samples.with_weights(weights).expect("some are positive")
    }

    /// K components whose means lie up to `reach` from the origin.
    pub(super) fn components(
        covariance_type: CovarianceType,
        k: usize,
        d: usize,
        reach: f64,
    ) -> Components {
        let factor = |component: usize| {
            (0..d).flat_map(move |i| {
                let first = if covariance_type.is_diagonal() { i } else { 0 };
                (first..=i).map(move |j| match covariance_type {
                    CovarianceType::Spherical => 1.0 + number(component),
                    CovarianceType::Diag => 1.0 + number(component * d + i),
                    CovarianceType::Full | CovarianceType::Tied => {
                        f64::from(u8::from(i == j)) + 0.3 * number(component * d * d + i * d + j)
                    }
                })
            })
        };
        let own = |component: usize| match covariance_type {
            CovarianceType::Tied => 0,
            _ => component,
        };
        let mut components = Components {
            covariance_type,
            n_features: d,
            weights: vec![1.0 / k as f64; k],
            means: (0..k * d)
                .map(|i| reach * (2.0 * number(i) - 1.0))
                .collect(),
            factors: (0..k).flat_map(|c| factor(own(c))).collect(),
            noise: None,
        };
        components.round_to(Precision::F32);
        components
    }

    #[test]
    fn rows_held_in_kernel_order_change_no_bit() {
        // The last two have blocks of more than one chunk, the last of them shorter.
        for (d, n) in [
            (1, 777),
            (2, 1_500),
            (3, 20_003),
            (10, 1_301),
            (2, 140_001),
            (9, 140_001),
        ] {
            for (single, weighted) in [(false, false), (true, true), (false, true)] {
                let samples = samples(n, d, single, weighted);
                let map = Standardisation::of(&samples, CovarianceType::Full).expect("varied");
                let components = components(CovarianceType::Full, 3, d, 1.0);
                for level in level::all() {
                    for precision in [Precision::F32, Precision::F64] {
                        let statistics = |held_bytes: usize| {
                            let mut cpu = Cpu::load(&samples, &map, precision).with_level(level);
                            cpu.held_bytes = held_bytes;
                            let mut passes = (0..PASSES_BEFORE + 2).map(|_| {
                                cpu.statistics(&[(&components).into()]).expect("no device")
                            });
                            let first = passes.next().expect("a pass");
                            assert!(passes.all(|other| other == first));
                            first
                        };
                        let what = format!("{n} x {d}, {level:?}");
                        assert_eq!(statistics(0), statistics(HELD_BYTES), "{what}");
                    }
                }
            }
        }
    }

    /// Means near the origin are folded into a bias, those far from it subtracted; few components keep their
    /// coordinates and sums from step to step, many do not.
    #[test]
    fn every_way_to_evaluate_agrees_with_the_reference() {
        for (d, k, n) in [
            (2, 5, 700),
            (2, 90, 700),
            (9, 3, 700),
            (33, 40, 300),
            (64, 300, 70),
        ] {
            let samples = samples(n, d, false, true);
            let map = Standardisation::of(&samples, CovarianceType::Full).expect("varied");
            for (covariance_type, reach) in TYPES.into_iter().flat_map(|t| [(t, 1.0), (t, 90.0)]) {
                let components = components(covariance_type, k, d, reach);
                let model = [MaskedModel::from(&components)];
                let expected = Reference::load(&samples, &map).statistics(&model);
                let expected = &expected.expect("no device")[0];
                for level in level::all() {
                    let mut cpu = Cpu::load(&samples, &map, Precision::F64).with_level(level);
                    let found = &cpu.statistics(&model).expect("no device")[0];
                    let what = format!(
                        "{covariance_type:?}, {d} features, {k} components, {reach}, {level:?}"
                    );
                    // Coordinates are sums of D terms of size |U| |x - mean|, each right to an ulp; squares and their sums
                    // over rows are relative to their size, D reach² at most.
                    let size = 1.0 + d as f64 * reach * reach;
                    let allowed = 1e-14 * d as f64 * size * expected.weight;
                    let near = |part: &str, found: &[f64], expected: &[f64]| {
                        for (f, e) in found.iter().zip(expected) {
                            assert!((f - e).abs() <= allowed, "{what}: {part} {f}, not {e}");
                        }
                    };
                    near("S0", &found.s0, &expected.s0);
                    near("S1", &found.s1, &expected.s1);
                    near("S2", &found.s2, &expected.s2);
                    near("l", &[found.log_likelihood], &[expected.log_likelihood]);
                }
            }
        }
    }
}
