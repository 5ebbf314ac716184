//! Tests of the WGSL texts without a device: they parse, validate and translate, their structs are the host's,
//! and barriers stand in uniform control flow.

use std::mem::{offset_of, size_of};

use naga::back::{hlsl, msl};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, Statement, TypeInner};

use super::groups::GroupRange;
use super::layout::{ParameterLayout, SumLayout};
use super::nearest::NearestRange;
use super::plan::{
    DeviceLimits, Groups, MStep, Plan, Reduction, Regime, SampleLayout, Sharing, Tiles, Tiling,
    fits_registers,
};
use super::shape::{Shape, quads, score_rows};
use super::stage::StageKey;
use super::staged::{self, Batch, Span};
use super::statistics_registers::{Block, BlockRange};
use super::walk::{self, Header, Settings};
use crate::mixture::CovarianceType::{self, Diag, Full, Spherical, Tied};
use crate::mixture::triangle;

fn reduction(workgroup: u32, subgroups: u32) -> Reduction {
    Reduction {
        workgroup,
        subgroups,
    }
}

/// A representative set of all texts that can be generated.
fn keys() -> Vec<StageKey> {
    let mut keys = Vec::new();
    let shapes: [(CovarianceType, &[(usize, usize)]); 4] = [
        (
            Full,
            &[
                (1, 1),
                (1, 2),
                (1, 24),
                (2, 1),
                (2, 4),
                (2, 13),
                (3, 4),
                (3, 8),
                (4, 6),
                (5, 4),
                (6, 3),
                (8, 2),
                (11, 1),
            ],
        ),
        (
            Tied,
            &[(1, 1), (1, 29), (2, 4), (2, 15), (4, 6), (8, 2), (11, 1)],
        ),
        (Diag, &[(1, 1), (1, 24), (2, 15), (4, 8), (16, 2), (39, 1)]),
        (
            Spherical,
            &[(1, 1), (1, 20), (2, 15), (4, 9), (16, 2), (39, 1)],
        ),
    ];
    for (covariance_type, d, k, weighted) in shapes.into_iter().flat_map(|(t, sizes)| {
        let sizes = sizes.iter();
        sizes.flat_map(move |&(d, k)| [false, true].map(|weighted| (t, d, k, weighted)))
    }) {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        if !fits_registers(shape, weighted) {
            assert!(weighted, "{shape:?}");
            continue;
        }
        keys.push(StageKey::StatisticsRegisters {
            shape,
            weighted,
            reduction: reduction(if weighted { 64 } else { 128 }, 0),
        });
        // Larger triangles are the host's.
        if !weighted && (shape.is_diagonal() || d <= 8) {
            keys.push(StageKey::MStep { shape });
        }
    }
    for (covariance_type, d, score, sum) in [
        (Full, 1, 31, 30),
        (Full, 4, 20, 6),
        (Full, 10, 15, 1),
        (Full, 11, 13, 1),
        (Tied, 4, 20, 12),
        (Tied, 10, 15, 3),
        (Diag, 16, 20, 2),
        (Diag, 37, 9, 1),
        (Spherical, 16, 20, 4),
        (Spherical, 49, 7, 1),
    ] {
        let shape = |k| Shape {
            covariance_type,
            d,
            k,
        };
        keys.push(StageKey::LogNormalisers {
            shape: shape(score),
            hoisted: d == 10,
        });
        keys.push(StageKey::StatisticsGroups {
            shape: shape(sum),
            reduction: reduction(if d == 10 { 64 } else { 128 }, 0),
            hoisted: d == 10,
        });
    }
    let limits = DeviceLimits::WEBGPU;
    for (covariance_type, d, k) in [
        (Full, 1, 30),
        (Full, 2, 20),
        (Full, 5, 9),
        (Full, 10, 15),
        (Full, 10, 2),
        (Tied, 4, 20),
        (Diag, 16, 20),
        (Diag, 20, 5),
    ] {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let sharing = Sharing::of(shape, &limits).expect("it is small");
        keys.push(StageKey::StatisticsWorkgroup {
            shape,
            weighted: k % 2 == 1,
            sharing,
        });
    }
    for (d, k) in [(2, 4), (4, 5), (8, 2)] {
        let shape = Shape {
            covariance_type: Full,
            d,
            k,
        };
        keys.push(StageKey::StatisticsRegisters {
            shape,
            weighted: d == 2,
            reduction: reduction(128, 4),
        });
        keys.push(StageKey::StatisticsGroups {
            shape,
            reduction: reduction(128, 4),
            hoisted: false,
        });
    }
    for d in [1, 2, 3, 4, 5, 8, 10, 17, 32, 64, 100] {
        keys.push(StageKey::ScoreFull { d });
        keys.push(StageKey::ScoreDiagonal { d });
        keys.push(StageKey::Responsibilities {
            d,
            weighted: d % 2 == 1,
            each_row: true,
        });
        keys.push(StageKey::MergeNormalisers { d, weighted: true });
        // Fewer features have their sums in registers.
        if d >= 10 {
            keys.extend([false, true].map(|whitens| StageKey::Accumulate { d, whitens }));
        }
        keys.push(StageKey::ScoreTiles { d });
        keys.push(StageKey::NormaliseTiles { d, weighted: true });
        for (k, spherical) in [(3, false), (3, true), (20, false), (1024, d % 2 == 0)] {
            let shape = Shape {
                covariance_type: if spherical { Spherical } else { Diag },
                d,
                k,
            };
            keys.push(staged::statistics_stages(shape, false, false)[2]);
        }
    }
    keys.extend(step_keys());
    keys.extend([
        StageKey::ReducePartials,
        StageKey::Nearest,
        StageKey::MeasureBandwidth,
        StageKey::MeasureFma,
    ]);
    keys
}

