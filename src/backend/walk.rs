//! Plain EM steps that a device takes by itself.

use super::{Components, MaskedModel, Statistics};

/// A model to be evaluated where some steps of plain EM have taken it: maximum likelihood, no repairs.
///
/// A device that takes none evaluates it where it is.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// Where it begins.
    pub model: MaskedModel<'a>,
    /// The most steps that are wanted.
    pub most: usize,
    /// When to stop before.
    pub watch: Watch,
}

impl<'a> Walk<'a> {
    /// No step: the model is evaluated where it is.
    pub fn none(model: MaskedModel<'a>) -> Self {
        Self {
            model,
            most: 0,
            watch: Watch::default(),
        }
    }
}

/// When steps have converged: with q a step's squared length and ρ² its ratio to the last one's, once ½ q/(1 − ρ)
/// was below `tol` `times` running. The device asks the question in its own precision; the caller asks again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Watch {
    /// Nats per unit of weight; 0 never stops.
    pub tol: f64,
    /// Shorter steps are rounding alone and count as below.
    pub negligible: f64,
    /// How often running is enough.
    pub times: usize,
    /// How often it was below so far.
    pub below: usize,
    /// The last step's squared length.
    pub last: Option<f64>,
}

/// One EM step that a device took.
#[derive(Clone, Debug, PartialEq)]
pub struct EmStep {
    /// Mean log-likelihood of the parameters before, nats, standardised units.
    pub mean_log_likelihood: f64,
    /// The step's squared length, nats.
    pub squared_length: f64,
    /// The parameters after it, with factors in the device's precision.
    pub components: Components,
}

/// A model after its steps.
#[derive(Clone, Debug)]
pub struct Walked {
    /// The steps in their order.
    pub steps: Vec<EmStep>,
    /// Whether the device stopped because the next step is the caller's to judge. It may also take fewer than were asked for
    /// because from there on it sums in another way: then it is ready for more.
    pub stopped: bool,
    /// Statistics where they led; `None` if that must be evaluated anew.
    pub statistics: Option<Statistics>,
}
