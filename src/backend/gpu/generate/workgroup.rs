//! `statistics_workgroup`: scores unrolled over K, then one component an invocation.

use std::fmt::Write;

use super::super::plan::{Sharing, models_per_dispatch};
use super::super::shape::{Shape, quads};
use super::unrolled::{Unrolled, accumulators};
use super::{BLOCK, BLOCK_RANGE, PARTS, SOFTMAX, fill};
use crate::mixture::CovarianceType;

/// The text of `statistics_workgroup` for a shape.
pub(in super::super) fn statistics_workgroup(
    shape: Shape,
    weighted: bool,
    sharing: Sharing,
) -> String {
    let Sharing {
        workgroup, slices, ..
    } = sharing;
    let (d, k) = (shape.d, shape.k);
    let unrolled = Unrolled::new(shape, weighted, false);
    let names = names(shape);
    let constants = format!(
        "{}const QUADS: u32 = {}u;\nconst K: u32 = {k}u;\n\
         // Invocations, and how many of them share the rows of a component.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst SLICES: u32 = {slices}u;\n\
         const CHUNK: u32 = {}u;\n// The most models of a dispatch.\nconst MODELS: u32 = {}u;\n\n{BLOCK}\n{BLOCK_RANGE}\n{SOFTMAX}",
        unrolled.constants(k * names.len() + 2),
        quads(d),
        Sharing::CHUNK,
        models_per_dispatch(shape)
    );
    let mut mean = String::new();
    line!(mean, "let mean_at = own * {}u;", shape.parameters_len());
    for i in 0..d {
        line!(
            mean,
            "let mean_{i} = components[model][(mean_at + {i}u) / 4u][(mean_at + {i}u) % 4u];"
        );
    }
    let mut sums_of = names.clone();
    sums_of.extend(["tops", "logs"].map(str::to_owned));
    fill(
        include_str!("../../../../shaders/statistics_workgroup.wgsl"),
        &[
            ("constants", &constants),
            ("mean", &mean),
            ("accumulators", &accumulators(&sums_of)),
            ("row", &row(&unrolled, shape, weighted)),
            ("pair", &pair(shape)),
            ("sums", &sums(&names, k, sharing)),
        ],
    )
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
fn row(unrolled: &Unrolled, shape: Shape, weighted: bool) -> String {
    let (d, k) = (shape.d, shape.k);
    let mut text = unrolled.features() + &unrolled.softmax();
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
        let parts = [0, 1, 2, 3].map(|part| match 4 * q + part {
            i if i < d => format!("x{i}"),
            _ => "0.0".to_owned(),
        });
        line!(
            text,
            "features_of[lane / 2u].rows[lane % 2u].quads[{q}] = vec4({});",
            parts.join(", ")
        );
    }
    for c in 0..k {
        line!(
            text,
            "shares_of[lane / 2u].rows[lane % 2u].components[{c}] = e{c} * share;"
        );
    }
    text
}

/// What it does with two rows of its slice.
fn pair(shape: Shape) -> String {
    let d = shape.d;
    let mut text = String::new();
    for n in 0..2 {
        line!(
            text,
            "let r{n} = shares_of[pair].rows[{n}].components[own];"
        );
        for q in 0..quads(d) {
            line!(
                text,
                "let v{n}_{q} = features_of[pair].rows[{n}].quads[{q}];"
            );
        }
        line!(text, "s0 += r{n};");
        for i in 0..d {
            let (quad, part) = (i / 4, PARTS[i % 4]);
            line!(text, "let d{n}_{i} = v{n}_{quad}.{part} - mean_{i};");
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
    text
}

/// Sums over the slices of each component, some sums at a time, and of the logs over all invocations.
fn sums(names: &[String], k: usize, sharing: Sharing) -> String {
    let Sharing {
        workgroup, slices, ..
    } = sharing;
    let mut text = String::new();
    for (c, chunk) in names.chunks(Sharing::CHUNK).enumerate() {
        for (n, name) in chunk.iter().enumerate() {
            line!(text, "tree[{}u + lane] = {name};", n * workgroup);
        }
        line!(text, "workgroupBarrier();");
        let items = chunk.len() * k;
        for first in (0..items).step_by(workgroup) {
            line!(text, "if lane + {first}u < {items}u {{");
            line!(text, "    let item = lane + {first}u;");
            line!(text, "    let start = item / K * WORKGROUP + item % K;");
            let parts: Vec<String> = (0..slices)
                .map(|s| format!("tree[start + {}u]", s * k))
                .collect();
            line!(
                text,
                "    partials[partial + item % K * {}u + {}u + item / K] = {};",
                names.len(),
                c * Sharing::CHUNK,
                parts.join(" + ")
            );
            line!(text, "}}");
        }
        line!(text, "workgroupBarrier();");
    }
    line!(
        text,
        "tree[lane] = tops;\ntree[WORKGROUP + lane] = logs;\nworkgroupBarrier();"
    );
    line!(text, "if lane < 32u {{");
    line!(
        text,
        "    let start = lane / 16u * WORKGROUP + lane % 16u;\n    var sum = tree[start];"
    );
    for i in 1..workgroup / 16 {
        line!(text, "    sum += tree[start + {}u];", 16 * i);
    }
    line!(text, "    branches[lane] = sum;\n}}\nworkgroupBarrier();");
    line!(text, "if lane < 2u {{\n    var sum = branches[16u * lane];");
    for i in 1..16 {
        line!(text, "    sum += branches[16u * lane + {i}u];");
    }
    line!(
        text,
        "    partials[partial + {}u + lane] = sum;\n}}",
        k * names.len()
    );
    text
}
