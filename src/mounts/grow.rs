//! A mounted file system grows to the size of its disk.

use ebbtide_format::{
    signature::{FileSystem, Kind},
    units::Bytes,
};
use ebbtide_sys::resize;
use nix::sys::statvfs::fstatvfs;
use std::{io, os::fd::OwnedFd};

/// Grows a file system through its root; a failure is a warning, for it is as good as before.
pub(crate) fn grow(volume: &OwnedFd, found: FileSystem, disk: &str, size: Bytes) {
    let kind = found.kind.word();
    match resize(volume, found.kind, size) {
        Ok(()) => log::info!("{kind} on {disk} has grown from {} to {size}", found.size),
        Err(error) => log::warn!(
            "{kind} on {disk} does not grow: wanted {size}, found {}, which stays: {error}",
            found.size
        ),
    }
}

fn resize(volume: &OwnedFd, kind: Kind, size: Bytes) -> io::Result<()> {
    match kind {
        Kind::Xfs => resize::xfs(volume, size.0),
        Kind::Btrfs => resize::btrfs(volume),
        _ => {
            let block = fstatvfs(volume)?.fragment_size();
            resize::ext4(volume, size.0.checked_div(block).ok_or(io::ErrorKind::InvalidData)?)
        }
    }
}
