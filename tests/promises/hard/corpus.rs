//! Data that fits stumble over, each with what is expected of it.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};
use wgmm::data::{DataError, Samples};

use crate::scikit_learn;

/// What a fit of a case must be, on the reference and in double precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    /// A mixture.
    Fit,
    /// A mixture that was repaired.
    Repaired,
    /// This sentence.
    Error(&'static str),
}

/// Samples that are hard to fit with K components.
#[derive(Clone, Debug)]
pub(super) struct Hard {
    pub(super) name: &'static str,
    pub(super) k: usize,
    d: usize,
    values: Vec<f64>,
    weights: Option<Vec<f64>>,
    pub(super) expected: Expected,
}

impl Hard {
    pub(super) fn samples(&self) -> Result<Samples, DataError> {
        let samples = Samples::new(self.values.clone(), self.d)?;
        match &self.weights {
            Some(weights) => samples.with_weights(weights.clone()),
            None => Ok(samples),
        }
    }

    fn weighted(mut self, weight: impl Fn(usize) -> f64) -> Self {
        let rows = self.values.len() / self.d;
        self.weights = Some((0..rows).map(weight).collect());
        self
    }

    fn repaired(mut self) -> Self {
        self.expected = Expected::Repaired;
        self
    }

    fn error(mut self, sentence: &'static str) -> Self {
        self.expected = Expected::Error(sentence);
        self
    }
}

/// Random numbers with a seed.
struct Draw(ChaCha8Rng);

impl Draw {
    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }
}

/// N rows of D values, by row number and from random numbers of its own seed.
fn rows<const D: usize>(n: usize, mut row: impl FnMut(&mut Draw, usize) -> [f64; D]) -> Vec<f64> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(n as u64));
    (0..n).flat_map(|i| row(&mut draw, i)).collect()
}

fn case(name: &'static str, k: usize, d: usize, values: Vec<f64>) -> Hard {
    Hard {
        name,
        k,
        d,
        values,
        weights: None,
        expected: Expected::Fit,
    }
}

/// Two groups of two features, ten deviations apart.
fn groups(n: usize) -> Vec<f64> {
    rows(n, |draw, i| {
        [(i % 2) as f64 * 10.0 + draw.normal(), draw.normal()]
    })
}

/// The corpus.
pub(super) fn corpus() -> Vec<Hard> {
    [
        few_rows(),
        ties(),
        columns(),
        magnitudes(),
        shapes(),
        weights(),
    ]
    .concat()
}

/// Fewer rows, or fewer different ones, than a fit would like.
fn few_rows() -> Vec<Hard> {
    let constant = "column \"0\" is constant (5); leave it out with --columns";
    let equal = || vec![5.0; 20];
    let but_one = || rows(20, |_, i| if i == 7 { [1.0, 2.0] } else { [5.0, 6.0] });
    let twelve = || rows(12, |draw, _| [draw.normal(), draw.normal()]);
    let twice = || rows(12, |_, i| [(i / 2) as f64, ((i / 2) as f64).sin()]);
    vec![
        case("a single row", 1, 2, vec![5.0, 6.0]).error(constant),
        case("a single row", 2, 2, vec![5.0, 6.0])
            .error("-k 2, but only 1 rows are distinct; lower -k"),
        case("equal rows", 1, 2, equal()).error(constant),
        case("equal rows", 2, 2, equal()).error("-k 2, but only 1 rows are distinct; lower -k"),
        case("all but one equal", 1, 2, but_one()),
        case("all but one equal", 2, 2, but_one()).repaired(),
        case("all but one equal", 3, 2, but_one())
            .error("-k 3, but only 2 rows are distinct; lower -k"),
        case("fewer rows than K", 13, 2, twelve())
            .error("-k 13, but only 12 rows are distinct; lower -k"),
        case("K = N", 12, 2, twelve()).repaired(),
        case("K = N, every row twice", 12, 2, twice())
            .error("-k 12, but only 6 rows are distinct; lower -k"),
        case("K = N/2, every row twice", 6, 2, twice()).repaired(),
        case("scikit-learn 30382", 1, 1, vec![9999.0, 0.0]),
        case("scikit-learn 30382", 2, 1, vec![9999.0, 0.0]).repaired(),
    ]
}

