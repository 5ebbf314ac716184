//! Writing a table row by row.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Output, check, ending};
use crate::data::{WriteError, WriteProblem};

/// The endings a table can be written to.
pub const TABLE_ENDINGS: [&str; 3] = ["csv", "tsv", "npy"];

/// Bytes of an NPY header: a multiple of 64, with room for any number of rows.
const NPY_HEADER_BYTES: usize = 128;

/// What the numbers of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Any numbers: shortest text that reads back as the same, or f8. A row left empty is NaN in NPY.
    Real,
    /// Whole numbers (labels, counts; exact up to 2⁵³): text without a point, or i8. A row left empty is −1
    /// in NPY.
    Whole,
}

/// Writes a table row by row, to `.csv`, `.tsv`, `.npy`, or as CSV to standard output (`-`).
///
/// A file appears under its name when [`finish`](Self::finish) is called; without that nothing is left behind.
/// NPY files have shape N × D, or N for a table of one column, and no header.
///
/// # Examples
/// ```
/// use wgmm::data::{Numbers, TableWriter};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("labels.csv");
/// let mut table = TableWriter::create(&path, &["label"], Numbers::Whole)?;
/// table.row(&[2.0])?;
/// table.empty_row()?;
/// table.finish()?;
/// assert_eq!(std::fs::read_to_string(&path)?, "label\n2\n\"\"\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TableWriter {
    path: PathBuf,
    sink: Sink,
    format: Format,
    numbers: Numbers,
    columns: usize,
    rows: u64,
}

#[derive(Debug)]
enum Sink {
    File(BufWriter<Output>),
    Stdout(BufWriter<io::Stdout>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Text { delimiter: u8 },
    Npy,
}

impl TableWriter {
    /// Starts a table with these column names (D of them, at least one).
    ///
    /// # Errors
    /// As [`check_writable`](super::check_writable) with [`TABLE_ENDINGS`].
    pub fn create(path: &Path, header: &[&str], numbers: Numbers) -> Result<Self, WriteError> {
        Self::start(path, header, numbers).map_err(|problem| WriteError::new(path, problem))
    }

    fn start(path: &Path, header: &[&str], numbers: Numbers) -> Result<Self, WriteProblem> {
        check(path, &TABLE_ENDINGS)?;
        let format = match ending(path).as_str() {
            "npy" => Format::Npy,
            "tsv" => Format::Text { delimiter: b'\t' },
            _ => Format::Text { delimiter: b',' },
        };
        let sink = match path.as_os_str() == "-" {
            true => Sink::Stdout(BufWriter::new(io::stdout())),
            false => Sink::File(BufWriter::new(Output::create(path)?)),
        };
        let mut table = Self {
            path: path.to_owned(),
            sink,
            format,
            numbers,
            columns: header.len(),
            rows: 0,
        };
        match format {
            Format::Npy => table.write_npy_header()?,
            Format::Text { delimiter } => {
                for (i, name) in header.iter().enumerate() {
                    if i > 0 {
                        table.sink().write_all(&[delimiter])?;
                    }
                    table.sink().write_all(quoted(name, delimiter).as_bytes())?;
                }
                table.sink().write_all(b"\n")?;
            }
        }
        Ok(table)
    }

    /// Writes a row of D numbers. NaN is an empty field in text.
    ///
    /// # Errors
    /// A number of values other than D, or what the system says, a full disk for one.
    pub fn row(&mut self, row: &[f64]) -> Result<(), WriteError> {
        self.write_row(row)
            .map_err(|problem| WriteError::new(&self.path, problem))
    }

    /// Writes a row of D empty fields: an input row that was skipped.
    ///
    /// # Errors
    /// What the system says, a full disk for one.
    pub fn empty_row(&mut self) -> Result<(), WriteError> {
        self.row(&vec![f64::NAN; self.columns])
    }

    /// Ends the table and gives the file its name.
    ///
    /// # Errors
    /// What the system says, a full disk for one; then nothing is left behind.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let path = std::mem::take(&mut self.path);
        self.end()
            .map_err(|problem| WriteError::new(&path, problem))
    }

    fn sink(&mut self) -> &mut dyn Write {
        match &mut self.sink {
            Sink::File(file) => file,
            Sink::Stdout(stdout) => stdout,
        }
    }

    fn write_row(&mut self, row: &[f64]) -> Result<(), WriteProblem> {
        if row.len() != self.columns {
            return Err(WriteProblem::RowLength {
                found: row.len(),
                expected: self.columns,
            });
        }
        self.rows += 1;
        let (numbers, format) = (self.numbers, self.format);
        let sink = self.sink();
        match format {
            Format::Npy => {
                for &x in row {
                    sink.write_all(&npy_bytes(x, numbers))?;
                }
            }
            // A line with nothing on it would be no row to a reader.
            Format::Text { .. } if row.len() == 1 && row[0].is_nan() => {
                sink.write_all(b"\"\"\n")?
            }
            Format::Text { delimiter } => {
                for (i, &x) in row.iter().enumerate() {
                    if i > 0 {
                        sink.write_all(&[delimiter])?;
                    }
                    write_text(sink, x, numbers)?;
                }
                sink.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), WriteProblem> {
        if self.format == Format::Npy {
            // Only now is the number of rows known.
            self.sink().flush()?;
            if let Sink::File(file) = &mut self.sink {
                file.get_mut().file().seek(SeekFrom::Start(0))?;
            }
            self.write_npy_header()?;
        }
        self.sink().flush()?;
        match self.sink {
            Sink::File(file) => file.into_inner().map_err(|e| e.into_error())?.keep(),
            Sink::Stdout(_) => Ok(()),
        }
    }

    fn write_npy_header(&mut self) -> Result<(), WriteProblem> {
        let dtype = match self.numbers {
            Numbers::Real => "<f8",
            Numbers::Whole => "<i8",
        };
        let shape = match self.columns {
            1 => format!("({},)", self.rows),
            d => format!("({}, {d})", self.rows),
        };
        let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
        let room = NPY_HEADER_BYTES - 10;
        let sink = self.sink();
        sink.write_all(b"\x93NUMPY\x01\x00")?;
        sink.write_all(&(room as u16).to_le_bytes())?;
        writeln!(sink, "{text:<width$}", width = room - 1)?;
        Ok(())
    }
}

fn npy_bytes(x: f64, numbers: Numbers) -> [u8; 8] {
    match numbers {
        Numbers::Real => x.to_le_bytes(),
        Numbers::Whole if x.is_nan() => (-1i64).to_le_bytes(),
        Numbers::Whole => (x as i64).to_le_bytes(),
    }
}

fn write_text(sink: &mut dyn Write, x: f64, numbers: Numbers) -> io::Result<()> {
    match numbers {
        _ if x.is_nan() => Ok(()),
        Numbers::Whole => write!(sink, "{}", x as i64),
        // `{}` of a whole number has no point, `{:?}` of a very large or small one has an exponent.
        Numbers::Real if x.fract() == 0.0 && x.abs() < 1e16 => write!(sink, "{x}"),
        Numbers::Real => write!(sink, "{x:?}"),
    }
}

/// A name as a field of text.
fn quoted(name: &str, delimiter: u8) -> String {
    let special = |c: char| matches!(c, '"' | '\n' | '\r') || c == char::from(delimiter);
    match name.is_empty() || name.contains(special) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    }
}
