//! One thing to do, with nothing left to decide.

use crate::{encrypted::Encrypted, layout::Extent, options::MAPPED_ROOT};
use alloc::string::String;
use core::fmt;
use ebbtide_format::{
    dm_table::{Crypt, Snapshot},
    gpt_table::Table,
    swap::SwapArea,
    units::{Bytes, Sectors},
};

/// Where the markers stand; `09-ebbtide.rules` reads those about devices.
pub const MARKERS: &str = "/run/ebbtide";

/// A file that tells udev's rules, or the next run, what is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The partition of this name is a copy-on-write store, whatever its blocks look like.
    Cow(String),
    /// The device of this number is the root itself.
    Root(String),
    /// Everything has been set up. No rule reads it: it tells a second run from the rest of one that
    /// was cut, which a link that udev has made does not.
    Ready,
    /// `mounts` has done its work.
    Mounts,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cow(name) => write!(f, "{MARKERS}/cow/{name}"),
            Self::Root(number) => write!(f, "{MARKERS}/root/{number}"),
            Self::Ready => write!(f, "{MARKERS}/ready"),
            Self::Mounts => write!(f, "{MARKERS}/mounts"),
        }
    }
}

/// What the link to the root leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The mapped device.
    Mapped,
    /// The device of this name below `/dev`.
    Device(String),
}

/// A step. Devices are named without `/dev/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Opens the disk, locks it against udev, and makes sure that nobody uses it.
    Claim {
        /// The disk.
        disk: String,
    },
    /// Discards the whole disk.
    Discard {
        /// The disk.
        disk: String,
        /// Its size.
        size: Sectors,
    },
    /// Makes the kernel forget a partition.
    RemovePartition {
        /// The disk.
        disk: String,
        /// Number of the partition.
        index: u32,
        /// Name that the kernel gives it.
        device: String,
    },
    /// Writes both ends of a partition table, and waits until they are on the disk.
    WriteTable {
        /// The disk.
        disk: String,
        /// The table.
        table: Table,
    },
    /// Leaves a marker for udev.
    Mark(Marker),
    /// Makes a partition known to the kernel.
    AddPartition {
        /// The disk.
        disk: String,
        /// Number of the partition.
        index: u32,
        /// Name that the kernel gives it.
        device: String,
        /// Where it is.
        extent: Extent,
    },
    /// Draws a random key, gives it to the kernel, and maps a partition through it.
    Encrypt {
        /// What for.
        part: Encrypted,
        /// Its table.
        crypt: Crypt,
        /// Its identifier in device-mapper.
        uuid: String,
    },
    /// Writes a swap header, and zeros over the places behind it where signatures can be.
    WriteSwap {
        /// The partition, or what it is encrypted as.
        device: String,
        /// The area.
        area: SwapArea,
        /// Bytes to write.
        length: Bytes,
    },
    /// Writes zeros over the header of a store, so that no old exceptions are replayed.
    ClearStore {
        /// The partition, or what it is encrypted as.
        device: String,
        /// Bytes to write.
        length: Bytes,
    },
    /// Removes a mapped root that never started, which an earlier run has left.
    RemoveUnstarted,
    /// Removes the encryption of a partition, which an earlier run has left, with its key.
    RemoveEncrypted {
        /// What it was for.
        part: Encrypted,
    },
    /// Maps the snapshot.
    Map {
        /// Its table.
        snapshot: Snapshot,
        /// Its identifier in device-mapper.
        uuid: String,
    },
    /// Rewrites a range of the mapped root with its own content: the first chunks of the store then
    /// hold the end of the root, not its superblock.
    Occupy {
        /// Offset.
        at: Bytes,
        /// Length.
        length: Bytes,
    },
    /// Swaps to a partition.
    SwapOn {
        /// The partition, or what it is encrypted as.
        device: String,
    },
    /// Makes `/dev/mapper/dmroot`.
    Link {
        /// What it leads to.
        target: Target,
    },
    /// Asks udev to look at a device again.
    Announce {
        /// The device.
        device: String,
    },
}

