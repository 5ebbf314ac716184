//! `statistics_workgroup`: scores unrolled over K, or under an invocation's own component, then one component an invocation.

use std::fmt::Write;

use super::super::plan::Sharing;
use super::super::shape::{Shape, quads};
use super::owned::Owned;
use super::unrolled::{Unrolled, accumulators};
use super::{BLOCK, PARTS, SOFTMAX, block_range, fill};
use crate::mixture::CovarianceType;

/// The most features whose next row is read ahead: on an H100 it took 4 % off D = 11 K = 13 and diagonal D = 16 K = 20, and
/// put 19 % on D = 40 K = 64.
const MOST_AHEAD: usize = 16;

/// The text of `statistics_workgroup` for a shape.
pub(in super::super) fn statistics_workgroup(
    shape: Shape,
    weighted: bool,
    sharing: Sharing,
    models: usize,
) -> String {
    let Sharing {
        workgroup,
        slices,
        run,
        written,
        some,
        owners,
    } = sharing;
    let (d, k) = (shape.d, shape.k);
    let unrolled = Unrolled::new(shape, weighted, false).one_of(models);
    let names = names(shape);
    let of_kind = match owners {
        0 => format!(
            "// The most models of a dispatch.\nconst MODELS: u32 = {models}u;\nconst OWNERS: u32 = 1u;\n"
        ),
        _ => format!(
            "// How many invocations own the coordinates of a component, and how many of a workgroup are the same one.\n\
             const OWNERS: u32 = {owners}u;\nconst LANES: u32 = WORKGROUP / OWNERS;\n"
        ),
    };
    let constants = format!(
        "{}const QUADS: u32 = {}u;\nconst K: u32 = {k}u;\n\
         // Invocations, how many of them share the rows of a component, and the rows of each and of a tile.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst SLICES: u32 = {slices}u;\n\
         const RUN: u32 = {run}u;\nconst TILE: u32 = {}u;\n\
         // How many are written out.\nconst WRITTEN: u32 = {written}u;\nconst ROUNDS: u32 = {}u;\n\
         // Components that are scored at a time.\nconst SOME: u32 = {some}u;\n\
         const CHUNK: u32 = {}u;\n{of_kind}\n{BLOCK}\n{}\n{SOFTMAX}",
        unrolled.constants(k * names.len() + 2),
        quads(d),
        sharing.tile(),
        sharing.rounds(),
        sharing.chunk(k),
        block_range(owners > 0),
    );
    let padding = match sharing.tile() % 2 {
        0 => "    padding: f32,\n",
        _ => "",
    };
    let shares = format!(
        "struct SharesOfComponent {{\n    slices: array<SharesOfSlice, SLICES>,\n{padding}}}"
    );
    let squares_of = match shape.is_spherical() {
        true => {
            "// Squared distances, which are summed, too.\n\
             var<workgroup> squares_of: array<SharesOfComponents, (K + SOME - 1u) / SOME>;"
        }
        false => "",
    };
    let logs = logs(k * names.len(), sharing);
    let template = include_str!("../../../../shaders/statistics_workgroup.wgsl");
    let all = |parts: [(&str, &str); 10]| {
        fill(
            template,
            &[
                &parts[..],
                &[
                    ("constants", &constants),
                    ("shares", &shares),
                    ("squares_of", squares_of),
                ],
            ]
            .concat(),
        )
    };
    if owners > 0 {
        let owned = Owned::new(shape, sharing);
        // Beyond that their registers are scarce.
        let ahead = d <= MOST_AHEAD;
        let row_in_memory = row_in_memory(d);
        let (first, row, next) = match ahead {
            true => (first_row(d), row_in_memory, row_ahead(d, "row + TILE")),
            false => (
                String::new(),
                unrolled.features() + &row_in_memory,
                String::new(),
            ),
        };
        return all([
            ("means_of", ""),
            ("model", ""),
            ("place", &owned.place()),
            ("parameters", &(owned.parameters() + &first)),
            ("mean", ""),
            ("accumulators", &owned.accumulators()),
            ("row", &row),
            ("scores", &(owned.scores(weighted) + &next)),
            ("slice", &owned.slice()),
            ("sums", &(owned.sums() + &logs)),
        ]);
    }
    let (parameters, mean) = means(&unrolled, shape);
    let mut sums_of = names.clone();
    sums_of.extend(["tops", "logs"].map(str::to_owned));
    all([
        ("means_of", "var<workgroup> means_of: array<Features, K>;"),
        ("model", unrolled.model()),
        ("place", "let own = lane % K;\nlet slice = lane / K;"),
        ("parameters", &parameters),
        ("mean", &mean),
        ("accumulators", &accumulators(&sums_of)),
        ("row", &row(&unrolled, (sharing, models), shape, weighted)),
        ("scores", ""),
        ("slice", &slice(shape, sharing)),
        ("sums", &(sums(&names, sharing, k) + &logs)),
    ])
}

