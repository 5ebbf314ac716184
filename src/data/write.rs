//! Writing files whole or not at all: into a temporary file in the same folder that is then renamed.

mod table;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{WriteError, WriteProblem};

pub use table::{Numbers, TABLE_ENDINGS, TableWriter};

/// Writes a file whole; if it fails, the file is as it was before, or not there.
///
/// # Errors
/// As [`check_writable`], or what the system says, a full disk for one.
///
/// # Examples
/// ```
/// use wgmm::data::write_atomically;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.json");
/// write_atomically(&path, b"{}")?;
/// assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let write = || {
        let mut output = Output::create(path)?;
        output.write_all(bytes)?;
        output.keep()
    };
    write().map_err(|problem: WriteProblem| WriteError::new(path, problem))
}

/// Whether a file can be written, to be asked before a long run. Leaves nothing behind.
///
/// `endings` are those that work (`"csv"`, in lower case); none: every path. `-` is standard output, which
/// can always be written.
///
/// # Errors
/// An ending not among them, a folder that is not there or takes no files, a path that is a folder, a file
/// that may not be changed.
pub fn check_writable(path: &Path, endings: &[&str]) -> Result<(), WriteError> {
    check(path, endings).map_err(|problem| WriteError::new(path, problem))
}

fn check(path: &Path, endings: &[&str]) -> Result<(), WriteProblem> {
    if path.as_os_str() == "-" {
        return Ok(());
    }
    let target = Target::of(path)?;
    if !endings.is_empty() && !endings.contains(&ending(path).as_str()) {
        return Err(WriteProblem::UnknownEnding {
            endings: endings.iter().map(|e| format!(".{e}")).collect(),
        });
    }
    // A pipe is not opened twice: whoever reads it would see its end.
    if target.exists && !target.special {
        OpenOptions::new()
            .write(true)
            .open(&target.path)
            .map_err(WriteProblem::Unwritable)?;
    }
    if !target.special {
        target.temporary()?;
    }
    Ok(())
}

/// The ending of a path, in lower case and without its dot.
fn ending(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_ascii_lowercase()
}

impl From<io::Error> for WriteProblem {
    fn from(error: io::Error) -> Self {
        WriteProblem::Unwritable(error)
    }
}

/// Where a path leads.
#[derive(Debug)]
struct Target {
    /// The path, with links to a file followed.
    path: PathBuf,
    folder: PathBuf,
    exists: bool,
    /// Not a file but a device or a pipe, which cannot be replaced by a rename.
    special: bool,
}

impl Target {
    fn of(path: &Path) -> Result<Self, WriteProblem> {
        let found = fs::metadata(path);
        if found.as_ref().is_ok_and(|m| m.is_dir()) || path.file_name().is_none() {
            return Err(WriteProblem::IsFolder);
        }
        let exists = found.is_ok();
        let special = found.is_ok_and(|m| !m.is_file());
        let path = match exists && !special {
            true => fs::canonicalize(path)?,
            false => path.to_owned(),
        };
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if !folder.is_dir() {
            return Err(WriteProblem::NoFolder {
                folder: folder.display().to_string(),
            });
        }
        Ok(Self {
            path,
            folder,
            exists,
            special,
        })
    }

    /// A new file in the folder that is removed unless it is kept. It has the permissions of the file it will
    /// replace, or those any new file has.
    fn temporary(&self) -> Result<NamedTempFile, WriteProblem> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".wgmm-").suffix(".part");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(&self.folder)?;
        if self.exists {
            let permissions = fs::metadata(&self.path)?.permissions();
            file.as_file().set_permissions(permissions)?;
        }
        Ok(file)
    }
}

/// A file being written.
#[derive(Debug)]
enum Output {
    Temporary { file: NamedTempFile, path: PathBuf },
    Special(File),
}

impl Output {
    fn create(path: &Path) -> Result<Self, WriteProblem> {
        let target = Target::of(path)?;
        if target.special {
            let file = OpenOptions::new().write(true).open(&target.path)?;
            return Ok(Output::Special(file));
        }
        Ok(Output::Temporary {
            file: target.temporary()?,
            path: target.path,
        })
    }

    /// Gives the file its name.
    fn keep(self) -> Result<(), WriteProblem> {
        if let Output::Temporary { file, path } = self {
            file.persist(path).map_err(|error| error.error)?;
        }
        Ok(())
    }

    /// The file itself.
    fn file(&mut self) -> &mut File {
        match self {
            Output::Temporary { file, .. } => file.as_file_mut(),
            Output::Special(file) => file,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

#[cfg(test)]
mod tests;
