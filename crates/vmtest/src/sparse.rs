//! Files with holes: copying them and searching them without touching the holes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::search::find;

const PIECE: usize = 256 << 10;

/// Returns the next range of data at or after `from`, `None` when only a hole follows.
fn next_data(file: &File, from: u64) -> io::Result<Option<Range<u64>>> {
    let start = match lseek(file, from.cast_signed(), Whence::SeekData) {
        Ok(start) => start,
        Err(Errno::ENXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end = lseek(file, start, Whence::SeekHole)?;
    Ok(Some(start.cast_unsigned()..end.cast_unsigned()))
}

/// Reads as much as there is below `end`, at most one piece.
fn read_piece<'a>(file: &File, piece: &'a mut [u8], at: u64, end: u64) -> io::Result<&'a mut [u8]> {
    let wanted = usize::try_from(end - at).map_or(piece.len(), |left| left.min(piece.len()));
    file.read_exact_at(&mut piece[..wanted], at)?;
    Ok(&mut piece[..wanted])
}

/// Copies a file; holes, and runs of zeros as long as a piece, become holes.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (source, target) = (File::open(from)?, File::create(to)?);
    target.set_len(source.metadata()?.len())?;
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    while let Some(data) = next_data(&source, at)? {
        at = data.start;
        while at < data.end {
            let read = read_piece(&source, &mut piece, at, data.end)?;
            if read.iter().any(|&byte| byte != 0) {
                target.write_all_at(read, at)?;
            }
            at += read.len() as u64;
        }
    }
    Ok(())
}

/// Returns whether `needle`, not empty and not only zeros, occurs in the data of a file.
pub(crate) fn holds(path: &Path, needle: &[u8]) -> io::Result<bool> {
    let file = File::open(path)?;
    let overlap = needle.len() as u64 - 1;
    let (mut piece, mut at) = (vec![0; PIECE.max(4 * needle.len())], 0);
    while let Some(data) = next_data(&file, at)? {
        at = data.start;
        while at < data.end {
            let read = read_piece(&file, &mut piece, at, data.end)?;
            if find(read, needle).is_some() {
                return Ok(true);
            }
            let end = at + read.len() as u64;
            // What begins in the last bytes of a piece goes on in the next one.
            at = if end < data.end { end - overlap } else { end };
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_copy_is_equal_and_stays_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"begin", 0).unwrap();
        file.write_all_at(b"end", (64 << 20) - 3).unwrap();
        copy(&from, &to).unwrap();
        assert!(std::fs::read(&from).unwrap() == std::fs::read(&to).unwrap());
        assert!(to.metadata().unwrap().blocks() * 512 < 2 << 20);
    }

    #[test]
    fn finds_what_lies_across_two_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = File::create(&path).unwrap();
        file.set_len(16 << 20).unwrap();
        file.write_all_at(&vec![7; 3 * PIECE], 1 << 20).unwrap();
        file.write_all_at(b"secret", (1 << 20) + PIECE as u64 - 3).unwrap();
        assert!(holds(&path, b"secret").unwrap());
        assert!(!holds(&path, b"secrets").unwrap());
    }
}
