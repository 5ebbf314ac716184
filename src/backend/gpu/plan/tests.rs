use super::*;
use crate::mixture::CovarianceType::{self, Diag, Full, Spherical, Tied};

const WEBGPU: DeviceLimits = DeviceLimits::WEBGPU;
const SOFTWARE: DeviceLimits = DeviceLimits {
    software: true,
    workgroup_memory_bytes: 32_768,
    ..WEBGPU
};

const TYPES: [CovarianceType; 4] = [Full, Tied, Diag, Spherical];

fn shape(covariance_type: CovarianceType, d: usize, k: usize) -> Shape {
    Shape {
        covariance_type,
        d,
        k,
    }
}

fn plan_of(
    covariance_type: CovarianceType,
    (n, d, k): (usize, usize, usize),
    limits: &DeviceLimits,
) -> (SampleLayout, Plan) {
    let layout = SampleLayout::new(n, d, true, limits).expect("a block fits");
    let plan = Plan::new(&layout, shape(covariance_type, d, k), limits);
    (layout, plan.expect("a plan"))
}

fn plan(n: usize, d: usize, k: usize, limits: &DeviceLimits) -> (SampleLayout, Plan) {
    plan_of(Full, (n, d, k), limits)
}

#[test]
fn no_loop_nears_the_limit_of_software_adapters() {
    for n in [1, 300, 20_003, 5_000_000] {
        for d in [1, 2, 5, 10, 17, 32, 64] {
            for k in [1, 2, 4, 33, 1024] {
                for t in TYPES {
                    let (_, plan) = plan_of(t, (n, d, k), &SOFTWARE);
                    let what = format!("{t:?} {n} {d} {k}: {plan:?}");
                    assert!(plan.iterations < MOST_ITERATIONS, "{what}");
                }
            }
        }
    }
}

#[test]
fn dispatches_and_bindings_keep_within_limits() {
    let sizes = [
        (5_000_000, 64, 1024),
        (1_000_000_000, 1, 1),
        (1_000_000_000, 2, 500),
        (3, 3, 33),
    ];
    for (t, (n, d, k)) in TYPES.into_iter().flat_map(|t| sizes.map(|size| (t, size))) {
        let shape = shape(t, d, k);
        let (layout, plan) = plan_of(t, (n, d, k), &WEBGPU);
        let buffer = layout.blocks_per_buffer * layout.block_len() * 4;
        assert!(buffer as u64 <= WEBGPU.max_binding_bytes);
        assert!(4 * plan.sums_per_block as u64 <= PARTIALS_BYTES);
        let (x, y) = grid(plan.blocks_per_submission, WEBGPU.max_workgroups);
        assert!(x <= 65_535 && y <= 65_535);
        assert!(x as usize * y as usize >= plan.blocks_per_submission);
        if let Regime::Staged {
            segment_rows,
            segments_per_batch,
            ..
        } = plan.regime
        {
            let rows = (segment_rows * segments_per_batch) as u64;
            assert!(segment_rows <= 2048 && segments_per_batch <= SEGMENTS);
            assert!(rows * shape.scratch_bytes_per_row() as u64 <= SCRATCH_BYTES);
            let partials = segments_per_batch * shape.staged_len() * 16;
            assert!(partials as u64 <= PARTIALS_BYTES || segments_per_batch == 1);
            assert!(partials as u64 <= WEBGPU.max_binding_bytes);
        }
    }
}

fn in_registers(covariance_type: CovarianceType, d: usize, k: usize) -> bool {
    let layout = SampleLayout::new(1000, d, false, &WEBGPU).expect("a block fits");
    let plan = Plan::new(&layout, shape(covariance_type, d, k), &WEBGPU);
    matches!(plan.expect("a plan").regime, Regime::Registers { .. })
}

#[test]
fn regimes_meet_where_registers_end() {
    assert!(in_registers(Full, 4, 6) && in_registers(Full, 8, 2) && in_registers(Full, 2, 13));
    assert!(!in_registers(Full, 4, 7) && !in_registers(Full, 2, 14));
    assert!(!in_registers(Full, 12, 1));
    assert!(in_registers(Full, 1, 24) && !in_registers(Full, 1, 25));
    // A weight takes registers, too.
    let (_, weighted) = plan(1000, 4, 6, &WEBGPU);
    assert!(matches!(weighted.regime, Regime::Groups(_)));
}