/// How a step is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Makes the kernel forget a partition.
    RemovePartition {
        /// The disk.
        disk: String,
        /// Number of the partition.
        index: u32,
        /// Name that the kernel gives it.
        device: String,
    },
    /// Takes a marker away.
    Unmark(Marker),
    /// Removes the encryption of a partition, with its key.
    Decrypt {
        /// What it was for.
        part: Encrypted,
    },
    /// Removes the mapped device.
    Unmap,
    /// Stops swapping.
    SwapOff {
        /// The partition.
        device: String,
    },
    /// Removes `/dev/mapper/dmroot`.
    Unlink,
}

impl Step {
    /// Returns how the step is taken back, or `None` where there is nothing to take back: what was
    /// written to the volatile disk carries no promise.
    #[must_use]
    pub fn undo(&self) -> Option<Undo> {
        match self {
            Self::Mark(marker) => Some(Undo::Unmark(marker.clone())),
            Self::AddPartition { disk, index, device, .. } => Some(Undo::RemovePartition {
                disk: disk.clone(),
                index: *index,
                device: device.clone(),
            }),
            Self::Encrypt { part, .. } => Some(Undo::Decrypt { part: *part }),
            Self::Map { .. } => Some(Undo::Unmap),
            Self::SwapOn { device } => Some(Undo::SwapOff { device: device.clone() }),
            Self::Link { .. } => Some(Undo::Unlink),
            Self::Claim { .. }
            | Self::Discard { .. }
            | Self::RemovePartition { .. }
            | Self::RemoveUnstarted
            | Self::RemoveEncrypted { .. }
            | Self::WriteTable { .. }
            | Self::WriteSwap { .. }
            | Self::ClearStore { .. }
            | Self::Occupy { .. }
            | Self::Announce { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { disk } => write!(f, "claim {disk}"),
            Self::Discard { disk, size } => write!(f, "discard {disk}, {size}"),
            Self::RemovePartition { disk, index, .. } => {
                write!(f, "forget partition {index} of {disk}")
            }
            Self::WriteTable { disk, .. } => write!(f, "write partition table to {disk}"),
            Self::Mark(marker) => write!(f, "mark {marker}"),
            Self::AddPartition { disk, index, extent, .. } => {
                write!(f, "add partition {index} to {disk}, {} at {}", extent.length, extent.start)
            }
            Self::Encrypt { part, crypt, .. } => write!(f, "encrypt {}: {crypt}", part.name()),
            Self::WriteSwap { device, .. } => write!(f, "write swap header to {device}"),
            Self::ClearStore { device, length } => write!(f, "clear {length} of {device}"),
            Self::RemoveUnstarted => write!(f, "remove {MAPPED_ROOT}, which never started"),
            Self::RemoveEncrypted { part } => {
                write!(f, "remove {} of an earlier run", part.name())
            }
            Self::Map { snapshot, .. } => write!(f, "map {MAPPED_ROOT}: {snapshot}"),
            Self::Occupy { at, length } => {
                write!(f, "rewrite {length} of {MAPPED_ROOT} at {at} with themselves")
            }
            Self::SwapOn { device } => write!(f, "swap on {device}"),
            Self::Link { target: Target::Mapped } => write!(f, "link /dev/mapper/{MAPPED_ROOT}"),
            Self::Link { target: Target::Device(device) } => {
                write!(f, "link /dev/mapper/{MAPPED_ROOT} to {device}")
            }
            Self::Announce { device } => write!(f, "announce {device}"),
        }
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemovePartition { disk, index, .. } => {
                write!(f, "forget partition {index} of {disk}")
            }
            Self::Unmark(marker) => write!(f, "take {marker} away"),
            Self::Decrypt { part } => write!(f, "remove {}", part.name()),
            Self::Unmap => write!(f, "remove {MAPPED_ROOT}"),
            Self::SwapOff { device } => write!(f, "swap off {device}"),
            Self::Unlink => write!(f, "remove /dev/mapper/{MAPPED_ROOT}"),
        }
    }
}
