//! Writes the WGSL text of a stage for its shape. Plain text for plain text: what comes out is meant to be read.
//!
//! Loops over D and K in the hot path cost a factor of two or more on real GPUs (loop bounding, arrays that
//! fall out of registers), so `statistics_registers` is unrolled: scalars with indices in their names.

use std::fmt::Write;

use super::plan::{Reduction, SEGMENTS, UNIFORM_BYTES};
use super::shape::{Shape, quads};
use crate::mixture::{CovarianceType, triangle};

/// Parameters up to so many are read into registers before the walk; more stay in the uniform buffer.
const MOST_HOISTED: usize = 40;

/// The parts of a vec4.
const PARTS: [&str; 4] = ["x", "y", "z", "w"];

const SOFTMAX: &str = include_str!("../../../shaders/shared/softmax.wgsl");
const BATCH: &str = include_str!("../../../shaders/shared/batch.wgsl");
const BLOCK: &str = include_str!("../../../shaders/shared/block.wgsl");
const BLOCK_RANGE: &str = include_str!("../../../shaders/shared/block_range.wgsl");
const GROUPS: &str = include_str!("../../../shaders/shared/groups.wgsl");
const SUBGROUPS: &str = include_str!("../../../shaders/shared/subgroups.wgsl");
const TREE: &str = include_str!("../../../shaders/shared/tree.wgsl");
const POWERS: &str = include_str!("../../../shaders/shared/powers.wgsl");
const OCTETS: &str = include_str!("../../../shaders/shared/octets.wgsl");
const FEATURES: &str = include_str!("../../../shaders/shared/features.wgsl");

/// Appends one formatted line. Writing to a `String` cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{
        let _ = writeln!($text, $($format)*);
    }};
}

mod accumulate;
pub(super) mod components;
mod octets;
mod owned;
mod products;
pub(super) mod steps;
mod tiles;
mod triangles;
mod unrolled;
mod workgroup;

pub(super) use accumulate::accumulate;
pub(super) use octets::{score_panels, score_tiles};
pub(super) use products::score_products;
pub(super) use tiles::{accumulate_tiles, normalise_tiles};
pub(super) use triangles::score_full;
use unrolled::{Unrolled, accumulators, builtins, shared_memory, sums};
pub(super) use workgroup::statistics_workgroup;

/// The text of a staged kernel for D features.
pub(super) fn staged(template: &str, d: usize) -> String {
    let constants = format!(
        "const D: u32 = {d}u;\nconst QUADS: u32 = {}u;\n{}\n{SOFTMAX}",
        quads(d),
        batch()
    );
    fill(
        template,
        &[
            ("constants", &constants),
            ("features", FEATURES),
            ("octets", OCTETS),
        ],
    )
}

/// Components of which `responsibilities` reads the scores at once: a part of its runs of 32 terms.
pub(super) const RESPONSIBILITIES_AT_ONCE: usize = 8;

/// The text of `responsibilities` for D features.
pub(super) fn responsibilities(d: usize) -> String {
    let [mut scores, mut largest, mut powers, mut shares] = [const { String::new() }; 4];
    for c in 0..RESPONSIBILITIES_AT_ONCE {
        line!(scores, "let q{c} = scores[at + {c}u * stride];");
        line!(largest, "top = max(top, q{c});");
        line!(powers, "run += exp2_or_zero(q{c} - top);");
        line!(shares, "let r{c} = exp2_or_zero(q{c} - top) * share;");
        line!(
            shares,
            "scores[at + {c}u * stride] = select(sqrt(r{c}), r{c}, EACH_ROW);"
        );
    }
    let parts = [
        ("scores", &*scores),
        ("largest", &largest),
        ("powers", &powers),
        ("shares", &shares),
    ];
    let text = fill(
        include_str!("../../../shaders/responsibilities.wgsl"),
        &parts,
    );
    let at_once = format!("const AT_ONCE: u32 = {RESPONSIBILITIES_AT_ONCE}u;\n\n@group(0)");
    staged(&text, d).replacen("@group(0)", &at_once, 1)
}

/// The text of `nearest`.
pub(super) fn nearest() -> String {
    let [mut zeros, mut squares, mut smallest] = [const { String::new() }; 3];
    for c in 0..8 {
        let (half, part) = (["low", "high"][c / 4], PARTS[c % 4]);
        line!(zeros, "var s{c} = vec4(0.0);");
        line!(squares, "let d{c} = x - {half}.{part};");
        line!(squares, "s{c} = fma(d{c}, d{c}, s{c});");
        // Of equals the first.
        line!(
            smallest,
            "labels = select(labels, vec4(label + {c}.0), s{c} < distances);"
        );
        line!(smallest, "distances = min(distances, s{c});");
    }
    fill(
        include_str!("../../../shaders/nearest.wgsl"),
        &[
            ("zeros", &zeros),
            ("squares", &squares),
            ("smallest", &smallest),
        ],
    )
}

