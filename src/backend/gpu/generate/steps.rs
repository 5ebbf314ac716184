//! M-steps on the device unrolled over D, where an invocation has a component.

use std::fmt::Write;

use super::super::digits::MOST_FOLDED;
use super::super::shape::Shape;
use super::*;

pub(super) const WALK: &str = include_str!("../../../../shaders/shared/walk.wgsl");
pub(super) const PARTS_OF: &str = include_str!("../../../../shaders/shared/parts.wgsl");
pub(super) const CONVERGENCE: &str = include_str!("../../../../shaders/shared/convergence.wgsl");
/// So many sums of a workgroup of `sum_blocks`, and how they go to workgroup memory.
pub(super) fn sum_lines(count: usize) -> (String, String) {
    let [mut accumulators, mut tree] = [const { String::new() }; 2];
    for s in 0..count {
        line!(accumulators, "var sum_{s} = 0.0;");
        line!(tree, "tree[{s}][lane / LANES][lane % LANES] = sum_{s};");
    }
    (accumulators, tree)
}

/// How much larger than at its beginning rounding may become on the way, which compilers need not know.
pub(super) const HYSTERESIS: f64 = 2.0;

fn constants(shape: Shape) -> String {
    format!(
        "// D = {}, {:?} covariances.\nconst K: u32 = {}u;\n// Numbers of a component's parameters: mean, factor, remainder, constant.\n\
         const COMPONENT_PARAMETERS: u32 = {}u;\n\n{WALK}",
        shape.d,
        shape.covariance_type,
        shape.k,
        shape.parameters_len()
    )
}

/// The text of `m_step` for a shape, perhaps where rows are taken as they are.
pub(in super::super) fn m_step(shape: Shape, near: bool) -> String {
    let step = MStep {
        shape,
        d: shape.d,
        near,
    };
    let parameters = (shape.k * shape.parameters_len()).next_multiple_of(4);
    let most_growth = match near {
        true => format!(
            "// Rounding of coordinates may become so much larger by means, see digits.rs.\nconst MOST_GROWTH: f32 = {:?};\n",
            HYSTERESIS * MOST_FOLDED
        ),
        false => String::new(),
    };
    let constants = format!(
        "{}{}// Numbers of a component's own sums, and of a model's parameters.\n\
         const COMPONENT_SUMS: u32 = {}u;\nconst MODEL_PARAMETERS: u32 = {parameters}u;\n\n{PARTS_OF}\n{CONVERGENCE}\n{SOFTMAX}",
        constants(shape),
        most_growth,
        shape.component_len(),
    );
    let pooled = match shape.pooled_len() {
        0 => String::new(),
        len => format!(
            "// What the components' means take off the pooled second moments, then the covariance.\n\
             var<workgroup> pooled: array<f32, K * {len}u>;\n"
        ),
    };
    fill(
        include_str!("../../../../shaders/m_step.wgsl"),
        &[
            ("constants", &constants),
            ("pooled", &pooled),
            ("pool", &step.pool()),
            ("update", &step.update()),
        ],
    )
}

/// A component's update: m, C and its factor G, then U, the mean and its remainder. What is new is written at once, to
/// the row of the trace that it will be read from: registers would not hold it all.
struct MStep {
    shape: Shape,
    d: usize,
    near: bool,
}

/// `terms` less the others, over `divisor`.
fn quotient(terms: &[String], divisor: &str) -> String {
    match terms {
        [alone] => format!("{alone} / {divisor}"),
        _ => format!("({}) / {divisor}", terms.join(" - ")),
    }
}

impl MStep {
    /// Entry (i, j) of the old factor.
    fn u(&self, i: usize, j: usize) -> String {
        format!("parameters[first + {}u]", self.factor_at(i, j))
    }

    fn factor_at(&self, i: usize, j: usize) -> usize {
        let at = match self.shape.is_diagonal() {
            true => i,
            false => triangle::at(i, j),
        };
        self.d + at
    }

