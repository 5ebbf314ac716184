//! Full and tied mixtures of many features: scores, and second moments as products of matrices.

use std::fmt::Write;

use super::super::plan::{Scoring, Tiling};
use super::super::shape::quads;
use super::{FEATURES, PARTS, fill, named, staged};

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

/// The text of `accumulate` for D features.
pub(in super::super) fn accumulate(d: usize, tiling: Tiling) -> String {
    let Tiling {
        edge,
        workgroup,
        lanes,
        slices,
        rows,
        ..
    } = tiling;
    let constants = format!(
        "// Whether there are components whose rows are whitened before.\noverride WHITENS: bool = false;\n\n\
         // Invocations, those that share out the tiles once, features of a tile, rows in workgroup memory.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst LANES: u32 = {lanes}u;\nconst EDGE: u32 = {edge}u;\n\
         const ROWS: u32 = {rows}u;\n// How many invocations share the rows of a tile.\nconst SLICES: u32 = {slices}u;\n\
         // vec4s between fours of rows.\nconst PADDING: u32 = {padding}u;\n",
        padding = tiling.padding(d)
    );
    let quarters = edge / 4;
    let columns: Vec<String> = (0..edge)
        .flat_map(|j| (0..quarters).map(move |q| format!("column_{j}_{q}")))
        .collect();
    let [mut declared, mut partials] = [const { String::new() }; 2];
    for (n, column) in columns.iter().enumerate() {
        line!(declared, "var {column} = vec4(0.0);");
        line!(partials, "partials[to + {n}u] = {column};");
    }
    let [mut rows_sum, mut weights_sum] = [const { String::new() }; 2];
    for other in 1..tiling.row_lanes(d) {
        let row = format!("z[{}].rows[{}]", other / 4, other % 4);
        line!(rows_sum, "s1 += {row}.quarters[part][side];");
        line!(weights_sum, "s0 += {row}.quarters[0][0].x;");
    }
    let read = |start| read(d, tiling.rounds(d), start);
    let [first, here, next] = match tiling.ahead {
        true => [read("0u"), String::new(), read("(start + ROWS)")],
        false => [String::new(), read("start"), String::new()],
    };
    let text = fill(
        include_str!("../../../../shaders/accumulate.wgsl"),
        &[
            ("columns", &declared),
            ("first", &(declared_rows(tiling.rounds(d)) + &first)),
            ("read", &here),
            ("next", &next),
            ("bring", &bring(tiling.rounds(d))),
            ("whiten", &whiten(tiling.rounds(d))),
            ("walk", &walk(tiling)),
            ("rows", &rows_sum),
            ("weights", &weights_sum),
            ("slices", &share(tiling, d)),
            ("partials", &partials),
        ],
    );
    staged(&text, d).replacen("@group(0)", &format!("{constants}\n@group(0)"), 1)
}

/// Declares what is read of rows.
fn declared_rows(rounds: usize) -> String {
    let mut text = String::new();
    for n in 0..rounds {
        for name in ["root", "x", "y", "v", "w"] {
            line!(text, "var {name}_{n} = vec4(0.0);");
        }
    }
    text
}

/// Reads four features of four rows from `start` on, so many times.
fn read(d: usize, rounds: usize, start: &str) -> String {
    let mut text = String::new();
    for n in 0..rounds {
        // Beyond D any finite number does.
        let feature = |part: usize| match d.is_multiple_of(4) {
            true => format!("{part}u"),
            false => format!("min({part}u, D - 1u - 4u * used)"),
        };
        let holes = [
            ("start", start.to_owned()),
            ("n", n.to_string()),
            ("1", feature(1)),
            ("2", feature(2)),
            ("3", feature(3)),
        ];
        text += &named(
            include_str!("../../../../shaders/shared/read_rows.wgsl"),
            &holes,
        );
    }
    text
}

/// Brings them into workgroup memory.
fn bring(rounds: usize) -> String {
    let mut text = String::new();
    for n in 0..rounds {
        let template = include_str!("../../../../shaders/shared/bring_rows.wgsl");
        text += &template.replace("$n", &n.to_string());
    }
    text
}

/// Whitens them where they are.
fn whiten(rounds: usize) -> String {
    let mut text = String::new();
    for n in 0..rounds {
        for (parts, first) in [("xy", 0), ("zw", 2)] {
            let template = include_str!("../../../../shaders/shared/whiten_rows.wgsl");
            let halves = [
                ("n", n.to_string()),
                ("parts", parts.to_owned()),
                ("first", first.to_string()),
                ("second", (first + 1).to_string()),
            ];
            text += &named(template, &halves);
        }
    }
    text
}

/// Adds the tiles of the other slices to the first's in the slices' order, four columns at a time.
fn share(tiling: Tiling, d: usize) -> String {
    if tiling.slices == 1 {
        return String::new();
    }
    let quarters = tiling.edge / 4;
    let mut columns = String::new();
    for half in 0..quarters {
        let [mut given, mut taken] = [const { String::new() }; 2];
        for (row, q) in (0..4).flat_map(|row| (0..quarters).map(move |q| (row, q))) {
            let column = format!("column_{}_{q}", 4 * half + row);
            let place = format!("z[four].rows[{row}].quarters[{q}][side]");
            line!(given, "{place} = {column};");
            line!(taken, "{column} += {place};");
        }
        let template = include_str!("../../../../shaders/shared/tile_columns.wgsl");
        columns += &fill(template, &[("given", &given), ("taken", &taken)]);
    }
    let slices = fill(
        include_str!("../../../../shaders/shared/tile_slices.wgsl"),
        &[("columns", &columns)],
    );
    slices.replace("SHARES", &format!("{}u", tiling.shares(d)))
}

/// Adds an invocation's slice of the rows in workgroup memory to its tile.
fn walk(tiling: Tiling) -> String {
    const { assert!(Tiling::UNROLLED == 4, "z has fours of rows") };
    let own = "min(slice, SLICES - 1u)";
    if tiling.is_written_out() {
        let turn = |turn| format!("let four = {own} + {turn}u * SLICES;\n{}", four(tiling));
        return (0..tiling.turns())
            .map(|n| format!("{{\n{}}}\n", turn(n)))
            .collect();
    }
    let four = four(tiling);
    format!("for (var four = {own}; four < ROWS / 4u; four += SLICES) {{\n{four}}}\n")
}

/// Adds four rows to an invocation's tile.
fn four(tiling: Tiling) -> String {
    let quarters = tiling.edge / 4;
    let mut text = String::new();
    for n in 0..Tiling::UNROLLED {
        for q in 0..quarters {
            for (side, at) in [("a", "i"), ("b", "j")] {
                line!(
                    text,
                    "    let {side}{n}_{q} = z[four].rows[{n}].quarters[{q}][{at}];"
                );
            }
        }
        for j in 0..tiling.edge {
            let b = format!("b{n}_{}.{}", j / 4, PARTS[j % 4]);
            for q in 0..quarters {
                line!(
                    text,
                    "    column_{j}_{q} = fma(a{n}_{q}, vec4({b}), column_{j}_{q});"
                );
            }
        }
    }
    text
}
