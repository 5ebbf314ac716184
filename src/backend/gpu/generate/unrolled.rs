//! Kernels unrolled over D and K: scalars with indices in their names.

use std::fmt::Write;

use super::super::plan::{Reduction, chunk};
use super::super::shape::Shape;
use super::*;

/// A kernel unrolled over D and K.
pub(super) struct Unrolled {
    shape: Shape,
    d: usize,
    k: usize,
    weighted: bool,
    /// Whether parameters are read into registers before the walk.
    is_hoisted: bool,
    /// Which of the models in the uniform buffer, in the text.
    model: &'static str,
    /// Before which vec4 those stand that it has, in the text: something and a plus, or nothing.
    from: &'static str,
    /// Whether rows are taken as they are: means are 0.
    near: bool,
}

impl Unrolled {
    pub(super) fn new(shape: Shape, weighted: bool, is_hoisted: bool) -> Self {
        Self {
            shape,
            d: shape.d,
            k: shape.k,
            weighted,
            is_hoisted,
            model: "model",
            from: "",
            near: false,
        }
    }

    /// The same of rows as they are, if so.
    pub(super) fn near(self, near: bool) -> Self {
        Self { near, ..self }
    }

    /// The same under one of so many models. Compilers know where the parameters of a lone one stand, so that these are
    /// operands, not loads.
    pub(super) fn one_of(self, models: usize) -> Self {
        Self {
            model: if models == 1 { "0" } else { "model" },
            ..self
        }
    }

    /// Some components of more, whose parameters begin with the vec4 `parameters`.
    pub(super) fn some(shape: Shape) -> Self {
        Self {
            from: "parameters + ",
            ..Self::new(shape, false, false)
        }
    }