    fn m(&self, i: usize) -> String {
        format!("(sums[own_sums + {}u] / share)", 1 + i)
    }

    /// For pooled covariances: C, of all components.
    fn pool(&self) -> String {
        let mut text = String::new();
        if self.shape.covariance_type != CovarianceType::Tied {
            return text;
        }
        let len = self.shape.pooled_len();
        line!(text, "if lane < K {{");
        for i in 0..self.d {
            for j in 0..=i {
                line!(
                    text,
                    "    pooled[lane * {len}u + {}u] = select(0.0, s0 * {} * {}, is_gaussian);",
                    triangle::at(i, j),
                    self.m(i),
                    self.m(j)
                );
            }
        }
        line!(text, "}}\nworkgroupBarrier();");
        line!(text, "for (var at = lane; at < {len}u; at += WORKGROUP) {{");
        line!(text, "    var taken = 0.0;");
        line!(text, "    for (var c = 0u; c < K; c++) {{");
        line!(text, "        taken += pooled[c * {len}u + at];\n    }}");
        line!(
            text,
            "    pooled[at] = (sums[model_sums + K * COMPONENT_SUMS + at] - taken) / total.y;\n}}"
        );
        line!(text, "workgroupBarrier();");
        text
    }

    fn update(&self) -> String {
        let mut text = String::new();
        match self.shape.covariance_type {
            CovarianceType::Full | CovarianceType::Tied => {
                (0..self.d).for_each(|i| line!(text, "let m_{i} = {};", self.m(i)));
                self.cholesky(&mut text);
                self.factor(&mut text);
                self.mean(&mut text);
            }
            CovarianceType::Diag => {
                for i in 0..self.d {
                    line!(text, "let m_{i} = {};", self.m(i));
                    line!(text, "let second_{i} = {};", self.second(i, i));
                    self.variance(&mut text, i, &format!("m_{i} * m_{i}"), 1);
                    self.feature(&mut text, i, i);
                }
            }
            CovarianceType::Spherical => {
                line!(text, "var squares = 0.0;");
                for i in 0..self.d {
                    line!(text, "let m_{i} = {};", self.m(i));
                    line!(text, "squares += m_{i} * m_{i};");
                    line!(text, "moved += m_{i} * m_{i};");
                }
                let d = self.d;
                line!(
                    text,
                    "let second_0 = sums[own_sums + {}u] / share / {d}.0;",
                    1 + d
                );
                self.variance(&mut text, 0, &format!("squares / {d}.0"), d);
                (0..d).for_each(|i| self.feature(&mut text, i, 0));
            }
        }
        text
    }

    /// Entry (i, j) of the second moments.
    fn second(&self, i: usize, j: usize) -> String {
        let (d, own) = (self.d, self.factor_at(i, j) - self.d);
        match self.shape.covariance_type {
            CovarianceType::Tied => {
                format!("sums[model_sums + K * COMPONENT_SUMS + {own}u] / total.y")
            }
            _ => format!("sums[own_sums + {}u] / share", 1 + d + own),
        }
    }

    /// `pivot_i` is large enough, and its root a diagonal entry of G.
    fn root(&self, text: &mut String, i: usize) {
        line!(
            text,
            "is_definite = is_definite && pivot_{i} > LEAST_PIVOT * second_{i};"
        );
        line!(text, "let g_{i}_{i} = sqrt(max(pivot_{i}, 1e-20));");
    }

    /// A variance of its own, of `times` features.
    fn variance(&self, text: &mut String, i: usize, taken: &str, times: usize) {
        line!(text, "let pivot_{i} = second_{i} - {taken};");
        if self.shape.covariance_type == CovarianceType::Diag {
            line!(text, "moved += m_{i} * m_{i};");
        }
        let half = 0.5 * times as f64;
        line!(
            text,
            "moved += {half:?} * (pivot_{i} - 1.0) * (pivot_{i} - 1.0);"
        );
        self.root(text, i);
    }

