//! A user whose number has changed: what belonged to the old one is given to the new one.

use super::{
    open,
    walk::{Place, Visit, walk},
};
use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::stat::{FileStat, fstat},
    unistd::{Gid, Uid, fchownat},
};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// A file system that was made to be walked for ever holds one directory under many names; nobody has
/// this many files in one home.
const MOST_ENTRIES: u64 = 1 << 26;
/// Failures that are told one by one.
const TOLD: u64 = 8;

/// Who owned something, or is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

impl Ids {
    /// Returns the owner of a file.
    pub(crate) const fn of(stat: &FileStat) -> Self {
        Self { uid: stat.st_uid, gid: stat.st_gid }
    }
}

/// What has become of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// How many were given to the new owner.
    pub(crate) changed: u64,
    /// How many could not be, or could not be looked at; the log has the first ones.
    pub(crate) failed: u64,
}

/// Gives what belongs to `from` in and beneath `top` to `to`, user and group each for itself. `top`
/// comes last, so a run that is cut is found to be unfinished by its owner. Files with several names
/// are changed under each; nothing on another mount is.
///
/// # Errors
/// When `top` cannot be read or changed; what fails beneath it is counted.
pub(crate) fn follow(top: BorrowedFd<'_>, from: Ids, to: Ids) -> io::Result<Followed> {
    let mut change = Change { from, to, entries: 0, done: Followed::default() };
    let opened = open::directory(top, ".")?;
    walk(opened.try_clone()?, &mut change)?;
    change.give(opened.as_fd())?;
    Ok(change.done)
}

struct Change {
    from: Ids,
    to: Ids,
    entries: u64,
    done: Followed,
}

impl Change {
    fn concerns(&self, found: Ids) -> bool {
        found.uid == self.from.uid || found.gid == self.from.gid
    }

    /// Changes what is held, as it is now.
    fn give(&mut self, held: BorrowedFd<'_>) -> nix::Result<()> {
        let found = Ids::of(&fstat(held)?);
        let uid = (found.uid == self.from.uid && found.uid != self.to.uid).then_some(self.to.uid);
        let gid = (found.gid == self.from.gid && found.gid != self.to.gid).then_some(self.to.gid);
        if uid.is_none() && gid.is_none() {
            return Ok(());
        }
        let flags = AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW;
        fchownat(held, c"", uid.map(Uid::from_raw), gid.map(Gid::from_raw), flags)?;
        self.done.changed += 1;
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            let text = format!("more than {MOST_ENTRIES} files, the rest keeps its owner");
            return Err(io::Error::other(text));
        }
        Ok(())
    }
}

impl Visit for Change {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> io::Result<()> {
        self.count()?;
        if !self.concerns(Ids::of(stat)) {
            return Ok(());
        }
        match open::pin(dir, name) {
            Err(Errno::ENOENT) => Ok(()),
            held => Ok(self.give(held?.as_fd())?),
        }
    }

    fn enter(&mut self, _dir: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
        self.count()
    }

    fn leave(
        &mut self,
        _dir: BorrowedFd<'_>,
        _name: &CStr,
        left: BorrowedFd<'_>,
    ) -> io::Result<()> {
        Ok(self.give(left)?)
    }

    fn failed(&mut self, place: Place<'_>, error: io::Error) -> io::Result<()> {
        if self.entries > MOST_ENTRIES {
            return Err(error);
        }
        self.done.failed += 1;
        if self.done.failed <= TOLD {
            log::warn!("keeps its owner: {}", place.name(&error));
        }
        Ok(())
    }
}
