//! Writes and reads of the device itself, the same in every run.

use super::{super::Result, Part};
use std::{
    collections::BTreeSet,
    fs::File,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

/// A block of a file system.
const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;
/// How many blocks are written one after the other, each waited for.
const SYNCHRONOUS: usize = 1000;
/// How many are written at once.
const RANDOM: usize = 2000;

/// Fills a part of an image.
pub(super) fn fill(image: &Path, part: Part) -> Result<()> {
    let file = File::options().write(true).open(image)?;
    for at in part {
        file.write_all_at(&vec![at as u8 | 1; MIB as usize], at * MIB)?;
    }
    Ok(())
}

/// Returns so many different places of blocks in a part, without order: the same in every run (xorshift64).
fn places(part: &Part, count: usize) -> Vec<u64> {
    let (first, blocks) = (part.start * MIB, (part.end - part.start) * MIB / BLOCK);
    let (mut state, mut seen, mut places) =
        (88_172_645_463_325_252_u64, BTreeSet::new(), Vec::new());
    while places.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let block = state % blocks;
        if seen.insert(block) {
            places.push(first + block * BLOCK);
        }
    }
    places
}

/// Writes blocks in random places past the page cache, one after the other.
pub(super) fn synchronous(path: &Path, part: Part) -> Result<()> {
    let file = File::options().write(true).custom_flags(nix::libc::O_DIRECT).open(path)?;
    let buffer = vec![0xa5; 2 * BLOCK as usize];
    let skipped = buffer.as_ptr().align_offset(BLOCK as usize);
    let block = &buffer[skipped..skipped + BLOCK as usize];
    for place in places(&part, SYNCHRONOUS) {
        file.write_all_at(block, place)?;
    }
    Ok(file.sync_all()?)
}

/// Writes blocks in random places to the page cache, and all of it to the disk.
pub(super) fn random(path: &Path, part: Part) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    for place in places(&part, RANDOM) {
        file.write_all_at(&[0xa5; BLOCK as usize], place)?;
    }
    Ok(file.sync_all()?)
}

/// Writes a part from one end to the other.
pub(super) fn sequential(path: &Path, part: Part) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    for at in part {
        file.write_all_at(&vec![0xa5; MIB as usize], at * MIB)?;
    }
    Ok(file.sync_all()?)
}

/// Reads a part from one end to the other, and returns how much it is.
pub(super) fn read(path: &Path, part: Part) -> Result<u64> {
    let (file, mut piece) = (File::open(path)?, vec![0; MIB as usize]);
    let length = (part.end - part.start) * MIB;
    part.into_iter().try_for_each(|at| file.read_exact_at(&mut piece, at * MIB))?;
    Ok(length)
}
