//! The GPU backend against the f64 reference, on whatever adapter there is (CI: lavapipe). A missing adapter
//! fails. `WGMM_FULL=1` runs the full matrix of shapes.

mod bits;
mod data;
mod faults;
mod hardware;
mod kmeans;
mod reference;
mod streaming;
mod walk;