/// Integers, many of them equal.
fn ties() -> Vec<Hard> {
    let counts = rows(3000, |draw, i| {
        let mean = [0.5, 4.0, 30.0][i % 3];
        [Poisson::new(mean).expect("positive").sample(&mut draw.0)]
    });
    let names = ["delay", "distance"].map(str::to_owned);
    let flights = scikit_learn::columns("flights", &names);
    let flags = rows(500, |draw, i| {
        [(i % 2) as f64, f64::from(u8::from(draw.normal() > 1.0))]
    });
    let rare = rows(3000, |draw, i| {
        [f64::from(u8::from(i % 1000 == 7)), draw.normal()]
    });
    vec![
        case("counts", 1, 1, counts.clone()),
        case("counts", 4, 1, counts),
        case("flights", 2, 2, flights.clone()),
        case("flights", 8, 2, flights),
        case("two flags", 3, 2, flags),
        case("a rare flag", 1, 2, rare.clone()),
        case("a rare flag", 3, 2, rare),
    ]
}

/// Columns that hardly vary or that others determine.
fn columns() -> Vec<Hard> {
    let mixed = |column: fn(&mut Draw, f64) -> f64| {
        rows(300, |draw, i| {
            let x = (i % 3) as f64 * 5.0 + draw.normal();
            [x, column(draw, x)]
        })
    };
    let same = rows(300, |draw, i| {
        let x = (i % 3) as f64 * 5.0 + draw.normal();
        [x, draw.normal(), x]
    });
    let linear = rows(400, |draw, i| {
        let (x, y, z) = (
            draw.normal(),
            (i % 2) as f64 * 6.0 + draw.normal(),
            draw.normal(),
        );
        [x, y, 2.0 * x - y + 3.0, z]
    });
    vec![
        case("a constant column", 2, 2, mixed(|_, _| 7.5))
            .error("column \"1\" is constant (7.5); leave it out with --columns"),
        case(
            "1 + 1e-9",
            3,
            2,
            mixed(|draw, _| 1.0 + 1e-9 * draw.normal()),
        ),
        case(
            "1 + 1e-15",
            3,
            2,
            mixed(|draw, _| 1.0 + 1e-15 * draw.normal()),
        ),
        case(
            "1e8 + 1e-6",
            3,
            2,
            mixed(|draw, _| 1e8 + 1e-6 * draw.normal()),
        ),
        case("two identical columns", 3, 3, same.clone()),
        case("two identical columns", 1, 3, same),
        case("a multiple of a column", 3, 2, mixed(|_, x| -3e7 * x)),
        case(
            "nearly a multiple of a column",
            3,
            2,
            mixed(|draw, x| x + 1e-7 * draw.normal()),
        ),
        case("a linear function of columns", 2, 4, linear.clone()),
        case("a linear function of columns", 5, 4, linear),
    ]
}

/// Numbers near the limits of single and double precision.
fn magnitudes() -> Vec<Hard> {
    let scaled = |scale: f64| groups(200).iter().map(|x| x * scale).collect::<Vec<f64>>();
    let outlier = |at: f64| {
        let mut values = groups(200);
        values[14] = at;
        values
    };
    let spread = rows(200, |draw, i| {
        [draw.normal(), 10f64.powi(150 + (i % 151) as i32)]
    });
    let subnormal = rows(200, |draw, _| [draw.normal(), 1e-310 * draw.normal()]);
    let among = rows(200, |draw, i| {
        [
            draw.normal(),
            if i % 2 == 0 { 1e-310 } else { draw.normal() },
        ]
    });
    vec![
        case("an outlier at 1e20", 1, 2, outlier(1e20)),
        case("an outlier at 1e20", 3, 2, outlier(1e20)),
        case("an outlier at -1e120", 3, 2, outlier(-1e120)),
        case("near the limit of f32", 2, 2, scaled(1e37)),
        case("beyond the limit of f32", 2, 2, scaled(1e39)),
        case("below the least f32", 2, 2, scaled(1e-46)),
        case("1e148", 2, 2, scaled(1e148)),
        case("1e-148", 2, 2, scaled(1e-148)),
        case("1e150 to 1e300", 2, 2, spread).error(
            "column \"1\" varies by 7.085e298, whose square double precision cannot hold; rescale it first",
        ),
        case("subnormal numbers", 2, 2, subnormal).error(
            "column \"1\" varies by 1.058e-310, whose square double precision cannot hold; rescale it first",
        ),
        case("subnormal numbers among others", 3, 2, among),
    ]
}

