//! What kernels bind and dispatch on a device, held against the bytes that the table of predictions counts with.

use super::device::{Device, Hardware, Options};
use super::measure::problem;
use super::nearest::Nearest;
use super::parameters::Parameters;
use super::plan::{DeviceLimits, Plan, Regime, SampleLayout};
use super::recording::Submission;
use super::shader_tests::{PROBLEMS, Problem};
use super::sums::Sums;
use super::{Gpu, Planned, Selection, Walk, record, totals_of};
use crate::backend::Watch;
use crate::data::Standardisation;

fn device() -> Device {
    let options = Options {
        as_hardware: Some(Hardware::Nvidia),
        ..Options::default()
    };
    Device::open(&Selection::Best, options).expect("these tests need an adapter")
}

/// The dispatches of a pass, or of `steps` steps and a pass: each stage's name and the bytes of its buffers.
fn dispatched(device: &Device, of: &Problem, steps: usize) -> Vec<(String, Vec<usize>)> {
    let (samples, mut components) = problem(device, of.shape, of.n).expect("samples");
    if !of.near {
        components.means.iter_mut().for_each(|mean| *mean += 100.0);
    }
    let map = Standardisation::identity(of.shape.d);
    let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
    let walks = [Walk {
        model: (&components).into(),
        most: steps,
        watch: Watch::default(),
    }];
    let planned: Vec<Planned> = gpu.planned(&walks).expect("a plan");
    let parameters = [Parameters::new(
        &components,
        planned[0].plan.regime.is_near(),
    )];
    let sums = vec![Sums::zero(planned[0].plan.sums())];
    let at_hand = gpu.samples.at_hand();
    let mut totals = totals_of((device, &mut gpu.pool), &planned, (1, false)).expect("room");
    let mut submission = Submission::new(device, &mut gpu.pool, &mut gpu.counters, sums);
    if planned[0].steps > 0 {
        let party = planned[0].party(&parameters, &walks, device.limits());
        let party = party.expect("steps on the device");
        party.record(&mut submission, &at_hand).expect("recorded");
    } else {
        let models = (parameters.as_slice(), walks.as_slice());
        record(&mut submission, &at_hand, &planned[0], models, &mut totals).expect("recorded");
    }
    let of_one = |bound: (&str, Vec<usize>)| (bound.0.to_owned(), bound.1);
    let dispatches = submission.dispatches();
    dispatches.map(|d| of_one(d.bound.bytes())).collect()
}

/// Bytes that a dispatch reads and writes, of what grows with N: buffers by their bindings. Where a kernel has one row of
/// a larger buffer, or rows alone, so many.
fn moved(stage: &str, bytes: &[usize], n: usize) -> usize {
    match stage {
        "statistics_registers" | "statistics_workgroup" => bytes[2] + bytes[4],
        "log_normalisers" => bytes[2] + bytes[4],
        // Samples are for weights; the first group's normalisers are written.
        "merge_normalisers" => bytes[3] + 8 * n,
        // Of normalisers the first group's.
        "statistics_groups" => bytes[2] + 8 * n + bytes[5],
        "score_full" | "score_products" | "score_tiles" | "score_panels" => bytes[1] + bytes[3],
        // Scores become roots of responsibilities.
        "responsibilities" => 2 * bytes[2],
        "normalise_tiles" => bytes[2],
        "accumulate" => bytes[1] + bytes[3] + bytes[4],
        "accumulate_tiles" => bytes[1] + bytes[3] + bytes[5],
        other => panic!("{other}"),
    }
}

/// The problems of the table with fewer rows: whole blocks, one batch.
fn smaller() -> impl Iterator<Item = Problem> {
    PROBLEMS.iter().map(|problem| Problem {
        shape: problem.shape,
        near: problem.near,
        n: if problem.shape.d > 32 { 8_192 } else { 65_536 },
    })
}

#[test]
fn passes_move_the_bytes_that_the_table_counts_with() {
    let device = device();
    for problem in smaller() {
        let what = problem.name();
        let wanted = problem.steps(device.limits());
        let found = dispatched(&device, &problem, 0);
        // Each kernel once; what adds up segments and rows is not in the table.
        let adds = |stage: &str| ["reduce_partials", "total_rows"].contains(&stage);
        let of_table: Vec<_> = found.iter().filter(|(stage, _)| !adds(stage)).collect();
        assert_eq!(of_table.len(), wanted.len(), "{what}");
        for ((stage, bytes), step) in of_table.into_iter().zip(&wanted) {
            assert_eq!(stage, step.key.stem(), "{what}");
            let moved = moved(stage, bytes, problem.n);
            assert_eq!(moved, step.bytes, "{what}: {stage}, {bytes:?}");
        }
        let reduced = found.iter().find(|(stage, _)| stage == "reduce_partials");
        if let Some((_, bytes)) = reduced {
            let (partials, sums) = reduce(&problem, device.limits());
            assert_eq!((bytes[2], bytes[3]), (partials, sums), "{what}");
        }
    }
}

