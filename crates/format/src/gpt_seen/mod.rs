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

mod field;
mod problem;
mod seen;
mod sum;
mod table;

pub use problem::Problem;
pub use seen::Seen;
pub use table::{Entry, Name, Table};

use crate::units::Bytes;

/// Bytes of a disk that hold the primary table with the usual 128 entries, for either size of a block.
pub const HEAD: usize = (2 + 4) * 4096;
/// What all entries may have together; the usual table has 16 KiB.
pub const MAX_ENTRIES: Bytes = Bytes::kib(128);

/// Bytes of the smallest entry, and of the part of a larger one that has a meaning.
const ENTRY: usize = 128;
