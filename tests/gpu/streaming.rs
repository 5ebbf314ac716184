//! Samples larger than what a device may hold: the same bits, and no byte sent that nobody looks at.

use wgmm::backend::gpu::{Counters, Device, Gpu, Hardware, Options, Selection};
use wgmm::backend::reference::Reference;
use wgmm::backend::{
    Backend, BackendError, BlockMask, Components, MaskedModel, Statistics, Walk, Watch,
};
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{DeviceChoice, Fit, Options as FitOptions, fit};
use wgmm::mixture::CovarianceType;

use crate::data::{alone, components, device, memory, open, samples};

/// 40 blocks of 512 rows, the last one with 35.
const ROWS: usize = 20_003;
const BLOCK_ROWS: u64 = 512;

/// A device that may hold so many blocks of so many columns at once.
fn holding(blocks: u64, columns: usize) -> Device {
    open(Options {
        max_sample_bytes: Some(blocks * BLOCK_ROWS * 4 * columns as u64),
        ..Options::default()
    })
}

/// Models for each regime, of every type.
fn models(d: usize) -> Vec<Components> {
    use CovarianceType::{Diag, Full, Spherical, Tied};
    let types = [Full, Tied, Diag, Spherical].into_iter();
    types
        .flat_map(|t| [3, 20].map(|k| components(d, k, t)))
        .collect()
}

/// What all models have under masks that take all blocks, some, the last and none; and what it took.
fn run(device: &Device, d: usize, weighted: bool) -> (Vec<Statistics>, [Counters; 2]) {
    let (samples, map) = samples(ROWS, d, weighted);
    let mut gpu = Gpu::load(device, &samples, &map).expect("upload");
    let loaded = gpu.counters();
    let masks = [
        BlockMask::new(gpu.blocks(), |b| b % 7 < 3),
        BlockMask::new(gpu.blocks(), |b| b == 39),
        BlockMask::new(gpu.blocks(), |_| false),
    ];
    let masks = [None, Some(&masks[0]), Some(&masks[1]), Some(&masks[2])];
    let models = models(d);
    let models: Vec<MaskedModel<'_>> = models
        .iter()
        .flat_map(|components| masks.map(|mask| MaskedModel { components, mask }))
        .collect();
    let found = gpu.statistics(&models).expect("statistics");
    let counters = gpu.counters();
    let again = gpu.statistics(&models).expect("statistics");
    assert_eq!(found, again, "on repetition");
    (found, [loaded, counters])
}

#[test]
fn samples_that_pass_through_give_the_bits_of_samples_that_stay() {
    for (d, weighted, budgets) in [
        (2, true, [2, 9].as_slice()),
        (3, false, &[39]),
        (18, true, &[3]),
    ] {
        let columns = d + usize::from(weighted);
        let (wanted, [loaded, counters]) = run(device(), d, weighted);
        let block_bytes = BLOCK_ROWS * 4 * columns as u64;
        assert_eq!(loaded.bytes_sent, 40 * block_bytes);
        assert_eq!(counters.bytes_sent, loaded.bytes_sent);
        for &blocks in budgets {
            let (found, [loaded, counters]) = run(&holding(blocks, columns), d, weighted);
            assert_eq!(found, wanted, "{blocks} blocks, D={d}");
            // Two buffers of a quarter each, the rest stays; all models look at a block while it is there.
            let resident = blocks - 2 * (blocks / 4).max(1);
            assert_eq!(loaded.bytes_sent, resident * block_bytes);
            let passed = counters.bytes_sent - loaded.bytes_sent;
            assert_eq!(
                passed,
                (40 - resident) * block_bytes,
                "{blocks} blocks, D={d}"
            );
        }
    }
}

