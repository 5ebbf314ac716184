//! Gaussian mixtures by Expectation Maximization, on any GPU or none.
#![forbid(unsafe_code)]

pub mod backend;
pub mod data;
pub mod em;
pub mod mixture;
pub mod report;
