//! Where samples come from and what is done to them before a fit: readers, writers, standardisation.

mod csv;
mod error;
mod npy;
mod part;
mod samples;
mod standardise;
mod survey;
mod table;
mod write;

pub use error::{DataError, ReadError, ReadProblem, WriteError, WriteProblem};
pub use samples::{Samples, Values};
pub use standardise::Standardisation;
pub use table::{ReadOptions, Table, read};
pub use write::{Numbers, TABLE_ENDINGS, TableWriter, check_writable, write_atomically};