/// Those of EM steps where a workgroup has a component, for each regime's layouts.
fn step_keys() -> Vec<StageKey> {
    let mut keys = Vec::new();
    for (n, covariance_type, d, k) in [
        (300, Full, 11, 1),
        (300, Full, 4, 20),
        (300, Full, 32, 16),
        (300, Full, 70, 3),
        (300, Tied, 4, 20),
        (300, Tied, 17, 5),
        (300, Diag, 16, 20),
        (300, Diag, 64, 64),
        (300, Spherical, 8, 30),
        (300, Spherical, 128, 1024),
    ] {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let limits = DeviceLimits::WEBGPU;
        let layout = SampleLayout::new(n, d, false, &limits).expect("a block fits");
        let plans = [Plan::new, Plan::of_features].map(|plan| plan(&layout, shape, &limits));
        for plan in plans.into_iter().flatten() {
            let m_step = plan.m_step(shape, &limits).expect("it fits");
            assert!(m_step != MStep::Model, "{shape:?}");
            keys.extend(walk::steps::keys(&plan, shape, m_step));
        }
    }
    keys
}

fn parse(key: StageKey) -> (Module, ModuleInfo) {
    let text = key.source();
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{key:?}: {}", error.emit_to_string(&text)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    (module, info)
}

#[test]
fn every_text_validates_and_becomes_metal_and_directx() {
    for key in keys() {
        let (module, info) = parse(key);
        let (module, info) = naga::back::pipeline_constants::process_overrides(
            &module,
            &info,
            Some((naga::ShaderStage::Compute, key.stem())),
            &Default::default(),
        )
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        let (text, _) = msl::write_string(
            &module,
            &info,
            &msl::Options {
                fake_missing_bindings: true,
                ..Default::default()
            },
            &msl::PipelineOptions::default(),
        )
        .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert!(text.contains(key.stem()));
        let mut text = String::new();
        let options = hlsl::Options {
            // What subgroups need.
            shader_model: hlsl::ShaderModel::V6_0,
            fake_missing_bindings: true,
            ..Default::default()
        };
        hlsl::Writer::new(&mut text, &options, &Default::default())
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert!(text.contains(key.stem()));
    }
}

/// Name and offset of each member, and the size.
fn layout(module: &Module, name: &str) -> (Vec<(String, usize)>, usize) {
    let found = module
        .types
        .iter()
        .find(|(_, t)| t.name.as_deref() == Some(name));
    match found.map(|(_, t)| &t.inner) {
        Some(TypeInner::Struct { members, span }) => (
            members
                .iter()
                .map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize))
                .collect(),
            *span as usize,
        ),
        other => panic!("{name}: {other:?}"),
    }
}

macro_rules! assert_same_layout {
    ($module:expr, $type:ident: $($member:ident),+) => {
        assert_eq!(
            layout($module, stringify!($type)),
            (
                vec![$((stringify!($member).to_owned(), offset_of!($type, $member))),+],
                size_of::<$type>(),
            )
        );
    };
}

