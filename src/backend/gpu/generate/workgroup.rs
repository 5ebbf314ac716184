//! `statistics_workgroup`: scores unrolled over K, then one component an invocation.

use std::fmt::Write;

use super::super::plan::Sharing;
use super::super::shape::{Shape, quads};
use super::unrolled::{Unrolled, accumulators};
use super::{BLOCK, BLOCK_RANGE, PARTS, SOFTMAX, fill};
use crate::mixture::CovarianceType;

/// The text of `statistics_workgroup` for a shape.
pub(in super::super) fn statistics_workgroup(
    shape: Shape,
    weighted: bool,
    sharing: Sharing,
    models: usize,
) -> String {
    let Sharing {
        workgroup,
        slices,
        run,
        written,
        some,
    } = sharing;
    let (d, k) = (shape.d, shape.k);
    let unrolled = Unrolled::new(shape, weighted, false).one_of(models);
    let names = names(shape);
    let constants = format!(
        "{}const QUADS: u32 = {}u;\nconst K: u32 = {k}u;\n\
         // Invocations, how many of them share the rows of a component, and the rows of each and of a tile.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst SLICES: u32 = {slices}u;\n\
         const RUN: u32 = {run}u;\nconst TILE: u32 = {}u;\n\
         // How many are written out.\nconst WRITTEN: u32 = {written}u;\nconst ROUNDS: u32 = {}u;\n\
         // Components that are scored at a time.\nconst SOME: u32 = {some}u;\n\
         const CHUNK: u32 = {}u;\n// The most models of a dispatch.\nconst MODELS: u32 = {models}u;\n\n{BLOCK}\n{BLOCK_RANGE}\n{SOFTMAX}",
        unrolled.constants(k * names.len() + 2),
        quads(d),
        sharing.tile(),
        sharing.rounds(),
        sharing.chunk(k),
    );
    let padding = match sharing.tile() % 2 {
        0 => "    padding: f32,\n",
        _ => "",
    };
    let shares = format!(
        "struct SharesOfComponent {{\n    slices: array<SharesOfSlice, SLICES>,\n{padding}}}"
    );
    let [mut means, mut mean] = [const { String::new() }; 2];
    for q in 0..quads(d) {
        for c in 0..k {
            let parts = vec4_of(d, q, |i| unrolled.in_buffer(c, i));
            line!(means, "means_of[{c}].quads[{q}] = {parts};");
        }
        line!(mean, "let mean_{q} = means_of[own].quads[{q}];");
    }
    let mut sums_of = names.clone();
    sums_of.extend(["tops", "logs"].map(str::to_owned));
    fill(
        include_str!("../../../../shaders/statistics_workgroup.wgsl"),
        &[
            ("constants", &constants),
            ("shares", &shares),
            ("model", unrolled.model()),
            ("means", &means),
            ("mean", &mean),
            ("accumulators", &accumulators(&sums_of)),
            ("row", &row(&unrolled, (sharing, models), shape, weighted)),
            ("slice", &slice(shape, sharing)),
            ("sums", &sums(&names, sharing, k)),
        ],
    )
}

/// Vec4 `q` of D features, padded with zeros.
fn vec4_of(d: usize, q: usize, feature: impl Fn(usize) -> String) -> String {
    let parts = [0, 1, 2, 3].map(|part| match 4 * q + part {
        i if i < d => feature(i),
        _ => "0.0".to_owned(),
    });
    format!("vec4({})", parts.join(", "))
}

/// The names of a component's sums, in the order of a row of partials.
fn names(shape: Shape) -> Vec<String> {
    let d = shape.d;
    let mut names = vec!["s0".to_owned()];
    names.extend((0..d).map(|i| format!("s1_{i}")));
    match shape.covariance_type {
        CovarianceType::Full | CovarianceType::Tied => {
            names.extend((0..d).flat_map(|i| (0..=i).map(move |j| format!("s2_{i}_{j}"))));
        }
        // Spherical ones have other kernels.
        CovarianceType::Diag | CovarianceType::Spherical => {
            names.extend((0..d).map(|i| format!("s2_{i}")));
        }
    }
    names
}

/// What an invocation does with its row of a tile.
fn row(
    unrolled: &Unrolled,
    (sharing, models): (Sharing, usize),
    shape: Shape,
    weighted: bool,
) -> String {
    let (d, k) = (shape.d, shape.k);
    let mut text = unrolled.features();
    let share = |some: &str, c: usize| {
        format!("shares_of[{some}].components[{c}].slices[in_slice].somes[in_run].rows[in_some]")
    };
    let is_whole = sharing.some == k;
    if is_whole {
        text += &unrolled.softmax();
    } else {
        // More scores than registers hold wait in the places of what becomes of them.
        line!(text, "var top = -3.4e38;");
        text += &in_turns(sharing, k, |some, count| {
            let mut turn = String::new();
            let len = sharing.some * shape.parameters_len() / 4;
            line!(turn, "let parameters = {some} * {len}u;");
            let scored = Unrolled::some(shape.with(count)).one_of(models);
            for c in 0..count {
                scored.score(c, &mut turn);
                line!(turn, "{} = q{c};\ntop = max(top, q{c});", share(some, c));
            }
            turn
        });
        line!(text, "var sum = 0.0;");
        text += &in_turns(sharing, k, |some, count| {
            let mut turn = String::new();
            for c in 0..count {
                line!(turn, "let e{c} = exp2_or_zero({} - top);", share(some, c));
                line!(turn, "{} = e{c};", share(some, c));
            }
            let all: Vec<String> = (0..count).map(|c| format!("e{c}")).collect();
            line!(turn, "sum += {};", all.join(" + "));
            turn
        });
    }
    let weight = match weighted {
        true => format!("samples[at + {d}u * rows_per_block]"),
        false => "1.0".to_owned(),
    };
    // Rows that the tile lacks repeat the last one, without weight.
    line!(
        text,
        "let weight = select(0.0, {weight}, row < block.rows);"
    );
    line!(
        text,
        "tops += weight * top;\nlogs += weight * log2_of(sum);"
    );
    line!(text, "let share = weight / sum;");
    for q in 0..quads(d) {
        let parts = vec4_of(d, q, |i| format!("x{i}"));
        line!(
            text,
            "features_of[in_slice].somes[in_run].rows[in_some].quads[{q}] = {parts};"
        );
    }
    text += &in_turns(sharing, k, |some, count| {
        let mut turn = String::new();
        for c in 0..count {
            match is_whole {
                true => line!(turn, "{} = e{c} * share;", share(some, c)),
                false => line!(turn, "{} *= share;", share(some, c)),
            }
        }
        turn
    });
    text
}

