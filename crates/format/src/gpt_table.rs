//! A partition table in memory: the two ends of a disk, as they are to be written.
//!
//! ```text
//! block 0            1           2 ..            2+T            B-1-T ..   B-1
//!       | protective | header    | entries  | …  partitions … | entries  | backup |
//!       | MBR        |           | 128×128 B|                 | (again)  | header |
//! ```
//! T = 16384 bytes / block: 32 blocks of 512, 4 of 4096. Source: UEFI specification, chapter 5. The
//! bytes come from the `gpt` crate. Its own `write()` renumbers entries, does not look for overlaps
//! and draws its identifiers from a random source that can block early in a boot; so its parts are
//! used one by one here, after checks of our own, with identifiers that come from outside.

use crate::{guid::Guid, units::LogicalBlock};
use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt;
use gpt::{
    disk::LogicalBlockSize,
    header::{Header, HeaderBuilder},
    mbr::ProtectiveMBR,
    partition::Partition,
    partition_types::{OperatingSystem, Type},
};
use std::io;

/// Entries in the table, and bytes of one: what every other tool writes.
pub const ENTRIES: u32 = 128;
const ENTRY: u32 = 128;

/// One partition; all positions in logical blocks of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of the partition, from 1.
    pub number: u32,
    /// What it is for.
    pub type_guid: Guid,
    /// Its own identifier.
    pub guid: Guid,
    /// First block.
    pub first: u64,
    /// Last block, itself part of the partition.
    pub last: u64,
    /// Name, at most 36 UTF-16 units.
    pub name: &'static str,
}

/// A whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Identifier of the disk.
    pub disk: Guid,
    /// Logical block of the disk.
    pub block: LogicalBlock,
    /// Size of the disk in logical blocks.
    pub blocks: u64,
    /// The partitions.
    pub entries: Vec<Entry>,
}

/// The bytes of a table: one piece for each end of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// From byte 0: protective MBR, header, entries.
    pub head: Vec<u8>,
    /// Offset of `tail` in bytes.
    pub tail_at: u64,
    /// Entries and backup header, up to the last byte of the disk.
    pub tail: Vec<u8>,
}

/// Why there is no table.
pub enum TableError {
    /// The disk is smaller than the two ends; both in blocks.
    DiskTooSmall {
        /// Blocks that the disk has.
        found: u64,
        /// Blocks that the ends and one block between them need.
        wanted: u64,
    },
    /// The disk has more bytes than 64 bits count.
    DiskTooLarge {
        /// Blocks that the disk has.
        found: u64,
    },
    /// A partition of the type that means "not in use".
    NoType(u32),
    /// A number of 0, past the end of the table, or there twice.
    Number(u32),
    /// A partition that is empty or reaches out of the usable blocks.
    Outside {
        /// Its number.
        number: u32,
        /// First usable block.
        first_usable: u64,
        /// Last usable block.
        last_usable: u64,
    },
    /// Two partitions share a block.
    Overlap(u32, u32),
    /// The `gpt` crate did not take it.
    Gpt(String),
}

/// The text of the error: derived code would be larger than the errors are worth.
impl fmt::Debug for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskTooSmall { found, wanted } => {
                write!(f, "disk has {found} blocks; a partition table needs {wanted}")
            }
            Self::DiskTooLarge { found } => {
                write!(f, "disk has {found} blocks; their bytes do not fit into 64 bits")
            }
            Self::NoType(n) => {
                write!(f, "partition {n} has the type of an entry that is not in use")
            }
            Self::Number(n) => write!(f, "partition number {n} is not free or not 1 to {ENTRIES}"),
            Self::Outside { number, first_usable, last_usable } => write!(
                f,
                "partition {number} is not inside the usable blocks {first_usable} to {last_usable}"
            ),
            Self::Overlap(a, b) => write!(f, "partitions {a} and {b} overlap"),
            Self::Gpt(cause) => write!(f, "partition table could not be built: {cause}"),
        }
    }
}

impl std::error::Error for TableError {}

/// Returns the blocks that the entries take at each end.
#[must_use]
pub const fn entry_blocks(block: LogicalBlock) -> u64 {
    (ENTRIES * ENTRY) as u64 / block.bytes()
}

/// Returns the first and the last block that a partition may use, or `None` for a disk without any.
#[must_use]
pub const fn usable(block: LogicalBlock, blocks: u64) -> Option<(u64, u64)> {
    let end = entry_blocks(block);
    let first = 2 + end;
    match blocks.checked_sub(2 + end) {
        Some(last) if last >= first => Some((first, last)),
        _ => None,
    }
}

