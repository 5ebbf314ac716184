//! Scores where factors are diagonal: four rows under eight components an invocation.

use std::fmt::Write;

use super::super::plan::Scoring;
use super::{PARTS, fill, staged};

/// Fours of features of `score_panels` that are written out.
const WRITTEN: usize = 2;
/// Means, remainders, factors: the parameters of four features and eight components.
const PARAMETERS: usize = 3 * 8;

/// The text of `score_tiles` for D features.
pub(in super::super) fn score_tiles(d: usize) -> String {
    let mut features = String::new();
    for part in 0..4 {
        line!(
            features,
            "let x0_{part} = samples[at + {} * stride];",
            feature(d, part)
        );
    }
    let arrays = ["means", "remainders", "factors"];
    features += &squares(0, |array, c| {
        format!("components[entry].{}[{c}]", arrays[array])
    });
    scored(
        include_str!("../../../../shaders/score_tiles.wgsl"),
        d,
        |c| format!("components[first].means[{c}].x"),
        &[("features", &features)],
    )
}

/// Feature `part` of four; beyond D the last one.
fn feature(d: usize, part: usize) -> String {
    match d % 4 {
        0 => format!("(4u * i + {part}u)"),
        _ => format!("min(4u * i + {part}u, D - 1u)"),
    }
}

/// The text of `score_panels` for D features, of so many octets of components in a workgroup.
pub(in super::super) fn score_panels(d: usize, octets: usize) -> String {
    let (lanes, chunk) = (Scoring::PANEL_LANES, Scoring::PANEL_CHUNK);
    let workgroup = octets * lanes;
    let [ahead, read, bring] = panels(octets);
    let mut features = String::new();
    for (n, part) in (0..WRITTEN).flat_map(|n| (0..4).map(move |part| (n, part))) {
        line!(
            features,
            "let x{n}_{part} = features_of[i].features[{}].rows[lane];",
            4 * n + part
        );
    }
    for n in 0..WRITTEN {
        features += &squares(n, |array, c| {
            format!(
                "panels[panel].some[i].quads[{n}].parameters[{}]",
                8 * array + c
            )
        });
    }
    let text = scored(
        include_str!("../../../../shaders/score_panels.wgsl"),
        d,
        |c| format!("components[first][{c}].x"),
        &[
            ("ahead", &ahead),
            ("read", &read),
            ("bring", &bring),
            ("features", &features),
        ],
    );
    let constants = format!(
        "// Invocations, octets that they share, fours of features at a time, and how many of them are written out.\n\
         const WORKGROUP: u32 = {workgroup}u;\nconst OCTETS: u32 = {octets}u;\n\
         const CHUNK: u32 = {chunk}u;\nconst WRITTEN: u32 = {WRITTEN}u;\n\
         // Parameters of four features.\nconst PARAMETERS: u32 = {PARAMETERS}u;\n\n@group(0)"
    );
    text.replacen("@group(0)", &constants, 1)
}

/// What brings features and parameters into workgroup memory: declarations with the first reads, the next reads, the rest.
fn panels(octets: usize) -> [String; 3] {
    let (lanes, chunk) = (Scoring::PANEL_LANES, Scoring::PANEL_CHUNK);
    let (features, parts) = (4 * chunk / octets, PARAMETERS * chunk / lanes);
    const { assert!((PARAMETERS * Scoring::PANEL_CHUNK).is_multiple_of(Scoring::PANEL_LANES)) };
    let [mut declared, mut bring] = [const { String::new() }; 2];
    for n in 0..features {
        line!(declared, "var x{n} = vec4(0.0);");
        let at = format!("({}u + panel)", n * octets);
        line!(
            bring,
            "features_of[{at} / (4u * WRITTEN)].features[{at} % (4u * WRITTEN)].rows[lane] = x{n};"
        );
    }
    for n in 0..parts {
        line!(declared, "var u{n} = vec4(0.0);");
        let at = format!("({}u + lane)", n * lanes);
        line!(
            bring,
            "panels[panel].some[{at} / (PARAMETERS * WRITTEN)].quads[{at} / PARAMETERS % WRITTEN].parameters[{at} % PARAMETERS] = u{n};"
        );
    }
    let read = |start: &str| {
        let mut text = "{\n".to_owned();
        for n in 0..features {
            // Beyond D any finite number does: parameters are 0 there.
            line!(
                text,
                "    x{n} = samples[at + min(4u * {start} + {}u + panel, D - 1u) * stride];",
                n * octets
            );
        }
        for n in 0..parts {
            line!(text, "    let place{n} = {}u + lane;", n * lanes);
            line!(text, "    let quad{n} = {start} + place{n} / PARAMETERS;");
            line!(
                text,
                "    u{n} = select(vec4(0.0), components[first + 1u + min(quad{n}, QUADS - 1u)][place{n} % PARAMETERS], quad{n} < QUADS);"
            );
        }
        text + "}\n"
    };
    [declared + &read("0u"), read("(start + CHUNK)"), bring]
}

/// Adds the squares of four features of four rows, number `n` of those that are written out, under eight components, whose
/// parameters (0 means, 1 remainders, 2 factors) stand at such places.
fn squares(n: usize, place: impl Fn(usize, usize) -> String) -> String {
    let mut text = String::new();
    for c in 0..8 {
        for (array, name) in ["mean", "remainder", "factor"].iter().enumerate() {
            line!(text, "let {name}{n}_{c} = {};", place(array, c));
        }
        for (part, of) in PARTS.iter().enumerate() {
            line!(
                text,
                "let y{n}_{c}_{part} = fma(vec4(factor{n}_{c}.{of}), x{n}_{part} - mean{n}_{c}.{of}, vec4(-remainder{n}_{c}.{of}));"
            );
            line!(
                text,
                "run{c} = fma(y{n}_{c}_{part}, y{n}_{c}_{part}, run{c});"
            );
        }
    }
    text
}

/// A template of scores under eight components, whose log constants stand at such places.
fn scored(
    template: &str,
    d: usize,
    constant: impl Fn(usize) -> String,
    parts: &[(&str, &str)],
) -> String {
    let [mut squares, mut runs, mut sums, mut scores] = [const { String::new() }; 4];
    for c in 0..8 {
        line!(squares, "var m{c} = vec4(0.0);");
        line!(runs, "var run{c} = vec4(0.0);");
        line!(sums, "m{c} += run{c};");
        line!(
            scores,
            "let q{c} = {} - HALF_LOG2_E * min(m{c}, vec4(FARTHEST));",
            constant(c)
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
    let own: [(&str, &str); 4] = [
        ("squares", &squares),
        ("runs", &runs),
        ("sums", &sums),
        ("scores", &scores),
    ];
    // Before the function of that name would be put in.
    staged(&fill(template, &[&own[..], parts].concat()), d)
}
