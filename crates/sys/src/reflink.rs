//! Extents that two files share: cloned, not copied.

use crate::ioctl;
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, RawFd},
};

/// `_IOW(0x94, 9, int)`, include/uapi/linux/fs.h.
const FICLONE: libc::Ioctl = ioctl::write(0x94, 9, size_of::<RawFd>());
/// `_IOW(0x94, 13, struct file_clone_range)`.
const FICLONERANGE: libc::Ioctl = ioctl::write(0x94, 13, size_of::<CloneRange>());

/// `struct file_clone_range`.
#[repr(C)]
struct CloneRange {
    from: i64,
    from_offset: u64,
    length: u64,
    to_offset: u64,
}

/// Makes the content and the length of `to` those of `from`; both share all extents until one is written to. What is
/// written to `from` and not yet on its disk is written there first; the clone itself is durable after a sync of `to`.
///
/// # Errors
/// `EOPNOTSUPP`, `EXDEV`, `EINVAL`, `EBADF`, `ENOTTY` or `ENOSYS`, depending on the file system, when it cannot; `to` is
/// unchanged then. Whatever else ended a clone (`ENOSPC`, `EDQUOT`, `EIO`) may leave a part of it.
pub fn clone(from: &File, to: &File) -> io::Result<()> {
    // FICLONE's argument is the descriptor itself, in the place of a pointer.
    let from = std::ptr::without_provenance_mut::<u8>(
        usize::try_from(from.as_raw_fd()).unwrap_or(usize::MAX),
    );
    // SAFETY: FICLONE reads and writes no memory of ours; the source is borrowed, so it is open.
    unsafe { ioctl::with_pointer(to, FICLONE, from) }
}

/// Makes `length` bytes of `to` at `to_offset` those of `from` at `from_offset`. All three are whole blocks of the file
/// system, but that the range may end at the end of `from`; a `length` of 0 means up to there.
///
/// # Errors
/// As [`clone`]; `EINVAL` also when a range is not in whole blocks.
pub fn clone_range(
    from: &File,
    from_offset: u64,
    length: u64,
    to: &File,
    to_offset: u64,
) -> io::Result<()> {
    let mut range = CloneRange { from: from.as_raw_fd().into(), from_offset, length, to_offset };
    // SAFETY: FICLONERANGE reads the structure and keeps nothing; the source is borrowed, so it is open.
    unsafe { ioctl::with_pointer(to, FICLONERANGE, &raw mut range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_kernels() {
        assert_eq!((FICLONE, FICLONERANGE), (libc::FICLONE, libc::FICLONERANGE));
    }
}
