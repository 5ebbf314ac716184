//! What the crate promises, one module a promise, held against yardsticks that share no code with it.

mod acceleration;
mod backends;
mod cases;
mod command;
mod condition;
mod determinism;
mod driver;
mod hard;
mod interruptions;
mod mclust;
mod monotone;
mod recovery;
mod reference_vs_textbook;
mod rules;
mod scikit_learn;
mod selection;
mod textbook;
mod util;
