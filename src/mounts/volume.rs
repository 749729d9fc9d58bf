//! The private disk, mounted.

use std::os::fd::OwnedFd;

/// The private disk's file system. Whoever used the machine may have put anything into it: a path below
/// it is resolved beneath [`Volume::root`], and never through a symbolic link.
#[derive(Debug)]
pub(crate) struct Volume {
    /// Its root, opened through the mount at its place.
    pub(crate) root: OwnedFd,
    /// Whether it can only be read.
    pub(crate) read_only: bool,
}
