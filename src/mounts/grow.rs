//! A mounted file system grows to the size of its device.

use super::look;
use crate::kernel::node;
use ebbtide_format::{
    signature::{Content, FileSystem, Kind},
    units::Bytes,
};
use ebbtide_init::private_volume::SLACK;
use ebbtide_sys::resize;
use nix::sys::statvfs::fstatvfs;
use std::{io, os::fd::OwnedFd};

/// Grows a file system through its root, and says so; one that fills its device stays.
///
/// # Errors
/// When it does not grow, with both sizes. It is as good as before then.
pub(crate) fn grow(
    volume: &OwnedFd,
    found: FileSystem,
    device: &str,
    size: Bytes,
) -> io::Result<()> {
    // A log may hold what is not yet in the superblock that was read.
    let is = match found.kind {
        Kind::Xfs => Bytes(resize::xfs_size(volume)?),
        _ => found.size,
    };
    if size.0.saturating_sub(is.0) <= SLACK.0 {
        return Ok(());
    }
    let kind = found.kind.word();
    resize(volume, found.kind, size).map_err(|error| {
        io::Error::other(format!(
            "{kind} on {device} does not grow: wanted {size}, found {is}, which stays: {error}"
        ))
    })?;
    log::info!("{kind} on {device} has grown from {is} to {size}");
    Ok(())
}

/// The same, for a file system that has been mounted for a while. What is no ext, XFS or btrfs stays.
///
/// # Errors
/// As above, and when the device cannot be read.
pub(crate) fn grow_mounted(volume: &OwnedFd, device: &str, size: Bytes) -> io::Result<()> {
    match look::look(&node(device), size)? {
        Content::FileSystem(found)
            if found.kind.is_ext() || matches!(found.kind, Kind::Xfs | Kind::Btrfs) =>
        {
            grow(volume, found, device, size)
        }
        _ => Ok(()),
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
