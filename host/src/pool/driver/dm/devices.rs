//! Mapped devices as data, and the trait of what makes them.
//!
//! Loop devices have no step of their own: whatever maps a file finds the one that is over it, or makes one, and it goes
//! with the last device that is mapped over it. So there are never two on one file, which would bypass each other's
//! copies, and none is left behind by whoever is killed.

use super::name::Name;
use crate::pool::store::Inode;
use ebbtide_format::units::{Bytes, Chunk, Sectors};
use std::{fmt, io, path::PathBuf};

/// What a device is to be. Paths are those of the real files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// `snapshot-origin`: before a chunk of the file changes, every version of it that is mapped gets it.
    Origin {
        /// The base.
        file: PathBuf,
        /// Its length.
        size: Sectors,
    },
    /// `snapshot`, persistent: the base as it was when the store was new.
    Snapshot {
        /// The base.
        base: PathBuf,
        /// The store.
        store: PathBuf,
        /// Length of the device.
        size: Sectors,
        /// Chunk of the store.
        chunk: Chunk,
    },
    /// `snapshot`, transient, over a version: what is written to it is gone with it.
    Copy {
        /// The version.
        of: Name,
        /// The store.
        store: PathBuf,
        /// Length of the device.
        size: Sectors,
        /// Chunk of the store.
        chunk: Chunk,
    },
    /// `linear`: a file as it is.
    File {
        /// The file.
        file: PathBuf,
        /// Its length.
        size: Sectors,
    },
}

/// A change of the mapped devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes a device, and has it work.
    Map(Name, Table),
    /// Has a device work by another table: a longer one. The file below has grown.
    Grow(Name, Table),
    /// Holds what is written to it back.
    Suspend(Name),
    /// Lets that go on.
    Resume(Name),
    /// Removes a device that nobody has open.
    Remove(Name),
}

/// A device of ours that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: Name,
    /// How many have it open: programs, mounts, and devices over it.
    pub opened: u32,
    /// Whether what is written to it is held back.
    pub suspended: bool,
    /// Whether it works: who made it may have been killed before that.
    pub is_live: bool,
    /// Its length.
    pub size: Sectors,
}

/// What makes mapped devices. Whoever calls has the pool's devices locked.
///
/// # Errors
/// Every method returns the kernel's error as it is; who calls names the change.
pub trait Devices: fmt::Debug + Send + Sync {
    /// Returns those devices with names of ours that `which` wants; also those of other pools.
    fn found(&self, which: &dyn Fn(&Name) -> bool) -> io::Result<Vec<Found>>;

    /// Returns a device, if it is there.
    fn find(&self, name: &Name) -> io::Result<Option<Found>> {
        Ok(self.found(&|found| found == name)?.pop())
    }

    /// Makes a change. When it fails, nothing of it is there.
    fn apply(&self, change: &Change) -> io::Result<()>;

    /// Returns the path by which a device is opened.
    fn path(&self, name: &Name) -> PathBuf;

    /// Returns who has a device open, as far as that can be told, for messages.
    fn holders(&self, name: &Name) -> Vec<String>;

    /// Returns the loop devices over a file, by their names in `/dev`. More than one is a fault of somebody else.
    fn loops(&self, file: Inode) -> io::Result<Vec<String>>;

    /// Returns the files below a device, as far as they have names; `(deleted)` stands behind one that has none any more.
    fn files(&self, name: &Name) -> Vec<PathBuf>;
}

impl Table {
    /// Returns the length of the device.
    #[must_use]
    pub const fn size(&self) -> Sectors {
        match self {
            Self::Origin { size, .. }
            | Self::Snapshot { size, .. }
            | Self::Copy { size, .. }
            | Self::File { size, .. } => *size,
        }
    }
}

/// Returns whole sectors, which devices consist of.
#[must_use]
pub(super) const fn whole(size: Bytes) -> Bytes {
    Bytes(size.0.next_multiple_of(512))
}

/// An imperative, as the log says it before it is done.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(name, table) => write!(f, "map {name}, {}", table.size().bytes()),
            Self::Grow(name, table) => write!(f, "grow {name} to {}", table.size().bytes()),
            Self::Suspend(name) => write!(f, "suspend {name}"),
            Self::Resume(name) => write!(f, "resume {name}"),
            Self::Remove(name) => write!(f, "remove {name}"),
        }
    }
}
