//! What is on a disk, block by block, and whether that is so: every block of every writing looks random and is like no
//! other.

use ebbtide_format::units::Bytes;
use nix::libc;
use std::{
    fs::File,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

/// What is compared: a chunk of the stores.
pub(crate) const BLOCK: usize = 4096;
/// How much is read at once.
const PIECE: usize = 64;

/// By whom each block was written, 0 for nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content(Vec<u64>);

impl Content {
    pub(crate) fn zeros(blocks: usize) -> Self {
        Self(vec![0; blocks])
    }

    /// Returns that all was written in one writing.
    pub(crate) fn all(blocks: usize, writing: u64) -> Self {
        Self(vec![writing; blocks])
    }

    pub(crate) fn blocks(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn size(&self) -> Bytes {
        Bytes((self.blocks() * BLOCK) as u64)
    }

    /// Returns it with some blocks written.
    pub(crate) fn with(&self, blocks: impl IntoIterator<Item = usize>, writing: u64) -> Self {
        let mut content = self.clone();
        for block in blocks {
            content.0[block] = writing;
        }
        content
    }

    /// Writes to a device what is not the same in `from`, last block first, and has it synced.
    pub(crate) fn write(&self, disk: &Path, from: &Self) {
        let file = File::options().write(true).open(disk).unwrap();
        for block in (0..self.blocks()).rev().filter(|block| self.0[*block] != from.0[*block]) {
            let bytes = content(self.0[block], block);
            file.write_all_at(&bytes, (block * BLOCK) as u64).unwrap();
        }
        file.sync_all().unwrap();
    }

    /// Reads a whole device, by no cache, and returns the first block that is another.
    pub(crate) fn wrong(&self, disk: &Path) -> Option<String> {
        let said = |what| Some(format!("{}: {what}", disk.display()));
        let mut options = File::options();
        let file = match options.read(true).custom_flags(libc::O_DIRECT).open(disk) {
            Ok(file) => file,
            Err(error) => return said(error.to_string()),
        };
        let mut buffer = vec![0; (PIECE + 1) * BLOCK];
        let begin = buffer.as_ptr().align_offset(BLOCK);
        for first in (0..self.blocks()).step_by(PIECE) {
            let count = PIECE.min(self.blocks() - first);
            let piece = &mut buffer[begin..begin + count * BLOCK];
            if let Err(error) = file.read_exact_at(piece, (first * BLOCK) as u64) {
                return said(format!("block {first}: {error}"));
            }
            for (place, bytes) in piece.chunks(BLOCK).enumerate() {
                let (block, wanted) = (first + place, self.0[first + place]);
                if bytes != content(wanted, block) {
                    let found = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                    return said(format!(
                        "block {block}: wanted writing {wanted}, found what begins with {found:#x}"
                    ));
                }
            }
        }
        None
    }

    /// Returns what is on a disk that was written in one writing, up to `last`, or not at all, and says where it was not.
    pub(crate) fn of_one_writing(disk: &Path, blocks: usize, last: u64) -> Result<Self, String> {
        let first = |writing| Self::all(1, writing).wrong(disk);
        let Some(writing) = (0..=last).find(|writing| first(*writing).is_none()) else {
            return Err(format!("no writing: {}", first(last).unwrap_or_default()));
        };
        let found = Self::all(blocks, writing);
        found.wrong(disk).map_or(Ok(found), Err)
    }

    /// Fails where a device has another content.
    pub(crate) fn is_on(&self, disk: &Path) {
        if let Some(wrong) = self.wrong(disk) {
            panic!("{wrong}");
        }
    }
}

/// Returns the bytes of a block; zeros where nobody has written.
fn content(writing: u64, block: usize) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    if writing != 0 {
        let mut draw = Draw(writing << 32 | block as u64);
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&draw.next().to_le_bytes());
        }
    }
    bytes
}

/// Numbers that look random (splitmix64).
#[derive(Debug)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
