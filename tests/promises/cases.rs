//! Named data sets with fixed seeds, the mixtures they were drawn from, and starts near these.
//!
//! Every case is small enough for the textbook's N × K numbers, except those with 100,003 rows. Random numbers
//! come from ChaCha8, whose stream never changes between releases.

mod recipe;

use wgmm::data::Samples;
use wgmm::mixture::{CovarianceType, Covariances, Mixture};

use crate::textbook::{Kind, Matrix, Parameters, Table, constrained};
use recipe::{Axes, Recipe};

/// Samples with the mixture they were drawn from and a start near it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What is particular about it.
    pub name: String,
    /// D.
    pub d: usize,
    /// N × D values by rows.
    pub values: Vec<f64>,
    /// N weights.
    pub weights: Option<Vec<f64>>,
    /// The mixture the samples were drawn from, full covariances.
    pub truth: Parameters,
    /// The truth with every mean moved by 0.3 σ.
    pub start: Parameters,
}

impl Case {
    /// N.
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.d
    }

    /// K of the start.
    pub(crate) fn k(&self) -> usize {
        self.start.weights.len()
    }

    /// The samples for the textbook.
    pub(crate) fn table(&self) -> Table<'_> {
        Table {
            values: &self.values,
            d: self.d,
            weights: self.weights.as_deref(),
        }
    }

    /// The samples for the crate.
    pub(crate) fn samples(&self) -> Samples {
        let samples = Samples::new(self.values.clone(), self.d).expect("the values are finite");
        match &self.weights {
            Some(weights) => samples.with_weights(weights.clone()),
            None => Ok(samples),
        }
        .expect("one weight a row, not all 0")
    }

    /// The start with its covariances constrained.
    pub(crate) fn start(&self, kind: Kind) -> Parameters {
        constrained(&self.start, kind)
    }
}

/// The crate's name of a constraint, as the textbook's.
pub(crate) fn kind_of(covariance_type: CovarianceType) -> Kind {
    match covariance_type {
        CovarianceType::Full => Kind::Full,
        CovarianceType::Tied => Kind::Tied,
        CovarianceType::Diag => Kind::Diag,
        CovarianceType::Spherical => Kind::Spherical,
    }
}

/// The textbook's mixture as the crate's.
pub(crate) fn mixture(p: &Parameters, kind: Kind) -> Mixture {
    let d = p.means[0].len();
    let flat = |s: &Matrix| s.concat();
    let covariances = match kind {
        Kind::Full => Covariances::Full(p.covariances.iter().flat_map(flat).collect()),
        Kind::Tied => Covariances::Tied(flat(&p.covariances[0])),
        Kind::Diag => Covariances::Diag(
            (p.covariances.iter())
                .flat_map(|s| (0..d).map(|j| s[j][j]))
                .collect(),
        ),
        Kind::Spherical => Covariances::Spherical(p.covariances.iter().map(|s| s[0][0]).collect()),
    };
    Mixture::new(p.weights.clone(), p.means.concat(), d, covariances)
        .expect("the textbook's covariances are positive definite")
}

/// The features, components and rows of the promised matrix.
const MATRIX_D: [usize; 7] = [1, 2, 3, 5, 10, 17, 32];
const MATRIX_K: [usize; 5] = [1, 2, 4, 7, 33];
const MATRIX_N: [usize; 7] = [1, 2, 63, 64, 65, 1_000, 100_003];

/// How many σ the means of a well-conditioned mixture may lie apart in a feature: beyond, the digits of a
/// whitened coordinate go into its size.
const ACROSS: f64 = 16.0;

