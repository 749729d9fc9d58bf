//! Where each version of the header has what.
//!
//! ```text
//! 1             0 magic | 4 version | 8 path[256] | 264 mtime | 268 size | 276 sector | 280
//! 2             0 magic | 4 version | 8 path[4096] | 4104 mtime | 4108 size | 4116 sector | 4120
//! 3             0 magic | 4 version | 8 mtime | 12 size | 20 sector | 24 alignment | 28 format | 32 path[4096] | 4128
//! 3 (unpacked)  0 magic | 4 version | 8 mtime | 16 size | 24 sector | 28 alignment | 32 format | 36 path[4096] | 4136
//! ```
//! The size has 8 bytes, every other number 4. Version 1 has the byte order of the machine that wrote it, the others are
//! big endian. What 64-bit builds wrote until December 2005 lacks `__attribute__((packed))`: four bytes more after the
//! mtime, and four that fill up the end. It is known by its format, which is 0 and stands where the path of a packed one
//! begins. Source: `struct cow_header_v1` to `cow_header_v3_broken` in the kernel's arch/um/drivers/cow_user.c.

use core::{fmt, ops::Range};

/// Bytes that hold the header of any version.
pub const HEAD: usize = 4136;

/// The first four bytes, as a number in the byte order of the writer.
pub(super) const MAGIC: u32 = 0x4f4f_4f4d;

/// The order of the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant first.
    Little,
    /// Most significant first.
    Big,
}

impl ByteOrder {
    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    pub(super) const fn bytes(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// Which header it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Of the first kernels; in the byte order of its writer.
    V1(ByteOrder),
    /// With room for a longer path.
    V2,
    /// What is written today.
    V3,
    /// Of 64-bit builds until 2005.
    V3Unpacked,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1(ByteOrder::Little) => "1 (little endian)",
            Self::V1(ByteOrder::Big) => "1 (big endian)",
            Self::V2 => "2",
            Self::V3 => "3",
            Self::V3Unpacked => "3 (unpacked)",
        })
    }
}

/// Offsets of the fields of one version.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) order: ByteOrder,
    pub(super) modified: usize,
    pub(super) size: usize,
    pub(super) sector: usize,
    /// Of the alignment, which the format follows; older versions have neither.
    pub(super) alignment: Option<usize>,
    pub(super) path: Range<usize>,
    /// Bytes of the whole.
    pub(super) end: usize,
}

impl Version {
    pub(super) const fn layout(self) -> Layout {
        match self {
            Self::V1(order) => Layout {
                order,
                modified: 264,
                size: 268,
                sector: 276,
                alignment: None,
                path: 8..264,
                end: 280,
            },
            Self::V2 => Layout {
                order: ByteOrder::Big,
                modified: 4104,
                size: 4108,
                sector: 4116,
                alignment: None,
                path: 8..4104,
                end: 4120,
            },
            Self::V3 => Layout {
                order: ByteOrder::Big,
                modified: 8,
                size: 12,
                sector: 20,
                alignment: Some(24),
                path: 32..4128,
                end: 4128,
            },
            Self::V3Unpacked => Layout {
                order: ByteOrder::Big,
                modified: 8,
                size: 16,
                sector: 24,
                alignment: Some(28),
                path: 36..4132,
                end: 4136,
            },
        }
    }
}
