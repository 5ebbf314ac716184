//! A representative set of all texts that can be generated.

use super::super::digits::Digits;
use super::super::plan::{
    DeviceLimits, MStep, Plan, SampleLayout, Sharing, Tiles, Tiling, fits_registers,
    models_per_dispatch, rows_at_once,
};
use super::super::shape::Shape;
use super::super::stage::StageKey;
use super::super::walk;
use super::reduction;
use crate::mixture::CovarianceType::{self, Diag, Full, Spherical, Tied};

/// A representative set of all texts that can be generated.
pub(super) fn keys() -> Vec<StageKey> {
    let mut keys = Vec::new();
    let shapes: [(CovarianceType, &[(usize, usize)]); 4] = [
        (
            Full,
            &[
                (1, 1),
                (1, 2),
                (1, 24),
                (2, 1),
                (2, 4),
                (2, 13),
                (3, 4),
                (3, 8),
                (4, 6),
                (5, 4),
                (6, 3),
                (7, 2),
                (8, 2),
                (11, 1),
            ],
        ),
        (
            Tied,
            &[
                (1, 1),
                (1, 29),
                (2, 4),
                (2, 15),
                (4, 6),
                (7, 2),
                (8, 2),
                (11, 1),
            ],
        ),
        (Diag, &[(1, 1), (1, 24), (2, 15), (4, 8), (16, 2), (39, 1)]),
        (
            Spherical,
            &[(1, 1), (1, 20), (2, 15), (4, 9), (16, 2), (39, 1)],
        ),
    ];
    for (covariance_type, d, k, weighted) in shapes.into_iter().flat_map(|(t, sizes)| {
        let sizes = sizes.iter();
        sizes.flat_map(move |&(d, k)| [false, true].map(|weighted| (t, d, k, weighted)))
    }) {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        if !fits_registers(shape, weighted) {
            assert!(weighted, "{shape:?}");
            continue;
        }
        keys.push(StageKey::StatisticsRegisters {
            shape,
            weighted,
            reduction: reduction(if weighted { 64 } else { 128 }, 0),
            rows_at_once: if weighted {
                1
            } else {
                rows_at_once(shape, false, &DeviceLimits::WEBGPU)
            },
            models: if weighted {
                models_per_dispatch(shape)
            } else {
                1
            },
            near: !weighted && MStep::bears_near(shape),
        });
        // Larger triangles are the host's.
        if !weighted && (shape.is_diagonal() || d <= 8) {
            let near = [false, true]
                .into_iter()
                .take(1 + usize::from(MStep::bears_near(shape)));
            keys.extend(near.map(|near| StageKey::MStep { shape, near }));
        }
    }
    for (covariance_type, d, score, sum) in [
        (Full, 1, 31, 30),
        (Full, 4, 20, 6),
        (Full, 10, 15, 1),
        (Full, 11, 13, 1),
        (Tied, 4, 20, 12),
        (Tied, 10, 15, 3),
        (Diag, 16, 20, 2),
        (Diag, 37, 9, 1),
        (Spherical, 16, 20, 4),
        (Spherical, 49, 7, 1),
    ] {
        let shape = |k| Shape {
            covariance_type,
            d,
            k,
        };
        keys.push(StageKey::LogNormalisers {
            shape: shape(score),
            hoisted: d == 10,
            // More of few features are more than a group.
            alone: d > 1,
        });
        keys.push(StageKey::StatisticsGroups {
            shape: shape(sum),
            reduction: reduction(if d == 10 { 64 } else { 128 }, 0),
            hoisted: d == 10,
        });
    }
    let limits = DeviceLimits::WEBGPU;
    for (covariance_type, d, k) in [
        (Full, 1, 30),
        (Full, 2, 20),
        (Full, 5, 9),
        (Full, 10, 15),
        (Full, 10, 2),
        (Full, 10, 21),
        (Full, 11, 13),
        (Full, 11, 5),
        (Full, 3, 32),
        (Full, 4, 50),
        (Full, 11, 38),
        (Tied, 4, 20),
        (Diag, 16, 20),
        (Diag, 20, 5),
        (Diag, 27, 3),
        (Diag, 6, 45),
        (Spherical, 16, 20),
        (Spherical, 27, 20),
    ] {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let sharing = Sharing::of(shape, &limits).expect("it is small");
        let weighted = k % 2 == 1;
        keys.push(StageKey::StatisticsWorkgroup {
            shape,
            weighted,
            sharing,
            models: if weighted || d == 1 {
                models_per_dispatch(shape)
            } else {
                1
            },
        });
    }
    for (covariance_type, d, k) in [
        (Full, 2, 130),
        (Full, 4, 21),
        (Full, 10, 20),
        (Full, 11, 13),
        (Tied, 5, 15),
        (Diag, 16, 20),
        (Diag, 27, 50),
        (Spherical, 16, 20),
        (Spherical, 36, 64),
        (Full, 12, 5),
        (Full, 16, 20),
        (Diag, 40, 64),
    ] {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let sharing = Sharing::of(shape, &DeviceLimits::NVIDIA).expect("it is small");
        assert!(sharing.owners > 0);
        keys.push(StageKey::StatisticsWorkgroup {
            shape,
            weighted: d == 27,
            sharing,
            models: 1,
        });
    }
    for (d, k) in [(2, 4), (4, 5), (8, 2)] {
        let shape = Shape {
            covariance_type: Full,
            d,
            k,
        };
        keys.push(StageKey::StatisticsRegisters {
            shape,
            weighted: d == 2,
            reduction: reduction(128, 4),
            rows_at_once: rows_at_once(shape, d == 2, &DeviceLimits::WEBGPU),
            models: if d == 2 {
                models_per_dispatch(shape)
            } else {
                1
            },
            near: d == 2,
        });
        keys.push(StageKey::StatisticsGroups {
            shape,
            reduction: reduction(128, 4),
            hoisted: false,
        });
    }
    // Two rows at a time, on chips that have the registers.
    for (covariance_type, d, k, weighted) in [
        (Full, 4, 6, false),
        (Full, 8, 2, false),
        (Full, 8, 2, true),
        (Tied, 8, 2, false),
        (Diag, 16, 2, false),
        (Spherical, 4, 7, false),
    ] {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let rows_at_once = rows_at_once(shape, weighted, &DeviceLimits::NVIDIA);
        assert_eq!(rows_at_once, 2, "{shape:?}");
        for near in [false, true] {
            keys.push(StageKey::StatisticsRegisters {
                shape,
                weighted,
                reduction: reduction(128, 0),
                rows_at_once,
                models: 1,
                near: near && MStep::bears_near(shape),
            });
        }
    }
    for d in [1, 2, 3, 4, 5, 8, 10, 17, 32, 64, 100] {
        let rows = if d <= 32 { 2 } else { 1 };
        keys.push(StageKey::ScoreFull { d, rows });
        keys.extend([1, 2, 4].map(|components| StageKey::ScoreProducts { d, components }));
        keys.push(StageKey::ScoreDiagonal { d });
        keys.push(StageKey::Responsibilities {
            d,
            weighted: d % 2 == 1,
            each_row: true,
        });
        keys.push(StageKey::MergeNormalisers { d, weighted: true });
        // Fewer features have their sums in registers.
        if d >= 10 {
            let devices = [
                DeviceLimits::WEBGPU,
                DeviceLimits::CARD,
                DeviceLimits::NVIDIA,
            ];
            for limits in devices {
                let tiling = Tiling::on(d, &limits);
                let accumulate = |whitens| StageKey::Accumulate { d, tiling, whitens };
                keys.extend([false, true].map(accumulate));
            }
        }
        keys.push(StageKey::ScoreTiles { d });
        keys.extend([2, 4].map(|octets| StageKey::ScorePanels { d, octets }));
        keys.push(StageKey::NormaliseTiles { d, weighted: true });
        for (k, spherical) in [(3, false), (3, true), (20, false), (1024, d % 2 == 0)] {
            let shape = Shape {
                covariance_type: if spherical { Spherical } else { Diag },
                d,
                k,
            };
            let tiles = Tiles::of(shape);
            keys.push(StageKey::AccumulateTiles { d, tiles });
        }
    }
    keys.extend(step_keys());
    keys.extend([
        StageKey::ReducePartials,
        StageKey::TotalRows,
        StageKey::Nearest,
        StageKey::MeasureBandwidth,
        StageKey::MeasureFma,
    ]);
    keys
}

/// Those of EM steps where a workgroup has a component, for each regime's layouts.
fn step_keys() -> Vec<StageKey> {
    let mut keys = Vec::new();
    for (n, covariance_type, d, k) in [
        (300, Full, 11, 1),
        (300, Full, 4, 20),
        (300, Full, 32, 16),
        (300, Full, 70, 3),
        (300, Tied, 4, 20),
        (300, Tied, 17, 5),
        (300, Diag, 16, 20),
        (300, Diag, 64, 64),
        (300, Spherical, 8, 30),
        (300, Spherical, 128, 1024),
    ] {
        let shape = Shape {
            covariance_type,
            d,
            k,
        };
        let limits = DeviceLimits::WEBGPU;
        let layout = SampleLayout::new(n, d, false, &limits).expect("a block fits");
        let digits = [Digits::NONE, Digits::ALL];
        let plans = digits.map(|digits| Plan::of(&layout, shape, digits, &limits));
        for plan in plans.into_iter().flatten() {
            let m_step = plan.m_step(shape, &limits).expect("it fits");
            assert!(m_step != MStep::Model, "{shape:?}");
            keys.extend(walk::steps::keys(&plan, shape, m_step, &limits));
        }
    }
    keys
}