/// The promised matrix of (D, K, N), weighted and not, all well conditioned: covariances of condition 4, each
/// with axes of its own. Thinned to one N and one weighting for each (D, K),
/// every N five times, unless the environment variable `WGMM_FULL` is 1 (`tests/run --full`).
pub(crate) fn matrix() -> impl Iterator<Item = Case> {
    let full = is_full();
    let grid = |lengths: [usize; 4]| {
        let total: usize = lengths.iter().product();
        (0..total).map(move |mut at| {
            lengths.map(|length| {
                let index = at % length;
                at /= length;
                index
            })
        })
    };
    grid([MATRIX_D.len(), MATRIX_K.len(), MATRIX_N.len(), 2])
        .filter(move |&[d, k, n, w]| full || (n == (d + 2 * k) % 7 && w == (d + k) % 2))
        .map(|[d, k, n, w]| {
            let mut recipe = Recipe::new(MATRIX_D[d], MATRIX_K[k], MATRIX_N[n]);
            recipe.seed = (1_000 + 100 * d + 10 * k + n) as u64;
            recipe.condition = Some((4.0, Axes::Own));
            let across = (MATRIX_K[k] as f64).powf(1.0 / MATRIX_D[d] as f64);
            recipe.separation = [1.0, 3.0, 8.0f64][(d + k + n) % 3].min(ACROSS / across);
            match w {
                0 => recipe.plain("plain"),
                _ => recipe.weighted(),
            }
        })
}

/// Every number of features up to 80 with every number of components up to 70, of few rows, odd numbers among them;
/// well conditioned as in [`matrix`]. Thinned to one K for each D and one D for each K, unless `WGMM_FULL` is 1.
pub(crate) fn sizes() -> impl Iterator<Item = Case> {
    let full = is_full();
    // Steps of 9, which has no factor in common with 70, meet every K.
    let wanted = move |d: usize, k: usize| full || k == 9 * d % 70 + 1;
    (1..=80)
        .flat_map(|d| (1..=70).map(move |k| (d, k)))
        .filter(move |&(d, k)| wanted(d, k))
        .map(|(d, k)| {
            let mut recipe = Recipe::new(d, k, 1 + (7 * d + 31 * k) % 140);
            recipe.seed = (100 * d + k) as u64;
            recipe.condition = Some((4.0, Axes::Own));
            let across = (k as f64).powf(1.0 / d as f64);
            recipe.separation = [1.0, 3.0, 8.0f64][(d + k) % 3].min(ACROSS / across);
            match (d + k) % 2 {
                0 => recipe.plain("plain"),
                _ => recipe.weighted(),
            }
        })
}

/// More components and features than any kernel holds at once.
pub(crate) fn wide() -> Case {
    let recipe = Recipe::new(64, 1_024, 300);
    Recipe { seed: 12, ..recipe }.plain("wide")
}

/// A plain case for promises about something else than numbers.
pub(crate) fn ordinary(d: usize, k: usize, n: usize) -> Case {
    let recipe = Recipe::new(d, k, n);
    Recipe { seed: 13, ..recipe }.plain("ordinary")
}

/// Whether `tests/run --full` asks for everything.
pub(crate) fn is_full() -> bool {
    std::env::var_os("WGMM_FULL").is_some_and(|value| value == "1")
}

/// The cases that have a difficulty of their own.
pub(crate) fn hard() -> Vec<Case> {
    let seeded = |recipe: Recipe, seed| Recipe { seed, ..recipe };
    let conditioned = |recipe: Recipe, axes| Recipe {
        condition: Some((1e6, axes)),
        ..recipe
    };
    vec![
        seeded(Recipe::new(3, 4, 1_237), 1).offset(1e4),
        seeded(Recipe::new(3, 4, 1_237), 2).offset(1e6),
        conditioned(seeded(Recipe::new(4, 3, 1_237), 3), Axes::Common)
            .plain("condition 1e6, common axes"),
        conditioned(seeded(Recipe::new(4, 3, 1_237), 4), Axes::Own)
            .plain("condition 1e6, own axes"),
        seeded(Recipe::new(3, 3, 1_237), 5)
            .mapped("scales 1e-3 to 1e6", |j| ([1e-3, 10.0, 1e6][j], 0.0)),
        seeded(Recipe::new(5, 1, 6), 6).plain("N = D + 1"),
        seeded(Recipe::new(1, 3, 811), 7).plain("one feature"),
        seeded(Recipe::new(4, 1, 811), 8).plain("one component"),
        seeded(Recipe::new(2, 3, 4_099), 9).weighted(),
        duplicates(seeded(Recipe::new(2, 2, 50), 10), 7),
        with_an_empty_component(seeded(Recipe::new(3, 2, 811), 11)),
    ]
}

