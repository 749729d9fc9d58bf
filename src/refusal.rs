//! Why nothing was done.
//!
//! Every refusal names the thing, what was wanted and what was found; [`Refusal::hint`] says what to
//! do about it.

use crate::{
    observed::{Mapped, Usage},
    options::Choice,
    role::Role,
};
use alloc::string::String;
use core::fmt;
use ebbtide_format::units::{Bytes, Chunk, Sectors};

/// Why there is no plan.
#[derive(Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A disk is not there (yet).
    Missing {
        /// Which.
        role: Role,
        /// How it was looked for.
        choice: Choice,
        /// The disks that are there, described.
        found: String,
    },
    /// More than one device answers to a choice.
    Ambiguous {
        /// Which.
        role: Role,
        /// How it was looked for.
        choice: Choice,
        /// The names of the devices.
        found: String,
    },
    /// The root disk has partitions, and none is known as the root.
    NoRootPartition {
        /// The disk.
        disk: String,
        /// Its partitions, described.
        found: String,
    },
    /// Several partitions of the root disk have the type, or the name, of a root.
    SeveralRootPartitions {
        /// The disk.
        disk: String,
        /// Those partitions, described.
        found: String,
    },
    /// One device was found for two roles.
    SameDevice {
        /// The device.
        device: String,
        /// First role.
        first: Role,
        /// Second role.
        second: Role,
    },
    /// A partition was given where a whole disk is wanted.
    NotAWholeDisk {
        /// The partition.
        device: String,
    },
    /// The volatile disk cannot be written.
    ReadOnly {
        /// The disk.
        disk: String,
    },
    /// A disk that has to be free, or a part of it, is in use.
    InUse {
        /// Which.
        role: Role,
        /// The disk.
        disk: String,
        /// The part that is in use; the disk itself for the whole.
        part: String,
        /// By whom.
        usage: Usage,
    },
    /// The volatile disk has a block size that no table of ours is written with.
    BlockSize {
        /// The disk.
        disk: String,
        /// What it has.
        found: Bytes,
    },
    /// The volatile disk is too small.
    TooSmall {
        /// The disk.
        disk: String,
        /// What it has.
        found: Sectors,
        /// Swap that was asked for.
        swap: Bytes,
        /// The least room for copy-on-write.
        cow: Bytes,
        /// What both need with the partition table and alignment.
        needed: Bytes,
    },
    /// The snapshot cannot copy in units of `chunk` on a disk with larger blocks.
    ChunkBelowBlock {
        /// The disk.
        disk: String,
        /// Its logical block.
        block: Bytes,
        /// The chunk.
        chunk: Chunk,
    },
    /// The root's size is not whole in the blocks that the snapshot will have.
    RootNotInBlocks {
        /// The root.
        root: String,
        /// Its size.
        size: Sectors,
        /// The larger of both logical blocks.
        block: Bytes,
    },
    /// Store `N` was asked for, and the copy-on-write room can fill.
    CanFill {
        /// Room that there is.
        found: Sectors,
        /// Room that cannot fill.
        wanted: Sectors,
    },
    /// The kernel has no device-mapper.
    NoMapper,
    /// Device-mapper has no snapshots.
    NoSnapshotTarget,
    /// Device-mapper has no encryption, and it was asked for.
    NoCryptTarget,
    /// A device of the name is mapped, and not by us.
    MappedByOther {
        /// The name in device-mapper.
        name: String,
        /// Its identifier, empty for none.
        uuid: String,
        /// Its name below `/dev`.
        device: String,
    },
    /// Something else stands where the link to the root goes.
    LinkTaken {
        /// What.
        found: String,
        /// What the link would lead to.
        wanted: String,
    },
}

impl Refusal {
    /// Refuses a mapped device that stands in the place of one of ours.
    pub(crate) fn mapped_by_other(found: &Mapped) -> Self {
        let Mapped { name, uuid, device, .. } = found.clone();
        Self::MappedByOther { name, uuid, device }
    }

