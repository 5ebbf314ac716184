//! EM steps on the device: sums over blocks, and the M-step unrolled over D.

use std::fmt::Write;

use super::super::plan::{Reduction, chunk};
use super::super::shape::Shape;
use super::super::stage::uniform_stride;
use super::super::statistics_registers::BlockRange;
use super::unrolled::shared_memory;
use super::*;

const WALK: &str = include_str!("../../../../shaders/shared/walk.wgsl");
/// Invocations of a workgroup: the most components that a model in registers can have are fewer.
pub(in super::super) const WORKGROUP: usize = 64;
const REDUCTION: Reduction = Reduction {
    workgroup: WORKGROUP as u32,
    subgroups: 0,
};
/// Statistics that a workgroup of `sum_partials` adds.
pub(in super::super) const STATISTICS_AT_ONCE: usize = chunk(WORKGROUP as u32);

fn constants(shape: Shape) -> String {
    format!(
        "// D = {}, {:?} covariances.\nconst K: u32 = {}u;\n// Numbers of a component's parameters: mean, factor, remainder, constant.\n\
         const COMPONENT_PARAMETERS: u32 = {}u;\n// Sums of a model.\nconst SUMS: u32 = {}u;\n\n{WALK}",
        shape.d,
        shape.covariance_type,
        shape.k,
        shape.parameters_len(),
        shape.statistics_len()
    )
}

/// The text of `sum_partials` for a shape.
pub(in super::super) fn sum_partials(shape: Shape) -> String {
    let constants = format!(
        "// Numbers of a row of partials.\nconst STATISTICS: u32 = SUMS + 2u;\n\
         const RANGE_STRIDE: u32 = {}u;\n{}",
        uniform_stride::<BlockRange>() / 16,
        constants(shape)
    );
    let [mut accumulators, mut add, mut tree] = [const { String::new() }; 3];
    for s in 0..STATISTICS_AT_ONCE {
        line!(accumulators, "var sum_{s} = 0.0;");
        // Beyond the last statistic that one again, for nothing.
        line!(
            add,
            "sum_{s} += partials[at + min(first + {s}u, SUMS - 1u)];"
        );
        line!(tree, "tree[{s}u * ROW + lane] = sum_{s};");
    }
    fill(
        include_str!("../../../../shaders/sum_partials.wgsl"),
        &[
            ("constants", &constants),
            ("reduction", &shared_memory(REDUCTION, STATISTICS_AT_ONCE)),
            ("accumulators", &accumulators),
            ("add", &add),
            ("tree", &tree),
        ],
    )
}

/// The text of `m_step` for a shape.
pub(in super::super) fn m_step(shape: Shape) -> String {
    let step = MStep { shape, d: shape.d };
    let parameters = (shape.k * shape.parameters_len()).next_multiple_of(4);
    let constants = format!(
        "{}// Numbers of a component's own sums, and of a model's parameters.\n\
         const COMPONENT_SUMS: u32 = {}u;\nconst MODEL_PARAMETERS: u32 = {parameters}u;\n\n{SOFTMAX}",
        constants(shape),
        shape.component_len(),
    );
    let pooled = match shape.pooled_len() {
        0 => String::new(),
        len => format!(
            "// What the components' means take off the pooled second moments.\nvar<workgroup> pooled: array<f32, K * {len}u>;\n"
        ),
    };
    fill(
        include_str!("../../../../shaders/m_step.wgsl"),
        &[
            ("constants", &constants),
            ("pooled", &pooled),
            ("update", &step.update()),
            ("log_determinant", &step.log_determinant()),
            ("write", &step.write()),
        ],
    )
}

/// A component's update: m, C and its factor G, then U, the mean and its remainder.
struct MStep {
    shape: Shape,
    d: usize,
}

/// `terms` less the others, over `divisor`.
fn quotient(terms: &[String], divisor: &str) -> String {
    match terms {
        [alone] => format!("{alone} / {divisor}"),
        _ => format!("({}) / {divisor}", terms.join(" - ")),
    }
}

impl MStep {
    fn is_triangular(&self) -> bool {
        !self.shape.is_diagonal()
    }

