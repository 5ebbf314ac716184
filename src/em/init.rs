//! Starts: responsibilities or labels turned into parameters by the update rules of every other iteration.
//!
//! All starts are made on the host in f64 from one random stream, so every device begins alike; a GPU helps k-means to
//! find nearest centres where they are many.

use std::collections::HashSet;

use rand::{Rng, RngExt, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::events::{Event, EventKind};
use super::kmeans::{self, Points};
use super::maximise::Past;
use super::options::{Init, Options};
use super::shuffle::Order;
use super::update::{self, Rules};
use crate::backend::gpu;
use crate::backend::{Components, NoiseBox, Statistics, SummationBlocks, strands};
use crate::data::{Samples, Standardisation};
use crate::mixture::triangle;

/// Random streams of a seed, one a purpose, so that one's use does not move another's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// Subsamples, k-means++ and rows as means; one a restart.
    Start(usize),
    /// Which of the worst explained rows a component starts anew on; one an iteration.
    Reseed(usize),
    /// Random responsibilities; one a restart and summation block.
    Responsibilities(usize, usize),
    /// The order of rows from which restarts and folds take theirs.
    Shuffle,
}

/// The generator of a seed's stream.
pub(super) fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match stream {
        Stream::Start(0) => 0,
        Stream::Start(restart) => (1 << 56) + restart as u64,
        Stream::Reseed(iteration) => (1 << 32) + iteration as u64,
        Stream::Responsibilities(restart, block) => {
            (1 << 40) + ((restart as u64) << 41) + block as u64
        }
        Stream::Shuffle => 1 << 57,
    });
    rng
}

/// Rows that k-means++ looks at, at least, and rows a component (all of them where there are fewer).
const SUBSAMPLE: usize = 10_000;
const ROWS_PER_COMPONENT: usize = 50;
/// The same, at most, for each of several starts, which make up for each other.
const SUBSAMPLE_OF_MANY: usize = 1_000;
const ROWS_PER_COMPONENT_OF_MANY: usize = 200;
/// The share of the samples that a noise component starts with.
const NOISE_WEIGHT: f64 = 0.1;
/// Places of the random order that are looked at at once, at least.
const PLACES: usize = 16_384;
/// Draws a component in search of distinct rows, before all rows are looked at.
const TRIES: usize = 4;

/// Start number `restart` in standardised units, and the components whose covariance it could not determine. A device that
/// is in use helps where it can.
pub(super) fn start(
    samples: &Samples,
    map: &Standardisation,
    options: &Options,
    restart: usize,
    device: Option<&gpu::Device>,
) -> Start {
    let mut start = match &options.init {
        Init::Model(mixture) => Start::at(Components::from_mixture(mixture, map), Past::default()),
        Init::Labels(labels) => {
            from_responsibilities(samples, map, options, restart, &|_, i, r| {
                r.fill(0.0);
                r[labels[i]] = 1.0;
            })
        }
        Init::Random => from_responsibilities(samples, map, options, restart, &|rng, _, r| {
            r.fill_with(|| rng.random::<f64>());
            let sum: f64 = r.iter().sum();
            r.iter_mut().for_each(|x| *x /= sum);
        }),
        Init::RandomFromData => from_rows(samples, map, options, restart),
        Init::KMeansPlusPlus => from_kmeans(samples, map, options, restart, device),
    };
    if options.noise || start.components.noise.is_some() {
        start.components = noisy(start.components, map);
    }
    start
}

/// The components and noise over the samples' box, which a model's own noise keeps its weight in.
fn noisy(mut components: Components, map: &Standardisation) -> Components {
    let (mut lower, mut upper) = map.extent();
    if let Some(space) = &mut components.noise {
        let wider = |ours: &mut [f64], theirs: &[f64], pick: fn(f64, f64) -> f64| {
            ours.iter_mut()
                .zip(theirs)
                .for_each(|(a, b)| *a = pick(*a, *b));
        };
        wider(&mut lower, &space.lower, f64::min);
        wider(&mut upper, &space.upper, f64::max);
        *space = NoiseBox::new(lower, upper, map);
        return components;
    }
    components
        .weights
        .iter_mut()
        .for_each(|w| *w *= 1.0 - NOISE_WEIGHT);
    components.and_noise(NoiseBox::new(lower, upper, map), NOISE_WEIGHT)
}

