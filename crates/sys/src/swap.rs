//! Swap areas: on and off.

use crate::outcome::check;
use std::{
    ffi::{CStr, CString},
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// Starts swapping to the area at `path`.
///
/// # Errors
/// `EINVAL` when there is no swap header, `EBUSY` when it is in use.
pub fn on(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    check(swapon(&path))
}

/// Stops swapping to the area at `path`; returns when every page has been read back.
///
/// # Errors
/// `EINVAL` when it is not in use as swap, `ENOMEM` when its pages have no room in memory.
pub fn off(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    check(swapoff(&path))
}

fn swapon(path: &CStr) -> libc::c_int {
    // SAFETY: the path is a C string that outlives the call.
    unsafe { libc::swapon(path.as_ptr(), 0) }
}

fn swapoff(path: &CStr) -> libc::c_int {
    // SAFETY: the path is a C string that outlives the call.
    unsafe { libc::swapoff(path.as_ptr()) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