#[test]
fn short_statistics_keep_more_components_in_registers() {
    // The most components of one feature, two, four, and so on.
    let most =
        |t| [1, 2, 4, 8, 16, 32].map(|d| (1..100).take_while(|&k| in_registers(t, d, k)).count());
    assert_eq!(most(Full), [24, 13, 6, 2, 0, 0]);
    assert_eq!(most(Diag), [24, 15, 8, 4, 2, 1]);
    // Coordinates that wait for responsibilities take registers, too.
    assert_eq!(most(Spherical), [20, 15, 9, 4, 2, 1]);
    assert_eq!(most(Tied), [29, 15, 6, 2, 0, 0]);
}

#[test]
fn workgroups_follow_the_device() {
    let workgroup = |limits| match plan(1000, 2, 4, limits).1.regime {
        Regime::Registers { reduction, .. } => reduction.workgroup,
        _ => panic!("2 × 4 is small"),
    };
    assert_eq!((workgroup(&SOFTWARE), workgroup(&WEBGPU)), (64, 128));
    let tight = DeviceLimits {
        workgroup_memory_bytes: 8192,
        ..WEBGPU
    };
    assert_eq!(workgroup(&tight), 64);
}

#[test]
fn subgroups_add_up_where_there_are_some_and_what_they_find_has_room() {
    let subgroups = |least_subgroup, d, k| {
        let limits = DeviceLimits {
            least_subgroup,
            ..WEBGPU
        };
        match plan(1000, d, k, &limits).1.regime {
            Regime::Registers { reduction, .. } => reduction.subgroups,
            Regime::Groups(groups) => groups.reduction.subgroups,
            Regime::Workgroup { .. } | Regime::Staged { .. } => panic!("{d} × {k} is small"),
        }
    };
    assert_eq!(
        [0, 8, 32, 64].map(|least| subgroups(least, 2, 4)),
        [0, 16, 4, 2]
    );
    // Full registers have no room for them.
    assert_eq!(subgroups(32, 4, 6), 4);
    let unweighted = SampleLayout::new(1000, 4, false, &WEBGPU).expect("a block fits");
    let limits = DeviceLimits {
        least_subgroup: 32,
        ..WEBGPU
    };
    let plan_of_all = Plan::new(&unweighted, shape(Full, 4, 6), &limits).expect("a plan");
    assert!(matches!(
        plan_of_all.regime,
        Regime::Registers { reduction, .. } if reduction.subgroups == 0
    ));
    // 75 sums of 64 subgroups are 19 KB.
    assert_eq!([2, 4].map(|least| subgroups(least, 4, 20)), [0, 32]);
}

#[test]
fn a_binding_limit_moves_no_segment() {
    let small = DeviceLimits {
        max_samples_bytes: 1 << 17,
        ..SOFTWARE
    };
    let (a, b) = (plan(20_003, 5, 33, &SOFTWARE), plan(20_003, 5, 33, &small));
    assert_eq!(a.1, b.1);
    assert!(b.0.blocks_per_buffer < a.0.blocks_per_buffer);
    assert_eq!(
        SampleLayout::new(
            20_003,
            300,
            false,
            &DeviceLimits {
                max_samples_bytes: 4096,
                ..small
            }
        ),
        None
    );
}

#[test]
fn submissions_are_short_and_hold_at_least_a_block() {
    let (_, huge) = plan(5_000_000, 64, 1024, &WEBGPU);
    assert_eq!(huge.blocks_per_submission, 1);
    let (layout, small) = plan(5_000_000, 2, 4, &WEBGPU);
    assert!(small.blocks_per_submission >= layout.blocks.len());
}

#[test]
fn what_does_not_fit_has_no_plan() {
    let layout = SampleLayout::new(1000, 64, false, &WEBGPU).expect("a block fits");
    let plan = |d, k, limits| Plan::new(&layout, shape(Full, d, k), limits);
    assert_eq!(plan(64, 100_000, &WEBGPU), None);
    // Three walks over 20,000 components are too many iterations for software only.
    assert!(plan(12, 20_000, &WEBGPU).is_some());
    assert_eq!(plan(12, 20_000, &SOFTWARE), None);
    assert!(plan(1, 20_000, &SOFTWARE).is_some());
}

