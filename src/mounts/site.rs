//! The mounted root that the mounts are made in.

use ebbtide_init::{observed::Observed, options::MAPPED_ROOT};
use nix::{
    errno::Errno,
    mount::MsFlags,
    sys::statvfs::{FsFlags, fstatvfs},
};
use std::{
    cell::Cell,
    fs::File,
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// The root, as it is mounted: at `/sysroot` in an initramfs, at `/` later.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its directory; every path of the root is resolved beneath it.
    root: File,
    path: PathBuf,
    /// Whether what is written to it is gone at the end: it is over a snapshot.
    pub(crate) forgets: bool,
    /// How it is mounted, apart from whether it can be written.
    flags: MsFlags,
    made_writable: Cell<bool>,
}

impl Site {
    /// Opens the root at `path`.
    ///
    /// # Errors
    /// When there is no directory.
    pub(crate) fn at(path: &Path, observed: &Observed) -> io::Result<Self> {
        let forgets = observed.mapped.iter().any(|mapped| mapped.name == MAPPED_ROOT);
        let root = File::open(path).map_err(|error| crate::root::named(path, &error))?;
        let found = fstatvfs(&root).map_err(|errno| crate::root::named(path, &errno.into()))?;
        let flags = kept(found.flags());
        Ok(Self { root, path: path.to_owned(), forgets, flags, made_writable: Cell::new(false) })
    }

    /// Returns its directory.
    pub(crate) fn root(&self) -> std::os::fd::BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Returns where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Does something that may write to the root. An initramfs mounts the root read-only; then it is
    /// made writable until [`Site::leave`].
    ///
    /// # Errors
    /// What `work` fails with, for another reason than a read-only mount.
    pub(crate) fn writing<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(error) if error.raw_os_error() == Some(Errno::EROFS as i32) => {
                self.remount(MsFlags::empty())?;
                self.made_writable.set(true);
                log::info!(
                    "{} is writable for as long as mount points are made",
                    self.path.display()
                );
                work()
            }
            done => done,
        }
    }

    /// Leaves the root as it was found.
    pub(crate) fn leave(&self) {
        if self.made_writable.replace(false)
            && let Err(error) = self.remount(MsFlags::MS_RDONLY)
        {
            log::warn!("{} stays writable: {error}", self.path.display());
        }
    }

    fn remount(&self, flags: MsFlags) -> io::Result<()> {
        let none = None::<&str>;
        let flags = MsFlags::MS_REMOUNT | self.flags | flags;
        Ok(nix::mount::mount(none, &self.path, none, flags, none)?)
    }
}

/// Returns the flags that a remount has to name, or they are gone. How access times are kept stays as
/// it is when nothing is named, and what is named stands for all of it.
fn kept(found: FsFlags) -> MsFlags {
    let pairs = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_SYNCHRONOUS, MsFlags::MS_SYNCHRONOUS),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
    ];
    let named = pairs.into_iter().filter(|(flag, _)| found.contains(*flag));
    named.fold(MsFlags::empty(), |all, (_, flag)| all | flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remount_names_the_flags_that_are_there() {
        let found = FsFlags::ST_RDONLY | FsFlags::ST_NOSUID | FsFlags::ST_NODEV;
        assert_eq!(kept(found), MsFlags::MS_NOSUID | MsFlags::MS_NODEV);
        let found = FsFlags::ST_NOATIME | FsFlags::ST_NODIRATIME | FsFlags::ST_NOEXEC;
        let times = MsFlags::MS_NOATIME | MsFlags::MS_NODIRATIME;
        assert_eq!(kept(found), times | MsFlags::MS_NOEXEC);
        assert_eq!(kept(FsFlags::empty()), MsFlags::empty());
    }
}
