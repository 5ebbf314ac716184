//! The numbers of an NPY file, in the type they are kept in: read by all threads, straight to where they stay.

use std::fs::File;
use std::io;

use bytemuck::{Pod, cast_slice_mut};
use npyz::{Endianness, TypeChar, TypeStr};
use rayon::prelude::*;

use crate::data::part::read_exact_at;

/// Bytes that a thread reads at a time: few enough for its cache.
const BYTES_A_BLOCK: usize = 1 << 20;
/// Rows that are turned from columns at a time, so that what is written stays in the cache.
pub(super) const ROWS_TURNED: usize = 4096;

/// A real type and its byte order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind {
    class: Class,
    bytes: usize,
    /// Whether the bytes of a number are the other way round than on this machine.
    swapped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Float,
    Signed,
    Unsigned,
}

impl Kind {
    /// The kind of a type, if it is one that is read: f4, f8, i1 to i8, u1 to u8.
    pub(super) fn of(dtype: &TypeStr) -> Option<Self> {
        let bytes = usize::try_from(dtype.size_field()).ok()?;
        let class = match (dtype.type_char(), bytes) {
            (TypeChar::Float, 4 | 8) => Class::Float,
            (TypeChar::Int, 1 | 2 | 4 | 8) => Class::Signed,
            (TypeChar::Uint, 1 | 2 | 4 | 8) => Class::Unsigned,
            _ => return None,
        };
        let other = match Endianness::of_machine() {
            Endianness::Little => Endianness::Big,
            _ => Endianness::Little,
        };
        Some(Self {
            class,
            bytes,
            swapped: bytes > 1 && dtype.endianness() == other,
        })
    }

    /// Bytes of one number.
    pub(super) fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether it is kept in single precision.
    pub(super) fn is_single(self) -> bool {
        self.class == Class::Float && self.bytes == size_of::<f32>()
    }
}

/// A type that numbers are kept in: f4 as they are, all others as f64 (integers beyond 2⁵³ are rounded).
pub(super) trait Kept: Pod + Send + Sync {
    fn swap_bytes(self) -> Self;
    /// Converts integers; floating-point numbers are kept as they lie in the file.
    fn convert(kind: Kind, bytes: &[u8], numbers: &mut [Self]);
}

impl Kept for f32 {
    fn swap_bytes(self) -> Self {
        f32::from_bits(self.to_bits().swap_bytes())
    }

    fn convert(_: Kind, _: &[u8], _: &mut [Self]) {}
}

impl Kept for f64 {
    fn swap_bytes(self) -> Self {
        f64::from_bits(self.to_bits().swap_bytes())
    }

    fn convert(kind: Kind, bytes: &[u8], numbers: &mut [Self]) {
        macro_rules! from {
            ($type:ty) => {
                for (to, from) in numbers.iter_mut().zip(bytes.as_chunks().0) {
                    let x = <$type>::from_ne_bytes(*from);
                    *to = if kind.swapped { x.swap_bytes() } else { x } as f64;
                }
            };
        }
        match (kind.class, kind.bytes) {
            (Class::Float, _) => {}
            (Class::Signed, 1) => from!(i8),
            (Class::Signed, 2) => from!(i16),
            (Class::Signed, 4) => from!(i32),
            (Class::Signed, _) => from!(i64),
            (Class::Unsigned, 1) => from!(u8),
            (Class::Unsigned, 2) => from!(u16),
            (Class::Unsigned, 4) => from!(u32),
            (Class::Unsigned, _) => from!(u64),
        }
    }
}

/// Where the numbers of a table lie in a file.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) file: File,
    /// The byte of the first.
    pub(super) start: u64,
    pub(super) n: usize,
    pub(super) d: usize,
    pub(super) columns_first: bool,
    pub(super) kind: Kind,
}

/// What one thread needs besides the values themselves.
struct Room<T> {
    numbers: Vec<T>,
    bytes: Vec<u8>,
}

impl Stored {
    /// Reads these columns, row-major.
    pub(super) fn read<T: Kept>(&self, columns: &[usize]) -> io::Result<Vec<T>> {
        let width = columns.len();
        let whole = !self.columns_first && columns.iter().copied().eq(0..self.d);
        let rows = match self.columns_first {
            true => ROWS_TURNED,
            false => (BYTES_A_BLOCK / (self.d * self.kind.bytes)).max(1),
        };
        let mut values = vec![T::zeroed(); self.n * width];
        values
            .par_chunks_mut(rows * width)
            .enumerate()
            .try_for_each_init(
                || Room {
                    numbers: Vec::new(),
                    bytes: Vec::new(),
                },
                |room, (block, values)| {
                    let first = block * rows;
                    if whole {
                        return self.numbers(first * self.d, values, &mut room.bytes);
                    }
                    match self.columns_first {
                        true => self.turn(first, columns, values, room),
                        false => self.pick(first, columns, values, room),
                    }
                },
            )?;
        Ok(values)
    }

    /// Reads some columns of rows that lie by rows.
    fn pick<T: Kept>(
        &self,
        first: usize,
        columns: &[usize],
        values: &mut [T],
        room: &mut Room<T>,
    ) -> io::Result<()> {
        let rows = values.chunks_exact_mut(columns.len());
        room.numbers.resize(rows.len() * self.d, T::zeroed());
        self.numbers(first * self.d, &mut room.numbers, &mut room.bytes)?;
        for (to, from) in rows.zip(room.numbers.chunks_exact(self.d)) {
            for (x, &column) in to.iter_mut().zip(columns) {
                *x = from[column];
            }
        }
        Ok(())
    }

    /// Reads some columns of rows that lie by columns.
    fn turn<T: Kept>(
        &self,
        first: usize,
        columns: &[usize],
        values: &mut [T],
        room: &mut Room<T>,
    ) -> io::Result<()> {
        let width = columns.len();
        room.numbers.resize(values.len() / width, T::zeroed());
        for (slot, column) in columns.iter().enumerate() {
            self.numbers(column * self.n + first, &mut room.numbers, &mut room.bytes)?;
            for (row, x) in values.chunks_exact_mut(width).zip(&room.numbers) {
                row[slot] = *x;
            }
        }
        Ok(())
    }

    /// Reads numbers as they follow each other in the file, from number `first` on.
    fn numbers<T: Kept>(
        &self,
        first: usize,
        numbers: &mut [T],
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        let start = self.start + (first * self.kind.bytes) as u64;
        if self.kind.class == Class::Float {
            read_exact_at(&self.file, cast_slice_mut(numbers), start)?;
            if self.kind.swapped {
                numbers.iter_mut().for_each(|x| *x = x.swap_bytes());
            }
            return Ok(());
        }
        bytes.resize(numbers.len() * self.kind.bytes, 0);
        read_exact_at(&self.file, bytes, start)?;
        T::convert(self.kind, bytes, numbers);
        Ok(())
    }
}