#[test]
fn groups_take_every_component_and_keep_within_registers() {
    for (t, d, k) in TYPES.into_iter().flat_map(|t| {
        let sizes = [(1, 31), (2, 16), (4, 7), (10, 20), (11, 4096), (17, 33)];
        sizes.map(move |(d, k)| (t, d, k))
    }) {
        let (layout, plan) = plan_of(t, (1_000_000, d, k), &WEBGPU);
        let Regime::Groups(groups) = plan.regime else {
            let short = matches!(t, Diag | Spherical);
            assert!(
                d == 17 && !short || k < 33 && short || t == Tied,
                "{t:?} {d} {k}: {plan:?}"
            );
            continue;
        };
        let sums = shape(t, d, groups.sum).statistics_len();
        assert!(sums <= MOST_IN_REGISTERS && groups.score <= MOST_SCORES);
        assert!(plan.sums_per_block >= k.div_ceil(groups.sum) * sums);
        // A group of each fits a uniform buffer.
        let parameters = shape(t, d, 1).parameters_len() * 4;
        assert!(groups.score.max(groups.sum) * parameters + 16 <= UNIFORM_BYTES);
        let normalisers = k.div_ceil(groups.score) * layout.blocks.rows_per_block() * 8;
        assert!(
            (plan.blocks_per_submission * normalisers) as u64
                <= SCRATCH_BYTES.max(normalisers as u64)
        );
    }
}

#[test]
fn steps_are_as_many_as_memory_has_room_for() {
    for limits in [&WEBGPU, &SOFTWARE] {
        for n in [300, 20_003, 1_000_000, 100_000_000] {
            for (d, k) in [(1, 1), (2, 4), (3, 4)] {
                let (layout, plan) = plan(n, d, k, limits);
                for models in [1, 16] {
                    let rows = layout.blocks.len() * models;
                    let shape = shape(Full, d, k);
                    let steps = plan.steps((&layout, shape), models, limits);
                    assert!(steps <= steps::MOST_STEPS);
                    let row_bytes = (4 * rows * plan.sums_per_block) as u64;
                    let fits = row_bytes <= limits.max_binding_bytes;
                    // Two logarithms a block, and what each model has become.
                    let trace = 8 * rows + 4 * models * (k + 1 + k * shape.parameters_len());
                    let room = PARTIALS_BYTES as usize;
                    assert!(steps == 0 || fits && steps * trace <= room);
                    let more = fits && (steps + 1) * trace <= room;
                    // A processor takes as many as fit a submission.
                    let at_once = plan.blocks_per_submission / rows;
                    assert!(steps == 0 || !limits.software || steps < at_once);
                    let more = more && (!limits.software || steps + 1 < at_once);
                    assert!(steps == steps::MOST_STEPS || !more);
                    // An invocation of `sum_blocks` adds every 64th block.
                    let added = layout.blocks.len().div_ceil(64) as u64;
                    assert!(steps == 0 || added < MOST_ITERATIONS / 2);
                }
            }
        }
    }
}

#[test]
fn every_regime_takes_steps_where_a_component_fits_workgroup_memory() {
    let step = |t, (n, d, k), limits| {
        let (layout, plan) = plan_of(t, (n, d, k), limits);
        let steps = plan.steps((&layout, shape(t, d, k)), 1, limits);
        (plan.m_step(shape(t, d, k), limits), steps > 0)
    };
    let by = |workgroup| (Some(MStep::Components(workgroup)), true);
    for limits in [&WEBGPU, &SOFTWARE] {
        for t in TYPES {
            assert_eq!(step(t, (300, 2, 4), limits), (Some(MStep::Model), true));
            // Eight invocations a row of a triangle, but on a processor.
            for (d, k, wanted) in [(2, 40, 64), (10, 12, 128), (32, 2, 256), (64, 3, 256)] {
                let is_narrow = limits.software || matches!(t, Diag | Spherical);
                let wanted = if is_narrow { 64 } else { wanted };
                assert_eq!(
                    step(t, (300, d, k), limits),
                    by(wanted),
                    "{t:?} D={d} K={k}"
                );
            }
        }
        for t in [Diag, Spherical] {
            assert_eq!(step(t, (300, 300, 3), limits), by(64));
        }
    }
    // Fewer invocations leave more room for the triangle, whose 32.3 KiB at D = 128 are too many.
    let large = DeviceLimits {
        workgroup_memory_bytes: 49_152,
        ..WEBGPU
    };
    for t in [Full, Tied] {
        assert_eq!(step(t, (300, 70, 2), &WEBGPU), by(256));
        assert_eq!(step(t, (300, 78, 2), &WEBGPU), by(128));
        assert_eq!(step(t, (300, 81, 2), &WEBGPU), by(64));
        assert_eq!(step(t, (300, 82, 2), &WEBGPU), (None, false));
        assert_eq!(step(t, (300, 78, 2), &SOFTWARE), by(128));
        assert_eq!(step(t, (300, 128, 2), &SOFTWARE), (None, false));
        assert_eq!(step(t, (300, 128, 2), &large), by(256));
    }
    // A pass is more than one submission.
    assert_eq!(step(Full, (1_000_000, 64, 64), &WEBGPU), by(256));
    // Fewer storage buffers than the stages bind.
    let limits = DeviceLimits {
        max_storage_buffers: 4,
        ..WEBGPU
    };
    assert_eq!(step(Full, (300, 2, 4), &limits), (None, false));
}