    /// Tells whether a device that appears later can take this refusal away.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NoRootPartition { .. })
    }

    /// Returns the role whose disk it is about; those about the mapping are about the root.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Missing { role, .. }
            | Self::Ambiguous { role, .. }
            | Self::InUse { role, .. } => *role,
            Self::NoRootPartition { .. }
            | Self::SeveralRootPartitions { .. }
            | Self::RootNotInBlocks { .. }
            | Self::NoMapper
            | Self::NoSnapshotTarget
            | Self::NoCryptTarget
            | Self::MappedByOther { .. }
            | Self::LinkTaken { .. } => Role::Root,
            Self::SameDevice { .. }
            | Self::NotAWholeDisk { .. }
            | Self::ReadOnly { .. }
            | Self::BlockSize { .. }
            | Self::TooSmall { .. }
            | Self::ChunkBelowBlock { .. }
            | Self::CanFill { .. } => Role::Volatile,
        }
    }

    /// Returns what can be done about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing { choice: Choice::Auto, .. } => {
                "attach the disk with that serial, or name it with ebbtide.ROLE=/dev/NAME"
            }
            Self::Missing { .. } => "attach it, or correct the option",
            Self::Ambiguous { .. } => "give each disk a serial of its own, or name one by its path",
            Self::NoRootPartition { .. } => {
                "name the partition \"root\" in its table, or give it with ebbtide.root=/dev/NAME"
            }
            Self::SeveralRootPartitions { .. } => "name one of them with ebbtide.root=/dev/NAME",
            Self::SameDevice { .. } => "give each role a device of its own",
            Self::NotAWholeDisk { .. } => {
                "give the whole disk; everything on it may be overwritten"
            }
            Self::ReadOnly { .. } => "attach the volatile disk writable",
            Self::InUse { .. } => {
                "stop using it, or name another disk with ebbtide.root= or ebbtide.volatile="
            }
            Self::BlockSize { .. } => "attach the disk with another logical block size",
            Self::TooSmall { swap: Bytes(0), .. } => "enlarge the disk on the host",
            Self::TooSmall { .. } => "enlarge the disk on the host, or lower ebbtide.swap=",
            Self::ChunkBelowBlock { .. } => "raise ebbtide.chunk=",
            Self::RootNotInBlocks { .. } => "attach the volatile disk with 512-byte blocks",
            Self::CanFill { .. } => "enlarge the volatile disk, or use ebbtide.overflow=auto",
            Self::NoMapper => "load dm-mod, or put it into the initramfs",
            Self::NoSnapshotTarget => "load dm-snapshot, or put it into the initramfs",
            Self::NoCryptTarget => {
                "load dm-crypt, or put it into the initramfs; without encryption: ebbtide.encrypt=no"
            }
            Self::MappedByOther { .. } => "remove it with dmsetup, or find out who made it",
            Self::LinkTaken { .. } => "remove /dev/mapper/dmroot, or find out who made it",
        }
    }
}

/// The text of the error: derived code would be larger than the errors are worth.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { role, choice: Choice::Auto, found } => {
                let letter = match role {
                    Role::Root => 'a',
                    Role::Private => 'b',
                    Role::Volatile => 'c',
                    Role::Modules => 'd',
                };
                write!(
                    f,
                    "{role} disk is missing: wanted serial={role}, xvd{letter} or ubd{letter}; found {found}"
                )
            }
            Self::Missing { role, choice, found } => {
                write!(f, "{role} disk is missing: wanted {choice}; found {found}")
            }
            Self::Ambiguous { role, choice: Choice::Auto, found } => {
                write!(f, "{role} disk is not clear: wanted one with serial={role}; found {found}")
            }
            Self::Ambiguous { role, choice, found } => {
                write!(f, "{role} disk is not clear: wanted one {choice}; found {found}")
            }
            Self::NoRootPartition { disk, found } => write!(
                f,
                "root disk {disk} has partitions and none is the root: wanted the type of a root \
                 partition or the name \"root\"; found {found}"
            ),
            Self::SeveralRootPartitions { disk, found } => write!(
                f,
                "root disk {disk} has several roots: wanted one partition with the type or the name \
                 of a root; found {found}"
            ),
            Self::SameDevice { device, first, second } => {
                write!(
                    f,
                    "{device} is given twice: wanted two devices for {first} and {second}; found one"
                )
            }
            Self::NotAWholeDisk { device } => {
                write!(f, "volatile disk {device}: wanted a whole disk; found a partition")
            }
            Self::ReadOnly { disk } => {
                write!(f, "volatile disk {disk}: wanted a writable disk; found a read-only one")
            }
            Self::InUse { role, disk, part, usage } => {
                write!(
                    f,
                    "{role} disk {disk}: wanted a disk that nobody uses; found {part} {usage}"
                )
            }
            Self::BlockSize { disk, found } => write!(
                f,
                "volatile disk {disk}: wanted logical blocks of 512 or 4096 bytes; found {found}"
            ),
            Self::TooSmall { disk, found, swap, cow: Bytes(0), needed } => write!(
                f,
                "volatile disk {disk} is {found}; swap of {swap} and the partition table need {needed}"
            ),
            Self::TooSmall { disk, found, swap, cow, needed } => write!(
                f,
                "volatile disk {disk} is {found}; swap of {swap}, {cow} of copy-on-write room and \
                 the partition table need {needed}"
            ),
            Self::ChunkBelowBlock { disk, block, chunk } => {
                write!(
                    f,
                    "chunk of {chunk}: wanted a multiple of the {block} blocks of {disk}; found less"
                )
            }
            Self::RootNotInBlocks { root, size, block } => write!(
                f,
                "root {root}: wanted a size in whole blocks of {block}, which the volatile disk has; \
                 found {} sectors",
                size.0
            ),
            Self::CanFill { found, wanted } => write!(
                f,
                "store N: wanted {wanted} of copy-on-write room, which cannot fill; found {found}"
            ),
            Self::NoMapper => {
                f.write_str("device-mapper: wanted the module dm-mod; found no /sys/module/dm_mod")
            }
            Self::NoSnapshotTarget => f.write_str(
                "device-mapper: wanted the target snapshot of the module dm-snapshot; found no \
                 /sys/module/dm_snapshot",
            ),
            Self::NoCryptTarget => f.write_str(
                "encrypt=yes: wanted the target crypt of the module dm-crypt; found no \
                 /sys/module/dm_crypt",
            ),
            Self::MappedByOther { name, uuid, device } => write!(
                f,
                "/dev/mapper/{name} is already there: wanted none or our own; found {device} with \
                 the identifier \"{uuid}\""
            ),
            Self::LinkTaken { found, wanted } => write!(
                f,
                "/dev/mapper/dmroot is already there: wanted none or a link to {wanted}; found {found}"
            ),
        }
    }
}

impl core::error::Error for Refusal {}