    /// The text that says which of the models a block is to be summed under.
    pub(super) fn model(&self) -> &'static str {
        match self.model {
            "model" => "let model = block.model;",
            _ => "",
        }
    }

    pub(super) fn constants(&self, statistics: usize) -> String {
        let parameters = (self.k * self.shape.parameters_len()).div_ceil(4);
        format!(
            "// D = {}, K = {}, {:?} covariances.\n// vec4s that hold the parameters: per component mean, factor, remainder, constant.\n\
             const PARAMETERS: u32 = {parameters}u;\n// Numbers of a row of partials.\n\
             const STATISTICS: u32 = {statistics}u;\n",
            self.d, self.k, self.shape.covariance_type
        )
    }

    pub(super) fn group_constants(&self) -> String {
        format!(
            "{}// vec4s of a uniform buffer.\nconst UNIFORM_LEN: u32 = {}u;\n\n{BLOCK}\n{GROUPS}\n{SOFTMAX}",
            self.constants(self.shape.statistics_len()),
            UNIFORM_BYTES / 16
        )
    }

    /// The names of all sums, in the order of a row of partials.
    pub(super) fn names(&self) -> Vec<String> {
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
    pub(super) fn triangle(&self, name: &str) -> impl Iterator<Item = String> {
        (0..self.d).flat_map(move |i| (0..=i).map(move |j| format!("{name}_{i}_{j}")))
    }

    /// Where parameter `i` of component `k` stands in the uniform buffer.
    pub(super) fn in_buffer(&self, k: usize, i: usize) -> String {
        let at = k * self.shape.parameters_len() + i;
        format!(
            "components[{}][{}{}u].{}",
            self.model,
            self.from,
            at / 4,
            PARTS[at % 4]
        )
    }

    pub(super) fn parameter(&self, k: usize, i: usize) -> String {
        if self.is_hoisted {
            format!("p{k}_{i}")
        } else {
            self.in_buffer(k, i)
        }
    }

    pub(super) fn hoisted(&self) -> String {
        let mut text = String::new();
        if self.is_hoisted {
            for k in 0..self.k {
                let first = if self.near { self.d } else { 0 };
                for i in first..self.shape.parameters_len() {
                    line!(text, "let p{k}_{i} = {};", self.in_buffer(k, i));
                }
            }
        }
        text
    }

    /// Reads the row whose first feature stands at `at`.
    pub(super) fn features(&self) -> String {
        let mut text = String::new();
        for j in 0..self.d {
            line!(text, "let x{j} = samples[at + {j}u * rows_per_block];");
        }
        text
    }

    /// The scores of a row, the largest of them, 2^(score - largest) of each and their sum.
    pub(super) fn softmax(&self) -> String {
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
            line!(text, "let e{k} = exp2(q{k} - top);");
        }
        line!(text, "let sum = {};", all("e").join(" + "));
        text
    }

    /// Declares what is read ahead, where an invocation takes several rows at once, and reads the first rows.
    pub(super) fn ahead(&self, at_once: usize) -> String {
        if at_once == 1 {
            return String::new();
        }
        let mut text = String::new();
        for (n, j) in (0..at_once).flat_map(|n| (0..self.columns()).map(move |j| (n, j))) {
            line!(text, "var ahead{n}_{j} = 0.0;");
        }
        text + &self.read_ahead(at_once, "lane")
    }

    /// Reads the rows from `first` on. Rows that the block lacks are its last one.
    fn read_ahead(&self, at_once: usize, first: &str) -> String {
        let mut text = String::new();
        for n in 0..at_once {
            line!(
                text,
                "{{\n    let at = block.first + min({first} + {n}u * WORKGROUP, block.rows - 1u);"
            );
            for j in 0..self.columns() {
                line!(
                    text,
                    "    ahead{n}_{j} = samples[at + {j}u * rows_per_block];"
                );
            }
            line!(text, "}}");
        }
        text
    }

    /// Numbers of a row.
    fn columns(&self) -> usize {
        self.d + usize::from(self.weighted)
    }

    /// What is done with `row` and, where it is not alone, with others: all stand in one run of instructions, so that
    /// their reads wait together.
    pub(super) fn rows(&self, at_once: usize) -> String {
        let mut text = match at_once {
            1 => "let at = block.first + row;\n".to_owned() + &self.row(),
            _ => self.rows_ahead(at_once),
        };
        if !self.weighted {
            // The product's exponent is taken out each time, so that it stays in [1, 2).
            line!(text, "let bits = bitcast<u32>(product);");
            line!(text, "exponents += bits >> 23u;");
            line!(
                text,
                "product = bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u);"
            );
        }
        text
    }

    /// What is done with several rows that were read before, while the next ones are read.
    fn rows_ahead(&self, at_once: usize) -> String {
        let mut text = String::new();
        for (n, j) in (0..at_once).flat_map(|n| (0..self.columns()).map(move |j| (n, j))) {
            line!(text, "let now{n}_{j} = ahead{n}_{j};");
        }
        text += &self.read_ahead(at_once, "(row + TAKEN)");
        for n in 0..at_once {
            line!(text, "{{");
            for j in 0..self.d {
                line!(text, "let x{j} = now{n}_{j};");
            }
            // A row that the block lacks is its last one, without weight.
            if n > 0 {
                line!(text, "let counts = row + {n}u * WORKGROUP < block.rows;");
            }
            text += &self.row_of(&format!("now{n}_{}", self.d), n > 0);
            line!(text, "}}");
        }
        text
    }

    /// What is done with one row where all components are at hand.
    fn row(&self) -> String {
        let weight = format!("samples[at + {}u * rows_per_block]", self.d);
        self.features() + &self.row_of(&weight, false)
    }

    /// The same where its features are read and its weight is such; perhaps it `counts`.
    fn row_of(&self, weight: &str, is_masked: bool) -> String {
        let masked = |value: &str, otherwise: &str| match is_masked {
            true => format!("select({otherwise}, {value}, counts)"),
            false => value.to_owned(),
        };
        let mut text = self.softmax();
        if self.weighted {
            line!(text, "let weight = {};", masked(weight, "0.0"));
            line!(
                text,
                "tops += weight * top;\nlogs += weight * log2_of(sum);"
            );
            line!(text, "let share = weight / sum;");
        } else {
            line!(text, "tops += {};", masked("top", "0.0"));
            line!(text, "let share = {};", masked("1.0 / sum", "0.0"));
            line!(text, "product *= {};", masked("sum", "1.0"));
        }
        for k in 0..self.k {
            line!(text, "let r{k} = e{k} * share;\ns0_{k} += r{k};");
            self.moments(k, &mut text);
        }
        text
    }

    /// What is done with one row whose `normaliser` is known.
    pub(super) fn normalised_row(&self) -> String {
        let mut text = self.features();
        for k in 0..self.k {
            self.score(k, &mut text);
            // Other compilers' roundings must not make a share larger than 1.
            line!(
                text,
                "let r{k} = exp2(min(q{k} - normaliser.x, 0.0)) * normaliser.y;\ns0_{k} += r{k};"
            );
            self.moments(k, &mut text);
        }
        text
    }

    /// Adds component `k`'s first and second moments.
    pub(super) fn moments(&self, k: usize, text: &mut String) {
        if self.shape.is_spherical() {
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
    pub(super) fn score(&self, k: usize, text: &mut String) {
        let d = self.d;
        let remainder = d + self.shape.factor_len();
        if !self.near {
            for j in 0..d {
                line!(text, "let d{k}_{j} = x{j} - {};", self.parameter(k, j));
            }
        }
        for i in 0..d {
            let mut y = format!("-{}", self.parameter(k, remainder + i));
            let mut add = |at: usize, j: usize| {
                let u = self.parameter(k, d + at);
                y = match self.near {
                    true => format!("fma({u}, x{j}, {y})"),
                    false => format!("fma({u}, d{k}_{j}, {y})"),
                };
            };
            if self.shape.is_diagonal() {
                add(i, i);
            } else {
                (0..=i).for_each(|j| add(triangle::at(i, j), j));
            }
            line!(text, "let y{k}_{i} = {y};");
            // At once, so that few coordinates wait.
            match i {
                0 => line!(text, "var m{k} = y{k}_0 * y{k}_0;"),
                _ => line!(text, "m{k} = fma(y{k}_{i}, y{k}_{i}, m{k});"),
            }
        }
        // One finite score is enough for the largest. Squares that are summed must all be finite.
        if k == 0 || self.shape.is_spherical() {
            line!(text, "m{k} = min(m{k}, FARTHEST);");
        }
        let constant = self.parameter(k, self.shape.parameters_len() - 1);
        line!(text, "let q{k} = fma(-HALF_LOG2_E, m{k}, {constant});");
    }
}

/// A variable a sum.
pub(super) fn accumulators(names: &[String]) -> String {
    names.iter().fold(String::new(), |mut text, name| {
        line!(text, "var {name} = 0.0;");
        text
    })
}

/// What a kernel that sums over a workgroup asks of it.
pub(super) fn builtins(reduction: Reduction) -> &'static str {
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
pub(super) fn shared_memory(reduction: Reduction, statistics: usize) -> String {
    match reduction.subgroups {
        0 => {
            let chunk = chunk(reduction.workgroup);
            let chunks = statistics.div_ceil(chunk);
            let [mut branch, mut trunk] = [const { String::new() }; 2];
            for i in 1..chunk {
                line!(branch, "sum += tree[s][{i}][own];");
            }
            for i in 1..reduction.workgroup as usize / chunk {
                line!(trunk, "sum += branches[s][{i}];");
            }
            let lanes = reduction.workgroup as usize / chunk;
            let chunk = format!(
                "const CHUNK: u32 = {chunk}u;\nconst CHUNKS: u32 = {chunks}u;\nconst LANES: u32 = {lanes}u;"
            );
            let parts = [("chunk", &*chunk), ("branch", &branch), ("trunk", &trunk)];
            fill(TREE, &parts)
        }
        most => {
            let most = format!("// The most of them.\nconst SUBGROUPS: u32 = {most}u;");
            fill(SUBGROUPS, &[("subgroups", &most)])
        }
    }
}

/// Sums over the workgroup: by subgroups with one barrier, or some statistics at a time with a barrier before and
/// after.
pub(super) fn sums(names: &[String], reduction: Reduction) -> String {
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
        if c > 0 {
            line!(text, "workgroupBarrier();");
        }
        for (s, name) in names.iter().enumerate() {
            line!(text, "tree[{s}][lane / LANES][lane % LANES] = {name};");
        }
        line!(text, "workgroupBarrier();");
        line!(
            text,
            "branches[{}u + lane / LANES][lane % LANES] = branch(lane);",
            c * chunk
        );
    }
    line!(text, "workgroupBarrier();");
    for first in (0..names.len()).step_by(reduction.workgroup as usize) {
        line!(text, "if lane + {first}u < STATISTICS {{");
        line!(
            text,
            "    partials[partial + lane + {first}u] = trunk(lane + {first}u);\n}}"
        );
    }
    text
}
