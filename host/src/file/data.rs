//! The parts of a file that are not holes.

use nix::{
    errno::Errno,
    unistd::{Whence, lseek},
};
use std::{fs::File, io, ops::Range};

/// Returns the first part of `range` that is not a hole, as far as the file system says.
///
/// # Errors
/// The kernel's; none where the file system does not say: then all may be data.
pub(crate) fn next_data(file: &File, range: Range<u64>) -> io::Result<Option<Range<u64>>> {
    if range.is_empty() {
        return Ok(None);
    }
    let seek =
        |at: u64, whence| lseek(file, i64::try_from(at).map_err(|_| Errno::EOVERFLOW)?, whence);
    let start = match seek(range.start, Whence::SeekData) {
        Ok(start) => start.unsigned_abs(),
        Err(Errno::ENXIO) => return Ok(None),
        // A disk, or a file system that knows no holes.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(Some(range)),
        Err(errno) => return Err(errno.into()),
    };
    let end = seek(start, Whence::SeekHole)?.unsigned_abs();
    Ok((start < range.end).then(|| start..end.min(range.end)))
}

/// Returns all parts of a file up to `end` that are not holes, in order.
///
/// # Errors
/// As [`next_data`].
pub(crate) fn all_data(file: &File, end: u64) -> io::Result<Vec<Range<u64>>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(part) = next_data(file, at..end)? {
        at = part.end;
        parts.push(part);
    }
    Ok(parts)
}

/// Returns what is in any of these parts, in order and each byte once.
pub(crate) fn united(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.sort_unstable_by_key(|part| part.start);
    let mut united: Vec<Range<u64>> = Vec::with_capacity(parts.len());
    for part in parts {
        match united.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => united.push(part),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn parts_are_united_where_they_meet() {
        let parts = vec![5..7, 0..2, 2..3, 6..6, 10..12, 1..2, 11..15];
        assert_eq!(united(parts), [0..3, 5..7, 10..15]);
        assert_eq!(united(Vec::new()), []);
    }

    #[test]
    fn data_of_a_sparse_file_is_where_it_was_written() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 << 20).unwrap();
        for at in [0, 40 << 20] {
            file.write_all_at(&[7; 4096], at).unwrap();
        }
        let found = all_data(&file, 64 << 20).unwrap();
        assert_eq!(found.iter().map(|part| part.start).collect::<Vec<_>>(), [0, 40 << 20]);
        assert!(found.iter().map(|part| part.end - part.start).sum::<u64>() < 1 << 20);
    }
}