    /// The columns of row `i` of a factor.
    fn columns(&self, i: usize) -> std::ops::RangeInclusive<usize> {
        if self.is_triangular() { 0..=i } else { i..=i }
    }

    /// Where entry (i, j) of a factor stands in it.
    fn at(&self, i: usize, j: usize) -> usize {
        if self.is_triangular() {
            triangle::at(i, j)
        } else {
            i
        }
    }

    fn update(&self) -> String {
        let mut text = String::new();
        self.read(&mut text);
        self.covariance(&mut text);
        self.length(&mut text);
        self.cholesky(&mut text);
        self.factor(&mut text);
        self.mean(&mut text);
        text
    }

    /// The old parameters, and m.
    fn read(&self, text: &mut String) {
        let d = self.d;
        for i in 0..d {
            line!(text, "let mean_{i} = parameters[first + {i}u];");
            for j in self.columns(i) {
                let read = format!("parameters[first + {}u]", d + self.at(i, j));
                // Noise has none to divide by.
                match i == j {
                    true => line!(text, "let u_{i}_{j} = select(1.0, {read}, is_gaussian);"),
                    false => line!(text, "let u_{i}_{j} = {read};"),
                }
            }
            line!(
                text,
                "let remainder_{i} = parameters[first + {}u];",
                d + self.shape.factor_len() + i
            );
            line!(text, "let m_{i} = trace[sums + {}u] / share;", 1 + i);
        }
    }

    /// C, and `second_i`: the diagonal of the second moments that it is taken from.
    fn covariance(&self, text: &mut String) {
        let d = self.d;
        let squares = (0..d)
            .map(|i| format!("m_{i} * m_{i}"))
            .collect::<Vec<_>>()
            .join(" + ");
        match self.shape.covariance_type {
            CovarianceType::Full | CovarianceType::Diag => {
                for i in 0..d {
                    for j in self.columns(i) {
                        let at = 1 + d + self.at(i, j);
                        line!(text, "let second_{i}_{j} = trace[sums + {at}u] / share;");
                        line!(text, "let c_{i}_{j} = second_{i}_{j} - m_{i} * m_{j};");
                    }
                }
            }
            CovarianceType::Spherical => {
                let at = 1 + d;
                line!(
                    text,
                    "let second_0_0 = trace[sums + {at}u] / share / {d}.0;"
                );
                line!(text, "let c_0_0 = second_0_0 - ({squares}) / {d}.0;");
            }
            CovarianceType::Tied => {
                let len = self.shape.pooled_len();
                line!(text, "if lane < K {{");
                for i in 0..d {
                    for j in 0..=i {
                        line!(
                            text,
                            "    pooled[lane * {len}u + {}u] = select(0.0, s0 * m_{i} * m_{j}, is_gaussian);",
                            triangle::at(i, j)
                        );
                    }
                }
                line!(text, "}}\nworkgroupBarrier();");
                for i in 0..d {
                    for j in 0..=i {
                        let at = triangle::at(i, j);
                        line!(text, "var taken_{i}_{j} = 0.0;");
                        line!(text, "for (var c = 0u; c < K; c++) {{");
                        line!(text, "    taken_{i}_{j} += pooled[c * {len}u + {at}u];\n}}");
                        line!(
                            text,
                            "let second_{i}_{j} = trace[all_sums + K * COMPONENT_SUMS + {at}u] / total.y;"
                        );
                        line!(
                            text,
                            "let c_{i}_{j} = second_{i}_{j} - taken_{i}_{j} / total.y;"
                        );
                    }
                }
            }
        }
    }

    /// How far the component moves, squared.
    fn length(&self, text: &mut String) {
        let d = self.d;
        line!(text, "var moved = 0.0;");
        for i in 0..d {
            line!(text, "moved += m_{i} * m_{i};");
        }
        let diagonal = |text: &mut String, i: usize, times: usize| {
            let half = 0.5 * times as f64;
            line!(
                text,
                "moved += {half:?} * (c_{i}_{i} - 1.0) * (c_{i}_{i} - 1.0);"
            );
        };
        if self.shape.covariance_type == CovarianceType::Spherical {
            diagonal(text, 0, d);
            return;
        }
        for i in 0..d {
            for j in self.columns(i).filter(|&j| j < i) {
                line!(text, "moved += c_{i}_{j} * c_{i}_{j};");
            }
            diagonal(text, i, 1);
        }
    }