/// What brings the means into workgroup memory, and what reads an invocation's own there.
fn means(unrolled: &Unrolled, shape: Shape) -> (String, String) {
    let [mut means, mut mean] = ["if lane == 0u {\n".to_owned(), String::new()];
    for q in 0..quads(shape.d) {
        for c in 0..shape.k {
            let parts = vec4_of(shape.d, q, |i| unrolled.in_buffer(c, i));
            line!(means, "    means_of[{c}].quads[{q}] = {parts};");
        }
        line!(mean, "let mean_{q} = means_of[own].quads[{q}];");
    }
    (means + "}\n", mean)
}

/// The place of an invocation's own component, or of its owner of that number, among the shares or the squares of written
/// row `n`.
pub(super) fn own(
    of: &str,
    number: usize,
    (sharing, k): (Sharing, usize),
    (some, n): (&str, usize),
) -> String {
    let component = match (sharing.turns(k), number) {
        (1, _) => format!("[{number}].components[own]"),
        (_, 0) => "[own / SOME].components[own % SOME]".to_owned(),
        (turns, _) => format!("[{}u + own / SOME].components[own % SOME]", number * turns),
    };
    format!("{of}{component}.slices[slice].somes[{some}].rows[{n}]")
}

/// The place of a row's score or share under component `c` of some.
pub(super) fn share(some: &str, c: usize) -> String {
    of_row("shares_of", some, c)
}

/// The same of its squared distance.
fn square(some: &str, c: usize) -> String {
    of_row("squares_of", some, c)
}

fn of_row(of: &str, some: &str, c: usize) -> String {
    format!("{of}[{some}].components[{c}].slices[in_slice].somes[in_run].rows[in_some]")
}

/// Vec4 `q` of D features, padded with zeros.
fn vec4_of(d: usize, q: usize, feature: impl Fn(usize) -> String) -> String {
    let parts = [0, 1, 2, 3].map(|part| match 4 * q + part {
        i if i < d => feature(i),
        _ => "0.0".to_owned(),
    });
    format!("vec4({})", parts.join(", "))
}

/// The names of a component's sums, in the order of a row of partials.
fn names(shape: Shape) -> Vec<String> {
    let d = shape.d;
    let mut names = vec!["s0".to_owned()];
    names.extend((0..d).map(|i| format!("s1_{i}")));
    match shape.covariance_type {
        CovarianceType::Full | CovarianceType::Tied => {
            names.extend((0..d).flat_map(|i| (0..=i).map(move |j| format!("s2_{i}_{j}"))));
        }
        CovarianceType::Diag => names.extend((0..d).map(|i| format!("s2_{i}"))),
        CovarianceType::Spherical => names.push("s2".to_owned()),
    }
    names
}

