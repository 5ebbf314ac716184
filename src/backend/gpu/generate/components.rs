//! M-steps on the device where a workgroup has a component: what depends on where sums and parameters stand.

use std::fmt::Write;

use super::super::digits::MOST_GROWTH;
use super::super::layout::{ParameterLayout, SumLayout, group_quads, padded};
use super::super::plan::{Reduction, Tiling, UNIFORM_BYTES, chunk};
use super::super::shape::{Shape, quads};
use super::super::stage::uniform_stride;
use super::super::statistics_registers::BlockRange;
use super::steps::{CONVERGENCE, HYSTERESIS, PARTS_OF, WALK, sum_lines};
use super::unrolled::shared_memory;
use super::*;

const COMPONENT_STEP: &str = include_str!("../../../../shaders/shared/component_step.wgsl");
const TOTAL: &str = include_str!("../../../../shaders/shared/component_total.wgsl");
const BRANCHES: &str = include_str!("../../../../shaders/shared/branches.wgsl");
const VERDICT: &str = include_str!("../../../../shaders/shared/verdict.wgsl");
/// What all of these stages know of a shape.
fn constants(shape: Shape) -> String {
    let Shape { d, k, .. } = shape;
    let parameters = (k * shape.parameters_len()).next_multiple_of(4);
    format!(
        "// {:?} covariances.\nconst D: u32 = {d}u;\nconst K: u32 = {k}u;\nconst TRIANGLE: u32 = {}u;\n\
         // Numbers of a component's parameters: mean, factor, remainder, constant; and of a model's.\n\
         const COMPONENT_PARAMETERS: u32 = {}u;\nconst MODEL_PARAMETERS: u32 = {parameters}u;\n\
         const REMAINDER: u32 = {}u;\n\n\
         // Where an entry of a triangle stands.\nfn at(i: u32, j: u32) -> u32 {{\n    return i * (i + 1u) / 2u + j;\n}}\n\n{WALK}",
        shape.covariance_type,
        triangle::packed_len(d),
        shape.parameters_len(),
        d + shape.factor_len(),
    )
}

/// A function that tells where a sum stands.
fn place(name: &str, arguments: &[&str], at: &str) -> String {
    let arguments: Vec<String> = arguments.iter().map(|a| format!("{a}: u32")).collect();
    format!(
        "fn {name}({}) -> u32 {{\n    return {at};\n}}\n",
        arguments.join(", ")
    )
}

/// Where sums stand.
fn places(shape: Shape, sums: SumLayout) -> String {
    let (d, k) = (shape.d, shape.k);
    let is_tied = shape.covariance_type == CovarianceType::Tied;
    let is_spherical = shape.covariance_type == CovarianceType::Spherical;
    let tiling = Tiling::of(d);
    let entry = match (shape.is_diagonal(), is_spherical) {
        (false, _) => "at(i, j)",
        (true, false) => "i",
        (true, true) => "0u",
    };
    let (s0, s1, s2) = match sums {
        SumLayout::Groups(group) => {
            let of_group = shape.with(group).statistics_len();
            let len = shape.component_len();
            let first = format!("k / {group}u * {of_group}u + k % {group}u * {len}u");
            let second = format!("{first} + {}u + {entry}", 1 + d);
            (first.clone(), format!("{first} + 1u + i"), second)
        }
        SumLayout::Features => {
            let first = format!("k * {}u", shape.component_in_workgroup_len());
            let second = format!("{first} + {}u + {entry}", 1 + d);
            (first.clone(), format!("{first} + 1u + i"), second)
        }
        SumLayout::Tiles => {
            let own = 4 * (tiling.vec4s(d) + 1);
            let second = format!(
                "{}u + k * {}u + moment_at(i, j)",
                k * own,
                tiling.moments_len(d)
            );
            (
                format!("k * {own}u + {}u", own - 4),
                format!("k * {own}u + i"),
                second,
            )
        }
        SumLayout::Diagonals => {
            let len = 4 * shape.with(1).staged_len();
            let second = match is_spherical {
                true => len - 3,
                false => 4 * quads(d),
            };
            (
                format!("k * {len}u + {}u", len - 4),
                format!("k * {len}u + i"),
                format!("k * {len}u + {second}u + {entry}"),
            )
        }
    };
    let mut text = format!(
        "// Whether sums are of whitened coordinates.\nconst SEEN: bool = {};\n// Where they stand.\n",
        sums.is_whitened()
    );
    if sums == SumLayout::Tiles {
        text += &moments(d, tiling);
    }
    text += &place("s0_at", &["k"], &s0);
    text += &place("s1_at", &["k", "i"], &s1);
    text += &place("s2_at", &["k", "i", "j"], &s2);
    if is_tied {
        let (groups, at) = match sums {
            SumLayout::Groups(group) => {
                let of_group = shape.with(group);
                let first = group * shape.component_len();
                let at = format!("g * {}u + {first}u + at(i, j)", of_group.statistics_len());
                (k.div_ceil(group), at)
            }
            _ => (0, "0u".to_owned()),
        };
        text += "// Groups of components that share second moments, 0 where each has its own.\n";
        text += &format!("const SHARED: u32 = {groups}u;\n");
        text += &place("shared_at", &["g", "i", "j"], &at);
    }
    text
}

