//! Fits that do not fail: whatever the data, a fit is a valid mixture or an error of one sentence, on every
//! device and for every covariance type. Never a panic, a NaN or a fit without end.

mod corpus;
mod properties;
mod valid;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use wgmm::backend::gpu::Selection;
use wgmm::data::{Samples, Standardisation};
use wgmm::em::{DeviceChoice, Fit, FitError, Init, Options, PrecisionChoice, fit};

use crate::backends::device;
use crate::reference_vs_textbook::TYPES;
use corpus::{Expected, Hard, corpus};

/// Far more than any of these fits takes.
const TIME: Duration = Duration::from_secs(120);
/// The precision gate: above this κ, or this standardised magnitude, single precision may be refused.
const GATE_KAPPA: f64 = 32_768.0;
const GATE_LARGEST: f64 = 1_048_576.0;

/// A device and the precision it is asked for.
type Way = (DeviceChoice, PrecisionChoice);

/// A fit on a thread of its own, so that one without end is a failure.
fn attempt(samples: &Samples, options: &Options) -> Result<Fit, FitError> {
    let (sender, receiver) = mpsc::channel();
    let (samples, options) = (samples.clone(), options.clone());
    thread::spawn(move || {
        // After the time is up nobody listens.
        sender.send(fit(&samples, &options)).ok();
    });
    match receiver.recv_timeout(TIME) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the fit panicked"),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end after {TIME:?}"),
    }
}

/// The message is one sentence that holds no number that is none.
fn is_sentence(message: &str) -> bool {
    !message.is_empty() && !message.contains('\n') && !message.contains("NaN")
}

/// Whether single precision was asked for and really cannot hold these samples or a mixture of them.
fn is_beyond_single(error: &FitError, samples: &Samples, options: &Options) -> bool {
    let single =
        options.precision == PrecisionChoice::F32 || matches!(options.device, DeviceChoice::Gpu(_));
    match error {
        FitError::BeyondSingle { kappa } => {
            let map = Standardisation::of(samples, options.covariance_type);
            let largest = map.expect("a fit began").largest();
            single && (*kappa > GATE_KAPPA || largest > GATE_LARGEST)
        }
        _ => false,
    }
}

/// The outcome that the case expects, or why it is another.
fn check(case: &Hard, options: &Options) -> Result<(), String> {
    let outcome = match case.samples() {
        Ok(samples) => attempt(&samples, options).map(|found| (found, samples)),
        Err(error) => Err(error.into()),
    };
    match (outcome, case.expected) {
        (Ok(_), Expected::Error(_)) => Err("a fit where an error is expected".to_owned()),
        (Ok((found, samples)), expected) => {
            // The better of two random starts may be one whose components stay together, which needs no repair.
            let repaired = expected == Expected::Repaired
                && !(options.restarts > 1 && matches!(options.init, Init::Random));
            if repaired && !found.events.iter().any(|e| e.kind.is_repair()) {
                return Err(format!("no repair among {:?}", found.events));
            }
            valid::check(&found, &samples, options)
        }
        (Err(error), _) if !is_sentence(&error.to_string()) => {
            Err(format!("not a sentence: {error}"))
        }
        (Err(error), Expected::Error(sentence)) if error.to_string() == sentence => Ok(()),
        (Err(error), Expected::Error(sentence)) => Err(format!("{error}, where {sentence}")),
        (Err(error), _) => {
            let samples = case.samples().map_err(|e| e.to_string())?;
            match is_beyond_single(&error, &samples, options) {
                true => Ok(()),
                false => Err(format!("refused: {error}")),
            }
        }
    }
}

/// Every case of the corpus, every covariance type and these starts, one way; all failures together.
fn corpus_fits((device, precision): Way, inits: &[Init]) {
    let mut failures = Vec::new();
    for case in corpus() {
        for covariance_type in TYPES {
            for (init, restarts) in inits.iter().flat_map(|init| [(init, 1), (init, 2)]) {
                let options = Options {
                    covariance_type,
                    init: init.clone(),
                    max_iter: 200,
                    device: device.clone(),
                    precision,
                    restarts,
                    ..Options::new(case.k)
                };
                if let Err(why) = check(&case, &options) {
                    let what = format!("{}, K = {}, {covariance_type:?}", case.name, case.k);
                    failures.push(format!("{what}, {restarts} x {init:?}: {why}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{:#?}", failures);
}

const STARTS: [Init; 2] = [Init::KMeansPlusPlus, Init::Random];

#[test]
fn on_the_reference() {
    corpus_fits((DeviceChoice::Reference, PrecisionChoice::Auto), &STARTS);
}

#[test]
fn on_the_cpu_in_double_precision() {
    corpus_fits((DeviceChoice::Cpu, PrecisionChoice::F64), &STARTS);
}

#[test]
fn on_the_cpu_as_it_chooses() {
    corpus_fits((DeviceChoice::Cpu, PrecisionChoice::Auto), &STARTS);
}

#[test]
fn on_the_cpu_in_single_precision() {
    corpus_fits((DeviceChoice::Cpu, PrecisionChoice::F32), &STARTS);
}

#[test]
fn on_the_gpu() {
    device();
    let gpu = DeviceChoice::Gpu(Selection::Best);
    corpus_fits((gpu, PrecisionChoice::Auto), &STARTS[..1]);
}
