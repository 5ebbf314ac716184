//! Fits whose time per iteration is predicted, and what the formulas need at least.

use super::super::digits::Digits;
use super::super::generate;
use super::super::plan::{
    DeviceLimits, Groups, Plan, Regime, SampleLayout, Scoring, Tiles, Tiling,
};
use super::super::shape::{Shape, quads};
use super::super::stage::StageKey;
use super::super::staged;
use crate::mixture::CovarianceType::{self, Diag, Full, Spherical};
use crate::mixture::triangle;

/// The fewest instructions of one round of a stage's hot loop, as [`Shape::least_operations`].
pub(super) fn minimum(key: StageKey) -> Option<usize> {
    match key {
        StageKey::StatisticsRegisters {
            shape,
            weighted: false,
            rows_at_once,
            models: 1,
            near,
            ..
        } => Some(rows_at_once * shape.least_operations(near)),
        // Some rows under one component: features by fours and r, x - mu, S0 and the moments. Where those are all of a
        // slice, a row's scores, too: reads, the difference from the largest, its power and r; what they write.
        StageKey::StatisticsWorkgroup {
            shape,
            weighted: false,
            sharing,
            models: 1,
        } => {
            let Shape { d, k, .. } = shape;
            // Squared distances are left there and read again.
            let square = shape.is_spherical() as usize;
            let moments = quads(d) + 1 + d + 1 + shape.least_moments() + square;
            // Scores are the row's, or a written row's that its component's owner writes.
            let (of_row, of_written) = match sharing.owners {
                0 => (shape.least_score() + square, 0),
                _ => (1, quads(d) + shape.least_score() + 1 + square),
            };
            let row = match sharing.rounds() {
                1 => d + k * (of_row + 4) + 2 * (k - 1) + 4 + quads(d),
                _ => 0,
            };
            Some(row + sharing.written * (moments + of_written))
        }
        // Reads; the difference, the power, the largest and the sum; one write.
        StageKey::LogNormalisers {
            shape,
            hoisted: false,
            ..
        } => Some(shape.d + shape.k * (shape.least_score() + 2) + 2 * (shape.k - 1) + 1),
        StageKey::StatisticsGroups {
            shape,
            hoisted: false,
            ..
        } => Some(
            shape.d
                + 1
                + shape.k * (shape.least_score() + Shape::LEAST_SHARE + shape.least_moments()),
        ),
        // Reads and differences, U, squares, the score, which is written.
        StageKey::ScoreFull { d, rows } if d <= Scoring::MOST_UNROLLED => {
            Some(rows * (3 * d + triangle::packed_len(d) + 2))
        }
        // Twice four features of four rows by sixteen coordinates, read by fours, and their means: x - mu, U.
        StageKey::ScoreProducts { .. } => Some(2 * (4 + 16 + 1 + 4 * 4 + 4 * 4 * 16)),
        // Some rows of a tile, two sides of vec4s read for each. Where all are written out, those of both kinds, and four features of four rows beside them: five reads, the mean, roots, S1 and S0, four writes.
        StageKey::Accumulate {
            d,
            tiling,
            whitens: false,
        } => {
            let four = |len| Tiling::UNROLLED * (len + tiling.edge / 2);
            let [square, tile] = [tiling.square_len(), tiling.tile_len(d)].map(four);
            let both = match tiling.has_triangles(d) {
                true => square + tile,
                false => square,
            };
            Some(match tiling.is_written_out() {
                true => tiling.turns() * both + tiling.rounds(d) * (5 + 3 * 16 + 4 + 4),
                false => tile,
            })
        }
        // Four features of four rows and eight components: the features by fours of rows, three parameters by fours
        // of features; x - mu, whitening, the square.
        StageKey::ScoreTiles { .. } => Some(4 + 3 * 8 + 3 * 4 * 4 * 8),
        // Twice that, with parameters from workgroup memory.
        StageKey::ScorePanels { .. } => Some(2 * (4 + 3 * 8 + 3 * 4 * 4 * 8)),
        // A feature of four points and eight centres, read by fours: the difference and its square.
        StageKey::Nearest => Some(1 + 2 + 2 * 4 * 8),
        // Four features of some components: features and responsibilities by fours; x - mu where it is not taken off at the
        // end, S1, and for second moments r (x - mu) and its product.
        StageKey::AccumulateTiles { tiles, .. } => {
            let spherical = tiles.pack == Tiles::PACK_OF_SPHERICAL;
            let operations = match spherical {
                true if tiles.looks_for_far() => 1,
                true => 2,
                false => 4,
            };
            Some(tiles.unrolled() * (1 + tiles.pack / 4 + operations * 4 * tiles.pack))
        }
        _ => None,
    }
}

