//! By what a file or a device is known while this program runs.

use std::{
    fs::Metadata,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
};

/// A file, or a block device by whatever name: there may be many nodes of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// What is no block device: the device of its file system, and its inode.
    Inode(u64, u64),
    /// A block device, by its number.
    Device(u64),
}

impl Node {
    /// Returns what that is which was looked at.
    #[must_use]
    pub fn of(found: &Metadata) -> Self {
        if found.file_type().is_block_device() {
            return Self::Device(found.rdev());
        }
        Self::Inode(found.dev(), found.ino())
    }
}