#[test]
fn blocks_that_no_mask_contains_are_not_sent() {
    let few = holding(4, 2);
    let (samples, map) = samples(ROWS, 2, false);
    let mut gpu = Gpu::load(&few, &samples, &map).expect("upload");
    let model = components(2, 4, CovarianceType::Full);
    let masks = [[3, 7], [7, 39]].map(|of| BlockMask::new(gpu.blocks(), |b| of.contains(&b)));
    let models = masks.each_ref().map(|mask| MaskedModel {
        components: &model,
        mask: Some(mask),
    });
    let before = gpu.counters().bytes_sent;
    gpu.statistics(&models).expect("statistics");
    let sent = gpu.counters().bytes_sent - before;
    // Blocks 3, 7 and 39, once each.
    assert_eq!(sent, 3 * BLOCK_ROWS * 4 * 2);
    let none = BlockMask::new(gpu.blocks(), |_| false);
    let unseen = [MaskedModel {
        components: &model,
        mask: Some(&none),
    }];
    let found = gpu.statistics(&unseen).expect("statistics");
    assert_eq!((found[0].weight, found[0].log_likelihood), (0.0, 0.0));
    assert_eq!(gpu.counters().bytes_sent - before, sent);
}

#[test]
fn responsibilities_of_rows_that_pass_through_are_the_same() {
    let (samples, map) = samples(ROWS, 5, true);
    let few = holding(5, 6);
    let mut gpus = [device(), &few].map(|d| Gpu::load(d, &samples, &map).expect("upload"));
    for (k, covariance_type) in [(7, CovarianceType::Full), (3, CovarianceType::Diag)] {
        let model = components(5, k, covariance_type);
        // From blocks that stay into those that pass; several pieces; the last row alone; none.
        for rows in [1000..3000, 5000..12_345, 20_002..20_003, 600..600, 0..ROWS] {
            let [wanted, found] = gpus.each_mut().map(|gpu| {
                let mut log = vec![f64::NAN; rows.len()];
                let mut r = vec![f64::NAN; rows.len() * k];
                gpu.responsibilities(&model, rows.clone(), &mut log, &mut r)
                    .expect("responsibilities");
                (log, r)
            });
            assert!(wanted.0.iter().all(|x| x.is_finite()));
            assert_eq!(found, wanted, "{rows:?}");
        }
    }
}

#[test]
fn bindings_and_memory_may_both_be_small() {
    let both = open(Options {
        max_binding_bytes: Some(2 * BLOCK_ROWS * 4 * 4),
        max_sample_bytes: Some(20 * BLOCK_ROWS * 4 * 4),
        ..Options::default()
    });
    assert_eq!(run(&both, 3, true).0, run(device(), 3, true).0);
}

#[test]
fn a_streamed_pass_agrees_with_the_reference() {
    let (samples, map) = samples(ROWS, 2, true);
    let few = holding(3, 3);
    let model = components(2, 4, CovarianceType::Full);
    let found = Gpu::load(&few, &samples, &map)
        .expect("upload")
        .statistics(&[(&model).into()])
        .expect("statistics");
    let wanted = Reference::load(&samples, &map)
        .statistics(&[(&model).into()])
        .expect("no device to fail");
    // As in `reference.rs`.
    let off = (found[0].log_likelihood - wanted[0].log_likelihood).abs();
    assert!(off <= 1e-6 * wanted[0].log_likelihood.abs(), "{off}");
    for (a, b) in found[0].s0.iter().zip(&wanted[0].s0) {
        assert!((a - b).abs() <= 1e-5 * (b + 1.0), "{a} for {b}");
    }
}

