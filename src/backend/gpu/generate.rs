//! Writes the WGSL text of a stage for its shape. Plain text for plain text: what comes out is meant to be read.
//!
//! Loops over D and K in the hot path cost a factor of two or more on real GPUs (loop bounding, arrays that
//! fall out of registers), so `statistics_registers` is unrolled: scalars with indices in their names.

use std::fmt::Write;

use super::plan::{Reduction, SEGMENTS, Tiles, Tiling, UNIFORM_BYTES, chunk, models_per_dispatch};
use super::shape::{Shape, quads};
use crate::mixture::{CovarianceType, triangle};

/// Parameters up to so many are read into registers before the walk; more stay in the uniform buffer.
const MOST_HOISTED: usize = 40;

/// Up to this D a row is whitened in registers.
const MOST_UNROLLED: usize = 64;
/// The parts of a vec4.
const PARTS: [&str; 4] = ["x", "y", "z", "w"];

const SOFTMAX: &str = include_str!("../../../shaders/shared/softmax.wgsl");
const BATCH: &str = include_str!("../../../shaders/shared/batch.wgsl");
const BLOCK: &str = include_str!("../../../shaders/shared/block.wgsl");
const GROUPS: &str = include_str!("../../../shaders/shared/groups.wgsl");
const SUBGROUPS: &str = include_str!("../../../shaders/shared/subgroups.wgsl");
const TREE: &str = include_str!("../../../shaders/shared/tree.wgsl");
const POWERS: &str = include_str!("../../../shaders/shared/powers.wgsl");
const FEATURES: &str = include_str!("../../../shaders/shared/features.wgsl");

/// Appends one formatted line. Writing to a `String` cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{
        let _ = writeln!($text, $($format)*);
    }};
}

/// The text of a staged kernel for D features.
pub(super) fn staged(template: &str, d: usize) -> String {
    let constants = format!(
        "const D: u32 = {d}u;\nconst QUADS: u32 = {}u;\n{}\n{SOFTMAX}",
        quads(d),
        batch()
    );
    fill(
        template,
        &[("constants", &constants), ("features", FEATURES)],
    )
}

/// The text of `whiten` for D features.
pub(super) fn whiten(d: usize) -> String {
    let body = if d <= MOST_UNROLLED {
        unrolled_whitening(d)
    } else {
        include_str!("../../../shaders/shared/whiten_loop.wgsl").to_owned()
    };
    let text = include_str!("../../../shaders/whiten.wgsl");
    fill(&staged(text, d), &[("whiten", &body)])
}