/// What an invocation does with its row of a tile.
fn row(
    unrolled: &Unrolled,
    (sharing, models): (Sharing, usize),
    shape: Shape,
    weighted: bool,
) -> String {
    let k = shape.k;
    let mut text = unrolled.features();
    let is_whole = sharing.some == k;
    if is_whole {
        text += &unrolled.softmax();
    } else {
        // More scores than registers hold wait in the places of what becomes of them.
        text += &waiting_softmax(sharing, k, |some, count| {
            let mut turn = String::new();
            let len = sharing.some * shape.parameters_len() / 4;
            line!(turn, "let parameters = {some} * {len}u;");
            let scored = Unrolled::some(shape.with(count)).one_of(models);
            for c in 0..count {
                scored.score(c, &mut turn);
                line!(turn, "{} = q{c};\ntop = max(top, q{c});", share(some, c));
                if shape.is_spherical() {
                    line!(turn, "{} = m{c};", square(some, c));
                }
            }
            turn
        });
    }
    text += &row_weight(shape.d, weighted);
    text += &row_in_memory(shape.d);
    text += &in_turns(sharing, k, |some, count| {
        let mut turn = String::new();
        for c in 0..count {
            match is_whole {
                true => line!(turn, "{} = e{c} * share;", share(some, c)),
                false => line!(turn, "{} *= share;", share(some, c)),
            }
            if is_whole && shape.is_spherical() {
                line!(turn, "{} = m{c};", square(some, c));
            }
        }
        turn
    });
    text
}

/// The largest of a row's scores, which `largest` finds for some components, and the powers of what others are below it,
/// in their places, with their sum.
pub(super) fn waiting_softmax(
    sharing: Sharing,
    k: usize,
    largest: impl Fn(&str, usize) -> String,
) -> String {
    let mut text = "var top = -3.4e38;\n".to_owned() + &in_turns(sharing, k, largest);
    line!(text, "var sum = 0.0;");
    text += &in_turns(sharing, k, |some, count| {
        let mut turn = String::new();
        for c in 0..count {
            line!(turn, "let e{c} = exp2({} - top);", share(some, c));
            line!(turn, "{} = e{c};", share(some, c));
        }
        let all: Vec<String> = (0..count).map(|c| format!("e{c}")).collect();
        line!(turn, "sum += {};", all.join(" + "));
        turn
    });
    text
}

/// A row's weight, what it adds to the sums of logarithms, and what its powers are to be multiplied with.
pub(super) fn row_weight(d: usize, weighted: bool) -> String {
    let weight = match weighted {
        true => format!("samples[at + {d}u * rows_per_block]"),
        false => "1.0".to_owned(),
    };
    let mut text = String::new();
    // Rows that the tile lacks repeat the last one, without weight.
    line!(
        text,
        "let weight = select(0.0, {weight}, row < block.rows);"
    );
    line!(
        text,
        "tops += weight * top;\nlogs += weight * log2_of(sum);"
    );
    line!(text, "let share = weight / sum;");
    text
}

/// Leaves a row's features in workgroup memory.
fn row_in_memory(d: usize) -> String {
    let mut text = String::new();
    for q in 0..quads(d) {
        let parts = vec4_of(d, q, |i| format!("x{i}"));
        line!(
            text,
            "features_of[in_slice].somes[in_run].rows[in_some].quads[{q}] = {parts};"
        );
    }
    text
}

/// Reads the features of an invocation's first row.
fn first_row(d: usize) -> String {
    let declared = (0..d).fold(String::new(), |mut text, j| {
        line!(text, "var x{j} = 0.0;");
        text
    });
    declared + &row_ahead(d, "lane")
}

/// Reads those of such a row; of the next one they are under way while rows at hand are summed.
fn row_ahead(d: usize, row: &str) -> String {
    let mut text = String::new();
    line!(
        text,
        "if lane < TILE {{\n    let at = block.first + min({row}, block.rows - 1u);"
    );
    for j in 0..d {
        line!(text, "    x{j} = samples[at + {j}u * rows_per_block];");
    }
    text + "}\n"
}

/// The text of so many components for all of them, the last of them apart where they are fewer: of which some, and how
/// many.
pub(super) fn in_turns(sharing: Sharing, k: usize, text: impl Fn(&str, usize) -> String) -> String {
    let some = sharing.some;
    if some == k {
        return text("0u", k);
    }
    let (turns, rest) = (k / some, k % some);
    let mut all = format!(
        "for (var turn = 0u; turn < {turns}u; turn++) {{\n{}}}\n",
        text("turn", some)
    );
    if rest > 0 {
        all += &format!("{{\n{}}}\n", text(&format!("{turns}u"), rest));
    }
    all
}

