//! What happened during a fit that a user should know of.

use serde::Serialize;

/// Something other than a plain iteration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// The iteration whose parameters it touched (0: the start).
    pub iteration: usize,
    /// The component, if one is meant.
    pub component: Option<usize>,
    /// What was done.
    #[serde(rename = "event")]
    pub kind: EventKind,
    /// Why, in words.
    pub reason: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A covariance's smallest eigenvalues were raised to the floor.
    Floored,
    /// A component was started anew on rows that no component explains well.
    Reseeded,
    /// A component that cannot be updated stays as it is.
    Kept,
    /// The fit ended with a covariance at the floor that was never raised to it.
    AtFloor,
    /// The fit went on in double precision.
    Precision,
    /// The fit went on on another device.
    Device,
}

impl EventKind {
    /// Whether the log-likelihood may fall at such an event.
    pub fn is_repair(self) -> bool {
        matches!(self, EventKind::Floored | EventKind::Reseeded)
    }
}
