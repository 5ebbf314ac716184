//! Full and tied mixtures of many features: second moments as the product of a matrix with itself.

use std::fmt::Write;

use super::super::plan::Tiling;
use super::{PARTS, fill, named, staged};
use crate::mixture::triangle;

const BRING: &str = include_str!("../../../../shaders/shared/bring_rows.wgsl");
const SUM: &str = include_str!("../../../../shaders/shared/sum_rows.wgsl");

/// The text of `accumulate` for D features.
pub(in super::super) fn accumulate(d: usize, tiling: Tiling) -> String {
    let Tiling {
        edge,
        workgroup,
        squares,
        pairs,
        slices,
        split,
        rows,
        ..
    } = tiling;
    let constants = format!(
        "// Whether there are components whose rows are whitened before.\noverride WHITENS: bool = false;\n\n\
         // Invocations; their square tiles and pairs of triangles, of how many a component has; where the latter start.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst SQUARES: u32 = {squares}u;\nconst PAIRS: u32 = {pairs}u;\n\
         const ALL_SQUARES: u32 = {all_squares}u;\nconst ALL_PAIRS: u32 = {all_pairs}u;\nconst SPLIT: u32 = {split}u;\n\
         // How many rows of tiles square ones are below the diagonal: 1 where those on it are triangles.\nconst BELOW: u32 = {below}u;\n\
         // Features of a tile, rows in workgroup memory, and how many invocations share the rows of a tile.\n\
         const EDGE: u32 = {edge}u;\nconst ROWS: u32 = {rows}u;\nconst SLICES: u32 = {slices}u;\n\
         // vec4s of a square, of a pair of triangles, and between fours of rows.\n\
         const SQUARE: u32 = {square}u;\nconst PAIR: u32 = {pair}u;\nconst PADDING: u32 = {padding}u;\n",
        below = u32::from(tiling.has_triangles(d)),
        all_squares = tiling.all_squares(d),
        all_pairs = tiling.all_pairs(d),
        square = tiling.square_len() / 4,
        pair = tiling.pair_len() / 4,
        padding = tiling.padding(d)
    );
    let columns = tiling.tile_len(d) / 4;
    let declared = (0..columns).fold(String::new(), |mut text, n| {
        line!(text, "var column_{n} = vec4(0.0);");
        text
    });
    let [mut rows_sum, mut weights_sum] = [const { String::new() }; 2];
    for other in 1..tiling.row_lanes(d) {
        let row = format!("z[{}].rows[{}]", other / 4, other % 4);
        line!(rows_sum, "s1 += {row}.quarters[part][side];");
        line!(weights_sum, "s0 += {row}.quarters[0][0].x;");
    }
    let rounds = tiling.rounds(d);
    let read = |start| read(d, rounds, start);
    // Where rows are not read ahead the mean comes with them each time, which leaves its registers to what is in between.
    let mean = "mean = components[k][MEAN + used];\n";
    let [first, here, next] = match tiling.ahead {
        true => [
            mean.to_owned() + &read("0u"),
            String::new(),
            read("(start + ROWS)"),
        ],
        false => [
            String::new(),
            mean.to_owned() + &read("start"),
            String::new(),
        ],
    };
    let [sums, added] = match slices {
        1 => [own_tile(d, tiling), String::new()],
        _ => shared_tiles(d, tiling),
    };
    let triangles = match tiling.has_triangles(d) {
        true => walk(tiling, triangle_row),
        false => String::new(),
    };
    let text = fill(
        include_str!("../../../../shaders/accumulate.wgsl"),
        &[
            ("columns", &declared),
            ("first", &(declared_rows(rounds) + &first)),
            ("read", &here),
            ("next", &next),
            ("bring", &each_round(BRING, rounds)),
            ("whiten", &whiten(rounds)),
            ("sum", &each_round(SUM, rounds)),
            ("squares", &walk(tiling, square_row)),
            ("triangles", &triangles),
            ("rows", &rows_sum),
            ("weights", &weights_sum),
            ("sums", &sums),
            ("slices", &added),
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

/// For each round of rows that an invocation brings in.
fn each_round(template: &str, rounds: usize) -> String {
    (0..rounds)
        .map(|n| template.replace("$n", &n.to_string()))
        .collect()
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

/// Writes an invocation's tile where it has all of the rows.
fn own_tile(d: usize, tiling: Tiling) -> String {
    let [square, all] = [tiling.square_len(), tiling.tile_len(d)].map(|len| len / 4);
    let written = |columns: std::ops::Range<usize>| {
        columns.fold(String::new(), |mut text, n| {
            line!(text, "    partials[to + {n}u] = column_{n};");
            text
        })
    };
    format!(
        "if place < share && group.x * share + place < all {{\n    let to = moments + moments_at(tile, is_square);\n{}    if !is_square {{\n{}    }}\n}}\n",
        written(0..square),
        written(square..all)
    )
}

/// Adds up the slices' tiles and writes them, as many columns at a time as fit where rows were and as there are invocations
/// for: statements, and the function that they call.
fn shared_tiles(d: usize, tiling: Tiling) -> [String; 2] {
    let columns = tiling.tile_len(d) / 4;
    let at_once = tiling.columns_at_once(d);
    // The vec4 `at` of a slice's, which has some fours of rows.
    let place = |slice: &str| {
        let (four, row) = match tiling.turns() {
            1 => (slice.to_owned(), "at / VEC4S".to_owned()),
            turns => (
                format!("{slice} * {turns}u + at / (4u * VEC4S)"),
                "at / VEC4S % 4u".to_owned(),
            ),
        };
        format!("z[{four}].rows[{row}].quarters[at % VEC4S / SIDES][at % SIDES]")
    };
    let mut text = String::new();
    for first in (0..columns).step_by(at_once) {
        let mut given = String::new();
        for n in 0..at_once.min(columns - first) {
            line!(
                given,
                "{{\n    let at = of_slice + {n}u * (SQUARES + PAIRS);"
            );
            line!(given, "    {} = column_{};\n}}", place("slice"), first + n);
        }
        let template = include_str!("../../../../shaders/shared/tile_columns.wgsl");
        text += &fill(template, &[("given", &given)]).replace("$first", &format!("{first}u"));
    }
    let slices = (0..tiling.slices).fold(String::new(), |mut text, n| {
        let sum = if n == 0 { "var sum =" } else { "sum +=" };
        line!(text, "{sum} {};", place(&format!("{n}u")));
        text
    });
    let added = fill(
        include_str!("../../../../shaders/shared/tile_slices.wgsl"),
        &[("slices", &slices)],
    )
    .replace("AT_ONCE", &format!("{at_once}u"));
    let own = "// Which it is of the workgroup's tiles.\nlet of_slice = place % share + select(SQUARES, 0u, is_square);\n";
    [own.to_owned() + &text, added]
}

/// Adds an invocation's slice of the rows in workgroup memory to its tile, of which each row is added so.
fn walk(tiling: Tiling, row: fn(usize, usize) -> String) -> String {
    const { assert!(Tiling::UNROLLED == 4, "z has fours of rows") };
    let four: String = (0..Tiling::UNROLLED)
        .map(|n| sides(tiling, n) + &row(tiling.edge, n))
        .collect();
    if tiling.is_written_out() {
        return (0..tiling.turns())
            .map(|turn| format!("{{\n    let four = slice + {turn}u * SLICES;\n{four}}}\n"))
            .collect();
    }
    format!("for (var four = slice; four < ROWS / 4u; four += SLICES) {{\n{four}}}\n")
}

/// Reads a row's features of both sides.
fn sides(tiling: Tiling, n: usize) -> String {
    let mut text = String::new();
    for q in 0..tiling.edge / 4 {
        for (side, at) in [("a", "i"), ("b", "j")] {
            line!(
                text,
                "    let {side}{n}_{q} = z[four].rows[{n}].quarters[{q}][{at}];"
            );
        }
    }
    text
}

/// Adds a row to a square tile.
fn square_row(edge: usize, n: usize) -> String {
    let (mut text, quarters) = (String::new(), edge / 4);
    for (column, (j, q)) in (0..edge)
        .flat_map(|j| (0..quarters).map(move |q| (j, q)))
        .enumerate()
    {
        let b = format!("b{n}_{}.{}", j / 4, PARTS[j % 4]);
        line!(
            text,
            "    column_{column} = fma(a{n}_{q}, vec4({b}), column_{column});"
        );
    }
    text
}

/// Adds a row to a pair of triangles.
fn triangle_row(edge: usize, n: usize) -> String {
    let mut text = String::new();
    for (first, side) in [(0, "a"), (triangle::packed_len(edge), "b")] {
        let feature = |i: usize| format!("{side}{n}_{}.{}", i / 4, PARTS[i % 4]);
        for (i, j) in (0..edge).flat_map(|i| (0..=i).map(move |j| (i, j))) {
            let at = first + triangle::at(i, j);
            let sum = format!("column_{}.{}", at / 4, PARTS[at % 4]);
            line!(
                text,
                "    {sum} = fma({}, {}, {sum});",
                feature(i),
                feature(j)
            );
        }
    }
    text
}
