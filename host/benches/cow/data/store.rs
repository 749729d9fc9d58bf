//! What was written as the exception store of a persistent dm snapshot.
//!
//! Layout: drivers/md/dm-snap-persistent.c. Chunk 0 is the header, then areas: one chunk of exceptions, and a chunk of data
//! for each. Data lies in the order in which it was written.

use crate::{
    Result,
    case::Case,
    random::{Of, fill},
};
use std::{collections::HashSet, fs::File, os::unix::fs::FileExt as _, path::Path};

/// `SNAP_MAGIC`.
const MAGIC: u32 = 0x7041_6e53;

/// Writes the store of `case` with chunks of `chunk` bytes.
pub(crate) fn make(path: &Path, case: &Case, chunk: u64) -> Result<()> {
    let file = File::create_new(path)?;
    file.write_all_at(&header(chunk)?, 0)?;
    let per_area = chunk / 16;
    let mut area = vec![0; chunk as usize];
    let (mut seen, mut bytes) = (HashSet::new(), vec![0; chunk as usize]);
    for old in case.as_written().flat_map(|piece| piece.start / chunk..piece.end.div_ceil(chunk)) {
        let number = seen.len() as u64;
        if !seen.insert(old) {
            continue;
        }
        let (in_area, first) = (number % per_area, 1 + number / per_area * (per_area + 1));
        let new = first + 1 + in_area;
        if in_area == 0 {
            area.fill(0);
        }
        let at = in_area as usize * 16;
        area[at..at + 8].copy_from_slice(&old.to_le_bytes());
        area[at + 8..at + 16].copy_from_slice(&new.to_le_bytes());
        file.write_all_at(&area, first * chunk)?;
        content(&mut bytes, old * chunk, case);
        file.write_all_at(&bytes, new * chunk)?;
    }
    // What follows the last area: one without exceptions, which ends them when the last is full.
    let end = file.metadata()?.len().next_multiple_of(chunk);
    file.set_len(end + chunk)?;
    Ok(file.sync_all()?)
}

/// Returns the header of a store that is valid.
pub(crate) fn header(chunk: u64) -> Result<Vec<u8>> {
    let mut header: Vec<u8> =
        [MAGIC, 1, 1, u32::try_from(chunk / 512)?].into_iter().flat_map(u32::to_le_bytes).collect();
    header.resize(usize::try_from(chunk)?, 0);
    Ok(header)
}

/// Fills a chunk with what the device has there.
fn content(bytes: &mut [u8], at: u64, case: &Case) {
    fill(bytes, at, Of::Backing);
    let end = at + bytes.len() as u64;
    let first = case.pieces.partition_point(|piece| piece.end <= at);
    for piece in case.pieces[first..].iter().take_while(|piece| piece.start < end) {
        let (from, to) = (piece.start.max(at), piece.end.min(end));
        fill(&mut bytes[(from - at) as usize..(to - at) as usize], from, Of::Written);
    }
}