/// A function that tells where a second moment stands among a component's, as [`Tiling::moment_at`].
fn moments(d: usize, tiling: Tiling) -> String {
    let (edge, square) = (tiling.edge, tiling.square_len());
    let (side, triangle) = match tiling.has_triangles(d) {
        true => {
            let at = tiling.all_squares(d) * square;
            let len = triangle::packed_len(edge);
            let condition = format!("    if side == j / {edge}u {{\n");
            let at = format!("{at}u + side * {len}u + at(i % {edge}u, j % {edge}u)");
            (
                "side - 1u",
                format!("{condition}        return {at};\n    }}\n"),
            )
        }
        false => ("side", String::new()),
    };
    format!(
        "fn moment_at(i: u32, j: u32) -> u32 {{\n    let side = i / {edge}u;\n{triangle}    \
         return at({side}, j / {edge}u) * {square}u + {edge}u * (j % {edge}u) + i % {edge}u;\n}}\n"
    )
}

/// The text of `sum_blocks`, for any layout.
pub(in super::super) fn sum_blocks(k: usize, reduction: Reduction) -> String {
    let at_once = chunk(reduction.workgroup);
    let constants = format!(
        "const K: u32 = {k}u;\nconst RANGE_STRIDE: u32 = {}u;\n\n{WALK}",
        uniform_stride::<BlockRange>() / 16
    );
    let (accumulators, tree) = sum_lines(at_once);
    let mut add = String::new();
    for s in 0..at_once {
        // Beyond the last sum that one again, for nothing.
        line!(
            add,
            "sum_{s} += partials[at + min(first + {s}u, settings.sums - 1u)];"
        );
    }
    fill(
        include_str!("../../../../shaders/sum_blocks.wgsl"),
        &[
            ("constants", &constants),
            ("reduction", &shared_memory(reduction, at_once)),
            ("accumulators", &accumulators),
            ("add", &add),
            ("tree", &tree),
        ],
    )
}

/// The text of `pool_moments`.
pub(in super::super) fn pool_moments(shape: Shape, sums: SumLayout) -> String {
    let constants = format!("{}\n{}", constants(shape), places(shape, sums));
    let template = include_str!("../../../../shaders/pool_moments.wgsl");
    fill(template, &[("constants", &constants)])
}

/// The text of `m_step_triangles`.
pub(in super::super) fn m_step_triangles(
    shape: Shape,
    sums: SumLayout,
    rows_at_once: usize,
) -> String {
    let is_tied = shape.covariance_type == CovarianceType::Tied;
    let (pooled, second, variance, centre) = match is_tied {
        true => (
            "// Of all components, less what their means take.\n\
             @group(0) @binding(6) var<storage, read> pooled: array<f32>;\n",
            "c[at(i, j)] = pooled[model * TRIANGLE + at(i, j)];",
            "variances[i] = c[at(i, i)];",
            "let centred = second;\nlet of_pivot = second + square;",
        ),
        false => (
            "",
            "c[at(i, j)] = sums[first + s2_at(k, i, j)] / share;",
            "variances[i] = c[at(i, i)] - shift[i] * shift[i];",
            "let centred = second - square;\nlet of_pivot = second;",
        ),
    };
    let (variance, whiten, growth) = match sums.is_whitened() {
        true => ("", "", ""),
        false => (variance, WHITEN, GROWTH),
    };
    let constants = format!(
        "// Rounding of sums of features may become so much larger when they are whitened, see digits.rs.\n\
         const MOST_GROWTH: f32 = {:?};\n// Rows of U S.\nconst ROWS_AT_ONCE: u32 = {rows_at_once}u;\n{}\n{}\n{PARTS_OF}\n{SOFTMAX}",
        HYSTERESIS * MOST_GROWTH,
        constants(shape),
        places(shape, sums)
    );
    fill(
        include_str!("../../../../shaders/m_step_triangles.wgsl"),
        &[
            ("constants", &constants),
            ("bindings", COMPONENT_STEP),
            ("total", TOTAL),
            ("pooled", pooled),
            ("second", second),
            ("variance", variance),
            ("whiten", whiten),
            ("centre", centre),
            ("growth", growth),
            ("branches", BRANCHES),
            ("verdict", VERDICT),
        ],
    )
}

