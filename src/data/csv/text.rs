//! Where the text of a table lies: in a file that is read piece by piece, or in memory.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use crate::data::part::read_exact_at;

/// Text of which any part can be had at any time, by several threads at once.
#[derive(Debug)]
pub(super) enum Text {
    /// A file and its length.
    File(File, usize),
    /// What can be read only once.
    Memory(Vec<u8>),
}

impl Text {
    /// Opens a file. What is no plain file (a pipe, say) is read to its end.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        match usize::try_from(metadata.len()) {
            Ok(len) if metadata.is_file() && len > 0 => Ok(Self::File(file, len)),
            Err(_) => Err(io::ErrorKind::OutOfMemory.into()),
            _ => Self::read(&mut file),
        }
    }

    /// Reads to the end.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        Ok(Self::Memory(bytes))
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::File(_, len) => *len,
            Self::Memory(bytes) => bytes.len(),
        }
    }

    /// These bytes, by way of `room` where they are not in memory.
    pub(super) fn bytes<'a>(
        &'a self,
        part: Range<usize>,
        room: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        match self {
            Self::Memory(bytes) => Ok(&bytes[part]),
            Self::File(file, _) => {
                room.resize(part.len(), 0);
                read_exact_at(file, room, part.start as u64).map_err(|error| {
                    match error.kind() {
                        io::ErrorKind::UnexpectedEof => changed(),
                        _ => error,
                    }
                })?;
                Ok(room)
            }
        }
    }

    /// Reads on from a byte, one part after the other.
    pub(super) fn reader(&self, start: usize) -> Reader<'_> {
        Reader { text: self, start }
    }
}

/// The text did not stay as it was.
pub(super) fn changed() -> io::Error {
    io::Error::other("it changed while it was read")
}

/// See [`Text::reader`].
pub(super) struct Reader<'a> {
    text: &'a Text,
    start: usize,
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let part = self.start..self.text.len().min(self.start + bytes.len());
        let mut room = Vec::new();
        let read = self.text.bytes(part, &mut room)?;
        bytes[..read.len()].copy_from_slice(read);
        self.start += read.len();
        Ok(read.len())
    }
}
