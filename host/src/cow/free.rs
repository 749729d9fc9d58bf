//! How much a file system has free.

use super::Disk;
use crate::{Error, Result};
use ebbtide_format::units::Bytes;
use nix::sys::statvfs::fstatvfs;

/// Returns how much the file system of a file has free for whoever asks. What is free and not available, ext4 keeps for
/// itself, and some of it for root: that is not counted on, by root neither.
///
/// # Errors
/// The kernel's.
pub(super) fn free(on: &Disk) -> Result<Bytes> {
    let doing = format_args!("look at the file system of {}", on.path.display());
    let found = fstatvfs(&on.file).map_err(|errno| Error::doing(doing)(errno.into()))?;
    Ok(Bytes(found.blocks_available().saturating_mul(found.fragment_size())))
}
