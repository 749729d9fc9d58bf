//! A reader of partition tables that shares nothing with the writer: UEFI specification, chapter 5.
//!
//! It believes nothing: both headers, both copies of the entries, every checksum, every field that
//! the specification fixes, and the protective MBR. Two ends of a disk go in; what a partition tool
//! would show comes out, or what is wrong.

/// The two ends of a disk, the pieces that were written.
pub(crate) struct Ends<'a> {
    /// From byte 0.
    pub(crate) head: &'a [u8],
    /// Where the other begins.
    pub(crate) tail_at: u64,
    /// Up to the end of the disk.
    pub(crate) tail: &'a [u8],
}

/// A partition, positions in logical blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Place in the table, from 1.
    pub(crate) number: u32,
    /// Type, in the order in which it is spelled.
    pub(crate) type_guid: [u8; 16],
    /// Identifier, in the order in which it is spelled.
    pub(crate) guid: [u8; 16],
    /// First block.
    pub(crate) first: u64,
    /// Last block.
    pub(crate) last: u64,
    /// Name.
    pub(crate) name: String,
}

/// A table that holds what the specification asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundTable {
    /// Identifier of the disk, in the order in which it is spelled.
    pub(crate) disk: [u8; 16],
    /// First block that partitions may use.
    pub(crate) first_usable: u64,
    /// Last block that partitions may use.
    pub(crate) last_usable: u64,
    /// Entries in use, by number.
    pub(crate) entries: Vec<Found>,
}

/// Reads a table from a disk of `blocks` blocks of `block` bytes.
///
/// # Errors
/// The first thing that is not as the specification wants it.
pub(crate) fn read(ends: &Ends<'_>, block: u64, blocks: u64) -> Result<FoundTable, String> {
    let disk_end = ends.tail_at + ends.tail.len() as u64;
    wanted("end of the disk", disk_end, block * blocks)?;
    protective_mbr(ends.at(0, block as usize)?, blocks)?;
    let primary = Header::read(ends, block, 1)?;
    wanted("place of the backup header", primary.other, blocks - 1)?;
    let backup = Header::read(ends, block, primary.other)?;
    wanted("place of the primary header", backup.other, 1)?;
    wanted("place of the entries", primary.entries_at, 2)?;
    wanted("end of the backup entries", backup.entries_at + primary.entry_blocks, blocks - 1)?;
    if (primary.first_usable, primary.last_usable, primary.disk, &primary.entries)
        != (backup.first_usable, backup.last_usable, backup.disk, &backup.entries)
    {
        return Err("primary and backup differ".into());
    }
    let table = FoundTable {
        disk: primary.disk,
        first_usable: primary.first_usable,
        last_usable: primary.last_usable,
        entries: entries(&primary.entries)?,
    };
    if table.first_usable < primary.entries_at + primary.entry_blocks
        || table.last_usable >= backup.entries_at
    {
        return Err("usable blocks reach into the table".into());
    }
    for (at, entry) in table.entries.iter().enumerate() {
        if entry.first > entry.last
            || entry.first < table.first_usable
            || entry.last > table.last_usable
        {
            return Err(format!("{entry:?} is not inside the usable blocks"));
        }
        if table.entries[..at].iter().any(|e| e.first <= entry.last && entry.first <= e.last) {
            return Err(format!("{entry:?} overlaps another"));
        }
    }
    Ok(table)
}

impl Ends<'_> {
    fn at(&self, from: u64, length: usize) -> Result<&[u8], String> {
        let (piece, from) = match from.checked_sub(self.tail_at) {
            Some(from) => (self.tail, from),
            None => (self.head, from),
        };
        let from = usize::try_from(from).map_err(|e| e.to_string())?;
        piece.get(from..from + length).ok_or_else(|| format!("nothing was written at byte {from}"))
    }
}

struct Header {
    other: u64,
    first_usable: u64,
    last_usable: u64,
    disk: [u8; 16],
    entries_at: u64,
    entry_blocks: u64,
    entries: Vec<u8>,
}