#[test]
fn no_m_step_nears_the_limit_of_software_adapters() {
    for d in [1, 2, 11, 32, 64, 65, 100, 128, 300] {
        for (t, k) in TYPES
            .into_iter()
            .flat_map(|t| [1, 40, 4096].map(|k| (t, k)))
        {
            let layout = SampleLayout::new(300, d, false, &SOFTWARE).expect("a block fits");
            let shape = shape(t, d, k);
            let plan = Plan::new(&layout, shape, &SOFTWARE);
            if let Some(m_step) = plan.and_then(|plan| plan.m_step(shape, &SOFTWARE)) {
                assert!(m_step.iterations(shape) < MOST_ITERATIONS, "{t:?} {d} {k}");
            }
        }
    }
}

#[test]
fn workgroups_hold_what_a_few_components_sum() {
    let taken = |t, d, k, limits| {
        let layout = SampleLayout::new(1_000_000, d, false, limits).expect("a block fits");
        let plan = Plan::of(&layout, shape(t, d, k), Digits::ALL, limits).expect("a plan");
        match plan.regime {
            Regime::Workgroup { sharing, part_rows } => Some((sharing, part_rows)),
            _ => None,
        }
    };
    for t in TYPES {
        for (d, k) in (1..30).flat_map(|d| (1..70).map(move |k| (d, k))) {
            let Some((sharing, part_rows)) = taken(t, d, k, &WEBGPU) else {
                continue;
            };
            let what = format!("{t:?} {d} {k}: {sharing:?}");
            assert!(sharing.workgroup <= 256, "{what}");
            assert!(sharing.slices * k <= sharing.workgroup, "{what}");
            assert!(sharing.tile() <= sharing.workgroup, "{what}");
            assert_eq!(sharing.run, sharing.written * sharing.rounds(), "{what}");
            // What is scored at a time begins with a whole vec4.
            let parameters = sharing.some * shape(t, d, k).parameters_len();
            assert!(sharing.some == k || parameters.is_multiple_of(4), "{what}");
            // No run is too long.
            let tiles = part_rows / sharing.tile();
            assert!(part_rows.is_multiple_of(sharing.tile()), "{what}");
            assert!(tiles * sharing.run <= LONGEST_RUN, "{what}");
            assert_eq!(taken(t, d, k, &SOFTWARE), None);
        }
    }
    // Most invocations are busy, with scores and with sums; all scores are in registers or some.
    for (t, d, k, some) in [
        (Full, 4, 20, 20),
        (Full, 10, 20, 20),
        (Full, 11, 13, 13),
        (Full, 11, 14, 4),
        (Full, 4, 64, 16),
        (Full, 10, 2, 2),
        (Tied, 5, 9, 9),
        (Diag, 16, 20, 20),
        (Spherical, 16, 20, 20),
    ] {
        let (sharing, _) = taken(t, d, k, &WEBGPU).unwrap_or_else(|| panic!("{t:?} {d} {k}"));
        let busy = sharing.slices * k + sharing.tile();
        assert!(
            10 * busy > 17 * sharing.workgroup,
            "{t:?} {d} {k}: {sharing:?}"
        );
        assert_eq!(sharing.some, some, "{t:?} {d} {k}");
    }
    // In registers, more than workgroup memory or a uniform buffer holds, too many sums.
    for (d, k) in [(2, 4), (2, 200), (11, 50), (12, 3)] {
        assert_eq!(taken(Full, d, k, &WEBGPU), None);
    }
}

#[test]
fn a_card_takes_more_blocks_at_once_than_other_devices() {
    let blocks = |limits| blocks_per_submission(1e9, 4, limits);
    assert_eq!(
        (
            blocks(&SOFTWARE),
            blocks(&WEBGPU),
            blocks(&DeviceLimits::CARD)
        ),
        (1, 30, 100)
    );
}

