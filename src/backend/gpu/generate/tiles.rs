//! Diagonal and spherical mixtures of many components, as products of matrices.

use std::fmt::Write;
use std::ops::Range;

use super::super::plan::Tiles;
use super::{PARTS, POWERS, fill, named, staged};

/// Octets that an invocation of `normalise_tiles` reads at once: enough bytes under way, and few enough registers.
const OCTETS_AT_ONCE: usize = 8;

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
    let mut names = Vec::new();
    for c in 0..pack {
        names.push(format!("s1_{c}"));
        if !spherical {
            names.push(format!("s2_{c}"));
        }
    }
    let (own_means, looks) = (own_means(pack), tiles.looks_for_far());
    let mut sums = match looks {
        true => is_far(pack),
        false => own_means.clone(),
    };
    sums += &names.iter().fold(String::new(), |mut text, name| {
        line!(text, "var {name} = vec4(0.0);");
        text
    });
    let [reads, stores] = brought(tiles, spherical);
    let unrolled = tiles.unrolled();
    let walk = |summed| tile_walk(unrolled, pack, summed);
    let walk = match (spherical, looks) {
        (true, true) => format!(
            "if is_far {{\n{own_means}{}}} else {{\n{}}}\n",
            walk(Summed::Distances),
            walk(Summed::Features)
        ),
        (true, false) => walk(Summed::Distances),
        (false, _) => walk(Summed::Squares),
    };
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
    let [totals, total, moves] = match looks {
        true => [
            "// S0 of the components of each pair.\nvar<workgroup> totals: array<vec4<f32>, PAIRS>;",
            "totals[lane] = s0;",
            &moved(pack),
        ],
        false => [""; 3],
    };
    let text = fill(
        include_str!("../../../../shaders/accumulate_tiles.wgsl"),
        &[
            ("place", own_place(tiles)),
            ("totals", totals),
            ("total", total),
            ("moves", moves),
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

/// Where an invocation's components and features are among those of its workgroup.
fn own_place(tiles: Tiles) -> &'static str {
    // Pairs of neighbours have the same components and every other one the same features, which some chips read once for
    // both.
    match 8 * tiles.octets / tiles.pack > 1 && tiles.features > 1 {
        true => {
            "let own_pack = lane / 2u % 2u + lane / 4u % (PACKS / 2u) * 2u;\n\
             let own_quad = lane % 2u + lane / 4u / (PACKS / 2u) % (FEATURES / 2u) * 2u;"
        }
        false => "let own_pack = lane % PACKS;\nlet own_quad = lane / PACKS % FEATURES;",
    }
}

/// Reads the means of an invocation's components.
fn own_means(pack: usize) -> String {
    (0..pack).fold(String::new(), |mut text, c| {
        line!(
            text,
            "let mean{c} = components[means].means[owned % 8u + {c}u];"
        );
        text
    })
}

/// How many standard deviations from the origin a mean may be for sums of features to serve: rounding of a sum of 256 is
/// some 3e-7 of it, so that its segment's mean is off by 3e-6 of a standard deviation.
const NEAR: f32 = 8.0;

/// Whether one of an invocation's components is not that near.
fn is_far(pack: usize) -> String {
    (0..pack).fold("var is_far = false;\n".to_owned(), |mut text, c| {
        line!(
            text,
            "is_far = is_far || any(abs(components[means].means[{c}] * components[means].factors[{c}]) > vec4({NEAR:?}));"
        );
        text
    })
}

/// Takes the means off sums of features.
fn moved(pack: usize) -> String {
    let mut text = "if !is_far {\n".to_owned();
    for half in 0..pack / 4 {
        line!(
            text,
            "    let total{half} = totals[{half}u * PACKS + own_pack];"
        );
    }
    for c in 0..pack {
        let total = format!("total{}.{}", c / 4, PARTS[c % 4]);
        line!(
            text,
            "    s1_{c} = fma(vec4(-{total}), components[means].means[{c}], s1_{c});"
        );
    }
    text + "}"
}

/// What is summed of a row.
#[derive(Clone, Copy, PartialEq)]
enum Summed {
    /// r x.
    Features,
    /// r (x - mu).
    Distances,
    /// That and its square.
    Squares,
}

/// Adds the rows in workgroup memory, so many of them written out.
fn tile_walk(unrolled: usize, pack: usize, summed: Summed) -> String {
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
            if summed == Summed::Features {
                line!(text, "    s1_{c} = fma(vec4({r}), x{n}, s1_{c});");
                continue;
            }
            line!(text, "    let d{n}_{c} = x{n} - mean{c};");
            if summed == Summed::Distances {
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
