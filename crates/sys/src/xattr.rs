//! Extended attributes of an open file.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Reads the names, each with a zero at its end, into `names`; returns how many bytes they take.
///
/// # Errors
/// `EOPNOTSUPP` when the file system has none, `ERANGE` when there is too little room.
pub fn list(file: BorrowedFd<'_>, names: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes to the slice.
    let got = unsafe { libc::flistxattr(file.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Reads a value into `value`; returns how many bytes it takes.
///
/// # Errors
/// `ENODATA` when there is none of that name, `ERANGE` when there is too little room.
pub fn get(file: BorrowedFd<'_>, name: &CStr, value: &mut [u8]) -> io::Result<usize> {
    let (room, length) = (value.as_mut_ptr().cast(), value.len());
    // SAFETY: the name is a C string, and the kernel writes at most `length` bytes to the slice.
    let got = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), room, length) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Sets a value.
///
/// # Errors
/// `EOPNOTSUPP` when the file system does not keep attributes of that name.
pub fn set(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    let (bytes, length) = (value.as_ptr().cast(), value.len());
    // SAFETY: the name is a C string, and the kernel reads `length` bytes from the slice.
    let got = unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), bytes, length, 0) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