    /// G, and whether each pivot is large enough.
    fn cholesky(&self, text: &mut String) {
        line!(text, "var is_definite = true;");
        let rows = match self.shape.covariance_type {
            CovarianceType::Spherical => 1,
            _ => self.d,
        };
        for i in 0..rows {
            for j in self.columns(i) {
                let mut entry = vec![format!("c_{i}_{j}")];
                let before = self.columns(j).filter(|&l| l < j);
                entry.extend(before.map(|l| format!("g_{i}_{l} * g_{j}_{l}")));
                if i == j {
                    line!(text, "let pivot_{i} = {};", entry.join(" - "));
                    line!(
                        text,
                        "is_definite = is_definite && pivot_{i} > LEAST_PIVOT * second_{i}_{i};"
                    );
                    line!(text, "let g_{i}_{i} = sqrt(max(pivot_{i}, 1e-20));");
                } else {
                    let entry = quotient(&entry, &format!("g_{j}_{j}"));
                    line!(text, "let g_{i}_{j} = {entry};");
                }
            }
        }
        for i in rows..self.d {
            line!(text, "let g_{i}_{i} = g_0_0;");
        }
    }

    /// G⁻¹ U.
    fn factor(&self, text: &mut String) {
        for i in 0..self.d {
            for j in self.columns(i) {
                let mut entry = vec![format!("u_{i}_{j}")];
                let between = self.columns(i).filter(|&l| j <= l && l < i);
                entry.extend(between.map(|l| format!("g_{i}_{l} * new_u_{l}_{j}")));
                let entry = quotient(&entry, &format!("g_{i}_{i}"));
                line!(text, "let new_u_{i}_{j} = {entry};");
            }
        }
    }

    /// The mean, rounded, and what that leaves, seen from the new factor: G⁻¹ (e + m − U t) where the rounded mean
    /// moved by t.
    fn mean(&self, text: &mut String) {
        let d = self.d;
        for i in 0..d {
            line!(text, "let step_{i} = remainder_{i} + m_{i};");
            let mut entry = vec![format!("step_{i}")];
            let before = self.columns(i).filter(|&j| j < i);
            entry.extend(before.map(|j| format!("u_{i}_{j} * delta_{j}")));
            let entry = quotient(&entry, &format!("u_{i}_{i}"));
            line!(text, "let delta_{i} = {entry};");
            line!(text, "let new_mean_{i} = as_is(mean_{i} + delta_{i});");
            line!(text, "let t_{i} = as_is(new_mean_{i} - mean_{i});");
        }
        for i in 0..d {
            let mut left = vec![format!("step_{i}")];
            left.extend(self.columns(i).map(|j| format!("u_{i}_{j} * t_{j}")));
            let before = self.columns(i).filter(|&l| l < i);
            left.extend(before.map(|l| format!("g_{i}_{l} * new_remainder_{l}")));
            let left = quotient(&left, &format!("g_{i}_{i}"));
            line!(text, "let new_remainder_{i} = {left};");
        }
    }

    fn log_determinant(&self) -> String {
        let mut text = String::new();
        for i in 0..self.d {
            line!(
                text,
                "constant = add_parts(constant, log2_parts(max(new_u_{i}_{i}, 1e-30)));"
            );
        }
        text
    }

    fn write(&self) -> String {
        let d = self.d;
        let mut names: Vec<String> = (0..d).map(|i| format!("new_mean_{i}")).collect();
        for i in 0..d {
            names.extend(self.columns(i).map(|j| format!("new_u_{i}_{j}")));
        }
        names.extend((0..d).map(|i| format!("new_remainder_{i}")));
        let mut text = String::new();
        for (at, name) in names.iter().enumerate() {
            line!(text, "parameters[first + {at}u] = {name};");
            line!(text, "trace[to + {at}u] = {name};");
        }
        text
    }
}
