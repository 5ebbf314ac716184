//! What goes wrong becomes an error, never a panic.

use wgmm::backend::gpu::{Device, Gpu, Options, Selection};
use wgmm::backend::{Backend, BackendError};
use wgmm::mixture::CovarianceType;

use crate::data::{components, device, open, samples};

#[test]
fn a_lost_device_is_an_error_and_stays_one() {
    for (d, k) in [(2, 4), (10, 7)] {
        let device = open(Options::default());
        let (samples, map) = samples(1000, d, false);
        let mut gpu = Gpu::load(&device, &samples, &map).expect("upload");
        let model = components(d, k, CovarianceType::Full);
        gpu.statistics(&[(&model).into()]).expect("statistics");
        device.destroy();
        for _ in 0..2 {
            let error = gpu.statistics(&[(&model).into()]).expect_err("lost");
            assert!(matches!(error, BackendError::Lost { .. }), "{error}");
        }
        let error = gpu
            .responsibilities(&model, 0..1, &mut [0.0], &mut vec![0.0; k])
            .expect_err("lost");
        assert!(matches!(error, BackendError::Lost { .. }), "{error}");
        let error = Gpu::load(&device, &samples, &map).expect_err("lost");
        assert!(matches!(error, BackendError::Lost { .. }), "{error}");
    }
}

#[test]
fn no_adapter_of_that_name_is_an_error() {
    let wanted = Selection::Named("no such adapter".to_owned());
    let error = Device::open(&wanted, Options::default()).expect_err("no adapter");
    assert!(
        error.to_string().contains("called \"no such adapter\""),
        "{error}"
    );
}

#[test]
fn samples_too_wide_for_a_binding_are_an_error() {
    let tight = open(Options {
        max_binding_bytes: Some(1000),
        ..Options::default()
    });
    let (samples, map) = samples(1000, 2, false);
    let error = Gpu::load(&tight, &samples, &map).expect_err("too wide");
    assert!(
        matches!(error, BackendError::TooLarge { n_features: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_backend_may_move_between_threads() {
    let (samples, map) = samples(300, 2, false);
    let model = components(2, 4, CovarianceType::Full);
    let mut gpu = Gpu::load(device(), &samples, &map).expect("upload");
    let here = gpu.statistics(&[(&model).into()]).expect("statistics");
    let there = std::thread::scope(|scope| {
        let there = scope.spawn(|| gpu.statistics(&[(&model).into()]));
        there.join().expect("no panic").expect("statistics")
    });
    assert_eq!(here, there);
}