/// The text of `measure_fma`.
pub(super) fn measure_fma() -> String {
    let [mut chains, mut steps] = [const { String::new() }; 2];
    for c in 0..8 {
        line!(chains, "var c{c} = start + vec4({c}.0);");
    }
    for c in (0..4).flat_map(|_| 0..8) {
        line!(steps, "c{c} = fma(c{c}, a, b);");
    }
    let sum = "let sum = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));";
    fill(
        include_str!("../../../shaders/measure_fma.wgsl"),
        &[("chains", &chains), ("steps", &steps), ("sum", sum)],
    )
}

/// Replaces each `$name` by its text.
fn named(template: &str, parts: &[(&str, String)]) -> String {
    parts
        .iter()
        .fold(template.to_owned(), |text, (name, part)| {
            text.replace(&format!("${name}"), part)
        })
}

/// The text of `reduce_partials`, which serves every shape.
pub(super) fn reduce_partials() -> String {
    let template = include_str!("../../../shaders/reduce_partials.wgsl");
    fill(template, &[("constants", &batch())])
}

/// The text of `total_rows`, which serves every shape.
pub(super) fn total_rows() -> String {
    const AT_ONCE: usize = 16;
    let [mut read, mut add] = [const { String::new() }; 2];
    for i in 0..AT_ONCE {
        // Beyond the last row nothing is added.
        line!(
            read,
            "let x{i} = partials[rows[min(r + {i}u, last)] * range.len + own];"
        );
        line!(
            add,
            "total = add(total, select(0.0, x{i}, r + {i}u <= last));"
        );
    }
    fill(
        include_str!("../../../shaders/total_rows.wgsl"),
        &[
            ("constants", &format!("const AT_ONCE: u32 = {AT_ONCE}u;")),
            ("add", &(read + &add)),
        ],
    )
}

/// What the stages that work on batches of segments share.
fn batch() -> String {
    format!("const SEGMENTS: u32 = {SEGMENTS}u;\n\n{BATCH}")
}

/// What the stages that sum blocks under several models share. Parameters are constants, or `loaded` like any numbers.
fn block_range(loaded: bool) -> String {
    let components = match loaded {
        true => {
            "// Per model and component mean, factor, remainder, constant.\n\
                 @group(0) @binding(1) var<storage, read> components: array<f32>;"
        }
        false => {
            "@group(0) @binding(1) var<uniform> components: array<array<vec4<f32>, PARAMETERS>, MODELS>;"
        }
    };
    fill(BLOCK_RANGE, &[("components", components)])
}

/// The text of `statistics_registers` for a shape, perhaps of rows as they are.
pub(super) fn statistics_registers(
    (shape, near): (Shape, bool),
    weighted: bool,
    (reduction, rows_at_once): (Reduction, usize),
    models: usize,
) -> String {
    let hoisted = shape.k * shape.parameters_len() <= MOST_HOISTED;
    let unrolled = Unrolled::new(shape, weighted, hoisted)
        .one_of(models)
        .near(near);
    // Without weights the sum of logarithms is the logarithm of a product.
    let (product, logs) = match weighted {
        true => ("", ""),
        false => (
            "var product = 1.0;\nvar exponents = 0u;",
            "let rounds = (block.rows + TAKEN - 1u - lane) / TAKEN;\n\
             logs = log2_of(product) + f32(exponents - 127u * rounds);",
        ),
    };
    let mut names = unrolled.names();
    names.extend(["tops", "logs"].map(str::to_owned));
    let constants = format!(
        "{}// The most models of a dispatch.\nconst MODELS: u32 = {models}u;\n\
         // Rows that an invocation takes at once.\nconst AT_ONCE: u32 = {rows_at_once}u;\n\n{BLOCK}\n{}\n{SOFTMAX}",
        unrolled.constants(names.len()),
        block_range(false),
    );
    fill(
        include_str!("../../../shaders/statistics_registers.wgsl"),
        &[
            ("constants", &constants),
            ("builtins", builtins(reduction)),
            ("reduction", &shared_memory(reduction, names.len())),
            ("model", unrolled.model()),
            ("accumulators", &accumulators(&names)),
            ("parameters", &unrolled.hoisted()),
            ("row", &unrolled.rows(rows_at_once)),
            ("product", product),
            ("ahead", &unrolled.ahead(rows_at_once)),
            ("logs", logs),
            ("sums", &sums(&names, reduction)),
        ],
    )
}