#[test]
fn a_card_takes_blocks_in_parts_while_they_are_few_and_registers_hold_more() {
    let part_rows = |n, (d, k), limits| match plan(n, d, k, limits).1.regime {
        Regime::Registers { part_rows, .. } => part_rows,
        _ => panic!("{d} × {k} is small"),
    };
    let card = &DeviceLimits::CARD;
    let of = |n, shape| part_rows(n, shape, card);
    assert_eq!(of(1_000_000, (1, 1)), 1024);
    assert_eq!(of(1_000_000, (2, 4)), 2048);
    assert_eq!(of(1_000_000, (4, 5)), 4096);
    assert_eq!(of(10_000_000, (2, 4)), 4096);
    // Blocks of 2,304 and of 512 rows.
    assert_eq!(of(140_000, (2, 4)), 1152);
    assert_eq!(of(20_000, (2, 4)), 512);
    for limits in [&WEBGPU, &SOFTWARE] {
        assert_eq!(part_rows(1_000_000, (2, 4), limits), 4096);
    }
}

#[test]
fn groups_take_what_is_too_many_components_for_other_kernels() {
    let layout = SampleLayout::new(1_000, 2, false, &DeviceLimits::NVIDIA).expect("a block fits");
    let plan = |k| {
        Plan::of(
            &layout,
            shape(Full, 2, k),
            Digits::ALL,
            &DeviceLimits::NVIDIA,
        )
    };
    let regime = |k| plan(k).expect("a plan").regime;
    assert!(matches!(regime(1_000), Regime::Staged { .. }));
    assert!(matches!(regime(70_000), Regime::Groups(_)));
}

#[test]
fn scores_are_products_where_parameters_are_loads() {
    let of = |d, limits| Scoring::of(shape(Full, d, 16), limits);
    for limits in [&WEBGPU, &DeviceLimits::CARD] {
        assert_eq!([12, 32, 64].map(|d| of(d, limits).rows()), [2, 2, 1]);
        assert_eq!(of(65, limits), Scoring::Products(4));
    }
    let nvidia = &DeviceLimits::NVIDIA;
    assert_eq!([1, 11].map(|d| of(d, nvidia)), [Scoring::Rows(2); 2]);
    assert_eq!(
        [12, 64, 1000].map(|d| of(d, nvidia)),
        [Scoring::Products(4); 3]
    );
    // Few places are beyond K.
    let components = |k| Scoring::of(shape(Full, 64, k), nvidia);
    let all = [1, 2, 3, 5, 7, 8, 13, 15, 16, 64].map(components);
    let wanted = [1, 2, 1, 1, 1, 4, 2, 4, 4, 4].map(Scoring::Products);
    assert_eq!(all, wanted);
    let octets = |k, limits| Scoring::of(shape(Diag, 64, k), limits);
    assert_eq!(
        [5, 20, 40, 64, 1024].map(|k| octets(k, nvidia)),
        [
            Scoring::Tiles,
            Scoring::Tiles,
            Scoring::Tiles,
            Scoring::Panels(4),
            Scoring::Panels(4)
        ]
    );
    assert_eq!(octets(64, &DeviceLimits::CARD), Scoring::Tiles);
    assert_eq!(
        [8, 100].map(|d| of(d, &SOFTWARE)),
        [Scoring::Rows(2), Scoring::Rows(1)]
    );
}

#[test]
fn rows_share_parameters_where_registers_hold_them() {
    let rows = |(d, k), weighted, limits| rows_at_once(shape(Full, d, k), weighted, limits);
    let of = |size| {
        let all = [&SOFTWARE, &DeviceLimits::CARD, &DeviceLimits::NVIDIA];
        all.map(|limits| rows(size, false, limits))
    };
    assert_eq!(of((2, 4)), [1, 4, 4]);
    assert_eq!(of((3, 4)), [1, 2, 2]);
    assert_eq!(of((8, 2)), [1, 1, 2]);
    assert_eq!(of((4, 6)), [1, 1, 2]);
    // A row's weight takes registers, too.
    let weighted = |size| rows(size, true, &DeviceLimits::NVIDIA);
    assert_eq!([(8, 2), (4, 6)].map(weighted), [2, 1]);
}

#[test]
fn owners_give_each_scheduler_a_warp() {
    for (t, d, k) in [
        (Full, 10, 20),
        (Full, 11, 13),
        (Full, 16, 20),
        (Diag, 16, 20),
    ] {
        let sharing = Sharing::of(shape(t, d, k), &DeviceLimits::NVIDIA).expect("it is small");
        assert!(sharing.owners > 0);
        assert_eq!(sharing.workgroup, 128, "{t:?} {d} {k}");
    }
}
