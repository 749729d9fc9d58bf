//! A partition table on a disk of somebody else's: seen, then believed.
//!
//! ```text
//! header   byte 0            8          12     16    20      24     32      40       48      56
//!        | "EFI PART"      | revision | size | crc | 0     | own  | other | first  | last  | disk |
//!          8                 1.0        u32    u32   u32     block  block   usable   usable  guid
//!          72                80         84     88    92
//!        | block of entries | entries  | size | crc |       own, other, first, last, block: u64
//!
//! entry    0      16     32      40     48           56                      128
//!        | type | guid | first | last | attributes | name, 36 UTF-16 units |
//! ```
//! The primary header is block 1, the backup the last block of the disk. A header's checksum is over
//! its `size` bytes with the checksum as 0, that of the entries over all of them. Numbers are little
//! endian. Source: UEFI specification, chapter 5. The bytes of a table of ours are made by `gpt_table`.
//!
//! In: pieces of the disk. Out: partitions that lie on the disk and in their table's usable blocks. Nothing is
//! copied or allocated, whatever the table says.

use crate::{
    guid::Guid,
    units::{Bytes, LogicalBlock},
};
use core::{fmt, ops::Range};

/// Bytes of a disk that hold the primary table with the usual 128 entries, for either size of a block.
pub const HEAD: usize = (2 + 4) * 4096;
/// What all entries may have together; the usual table has 16 KiB.
pub const MAX_ENTRIES: Bytes = Bytes::kib(128);

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
/// Bytes of a header.
const HEADER: usize = 92;
/// Bytes of the smallest entry, and of the part of a larger one that has a meaning.
const ENTRY: usize = 128;
/// The largest entry that is read.
const MAX_ENTRY: u32 = 4096;

/// A header whose checksum is right; where its entries are is not yet known to be true of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    block: LogicalBlock,
    disk: Guid,
    other: u64,
    first_usable: u64,
    last_usable: u64,
    entries: (u64, u64),
    entry: usize,
    crc: u32,
}

/// A table that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    seen: Seen,
    entries: &'a [u8],
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
        field("block of the entries", entries, countable(entries))?;
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

impl<'a> Table<'a> {
    /// Reads the primary table of a disk that begins with `head`: [`HEAD`] bytes hold the usual one.
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

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |field| u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |field| u64::from_le_bytes(*field))
}

/// Reads an identifier, of which the first three fields lie in little endian (appendix A).
fn guid_at(bytes: &[u8], at: usize) -> Guid {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    Guid(ORDER.map(|from| bytes[at + from]))
}

/// Returns the CRC-32 of pieces in a row: reflected polynomial 0xedb88320, all ones before and after.
fn sum<const N: usize>(pieces: [&[u8]; N]) -> u32 {
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(u32::MAX, |sum, byte| sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)])
}

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};