/// U S Uᵀ, in place, some rows at a time: the last ones first, as those above them are made of what is left.
const WHITEN: &str = "\
for (var below = 0u; below < D; below += ROWS_AT_ONCE) {
    for (var p = lane; p < ROWS_AT_ONCE * D; p += WORKGROUP) {
        let taken = below + p / D;
        let j = p % D;
        if taken + j < D {
            let a = D - 1u - taken;
            var sum = 0.0;
            for (var i = 0u; i <= a; i++) {
                sum += seen_by(own, a, i, is_gaussian, is_seen) * c[at(max(i, j), min(i, j))];
            }
            line[p] = sum;
        }
    }
    workgroupBarrier();
    for (var p = lane; p < ROWS_AT_ONCE * D; p += WORKGROUP) {
        let taken = below + p / D;
        let b = p % D;
        if taken + b < D {
            var sum = 0.0;
            for (var j = 0u; j <= b; j++) {
                sum += line[p - b + j] * seen_by(own, b, j, is_gaussian, is_seen);
            }
            c[at(D - 1u - taken, b)] = sum;
        }
    }
    workgroupBarrier();
}
";

/// Whether the next step's sums of features will keep their digits when they are whitened.
const GROWTH: &str = "\
for (var i = lane; i < D; i += WORKGROUP) {
    var growth = 0.0;
    for (var j = 0u; j <= i; j++) {
        let entry = c[at(i, j)];
        growth += entry * entry * variances[j];
    }
    keeps_digits = keeps_digits && (is_seen || growth <= MOST_GROWTH);
}
";

/// The text of `m_step_diagonals`.
pub(in super::super) fn m_step_diagonals(shape: Shape, sums: SumLayout) -> String {
    let d = shape.d;
    let s2 = "sums[first + s2_at(k, i, 0u)] / share";
    // Spherical components' squares are summed in bits where they are made of scores.
    let unit = match sums {
        SumLayout::Diagonals => format!("(HALF_LOG2_E * {d}.0)"),
        _ => format!("{d}.0"),
    };
    let variance = match (shape.covariance_type, sums.is_whitened()) {
        (CovarianceType::Spherical, _) => {
            format!("let second = {s2} / {unit};\nlet taken = total.z / {d}.0;")
        }
        (_, true) => format!("let second = {s2};\nlet taken = m * m;"),
        (_, false) => format!(
            "let seen = u * sums[first + s1_at(k, i)] / share;\n\
             let second = u * u * {s2};\nlet taken = seen * seen;"
        ),
    };
    let constants = format!(
        "{}\n{}\n{PARTS_OF}\n{SOFTMAX}",
        constants(shape),
        places(shape, sums)
    );
    fill(
        include_str!("../../../../shaders/m_step_diagonals.wgsl"),
        &[
            ("constants", &constants),
            ("bindings", COMPONENT_STEP),
            ("total", TOTAL),
            ("variance", &variance),
            ("branches", BRANCHES),
            ("verdict", VERDICT),
        ],
    )
}

/// The text of `conclude_step`.
pub(in super::super) fn conclude_step(k: usize) -> String {
    let constants = format!("const K: u32 = {k}u;\n\n{WALK}\n{CONVERGENCE}");
    let template = include_str!("../../../../shaders/conclude_step.wgsl");
    fill(
        template,
        &[("constants", &constants), ("branches", BRANCHES)],
    )
}