/// A row's whitened coordinates, four at a time.
fn unrolled_whitening(d: usize) -> String {
    let mut text = String::new();
    for j in 0..d {
        if j % 4 == 0 {
            line!(text, "let mean_{} = components[mean + {}u];", j / 4, j / 4);
        }
        let (quad, part) = (j / 4, PARTS[j % 4]);
        line!(
            text,
            "let x{j} = samples[at + {j}u * batch.rows_per_block] - mean_{quad}.{part};"
        );
    }
    let mut column = 0;
    for i in 0..quads(d) {
        line!(text, "var y{i} = -components[remainder + {i}u];");
        for j in 0..(4 * i + 4).min(d) {
            // Above the diagonal of the last sub-block there are zeros.
            let above = j.saturating_sub(4 * i);
            line!(text, "let u{i}_{j} = components[factor + {column}u];");
            if above == 0 {
                line!(text, "y{i} = fma(u{i}_{j}, vec4(x{j}), y{i});");
            } else {
                for part in &PARTS[above..] {
                    line!(
                        text,
                        "y{i}.{part} = fma(u{i}_{j}.{part}, x{j}, y{i}.{part});"
                    );
                }
            }
            column += 1;
        }
        column += 4 * (i + 1) - (4 * i + 4).min(d);
        line!(text, "whitened[to + {i}u * batch.segment_rows] = y{i};");
        line!(text, "squares += dot(y{i}, y{i});");
    }
    text
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

/// The text of `accumulate` for D features.
pub(super) fn accumulate(d: usize) -> String {
    let tiling = Tiling::of(d);
    let rows = tiling.rows;
    let constants = format!(
        "// Invocations, those that share out the tiles once, rows in workgroup memory.\n\
         const WORKGROUP: u32 = {}u;\nconst LANES: u32 = {}u;\nconst ROWS: u32 = {rows}u;\n\
         // How many invocations share the rows of a tile.\nconst SLICES: u32 = {}u;\n",
        tiling.workgroup, tiling.lanes, tiling.slices
    );
    let mut shared = String::new();
    if tiling.slices > 1 {
        shared += "workgroupBarrier();\n";
        for c in 0..4 {
            let repeated = [
                ("buffer", "z".to_owned()),
                ("column", format!("column_{c}")),
                ("slices", format!("{}u", tiling.slices)),
            ];
            shared += &named(
                include_str!("../../../shaders/shared/slices.wgsl"),
                &repeated,
            );
        }
    }
    let text = include_str!("../../../shaders/accumulate.wgsl");
    let text = fill(&staged(text, d), &[("slices", &shared)]);
    text.replacen("@group(0)", &format!("{constants}\n@group(0)"), 1)
}

/// The text of `score_tiles` for D features.
pub(super) fn score_tiles(d: usize) -> String {
    let [mut squares, mut features, mut scores] = [const { String::new() }; 3];
    for part in 0..4 {
        let feature = format!("min(4u * i + {part}u, D - 1u)");
        line!(features, "let x{part} = samples[at + {feature} * stride];");
    }
    for c in 0..8 {
        line!(squares, "var m{c} = vec4(0.0);");
        for (name, quad) in [
            ("mean", "0u"),
            ("remainder", "QUADS"),
            ("factor", "2u * QUADS"),
        ] {
            let at = format!("parameters + {c}u * COMPONENT + {quad}");
            line!(features, "let {name}{c} = components[{at}];");
        }
        for (part, name) in PARTS.iter().enumerate() {
            line!(
                features,
                "let y{c}_{part} = fma(vec4(factor{c}.{name}), x{part} - mean{c}.{name}, vec4(-remainder{c}.{name}));"
            );
        }
        // Four squares at a time, which rounds the long sum less often.
        let sum = (1..4).fold(format!("y{c}_0 * y{c}_0"), |sum, part| {
            format!("fma(y{c}_{part}, y{c}_{part}, {sum})")
        });
        line!(features, "m{c} += {sum};");
        line!(
            scores,
            "let q{c} = components[first + {c}u * COMPONENT].x - HALF_LOG2_E * min(m{c}, vec4(FARTHEST));"
        );
    }
    for (row, part) in PARTS.iter().enumerate() {
        for half in 0..2 {
            let q = [0, 1, 2, 3].map(|c| format!("q{}.{part}", 4 * half + c));
            line!(
                scores,
                "scores[to + {}u] = vec4({});",
                2 * row + half,
                q.join(", ")
            );
        }
    }
    let text = include_str!("../../../shaders/score_tiles.wgsl");
    let parts = [
        ("squares", squares),
        ("features", features),
        ("scores", scores),
    ];
    // Before the function of that name would be put in.
    let text = fill(
        text,
        &parts.each_ref().map(|(name, part)| (*name, part.as_str())),
    );
    staged(&text, d)
}

/// The text of `normalise_tiles` for D features.
pub(super) fn normalise_tiles(d: usize) -> String {
    let text = staged(include_str!("../../../shaders/normalise_tiles.wgsl"), d);
    text.replacen("@group(0)", &format!("{POWERS}\n@group(0)"), 1)
}

/// The text of `accumulate_tiles` for D features.
pub(super) fn accumulate_tiles(d: usize, tiles: Tiles) -> String {
    let Tiles {
        workgroup,
        pack,
        octets,
        features,
        slices,
    } = tiles;
    let spherical = pack == Tiles::PACK_OF_SPHERICAL;
    let constants = format!(
        "// Invocations; octets of components, in packs, and vec4s of features that they share out once, and slices of rows.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst OCTETS: u32 = {octets}u;\nconst PACK: u32 = {pack}u;\n\
         const PACKS: u32 = 8u * OCTETS / PACK;\nconst FEATURES: u32 = {features}u;\n\
         const SLICES: u32 = {slices}u;\nconst LANES: u32 = PACKS * FEATURES;\n\
         // Rows in workgroup memory.\nconst ROWS: u32 = {}u;\n\
         // Whether one second moment a component is wanted, the sum of squared distances that scores tell.\n\
         const SPHERICAL: bool = {spherical};\n\n{POWERS}",
        Tiles::ROWS
    );
    let mut sums = String::new();
    let mut names = Vec::new();
    for c in 0..pack {
        line!(sums, "let mean{c} = components[mean + {c}u * COMPONENT];");
        names.push(format!("s1_{c}"));
        if !spherical {
            names.push(format!("s2_{c}"));
        }
    }
    sums += &names.iter().fold(String::new(), |mut text, name| {
        line!(text, "var {name} = vec4(0.0);");
        text
    });
    let walk = tile_walk(tiles.unrolled(), pack, spherical);
    let mut shared = String::new();
    if slices > 1 {
        for name in &names {
            let repeated = [
                ("buffer", "shares".to_owned()),
                ("column", name.clone()),
                ("slices", format!("{slices}u")),
            ];
            let text = include_str!("../../../shaders/shared/slices.wgsl");
            shared += &named(text, &repeated);
        }
    }
    let [mut partials, mut tails] = [const { String::new() }; 2];
    line!(partials, "if slice == 0u && quad < QUADS {{");
    for c in 0..pack {
        line!(partials, "    if own + {c}u < batch.n_components {{");
        line!(
            partials,
            "        let to = (part + own + {c}u) * length + quad;"
        );
        line!(partials, "        partials[to] = s1_{c};");
        if !spherical {
            line!(partials, "        partials[to + QUADS] = s2_{c};");
        }
        line!(partials, "    }}");
    }
    line!(partials, "}}");
    for (c, part) in PARTS.iter().enumerate() {
        line!(tails, "if k + {c}u < batch.n_components {{");
        line!(
            tails,
            "    partials[(part + k + {c}u) * length + length - 1u] = vec4(s0.{part}, squares.{part}, 0.0, 0.0);"
        );
        line!(tails, "}}");
    }
    let text = fill(
        include_str!("../../../shaders/accumulate_tiles.wgsl"),
        &[
            ("sums", &sums),
            ("walk", &walk),
            ("slices", &shared),
            ("partials", &partials),
            ("tails", &tails),
        ],
    );
    staged(&text, d).replacen("@group(0)", &format!("{constants}\n@group(0)"), 1)
}

/// Adds the rows in workgroup memory, so many of them written out.
fn tile_walk(unrolled: usize, pack: usize, spherical: bool) -> String {
    let mut text = String::new();
    line!(
        text,
        "for (var row = slice; row < ROWS; row += {unrolled}u * SLICES) {{"
    );
    for n in 0..unrolled {
        line!(text, "    let at{n} = row + {n}u * SLICES;");
        line!(text, "    let x{n} = rows_of[at{n} * FEATURES + own_quad];");
        for half in 0..pack / 4 {
            line!(
                text,
                "    let r{n}_{half} = shares[at{n} * PAIRS + PACK / 4u * own_pack + {half}u];"
            );
        }
        for c in 0..pack {
            let r = format!("r{n}_{}.{}", c / 4, PARTS[c % 4]);
            line!(text, "    let d{n}_{c} = x{n} - mean{c};");
            if spherical {
                line!(text, "    s1_{c} = fma(vec4({r}), d{n}_{c}, s1_{c});");
            } else {
                line!(text, "    let t{n}_{c} = {r} * d{n}_{c};");
                line!(text, "    s1_{c} += t{n}_{c};");
                line!(text, "    s2_{c} = fma(t{n}_{c}, d{n}_{c}, s2_{c});");
            }
        }
    }
    line!(text, "}}");
    text
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

/// What the stages that work on batches of segments share.
fn batch() -> String {
    format!("const SEGMENTS: u32 = {SEGMENTS}u;\n\n{BATCH}")
}

/// The text of `statistics_registers` for a shape.
pub(super) fn statistics_registers(shape: Shape, weighted: bool, reduction: Reduction) -> String {
    let hoisted = shape.k * shape.parameters_len() <= MOST_HOISTED;
    let unrolled = Unrolled::new(shape, weighted, hoisted);
    // Without weights the sum of logarithms is the logarithm of a product.
    let (product, logs) = match weighted {
        true => ("", ""),
        false => (
            "var product = 1.0;\nvar exponents = 0u;",
            "let rounds = (block.rows + WORKGROUP - 1u - lane) / WORKGROUP;\n\
             logs = log2_of(product) + f32(exponents - 127u * rounds);",
        ),
    };
    let mut names = unrolled.names();
    names.extend(["tops", "logs"].map(str::to_owned));
    let constants = format!(
        "{}// The most models of a dispatch.\nconst MODELS: u32 = {}u;\n\n{BLOCK}\n{SOFTMAX}",
        unrolled.constants(names.len()),
        models_per_dispatch(shape)
    );
    fill(
        include_str!("../../../shaders/statistics_registers.wgsl"),
        &[
            ("constants", &constants),
            ("builtins", builtins(reduction)),
            ("reduction", &shared_memory(reduction)),
            ("accumulators", &accumulators(&names)),
            ("parameters", &unrolled.hoisted()),
            ("row", &unrolled.row()),
            ("product", product),
            ("logs", logs),
            ("sums", &sums(&names, reduction)),
        ],
    )
}

/// The text of `log_normalisers` for a group of components.
pub(super) fn log_normalisers(group: Shape, hoisted: bool) -> String {
    let unrolled = Unrolled::new(group, false, hoisted);
    // A loop of one round would make compilers hoist what they have no registers for.
    let walk = match hoisted {
        true => "for (var row = lane; row < block.rows; row += 64u) {",
        false => "let row = group.x * 64u + lane;\nif row < block.rows {",
    };
    fill(
        include_str!("../../../shaders/log_normalisers.wgsl"),
        &[
            ("constants", &unrolled.group_constants()),
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
            ("reduction", &shared_memory(reduction)),
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

/// A kernel unrolled over D and K.
struct Unrolled {
    shape: Shape,
    d: usize,
    k: usize,
    weighted: bool,
    /// Whether parameters are read into registers before the walk.
    is_hoisted: bool,
}

impl Unrolled {
    fn new(shape: Shape, weighted: bool, is_hoisted: bool) -> Self {
        Self {
            shape,
            d: shape.d,
            k: shape.k,
            weighted,
            is_hoisted,
        }
    }

    fn constants(&self, statistics: usize) -> String {
        let parameters = (self.k * self.shape.parameters_len()).div_ceil(4);
        format!(
            "// D = {}, K = {}, {:?} covariances.\n// vec4s that hold the parameters: per component mean, factor, remainder, constant.\n\
             const PARAMETERS: u32 = {parameters}u;\n// Numbers of a row of partials.\n\
             const STATISTICS: u32 = {statistics}u;\n",
            self.d, self.k, self.shape.covariance_type
        )
    }

    fn group_constants(&self) -> String {
        format!(
            "{}// vec4s of a uniform buffer.\nconst UNIFORM_LEN: u32 = {}u;\n\n{BLOCK}\n{GROUPS}\n{SOFTMAX}",
            self.constants(self.shape.statistics_len()),
            UNIFORM_BYTES / 16
        )
    }

    /// The names of all sums, in the order of a row of partials.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for k in 0..self.k {
            names.push(format!("s0_{k}"));
            names.extend((0..self.d).map(|i| format!("s1_{k}_{i}")));
            match self.shape.covariance_type {
                CovarianceType::Full => names.extend(self.triangle(&format!("s2_{k}"))),
                CovarianceType::Tied => {}
                CovarianceType::Diag => {
                    names.extend((0..self.d).map(|i| format!("s2_{k}_{i}")));
                }
                CovarianceType::Spherical => names.push(format!("s2_{k}")),
            }
        }
        if self.shape.covariance_type == CovarianceType::Tied {
            names.extend(self.triangle("s2"));
        }
        names
    }

    /// `name` with the indices of a triangle.
    fn triangle(&self, name: &str) -> impl Iterator<Item = String> {
        (0..self.d).flat_map(move |i| (0..=i).map(move |j| format!("{name}_{i}_{j}")))
    }

    /// Where parameter `i` of component `k` stands in the uniform buffer.
    fn in_buffer(&self, k: usize, i: usize) -> String {
        let at = k * self.shape.parameters_len() + i;
        format!("components[model][{}u].{}", at / 4, PARTS[at % 4])
    }

    fn parameter(&self, k: usize, i: usize) -> String {
        if self.is_hoisted {
            format!("p{k}_{i}")
        } else {
            self.in_buffer(k, i)
        }
    }

    fn hoisted(&self) -> String {
        let mut text = String::new();
        if self.is_hoisted {
            for k in 0..self.k {
                for i in 0..self.shape.parameters_len() {
                    line!(text, "let p{k}_{i} = {};", self.in_buffer(k, i));
                }
            }
        }
        text
    }

    /// Reads the row whose first feature stands at `at`.
    fn features(&self) -> String {
        let mut text = String::new();
        for j in 0..self.d {
            line!(text, "let x{j} = samples[at + {j}u * rows_per_block];");
        }
        text
    }

    /// The scores of a row, the largest of them, 2^(score - largest) of each and their sum.
    fn softmax(&self) -> String {
        let mut text = String::new();
        for k in 0..self.k {
            self.score(k, &mut text);
        }
        let all = |name: &str| {
            (0..self.k)
                .map(|k| format!("{name}{k}"))
                .collect::<Vec<_>>()
        };
        let top = all("q").into_iter().reduce(|a, b| format!("max({a}, {b})"));
        line!(text, "let top = {};", top.unwrap_or_default());
        for k in 0..self.k {
            line!(text, "let e{k} = exp2_or_zero(q{k} - top);");
        }
        line!(text, "let sum = {};", all("e").join(" + "));
        text
    }

    /// What is done with one row where all components are at hand.
    fn row(&self) -> String {
        let mut text = self.features() + &self.softmax();
        if self.weighted {
            line!(
                text,
                "let weight = samples[at + {}u * rows_per_block];",
                self.d
            );
            line!(
                text,
                "tops += weight * top;\nlogs += weight * log2_of(sum);"
            );
            line!(text, "let share = weight / sum;");
        } else {
            line!(text, "tops += top;\nlet share = 1.0 / sum;");
            // The product's exponent is taken out each time, so that it stays in [1, 2).
            line!(text, "product *= sum;\nlet bits = bitcast<u32>(product);");
            line!(text, "exponents += bits >> 23u;");
            line!(
                text,
                "product = bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u);"
            );
        }
        for k in 0..self.k {
            line!(text, "let r{k} = e{k} * share;\ns0_{k} += r{k};");
            self.moments(k, &mut text);
        }
        text
    }

    /// What is done with one row whose `normaliser` is known.
    fn normalised_row(&self) -> String {
        let mut text = self.features();
        for k in 0..self.k {
            self.score(k, &mut text);
            // Other compilers' roundings must not make a share larger than 1.
            line!(
                text,
                "let r{k} = exp2_or_zero(min(q{k} - normaliser.x, 0.0)) * normaliser.y;\ns0_{k} += r{k};"
            );
            self.moments(k, &mut text);
        }
        text
    }

    /// Adds component `k`'s first and second moments.
    fn moments(&self, k: usize, text: &mut String) {
        if self.shape.covariance_type == CovarianceType::Spherical {
            for i in 0..self.d {
                line!(text, "s1_{k}_{i} = fma(r{k}, y{k}_{i}, s1_{k}_{i});");
            }
            line!(text, "s2_{k} = fma(r{k}, m{k}, s2_{k});");
            return;
        }
        for i in 0..self.d {
            line!(
                text,
                "let z{k}_{i} = r{k} * y{k}_{i};\ns1_{k}_{i} += z{k}_{i};"
            );
            let mut add = |sum: &str, j: usize| {
                line!(text, "{sum} = fma(z{k}_{i}, y{k}_{j}, {sum});");
            };
            match self.shape.covariance_type {
                CovarianceType::Full => (0..=i).for_each(|j| add(&format!("s2_{k}_{i}_{j}"), j)),
                CovarianceType::Tied => (0..=i).for_each(|j| add(&format!("s2_{i}_{j}"), j)),
                CovarianceType::Diag => add(&format!("s2_{k}_{i}"), i),
                CovarianceType::Spherical => {}
            }
        }
    }

    /// Whitened coordinates y, their squares' sum m and the score q of component `k`.
    fn score(&self, k: usize, text: &mut String) {
        let d = self.d;
        let remainder = d + self.shape.factor_len();
        for j in 0..d {
            line!(text, "let d{k}_{j} = x{j} - {};", self.parameter(k, j));
        }
        for i in 0..d {
            let mut y = format!("-{}", self.parameter(k, remainder + i));
            let mut add = |at: usize, j: usize| {
                let u = self.parameter(k, d + at);
                y = format!("fma({u}, d{k}_{j}, {y})");
            };
            if self.shape.is_diagonal() {
                add(i, i);
            } else {
                (0..=i).for_each(|j| add(triangle::at(i, j), j));
            }
            line!(text, "let y{k}_{i} = {y};");
        }
        let squares = (1..d).fold(format!("y{k}_0 * y{k}_0"), |sum, i| {
            format!("fma(y{k}_{i}, y{k}_{i}, {sum})")
        });
        line!(text, "let m{k} = min({squares}, FARTHEST);");
        let constant = self.parameter(k, self.shape.parameters_len() - 1);
        line!(text, "let q{k} = fma(-HALF_LOG2_E, m{k}, {constant});");
    }
}

/// A variable a sum.
fn accumulators(names: &[String]) -> String {
    names.iter().fold(String::new(), |mut text, name| {
        line!(text, "var {name} = 0.0;");
        text
    })
}

/// What a kernel that sums over a workgroup asks of it.
fn builtins(reduction: Reduction) -> &'static str {
    match reduction.subgroups {
        0 => "",
        _ => {
            "@builtin(subgroup_invocation_id) subgroup_lane: u32,\n\
             @builtin(subgroup_id) subgroup: u32,\n\
             @builtin(num_subgroups) subgroups: u32,"
        }
    }
}

/// Memory for sums over a workgroup.
fn shared_memory(reduction: Reduction) -> String {
    match reduction.subgroups {
        0 => {
            let chunk = format!("const CHUNK: u32 = {}u;", chunk(reduction.workgroup));
            fill(TREE, &[("chunk", &chunk)])
        }
        most => {
            let most = format!("// The most of them.\nconst SUBGROUPS: u32 = {most}u;");
            fill(SUBGROUPS, &[("subgroups", &most)])
        }
    }
}

/// Sums over the workgroup: by subgroups with one barrier, or some statistics at a time with two barriers each.
fn sums(names: &[String], reduction: Reduction) -> String {
    let mut text = String::new();
    if reduction.subgroups > 0 {
        for (s, name) in names.iter().enumerate() {
            line!(text, "let sum_{s} = subgroupAdd({name});");
        }
        line!(text, "if subgroup_lane == 0u {{");
        for s in 0..names.len() {
            line!(text, "    found[{s}u * SUBGROUPS + subgroup] = sum_{s};");
        }
        line!(text, "}}\nworkgroupBarrier();");
        line!(
            text,
            "for (var s = lane; s < STATISTICS; s += WORKGROUP) {{"
        );
        line!(text, "    var sum = 0.0;");
        line!(text, "    for (var i = 0u; i < subgroups; i++) {{");
        line!(text, "        sum += found[s * SUBGROUPS + i];\n    }}");
        line!(text, "    partials[partial + s] = sum;\n}}");
        return text;
    }
    let chunk = chunk(reduction.workgroup);
    for (c, names) in names.chunks(chunk).enumerate() {
        for (s, name) in names.iter().enumerate() {
            line!(text, "tree[{s}u * ROW + lane] = {name};");
        }
        line!(text, "workgroupBarrier();");
        line!(text, "branches[lane] = branch(lane);");
        line!(text, "workgroupBarrier();");
        line!(text, "if lane < {}u {{", names.len());
        line!(
            text,
            "    partials[partial + {}u + lane] = trunk(lane);",
            c * chunk
        );
        line!(text, "}}");
    }
    text
}

#[cfg(test)]
mod tests {
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
        statistics_registers(shape, true, reduction)
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
        assert!(
            [5, 100]
                .iter()
                .all(|&d| is_filled(&whiten(d)) && is_filled(&accumulate(d)))
        );
        assert!(!is_filled(include_str!("../../../shaders/whiten.wgsl")));
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
