//! The numbers of an NPY file, in the type they are kept in.

use std::io::{self, Read};

use bytemuck::{Pod, cast_slice_mut};
use npyz::{Endianness, TypeChar, TypeStr};

use crate::data::Values;

/// Bytes of integers converted at a time; a multiple of every size.
const BUFFER_BYTES: usize = 1 << 16;

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
}

/// Reads `len` numbers: f4 as they are, all others as f64 (integers beyond 2⁵³ are rounded).
pub(super) fn read(reader: &mut impl Read, kind: Kind, len: usize) -> io::Result<Values> {
    Ok(match (kind.class, kind.bytes) {
        (Class::Float, 4) => {
            let mut values: Vec<f32> = whole(reader, len)?;
            if kind.swapped {
                for x in &mut values {
                    *x = f32::from_bits(x.to_bits().swap_bytes());
                }
            }
            Values::F32(values)
        }
        (Class::Float, _) => {
            let mut values: Vec<f64> = whole(reader, len)?;
            if kind.swapped {
                for x in &mut values {
                    *x = f64::from_bits(x.to_bits().swap_bytes());
                }
            }
            Values::F64(values)
        }
        _ => Values::F64(integers(reader, kind, len)?),
    })
}

/// Reads numbers as they lie in the file.
fn whole<T: Pod>(reader: &mut impl Read, len: usize) -> io::Result<Vec<T>> {
    let mut values = vec![T::zeroed(); len];
    reader.read_exact(cast_slice_mut(&mut values))?;
    Ok(values)
}

fn integers(reader: &mut impl Read, kind: Kind, len: usize) -> io::Result<Vec<f64>> {
    let mut values = Vec::with_capacity(len);
    let mut buffer = vec![0; BUFFER_BYTES];
    let per_buffer = BUFFER_BYTES / kind.bytes;
    while values.len() < len {
        let count = per_buffer.min(len - values.len());
        let buffer = &mut buffer[..count * kind.bytes];
        reader.read_exact(buffer)?;
        values.extend(buffer.chunks_exact(kind.bytes).map(|b| integer(b, kind)));
    }
    Ok(values)
}

/// One integer, widened to 64 bits.
fn integer(bytes: &[u8], kind: Kind) -> f64 {
    let big_endian = kind.swapped != cfg!(target_endian = "big");
    let push = |whole: u64, byte: &u8| (whole << 8) | u64::from(*byte);
    let whole = match big_endian {
        true => bytes.iter().fold(0, push),
        false => bytes.iter().rev().fold(0, push),
    };
    match kind.class {
        Class::Signed => {
            // The sign bit is moved to the top and back, so that it fills what is above it.
            let above = 64 - 8 * kind.bytes;
            ((whole << above) as i64 >> above) as f64
        }
        _ => whole as f64,
    }
}