impl Table {
    /// Builds the bytes of the table.
    ///
    /// # Errors
    /// When the disk is too small for a table, or a partition has a bad number, lies outside the
    /// usable blocks, or overlaps another.
    pub fn build(&self) -> Result<Ends, TableError> {
        let (first_usable, last_usable) = self.check()?;
        let block = match self.block {
            LogicalBlock::B512 => LogicalBlockSize::Lb512,
            LogicalBlock::B4096 => LogicalBlockSize::Lb4096,
        };
        let mut disk = TwoEnds::new(self.block, self.blocks);
        let whole = u32::try_from(self.blocks - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(whole).overwrite_lba0(&mut disk).map_err(gpt_error)?;
        let description = Header {
            signature: String::from("EFI PART"),
            revision: (1, 0),
            header_size_le: 92,
            crc32: 0,
            reserved: 0,
            current_lba: 1,
            backup_lba: self.blocks - 1,
            first_usable,
            last_usable,
            disk_guid: uuid(self.disk),
            part_start: 2,
            num_parts: ENTRIES,
            part_size: ENTRY,
            crc32_parts: 0,
        };
        let header =
            |primary| HeaderBuilder::from_header(&description).primary(primary).build(block);
        let mut primary = header(true).map_err(gpt_error)?;
        let mut backup = header(false).map_err(gpt_error)?;
        for entry in &self.entries {
            for start in [primary.part_start, backup.part_start] {
                partition(entry)
                    .write_to_device(&mut disk, u64::from(entry.number) - 1, start, block, ENTRY)
                    .map_err(gpt_error)?;
            }
        }
        backup.write_backup(&mut disk, block).map_err(gpt_error)?;
        primary.write_primary(&mut disk, block).map_err(gpt_error)?;
        Ok(disk.ends)
    }

    fn check(&self) -> Result<(u64, u64), TableError> {
        let (first_usable, last_usable) =
            usable(self.block, self.blocks).ok_or(TableError::DiskTooSmall {
                found: self.blocks,
                wanted: 4 + 2 * entry_blocks(self.block),
            })?;
        if self.blocks.checked_mul(self.block.bytes()).is_none() {
            return Err(TableError::DiskTooLarge { found: self.blocks });
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let number = entry.number;
            if entry.type_guid.0 == [0; 16] {
                return Err(TableError::NoType(number));
            }
            let twice = self.entries[..at].iter().any(|e| e.number == number);
            if number == 0 || number > ENTRIES || twice {
                return Err(TableError::Number(number));
            }
            if entry.first < first_usable || entry.last > last_usable || entry.first > entry.last {
                return Err(TableError::Outside { number, first_usable, last_usable });
            }
            for other in &self.entries[..at] {
                if entry.first <= other.last && other.first <= entry.last {
                    return Err(TableError::Overlap(other.number, number));
                }
            }
        }
        Ok((first_usable, last_usable))
    }
}

/// Writing to memory does not fail; whatever the crate says all the same is passed on as text.
fn gpt_error(cause: impl fmt::Display) -> TableError {
    TableError::Gpt(cause.to_string())
}

fn uuid(guid: Guid) -> uuid::Uuid {
    uuid::Uuid::from_bytes(guid.0)
}

fn partition(entry: &Entry) -> Partition {
    Partition {
        part_type_guid: Type { guid: uuid(entry.type_guid), os: OperatingSystem::None },
        part_guid: uuid(entry.guid),
        first_lba: entry.first,
        last_lba: entry.last,
        flags: 0,
        name: entry.name.into(),
    }
}

/// A disk of which only the two ends exist; the middle is neither read nor written.
#[derive(Debug)]
struct TwoEnds {
    ends: Ends,
    at: u64,
}

impl TwoEnds {
    fn new(block: LogicalBlock, blocks: u64) -> Self {
        let head = (2 + entry_blocks(block)) * block.bytes();
        let tail = (1 + entry_blocks(block)) * block.bytes();
        let ends = Ends {
            head: vec![0; head as usize],
            tail_at: blocks * block.bytes() - tail,
            tail: vec![0; tail as usize],
        };
        Self { ends, at: 0 }
    }

    fn window(&mut self, length: usize) -> io::Result<&mut [u8]> {
        let (piece, from) = if self.at < self.ends.tail_at {
            (&mut self.ends.head, self.at)
        } else {
            (&mut self.ends.tail, self.at - self.ends.tail_at)
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(piece.len());
        let to = from.saturating_add(length).min(piece.len());
        self.at += (to - from) as u64;
        Ok(&mut piece[from..to])
    }
}

impl io::Read for TwoEnds {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let window = self.window(into.len())?;
        into[..window.len()].copy_from_slice(window);
        Ok(window.len())
    }
}

impl io::Write for TwoEnds {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let window = self.window(from.len())?;
        window.copy_from_slice(&from[..window.len()]);
        Ok(window.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for TwoEnds {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let end = self.ends.tail_at + self.ends.tail.len() as u64;
        let at = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            io::SeekFrom::End(by) => end.checked_add_signed(by),
        };
        self.at = at.filter(|at| *at <= end).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
