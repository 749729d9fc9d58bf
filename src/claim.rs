//! The volatile disk, open and locked for as long as it is being set up.

use crate::{direct, root::named};
use ebbtide_sys::lock;
use std::{fs::File, io, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

/// A disk under an exclusive lock.
///
/// The lock is the convention by which udevd leaves a disk alone (systemd's `BLOCK_DEVICE_LOCKING`):
/// without it udevd re-reads the table at the wrong moment and adds the partitions itself. It is held
/// to the end of the process, so that the re-read, which a close after writing sets off, comes when
/// everything is in use and finds nothing to change.
#[derive(Debug)]
pub(crate) struct Claim {
    file: File,
    /// The kernel refuses this open when the disk, or a part of it, is mounted, mapped or swapped to.
    alone: Option<File>,
}

impl Claim {
    /// Opens and locks the disk, waiting at most `patience` for the lock.
    ///
    /// # Errors
    /// `EBUSY` when the disk is in use, `TimedOut` when somebody keeps it locked.
    pub(crate) fn take(path: &Path, patience: Duration) -> io::Result<Self> {
        let file = direct::open(path)?;
        lock::exclusive(&file, patience).map_err(|e| named(path, &e))?;
        let mut exclusively = File::options();
        exclusively.read(true).custom_flags(nix::libc::O_EXCL);
        let alone = exclusively.open(path).map_err(|e| named(path, &e))?;
        Ok(Self { file, alone: Some(alone) })
    }

    /// Returns the open disk; it is written past the page cache.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives up the exclusive open, which would keep swap and device-mapper from the partitions; the
    /// lock stays.
    pub(crate) fn let_partitions_be_claimed(&mut self) {
        self.alone = None;
    }
}
