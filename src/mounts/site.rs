//! The mounted root that the mounts are made in.

use ebbtide_init::{observed::Observed, options::MAPPED_ROOT};
use nix::{errno::Errno, mount::MsFlags};
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
        Ok(Self { root, path: path.to_owned(), forgets, made_writable: Cell::new(false) })
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
        let flags = MsFlags::MS_REMOUNT | flags;
        Ok(nix::mount::mount(none, &self.path, none, flags, none)?)
    }
}
