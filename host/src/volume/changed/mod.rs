//! Which blocks of two images differ.
//!
//! In: two files that both exist now. Out: ranges of bytes. What lies at the same place on the same disk is the same and
//! is not read; everything else is compared. So two versions of a large image are compared in the time that it takes
//! to read what was written between them.

mod layout;

pub use layout::{Layout, Piece, Place, candidates};

use crate::file::next_data;
use ebbtide_sys::fiemap;
use layout::Ranges;
use nix::errno::Errno;
use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

/// What is compared as one: bytes.
pub const BLOCK: u64 = 4096;
/// How much of each file is read at once.
const PIECE: u64 = 1 << 20;

/// Returns the ranges in which the content of two files differs: whole blocks of 4 KiB, in order, those that touch as
/// one; the last may end where the longer file does. The shorter file counts as if it went on with zeros. What is not
/// yet on the disk is written there first. `progress` is told how many of the bytes that have to be compared are.
///
/// Neither file may be written to meanwhile, or blocks that are may be missing.
///
/// # Errors
/// The kernel's.
pub fn changed(
    one: &File,
    other: &File,
    mut progress: impl FnMut(u64, u64),
) -> io::Result<Vec<Range<u64>>> {
    let (mut layout, mut other_layout) = (layout_of(one)?, layout_of(other)?);
    if one.metadata()?.dev() != other.metadata()?.dev() {
        (layout, other_layout) = (layout.of_another_disk(), other_layout.of_another_disk());
    }
    let end = layout.size.max(other_layout.size);
    let candidates = candidates(&layout, &other_layout);
    let whole = candidates.iter().map(|range| range.end - range.start).sum();
    let (mut found, mut done) = (Ranges::default(), 0);
    let mut buffers = [vec![0; PIECE as usize], vec![0; PIECE as usize]];
    for range in candidates {
        for start in range.clone().step_by(PIECE as usize) {
            let part = start..range.end.min(start + PIECE);
            compare([one, other], &part, &mut buffers, &mut found)?;
            done += part.end - part.start;
            progress(done, whole);
        }
    }
    if let Some(last) = found.0.last_mut() {
        last.end = last.end.min(end);
    }
    Ok(found.0)
}

/// Compares a part of both files, block by block.
fn compare(
    files: [&File; 2],
    part: &Range<u64>,
    buffers: &mut [Vec<u8>; 2],
    found: &mut Ranges,
) -> io::Result<()> {
    let length = (part.end - part.start) as usize;
    for (file, buffer) in files.into_iter().zip(buffers.iter_mut()) {
        read_or_zero(file, &mut buffer[..length], part.start)?;
    }
    let [one, other] = buffers;
    let (one, other) =
        (one[..length].chunks(BLOCK as usize), other[..length].chunks(BLOCK as usize));
    for (at, _) in
        (part.start..).step_by(BLOCK as usize).zip(one.zip(other)).filter(|(_, (a, b))| a != b)
    {
        found.add(at..at + BLOCK);
    }
    Ok(())
}

/// Reads as much as there is, and zeros behind the end.
fn read_or_zero(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer[filled..].fill(0);
    Ok(())
}

/// Returns where the data of a file lies, as exactly as its file system says.
fn layout_of(mut file: &File) -> io::Result<Layout> {
    let size = file.seek(SeekFrom::End(0))?;
    match fiemap::extents(file) {
        Ok(extents) => Ok(Layout::new(size, &extents)),
        Err(error) if is_silent(&error) => Ok(Layout { size, pieces: data_of(file, size)? }),
        Err(error) => Err(error),
    }
}

/// Returns whether the error says that the file system does not tell where data lies.
fn is_silent(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::EINVAL | Errno::ENOSYS))
}

fn data_of(file: &File, size: u64) -> io::Result<Vec<Piece>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while let Some(range) = next_data(file, at..size)? {
        at = range.end;
        pieces.push(Piece { range, place: Place::Unsure });
    }
    Ok(pieces)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
mod tests {
    use super::*;

    fn of(size: u64, writes: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in writes {
            file.write_all_at(bytes, *at).unwrap();
        }
        file
    }

    #[test]
    fn lists_blocks_that_differ_and_no_others() {
        let one = of(100_000, &[(5, b"a"), (20_000, b"same"), (40_959, b"ab"), (99_999, b"x")]);
        let other = of(100_000, &[(20_000, b"same"), (50_000, &[0; 9000])]);
        let mut told = Vec::new();
        let found = changed(&one, &other, |done, whole| told.push((done, whole))).unwrap();
        assert_eq!(found, [0..4096, 36_864..45_056, 98_304..100_000]);
        let (done, whole) = told[told.len() - 1];
        assert_eq!(done, whole);
        assert!(changed(&one, &one, |_, _| ()).unwrap().is_empty());
    }

    #[test]
    fn the_shorter_one_goes_on_with_zeros() {
        let (short, long) = (of(5000, &[]), of(3 << 40, &[]));
        assert!(changed(&short, &long, |_, _| ()).unwrap().is_empty());
        long.write_all_at(b"x", 6000).unwrap();
        long.write_all_at(b"x", (2 << 40) + 1).unwrap();
        let found = changed(&short, &long, |_, _| ()).unwrap();
        assert_eq!(found, [4096..8192, 2 << 40..(2 << 40) + 4096]);
        let empty = of(0, &[]);
        assert!(changed(&empty, &empty, |_, _| ()).unwrap().is_empty());
        assert_eq!(changed(&empty, &of(1, &[(0, b"x")]), |_, _| ()).unwrap(), [0..1]);
    }
}
