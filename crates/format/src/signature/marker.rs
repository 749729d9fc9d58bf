//! The mark of a disk that is being formatted.
//!
//! ```text
//! 0 …                        E                E + 4 KiB          end
//! │ file system, while made │ marker │ not touched until it grows │      E = end in 4 KiB − 1 MiB
//!
//! marker  0        16            20     24           32
//!         │ magic  │ version = 1 │ 0    │ disk size  │ 0 … 4096
//!           16       u32           u32    u64            little endian
//! ```
//! It is on the disk before the first byte of the file system, and is erased after the last one: while
//! it stands, nobody has ever mounted what lies before it, unless something else came onto the disk
//! and left it standing: what has a name of its own, or an ext that was mounted, counts for more. It lies at the start of the last MiB, not at
//! the end: mkfs.xfs wipes the last 128 KiB of the device whatever size it is given (`WHACK_SIZE`).
//! The size of the disk is in it: on a disk that the host has enlarged since, it is no marker any more,
//! and what was half made there is refused.

use super::Probed;
use crate::units::Bytes;
use alloc::{vec, vec::Vec};

/// Length of the marker.
pub const MARKER_SIZE: u64 = 4096;
/// What a new file system leaves free at the end of the disk.
pub const TAIL: Bytes = Bytes::mib(1);

const MAGIC: &[u8; 16] = b"ebbtide-format-1";
const VERSION: u32 = 1;
const PREFIX: usize = 32;

/// Returns where a new file system on a disk of this size ends, and the marker begins; 0 on a disk
/// that has no room for both.
#[must_use]
pub const fn file_system_end(disk: Bytes) -> Bytes {
    Bytes((disk.0 / MARKER_SIZE * MARKER_SIZE).saturating_sub(TAIL.0))
}

/// Returns the marker for a disk of this size.
#[must_use]
pub fn marker(disk: Bytes) -> Vec<u8> {
    let mut bytes = vec![0; MARKER_SIZE as usize];
    bytes[..PREFIX].copy_from_slice(&prefix(disk));
    bytes
}

fn prefix(disk: Bytes) -> [u8; PREFIX] {
    let mut bytes = [0; PREFIX];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..20].copy_from_slice(&VERSION.to_le_bytes());
    bytes[24..].copy_from_slice(&disk.0.to_le_bytes());
    bytes
}

/// Tells whether the disk carries the marker.
pub(super) fn is_there(probed: &Probed) -> bool {
    probed.has(file_system_end(probed.disk()).0, &prefix(probed.disk()))
}
