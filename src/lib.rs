//! Gaussian mixtures by Expectation Maximization, on any GPU or none.
//!
//! Data flow, and the modules in its order: [`data`] reads and standardises samples, a [`backend`] evaluates them
//! (plain loops, SIMD, or a GPU through wgpu), [`em`] drives the iterations, [`mixture`] is the model that comes out,
//! [`report`] draws it. The library prints nothing; the command `wgmm` is built on it.
//!
//! # Examples
//! ```
//! use wgmm::data::Samples;
//! use wgmm::em::{Options, fit};
//!
//! let x: Vec<f64> = (0..200).map(|i| f64::from(i % 2) * 8.0 + f64::from(i % 13) / 10.0).collect();
//! let fit = fit(&Samples::new(x, 1)?, &Options::new(2))?;
//! let mixture = &fit.mixture;
//! assert!((mixture.mean(0)[0] - mixture.mean(1)[0]).abs() > 7.0);
//! assert!(fit.trace.windows(2).all(|pair| pair[1] >= pair[0] - 1e-12));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

pub mod backend;
pub mod data;
pub mod em;
pub mod mixture;
pub mod report;

/// The README's example, compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