/// The text of `log_normalisers` for a group of components.
pub(super) fn log_normalisers(group: Shape, hoisted: bool, alone: bool) -> String {
    let (groups, model) = match alone {
        true => (1, ""),
        false => (2, "let model = group.y;"),
    };
    let unrolled = Unrolled::new(group, false, hoisted).one_of(groups);
    // A loop of one round would make compilers hoist what they have no registers for.
    let walk = match hoisted {
        true => "for (var row = lane; row < block.rows; row += 64u) {",
        false => "let row = group.x * 64u + lane;\nif row < block.rows {",
    };
    fill(
        include_str!("../../../shaders/log_normalisers.wgsl"),
        &[
            ("constants", &unrolled.group_constants()),
            ("model", model),
            ("parameters", &unrolled.hoisted()),
            ("walk", walk),
            ("row", &(unrolled.features() + &unrolled.softmax())),
        ],
    )
}

/// The text of `merge_normalisers`.
pub(super) fn merge_normalisers(d: usize) -> String {
    fill(
        include_str!("../../../shaders/merge_normalisers.wgsl"),
        &[(
            "constants",
            &format!("const D: u32 = {d}u;\n\n{BLOCK}\n{GROUPS}\n{SOFTMAX}"),
        )],
    )
}

/// The text of `statistics_groups` for a group of components.
pub(super) fn statistics_groups(group: Shape, hoisted: bool, reduction: Reduction) -> String {
    let unrolled = Unrolled::new(group, false, hoisted);
    let names = unrolled.names();
    fill(
        include_str!("../../../shaders/statistics_groups.wgsl"),
        &[
            ("constants", &unrolled.group_constants()),
            ("builtins", builtins(reduction)),
            ("reduction", &shared_memory(reduction, names.len())),
            ("accumulators", &accumulators(&names)),
            ("parameters", &unrolled.hoisted()),
            ("row", &unrolled.normalised_row()),
            ("sums", &sums(&names, reduction)),
        ],
    )
}

/// Replaces each line `//@ name` by its text, indented like the line.
fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let part = line
            .trim_start()
            .strip_prefix("//@ ")
            .and_then(|name| parts.iter().find(|part| part.0 == name));
        match part {
            Some((_, part)) => {
                let indent = &line[..line.len() - line.trim_start().len()];
                for line in part.lines() {
                    text += if line.is_empty() { "" } else { indent };
                    text += line;
                    text.push('\n');
                }
            }
            None => {
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::plan::Tiling;
    use super::*;
    use CovarianceType::{Diag, Full, Spherical, Tied};

    fn registers(covariance_type: CovarianceType, d: usize, k: usize) -> String {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let reduction = Reduction {
            workgroup: 64,
            subgroups: 0,
        };
        statistics_registers((shape, false), true, (reduction, 1), 1)
    }

    #[test]
    fn templates_are_filled_where_marked_and_nowhere_else() {
        let text = fill("a\n  //@ b\n// c\n", &[("b", "x\ny\n")]);
        assert_eq!(text, "a\n  x\n  y\n// c\n");
    }

    #[test]
    fn every_mark_is_filled() {
        let is_filled = |text: &str| {
            text.lines()
                .all(|line| !line.trim_start().starts_with("//@"))
        };
        for (d, k) in [(1, 1), (2, 4), (4, 6), (11, 1)] {
            assert!(is_filled(&registers(Full, d, k)));
        }
        assert!([5, 100].iter().all(|&d| is_filled(&score_full(d, 1))
            && is_filled(&score_products(d, 4))
            && is_filled(&accumulate(d, Tiling::of(d)))));
        assert!(!is_filled(include_str!("../../../shaders/score_full.wgsl")));
    }

    #[test]
    fn parameters_are_hoisted_while_they_fit() {
        assert!(registers(Full, 2, 4).contains("let p3_7 = "));
        assert!(!registers(Full, 4, 6).contains("let p0_0 = "));
        // Three D-vectors and a constant each.
        assert!(registers(Diag, 4, 3).contains("let p2_12 = "));
    }

    #[test]
    fn each_type_has_its_own_second_moments() {
        let sums = |t| {
            let text = registers(t, 3, 2);
            let is_sum = |line: &&str| line.trim_start().starts_with("var s2_");
            text.lines().filter(is_sum).count()
        };
        assert_eq!([Full, Tied, Diag, Spherical].map(sums), [12, 6, 6, 2]);
        let multiply_adds = |t| registers(t, 3, 1).matches("fma(p").count();
        assert_eq!(
            [Full, Tied, Diag, Spherical].map(multiply_adds),
            [6, 6, 3, 3]
        );
    }
}
