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
