//! Keys that the kernel keeps for its own use: no program can read them back.
//!
//! They are of the type `logon`, in the keyring of the user, root. That one outlives the process,
//! unlike a session's, so a table that names such a key can be loaded again later. Source:
//! Documentation/security/keys/core.rst of the kernel; the numbers: include/uapi/linux/keyctl.h.

use crate::key::Key;
use std::{ffi::CStr, io};

const LOGON: &CStr = c"logon";
const PROCESS: libc::c_long = -2;
const USER: libc::c_long = -4;
const LINK: libc::c_long = 8;
const UNLINK: libc::c_long = 9;
const SEARCH: libc::c_long = 10;

/// Lets this process, and with it the kernel on its behalf, find the keys of its user.
///
/// A process of a service has a session of its own, in which they are not.
///
/// # Errors
/// `ENOSYS` on a kernel without keyrings.
pub fn join_users() -> io::Result<()> {
    // SAFETY: the operation takes two numbers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, LINK, USER, PROCESS) }).map(drop)
}

/// Gives a key to the kernel; one of the same description is replaced. A description of this type
/// has a colon in it.
///
/// # Errors
/// `ENOSYS` on a kernel without keyrings.
pub fn add<const N: usize>(description: &CStr, key: &Key<'_, N>) -> io::Result<()> {
    let (kind, name, bytes) = (LOGON.as_ptr(), description.as_ptr(), key.bytes());
    // SAFETY: both texts are C strings, and the kernel reads as many bytes as the slice has.
    let added =
        unsafe { libc::syscall(libc::SYS_add_key, kind, name, bytes.as_ptr(), bytes.len(), USER) };
    check(added).map(drop)
}

/// Takes a key away; whoever uses it has it until it is done.
///
/// # Errors
/// `ENOKEY` when there is none of that description.
pub fn remove(description: &CStr) -> io::Result<()> {
    let (kind, name, to) = (LOGON.as_ptr(), description.as_ptr(), 0 as libc::c_long);
    // SAFETY: both texts are C strings.
    let found = unsafe { libc::syscall(libc::SYS_keyctl, SEARCH, USER, kind, name, to) };
    let key = check(found)?;
    // SAFETY: the operation takes two numbers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, UNLINK, key, USER) }).map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
