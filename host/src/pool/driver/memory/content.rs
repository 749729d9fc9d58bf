//! What a file in memory holds.

use ebbtide_format::units::Bytes;
use std::{collections::BTreeMap, time::SystemTime};

/// What a file holds: those bytes that are not zero, by their offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) bytes: BTreeMap<u64, u8>,
    pub(super) modified: SystemTime,
}

impl Content {
    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            match byte {
                0 => self.bytes.remove(&at),
                _ => self.bytes.insert(at, *byte),
            };
        }
    }

    pub(super) fn get(&self, offset: u64, count: usize) -> Vec<u8> {
        let end = offset.saturating_add(count as u64).min(self.size);
        (offset..end).map(|at| self.bytes.get(&at).copied().unwrap_or(0)).collect()
    }
}

/// A file takes a block for each that is not all zeros.
pub(super) fn allocated(content: &Content) -> Bytes {
    let mut blocks: Vec<u64> = content.bytes.keys().map(|at| at / 4096).collect();
    blocks.dedup();
    Bytes(blocks.len() as u64 * 4096)
}
