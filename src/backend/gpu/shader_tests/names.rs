//! A name for each text.

use super::super::layout::{ParameterLayout, SumLayout};
use super::super::plan::{self, DeviceLimits, LEAST_TILE_BYTES, Tiles};
use super::super::shape::Shape;
use super::super::stage::StageKey;

fn layout_name(sums: SumLayout) -> &'static str {
    match sums {
        SumLayout::Groups(_) => "groups",
        SumLayout::Features => "features",
        SumLayout::Tiles => "tiles",
        SumLayout::Diagonals => "diagonals",
    }
}

/// A name for a file: the stage and what its text and overrides depend on.
pub(super) fn name(key: StageKey) -> String {
    let of = |shape: Shape| {
        let t = shape.covariance_type.name();
        format!("{}-{t}-d{}-k{}", key.stem(), shape.d, shape.k)
    };
    let also = |yes: bool, word: &'static str| if yes { word } else { "" };
    match key {
        StageKey::StatisticsRegisters {
            shape,
            weighted,
            reduction,
            rows_at_once,
            models,
            near,
        } => {
            // For chips that have the registers.
            let is_large = rows_at_once > plan::rows_at_once(shape, weighted, &DeviceLimits::CARD);
            let name = of(shape)
                + also(near, "-near")
                + also(rows_at_once == 2, "-twice")
                + also(is_large, "-large")
                + also(rows_at_once == 4, "-fourfold")
                + also(models > 1, "-models");
            name + also(weighted, "-weighted") + also(reduction.subgroups > 0, "-subgroups")
        }
        StageKey::MStep { shape, near } => of(shape) + also(near, "-near"),
        StageKey::ConcludeStep { k } => format!("{}-k{k}", key.stem()),
        StageKey::SumBlocks { k, reduction } => {
            format!("{}-k{k}-w{}", key.stem(), reduction.workgroup)
        }
        StageKey::PoolMoments { shape, sums }
        | StageKey::MStepDiagonals { shape, sums }
        | StageKey::MStepTriangles { shape, sums, .. } => of(shape) + "-" + layout_name(sums),
        StageKey::CommitStep { shape, parameters } => match parameters {
            ParameterLayout::Packed => of(shape) + "-packed",
            ParameterLayout::Chunks { .. } => of(shape) + "-chunks",
            ParameterLayout::Tiled => of(shape) + "-tiled",
        },
        StageKey::StatisticsWorkgroup {
            shape,
            weighted,
            sharing,
            models,
        } => {
            let name = of(shape) + also(sharing.owners > 0, "-owned") + also(models > 1, "-models");
            name + also(weighted, "-weighted")
        }
        StageKey::LogNormalisers {
            shape,
            hoisted,
            alone,
        } => of(shape) + also(hoisted, "-hoisted") + also(!alone, "-groups"),
        StageKey::StatisticsGroups {
            shape,
            hoisted,
            reduction,
        } => of(shape) + also(hoisted, "-hoisted") + also(reduction.subgroups > 0, "-subgroups"),
        StageKey::MergeNormalisers { d, weighted } => {
            format!("{}-d{d}", key.stem()) + also(weighted, "-weighted")
        }
        StageKey::Responsibilities {
            d,
            weighted,
            each_row,
        } => {
            let name = format!("{}-d{d}", key.stem());
            name + also(weighted, "-weighted") + also(each_row, "-rows")
        }
        StageKey::Accumulate { d, tiling, whitens } => {
            // For devices that have more workgroup memory than all have.
            let roomy = tiling.bytes(d) > LEAST_TILE_BYTES;
            format!("{}-d{d}", key.stem())
                + also(tiling.ahead, "-ahead")
                + also(roomy, "-roomy")
                + also(whitens, "-whitens")
        }
        StageKey::ScoreFull { d, .. }
        | StageKey::ScoreDiagonal { d }
        | StageKey::ScoreTiles { d } => {
            format!("{}-d{d}", key.stem())
        }
        StageKey::ScoreProducts { d, components } => {
            format!("{}-d{d}", key.stem())
                + &match components {
                    4 => String::new(),
                    fewer => format!("-k{fewer}"),
                }
        }
        StageKey::ScorePanels { d, octets } => format!("{}-d{d}-o{octets}", key.stem()),
        StageKey::NormaliseTiles { d, weighted } => {
            format!("{}-d{d}", key.stem()) + also(weighted, "-weighted")
        }
        StageKey::AccumulateTiles { d, tiles } => {
            let spherical = tiles.pack == Tiles::PACK_OF_SPHERICAL;
            let name = format!("{}-d{d}-o{}", key.stem(), tiles.octets);
            name + also(spherical, "-spherical")
        }
        StageKey::ReducePartials
        | StageKey::TotalRows
        | StageKey::Nearest
        | StageKey::MeasureBandwidth
        | StageKey::MeasureFma => key.stem().to_owned(),
    }
}