/// How much of what invocations read in workgroup memory pairs of neighbours read at the same place.
pub(super) fn paired(key: StageKey) -> f64 {
    match key {
        // Parameters of a component whose rows they have.
        StageKey::ScoreProducts { .. } => 1.0,
        // The rows of a slice, of which they have components.
        StageKey::StatisticsWorkgroup { sharing, .. } if sharing.owners > 0 => 1.0,
        // Three parameters of eight components, beside features of four rows that each has to itself.
        StageKey::ScorePanels { .. } => 24.0 / 28.0,
        // Features, beside responsibilities of each one's components.
        StageKey::AccumulateTiles { tiles, .. } => 1.0 / (1 + tiles.pack / 4) as f64,
        _ => 0.0,
    }
}

/// A fit whose time per iteration is predicted.
pub(in super::super) struct Problem {
    pub(in super::super) shape: Shape,
    pub(in super::super) n: usize,
    /// Whether kernels take rows as they are.
    pub(in super::super) near: bool,
}

/// A stage of an iteration: how often an invocation goes through its hot loop, all invocations together, the bytes
/// that are read and written, how many invocations do what stands outside that loop, about how often each of them
/// goes through the outermost loops around others, through the other loops, and through those that are not around it, where
/// others are.
pub(in super::super) struct Step {
    pub(in super::super) key: StageKey,
    /// Its branches, where invocations take different ones, and how many of a workgroup take each.
    pub(super) branches: Vec<(Branch, usize)>,
    pub(super) rounds: usize,
    pub(in super::super) bytes: usize,
    pub(super) invocations: usize,
    pub(super) turns: usize,
    pub(super) trips: usize,
    pub(super) apart: usize,
}

pub(in super::super) const PROBLEMS: [Problem; 12] = {
    const fn problem(covariance_type: CovarianceType, d: usize, k: usize) -> Problem {
        of(covariance_type, d, k, false)
    }
    const fn near(covariance_type: CovarianceType, d: usize, k: usize) -> Problem {
        of(covariance_type, d, k, true)
    }
    const fn of(covariance_type: CovarianceType, d: usize, k: usize, near: bool) -> Problem {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        Problem {
            shape,
            n: 1_000_000,
            near,
        }
    }
    [
        problem(Full, 2, 4),
        near(Full, 2, 4),
        problem(Full, 4, 6),
        near(Full, 4, 6),
        problem(Full, 8, 2),
        problem(Full, 4, 20),
        problem(Full, 11, 13),
        problem(Full, 32, 16),
        problem(Full, 64, 64),
        problem(Diag, 16, 20),
        problem(Spherical, 16, 20),
        problem(Spherical, 128, 1024),
    ]
};

impl Problem {
    pub(in super::super) fn name(&self) -> String {
        let Shape {
            covariance_type,
            d,
            k,
        } = self.shape;
        let near = if self.near { " near" } else { "" };
        format!("{} N={} D={d} K={k}{near}", covariance_type.name(), self.n)
    }

    /// What all components bear.
    pub(in super::super) fn digits(&self) -> Digits {
        match self.near {
            true => Digits::ALL,
            false => Digits::ALL.off_origin(),
        }
    }

