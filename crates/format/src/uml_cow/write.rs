//! The bytes of new headers.

use super::{
    Problem, Seen, Version,
    layout::{ByteOrder, Layout, MAGIC},
};
use crate::units::{Bytes, SECTOR};
use alloc::{vec, vec::Vec};
use core::ops::Range;

/// What bitmap and data of a new file are aligned to.
const ALIGNMENT: u32 = 4096;

/// Returns the header of a new COW file, as uml_mkcow and the kernel write it: version 3. `modified` is in seconds since
/// 1970. All that follows in the file is zeros.
///
/// # Errors
/// The path is empty, or has no room, or the size is past what a file has.
pub fn head(backing: &[u8], modified: u32, size: Bytes) -> Result<Vec<u8>, Problem> {
    let layout = Version::V3.layout();
    let mut head = vec![0; layout.end];
    let numbers = [MAGIC, 3, modified];
    for (place, number) in head.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&ByteOrder::Big.bytes(number));
    }
    head[layout.size..layout.size + 8].copy_from_slice(&size.0.to_be_bytes());
    let sizes = SECTOR.to_be_bytes();
    head[layout.sector..layout.sector + 4].copy_from_slice(&sizes[4..]);
    head[layout.sector + 4..layout.sector + 8].copy_from_slice(&ALIGNMENT.to_be_bytes());
    put_path(&mut head, &layout.path, backing)?;
    Seen::parse(&head)?.believe()?;
    Ok(head)
}

/// Returns what to write to make a header name another backing file: offsets in the file, and bytes. Version, byte order
/// and everything else stay. Nothing when it says so already.
///
/// # Errors
/// It is not a header that is believed, or the path is empty or has no room.
pub fn relocated(
    head: &[u8],
    backing: &[u8],
    modified: u32,
) -> Result<Vec<(u64, Vec<u8>)>, Problem> {
    let seen = Seen::parse(head)?;
    seen.believe()?;
    let Layout { order, modified: at, path, end, .. } = seen.version().layout();
    let old = &head[..end];
    let mut new = old.to_vec();
    put_path(&mut new, &path, backing)?;
    new[at..at + 4].copy_from_slice(&order.bytes(modified));
    let mut writes = Vec::new();
    for field in [path, at..at + 4] {
        let differs = |byte: &usize| old[*byte] != new[*byte];
        if let (Some(first), Some(last)) =
            (field.clone().find(differs), field.clone().rev().find(differs))
        {
            writes.push((first as u64, new[first..=last].to_vec()));
        }
    }
    Ok(writes)
}

/// Puts a path in its field; what is left of the field is zeros.
fn put_path(head: &mut [u8], field: &Range<usize>, path: &[u8]) -> Result<(), Problem> {
    if path.is_empty() || path.contains(&0) {
        return Err(Problem::NoPath);
    }
    // A zero ends it.
    let room = field.len() - 1;
    if path.len() > room {
        return Err(Problem::LongPath { room, found: path.len() });
    }
    let place = &mut head[field.clone()];
    place.fill(0);
    place[..path.len()].copy_from_slice(path);
    Ok(())
}
