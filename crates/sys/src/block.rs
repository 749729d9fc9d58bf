//! Block devices as a whole.

use crate::ioctl;
use std::{fs::File, io, ops::Range};

/// `_IO(0x12, 119)`, include/uapi/linux/fs.h.
const BLKDISCARD: libc::Ioctl = ioctl::plain(0x12, 119);

/// Discards a range of bytes: afterwards the device may hold anything there, mostly zeros, and a
/// sparse image behind it has given the space back. Returns once the device has done it.
///
/// # Errors
/// `EOPNOTSUPP` when the device does not discard, `EINVAL` when the range is not in whole logical
/// blocks or reaches past the end.
pub fn discard(disk: &File, range: Range<u64>) -> io::Result<()> {
    let mut argument = [range.start, range.end.saturating_sub(range.start)];
    // SAFETY: BLKDISCARD reads two u64, which the array holds, and writes none.
    unsafe { ioctl::with_pointer(disk, BLKDISCARD, &raw mut argument) }
}
