//! Diagonal and spherical mixtures of many components, as products of matrices.

use std::fmt::Write;
use std::ops::Range;

use super::super::plan::Tiles;
use super::{PARTS, POWERS, fill, named, staged};

/// Octets that an invocation of `normalise_tiles` reads at once: enough bytes under way, and few enough registers.
const OCTETS_AT_ONCE: usize = 8;

/// The text of `score_tiles` for D features.
pub(in super::super) fn score_tiles(d: usize) -> String {
    let [mut squares, mut runs, mut features, mut sums, mut scores] = [const { String::new() }; 5];
    for part in 0..4 {
        let feature = match d % 4 {
            0 => format!("(4u * i + {part}u)"),
            _ => format!("min(4u * i + {part}u, D - 1u)"),
        };
        line!(features, "let x{part} = samples[at + {feature} * stride];");
    }
    for c in 0..8 {
        line!(squares, "var m{c} = vec4(0.0);");
        line!(runs, "var run{c} = vec4(0.0);");
        line!(sums, "m{c} += run{c};");
        for name in ["mean", "remainder", "factor"] {
            line!(features, "let {name}{c} = components[entry].{name}s[{c}];");
        }
        for (part, name) in PARTS.iter().enumerate() {
            line!(
                features,
                "let y{c}_{part} = fma(vec4(factor{c}.{name}), x{part} - mean{c}.{name}, vec4(-remainder{c}.{name}));"
            );
            line!(features, "run{c} = fma(y{c}_{part}, y{c}_{part}, run{c});");
        }
        line!(
            scores,
            "let q{c} = components[first].means[{c}].x - HALF_LOG2_E * min(m{c}, vec4(FARTHEST));"
        );
    }
    for (row, part) in PARTS.iter().enumerate() {
        for half in 0..2 {
            let q = [0, 1, 2, 3].map(|c| format!("q{}.{part}", 4 * half + c));
            line!(
                scores,
                "scores[to + {}u] = vec4({});",
                2 * row + half,
                q.join(", ")
            );
        }
    }
    let text = include_str!("../../../../shaders/score_tiles.wgsl");
    let parts = [
        ("squares", squares),
        ("runs", runs),
        ("features", features),
        ("sums", sums),
        ("scores", scores),
    ];
    // Before the function of that name would be put in.
    let text = fill(
        text,
        &parts.each_ref().map(|(name, part)| (*name, part.as_str())),
    );
    staged(&text, d)
}

/// The text of `normalise_tiles` for D features.
pub(in super::super) fn normalise_tiles(d: usize) -> String {
    let [mut scores, mut powers] = [const { String::new() }; 2];
    for n in 0..OCTETS_AT_ONCE {
        let octet = format!("o + {}u", 2 * n);
        line!(
            scores,
            "let q{n} = select(vec4(LOWEST), scores[first + min({octet}, octets - 1u) * stride], {octet} < octets);"
        );
        line!(powers, "let p{n} = powers(q{n} - largest);");
    }
    line!(
        scores,
        "let tops = {};",
        tree("max(", ", ", "q", 0..OCTETS_AT_ONCE)
    );
    line!(
        powers,
        "let run = {};",
        tree("(", " + ", "p", 0..OCTETS_AT_ONCE)
    );
    let text = fill(
        include_str!("../../../../shaders/normalise_tiles.wgsl"),
        &[("scores", &scores), ("powers", &powers)],
    );
    let constants = format!(
        "// Octets that an invocation reads at once.\nconst UNROLLED: u32 = {OCTETS_AT_ONCE}u;\n\n{POWERS}"
    );
    staged(&text, d).replacen("@group(0)", &format!("{constants}\n@group(0)"), 1)
}

/// Some numbered values put together in pairs, and pairs of them.
fn tree(open: &str, between: &str, name: &str, numbers: Range<usize>) -> String {
    if numbers.len() == 1 {
        return format!("{name}{}", numbers.start);
    }
    let middle = numbers.start + numbers.len() / 2;
    let [left, right] =
        [numbers.start..middle, middle..numbers.end].map(|half| tree(open, between, name, half));
    format!("{open}{left}{between}{right})")
}