/// The text of what stands written out of a slice, for all of it: `rows` is told which.
pub(super) fn in_rounds(sharing: Sharing, rows: impl Fn(&str) -> String) -> String {
    match sharing.rounds() {
        1 => rows("0u"),
        _ => format!(
            "for (var some = 0u; some < ROUNDS; some++) {{\n{}}}\n",
            rows("some")
        ),
    }
}

/// What it does with its slice.
fn slice(shape: Shape, sharing: Sharing) -> String {
    in_rounds(sharing, |some| moments(shape, sharing, some))
}

/// The moments of the rows that are written out.
fn moments(shape: Shape, sharing: Sharing, some: &str) -> String {
    let d = shape.d;
    let own = |of, n| own(of, 0, (sharing, shape.k), (some, n));
    let mut text = String::new();
    for n in 0..sharing.written {
        line!(text, "let r{n} = {};", own("shares_of", n));
        for q in 0..quads(d) {
            line!(
                text,
                "let v{n}_{q} = features_of[slice].somes[{some}].rows[{n}].quads[{q}];"
            );
        }
        line!(text, "s0 += r{n};");
        if shape.is_spherical() {
            line!(text, "s2 = fma(r{n}, {}, s2);", own("squares_of", n));
        }
        for i in 0..d {
            let (quad, part) = (i / 4, PARTS[i % 4]);
            line!(
                text,
                "let d{n}_{i} = v{n}_{quad}.{part} - mean_{quad}.{part};"
            );
            if shape.is_spherical() {
                line!(text, "s1_{i} = fma(r{n}, d{n}_{i}, s1_{i});");
                continue;
            }
            line!(text, "let t{n}_{i} = r{n} * d{n}_{i};\ns1_{i} += t{n}_{i};");
            match shape.is_diagonal() {
                false => (0..=i).for_each(|j| {
                    line!(text, "s2_{i}_{j} = fma(t{n}_{i}, d{n}_{j}, s2_{i}_{j});");
                }),
                true => line!(text, "s2_{i} = fma(t{n}_{i}, d{n}_{i}, s2_{i});"),
            }
        }
    }
    text
}

/// Sums over the slices of each component, some sums at a time.
fn sums(names: &[String], sharing: Sharing, k: usize) -> String {
    let mut text = String::new();
    line!(text, "let to = partial + own * {}u + slice;", names.len());
    let chunk = sharing.chunk(k);
    for (c, names) in names.chunks(chunk).enumerate() {
        line!(text, "if slice < SLICES {{");
        for (n, name) in names.iter().enumerate() {
            line!(text, "    tree[{n}].slices[slice][own] = {name};");
        }
        line!(text, "}}\nworkgroupBarrier();");
        let parts: Vec<String> = (0..sharing.slices)
            .map(|s| format!("tree[slice].slices[{s}][own]"))
            .collect();
        line!(text, "if slice < {}u {{", names.len());
        line!(
            text,
            "    partials[to + {}u] = {};\n}}\nworkgroupBarrier();",
            c * chunk,
            parts.join(" + ")
        );
    }
    text
}

/// The sums of logarithms over the rows of a tile, which stand at `at` in a row of partials.
fn logs(at: usize, sharing: Sharing) -> String {
    let mut text = String::new();
    line!(text, "if lane < TILE {{");
    line!(
        text,
        "    features_of[in_slice].somes[in_run].rows[in_some].quads[0] = vec4(tops, logs, 0.0, 0.0);\n}}\nworkgroupBarrier();"
    );
    line!(text, "if lane < SLICES {{\n    var sum = vec2(0.0);");
    for some in 0..sharing.rounds() {
        for row in 0..sharing.written {
            line!(
                text,
                "    sum += features_of[lane].somes[{some}].rows[{row}].quads[0].xy;"
            );
        }
    }
    line!(text, "    branches[lane] = sum;\n}}\nworkgroupBarrier();");
    line!(text, "if lane == 0u {{\n    var sum = branches[0];");
    for s in 1..sharing.slices {
        line!(text, "    sum += branches[{s}];");
    }
    line!(
        text,
        "    partials[partial + {at}u] = sum.x;\n    partials[partial + {}u] = sum.y;\n}}",
        at + 1
    );
    text
}
