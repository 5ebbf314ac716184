//! Writes the WGSL text of a stage for its shape. Plain text for plain text: what comes out is meant to be read.
//!
//! Loops over D and K in the hot path cost a factor of two or more on real GPUs (loop bounding, arrays that
//! fall out of registers), so `statistics_registers` is unrolled: scalars with indices in their names.

use std::fmt::Write;

use super::plan::{CHUNK, quads, statistics_len};
use crate::mixture::triangle;

/// Parameters up to so many are read into registers before the walk; more stay in the uniform buffer.
const MOST_HOISTED: usize = 40;

const SOFTMAX: &str = include_str!("../../../shaders/shared/softmax.wgsl");
const BATCH: &str = include_str!("../../../shaders/shared/batch.wgsl");

/// The text of a staged kernel for D features.
pub(super) fn staged(template: &str, d: usize) -> String {
    let constants = format!(
        "const D: u32 = {d}u;\nconst QUADS: u32 = {}u;\n\n{BATCH}\n{SOFTMAX}",
        quads(d)
    );
    fill(template, &[("constants", &constants)])
}

/// Numbers that a component's parameters take: mean, factor, remainder, log constant.
pub(super) const fn parameters_len(d: usize) -> usize {
    2 * d + triangle::packed_len(d) + 1
}

/// The text of `statistics_registers` for D features and K components.
pub(super) fn statistics_registers(d: usize, k: usize, weighted: bool) -> String {
    let shape = Shape { d, k, weighted };
    fill(
        include_str!("../../../shaders/statistics_registers.wgsl"),
        &[
            ("constants", &shape.constants()),
            ("accumulators", &shape.accumulators()),
            ("parameters", &shape.hoisted()),
            ("row", &shape.row()),
            ("sums", &shape.sums()),
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

struct Shape {
    d: usize,
    k: usize,
    weighted: bool,
}

/// Appends one formatted line. Writing to a `String` cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{
        let _ = writeln!($text, $($format)*);
    }};
}

impl Shape {
    fn constants(&self) -> String {
        let parameters = (self.k * parameters_len(self.d)).div_ceil(4);
        let statistics = self.k * statistics_len(self.d) + 2;
        format!(
            "// D = {}, K = {}.\n// vec4s that hold the parameters: per component mean, factor, remainder, constant.\n\
             const PARAMETERS: u32 = {parameters}u;\n// Numbers of a row of partials.\n\
             const STATISTICS: u32 = {statistics}u;\n\n{SOFTMAX}",
            self.d, self.k
        )
    }

    /// The names of all sums, in the order of a row of partials.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for k in 0..self.k {
            names.push(format!("s0_{k}"));
            names.extend((0..self.d).map(|i| format!("s1_{k}_{i}")));
            for i in 0..self.d {
                names.extend((0..=i).map(|j| format!("s2_{k}_{i}_{j}")));
            }
        }
        names.push("tops".to_owned());
        names.push("logs".to_owned());
        names
    }

    fn accumulators(&self) -> String {
        self.names().iter().fold(String::new(), |mut text, name| {
            line!(text, "var {name} = 0.0;");
            text
        })
    }

    fn is_hoisted(&self) -> bool {
        self.k * parameters_len(self.d) <= MOST_HOISTED
    }

    /// Where parameter `i` of component `k` stands in the uniform buffer.
    fn in_buffer(&self, k: usize, i: usize) -> String {
        let at = k * parameters_len(self.d) + i;
        format!("components[{}].{}", at / 4, ["x", "y", "z", "w"][at % 4])
    }

    fn parameter(&self, k: usize, i: usize) -> String {
        if self.is_hoisted() {
            format!("p{k}_{i}")
        } else {
            self.in_buffer(k, i)
        }
    }

    fn hoisted(&self) -> String {
        let mut text = String::new();
        if self.is_hoisted() {
            for k in 0..self.k {
                for i in 0..parameters_len(self.d) {
                    line!(text, "let p{k}_{i} = {};", self.in_buffer(k, i));
                }
            }
        }
        text
    }

    /// What is done with one row: `at` is where its first feature stands.
    fn row(&self) -> String {
        let (d, mut text) = (self.d, String::new());
        for j in 0..d {
            line!(text, "let x{j} = samples[at + {j}u * rows_per_block];");
        }
        if self.weighted {
            line!(text, "let weight = samples[at + {d}u * rows_per_block];");
        }
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
        if self.weighted {
            line!(
                text,
                "tops += weight * top;\nlogs += weight * log2_of(sum);"
            );
            line!(text, "let share = weight / sum;");
        } else {
            line!(text, "tops += top;\nlogs += log2_of(sum);");
            line!(text, "let share = 1.0 / sum;");
        }
        for k in 0..self.k {
            line!(text, "let r{k} = e{k} * share;\ns0_{k} += r{k};");
            for i in 0..d {
                line!(
                    text,
                    "let z{k}_{i} = r{k} * y{k}_{i};\ns1_{k}_{i} += z{k}_{i};"
                );
                for j in 0..=i {
                    line!(
                        text,
                        "s2_{k}_{i}_{j} = fma(z{k}_{i}, y{k}_{j}, s2_{k}_{i}_{j});"
                    );
                }
            }
        }
        text
    }

    /// Whitened coordinates y and score q of component `k`.
    fn score(&self, k: usize, text: &mut String) {
        let d = self.d;
        let remainder = d + triangle::packed_len(d);
        for j in 0..d {
            line!(text, "let d{k}_{j} = x{j} - {};", self.parameter(k, j));
        }
        for i in 0..d {
            let mut y = format!("-{}", self.parameter(k, remainder + i));
            for j in 0..=i {
                let u = self.parameter(k, d + triangle::at(i, j));
                y = format!("fma({u}, d{k}_{j}, {y})");
            }
            line!(text, "let y{k}_{i} = {y};");
        }
        let squares = (1..d).fold(format!("y{k}_0 * y{k}_0"), |sum, i| {
            format!("fma(y{k}_{i}, y{k}_{i}, {sum})")
        });
        let constant = self.parameter(k, parameters_len(d) - 1);
        line!(
            text,
            "let q{k} = fma(-HALF_LOG2_E, min({squares}, FARTHEST), {constant});"
        );
    }

    /// Sums over the workgroup, [`CHUNK`] statistics at a time: two barriers each.
    fn sums(&self) -> String {
        let mut text = String::new();
        for (c, names) in self.names().chunks(CHUNK).enumerate() {
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
                c * CHUNK
            );
            line!(text, "}}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(is_filled(&statistics_registers(d, k, true)));
        }
        assert!(is_filled(&staged(
            include_str!("../../../shaders/whiten.wgsl"),
            5
        )));
        assert!(!is_filled(include_str!("../../../shaders/whiten.wgsl")));
    }

    #[test]
    fn parameters_are_hoisted_while_they_fit() {
        assert!(statistics_registers(2, 4, false).contains("let p3_7 = "));
        assert!(!statistics_registers(4, 6, false).contains("let p0_0 = "));
    }
}
