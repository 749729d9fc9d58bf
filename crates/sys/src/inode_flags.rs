//! Flags of an inode that `chattr` sets.

use crate::ioctl;
use std::{fs::File, io};

/// `_IOR('f', 1, long)`, include/uapi/linux/fs.h; what it writes is an `int`.
const FS_IOC_GETFLAGS: libc::Ioctl = ioctl::read(b'f', 1, size_of::<libc::c_long>());
/// What is written goes to where it was.
const FS_NOCOW_FL: libc::c_int = 0x0080_0000;

/// Returns whether content is written over in its place, on a file system that writes elsewhere by itself (`chattr +C`).
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` when the file system has no such flags.
pub fn is_nocow(file: &File) -> io::Result<bool> {
    // As large as the request says.
    let mut flags: [libc::c_int; 2] = [0; 2];
    // SAFETY: FS_IOC_GETFLAGS writes one int, or at most the long that its number tells, which the array holds.
    unsafe { ioctl::with_pointer(file, FS_IOC_GETFLAGS, &raw mut flags) }?;
    Ok(flags[0] & FS_NOCOW_FL != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_kernels() {
        assert_eq!(FS_IOC_GETFLAGS, libc::FS_IOC_GETFLAGS);
    }
}