#[test]
fn a_fit_may_bound_what_its_samples_take() {
    use CovarianceType::{Diag, Full, Spherical, Tied};
    // Sums in registers, of components in groups, and as matrix products; fits that converge, and accelerated ones.
    for (t, d, k, plain) in [
        (Full, 2, 4, true),
        (Full, 2, 16, false),
        (Tied, 4, 9, true),
        (Full, 17, 2, true),
        (Diag, 40, 3, true),
        (Spherical, 9, 12, false),
    ] {
        let (samples, _) = samples(ROWS, d, true);
        let fit_within = |gpu_memory| {
            let options = FitOptions {
                device: DeviceChoice::Gpu(Selection::Best),
                covariance_type: t,
                gpu_memory,
                restarts: 2,
                max_iter: 12,
                tol: 1e-3,
                plain,
                ..FitOptions::new(k)
            };
            fit(&samples, &options).expect("a fit")
        };
        let [whole, bounded] = [None, Some(3 * BLOCK_ROWS * 4 * (d as u64 + 1))].map(fit_within);
        let plan = |fit: &Fit| fit.device.plan.clone().expect("a GPU's");
        assert!(plan(&whole).contains("samples stay"), "{}", plan(&whole));
        assert!(
            plan(&bounded).contains("sent in each pass"),
            "{}",
            plan(&bounded)
        );
        assert!(
            plan(&whole).contains("plain EM takes"),
            "{t:?} D={d} K={k}: {}",
            plan(&whole)
        );
        assert_eq!(
            (whole.mixture, whole.trace),
            (bounded.mixture, bounded.trace),
            "{t:?} D={d} K={k}"
        );
    }
}

#[test]
fn steps_are_the_same_bits_with_samples_that_pass_through() {
    let data = samples(ROWS, 2, true);
    let wide = components(2, 4, CovarianceType::Full);
    let mut near = wide.clone();
    near.means.iter_mut().for_each(|m| *m *= 0.5);
    let many = components(2, 20, CovarianceType::Full);
    // One takes no step, one two, one stops when its steps are small; others have other kernels.
    let watch = Watch {
        tol: 1e-3,
        times: 3,
        ..Watch::default()
    };
    let walk = |model, most, watch| Walk {
        watch,
        most,
        ..Walk::none(model)
    };
    let walks = [
        walk((&wide).into(), 0, Watch::default()),
        walk((&wide).into(), 2, Watch::default()),
        walk((&near).into(), 40, watch),
        walk((&many).into(), 3, Watch::default()),
    ];
    let run = |device: &Device| {
        let mut gpu = Gpu::load(device, &data.0, &data.1).expect("upload");
        (gpu.walk(&walks).expect("a walk"), gpu.counters())
    };
    let (whole, _) = run(device());
    let (streamed, counters) = run(&holding(3, 3));
    for (a, b) in whole.iter().zip(&streamed) {
        assert_eq!(a.steps, b.steps);
        assert_eq!((a.stopped, &a.statistics), (b.stopped, &b.statistics));
    }
    let taken: Vec<usize> = whole.iter().map(|walked| walked.steps.len()).collect();
    assert_eq!(
        ([taken[0], taken[1], taken[3]], whole[2].stopped),
        ([0, 2, 3], true)
    );
    // A pass a step and one more, which is that of the step not taken where the model stopped; a last one for those
    // that take none. What stays is sent once.
    let passes = (taken[2] + 1) + (taken[3] + 1) + 1;
    let of_block = BLOCK_ROWS * 4 * 3;
    let blocks = (ROWS as u64).div_ceil(BLOCK_ROWS);
    assert_eq!(
        counters.bytes_sent,
        of_block + passes as u64 * (blocks - 1) * of_block
    );
}