/// Clusters and covariances of awkward shapes.
fn shapes() -> Vec<Hard> {
    let wide = rows(5, |draw, _| {
        std::array::from_fn::<f64, 10, _>(|_| draw.normal())
    });
    let tight = rows(600, |draw, i| {
        let scale = if i % 2 == 0 { 1.0 } else { 1e-6 };
        [scale * draw.normal(), scale * draw.normal() + 0.5]
    });
    // Eigenvalues 1 and 1e-9, turned by 30°.
    let condition = rows(1000, |draw, i| {
        let (a, b) = (
            (i % 2) as f64 * 8.0 + draw.normal(),
            1e-9f64.sqrt() * draw.normal(),
        );
        [0.75f64.sqrt() * a - 0.5 * b, 0.5 * a + 0.75f64.sqrt() * b]
    });
    // Beside rows that weigh 2e8, three on a slanted line: they vary 1e8 times more than the data as a whole, and the
    // floor across their line is below the last places of their covariance.
    let mut far = groups(200);
    far.extend([1e8, 3.7e8, -1e8, 2.3e8, 2e8, 4.4e8]);
    let linfa = rows(300, |draw, i| {
        std::array::from_fn::<f64, 70, _>(|_| (i % 2) as f64 + 1e-5 * draw.normal())
    });
    vec![
        case("D > N", 1, 10, wide.clone()),
        case("D > N", 2, 10, wide.clone()),
        case("D > N, K = N", 5, 10, wide).repaired(),
        case("one cluster 1e6 times tighter", 2, 2, tight.clone()),
        case("one cluster 1e6 times tighter", 4, 2, tight),
        case("scikit-learn 29989", 1, 2, condition.clone()),
        case("scikit-learn 29989", 2, 2, condition),
        case("far rows on a line", 2, 2, far).weighted(|i| if i < 200 { 1e6 } else { 1.0 }),
        case("linfa 443", 1, 70, linfa.clone()),
        case("linfa 443", 2, 70, linfa),
    ]
}

/// Weights far from 1.
fn weights() -> Vec<Hard> {
    let weighted =
        |name, weight: &dyn Fn(usize) -> f64| case(name, 2, 2, groups(200)).weighted(weight);
    vec![
        weighted("most rows weigh 0", &|i| f64::from(u8::from(i % 20 < 2))),
        weighted("two rows weigh something", &|i| f64::from(u8::from(i < 2))).repaired(),
        weighted("one row weighs something", &|i| f64::from(u8::from(i < 1)))
            .error("-k 2, but only 1 rows are distinct; lower -k"),
        weighted("no row weighs anything", &|_| 0.0).error("all weights are 0: no row counts"),
        weighted("weights of 1e-320", &|_| 1e-320).error(
            "weights sum to 2.0e-318, which double precision cannot work with; rescale them first",
        ),
        weighted("weights of 1e-300", &|_| 1e-300).error(
            "weights sum to 2.0e-298, which double precision cannot work with; rescale them first",
        ),
        weighted("weights of 1e300", &|_| 1e300).error(
            "weights sum to 2.0e302, which double precision cannot work with; rescale them first",
        ),
        weighted("weights of 1e308", &|_| 1e308).error(
            "weights sum to inf, which double precision cannot work with; rescale them first",
        ),
        weighted("weights of 1e-240", &|_| 1e-240),
        weighted("weights of 1e240", &|_| 1e240),
        weighted("weights of 1e-40", &|_| 1e-40),
        weighted("weights of 1e40", &|_| 1e40),
        weighted("weights from 1e-200 to 1e198", &|i| {
            10f64.powi(2 * i as i32 - 200)
        }),
        weighted("weights of 1e-300 and 1e240", &|i| {
            if i % 4 < 2 { 1e-300 } else { 1e240 }
        }),
    ]
}
