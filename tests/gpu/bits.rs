//! The same bits whatever the limits, the state of memory, or how often.

use wgmm::backend::gpu::{Device, Gpu, Options};
use wgmm::backend::{Backend, Components, Statistics};
use wgmm::mixture::CovarianceType;

use crate::data::{components, device, open, samples};

/// Models in registers and staged, of every type.
fn models() -> [(usize, Vec<Components>); 2] {
    use CovarianceType::{Diag, Full, Spherical, Tied};
    let all = |d, small, large| {
        [Full, Tied, Diag, Spherical]
            .into_iter()
            .flat_map(|t| [small, large].map(|k| components(d, k, t)))
            .collect()
    };
    [(2, all(2, 4, 40)), (10, all(10, 1, 9))]
}

fn run(device: &Device, d: usize, models: &[Components]) -> Vec<Statistics> {
    let (samples, map) = samples(20_003, d, true);
    let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
    let models: Vec<_> = models.iter().map(Into::into).collect();
    let first = gpu.statistics(&models).expect("statistics");
    assert_eq!(
        first,
        gpu.statistics(&models).expect("statistics"),
        "on repetition"
    );
    first
}

#[test]
fn neither_small_bindings_nor_dirty_memory_change_a_bit() {
    let small = open(Options {
        max_binding_bytes: Some(50_000),
        ..Options::default()
    });
    let nan = open(Options {
        sentinel: Some(0x7fc1_2345),
        ..Options::default()
    });
    let large = open(Options {
        sentinel: Some(0x7149_f2ca),
        ..Options::default()
    });
    for (d, models) in models() {
        let wanted = run(device(), d, &models);
        for other in [&small, &nan, &large] {
            assert_eq!(run(other, d, &models), wanted, "D={d}");
        }
    }
}

#[test]
fn small_bindings_take_more_dispatches() {
    let small = open(Options {
        max_binding_bytes: Some(20_000),
        ..Options::default()
    });
    let (samples, map) = samples(20_003, 2, false);
    let model = components(2, 4, CovarianceType::Full);
    let dispatches = |device| {
        let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
        gpu.statistics(&[(&model).into()]).expect("statistics");
        gpu.counters().dispatches
    };
    assert_eq!(dispatches(device()), 1);
    // 40 blocks of 512 rows, 4 KiB each: four to a binding.
    assert_eq!(dispatches(&small), 10);
}
