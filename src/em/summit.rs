//! Whether the point where accelerated steps ended is a maximum, and the ways up where it is none.
//!
//! Where two components lie on the same samples, the likelihood has a saddle: EM stays near it for hundreds of
//! iterations before it goes on. No gradient there says so, but the Hessian has a negative curvature, and to both sides
//! along its direction the likelihood rises.

use super::chart::{Chart, Layout};
use super::hessian::{self, Curvature, Inverse};
use crate::backend::Components;
use crate::data::{Samples, Standardisation};

/// How far the ways up are followed, as [`Chart::size`] counts.
const LENGTHS: [f64; 2] = [0.1, 0.5];
/// The Hessian of a part of the rows costs at most this many passes over all, and is not made from fewer rows a
/// parameter. From more than so many, and so many a parameter, the fits of `benches/solution` take as many passes; from
/// fewer some took flat directions for steep ones and ended early.
const PASSES: f64 = 0.5;
const PASSES_WHERE_STEPS_CREPT: f64 = 2.0;
const LEAST_ROWS: usize = 20;
const MOST_ROWS: usize = 500;
const MOST_ROWS_AT_LEAST: usize = 20_000;
/// That of all rows, where no part of them was looked at, takes at most so many products: a tenth of a second.
const PRODUCTS: f64 = 1e8;

/// What a look at the curvature finds.
#[derive(Debug)]
pub(super) struct Summit {
    pub(super) chart: Chart,
    pub(super) inverse: Inverse,
    /// Parameters on both sides of a saddle; none at a maximum.
    pub(super) sides: Vec<Components>,
}

/// How many of a subsample's `rows` rows to look at on the way to a fit to `all` rows; 0 where that is dearer than
/// what it tells.
pub(super) fn rows_of_part(layout: Layout, rows: usize, all: usize) -> usize {
    affordable(layout, rows, PASSES * all as f64)
}

/// The same where steps over all rows crept.
pub(super) fn rows_where_steps_crept(layout: Layout, all: usize) -> usize {
    affordable(layout, all, PASSES_WHERE_STEPS_CREPT * all as f64)
}

/// How many of `rows` rows to look at for the price of `price` rows' statistics.
fn affordable(layout: Layout, rows: usize, price: f64) -> usize {
    let most = MOST_ROWS_AT_LEAST.max(MOST_ROWS * layout.len());
    let looked_at = ((price / hessian::cost(layout)) as usize)
        .min(rows)
        .min(most);
    if looked_at < LEAST_ROWS * layout.len() {
        0
    } else {
        looked_at
    }
}

/// How many of all rows to look at, where no part of them was: all or none.
pub(super) fn rows_of_all(layout: Layout, rows: usize) -> usize {
    let parameters = layout.len() as f64;
    if parameters * parameters * rows as f64 <= PRODUCTS {
        rows
    } else {
        0
    }
}

/// Looks at the curvature of the first `rows` samples' likelihood; `None` where f64 cannot hold it.
pub(super) fn look(
    at: &Components,
    samples: &Samples,
    map: &Standardisation,
    rows: usize,
) -> Option<Summit> {
    let chart = Chart::about(at);
    let Curvature { inverse, downhill } = hessian::curvature(&chart, at, samples, map, rows)?;
    let follow = |direction: Vec<f64>| {
        let size = chart.size(&direction);
        let lengths = LENGTHS.iter().flat_map(|length| [*length, -length]);
        let sides = lengths.filter_map(|length| {
            let z: Vec<f64> = direction.iter().map(|x| x * length / size).collect();
            chart.components(&z)
        });
        sides.collect()
    };
    let sides = downhill.map(follow).unwrap_or_default();
    Some(Summit {
        chart,
        inverse,
        sides,
    })
}

#[cfg(test)]
mod tests {
    use super::super::chart::tests::statistics_of;
    use super::*;
    use crate::mixture::{CovarianceType, Covariances, Mixture};

    #[test]
    fn two_in_the_middle_have_ways_up_and_one_at_its_moments_has_none() {
        // Two groups about −2 and 2: mean 0, variance 4.25.
        let values: Vec<f64> = (0..400).map(|i| [-2.5, -1.5, 1.5, 2.5][i % 4]).collect();
        let samples = Samples::new(values, 1).expect("finite");
        let map = Standardisation::identity(1);
        let at = |means: &[f64], variance: f64| {
            let k = means.len();
            let covariances = Covariances::Full(vec![variance; k]);
            let weights = vec![1.0 / k as f64; k];
            let mixture = Mixture::new(weights, means.to_vec(), 1, covariances);
            Components::from_mixture(&mixture.expect("a mixture"), &map)
        };
        let sides = |c: &Components| look(c, &samples, &map, 400).expect("finite").sides;
        assert!(sides(&at(&[0.0], 4.25)).is_empty());
        assert!(sides(&at(&[-2.0, 2.0], 0.25)).is_empty());
        // Narrow ones explain the rows better the further they are apart.
        let middle = at(&[-0.1, 0.1], 1.0);
        let value = |c: &Components| statistics_of(&samples, c, &map).log_likelihood;
        let ways = sides(&middle);
        assert_eq!(ways.len(), 4);
        assert!(ways.iter().any(|side| value(side) > value(&middle)));
    }

    #[test]
    fn a_look_costs_no_more_than_it_tells() {
        let layout = |d, k| Layout::new(CovarianceType::Full, d, k, false);
        // P = 24 coordinates, 6 of a component's own: 15 evaluations of the rows looked at.
        assert_eq!(rows_of_part(layout(2, 4), 10_000, 1_000_000), 10_000);
        assert_eq!(rows_of_part(layout(2, 4), 100_000, 1_000_000), 20_000);
        assert_eq!(rows_of_part(layout(2, 4), 100_000, 60_000), 2_000);
        assert_eq!(rows_of_part(layout(10, 20), 50_000, 1_000_000), 0);
        assert_eq!(rows_of_all(layout(2, 4), 5_000), 5_000);
        assert_eq!(rows_of_all(layout(10, 20), 5_000), 0);
    }
}
