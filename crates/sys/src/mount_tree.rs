//! Mounts by descriptor: what is checked is what is mounted, whatever happens to its path meanwhile.
//!
//! Both calls are there since Linux 5.2.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// include/uapi/linux/mount.h; the C library has none of them.
const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const NO_PATH: *const libc::c_char = c"".as_ptr();

/// Returns a new mount, nowhere attached, of the directory or file that is open (`O_PATH` does); without
/// what is mounted below it, and with the flags of the mount that it is on. It is gone when it is
/// closed before it has been attached.
///
/// # Errors
/// `EINVAL` when it is on no mount of this namespace.
pub fn clone(of: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as libc::c_uint;
    // SAFETY: the path is a C string that outlives the call; the descriptor is open while borrowed.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, of.as_raw_fd(), NO_PATH, flags) };
    let fd = libc::c_int::try_from(fd).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made the descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Mounts `tree`, from [`clone`], on the directory or file that is open (`O_PATH` does). Paths that are
/// resolved from `tree` see what is mounted below it from then on.
///
/// # Errors
/// `ENOTDIR` when one is a directory and the other is not.
pub fn attach(tree: BorrowedFd<'_>, at: BorrowedFd<'_>) -> io::Result<()> {
    let (tree, at) = (tree.as_raw_fd(), at.as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: the paths are C strings that outlive the call; both descriptors are open while borrowed.
    match unsafe { libc::syscall(libc::SYS_move_mount, tree, NO_PATH, at, NO_PATH, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