#[test]
fn structs_match_wgsl() {
    let (module, _) = parse(StageKey::StatisticsRegisters {
        shape: Shape {
            covariance_type: Full,
            d: 2,
            k: 4,
        },
        weighted: true,
        reduction: reduction(64, 0),
    });
    assert_same_layout!(&module, BlockRange: count, width, rows_per_block, padding);
    assert_same_layout!(&module, Block: first, rows, partial, model);
    let (module, _) = parse(StageKey::MStep {
        shape: Shape {
            covariance_type: Full,
            d: 2,
            k: 4,
        },
    });
    assert_same_layout!(&module, Settings: rows, models, ranges, zero, sums, stride, logs, first_log,
        log_stride, row_len, padding_0, padding_1);
    let (mut members, size) = layout(&module, "Walk");
    assert_eq!(
        members.pop(),
        Some(("components".to_owned(), size_of::<Header>()))
    );
    assert_eq!(size, size_of::<Header>() + 4 * 16);
    let header = |name: &str, offset| (name.to_owned(), offset);
    assert_eq!(
        members,
        [
            header("stopped", offset_of!(Header, stopped)),
            header("steps", offset_of!(Header, steps)),
            header("most", offset_of!(Header, most)),
            header("below", offset_of!(Header, below)),
            header("times", offset_of!(Header, times)),
            header("last", offset_of!(Header, last)),
            header("negligible", offset_of!(Header, negligible)),
            header("tol", offset_of!(Header, tol)),
        ]
    );
    let (module, _) = parse(StageKey::ScoreTiles { d: 5 });
    let array = |name: &str, at: usize| (name.to_owned(), 16 * 8 * at);
    assert_eq!(
        layout(&module, "Octet"),
        (
            vec![
                array("means", 0),
                array("remainders", 1),
                array("factors", 2),
                array("padding", 3)
            ],
            16 * Shape::OCTET_ENTRY
        )
    );
    let (module, _) = parse(StageKey::MergeNormalisers {
        d: 2,
        weighted: true,
    });
    assert_same_layout!(&module, GroupRange: first_group, groups, count, rows_per_block, sum_groups,
        padding_0, padding_1, padding_2);
    let (module, _) = parse(StageKey::ReducePartials);
    assert_same_layout!(&module, Batch: first_segment, first_span, n_components, segment_rows,
        rows_per_block, partials_len, padding_0, padding_1, segments);
    assert_same_layout!(&module, Span: first, count, row, continued);
    let (module, _) = parse(StageKey::Nearest);
    assert_same_layout!(&module, NearestRange: blocks, features, octets, octets_per_slice);
}

/// Whether a barrier stands inside an `if`, a `switch` or, if they count, a loop.
fn hides_barrier(block: &naga::Block, nested: bool, loops: bool) -> bool {
    let hides = |block, nested| hides_barrier(block, nested, loops);
    block.iter().any(|statement| match statement {
        Statement::ControlBarrier(_) | Statement::MemoryBarrier(_) => nested,
        Statement::Block(inner) => hides(inner, nested),
        Statement::If { accept, reject, .. } => hides(accept, true) || hides(reject, true),
        Statement::Switch { cases, .. } => cases.iter().any(|c| hides(&c.body, true)),
        Statement::Loop {
            body, continuing, ..
        } => hides(body, nested || loops) || hides(continuing, nested || loops),
        _ => false,
    })
}

#[test]
fn barriers_stand_in_no_branch_and_no_loop() {
    for key in keys() {
        let (module, _) = parse(key);
        // Their loops end where the segment does, and a component's rows are whitened or not, for all of a workgroup at
        // once; Tint proves that.
        let accumulates = matches!(
            key,
            StageKey::AccumulateTiles { .. }
                | StageKey::StatisticsWorkgroup { .. }
                | StageKey::MStepTriangles { .. }
        );
        let loops = !accumulates;
        let body = &module.entry_points[0].function.body;
        let is_left_to_tint = matches!(key, StageKey::Accumulate { .. });
        assert!(
            is_left_to_tint || !hides_barrier(body, false, loops),
            "{key:?}"
        );
        assert!(
            module
                .functions
                .iter()
                .all(|(_, f)| !hides_barrier(&f.body, true, true)),
            "{key:?}"
        );
    }
    for (hidden, loops) in [
        ("if i < 3u { workgroupBarrier(); }", false),
        (
            "for (var j = 0u; j < 3u; j++) { workgroupBarrier(); }",
            true,
        ),
    ] {
        let text = format!(
            "@compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {{ {hidden} }}"
        );
        let module = naga::front::wgsl::parse_str(&text).expect("valid WGSL");
        let body = &module.entry_points[0].function.body;
        assert!(hides_barrier(body, false, true));
        assert_eq!(hides_barrier(body, false, false), !loops);
    }
}

