//! Barriers stand in uniform control flow, as far as a look at the blocks can tell; Tint proves the rest.

use naga::Statement;

use super::super::stage::StageKey;
use super::{keys, parse};

/// Whether a barrier stands inside an `if`, a `switch` or, if they count, a loop.
fn hides_barrier(block: &naga::Block, nested: bool, loops: bool) -> bool {
    let hides = |block, nested| hides_barrier(block, nested, loops);
    block.iter().any(|statement| match statement {
        Statement::ControlBarrier(_) | Statement::MemoryBarrier(_) => nested,
        Statement::Block(inner) => hides(inner, nested),
        Statement::If { accept, reject, .. } => hides(accept, true) || hides(reject, true),
        Statement::Switch { cases, .. } => cases.iter().any(|c| hides(&c.body, true)),
        Statement::Loop {
            body, continuing, ..
        } => hides(body, nested || loops) || hides(continuing, nested || loops),
        _ => false,
    })
}

#[test]
fn barriers_stand_in_no_branch_and_no_loop() {
    for key in keys() {
        let (module, _) = parse(key);
        // Their loops end where the segment does, and a component's rows are whitened or not, for all of a workgroup at
        // once; Tint proves that.
        let accumulates = matches!(
            key,
            StageKey::AccumulateTiles { .. }
                | StageKey::ScoreProducts { .. }
                | StageKey::ScorePanels { .. }
                | StageKey::StatisticsWorkgroup { .. }
                | StageKey::MStepTriangles { .. }
        );
        let loops = !accumulates;
        let body = &module.entry_points[0].function.body;
        let is_left_to_tint = matches!(key, StageKey::Accumulate { .. });
        assert!(
            is_left_to_tint || !hides_barrier(body, false, loops),
            "{key:?}"
        );
        assert!(
            module
                .functions
                .iter()
                .all(|(_, f)| !hides_barrier(&f.body, true, true)),
            "{key:?}"
        );
    }
    for (hidden, loops) in [
        ("if i < 3u { workgroupBarrier(); }", false),
        (
            "for (var j = 0u; j < 3u; j++) { workgroupBarrier(); }",
            true,
        ),
    ] {
        let text = format!(
            "@compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {{ {hidden} }}"
        );
        let module = naga::front::wgsl::parse_str(&text).expect("valid WGSL");
        let body = &module.entry_points[0].function.body;
        assert!(hides_barrier(body, false, true));
        assert_eq!(hides_barrier(body, false, false), !loops);
    }
}
