//! A header as it was seen, and the table that it says.

use super::{
    ENTRY, MAX_ENTRIES, Problem, Table,
    field::{guid_at, u32_at, u64_at},
    sum::sum,
};
use crate::{guid::Guid, units::LogicalBlock};
use core::ops::Range;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
/// Bytes of a header.
const HEADER: usize = 92;
/// The largest entry that is read.
const MAX_ENTRY: u32 = 4096;

/// A header whose checksum is right; where its entries are is not yet known to be true of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(super) block: LogicalBlock,
    pub(super) disk: Guid,
    other: u64,
    first_usable: u64,
    pub(super) last_usable: u64,
    entries: (u64, u64),
    pub(super) entry: usize,
    crc: u32,
}

impl Seen {
    /// Reads the header in block `at` of a disk with blocks of `block`; `bytes` begin with it.
    ///
    /// # Errors
    /// There is no header, or its checksum or a field that can be judged alone is wrong.
    pub fn parse(bytes: &[u8], block: LogicalBlock, at: u64) -> Result<Self, Problem> {
        let header: &[u8; HEADER] = bytes
            .first_chunk()
            .ok_or(Problem::Short { found: bytes.len(), wanted: HEADER as u64 })?;
        if !header.starts_with(SIGNATURE) {
            return Err(Problem::NotTable);
        }
        let field = |field, found: u64, right: bool| match right {
            true => Ok(found),
            false => Err(Problem::Field { field, found }),
        };
        let (revision, size) = (u32_at(header, 8), u32_at(header, 12));
        field("revision", revision.into(), revision == REVISION)?;
        let fits = size as usize >= HEADER && u64::from(size) <= block.bytes();
        field("size of the header", size.into(), fits)?;
        let short = Problem::Short { found: bytes.len(), wanted: size.into() };
        let whole = bytes.get(..size as usize).ok_or(short)?;
        if sum([&whole[..16], &[0; 4], &whole[20..]]) != u32_at(header, 16) {
            return Err(Problem::HeaderSum);
        }
        let own = u64_at(header, 24);
        field("own block", own, own == at)?;
        let (first_usable, last_usable) = (u64_at(header, 40), u64_at(header, 48));
        // Their bytes fit into 63 bits, as all that the kernel counts.
        let countable = |blocks: u64| blocks < (1 << 63) / block.bytes();
        field("last usable block", last_usable, countable(last_usable))?;
        field("first usable block", first_usable, countable(first_usable))?;
        let (count, entry) = (u32_at(header, 80), u32_at(header, 84));
        let is_entry = entry.is_power_of_two() && (ENTRY as u32..=MAX_ENTRY).contains(&entry);
        field("size of an entry", entry.into(), is_entry)?;
        let length = u64::from(count) * u64::from(entry);
        field("number of entries", count.into(), length <= MAX_ENTRIES.0)?;
        let entries = u64_at(header, 72);
        let ends = |start: u64| start * block.bytes() + length < 1 << 63;
        field("block of the entries", entries, countable(entries) && ends(entries))?;
        Ok(Self {
            block,
            disk: guid_at(header, 56),
            other: u64_at(header, 32),
            first_usable,
            last_usable,
            entries: (entries * block.bytes(), length),
            entry: entry as usize,
            crc: u32_at(header, 88),
        })
    }

    /// Finds the primary header of a disk that begins with `head`: where it stands tells the size of a block.
    ///
    /// # Errors
    /// As [`Seen::parse`], for the first that is there.
    pub fn primary(head: &[u8]) -> Result<Self, Problem> {
        let mut none = Problem::NotTable;
        for block in [LogicalBlock::B512, LogicalBlock::B4096] {
            let header = head.get(block.bytes() as usize..).unwrap_or_default();
            match Self::parse(header, block, 1) {
                Err(problem @ (Problem::NotTable | Problem::Short { .. })) => none = problem,
                seen => return seen,
            }
        }
        Err(none)
    }

    /// Returns which bytes of the disk the entries are, at most [`MAX_ENTRIES`].
    #[must_use]
    pub const fn entries(&self) -> Range<u64> {
        let (start, length) = self.entries;
        start..start + length
    }

    /// Returns the block in which the other header is said to be.
    #[must_use]
    pub const fn other(&self) -> u64 {
        self.other
    }

    /// Returns the table, whose entries begin `bytes`.
    ///
    /// # Errors
    /// There are too few bytes, their checksum is wrong, or partitions lie outside of the usable blocks or overlap.
    pub fn believe(self, bytes: &[u8]) -> Result<Table<'_>, Problem> {
        let (_, length) = self.entries;
        let short = Problem::Short { found: bytes.len(), wanted: length };
        let entries = bytes.get(..length as usize).ok_or(short)?;
        if sum([entries]) != self.crc {
            return Err(Problem::EntriesSum);
        }
        let table = Table { seen: self, entries };
        for entry in table.entries() {
            let usable = self.first_usable..=self.last_usable;
            let is_inside = usable.contains(&entry.first) && usable.contains(&entry.last);
            if !is_inside || entry.first > entry.last {
                return Err(Problem::Outside { number: entry.number });
            }
            let before = table.entries().take_while(|other| other.number < entry.number);
            for other in before {
                if entry.first <= other.last && other.first <= entry.last {
                    return Err(Problem::Overlap(other.number, entry.number));
                }
            }
        }
        Ok(table)
    }
}
