//! The texts, as files for other compilers.

use super::super::plan::{DeviceLimits, LEAST_TILE_BYTES};
use super::super::stage::StageKey;
use super::names::name;
use super::problems::{Branch, PROBLEMS, Step, minimum, paired};
use super::{directx, keys, parse, specialise};

/// `benches/gpu/check` names the folder; otherwise it is gone with the test.
#[test]
fn shaders_are_written_for_other_compilers() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let named = std::env::var_os("WGMM_SHADERS").map(std::path::PathBuf::from);
    let folder = named.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).expect("a folder");
    let write = |name: &str, value: serde_json::Value| {
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        std::fs::write(folder.join(name), text).expect("a file");
    };
    // On an integrated device, on a card, and on one without scalar reads.
    let devices = [
        DeviceLimits::INTEGRATED,
        DeviceLimits::CARD,
        DeviceLimits::NVIDIA,
    ];
    let steps: Vec<[Vec<Step>; 3]> = PROBLEMS
        .iter()
        .map(|problem| devices.each_ref().map(|limits| problem.steps(limits)))
        .collect();
    let all = || steps.iter().flatten().flatten();
    let typical: Vec<String> = all().map(|step| name(step.key)).collect();
    let mut variants = std::collections::BTreeMap::new();
    for key in keys().into_iter().chain(all().map(|s| s.key)) {
        let constants: serde_json::Map<_, _> = key
            .constants()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let (name, text) = (name(key), key.source());
        let variant = serde_json::json!({
            "name": name,
            "entry": key.stem(),
            "constants": constants,
            "hot": match key {
                StageKey::ScoreFull { .. } | StageKey::LogNormalisers { .. } => "whole",
                // Otherwise all rows between two barriers are written out.
                StageKey::Accumulate { tiling, .. } if !tiling.is_written_out() => "inner",
                // The loop for components near the origin, not the one for others.
                StageKey::AccumulateTiles { tiles, .. } if tiles.looks_for_far() => "near",
                StageKey::ScoreProducts { .. }
                | StageKey::AccumulateTiles { .. }
                | StageKey::ScoreTiles { .. }
                | StageKey::ScorePanels { .. } => "inner",
                // Otherwise all of a slice is written out.
                StageKey::StatisticsWorkgroup { sharing, .. } if sharing.rounds() > 1 => "inner",
                _ => "loop",
            },
            "minimum": minimum(key),
            // Workgroup memory of devices that it is for: as much as all have, or more.
            "memory": match key {
                StageKey::Accumulate { d, tiling, .. } if tiling.bytes(d) > LEAST_TILE_BYTES => 32_768,
                _ => 16_384,
            },
            // Whether it is one branch of another, to be counted alone.
            "branch": false,
            "typical": typical.contains(&name) && minimum(key).is_some(),
        });
        std::fs::write(folder.join(format!("{name}.wgsl")), &text).expect("a file");
        let hlsl = directx(key, &specialise(key, &parse(key)));
        std::fs::write(folder.join(format!("{name}.hlsl")), hlsl).expect("a file");
        if let StageKey::Accumulate {
            d,
            tiling,
            whitens: false,
        } = key
        {
            for (branch, _) in Branch::of(tiling, d) {
                let (name, text) = (branch.name(&name), branch.source(&text, tiling));
                std::fs::write(folder.join(format!("{name}.wgsl")), &text).expect("a file");
                let mut variant = variant.clone();
                variant["name"] = name.clone().into();
                variant["branch"] = true.into();
                variant["typical"] = false.into();
                variants.insert(name, (variant, text));
            }
        }
        let same = variants.insert(name.clone(), (variant.clone(), text.clone()));
        assert!(
            same.is_none_or(|other| other == (variant, text)),
            "two variants called {name}"
        );
    }
    let variants = variants.into_values().map(|(variant, _)| variant).collect();
    write("variants.json", variants);
    let problems = PROBLEMS.iter().zip(&steps).map(|(problem, steps)| {
        let step = |s: &Step, variant: String, lanes: usize, all: usize| {
            serde_json::json!({
                "variant": variant,
                "rounds": s.rounds * lanes / all,
                "bytes": s.bytes * lanes / all,
                "invocations": s.invocations * lanes / all,
                "turns": s.turns,
                "trips": s.trips,
                "apart": s.apart,
                "paired": paired(s.key),
            })
        };
        // Each branch as a step of its own.
        let of_branches = |s: &Step| match s.branches.as_slice() {
            [] => vec![step(s, name(s.key), 1, 1)],
            branches => {
                let all = branches.iter().map(|(_, lanes)| lanes).sum();
                let of = |(branch, lanes): &(Branch, usize)| {
                    step(s, branch.name(&name(s.key)), *lanes, all)
                };
                branches.iter().map(of).collect()
            }
        };
        let [integrated, card, nvidia] = steps
            .each_ref()
            .map(|steps| steps.iter().flat_map(of_branches).collect::<Vec<_>>());
        serde_json::json!({
            "name": problem.name(),
            "n": problem.n,
            "d": problem.shape.d,
            "minimum": problem.shape.least_operations(problem.near),
            "steps": { "integrated": integrated, "card": card, "NVIDIA": nvidia },
        })
    });
    write("problems.json", problems.collect());
}