impl Header {
    /// Table 5-5 of the specification.
    fn read(ends: &Ends<'_>, block: u64, at: u64) -> Result<Self, String> {
        let bytes = ends.at(at * block, block as usize)?;
        if &bytes[..8] != b"EFI PART" {
            return Err(format!("block {at}: no signature"));
        }
        wanted("revision", number(bytes, 8, 4), 0x0001_0000)?;
        wanted("size of the header", number(bytes, 12, 4), 92)?;
        let mut summed = bytes[..92].to_vec();
        summed[16..20].fill(0);
        wanted("checksum of the header", number(bytes, 16, 4), u64::from(crc32(&summed)))?;
        wanted("reserved field", number(bytes, 20, 4), 0)?;
        wanted("own place", number(bytes, 24, 8), at)?;
        wanted("number of entries", number(bytes, 80, 4), 128)?;
        wanted("size of an entry", number(bytes, 84, 4), 128)?;
        if bytes[92..].iter().any(|b| *b != 0) {
            return Err(format!("block {at}: the rest of the block is not zero"));
        }
        let entries_at = number(bytes, 72, 8);
        let entries = ends.at(entries_at * block, 128 * 128)?.to_vec();
        wanted("checksum of the entries", number(bytes, 88, 4), u64::from(crc32(&entries)))?;
        Ok(Self {
            other: number(bytes, 32, 8),
            first_usable: number(bytes, 40, 8),
            last_usable: number(bytes, 48, 8),
            disk: guid(&bytes[56..72]),
            entries_at,
            entry_blocks: (128 * 128u64).div_ceil(block),
            entries,
        })
    }
}

/// Table 5-6 of the specification.
fn entries(bytes: &[u8]) -> Result<Vec<Found>, String> {
    let used = bytes.chunks_exact(128).zip(1..).filter(|(e, _)| e[..16] != [0; 16]);
    used.map(|(entry, place)| {
        wanted("attributes", number(entry, 48, 8), 0)?;
        let units = entry[56..].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let name = units.take_while(|unit| *unit != 0).collect::<Vec<_>>();
        Ok(Found {
            number: place,
            type_guid: guid(&entry[..16]),
            guid: guid(&entry[16..32]),
            first: number(entry, 32, 8),
            last: number(entry, 40, 8),
            name: String::from_utf16(&name).map_err(|e| e.to_string())?,
        })
    })
    .collect()
}

/// Tables 5-3 and 5-4 of the specification; a size past 32 bits is all ones.
fn protective_mbr(bytes: &[u8], blocks: u64) -> Result<(), String> {
    wanted("signature of the MBR", number(bytes, 510, 2), 0xaa55)?;
    wanted("status of the first record", number(bytes, 446, 1), 0)?;
    wanted("start in cylinders", number(bytes, 447, 3), 0x0000_0200)?;
    wanted("type of the first record", number(bytes, 450, 1), 0xee)?;
    wanted("end in cylinders", number(bytes, 451, 3), 0x00ff_ffff)?;
    wanted("start of the first record", number(bytes, 454, 4), 1)?;
    let size = (blocks - 1).min(u64::from(u32::MAX));
    wanted("size of the first record", number(bytes, 458, 4), size)?;
    if bytes[462..510].iter().any(|b| *b != 0) {
        return Err("the MBR has a second record".into());
    }
    if bytes[512..].iter().any(|b| *b != 0) {
        return Err("the rest of the block of the MBR is not zero".into());
    }
    Ok(())
}

fn wanted(what: &str, found: u64, wanted: u64) -> Result<(), String> {
    let differs = || format!("{what}: wanted {wanted:#x}; found {found:#x}");
    (found == wanted).then_some(()).ok_or_else(differs)
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// Appendix A of the specification: the first three fields lie in little endian.
fn guid(bytes: &[u8]) -> [u8; 16] {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    ORDER.map(|from| bytes[from])
}

/// CRC-32 as ISO 3309 and the specification have it: reflected polynomial 0xedb88320, all ones
/// before and after.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| sum >> 8 ^ TABLE[(sum as u8 ^ byte) as usize])
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
