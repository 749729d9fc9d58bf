//! Why a store, or an exception of it, is not believed.

use super::{MAGIC, MAX_CHUNK, VERSION};
use crate::units::Bytes;
use core::fmt;

/// Why a store, or an exception of it, is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Fewer bytes than a header has.
    Short {
        /// How many.
        found: usize,
    },
    /// Another magic.
    NotStore {
        /// Which.
        found: u32,
    },
    /// A magic of 0: there is no store yet, so nothing can be read of it.
    Empty,
    /// Another version.
    Version {
        /// Which.
        found: u32,
    },
    /// A chunk size that no kernel takes.
    ChunkSize {
        /// In sectors.
        found: u32,
    },
    /// Marked invalid by the kernel.
    Invalid,
    /// The store ends before its first metadata does.
    Truncated {
        /// What the store has.
        found: Bytes,
        /// What header and metadata need.
        wanted: Bytes,
    },
    /// An old chunk that the origin does not have.
    OldPastEnd {
        /// The chunk.
        old: u64,
        /// Chunks that the origin has.
        chunks: u64,
    },
    /// A new chunk that the store does not have.
    NewPastEnd {
        /// The chunk.
        new: u64,
        /// Chunks that the store has.
        chunks: u64,
    },
    /// A new chunk that is the header, or metadata.
    NewIsMetadata {
        /// The chunk.
        new: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Short { found } => write!(f, "{found} bytes are too few for an exception store"),
            Self::NotStore { found } => {
                write!(f, "magic of an exception store: wanted {MAGIC:#010x}; found {found:#010x}")
            }
            Self::Empty => f.write_str("the exception store is new and empty"),
            Self::Version { found } => {
                write!(f, "version of the exception store: wanted {VERSION}; found {found}")
            }
            Self::ChunkSize { found } => write!(
                f,
                "chunk of the exception store: wanted a power of two up to {MAX_CHUNK} sectors; found {found} sectors"
            ),
            Self::Invalid => f.write_str(
                "the kernel marked the exception store as invalid: it ran full, or a write to it failed",
            ),
            Self::Truncated { found, wanted } => {
                write!(f, "the exception store is truncated: wanted at least {wanted}; found {found}")
            }
            Self::OldPastEnd { old, chunks } => {
                write!(f, "old chunk {old} is past the end of the origin, which has {chunks} chunks")
            }
            Self::NewPastEnd { new, chunks } => {
                write!(f, "new chunk {new} is past the end of the store, which has {chunks} whole chunks")
            }
            Self::NewIsMetadata { new } => {
                let is = if new == 0 { "the header" } else { "metadata" };
                write!(f, "new chunk {new} is {is} of the store, and not data")
            }
        }
    }
}

impl core::error::Error for Problem {}
