//! Why there is no table.

use core::fmt;

/// Why there is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A piece of the disk is too short.
    Short {
        /// Bytes that it has.
        found: usize,
        /// Bytes that it needs.
        wanted: u64,
    },
    /// No header stands here.
    NotTable,
    /// A field of the header that is not as the specification fixes it.
    Field {
        /// Its name.
        field: &'static str,
        /// What it says.
        found: u64,
    },
    /// The checksum of the header is another.
    HeaderSum,
    /// The checksum of the entries is another.
    EntriesSum,
    /// A partition is not in the usable blocks, or ends before it begins.
    Outside {
        /// Its number.
        number: u32,
    },
    /// Two partitions share a block.
    Overlap(u32, u32),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Short { found, wanted } => {
                write!(f, "partition table: {wanted} bytes were wanted; there are {found}")
            }
            Self::NotTable => f.write_str("there is no partition table"),
            Self::Field { field, found } => {
                write!(f, "partition table: {field} cannot be {found}")
            }
            Self::HeaderSum => f.write_str("partition table: the checksum of its header is wrong"),
            Self::EntriesSum => {
                f.write_str("partition table: the checksum of its entries is wrong")
            }
            Self::Outside { number } => {
                write!(f, "partition {number} is not inside the usable blocks")
            }
            Self::Overlap(a, b) => write!(f, "partitions {a} and {b} overlap"),
        }
    }
}

impl core::error::Error for Problem {}