/// The text of `commit_step`.
pub(in super::super) fn commit_step(shape: Shape, layout: ParameterLayout) -> String {
    let len = shape.parameters_len();
    let [
        mut targets,
        mut mean,
        mut factor,
        mut remainder,
        mut constant,
    ] = [const { String::new() }; 5];
    let mut write = |binding: Option<(usize, &str, &str)>, to: &str, at: [String; 4]| {
        if let Some((number, name, about)) = binding {
            line!(targets, "// {about}");
            line!(
                targets,
                "@group(0) @binding({number}) var<storage, read_write> {name}: array<f32>;"
            );
        }
        let texts = [&mut mean, &mut factor, &mut remainder, &mut constant];
        for (text, at) in texts.into_iter().zip(at) {
            line!(text, "    {to}[{at}] = value;");
        }
    };
    let factor_at = match shape.is_diagonal() {
        true => "i",
        false => "at(i, j)",
    };
    let packed = |first: &str| {
        [
            format!("{first} + i"),
            format!("{first} + D + {factor_at}"),
            format!("{first} + REMAINDER + i"),
            format!("{first} + {}u", len - 1),
        ]
    };
    write(None, "parameters", packed("own"));
    match layout {
        ParameterLayout::Packed => {}
        ParameterLayout::Chunks { score, sum } => {
            for (number, name, group) in
                [(5, "score_components", score), (6, "sum_components", sum)]
            {
                let quads = group_quads(shape, group);
                let per_chunk = UNIFORM_BYTES / 16 / quads;
                let first = format!(
                    "k / {group}u / {per_chunk}u * {}u + k / {group}u % {per_chunk}u * {}u + k % {group}u * {len}u",
                    UNIFORM_BYTES / 4,
                    4 * quads
                );
                let about = format!("In groups of {group}, chunks of {per_chunk} groups.");
                write(Some((number, name, &about)), name, packed(&first));
            }
        }
        ParameterLayout::Tiled if shape.is_diagonal() => {
            let entry = 4 * Shape::OCTET_ENTRY;
            let octet = (1 + quads(shape.d)) * entry;
            let first = format!("k / 8u * {octet}u + k % 8u * 4u");
            let feature = |array: usize| {
                format!(
                    "{first} + (1u + i / 4u) * {entry}u + {}u + i % 4u",
                    32 * array
                )
            };
            let places = [feature(0), feature(2), feature(1), first.clone()];
            let about = "By eight components, see octets.wgsl.";
            write(Some((5, "components", about)), "components", places);
        }
        ParameterLayout::Tiled => {
            let (first, padded) = (
                format!("k * {}u", 4 * shape.with(1).staged_parameters_len()),
                padded(shape.d),
            );
            let factor = "16u * at(i / 4u, j / 4u) + 4u * (j % 4u) + i % 4u";
            write(
                Some((
                    5,
                    "components",
                    "Constant, mean and remainder in vec4s, factor in tiles of 4 x 4.",
                )),
                "components",
                [
                    format!("{first} + 4u + i"),
                    format!("{first} + {}u + {factor}", 4 + 2 * padded),
                    format!("{first} + {}u + i", 4 + padded),
                    first,
                ],
            );
        }
    }
    let function = |name: &str, arguments: &str, text: &str| {
        format!("fn {name}(own: u32, k: u32, {arguments}value: f32) {{\n{text}}}\n\n")
    };
    targets.push('\n');
    targets += &function("write_mean", "i: u32, ", &mean);
    targets += &function("write_factor", "i: u32, j: u32, ", &factor);
    targets += &function("write_remainder", "i: u32, ", &remainder);
    targets += &function("write_constant", "", &constant);
    let rows = match shape.is_diagonal() {
        true => {
            "if i % 64u == lane {\n    write_factor(own, k, i, i, trace[at_component + D + i]);\n}"
        }
        false => {
            "for (var j = lane; j <= i; j += 64u) {\n    write_factor(own, k, i, j, trace[at_component + D + at(i, j)]);\n}"
        }
    };
    fill(
        include_str!("../../../../shaders/commit_step.wgsl"),
        &[
            ("constants", &constants(shape)),
            ("targets", &targets),
            ("rows", rows),
        ],
    )
}
