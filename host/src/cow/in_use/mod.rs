//! Whether somebody else uses a COW file or a backing file, and keeping others from it for a while.
//!
//! | who | says so by |
//! |---|---|
//! | user-mode Linux | a POSIX lock of the whole file: to write on a COW file, to read on its backing (arch/um/os-Linux/file.c, `os_lock_file`); none with the flag `c` |
//! | QEMU | OFD locks to read of byte 100 + p for what it does, 200 + p for what it allows nobody else (block/file-posix.c) |
//! | a loop device | nothing: it has the file open |
//! | a mount, a mapped device | having the device for itself (`O_EXCL`) |
//!
//! POSIX and OFD locks see each other; those of a device are of its node, and not seen by another node of it. What we hold
//! is an OFD lock: it goes with the opening, and only then.

mod locks;
mod who;

pub use who::User;

use super::{Disk, Kind};
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use ebbtide_sys::lease;
use locks::{has_no_locks, lock, locked};
use nix::{errno::Errno, libc};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
};
use who::{process, somebody};

/// What others may do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Read it.
    MayRead,
    /// Nothing. The disk must be open to be written, and nowhere else in this program.
    MayNot,
}

/// Others are kept away until this and the disk that it was taken of are dropped.
#[derive(Debug)]
#[must_use]
pub struct Held {
    /// The opening that has the device for itself.
    _device: Option<File>,
}

/// Returns who has a device open, as far as that can be told.
#[cfg(feature = "dm")]
pub(crate) fn users(device: &std::path::Path) -> Vec<String> {
    let Ok(disk) = Disk::open(device) else { return Vec::new() };
    match somebody(&disk) {
        User::Unknown => Vec::new(),
        user => vec![user.to_string()],
    }
}

/// Keeps others away from it.
///
/// A lock is of the opening, `disk.file`: who drops that gives it back.
///
/// # Errors
/// Busy: somebody uses it in a way that does not go with this; it is named where that can be told.
pub fn hold(disk: &Disk, others: Others) -> Result<Held> {
    let busy = |user| Err(refusal(disk, &user, others).into());
    if let Some(user) = user(disk, others)? {
        return busy(user);
    }
    // Who opened a device to write has it for itself already.
    let is_to_claim = disk.kind == Kind::Device && others == Others::MayRead;
    let device = is_to_claim.then(|| claimed(disk).map_err(failed(disk))).transpose()?;
    for (from, length, kind) in others.locks() {
        match lock(&disk.file, *from, *length, *kind) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return busy(somebody(disk)),
            Err(errno) if has_no_locks(errno) => {
                log::warn!(
                    "{} cannot be locked ({}): nobody may use it now",
                    disk.path.display(),
                    errno.desc()
                );
            }
            Err(errno) => return Err(failed(disk)(errno.into())),
        }
    }
    Ok(Held { _device: device })
}

/// Returns who uses it in a way that does not go with what others may do. That nobody has a device for himself is looked
/// at only where others may read it: who opened it to write has it himself.
///
/// # Errors
/// The kernel's.
pub fn user(disk: &Disk, others: Others) -> Result<Option<User>> {
    for (from, length, kind) in others.tests() {
        match locked(&disk.file, *from, *length, *kind) {
            Ok(None) => {}
            Ok(Some(pid)) => return Ok(Some(process(pid).unwrap_or_else(|| somebody(disk)))),
            Err(errno) if has_no_locks(errno) => {}
            Err(errno) => return Err(failed(disk)(errno.into())),
        }
    }
    match (disk.kind, others) {
        (Kind::File, _) => has_it_open(disk, others),
        (Kind::Device, Others::MayNot) => Ok(None),
        (Kind::Device, Others::MayRead) => match claimed(disk) {
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(Some(somebody(disk))),
            Err(error) => Err(failed(disk)(error)),
        },
    }
}

/// Returns who has a file open without a lock, in a way that does not go with what others may do.
fn has_it_open(disk: &Disk, others: Others) -> Result<Option<User>> {
    let is_open = match others {
        Others::MayRead => lease::is_written(&disk.file),
        Others::MayNot => lease::is_opened(&disk.file),
    };
    match is_open {
        Ok(true) => Ok(Some(somebody(disk))),
        Ok(false) => Ok(None),
        Err(error) => {
            log::debug!("who has {} open cannot be told: {error}", disk.path.display());
            Ok(None)
        }
    }
}

/// Opens a device once more, for ourselves alone.
fn claimed(disk: &Disk) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_EXCL | libc::O_NONBLOCK).open(&disk.path)
}

fn failed(disk: &Disk) -> impl FnOnce(io::Error) -> Error {
    Error::doing(format!("lock {}", disk.path.display()))
}

fn refusal(disk: &Disk, user: &User, others: Others) -> Refusal {
    let does = if others == Others::MayRead { "writes to" } else { "uses" };
    let text = format!("{user} {does} {}", disk.path.display());
    Refusal::new(RefusalKind::Busy, text).hint("stop it first")
}
