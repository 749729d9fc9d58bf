//! The bytes of new headers.

use super::{
    Problem, Seen, Version,
    layout::{Layout, MAGIC},
};
use crate::units::Bytes;
use alloc::{vec, vec::Vec};
use core::ops::Range;

/// What one bit stands for, and what a disk writes at once.
const SECTOR_SIZE: u32 = 512;
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
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC.to_be_bytes());
    put(4, &3_u32.to_be_bytes());
    put(layout.modified, &modified.to_be_bytes());
    put(layout.size, &size.0.to_be_bytes());
    put(layout.sector, &SECTOR_SIZE.to_be_bytes());
    put(layout.sector + 4, &ALIGNMENT.to_be_bytes());
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
    let known = seen.believe()?.backing().len();
    let Layout { order, modified: at, path, end, .. } = seen.version().layout();
    let old = &head[..end];
    let mut new = old.to_vec();
    // What follows the path is whatever the writer had in its memory.
    new[path.start..path.start + known].fill(0);
    put_path(&mut new, &path, backing)?;
    new[at..at + 4].copy_from_slice(&order.bytes(modified));
    let fields = [path, at..at + 4];
    let differing =
        fields.map(|field| differing(&old[field.clone()], &new[field.clone()], field.start));
    let spans = match differing {
        // Written at once, there is the old header or the new one after a power cut.
        [Some(one), Some(other)] if sector(&one) == sector(&other) => {
            [Some(one.start.min(other.start)..one.end.max(other.end)), None]
        }
        spans => spans,
    };
    let spans = spans.into_iter().flatten();
    Ok(spans.map(|span| (span.start as u64, new[span].to_vec())).collect())
}

/// Returns the sector in which bytes begin.
const fn sector(bytes: &Range<usize>) -> usize {
    bytes.start / SECTOR_SIZE as usize
}

/// Returns where two slices differ, as offsets from `start`.
fn differing(old: &[u8], new: &[u8], start: usize) -> Option<Range<usize>> {
    let differs = |(old, new): (&u8, &u8)| old != new;
    let first = old.iter().zip(new).position(differs)?;
    let last = old.iter().zip(new).rposition(differs)?;
    Some(start + first..start + last + 1)
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
    place[..path.len()].copy_from_slice(path);
    place[path.len()] = 0;
    Ok(())
}
