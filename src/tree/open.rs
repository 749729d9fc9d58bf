//! Opening what somebody else has made: no link is followed, no mount is crossed, nothing blocks.

use nix::{
    NixPath,
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{FileStat, Mode, SFlag, fstat},
};
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

/// An open for reading or writing never waits, and never makes a terminal that of this process.
const NO_WAIT: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY);

/// Opens a path below `dir`, on the same mount and without links; `mode` is for what is created.
///
/// # Errors
/// `ELOOP` for a link, `EXDEV` for a mount and for a path that leads out.
pub(crate) fn beneath<P: ?Sized + NixPath>(
    dir: BorrowedFd<'_>,
    path: &P,
    flags: OFlag,
    mode: Mode,
) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    let mut flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    if !flags.contains(OFlag::O_PATH) {
        flags |= NO_WAIT;
    }
    let how = OpenHow::new().flags(flags).mode(mode).resolve(resolve);
    // The kernel gives up when something is renamed while it resolves; it is asked a few times.
    for _ in 0..64 {
        match openat2(dir, path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            decided => return decided,
        }
    }
    Err(Errno::EAGAIN)
}

/// Opens a directory below `dir` for reading.
pub(crate) fn directory<P: ?Sized + NixPath>(
    dir: BorrowedFd<'_>,
    path: &P,
) -> nix::Result<OwnedFd> {
    beneath(dir, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
}

/// Opens a regular file below `dir` for reading; anything else is refused.
///
/// # Errors
/// `EINVAL` when it is something else.
pub(crate) fn file<P: ?Sized + NixPath>(
    dir: BorrowedFd<'_>,
    path: &P,
) -> nix::Result<(File, FileStat)> {
    let file = beneath(dir, path, OFlag::O_RDONLY, Mode::empty())?;
    let stat = fstat(&file)?;
    if kind(&stat) == SFlag::S_IFREG { Ok((file.into(), stat)) } else { Err(Errno::EINVAL) }
}

/// Takes hold of what is below `dir`, whatever it is, a link too, without opening it.
pub(crate) fn pin<P: ?Sized + NixPath>(dir: BorrowedFd<'_>, path: &P) -> nix::Result<OwnedFd> {
    beneath(dir, path, OFlag::O_PATH, Mode::empty())
}

/// Opens for reading what is held: a directory, or a regular file.
///
/// # Errors
/// `EINVAL` when it is something else.
pub(crate) fn again(held: BorrowedFd<'_>) -> io::Result<File> {
    match kind(&fstat(held)?) {
        SFlag::S_IFDIR => Ok(directory(held, ".")?.into()),
        SFlag::S_IFREG => File::open(format!("/proc/self/fd/{}", held.as_raw_fd())),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Returns what kind of file a status describes.
pub(crate) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Returns the name of a kind of file, for messages.
pub(crate) fn word(kind: SFlag) -> &'static str {
    match kind {
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFREG => "a regular file",
        SFlag::S_IFLNK => "a symbolic link",
        SFlag::S_IFIFO => "a pipe",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device node",
    }
}
