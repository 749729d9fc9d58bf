//! Why bytes are no header that can be used.

use super::Version;
use crate::units::Bytes;
use core::fmt;

/// What is wrong: what was wanted and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It does not begin with the magic number.
    NotUmlCow,
    /// It ends within the header.
    Short {
        /// Bytes that the header has.
        wanted: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// No such version is known.
    UnknownVersion(u32),
    /// The path is empty.
    NoPath,
    /// The path fills its field and does not end.
    EndlessPath,
    /// Sectors of another size than 512 bytes.
    Sector(u32),
    /// The alignment is neither a page size nor a power of two below it, down to a sector.
    Alignment(u32),
    /// The format is another than the bitmap.
    Format(u32),
    /// A size past what a file can have.
    Size(u64),
    /// A path of a new header has no room.
    LongPath {
        /// Bytes that there is room for.
        room: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// The file is longer than the header says.
    LongFile {
        /// Bytes that it should have at most.
        wanted: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The file is shorter than the header says that it must be.
    ShortFile {
        /// Which header it has.
        version: Version,
        /// Bytes that it should have.
        wanted: u64,
        /// Bytes that it has.
        found: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotUmlCow => f.write_str("is not a COW file of user-mode Linux"),
            Self::Short { wanted, found } => {
                write!(f, "has {found} bytes, and its header alone should have {wanted}")
            }
            Self::UnknownVersion(version) => {
                write!(f, "has version {version} of the format; 1, 2 and 3 are known")
            }
            Self::NoPath => f.write_str("names no backing file"),
            Self::EndlessPath => f.write_str("has a path of its backing file without an end"),
            Self::Sector(found) => {
                write!(f, "has sectors of {found} bytes; user-mode Linux knows 512 alone")
            }
            Self::Alignment(found) => {
                write!(
                    f,
                    "has an alignment of {found}; it should be a power of two from 512 to 65536"
                )
            }
            Self::Format(found) => {
                write!(f, "has format {found}; 0, a bitmap, is the only one that is known")
            }
            Self::Size(found) => {
                write!(f, "is for a device of {found} bytes, past what a file has")
            }
            Self::LongPath { room, found } => {
                write!(f, "has room for a path of {room} bytes, not for one of {found}")
            }
            Self::LongFile { wanted, found } => {
                let (wanted, found) = (Bytes(wanted), Bytes(found));
                write!(f, "is longer than its header says: {found} instead of {wanted}")
            }
            Self::ShortFile { version, wanted, found } => {
                let (wanted, found) = (Bytes(wanted), Bytes(found));
                write!(f, "has {found}, and should have {wanted} by its header (version {version})")
            }
        }
    }
}

impl core::error::Error for Problem {}