/// Every row `times` times.
fn duplicates(recipe: Recipe, times: usize) -> Case {
    let mut case = recipe.plain("duplicates");
    let rows = case.values.chunks_exact(case.d);
    case.values = rows.flat_map(|row| row.repeat(times)).collect();
    case
}

/// A start with one component more, 1,000 σ away from every row: its responsibilities, e^(−500,000), are 0.
fn with_an_empty_component(recipe: Recipe) -> Case {
    let mut case = recipe.plain("an empty component");
    let start = &mut case.start;
    start.weights.iter_mut().for_each(|w| *w *= 0.75);
    start.weights.push(0.25);
    start.means.push(vec![1e3; case.d]);
    start.covariances.push(start.covariances[0].clone());
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::textbook::{cholesky, whiten};

    #[test]
    fn starts_are_three_tenths_of_a_sigma_from_the_truth() {
        for case in hard() {
            for k in 0..case.truth.weights.len() {
                let (truth, start) = (&case.truth, &case.start);
                let step = whiten(
                    &cholesky(&truth.covariances[k]),
                    &start.means[k],
                    &truth.means[k],
                );
                let length = step.iter().map(|z| z * z).sum::<f64>().sqrt();
                // An offset of 1e6 leaves means 1e-10 σ; the condition multiplies by 1e3.
                assert!((length - 0.3).abs() < 1e-6, "{}: {length}", case.name);
            }
        }
    }

    #[test]
    fn the_hard_cases_are_hard() {
        let cases = hard();
        let case = |name: &str| {
            let found = cases.iter().find(|case| case.name.starts_with(name));
            found.unwrap_or_else(|| panic!("no case {name}"))
        };
        assert!(
            case("offset 1e6")
                .values
                .iter()
                .all(|x| (x - 1e6).abs() < 20.0)
        );
        assert_eq!(case("N = D + 1").len(), case("N = D + 1").d + 1);
        let scales = &case("scales").truth.covariances[0];
        assert!((scales[2][2] / scales[0][0]).sqrt() > 1e8);
        let rows = case("duplicates").values.chunks_exact(2);
        let mut distinct: Vec<&[f64]> = rows.collect();
        distinct.dedup();
        assert_eq!((distinct.len(), case("duplicates").len()), (50, 350));
        for name in ["condition 1e6, common", "condition 1e6, own"] {
            // λ_min⁻¹ ≤ trace of Σ⁻¹ ≤ 4 λ_min⁻¹ with L⁻¹ found column by column, and λ_max is 1.
            let l = cholesky(&case(name).truth.covariances[0]);
            let unit = |j| {
                (0..4)
                    .map(|i| f64::from(u8::from(i == j)))
                    .collect::<Vec<_>>()
            };
            let columns = (0..4).map(|j| whiten(&l, &unit(j), &[0.0; 4]));
            let trace: f64 = columns.flatten().map(|x| x * x).sum();
            assert!((1e6..1.1e6).contains(&trace), "{name}: {trace}");
        }
    }

    #[test]
    fn the_sizes_hold_every_number_of_features_and_of_components() {
        let (mut features, mut components) = (Vec::new(), Vec::new());
        for case in sizes() {
            features.push(case.d);
            components.push(case.k());
        }
        for (mut found, most) in [(features, 80), (components, 70)] {
            found.sort_unstable();
            found.dedup();
            assert!(found.into_iter().eq(1..=most));
        }
    }

    #[test]
    fn the_matrix_is_the_same_each_time_and_holds_every_size() {
        let sizes = |case: &Case| (case.d, case.k(), case.len());
        let (mut rows, mut shapes) = (Vec::new(), Vec::new());
        for (a, b) in matrix().zip(matrix()).filter(|(a, _)| a.len() <= 1_000) {
            assert_eq!(
                (&a.values, &a.weights),
                (&b.values, &b.weights),
                "{}",
                a.name
            );
            rows.push(a.len());
            shapes.push((sizes(&a).0, sizes(&a).1));
        }
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows, MATRIX_N[..6]);
        shapes.sort_unstable();
        shapes.dedup();
        assert!(shapes.len() >= 30);
    }
}
