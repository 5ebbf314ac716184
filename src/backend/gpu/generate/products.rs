//! `score_products`: scores of large triangles, four rows by some coordinates an invocation.

use std::fmt::Write;

use super::super::plan::Scoring;
use super::super::shape::quads;
use super::{PARTS, fill, staged};

/// Fours of coordinates at a time.
const BLOCK: usize = 4;
/// Fours of features whose parameters are in workgroup memory at once: whole blocks, so that the coordinates' own
/// are among the last.
const CHUNK: usize = 8;
/// Fours of features that are written out, which spares moves at the loop's end.
const WRITTEN: usize = 2;
const _: () = assert!(CHUNK.is_multiple_of(BLOCK) && BLOCK.is_multiple_of(WRITTEN));

/// The text of `score_products` for D features, of so many components in a workgroup.
pub(in super::super) fn score_products(d: usize, components: usize) -> String {
    let text = ProductText { d, components };
    let (whole, rest) = (quads(d) / BLOCK, quads(d) % BLOCK);
    let rest = match rest {
        0 => String::new(),
        rest => {
            let first = whole * BLOCK;
            format!("{{\nlet i = {first}u;\n{}}}\n", text.block(rest))
        }
    };
    let filled = fill(
        include_str!("../../../../shaders/score_products.wgsl"),
        &[("block", &text.block(BLOCK)), ("rest", &rest)],
    );
    let workgroup = Scoring::PRODUCTS_WORKGROUP;
    let constants = format!(
        "// Invocations, components that they share, fours of coordinates at a time, and how often so many.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst COMPONENTS: u32 = {components}u;\n\
         const BLOCK: u32 = {BLOCK}u;\nconst WHOLE_BLOCKS: u32 = {whole}u;\n\
         // Fours of features at a time.\nconst CHUNK: u32 = {CHUNK}u;\n\n@group(0)"
    );
    staged(&filled, d).replacen("@group(0)", &constants, 1)
}

struct ProductText {
    d: usize,
    components: usize,
}

impl ProductText {
    /// So many fours of coordinates from `i` on: their own features, with which their sums begin, then those to the left, the
    /// chunk at hand first. All of the workgroup goes through it equally often.
    fn block(&self, count: usize) -> String {
        let mut text = String::new();
        for q in 0..count {
            line!(text, "let e{q} = components[k][REMAINDER + i + {q}u];");
            (0..4).for_each(|p| line!(text, "var y{q}_{p}: vec4<f32>;"));
        }
        line!(text, "let own_chunk = i / CHUNK * CHUNK;");
        line!(text, "var first = own_chunk;");
        text += &self.columns(count);
        line!(text, "var next = at + 4u * i * stride;");
        for q in 0..count {
            let own = (q..count, Some(q));
            text += &self.features(&format!("i + {q}u"), own, q + 1 == count);
        }
        line!(text, "next = at + 4u * own_chunk * stride;");
        text += &self.walk("own_chunk", "i", count);
        if quads(self.d) > CHUNK {
            line!(text, "next = at;");
            line!(
                text,
                "for (first = 0u; first < own_chunk; first += CHUNK) {{"
            );
            text += &self.columns(count);
            text += &self.walk("first", "first + CHUNK", count);
            line!(text, "}}");
        }
        for (q, p) in (0..count).flat_map(|q| (0..4).map(move |p| (q, p))) {
            line!(text, "squares = fma(y{q}_{p}, y{q}_{p}, squares);");
        }
        text
    }

    /// Adds some of a chunk's fours of features, left of so many fours of coordinates.
    fn walk(&self, from: &str, to: &str, count: usize) -> String {
        let mut text = String::new();
        line!(text, "for (var j = {from}; j < {to}; j += {WRITTEN}u) {{");
        for n in 0..WRITTEN {
            text += &self.features(&format!("j + {n}u"), (0..count, None), false);
        }
        line!(text, "}}");
        text
    }

    /// Brings in a chunk's parameters of so many fours of coordinates. Right of the diagonal it reads what is not used.
    fn columns(&self, count: usize) -> String {
        let lanes = Scoring::PRODUCTS_WORKGROUP / self.components;
        // Fours of coordinates of which all invocations together bring in a chunk.
        let at_once = lanes / (4 * CHUNK);
        let mut fours = String::new();
        for first in (0..count).step_by(at_once) {
            let q = match at_once {
                1 => format!("{first}u"),
                _ => format!("{first}u + lane / (4u * CHUNK)"),
            };
            let guard = match first + at_once > count {
                true => format!("if {q} < {count}u "),
                false => String::new(),
            };
            line!(
                fours,
                "{guard}{{\n    let q = {q};\n    let factor = FACTOR + 2u * (i + q) * (i + q + 1u);\n    \
                 panels[c].columns[column].fours[q][part] = components[k][factor + 4u * (first + column) + part];\n}}"
            );
        }
        fill(
            include_str!("../../../../shaders/shared/bring_columns.wgsl"),
            &[("fours", &fours)],
        )
    }

    /// What four features, `j`, add to some coordinates, of which one four may be their `own`; they may be the `last`.
    fn features(
        &self,
        j: &str,
        (of, own): (std::ops::Range<usize>, Option<usize>),
        last: bool,
    ) -> String {
        let mut text = String::new();
        line!(text, "{{\nlet j = {j};");
        line!(text, "let mean = panels[c].columns[j % CHUNK].mean;");
        for (p, part) in PARTS.iter().enumerate() {
            // Beyond D any finite number does: factors are 0 there.
            let place = match last && !self.d.is_multiple_of(4) {
                true => format!("at + min(4u * j + {p}u, D - 1u) * stride"),
                false => format!("next + {p}u * stride"),
            };
            line!(text, "let x{p} = samples[{place}] - vec4(mean.{part});");
        }
        for (p, q) in (0..4).flat_map(|p| of.clone().map(move |q| (p, q))) {
            line!(
                text,
                "let u{q}_{p} = panels[c].columns[j % CHUNK].fours[{q}][{p}];"
            );
            // A coordinate is made of the features up to its own.
            let first = if own == Some(q) { p } else { 0 };
            let begins = of.start == 0 && own.is_some();
            for (o, part) in PARTS.iter().enumerate().skip(first) {
                let before = match begins && p == 0 {
                    true => format!("vec4(-e{q}.{part})"),
                    false => format!("y{q}_{o}"),
                };
                line!(
                    text,
                    "y{q}_{o} = fma(vec4(u{q}_{p}.{part}), x{p}, {before});"
                );
            }
        }
        line!(text, "next += 4u * stride;\n}}");
        text
    }
}
