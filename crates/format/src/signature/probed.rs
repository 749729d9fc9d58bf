//! Pieces of a disk, as they were read.

use crate::units::Bytes;
use alloc::vec::Vec;

const PAGE: usize = 4096;

/// What was read of a disk.
#[derive(Clone, Debug)]
pub struct Probed {
    disk: Bytes,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Probed {
    /// Describes a disk of this size of which nothing was read yet.
    #[must_use]
    pub const fn new(disk: Bytes) -> Self {
        Self { disk, pieces: Vec::new() }
    }

    /// Adds what was read at an offset; in rising order.
    pub fn add(&mut self, at: u64, bytes: Vec<u8>) {
        self.pieces.push((at, bytes));
    }

    /// Returns the size of the disk.
    pub(super) const fn disk(&self) -> Bytes {
        self.disk
    }

    /// Returns `length` bytes at an offset, if one piece holds them all.
    pub(super) fn get(&self, at: u64, length: usize) -> Option<&[u8]> {
        self.pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(at.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(length)?)
        })
    }

    /// Tells whether these bytes are at an offset.
    pub(super) fn has(&self, at: u64, wanted: &[u8]) -> bool {
        self.get(at, wanted.len()) == Some(wanted)
    }

    /// Returns where the first byte is that is not zero.
    pub(super) fn first_non_zero(&self) -> Option<u64> {
        self.pieces.iter().find_map(|(start, bytes)| {
            // Whole pages are compared: one byte after the other would take ten times as long.
            let page = bytes.chunks(PAGE).position(|page| page != &[0; PAGE][..page.len()])?;
            let from = page * PAGE;
            let within = bytes.get(from..)?.iter().position(|byte| *byte != 0)?;
            Some(start + (from + within) as u64)
        })
    }
}

/// Numbers in the fields of a superblock; one that is not there is 0, which no check accepts.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    /// Returns the `N` bytes at an offset.
    pub(super) fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let found = self.0.get(at..).and_then(|rest| rest.first_chunk());
        found.copied().unwrap_or([0; N])
    }

    pub(super) fn u8(&self, at: usize) -> u8 {
        self.bytes::<1>(at)[0]
    }

    pub(super) fn le16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    pub(super) fn le32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    pub(super) fn le64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    pub(super) fn be32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.bytes(at))
    }

    pub(super) fn be64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.bytes(at))
    }
}