fn layout_name(sums: SumLayout) -> &'static str {
    match sums {
        SumLayout::Groups(_) => "groups",
        SumLayout::Features => "features",
        SumLayout::Tiles => "tiles",
        SumLayout::Diagonals => "diagonals",
    }
}

/// A name for a file: the stage and what its text and overrides depend on.
fn name(key: StageKey) -> String {
    let of = |shape: Shape| {
        let t = shape.covariance_type.name();
        format!("{}-{t}-d{}-k{}", key.stem(), shape.d, shape.k)
    };
    let also = |yes: bool, word: &'static str| if yes { word } else { "" };
    match key {
        StageKey::StatisticsRegisters {
            shape,
            weighted,
            reduction,
        } => of(shape) + also(weighted, "-weighted") + also(reduction.subgroups > 0, "-subgroups"),
        StageKey::MStep { shape } => of(shape),
        StageKey::SumBlocks { k } | StageKey::ConcludeStep { k } => format!("{}-k{k}", key.stem()),
        StageKey::PoolMoments { shape, sums }
        | StageKey::MStepDiagonals { shape, sums }
        | StageKey::MStepTriangles { shape, sums, .. } => of(shape) + "-" + layout_name(sums),
        StageKey::CommitStep { shape, parameters } => match parameters {
            ParameterLayout::Packed => of(shape) + "-packed",
            ParameterLayout::Chunks { .. } => of(shape) + "-chunks",
            ParameterLayout::Tiled => of(shape) + "-tiled",
        },
        StageKey::StatisticsWorkgroup {
            shape, weighted, ..
        } => of(shape) + also(weighted, "-weighted"),
        StageKey::LogNormalisers { shape, hoisted } => of(shape) + also(hoisted, "-hoisted"),
        StageKey::StatisticsGroups {
            shape,
            hoisted,
            reduction,
        } => of(shape) + also(hoisted, "-hoisted") + also(reduction.subgroups > 0, "-subgroups"),
        StageKey::MergeNormalisers { d, weighted } => {
            format!("{}-d{d}", key.stem()) + also(weighted, "-weighted")
        }
        StageKey::Responsibilities {
            d,
            weighted,
            each_row,
        } => {
            let name = format!("{}-d{d}", key.stem());
            name + also(weighted, "-weighted") + also(each_row, "-rows")
        }
        StageKey::Accumulate { d, whitens } => {
            format!("{}-d{d}", key.stem()) + also(whitens, "-whitens")
        }
        StageKey::ScoreFull { d } | StageKey::ScoreDiagonal { d } | StageKey::ScoreTiles { d } => {
            format!("{}-d{d}", key.stem())
        }
        StageKey::NormaliseTiles { d, weighted } => {
            format!("{}-d{d}", key.stem()) + also(weighted, "-weighted")
        }
        StageKey::AccumulateTiles { d, tiles } => {
            let spherical = tiles.pack == Tiles::PACK_OF_SPHERICAL;
            let name = format!("{}-d{d}-o{}", key.stem(), tiles.octets);
            name + also(spherical, "-spherical")
        }
        StageKey::ReducePartials
        | StageKey::Nearest
        | StageKey::MeasureBandwidth
        | StageKey::MeasureFma => key.stem().to_owned(),
    }
}