/// Parameters to begin with: standard Gaussians and the steps away from them, if the start is not a model.
pub(super) struct Start {
    /// Parameters before the steps.
    pub(super) components: Components,
    /// The steps, one a component, `None` for one without samples. Empty for a model.
    pub(super) steps: Vec<Option<update::Step>>,
    /// What was repaired on the way to it.
    pub(super) past: Past,
}

impl Start {
    /// Parameters as they are.
    pub(super) fn at(components: Components, past: Past) -> Self {
        Self {
            components,
            steps: Vec::new(),
            past,
        }
    }
}

/// Standard Gaussians: statistics in their whitened coordinates are plain moments.
fn standard(options: &Options, d: usize) -> Components {
    let k = options.n_components;
    let covariance_type = options.covariance_type;
    let mut components = Components {
        covariance_type,
        n_features: d,
        weights: vec![1.0 / k as f64; k],
        means: vec![0.0; k * d],
        factors: vec![0.0; k * covariance_type.factor_len(d)],
        noise: None,
    };
    let identity = triangle::identity(d);
    (0..k).for_each(|k| components.set_factor(k, &identity));
    components
}

fn from_moments(moments: &Statistics, options: &Options) -> Start {
    let mut components = standard(options, moments.n_features);
    for (w, s0) in components.weights.iter_mut().zip(&moments.s0) {
        *w = s0 / moments.weight;
    }
    let steps = update::steps(&components, moments, &Rules::default());
    Start {
        components,
        steps,
        past: Past::default(),
    }
}

/// One M-step from the responsibilities that `assign` writes for each row.
fn from_responsibilities(
    samples: &Samples,
    map: &Standardisation,
    options: &Options,
    restart: usize,
    assign: &(dyn Fn(&mut ChaCha8Rng, usize, &mut [f64]) + Sync),
) -> Start {
    let (k, d) = (options.n_components, samples.n_features());
    let blocks = SummationBlocks::new(samples.len());
    let zero = Statistics::zero(options.covariance_type, k, d);
    let sums = strands::sum_strands(
        blocks,
        strands::strands(blocks, zero.numbers()),
        std::slice::from_ref(&zero),
        |strand, sums| {
            let (mut row, mut r) = (vec![0.0; d], vec![0.0; k]);
            for b in strand {
                let mut rng = generator(options.seed, Stream::Responsibilities(restart, b));
                for i in blocks.rows(b) {
                    samples.copy_row(i, &mut row);
                    map.apply(&mut row);
                    assign(&mut rng, i, &mut r);
                    sums[0].add_row(samples.weight(i), &r, &row);
                }
            }
            Ok::<(), std::convert::Infallible>(())
        },
    );
    match sums {
        Ok(sums) => from_moments(&sums[0], options),
        Err(never) => match never {},
    }
}

/// K distinct rows as means, equal weights, the scale of the samples as a whole.
fn from_rows(samples: &Samples, map: &Standardisation, options: &Options, restart: usize) -> Start {
    let (k, d) = (options.n_components, samples.n_features());
    let mut rng = generator(options.seed, Stream::Start(restart));
    let mut components = standard(options, d);
    let mut seen = HashSet::new();
    let mut row = vec![0.0; d];
    // Mostly the first draws are distinct; where few rows are, all are looked at from a random one on.
    let draws: Vec<usize> = (0..TRIES * k)
        .map(|_| rng.random_range(0..samples.len()))
        .collect();
    let from = rng.random_range(0..samples.len());
    let all = (from..samples.len()).chain(0..from);
    for i in draws.into_iter().chain(all) {
        let found = seen.len();
        if found == k {
            break;
        }
        samples.copy_row(i, &mut row);
        // + 0.0 makes −0 the same as 0.
        let key: Vec<u64> = row.iter().map(|x| (x + 0.0).to_bits()).collect();
        if samples.weight(i) > 0.0 && seen.insert(key) {
            map.apply(&mut row);
            components.means[found * d..(found + 1) * d].copy_from_slice(&row);
        }
    }
    Start::at(components, Past::default())
}