    /// What the plan for a GPU with these limits does, samples and scratch read from memory each time.
    pub(in super::super) fn steps(&self, limits: &DeviceLimits) -> Vec<Step> {
        let (shape, n) = (self.shape, self.n);
        let (k, d) = (shape.k, shape.d);
        let layout = SampleLayout::new(n, d, false, limits).expect("a block fits");
        let plan = Plan::of(&layout, shape, self.digits(), limits).expect("a plan");
        let sums = layout.blocks.len() * plan.sums_per_block * 4;
        let blocks = layout.blocks.len();
        let step = |key, rounds, bytes, (invocations, trips)| Step {
            key,
            branches: Vec::new(),
            rounds,
            bytes,
            invocations,
            turns: trips,
            trips,
            apart: 0,
        };
        match plan.regime {
            Regime::Registers {
                reduction,
                rows_at_once,
                part_rows,
                near,
            } => {
                let key = StageKey::StatisticsRegisters {
                    shape,
                    weighted: false,
                    reduction,
                    rows_at_once,
                    models: 1,
                    near,
                };
                let parts = layout.blocks.rows_per_block().div_ceil(part_rows);
                let invocations = blocks * parts * reduction.workgroup as usize;
                vec![step(
                    key,
                    n / rows_at_once,
                    4 * n * d + parts * sums,
                    (invocations, 8),
                )]
            }
            Regime::Workgroup { sharing, part_rows } => {
                let key = StageKey::StatisticsWorkgroup {
                    shape,
                    weighted: false,
                    sharing,
                    models: 1,
                };
                let rows_of = (0..blocks).map(|b| layout.blocks.rows(b).len());
                let parts: usize = rows_of.clone().map(|rows| rows.div_ceil(part_rows)).sum();
                // Parts have whole tiles, but for the last of a block.
                let tiles: usize = rows_of.map(|rows| rows.div_ceil(sharing.tile())).sum();
                let trips = match sharing.rounds() {
                    1 => 0,
                    _ => part_rows / sharing.tile(),
                };
                vec![step(
                    key,
                    sharing.workgroup * tiles * sharing.rounds(),
                    4 * n * d + 4 * parts * plan.sums_per_block,
                    (parts * sharing.workgroup, trips),
                )]
            }
            Regime::Groups(Groups {
                reduction,
                score,
                sum,
                hoisted,
            }) => {
                let (scored, summed) = (k.div_ceil(score), k.div_ceil(sum));
                let score = StageKey::LogNormalisers {
                    shape: shape.with(score),
                    hoisted,
                    alone: scored == 1,
                };
                let sum = StageKey::StatisticsGroups {
                    shape: shape.with(sum),
                    reduction,
                    hoisted,
                };
                let merge = StageKey::MergeNormalisers { d, weighted: false };
                let invocations = blocks * summed * reduction.workgroup as usize;
                // Groups of one block run side by side: its rows are read from memory once.
                vec![
                    step(score, n * scored, 4 * n * d + 8 * n * scored, (0, 0)),
                    step(merge, n * scored, 8 * n * (scored + 1), (n, 8)),
                    step(sum, n * summed, 4 * n * d + 8 * n + sums, (invocations, 8)),
                ]
            }
            Regime::Staged {
                segment_rows,
                scoring,
                tiling,
                ..
            } => {
                let len = shape.staged_len();
                let partials = n.div_ceil(segment_rows) * len * 16;
                let [score, normalise, accumulate, _] =
                    staged::statistics_stages(shape, (scoring, tiling), false, false);
                let samples = 4 * n * d;
                if shape.is_diagonal() {
                    let tiles = Tiles::of(shape);
                    let (octets, scores) = (k.div_ceil(8), 4 * n * k.next_multiple_of(8));
                    let lanes = tiles.groups(shape).iter().product::<usize>() * tiles.workgroup;
                    let rows = tiles.slices * tiles.unrolled();
                    // Fours of features that are written out, and of what stands around them: a run of squares, or what is
                    // in workgroup memory.
                    let (at_once, chunk) = match scoring {
                        Scoring::Panels(_) => (2, Scoring::PANEL_CHUNK),
                        _ => (1, 8),
                    };
                    vec![
                        step(
                            score,
                            n / 4 * octets * quads(d).div_ceil(at_once),
                            samples + scores,
                            (n / 4 * octets, quads(d).div_ceil(chunk)),
                        ),
                        // Four invocations a row, with 32 components at once.
                        step(normalise, n * octets.div_ceil(16) * 4, scores, (4 * n, 0)),
                        Step {
                            apart: tiles.slices - 1,
                            ..step(
                                accumulate,
                                n / rows * lanes,
                                samples + scores + partials,
                                (n.div_ceil(segment_rows) * lanes, segment_rows / Tiles::ROWS),
                            )
                        },
                    ]
                } else {
                    let scores = 4 * n * k;
                    let invocations = n * k / scoring.rows();
                    // Blocks of sixteen coordinates, each with four fours of features more in the hot loop. They bring in
                    // columns by eights, their own outside the other loops.
                    let blocks = quads(d) / 4;
                    let chunks: usize = (1..=blocks).map(|block| block.div_ceil(2) - 1).sum();
                    let score_step = match scoring {
                        Scoring::Rows(_) | Scoring::Tiles | Scoring::Panels(_) => {
                            step(score, invocations, samples + scores, (0, 0))
                        }
                        Scoring::Products(_) => Step {
                            turns: blocks,
                            ..step(
                                score,
                                invocations * blocks * (blocks - 1),
                                samples + scores,
                                (invocations, chunks),
                            )
                        },
                    };
                    // Three loops over a row's components, as many at once as the text has: the longest writes, two read before.
                    let runs = k / generate::RESPONSIBILITIES_AT_ONCE;
                    let branches = Branch::of(tiling, d);
                    let lanes: usize = branches.iter().map(|(_, lanes)| lanes).sum();
                    let lanes = k * tiling.groups * lanes;
                    // The hot loop takes four rows of a slice, or where they are written out all between two barriers.
                    let (rows, trips) = match tiling.is_written_out() {
                        true => (tiling.rows, 0),
                        false => (
                            tiling.slices * Tiling::UNROLLED,
                            segment_rows.div_ceil(tiling.rows),
                        ),
                    };
                    vec![
                        score_step,
                        step(normalise, n * runs, 2 * scores, (n, runs)),
                        Step {
                            branches,
                            ..step(
                                accumulate,
                                n / rows * lanes,
                                samples + scores + partials,
                                (n.div_ceil(segment_rows) * lanes, trips),
                            )
                        },
                    ]
                }
            }
        }
    }
}

