//! The same bits whatever the limits, the state of memory, or how often.

use wgmm::backend::gpu::{Device, Gpu, Hardware, Options};
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
fn small_bindings_change_no_bit_of_kernels_for_hardware() {
    let hardware = |max_binding_bytes, no_near| {
        open(Options {
            as_hardware: Some(Hardware::Nvidia),
            max_binding_bytes,
            no_near,
            ..Options::default()
        })
    };
    let models = [
        components(4, 9, CovarianceType::Full),
        components(4, 20, CovarianceType::Diag),
    ];
    let large = [components(11, 13, CovarianceType::Full)];
    for no_near in [false, true] {
        for (d, models) in [(4, &models[..]), (11, &large)] {
            let whole = run(&hardware(None, no_near), d, models);
            assert_eq!(run(&hardware(Some(50_000), no_near), d, models), whole);
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

#[test]
fn models_of_every_regime_share_a_submission() {
    use CovarianceType::{Diag, Full, Spherical};
    let d = 17;
    let (samples, map) = samples(1000, d, true);
    // In registers, two of them in one dispatch; in groups; staged.
    let models = [
        components(d, 2, Spherical),
        components(d, 9, Diag),
        components(d, 3, Full),
        components(d, 2, Spherical),
        components(d, 5, Full),
    ];
    let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
    let all: Vec<_> = models.iter().map(Into::into).collect();
    let together = gpu.statistics(&all).expect("statistics");
    assert_eq!(gpu.counters().submissions, 1);
    for (model, together) in all.iter().zip(&together) {
        let alone = gpu.statistics(&[*model]).expect("statistics");
        assert_eq!(&alone[0], together);
    }
    assert_eq!(gpu.counters().submissions, 1 + 5);
    // Per model and block (four, of 256 rows) the sums, and those of logarithms.
    let spherical = 2 * (1 + d + 1) + 2;
    gpu = Gpu::load(device(), &samples, &map).expect("upload");
    gpu.statistics(&[all[0], all[3]]).expect("statistics");
    assert_eq!(gpu.counters().bytes_read, (2 * 4 * spherical * 4) as u64);
}

#[test]
fn what_costs_too_much_at_once_takes_several_submissions() {
    // 20,003 rows by 33 components of 15 tiles each are 0.14 s of a processor, and little for a GPU.
    let (samples, map) = samples(20_003, 17, false);
    let model = components(17, 33, CovarianceType::Full);
    let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
    let models = [(&model).into(), (&model).into()];
    let both = gpu.statistics(&models).expect("statistics");
    assert_eq!(gpu.counters().submissions > 1, device().is_software());
    assert_eq!(both[0], both[1]);
}

#[test]
fn a_stage_is_compiled_once_a_device_however_many_ask_for_it() {
    let fresh = open(Options::default());
    let (samples, map) = samples(1000, 10, false);
    let run = |k: usize| {
        let model = components(10, k, CovarianceType::Full);
        let mut gpu = Gpu::load(&fresh, &samples, &map).expect("upload");
        gpu.statistics(&[(&model).into()]).expect("statistics");
    };
    run(7);
    let first = fresh.compiled();
    assert!(first.stages > 0 && first.seconds > 0.0);
    run(7);
    assert_eq!(fresh.compiled(), first);
    let other = open(Options::default());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let model = components(10, 7, CovarianceType::Full);
                let mut gpu = Gpu::load(&other, &samples, &map).expect("upload");
                gpu.statistics(&[(&model).into()]).expect("statistics");
            });
        }
    });
    assert_eq!(other.compiled().stages, first.stages);
}
