//! A table that can be used, and its partitions.

use super::{
    ENTRY, Problem, Seen,
    field::{guid_at, u64_at},
};
use crate::{guid::Guid, units::LogicalBlock};
use core::{fmt, ops::Range};

/// A table that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    pub(super) seen: Seen,
    /// All entries, also those that are not in use.
    pub(super) entries: &'a [u8],
}

/// A partition; positions in logical blocks of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Number of the partition, from 1.
    pub number: u32,
    /// What it is for.
    pub type_guid: Guid,
    /// Its own identifier.
    pub guid: Guid,
    /// First block.
    pub first: u64,
    /// Last block, itself part of the partition; never before the first.
    pub last: u64,
    /// What it is called.
    pub name: Name<'a>,
}

/// The name of a partition, as it stands on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(&'a [[u8; 2]]);

impl<'a> Table<'a> {
    /// Reads the primary table of a disk that begins with `head`: [`HEAD`](super::HEAD) bytes hold the usual one.
    ///
    /// # Errors
    /// There is none for either size of a block, or the first that is there cannot be believed.
    pub fn parse(head: &'a [u8]) -> Result<Self, Problem> {
        let seen = Seen::primary(head)?;
        let range = seen.entries();
        let short = Problem::Short { found: head.len(), wanted: range.end };
        let start = usize::try_from(range.start).map_err(|_| short)?;
        let entries = head.get(start..).filter(|rest| rest.len() as u64 >= range.end - range.start);
        seen.believe(entries.ok_or(short)?)
    }

    /// Returns the logical block of the disk.
    #[must_use]
    pub const fn block(&self) -> LogicalBlock {
        self.seen.block
    }

    /// Returns the identifier of the disk.
    #[must_use]
    pub const fn disk(&self) -> Guid {
        self.seen.disk
    }

    /// Returns the last block that a partition may use.
    #[must_use]
    pub const fn last_usable(&self) -> u64 {
        self.seen.last_usable
    }

    /// Returns the partitions, by number.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.entries.chunks_exact(self.seen.entry).zip(1..).filter_map(|(bytes, number)| {
            let bytes: &'a [u8; ENTRY] = bytes.first_chunk()?;
            Some(Entry::read(bytes, number)).filter(|entry| entry.type_guid.0 != [0; 16])
        })
    }
}

impl<'a> Entry<'a> {
    fn read(bytes: &'a [u8; ENTRY], number: u32) -> Self {
        let units = bytes[56..].as_chunks::<2>().0;
        let end = units.iter().position(|unit| *unit == [0; 2]).unwrap_or(units.len());
        Self {
            number,
            type_guid: guid_at(bytes, 0),
            guid: guid_at(bytes, 16),
            first: u64_at(bytes, 32),
            last: u64_at(bytes, 40),
            name: Name(&units[..end]),
        }
    }

    /// Returns which bytes of the disk the partition is.
    #[must_use]
    pub const fn bytes(&self, block: LogicalBlock) -> Range<u64> {
        let end = self.last.saturating_add(1).saturating_mul(block.bytes());
        self.first.saturating_mul(block.bytes())..end
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let units = self.0.iter().map(|unit| u16::from_le_bytes(*unit));
        let mut text = char::decode_utf16(units);
        text.try_for_each(|c| f.write_char(c.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