    /// A feature's new factor, mean and remainder, of a diagonal G.
    fn feature(&self, text: &mut String, i: usize, g: usize) {
        let (d, g) = (self.d, format!("g_{g}_{g}"));
        line!(text, "let u_{i} = {};", self.u(i, i));
        line!(text, "let new_u_{i} = u_{i} / {g};");
        self.write_factor(text, (i, i), &format!("new_u_{i}"));
        if self.near {
            self.folded_mean(text, i, &[], &g);
            self.stays_near(text, &format!("new_remainder_{i} * new_remainder_{i}"));
            return;
        }
        line!(
            text,
            "let step_{i} = parameters[first + {}u] + m_{i};",
            2 * d + i
        );
        line!(text, "let delta_{i} = step_{i} / u_{i};");
        self.move_mean(text, i);
        line!(
            text,
            "trace[to + {}u] = (step_{i} - u_{i} * t_{i}) / {g};",
            2 * d + i
        );
    }

    /// The new U μ where rows are taken as they are, entry `i` of G⁻¹ (e + m), in two parts that stand in the places of the
    /// mean and the remainder: kernels use the larger, and short steps would be lost in its last place. `g` are the
    /// entries of G's row before the diagonal one.
    fn folded_mean(&self, text: &mut String, i: usize, g: &[String], diagonal: &str) {
        let remainder = self.d + self.shape.factor_len() + i;
        let terms = |of: &str| -> String {
            let terms = g
                .iter()
                .enumerate()
                .map(|(l, g)| format!(" - {g} * {of}_{l}"));
            terms.collect()
        };
        line!(text, "let high_{i} = parameters[first + {remainder}u];");
        line!(text, "let rise_{i} = parameters[first + {i}u] + m_{i};");
        line!(text, "let step_{i} = as_is(high_{i} + rise_{i});");
        // What the sum leaves (Knuth, The Art of Computer Programming 2, 4.2.2).
        line!(text, "let back_{i} = as_is(step_{i} - high_{i});");
        line!(
            text,
            "let rest_{i} = as_is(high_{i} - as_is(step_{i} - back_{i})) + as_is(rise_{i} - back_{i});"
        );
        line!(
            text,
            "let new_remainder_{i} = (step_{i}{}) / {diagonal};",
            terms("new_remainder")
        );
        // And the division, little where G is near 1.
        line!(
            text,
            "let left_{i} = as_is(step_{i} - new_remainder_{i}) + (rest_{i} - ({diagonal} - 1.0) * new_remainder_{i}{});",
            terms("new_remainder")
        );
        line!(
            text,
            "let new_low_{i} = (left_{i}{}) / {diagonal};",
            terms("new_low")
        );
        line!(text, "trace[to + {i}u] = new_low_{i};");
        line!(text, "trace[to + {remainder}u] = new_remainder_{i};");
    }

    /// Where the mean would count too much it is to be taken off rows.
    fn stays_near(&self, text: &mut String, squares: &str) {
        line!(
            text,
            "keeps_digits = keeps_digits && {squares} <= MOST_GROWTH;"
        );
    }

    /// How far the rounded mean moves, `t_i`.
    fn move_mean(&self, text: &mut String, i: usize) {
        line!(text, "let mean_{i} = parameters[first + {i}u];");
        line!(text, "let new_mean_{i} = as_is(mean_{i} + delta_{i});");
        line!(text, "let t_{i} = as_is(new_mean_{i} - mean_{i});");
        line!(text, "trace[to + {i}u] = new_mean_{i};");
    }

    /// Writes an entry of the new factor, and adds a diagonal one to the log determinant.
    fn write_factor(&self, text: &mut String, (i, j): (usize, usize), name: &str) {
        line!(text, "trace[to + {}u] = {name};", self.factor_at(i, j));
        if i == j {
            line!(
                text,
                "constant = add_parts(constant, log2_parts(max({name}, 1e-30)));"
            );
        }
    }

