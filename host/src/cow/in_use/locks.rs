//! Locks of bytes: those of user-mode Linux and QEMU, and ours.

use super::Others;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};
use std::fs::File;

/// From, length (0: to the end), kind.
type Lock = (i64, i64, i32);

/// QEMU's bits: it reads consistent content, it writes, it resizes.
const QEMU_READS: i64 = 0;
const QEMU_WRITES: i64 = 1;
const QEMU_RESIZES: i64 = 3;
const QEMU_DOES: i64 = 100;
const QEMU_FORBIDS: i64 = 200;

impl Others {
    /// What we lock. With a read lock anywhere user-mode Linux gets no lock to write; these bytes tell QEMU that we read and
    /// want nobody to write, and so let it read.
    pub(super) const fn locks(self) -> &'static [Lock] {
        match self {
            Self::MayRead => &[
                (QEMU_DOES + QEMU_READS, 1, libc::F_RDLCK),
                (QEMU_FORBIDS + QEMU_WRITES, 1, libc::F_RDLCK),
                (QEMU_FORBIDS + QEMU_RESIZES, 1, libc::F_RDLCK),
            ],
            Self::MayNot => &[(0, 0, libc::F_WRLCK)],
        }
    }

    /// What nobody may have locked against a lock of that kind.
    pub(super) const fn tests(self) -> &'static [Lock] {
        match self {
            Self::MayRead => &[
                (0, 0, libc::F_RDLCK),
                (QEMU_DOES + QEMU_WRITES, 1, libc::F_WRLCK),
                (QEMU_DOES + QEMU_RESIZES, 1, libc::F_WRLCK),
                (QEMU_FORBIDS + QEMU_READS, 1, libc::F_WRLCK),
            ],
            Self::MayNot => &[(0, 0, libc::F_WRLCK)],
        }
    }
}

fn flock((from, length, kind): Lock) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: from,
        l_len: length,
        l_pid: 0,
    }
}

pub(super) fn lock(file: &File, from: i64, length: i64, kind: i32) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&flock((from, length, kind)))).map(drop)
}

/// Returns the process that has a lock in the way; 0 or -1 for one that cannot be told.
pub(super) fn locked(file: &File, from: i64, length: i64, kind: i32) -> nix::Result<Option<i32>> {
    let mut asked = flock((from, length, kind));
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked))?;
    // A lock of all bytes to read is not one of QEMU's, though theirs are among them.
    let is_for_qemu = from >= QEMU_DOES && asked.l_start < QEMU_DOES;
    let is_free = i32::from(asked.l_type) == libc::F_UNLCK;
    let is_reader = i32::from(asked.l_type) == libc::F_RDLCK && is_for_qemu;
    Ok((!is_free && !is_reader).then_some(asked.l_pid))
}

/// Some network file systems have none.
pub(super) const fn has_no_locks(errno: Errno) -> bool {
    matches!(errno, Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL)
}
