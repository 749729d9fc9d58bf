//! The one place that calls `ioctl(2)`.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Calls `ioctl` with a pointer to `argument`.
///
/// # Safety
/// `request` must be an ioctl that reads and writes no more than the memory that `argument` spans,
/// counting only what `argument` itself says is there, and that keeps no pointer to it.
pub(crate) unsafe fn with_pointer<T: ?Sized>(
    file: impl AsFd,
    request: libc::Ioctl,
    argument: *mut T,
) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed, so it is open; the caller vouches for the argument.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), request, argument.cast::<u8>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns an ioctl request that reads and writes `size` bytes: `_IOWR(kind, number, size)` of the
/// kernel's include/uapi/asm-generic/ioctl.h.
pub(crate) const fn read_write(kind: u8, number: u8, size: usize) -> libc::Ioctl {
    (3 << 30) | ((size as libc::Ioctl) << 16) | ((kind as libc::Ioctl) << 8) | number as libc::Ioctl
}

/// Returns an ioctl request that reads `size` bytes of ours: `_IOW(kind, number, size)`.
pub(crate) const fn write(kind: u8, number: u8, size: usize) -> libc::Ioctl {
    (1 << 30) | ((size as libc::Ioctl) << 16) | plain(kind, number)
}

/// Returns an ioctl request that writes `size` bytes for us: `_IOR(kind, number, size)`.
pub(crate) const fn read(kind: u8, number: u8, size: usize) -> libc::Ioctl {
    (2 << 30) | ((size as libc::Ioctl) << 16) | plain(kind, number)
}

/// Returns an ioctl request without a size: `_IO(kind, number)`.
pub(crate) const fn plain(kind: u8, number: u8) -> libc::Ioctl {
    ((kind as libc::Ioctl) << 8) | number as libc::Ioctl
}