#[test]
fn steps_of_several_submissions_are_the_same_bits_and_end_where_the_model_does() {
    // Where the processor plays the GPU steps of many submissions are the host's.
    let card = |max_submission_blocks, max_sample_bytes| {
        open(Options {
            as_hardware: Some(Hardware::Nvidia),
            max_submission_blocks,
            max_sample_bytes,
            // Those that leave the origin end before steps are short.
            no_near: true,
            ..Options::default()
        })
    };
    let (whole_pass, parts) = (card(None, None), card(Some(9), None));
    for (t, d, k) in [
        (CovarianceType::Full, 2, 4),
        (CovarianceType::Full, 4, 20),
        (CovarianceType::Full, 17, 9),
        (CovarianceType::Spherical, 8, 30),
    ] {
        let most = 40;
        let data = samples(ROWS, d, true);
        // Wide enough that no component loses its samples.
        let mut model = components(d, k, t);
        let length = model.factors.len() / k;
        model.factors = model.factors[..length].repeat(k);
        model.factors.iter_mut().for_each(|u| *u *= 0.5);
        model.means.iter_mut().for_each(|m| *m *= 0.25);
        // It ends as soon as steps grow shorter three times running.
        let watch = Watch {
            tol: 1e9,
            times: 3,
            ..Watch::default()
        };
        let run = |device: &Device, most, watch| {
            let mut gpu = Gpu::load(device, &data.0, &data.1).expect("upload");
            let walk = Walk {
                watch,
                most,
                ..Walk::none((&model).into())
            };
            let walked = gpu.walk(&[walk]).expect("a walk").swap_remove(0);
            (walked, gpu.counters())
        };
        let what = format!("{t:?} D={d} K={k}");
        let (one, of_one) = run(&parts, 1, Watch::default());
        assert_eq!((one.steps.len(), one.stopped), (1, false), "{what}");
        // Two passes of 40 blocks.
        assert!(of_one.submissions >= 9, "{what}: {of_one:?}");
        let (found, of_all) = run(&parts, most, watch);
        let taken = found.steps.len();
        assert!((3..20).contains(&taken), "{what}: {taken}");
        // Features become so correlated on the way that their sums would lose too many digits.
        let correlated = t == CovarianceType::Full && d > 2;
        assert_eq!(found.stopped, !correlated, "{what}");
        // The host saw that it had stopped, and did not run all steps in vain.
        assert!(
            of_all.dispatches < most as u64 / 2 * of_one.dispatches,
            "{what}"
        );
        let bytes = 10 * BLOCK_ROWS * 4 * (d as u64 + 1);
        for device in [&whole_pass, &card(Some(3), Some(bytes))] {
            let (other, _) = run(device, most, watch);
            assert_eq!(found.steps, other.steps, "{what}");
            assert_eq!(found.stopped, other.stopped, "{what}");
            assert_eq!(found.statistics, other.statistics, "{what}");
        }
    }
}

#[test]
fn memory_for_less_than_two_blocks_is_an_error() {
    let (samples, map) = samples(ROWS, 2, false);
    let error = Gpu::load(&holding(1, 2), &samples, &map).expect_err("too little");
    assert!(
        matches!(error, BackendError::TooLarge { n_features: 2, .. }),
        "{error}"
    );
}

#[test]
fn the_host_keeps_no_copy_of_the_samples() {
    if !alone("streaming::the_host_keeps_no_copy_of_the_samples") {
        return;
    }
    // 122 MiB, in four numbers a row; as much again is what the software adapter's buffers take.
    let (n, d) = (8_000_000, 4);
    let values: Vec<f32> = (0..n * d).map(|i| (i % 1013) as f32 / 1000.0).collect();
    let samples = Samples::new(values, d).expect("finite values");
    let map = Standardisation::identity(d);
    let model = components(d, 2, CovarianceType::Full);
    for (most, on_device) in [(Some(8 << 20), 8 << 20), (None, 4 * n * d)] {
        let device = open(Options {
            max_sample_bytes: most,
            ..Options::default()
        });
        // Compiled before memory is looked at.
        let few = Samples::new(vec![0.5f32; d], d).expect("finite values");
        Gpu::load(&device, &few, &map)
            .expect("upload")
            .statistics(&[(&model).into()])
            .expect("statistics");
        // Writing 5 there makes what is held now the most that was held.
        let forgets = std::fs::write("/proc/self/clear_refs", "5").is_ok();
        let before = memory("VmRSS");
        let mut gpu = Gpu::load(&device, &samples, &map).expect("upload");
        for _ in 0..2 {
            gpu.statistics(&[(&model).into()]).expect("statistics");
        }
        if let (Some(before), Some(after), true) = (before, memory("VmHWM"), forgets) {
            let grown = after.saturating_sub(before);
            println!(
                "{} MiB beside {} MiB",
                (grown - on_device) >> 20,
                on_device >> 20
            );
            assert!(grown < on_device + (64 << 20), "{grown} bytes");
        }
    }
}