/// The fewest instructions of one round of a stage's hot loop, as [`Shape::least_operations`].
fn minimum(key: StageKey) -> Option<usize> {
    match key {
        StageKey::StatisticsRegisters {
            shape,
            weighted: false,
            ..
        } => Some(shape.least_operations()),
        // Two rows under one component: features by fours and r, x - mu, S0 and the moments.
        StageKey::StatisticsWorkgroup {
            shape,
            weighted: false,
            ..
        } => Some(2 * (quads(shape.d) + 1 + shape.d + 1 + shape.least_moments())),
        // Reads; the difference, the power, the largest and the sum; one write.
        StageKey::LogNormalisers {
            shape,
            hoisted: false,
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
        StageKey::ScoreFull { d } if d <= 64 => {
            Some(score_rows(d) * (3 * d + triangle::packed_len(d) + 2))
        }
        // Some rows of a square tile, two sides of vec4s read for each.
        StageKey::Accumulate { d, whitens: false } => {
            let tiling = Tiling::of(d);
            Some(Tiling::UNROLLED * (tiling.tile_len() + tiling.edge / 2))
        }
        // Four features of four rows and eight components: the features by fours of rows, three parameters by fours
        // of features; x - mu, whitening, the square.
        StageKey::ScoreTiles { .. } => Some(4 + 3 * 8 + 3 * 4 * 4 * 8),
        // A feature of four points and eight centres, read by fours: the difference and its square.
        StageKey::Nearest => Some(1 + 2 + 2 * 4 * 8),
        // Four features of some components: features and responsibilities by fours; x - mu, S1, and for second
        // moments r (x - mu) and its product.
        StageKey::AccumulateTiles { tiles, .. } => {
            let spherical = tiles.pack == Tiles::PACK_OF_SPHERICAL;
            let operations = if spherical { 2 } else { 4 };
            Some(tiles.unrolled() * (1 + tiles.pack / 4 + operations * 4 * tiles.pack))
        }
        _ => None,
    }
}

/// A fit whose time per iteration is predicted.
pub(super) struct Problem {
    pub(super) shape: Shape,
    pub(super) n: usize,
}

/// A stage of an iteration: how often an invocation goes through its hot loop, all invocations together, the bytes
/// that are read and written, how many invocations do what stands outside that loop, and about how often each of them
/// goes through the other loops.
pub(super) struct Step {
    pub(super) key: StageKey,
    rounds: usize,
    pub(super) bytes: usize,
    invocations: usize,
    trips: usize,
}

pub(super) const PROBLEMS: [Problem; 9] = {
    const fn problem(covariance_type: CovarianceType, d: usize, k: usize) -> Problem {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        Problem {
            shape,
            n: 1_000_000,
        }
    }
    [
        problem(Full, 2, 4),
        problem(Full, 4, 6),
        problem(Full, 8, 2),
        problem(Full, 4, 20),
        problem(Full, 11, 13),
        problem(Full, 32, 16),
        problem(Full, 64, 64),
        problem(Diag, 16, 20),
        problem(Spherical, 128, 1024),
    ]
};

impl Problem {
    pub(super) fn name(&self) -> String {
        let Shape {
            covariance_type,
            d,
            k,
        } = self.shape;
        format!("{} N={} D={d} K={k}", covariance_type.name(), self.n)
    }

    /// What the plan for a GPU with these limits does, samples and scratch read from memory each time.
    pub(super) fn steps(&self, limits: &DeviceLimits) -> Vec<Step> {
        let (shape, n) = (self.shape, self.n);
        let (k, d) = (shape.k, shape.d);
        let layout = SampleLayout::new(n, d, false, limits).expect("a block fits");
        let plan = Plan::of_features(&layout, shape, limits).expect("a plan");
        let sums = layout.blocks.len() * plan.sums_per_block * 4;
        let blocks = layout.blocks.len();
        let step = |key, rounds, bytes, (invocations, trips)| Step {
            key,
            rounds,
            bytes,
            invocations,
            trips,
        };
        match plan.regime {
            Regime::Registers { reduction } => {
                let key = StageKey::StatisticsRegisters {
                    shape,
                    weighted: false,
                    reduction,
                };
                let invocations = blocks * reduction.workgroup as usize;
                vec![step(key, n, 4 * n * d + sums, (invocations, 8))]
            }
            Regime::Workgroup { sharing, part_rows } => {
                let key = StageKey::StatisticsWorkgroup {
                    shape,
                    weighted: false,
                    sharing,
                };
                let parts = n.div_ceil(part_rows);
                let invocations = parts * sharing.workgroup;
                let tiles = part_rows / sharing.workgroup;
                vec![step(
                    key,
                    invocations * tiles * sharing.rounds(),
                    4 * n * d + 4 * parts * plan.sums_per_block,
                    (invocations, tiles),
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
            Regime::Staged { segment_rows, .. } => {
                let len = shape.staged_len();
                let partials = n.div_ceil(segment_rows) * len * 16;
                let [score, normalise, accumulate, _] =
                    staged::statistics_stages(shape, false, false);
                let samples = 4 * n * d;
                if shape.is_diagonal() {
                    let tiles = Tiles::of(shape);
                    let (octets, scores) = (k.div_ceil(8), 4 * n * k.next_multiple_of(8));
                    let lanes = tiles.groups(shape).iter().product::<usize>() * tiles.workgroup;
                    let rows = tiles.slices * tiles.unrolled();
                    vec![
                        step(
                            score,
                            n / 4 * octets * quads(d),
                            samples + scores,
                            // Runs of eight vec4s of features.
                            (n / 4 * octets, quads(d).div_ceil(8)),
                        ),
                        step(normalise, n * octets, scores, (n, octets)),
                        step(
                            accumulate,
                            n / rows * lanes,
                            samples + scores + partials,
                            // Two vec4s of responsibilities and of features for each sixteen rows.
                            (
                                n.div_ceil(segment_rows) * lanes,
                                2 * segment_rows / Tiles::ROWS,
                            ),
                        ),
                    ]
                } else {
                    let tiling = Tiling::of(d);
                    let scores = 4 * n * k;
                    let lanes = k * tiling.groups * tiling.workgroup;
                    let rows = tiling.slices * Tiling::UNROLLED;
                    vec![
                        step(score, n * k / score_rows(d), samples + scores, (0, 0)),
                        step(normalise, 2 * n * k, 2 * scores, (n, k)),
                        step(
                            accumulate,
                            n / rows * lanes,
                            samples + scores + partials,
                            (
                                n.div_ceil(segment_rows) * lanes,
                                segment_rows.div_ceil(tiling.rows),
                            ),
                        ),
                    ]
                }
            }
        }
    }
}

/// `benches/gpu/check` names the folder; otherwise it is gone with the test.
#[test]
fn shaders_are_written_for_other_compilers() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let named = std::env::var_os("WGMM_SHADERS").map(std::path::PathBuf::from);
    let folder = named.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).expect("a folder");
    let write = |name: &str, value: serde_json::Value| {
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        std::fs::write(folder.join(name), text).expect("a file");
    };
    let steps: Vec<Vec<Step>> = {
        let limits = DeviceLimits::WEBGPU;
        let problems = PROBLEMS.iter();
        problems.map(|problem| problem.steps(&limits)).collect()
    };
    let typical: Vec<String> = steps.iter().flatten().map(|step| name(step.key)).collect();
    let mut variants = std::collections::BTreeMap::new();
    for key in keys()
        .into_iter()
        .chain(steps.iter().flatten().map(|s| s.key))
    {
        let constants: serde_json::Map<_, _> = key
            .constants()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let (name, text) = (name(key), key.source());
        let variant = serde_json::json!({
            "name": name,
            "entry": key.stem(),
            "constants": constants,
            "hot": match key {
                StageKey::ScoreFull { .. } | StageKey::LogNormalisers { .. } => "whole",
                StageKey::Accumulate { .. }
                | StageKey::AccumulateTiles { .. }
                | StageKey::ScoreTiles { .. }
                | StageKey::StatisticsWorkgroup { .. } => "inner",
                _ => "loop",
            },
            "minimum": minimum(key),
            "typical": typical.contains(&name) && minimum(key).is_some(),
        });
        std::fs::write(folder.join(format!("{name}.wgsl")), &text).expect("a file");
        let same = variants.insert(name.clone(), (variant.clone(), text.clone()));
        assert!(
            same.is_none_or(|other| other == (variant, text)),
            "two variants called {name}"
        );
    }
    let variants = variants.into_values().map(|(variant, _)| variant).collect();
    write("variants.json", variants);
    let problems = PROBLEMS.iter().zip(&steps).map(|(problem, steps)| {
        let steps: Vec<_> = steps
            .iter()
            .map(|s| {
                serde_json::json!({
                    "variant": name(s.key),
                    "rounds": s.rounds,
                    "bytes": s.bytes,
                    "invocations": s.invocations,
                    "trips": s.trips,
                })
            })
            .collect();
        serde_json::json!({
            "name": problem.name(),
            "n": problem.n,
            "d": problem.shape.d,
            "minimum": problem.shape.least_operations(),
            "steps": steps,
        })
    });
    write("problems.json", problems.collect());
}
