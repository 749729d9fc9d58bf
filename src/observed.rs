//! What was seen of the machine, as plain data.
//!
//! The binary fills this in from `/proc`, `/sys` and `/dev`; planning reads nothing else.

use alloc::{string::String, vec::Vec};
use ebbtide_format::{
    guid::Guid,
    units::{Bytes, Sectors},
};

/// A machine, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Bytes in a page of memory.
    pub page: u32,
    /// Fresh random identifiers for what will be made.
    pub identifiers: Identifiers,
    /// Whether snapshots can be mapped.
    pub mapper: Mapper,
    /// Whether devices can be encrypted.
    pub crypt: bool,
    /// What already stands at `/dev/mapper/dmroot`.
    pub link: Option<Link>,
    /// Whether an earlier run has left its last marker.
    pub ready: bool,
    /// Devices that a path of the options leads to, by that path: `/dev/disk/by-id/x` → `vda`.
    pub paths: Vec<(String, String)>,
    /// Whole disks with their partitions, by name.
    pub disks: Vec<Disk>,
    /// Mapped devices.
    pub mapped: Vec<Mapped>,
}

/// Identifiers for one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identifiers {
    /// For the partition table.
    pub disk: Guid,
    /// For the swap partition.
    pub swap: Guid,
    /// For the partition with the store.
    pub cow: Guid,
    /// For the swap area inside its partition.
    pub swap_area: Guid,
    /// For the mapped device.
    pub mapped: Guid,
}

/// What the kernel's device-mapper can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapper {
    /// There is none: no `dm_mod`.
    Absent,
    /// It is there, without the `snapshot` target.
    WithoutSnapshot,
    /// Snapshots can be mapped.
    Ready,
}

/// What stands at the place of the root's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A symbolic link to the device of this name, below `/dev`.
    To(String),
    /// Something else.
    Other,
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Name below `/dev`.
    pub name: String,
    /// Device number, `MAJOR:MINOR`.
    pub number: String,
    /// Size.
    pub size: Sectors,
    /// Logical block size.
    pub block: Bytes,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Whether it takes discards.
    pub discards: bool,
    /// Serial number, when it has one.
    pub serial: Option<String>,
    /// Who uses the whole disk.
    pub usage: Option<Usage>,
    /// Its partitions, as the kernel knows them.
    pub partitions: Vec<Partition>,
}

/// A partition that the kernel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Name below `/dev`.
    pub name: String,
    /// Device number, `MAJOR:MINOR`.
    pub number: String,
    /// Number on its disk.
    pub index: u32,
    /// Size.
    pub size: Sectors,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Its name in the partition table.
    pub label: Option<String>,
    /// Its type, where udev has looked.
    pub kind: Option<Guid>,
    /// Who uses it.
    pub usage: Option<Usage>,
}

/// Who uses a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// It is mounted there.
    MountedAt(String),
    /// It is swapped to.
    Swap,
    /// Another block device is built on it.
    HeldBy(String),
}

impl core::fmt::Display for Usage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::MountedAt(place) => write!(f, "mounted at {place}"),
            Self::Swap => f.write_str("in use as swap"),
            Self::HeldBy(holder) => write!(f, "held by {holder}"),
        }
    }
}

/// A mapped device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Its name in device-mapper.
    pub name: String,
    /// Its identifier in device-mapper, empty for none.
    pub uuid: String,
    /// Name below `/dev`.
    pub device: String,
    /// Whether it is in operation: a run that was cut can leave a device that never started.
    pub started: bool,
    /// Who uses it.
    pub usage: Option<Usage>,
}
