//! Structs of the texts are the host's.

use std::mem::{offset_of, size_of};

use naga::{Module, TypeInner};

use super::super::groups::GroupRange;
use super::super::nearest::NearestRange;
use super::super::shape::Shape;
use super::super::stage::StageKey;
use super::super::staged::{Batch, Span};
use super::super::statistics_registers::{Block, BlockRange};
use super::super::totals::RowRange;
use super::super::walk::{Header, Settings};
use super::{parse, reduction};
use crate::mixture::CovarianceType::Full;

/// Name and offset of each member, and the size.
fn layout(module: &Module, name: &str) -> (Vec<(String, usize)>, usize) {
    let found = module
        .types
        .iter()
        .find(|(_, t)| t.name.as_deref() == Some(name));
    match found.map(|(_, t)| &t.inner) {
        Some(TypeInner::Struct { members, span }) => (
            members
                .iter()
                .map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize))
                .collect(),
            *span as usize,
        ),
        other => panic!("{name}: {other:?}"),
    }
}

macro_rules! assert_same_layout {
    ($module:expr, $type:ident: $($member:ident),+) => {
        assert_eq!(
            layout($module, stringify!($type)),
            (
                vec![$((stringify!($member).to_owned(), offset_of!($type, $member))),+],
                size_of::<$type>(),
            )
        );
    };
}

#[test]
fn structs_match_wgsl() {
    let (module, _) = parse(StageKey::StatisticsRegisters {
        shape: Shape {
            covariance_type: Full,
            d: 2,
            k: 4,
        },
        weighted: true,
        reduction: reduction(64, 0),
        rows_at_once: 1,
        models: 2,
        near: false,
    });
    assert_same_layout!(&module, BlockRange: count, width, rows_per_block, padding);
    assert_same_layout!(&module, Block: first, rows, partial, model);
    let (module, _) = parse(StageKey::MStep {
        shape: Shape {
            covariance_type: Full,
            d: 2,
            k: 4,
        },
        near: false,
    });
    assert_same_layout!(&module, Settings: rows, models, ranges, zero, sums, stride, logs, first_log,
        log_stride, row_len, padding_0, padding_1);
    let (mut members, size) = layout(&module, "Walk");
    assert_eq!(
        members.pop(),
        Some(("components".to_owned(), size_of::<Header>()))
    );
    assert_eq!(size, size_of::<Header>() + 4 * 16);
    let header = |name: &str, offset| (name.to_owned(), offset);
    assert_eq!(
        members,
        [
            header("stopped", offset_of!(Header, stopped)),
            header("steps", offset_of!(Header, steps)),
            header("most", offset_of!(Header, most)),
            header("below", offset_of!(Header, below)),
            header("times", offset_of!(Header, times)),
            header("last", offset_of!(Header, last)),
            header("negligible", offset_of!(Header, negligible)),
            header("tol", offset_of!(Header, tol)),
        ]
    );
    let (module, _) = parse(StageKey::ScoreTiles { d: 5 });
    let array = |name: &str, at: usize| (name.to_owned(), 16 * 8 * at);
    assert_eq!(
        layout(&module, "Octet"),
        (
            vec![
                array("means", 0),
                array("remainders", 1),
                array("factors", 2),
                array("padding", 3)
            ],
            16 * Shape::OCTET_ENTRY
        )
    );
    let (module, _) = parse(StageKey::MergeNormalisers {
        d: 2,
        weighted: true,
    });
    assert_same_layout!(&module, GroupRange: first_group, groups, count, rows_per_block, sum_groups,
        padding_0, padding_1, padding_2);
    let (module, _) = parse(StageKey::ReducePartials);
    assert_same_layout!(&module, Batch: first_segment, first_span, n_components, segment_rows,
        rows_per_block, partials_len, padding_0, padding_1, segments);
    assert_same_layout!(&module, Span: first, count, row, continued);
    let (module, _) = parse(StageKey::TotalRows);
    assert_same_layout!(&module, RowRange: count, len, width, begins, zero, padding_0, padding_1,
        padding_2);
    let (module, _) = parse(StageKey::Nearest);
    assert_same_layout!(&module, NearestRange: blocks, features, octets, octets_per_slice);
}