/// k-means++ and a few Lloyd steps on a subsample; covariances of its clusters, drawn towards their pool by D + 1
/// rows' worth so that small clusters have one, too.
fn from_kmeans(
    samples: &Samples,
    map: &Standardisation,
    options: &Options,
    restart: usize,
    device: Option<&gpu::Device>,
) -> Start {
    let (k, d) = (options.n_components, samples.n_features());
    let mut rng = generator(options.seed, Stream::Start(restart));
    let mut rows = SUBSAMPLE.max(ROWS_PER_COMPONENT * k);
    if options.restarts > 1 {
        rows = rows.min(SUBSAMPLE_OF_MANY.max(ROWS_PER_COMPONENT_OF_MANY * k));
    }
    let points = subsample(samples, map, rows, &mut rng);
    let (labels, failure) = kmeans::labels(&points, k, &mut rng, device);
    let mut moments = Statistics::zero(options.covariance_type, k, d);
    let mut r = vec![0.0; k];
    for (i, &label) in labels.iter().enumerate() {
        r[label] = 1.0;
        moments.add_row(points.weights[i], &r, points.row(i));
        r[label] = 0.0;
    }
    let mut start = from_moments(&moments, options);
    let mut pooled = vec![0.0; triangle::packed_len(d)];
    for (w, step) in start.components.weights.iter().zip(&start.steps) {
        if let Some(step) = step {
            pooled
                .iter_mut()
                .zip(&step.covariance)
                .for_each(|(p, c)| *p += w * c);
        }
    }
    let rows = points.len() as f64 / moments.weight;
    let strength = (d + 1) as f64;
    for (step, s0) in start.steps.iter_mut().zip(&moments.s0) {
        if let Some(step) = step {
            let n = s0 * rows;
            for (c, p) in step.covariance.iter_mut().zip(&pooled) {
                *c = (n * *c + strength * p) / (n + strength);
            }
        }
    }
    start.past.events.extend(failure.map(|error| Event {
        iteration: 0,
        component: None,
        kind: EventKind::Device,
        reason: format!("{error}; the start was found on the CPU"),
    }));
    start
}

/// Rows of positive weight, chosen by their number among the n of them.
fn weighty(samples: &Samples, choose: impl FnOnce(usize) -> Vec<usize>) -> Vec<usize> {
    if samples.all_count() {
        return choose(samples.len());
    }
    let all: Vec<usize> = (0..samples.len())
        .filter(|&i| samples.weight(i) > 0.0)
        .collect();
    choose(all.len()).into_iter().map(|i| all[i]).collect()
}

/// At most `most` rows of positive weight in a random order: a prefix of it is a random subsample.
pub(super) fn shuffled(samples: &Samples, most: usize, seed: u64) -> Vec<usize> {
    let order = Order::new(samples.len(), &mut generator(seed, Stream::Shuffle));
    let most = most.min(samples.len());
    let mut rows = Vec::with_capacity(most);
    let mut place = 0;
    while rows.len() < most && place < samples.len() {
        // As many places as rows are wanted yet; one more look where some rows have no weight.
        let end = (place + (most - rows.len()).max(PLACES)).min(samples.len());
        let found = (place..end).into_par_iter().map(|place| order.row(place));
        if samples.all_count() {
            rows.par_extend(found);
        } else {
            rows.par_extend(found.filter(|&row| samples.weight(row) > 0.0));
        }
        place = end;
    }
    rows.truncate(most);
    rows
}

/// At most `most` rows of positive weight, drawn without replacement, standardised.
fn subsample(samples: &Samples, map: &Standardisation, most: usize, rng: &mut impl Rng) -> Points {
    let d = samples.n_features();
    let mut rows = weighty(samples, |n| {
        if n <= most {
            (0..n).collect()
        } else {
            index::sample(rng, n, most).into_vec()
        }
    });
    rows.sort_unstable();
    let mut values = vec![0.0; rows.len() * d];
    values
        .par_chunks_exact_mut(d)
        .zip(&rows)
        .for_each(|(point, &i)| {
            samples.copy_row(i, point);
            map.apply(point);
        });
    let weights = rows.iter().map(|&i| samples.weight(i)).collect();
    Points { values, weights, d }
}