    /// C, how far the component moves, squared, and G.
    fn cholesky(&self, text: &mut String) {
        let tied = self.shape.covariance_type == CovarianceType::Tied;
        for i in 0..self.d {
            line!(text, "moved += m_{i} * m_{i};");
            for j in 0..=i {
                line!(
                    text,
                    "let c_{i}_{j} = {};",
                    match tied {
                        true => format!("pooled[{}u]", triangle::at(i, j)),
                        false => format!("{} - m_{i} * m_{j}", self.second(i, j)),
                    }
                );
                let mut entry = vec![format!("c_{i}_{j}")];
                entry.extend((0..j).map(|l| format!("g_{i}_{l} * g_{j}_{l}")));
                if i == j {
                    line!(
                        text,
                        "moved += 0.5 * (c_{i}_{i} - 1.0) * (c_{i}_{i} - 1.0);"
                    );
                    line!(text, "let second_{i} = {};", self.second(i, i));
                    line!(text, "let pivot_{i} = {};", entry.join(" - "));
                    self.root(text, i);
                } else {
                    line!(text, "moved += c_{i}_{j} * c_{i}_{j};");
                    let entry = quotient(&entry, &format!("g_{j}_{j}"));
                    line!(text, "let g_{i}_{j} = {entry};");
                }
            }
        }
    }

    /// G⁻¹ U, column by column.
    fn factor(&self, text: &mut String) {
        for j in 0..self.d {
            for i in j..self.d {
                let mut entry = vec![self.u(i, j)];
                entry.extend((j..i).map(|l| format!("g_{i}_{l} * new_u_{l}_{j}")));
                let entry = quotient(&entry, &format!("g_{i}_{i}"));
                line!(text, "let new_u_{i}_{j} = {entry};");
                self.write_factor(text, (i, j), &format!("new_u_{i}_{j}"));
            }
        }
    }

    /// The mean, rounded, and what that leaves, seen from the new factor: G⁻¹ (e + m − U t) where the rounded mean
    /// moved by t.
    fn mean(&self, text: &mut String) {
        let (d, remainder) = (self.d, self.d + self.shape.factor_len());
        if self.near {
            for i in 0..d {
                let g: Vec<String> = (0..i).map(|l| format!("g_{i}_{l}")).collect();
                self.folded_mean(text, i, &g, &format!("g_{i}_{i}"));
            }
            for i in 0..d {
                let mut entry = vec![format!("step_{i}")];
                entry.extend((0..i).map(|j| format!("{} * mean_{j}", self.u(i, j))));
                let entry = quotient(&entry, &self.u(i, i));
                line!(text, "let mean_{i} = {entry};");
                let term = |j| format!("new_u_{i}_{j} * mean_{j}");
                let squares = (0..=i).map(|j| format!("{} * {}", term(j), term(j)));
                let squares = squares.collect::<Vec<_>>().join(" + ");
                self.stays_near(text, &squares);
            }
            return;
        }
        for i in 0..d {
            line!(
                text,
                "let step_{i} = parameters[first + {}u] + m_{i};",
                remainder + i
            );
            let mut entry = vec![format!("step_{i}")];
            entry.extend((0..i).map(|j| format!("{} * delta_{j}", self.u(i, j))));
            let entry = quotient(&entry, &self.u(i, i));
            line!(text, "let delta_{i} = {entry};");
            self.move_mean(text, i);
        }
        for i in 0..d {
            let mut left = vec![format!("step_{i}")];
            left.extend((0..=i).map(|j| format!("{} * t_{j}", self.u(i, j))));
            left.extend((0..i).map(|l| format!("g_{i}_{l} * new_remainder_{l}")));
            let left = quotient(&left, &format!("g_{i}_{i}"));
            line!(text, "let new_remainder_{i} = {left};");
            line!(text, "trace[to + {}u] = new_remainder_{i};", remainder + i);
        }
    }
}