/// The text of so many components for all of them, the last of them apart where they are fewer: of which some, and how
/// many.
fn in_turns(sharing: Sharing, k: usize, text: impl Fn(&str, usize) -> String) -> String {
    let some = sharing.some;
    if some == k {
        return text("0u", k);
    }
    let (turns, rest) = (k / some, k % some);
    let mut all = format!(
        "for (var turn = 0u; turn < {turns}u; turn++) {{\n{}}}\n",
        text("turn", some)
    );
    if rest > 0 {
        all += &format!("{{\n{}}}\n", text(&format!("{turns}u"), rest));
    }
    all
}

/// What it does with its slice.
fn slice(shape: Shape, sharing: Sharing) -> String {
    let d = shape.d;
    let mut text = String::new();
    let some = match sharing.rounds() {
        1 => "0u",
        _ => {
            line!(text, "for (var some = 0u; some < ROUNDS; some++) {{");
            "some"
        }
    };
    let shares = match sharing.some == shape.k {
        true => "shares_of[0].components[own]",
        false => "shares_of[own / SOME].components[own % SOME]",
    };
    for n in 0..sharing.written {
        line!(
            text,
            "let r{n} = {shares}.slices[slice].somes[{some}].rows[{n}];"
        );
        for q in 0..quads(d) {
            line!(
                text,
                "let v{n}_{q} = features_of[slice].somes[{some}].rows[{n}].quads[{q}];"
            );
        }
        line!(text, "s0 += r{n};");
        for i in 0..d {
            let (quad, part) = (i / 4, PARTS[i % 4]);
            line!(
                text,
                "let d{n}_{i} = v{n}_{quad}.{part} - mean_{quad}.{part};"
            );
            line!(text, "let t{n}_{i} = r{n} * d{n}_{i};\ns1_{i} += t{n}_{i};");
            match shape.covariance_type {
                CovarianceType::Full | CovarianceType::Tied => {
                    for j in 0..=i {
                        line!(text, "s2_{i}_{j} = fma(t{n}_{i}, d{n}_{j}, s2_{i}_{j});");
                    }
                }
                CovarianceType::Diag | CovarianceType::Spherical => {
                    line!(text, "s2_{i} = fma(t{n}_{i}, d{n}_{i}, s2_{i});");
                }
            }
        }
    }
    if sharing.rounds() > 1 {
        line!(text, "}}");
    }
    text
}

/// Sums over the slices of each component, some sums at a time, and of the logs over the rows of a tile.
fn sums(names: &[String], sharing: Sharing, k: usize) -> String {
    let mut text = String::new();
    line!(text, "let to = partial + own * {}u + slice;", names.len());
    let chunk = sharing.chunk(k);
    for (c, names) in names.chunks(chunk).enumerate() {
        line!(text, "if slice < SLICES {{");
        for (n, name) in names.iter().enumerate() {
            line!(text, "    tree[{n}].slices[slice][own] = {name};");
        }
        line!(text, "}}\nworkgroupBarrier();");
        let parts: Vec<String> = (0..sharing.slices)
            .map(|s| format!("tree[slice].slices[{s}][own]"))
            .collect();
        line!(text, "if slice < {}u {{", names.len());
        line!(
            text,
            "    partials[to + {}u] = {};\n}}\nworkgroupBarrier();",
            c * chunk,
            parts.join(" + ")
        );
    }
    line!(text, "if lane < TILE {{");
    line!(
        text,
        "    features_of[in_slice].somes[in_run].rows[in_some].quads[0] = vec4(tops, logs, 0.0, 0.0);\n}}\nworkgroupBarrier();"
    );
    line!(text, "if lane < SLICES {{\n    var sum = vec2(0.0);");
    for some in 0..sharing.rounds() {
        for row in 0..sharing.written {
            line!(
                text,
                "    sum += features_of[lane].somes[{some}].rows[{row}].quads[0].xy;"
            );
        }
    }
    line!(text, "    branches[lane] = sum;\n}}\nworkgroupBarrier();");
    line!(text, "if lane == 0u {{\n    var sum = branches[0];");
    for s in 1..sharing.slices {
        line!(text, "    sum += branches[{s}];");
    }
    let logs = k * names.len();
    line!(
        text,
        "    partials[partial + {logs}u] = sum.x;\n    partials[partial + {}u] = sum.y;\n}}",
        logs + 1
    );
    text
}
