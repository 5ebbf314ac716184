//! The same bits in the model file from the same seed, binary and device: twice, whatever the number of
//! threads.
//!
//! 100,003 rows are 56 summation blocks and more strands than threads, so that an order of summation that
//! depends on who finishes first shows: in double precision at once. Single precision's partial sums have few
//! enough digits to add up exactly in f64 in any order; there only random starts, summed in f64, can show it.

use rayon::ThreadPoolBuilder;
use wgmm::backend::SummationBlocks;
use wgmm::backend::gpu::Selection;
use wgmm::data::Samples;
use wgmm::em::{DeviceChoice, Init, Options, PrecisionChoice, fit};
use wgmm::mixture::{CovarianceType, FitSummary, ModelFile};

use crate::backends::device;
use crate::cases::ordinary;

fn samples(n: usize) -> Samples {
    ordinary(3, 4, n).samples()
}

/// The model file of a fit in a pool of so many threads.
fn model_file(samples: &Samples, options: &Options, threads: usize) -> String {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("threads can be started");
    let found = pool
        .install(|| fit(samples, options))
        .expect("the samples fit");
    let summary = FitSummary {
        rows: samples.len(),
        mean_log_likelihood: found.mean_log_likelihood,
        iterations: found.iterations,
        converged: found.converged,
        device: found.device.name,
        seed: options.seed,
    };
    assert!(found.iterations > 0);
    ModelFile::new(&found.mixture, Some(summary)).to_json()
}

fn assert_same_bits(device: DeviceChoice, precision: PrecisionChoice) {
    let samples = samples(100_003);
    assert!(SummationBlocks::new(samples.len()).len() > 20);
    for init in [Init::KMeansPlusPlus, Init::Random] {
        let options = Options {
            init,
            covariance_type: CovarianceType::Full,
            max_iter: 8,
            seed: 3,
            device: device.clone(),
            precision,
            ..Options::new(4)
        };
        let first = model_file(&samples, &options, 2);
        for threads in [2, 1, 7] {
            let again = model_file(&samples, &options, threads);
            assert!(
                again == first,
                "{:?} start, {threads} threads:\n{again}\nwhere 2 threads gave\n{first}",
                options.init
            );
        }
        let other = Options { seed: 4, ..options };
        assert_ne!(model_file(&samples, &other, 2), first, "the seed counts");
    }
}

#[test]
fn the_cpu_gives_the_same_bits_in_single_precision() {
    assert_same_bits(DeviceChoice::Cpu, PrecisionChoice::F32);
}

#[test]
fn the_cpu_gives_the_same_bits_in_double_precision() {
    assert_same_bits(DeviceChoice::Cpu, PrecisionChoice::F64);
}

#[test]
fn the_gpu_gives_the_same_bits() {
    device();
    assert_same_bits(DeviceChoice::Gpu(Selection::Best), PrecisionChoice::Auto);
}

#[test]
fn the_reference_gives_the_same_bits() {
    assert_same_bits(DeviceChoice::Reference, PrecisionChoice::Auto);
}