/// The text of `accumulate_tiles` for D features.
pub(in super::super) fn accumulate_tiles(d: usize, tiles: Tiles) -> String {
    let Tiles {
        workgroup,
        pack,
        octets,
        features,
        slices,
    } = tiles;
    let spherical = pack == Tiles::PACK_OF_SPHERICAL;
    let constants = format!(
        "// Invocations; octets of components, in packs, and vec4s of features that they share out once, and slices of rows.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst OCTETS: u32 = {octets}u;\nconst PACK: u32 = {pack}u;\n\
         const PACKS: u32 = 8u * OCTETS / PACK;\nconst FEATURES: u32 = {features}u;\n\
         const SLICES: u32 = {slices}u;\nconst LANES: u32 = PACKS * FEATURES;\n\
         // Rows in workgroup memory, and how many of them are written out.\nconst ROWS: u32 = {}u;\nconst UNROLLED: u32 = {}u;\n\n{POWERS}",
        Tiles::ROWS,
        tiles.unrolled()
    );
    let mut sums = String::new();
    let mut names = Vec::new();
    for c in 0..pack {
        line!(
            sums,
            "let mean{c} = components[means].means[owned % 8u + {c}u];"
        );
        names.push(format!("s1_{c}"));
        if !spherical {
            names.push(format!("s2_{c}"));
        }
    }
    sums += &names.iter().fold(String::new(), |mut text, name| {
        line!(text, "var {name} = vec4(0.0);");
        text
    });
    let [reads, stores] = brought(tiles, spherical);
    let walk = tile_walk(tiles.unrolled(), pack, spherical);
    let mut shared = String::new();
    if slices > 1 {
        for name in &names {
            let repeated = [
                ("buffer", "trunk".to_owned()),
                ("column", name.clone()),
                ("slices", format!("{slices}u")),
            ];
            let text = include_str!("../../../../shaders/shared/slices.wgsl");
            shared += &named(text, &repeated);
        }
    }
    let [mut partials, mut tails] = [const { String::new() }; 2];
    line!(partials, "if slice == 0u && quad < QUADS {{");
    for c in 0..pack {
        line!(partials, "    if own + {c}u < batch.n_components {{");
        line!(
            partials,
            "        let to = (part + own + {c}u) * length + quad;"
        );
        line!(partials, "        partials[to] = s1_{c};");
        if !spherical {
            line!(partials, "        partials[to + QUADS] = s2_{c};");
        }
        line!(partials, "    }}");
    }
    line!(partials, "}}");
    for (c, part) in PARTS.iter().enumerate() {
        line!(tails, "if k + {c}u < batch.n_components {{");
        line!(
            tails,
            "    partials[(part + k + {c}u) * length + length - 1u] = vec4(s0.{part}, squares.{part}, 0.0, 0.0);"
        );
        line!(tails, "}}");
    }
    let text = fill(
        include_str!("../../../../shaders/accumulate_tiles.wgsl"),
        &[
            ("sums", &sums),
            ("reads", &reads),
            ("stores", &stores),
            ("walk", &walk),
            ("slices", &shared),
            ("partials", &partials),
            ("tails", &tails),
        ],
    );
    staged(&text, d).replacen("@group(0)", &format!("{constants}\n@group(0)"), 1)
}

/// What brings rows of responsibilities and of features into workgroup memory: reads, then the rest.
fn brought(tiles: Tiles, spherical: bool) -> [String; 2] {
    let [mut reads, mut stores] = [const { String::new() }; 2];
    let (workgroup, rows) = (tiles.workgroup, Tiles::ROWS);
    // Both are powers of two: what is not for all invocations is for some of them, once.
    let (shares, features) = (rows * 2 * tiles.octets, rows * tiles.features);
    let bound = |len: usize| (len < workgroup).then(|| format!("lane < {len}u"));
    for n in 0..shares.div_ceil(workgroup) {
        // More would be more than registers hold on some chips.
        let reads = if n < 2 { &mut reads } else { &mut stores };
        line!(reads, "let place{n} = (lane + {}u) / PAIRS;", n * workgroup);
        line!(
            reads,
            "let row{n} = min(first + place{n}, segment.rows - 1u);"
        );
        line!(
            reads,
            "let normaliser{n} = normalisers[normalisers_at + row{n}];"
        );
        line!(reads, "let q{n} = scores[scores_at + 2u * row{n}];");
        let exists = format!("first + place{n} < segment.rows && made_octet < octets");
        line!(
            stores,
            "let r{n} = select(vec4(0.0), powers(q{n} - normaliser{n}.x) * normaliser{n}.y, {exists});"
        );
        let mut stored = String::new();
        line!(stored, "s0 += r{n};");
        if spherical {
            line!(stored, "squares += r{n} * (constants - q{n});");
        }
        line!(
            stored,
            "shares[place{n} / UNROLLED].rows[place{n} % UNROLLED].parts[pair / PACKS].packs[pair % PACKS] = r{n};"
        );
        stores += &where_bound(bound(shares), &stored);
    }
    for n in 0..features.div_ceil(workgroup) {
        line!(reads, "let beside{n} = (lane + {}u) % ROWS;", n * workgroup);
        line!(reads, "let of{n} = (lane + {}u) / ROWS;", n * workgroup);
        line!(
            reads,
            "let x{n} = features(segment.first + min(first + beside{n}, segment.rows - 1u), min(group.x * FEATURES + of{n}, QUADS - 1u));"
        );
        let stored = format!(
            "features_of[beside{n} / UNROLLED].rows[beside{n} % UNROLLED].quads[of{n}] = x{n};\n"
        );
        stores += &where_bound(bound(features), &stored);
    }
    [reads, stores]
}

/// Statements, under a condition if there is one.
fn where_bound(condition: Option<String>, statements: &str) -> String {
    let Some(condition) = condition else {
        return statements.to_owned();
    };
    let mut text = String::new();
    line!(text, "if {condition} {{");
    statements
        .lines()
        .for_each(|statement| line!(text, "    {statement}"));
    line!(text, "}}");
    text
}

/// Adds the rows in workgroup memory, so many of them written out.
fn tile_walk(unrolled: usize, pack: usize, spherical: bool) -> String {
    let mut text = String::new();
    line!(
        text,
        "for (var some = slice; some < ROWS / UNROLLED; some += SLICES) {{"
    );
    for n in 0..unrolled {
        line!(
            text,
            "    let x{n} = features_of[some].rows[{n}].quads[own_quad];"
        );
        for half in 0..pack / 4 {
            line!(
                text,
                "    let r{n}_{half} = shares[some].rows[{n}].parts[{half}].packs[own_pack];"
            );
        }
        for c in 0..pack {
            let r = format!("r{n}_{}.{}", c / 4, PARTS[c % 4]);
            line!(text, "    let d{n}_{c} = x{n} - mean{c};");
            if spherical {
                line!(text, "    s1_{c} = fma(vec4({r}), d{n}_{c}, s1_{c});");
            } else {
                line!(text, "    let t{n}_{c} = {r} * d{n}_{c};");
                line!(text, "    s1_{c} += t{n}_{c};");
                line!(text, "    s2_{c} = fma(t{n}_{c}, d{n}_{c}, s2_{c});");
            }
        }
    }
    line!(text, "}}");
    text
}
