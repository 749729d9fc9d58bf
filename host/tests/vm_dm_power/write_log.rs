//! The record of dm-log-writes: what a disk was written, in an order in which it may have become durable.
//!
//! ```text
//! sector 0          u64 magic 0x6a736677736872, u64 version 1, u64 entries, u32 size of a sector
//! each entry        one sector: u64 sector, u64 sectors, u64 flags, u64 length of the text of a mark, and that text;
//!                   then the data, unless it is a discard or a mark
//! ```
//! All little endian, and sectors are of the size that sector 0 tells: `drivers/md/dm-log-writes.c`. A write is recorded
//! with the flush after its end, or at its end when it is one past the cache (FUA).

use std::{fs::File, os::unix::fs::FileExt as _};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH_OR_FUA: u64 = 1 | 1 << 1;
const DISCARD: u64 = 1 << 2;
const MARK: u64 = 1 << 3;

/// An entry.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What is written at a byte, and whether somebody waited until it was durable, or what came before; a flush alone
    /// writes nothing.
    Write { to: u64, from: u64, length: u64, is_barrier: bool },
    /// What the test said at this point.
    Mark(String),
}

/// Returns all entries of a record.
pub(crate) fn entries(log: &File) -> Vec<Entry> {
    let mut head = [0; 512];
    log.read_exact_at(&mut head, 0).unwrap();
    assert_eq!((word(&head, 0), word(&head, 1)), (MAGIC, 1), "it is no record");
    let (count, size) = (word(&head, 2), word(&head, 3) & u64::from(u32::MAX));
    let mut at = size;
    let mut entries = Vec::new();
    for _ in 0..count {
        log.read_exact_at(&mut head, at).unwrap();
        let [sector, sectors, flags, text] = [0, 1, 2, 3].map(|n| word(&head, n));
        at += size;
        if flags & MARK != 0 {
            let text = &head[32..32 + text as usize];
            let text = String::from_utf8_lossy(text).trim_end_matches('\0').to_owned();
            entries.push(Entry::Mark(text));
        } else if flags & DISCARD == 0 {
            let length = sectors * size;
            let is_barrier = flags & FLUSH_OR_FUA != 0;
            entries.push(Entry::Write { to: sector * size, from: at, length, is_barrier });
            at += length;
        }
    }
    entries
}

fn word(bytes: &[u8], n: usize) -> u64 {
    u64::from_le_bytes(bytes[n * 8..][..8].try_into().unwrap())
}