/// What of an invocation's text depends on its place.
#[derive(Clone, Copy)]
pub(super) enum Branch {
    /// Has a square, and adds up what slices have.
    Adders,
    /// Has a square.
    Squares,
    /// Has a pair of triangles.
    Triangles,
}

impl Branch {
    /// Those of a tiling, and how many invocations of a workgroup take each: whole subgroups.
    pub(super) fn of(tiling: Tiling, d: usize) -> Vec<(Self, usize)> {
        let [squares, triangles] = tiling.lanes();
        let additions = match tiling.slices {
            1 => 0,
            _ => tiling.columns_at_once(d) * (tiling.squares + tiling.pairs),
        };
        let adders = additions.next_multiple_of(tiling.subgroup()).min(squares);
        let all = [
            (Self::Adders, adders),
            (Self::Squares, squares - adders),
            (Self::Triangles, triangles),
        ];
        all.into_iter().filter(|(_, lanes)| *lanes > 0).collect()
    }

    /// The name of the text that has this branch alone.
    pub(super) fn name(self, whole: &str) -> String {
        let branch = match self {
            Self::Adders => "adders",
            Self::Squares => "squares",
            Self::Triangles => "triangles",
        };
        format!("{whole}-{branch}")
    }

    /// That text: what the branch costs is counted there.
    pub(super) fn source(self, whole: &str, tiling: Tiling) -> String {
        let alone = |text: &str, condition: &str, value: &str| {
            assert!(text.contains(condition), "no {condition}");
            text.replace(condition, value)
        };
        let is_square = match self {
            Self::Adders | Self::Squares => "let is_square = true;",
            Self::Triangles => "let is_square = false;",
        };
        let text = alone(whole, "let is_square = lane < SPLIT;", is_square);
        match self {
            Self::Squares | Self::Triangles if tiling.slices > 1 => alone(
                &text,
                "    partials[moments + moments_at(",
                "    return;\n    partials[moments + moments_at(",
            ),
            _ => text,
        }
    }
}