/// Bytes that `reduce_partials` reads and writes.
fn reduce(problem: &Problem, limits: &DeviceLimits) -> (usize, usize) {
    let (n, shape) = (problem.n, problem.shape);
    let layout = SampleLayout::new(n, shape.d, false, limits).expect("a block fits");
    let plan = Plan::of(&layout, shape, problem.digits(), limits).expect("a plan");
    let Regime::Staged { segment_rows, .. } = plan.regime else {
        return (0, 0);
    };
    let segments =
        (0..layout.blocks.len()).map(|b| layout.blocks.rows(b).len().div_ceil(segment_rows));
    let len = 16 * shape.staged_len();
    (segments.sum::<usize>() * len, layout.blocks.len() * len)
}

#[test]
fn the_table_of_reads_is_what_the_plan_makes_of_a_million_rows() {
    let table = include_str!("../../../benches/gpu/README.md");
    for problem in &PROBLEMS {
        let x = 4 * problem.n * problem.shape.d;
        let steps = problem.steps(&DeviceLimits::NVIDIA);
        let all: usize = steps.iter().map(|step| step.bytes).sum();
        let reads = format!("{:.2}", all as f64 / x as f64);
        let row = table
            .lines()
            .find(|line| line.starts_with(&format!("| {} | H100 |", problem.name())))
            .unwrap_or_else(|| panic!("{}: no row", problem.name()));
        let last = row.trim_end_matches(" |").rsplit("| ").next();
        assert_eq!(last, Some(&*reads), "{}", problem.name());
        // What the table leaves out is told below it.
        let (partials, sums) = reduce(problem, &DeviceLimits::NVIDIA);
        if partials > 0 {
            let reads = format!("{:.2}", (partials + sums) as f64 / x as f64);
            let told = format!("{reads} for {}", problem.name().replace("N=1000000 ", ""));
            assert!(table.contains(&told), "{told}");
        }
        // One read of X and at most a tenth more where sums stay in registers.
        if ["statistics_registers", "statistics_workgroup"].contains(&steps[0].key.stem()) {
            assert!(10 * all <= 11 * x, "{}: {reads}", problem.name());
        }
    }
}

#[test]
fn steps_read_each_sum_once_and_move_little_else() {
    let device = device();
    for problem in smaller() {
        let what = problem.name();
        let found = dispatched(&device, &problem, 2);
        let after = |stage: &str| found.iter().find(|(name, _)| name == stage);
        let Some((_, bytes)) = after("sum_blocks") else {
            // Two passes of these are a submission.
            assert!(problem.shape.d > 64, "{what}");
            continue;
        };
        let steps = found.iter().map(|(stage, _)| stage);
        let pass: Vec<_> = found[..steps.take_while(|s| *s != "sum_blocks").count()].to_vec();
        // Each step after a pass, then a last one.
        let count = found
            .iter()
            .filter(|(stage, _)| stage == "sum_blocks")
            .count();
        let of_pass =
            |(stage, _): &&(String, Vec<usize>)| pass.iter().any(|(name, _)| name == stage);
        let (passes, mut steps): (Vec<_>, Vec<_>) = found.iter().partition(of_pass);
        assert_eq!(passes.len(), (count + 1) * pass.len(), "{what}");
        // Rows that are too many numbers are added up for the host once, in the end.
        if steps.last().is_some_and(|(stage, _)| stage == "total_rows") {
            steps.pop();
        }
        assert_eq!(steps.len() % count, 0, "{what}");
        // What the passes leave is read once, and one row of sums is made of it.
        let left = match pass.last().map(|(stage, bytes)| (stage.as_str(), bytes)) {
            Some(("total_rows", bytes)) => bytes[3],
            Some((_, bytes)) => bytes[4],
            None => panic!("{what}: no pass"),
        };
        assert_eq!(bytes[2], left, "{what}");
        let shape = problem.shape;
        let (trace, sums) = (bytes[5], bytes[4]);
        let parameters = 4 * shape.k * shape.parameters_len();
        // The trace has a row of logarithms, shares and parameters a step, and one more.
        assert!(trace >= (count + 1) * parameters, "{what}");
        // Beside it a step's stages have sums and parameters, each in two or three orders, what the components say, the
        // shared triangle, and settings.
        for (stage, bytes) in steps.iter().filter(|(stage, _)| stage != "sum_blocks") {
            let rest =
                bytes.iter().sum::<usize>() - bytes.iter().max().expect("buffers").min(&trace);
            let most = 2 * sums + 4 * parameters + 64 * (shape.k + 1) + (48 << 10);
            assert!(rest <= most, "{what}: {stage} binds {bytes:?}");
        }
    }
}

#[test]
fn nearest_centres_cost_one_read_of_the_points() {
    let mut nearest = Nearest::new(&device());
    let (n, d, k) = (4096, 5, 24);
    let numbers = |len: usize| {
        (0..len)
            .map(|i| (i * 7919 % 1009) as f64)
            .collect::<Vec<_>>()
    };
    let labels = nearest.labels(d, &numbers(n * d), &numbers(k * d));
    assert_eq!(labels.expect("labels").len(), n);
    let counters = nearest.counters;
    assert_eq!((counters.dispatches, counters.submissions), (1, 1));
    // Points, centres, and a pair a point and slice of centres: three octets in three slices.
    let bytes = 16 + 4 * n * d + 4 * k * d + 8 * n * 3;
    assert_eq!(counters.bytes_bound, bytes as u64);
    assert_eq!(counters.bytes_read, (8 * n * 3) as u64);
}
