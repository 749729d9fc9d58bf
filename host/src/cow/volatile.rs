//! The store inside of a volatile disk, as a guest of ours divides it.
//!
//! In: a disk with a partition table, of which nothing is believed that was not checked. Out: which bytes of it are the
//! store. What is there, and whether it keeps a list of what it holds, is for the caller to see.
//!
//! A guest whose disk was enlarged while it ran has the kernel enlarge the last partition, and leaves the table as it
//! is: such a store goes on behind its partition, to the last whole MiB before the end of a table for the whole disk.

use super::Disk;
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use ebbtide_format::{
    gpt_seen::{self, Problem, Table},
    guid::partition_type,
    units::{Bytes, LogicalBlock},
};
use std::{ops::Range, os::unix::fs::FileExt as _};

/// Returns which bytes of a volatile disk its store may use; `None` when the disk has no partition table, or none with a
/// partition for copy-on-write.
///
/// # Errors
/// The table is damaged, or has several such partitions, or one that begins past the end of the disk.
pub fn window(disk: &Disk) -> Result<Option<Range<u64>>> {
    let head = read(disk, 0, gpt_seen::HEAD as u64)?;
    let primary = match gpt_seen::Seen::primary(&head) {
        // A backup alone may be what was left of another time.
        Err(Problem::NotTable | Problem::Short { .. }) => return Ok(None),
        primary => primary,
    };
    let problem = match in_table(disk, primary)? {
        Ok(window) => return Ok(window),
        Err(problem) => problem,
    };
    for block in [LogicalBlock::B512, LogicalBlock::B4096] {
        let Some(at) = (disk.size.0 / block.bytes()).checked_sub(1) else { continue };
        let last = read(disk, at * block.bytes(), block.bytes())?;
        if let Ok(window) = in_table(disk, gpt_seen::Seen::parse(&last, block, at))? {
            log::warn!("{}: {problem}; its backup is used", disk.path.display());
            return Ok(window);
        }
    }
    let text = format!("{}: {problem}", disk.path.display());
    Err(Refusal::new(RefusalKind::Unable, text).into())
}

/// Finds the partition in the table of this header; the inner error is of a table that cannot be used.
fn in_table(
    disk: &Disk,
    seen: std::result::Result<gpt_seen::Seen, Problem>,
) -> Result<std::result::Result<Option<Range<u64>>, Problem>> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(problem) => return Ok(Err(problem)),
    };
    let Range { start, end } = seen.entries();
    let entries = read(disk, start, end - start)?;
    let table = match seen.believe(&entries) {
        Ok(table) => table,
        Err(problem) => return Ok(Err(problem)),
    };
    let Some(range) = range(&table, disk.size).map_err(|problem| refused(disk, &problem))? else {
        return Ok(Ok(None));
    };
    if range.end > disk.size.0 {
        let (name, wanted) = (disk.path.display(), Bytes(range.end));
        log::warn!("{name} is truncated: its partition ends at {wanted}, and it at {}", disk.size);
    }
    Ok(Ok(Some(range.start..range.end.min(disk.size.0))))
}

/// Returns which bytes of a disk of `size` the store may use; they may reach past its end.
fn range(table: &Table<'_>, size: Bytes) -> std::result::Result<Option<Range<u64>>, String> {
    let mut stores = table.entries().filter(|entry| entry.type_guid == partition_type::COW);
    let Some(store) = stores.next() else { return Ok(None) };
    if let Some(other) = stores.next() {
        let (one, other) = (store.number, other.number);
        return Err(format!("partitions {one} and {other} are both for copy-on-write"));
    }
    let Range { start, end } = store.bytes(table.block());
    if start >= size.0 {
        let number = store.number;
        return Err(format!(
            "truncated: partition {number} begins at {}, and the disk ends at {size}",
            Bytes(start)
        ));
    }
    let is_last = table.entries().all(|entry| entry.last <= store.last);
    let grown = if is_last { end_of_room(table.block(), size) } else { 0 };
    Ok(Some(start..end.max(grown)))
}

/// Returns the last whole MiB before the backup of a table for a disk of this size.
const fn end_of_room(block: LogicalBlock, size: Bytes) -> u64 {
    let blocks = size.0 / block.bytes();
    let usable = blocks.saturating_sub(1 + (16 << 10) / block.bytes()) * block.bytes();
    usable - usable % Bytes::mib(1).0
}

fn refused(disk: &Disk, problem: &str) -> Error {
    Refusal::new(RefusalKind::Unable, format!("{}: {problem}", disk.path.display())).into()
}

/// Reads what there is of `length` bytes from `at` on.
fn read(disk: &Disk, at: u64, length: u64) -> Result<Vec<u8>> {
    let there = length.min(disk.size.0.saturating_sub(at));
    let mut bytes = vec![0; there as usize];
    let failed = Error::doing(format!("read {}", disk.path.display()));
    disk.file.read_exact_at(&mut bytes, at).map_err(failed)?;
    Ok(bytes)
}
