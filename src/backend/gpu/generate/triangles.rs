//! Full and tied mixtures of many features: scores of one or two rows an invocation.

use std::fmt::Write;

use super::super::plan::Scoring;
use super::super::shape::quads;
use super::{FEATURES, PARTS, fill, staged};

/// The text of `score_full` for D features.
pub(in super::super) fn score_full(d: usize, rows: usize) -> String {
    let (body, features) = if d <= Scoring::MOST_UNROLLED {
        (unrolled_scores(d, rows), "")
    } else {
        let body = include_str!("../../../../shaders/shared/score_loop.wgsl");
        (body.to_owned(), FEATURES)
    };
    let text = include_str!("../../../../shaders/score_full.wgsl");
    let text = fill(text, &[("score", &body), ("features", features)]);
    let alias = ["f32", "vec2<f32>"][rows - 1];
    let constants = format!(
        "// Rows of an invocation.\nconst ROWS: u32 = {rows}u;\nalias Rows = {alias};\n\n@group(0)"
    );
    staged(&text, d).replacen("@group(0)", &constants, 1)
}

/// The scores of an invocation's one or two neighbouring rows, four whitened coordinates at a time.
fn unrolled_scores(d: usize, rows: usize) -> String {
    let mut text = String::new();
    let part_of = |r: usize| if rows == 1 { "" } else { [".x", ".y"][r] };
    for j in 0..d {
        let (quad, part) = (j / 4, PARTS[j % 4]);
        if j % 4 == 0 {
            line!(text, "let mean_{quad} = components[k][MEAN + {quad}u];");
        }
        line!(
            text,
            "let x{j} = samples[at + {j}u * stride] - mean_{quad}.{part};"
        );
    }
    for r in 0..rows {
        line!(text, "var squares{r} = 0.0;");
    }
    let mut column = 0;
    for i in 0..quads(d) {
        line!(text, "let e{i} = components[k][REMAINDER + {i}u];");
        for r in 0..rows {
            line!(text, "var y{r}_{i} = -e{i};");
        }
        for j in 0..(4 * i + 4).min(d) {
            // Above the diagonal of the last sub-block there are zeros.
            let above = j.saturating_sub(4 * i);
            line!(text, "let u{i}_{j} = components[k][FACTOR + {column}u];");
            for r in 0..rows {
                let (y, x) = (format!("y{r}_{i}"), format!("x{j}{}", part_of(r)));
                if above == 0 {
                    line!(text, "{y} = fma(u{i}_{j}, vec4({x}), {y});");
                } else {
                    for part in &PARTS[above..] {
                        line!(text, "{y}.{part} = fma(u{i}_{j}.{part}, {x}, {y}.{part});");
                    }
                }
            }
            column += 1;
        }
        column += 4 * (i + 1) - (4 * i + 4).min(d);
        for r in 0..rows {
            line!(text, "squares{r} += dot(y{r}_{i}, y{r}_{i});");
        }
    }
    let squares: Vec<String> = (0..rows).map(|r| format!("squares{r}")).collect();
    line!(
        text,
        "scores[to] = components[k][0].x - HALF_LOG2_E * min(Rows({}), Rows(FARTHEST));",
        squares.join(", ")
    );
    text
}
