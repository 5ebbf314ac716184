//! `score_products`: scores of large triangles, some rows by some coordinates an invocation.

use std::fmt::Write;

use super::super::shape::quads;
use super::{PARTS, fill, staged};

/// The text of `score_products` for D features.
/// An invocation has `edge` rows, and so many coordinates at a time.
pub(in super::super) fn score_products(d: usize, edge: usize) -> String {
    let text = ProductText { d, fours: edge / 4 };
    let block = edge / 4;
    let (whole, rest) = (quads(d) / block, quads(d) % block);
    let mut squares = String::new();
    for r in 0..text.fours {
        line!(squares, "var squares{r} = vec4(0.0);");
    }
    let rest = match rest {
        0 => String::new(),
        rest => {
            let first = whole * block;
            format!("{{\nlet i = {first}u;\n{}}}\n", text.block(rest))
        }
    };
    let filled = fill(
        include_str!("../../../../shaders/score_products.wgsl"),
        &[
            ("squares", &squares),
            ("block", &text.block(block)),
            ("rest", &rest),
            ("scores", &text.scores()),
        ],
    );
    let constants = format!(
        "// Rows of an invocation, fours of coordinates at a time, and how often so many.\n\
         const ROWS: u32 = {edge}u;\nconst BLOCK: u32 = {block}u;\nconst WHOLE_BLOCKS: u32 = {whole}u;\n\n@group(0)"
    );
    staged(&filled, d).replacen("@group(0)", &constants, 1)
}

struct ProductText {
    d: usize,
    /// Fours of rows.
    fours: usize,
}

impl ProductText {
    /// So many fours of coordinates from `i` on.
    fn block(&self, count: usize) -> String {
        let mut text = String::new();
        // All of the workgroup comes here. Right of the diagonal it reads what is not used.
        line!(text, "workgroupBarrier();");
        line!(
            text,
            "for (var n = lane; n < (i + {count}u) * {}u; n += 64u) {{",
            4 * count
        );
        line!(text, "    let j = n / {}u;", 4 * count);
        line!(text, "    let q = n / 4u % {count}u;");
        line!(
            text,
            "    let column = 2u * (i + q) * (i + q + 1u) + 4u * j + n % 4u;"
        );
        line!(
            text,
            "    panel[j].fours[q][n % 4u] = components[k][FACTOR + column];\n}}"
        );
        line!(text, "workgroupBarrier();");
        for q in 0..count {
            line!(text, "let e{q} = components[k][REMAINDER + i + {q}u];");
            for (p, part) in PARTS.iter().enumerate() {
                for r in 0..self.fours {
                    line!(text, "var y{q}_{p}_{r} = vec4(-e{q}.{part});");
                }
            }
        }
        if self.is_whole() {
            line!(text, "var next = at;");
        }
        line!(text, "for (var j = 0u; j <= i; j++) {{");
        text += &self.features(0..count);
        line!(text, "}}");
        for q in 1..count {
            line!(text, "{{\nlet j = i + {q}u;");
            text += &self.features(q..count);
            line!(text, "}}");
        }
        for r in 0..self.fours {
            for q in 0..count {
                for p in 0..4 {
                    let y = format!("y{q}_{p}_{r}");
                    line!(text, "squares{r} = fma({y}, {y}, squares{r});");
                }
            }
        }
        text
    }

    /// Whether features are whole fours.
    fn is_whole(&self) -> bool {
        self.d.is_multiple_of(4)
    }

    /// What four features, `j`, add to some coordinates.
    fn features(&self, of: std::ops::Range<usize>) -> String {
        let mut text = String::new();
        line!(text, "let mean = panel[j].mean;");
        for (p, part) in PARTS.iter().enumerate() {
            // Beyond D any finite number does: factors are 0 there.
            match self.is_whole() {
                true => line!(text, "let at{p} = next + {p}u * stride;"),
                false => line!(
                    text,
                    "let at{p} = at + min(4u * j + {p}u, D - 1u) * stride;"
                ),
            }
            for r in 0..self.fours {
                line!(
                    text,
                    "let x{p}_{r} = samples[at{p} + {r}u] - vec4(mean.{part});"
                );
            }
            for q in of.clone() {
                line!(text, "let u{q}_{p} = panel[j].fours[{q}][{p}];");
                for (o, part) in PARTS.iter().enumerate() {
                    for r in 0..self.fours {
                        let y = format!("y{q}_{o}_{r}");
                        line!(text, "{y} = fma(vec4(u{q}_{p}.{part}), x{p}_{r}, {y});");
                    }
                }
            }
        }
        if self.is_whole() {
            line!(text, "next += 4u * stride;");
        }
        text
    }

    /// Writes them, of rows that the segment has.
    fn scores(&self) -> String {
        let mut text = String::new();
        for r in 0..self.fours {
            line!(text, "if own + {}u < segment.rows {{", 4 * r);
            line!(
                text,
                "    scores[to + {r}u] = constant - HALF_LOG2_E * min(squares{r}, vec4(FARTHEST));\n}}"
            );
        }
        text
    }
}
