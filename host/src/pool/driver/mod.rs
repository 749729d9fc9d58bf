//! What holds the volumes: a driver for each way to share what versions have in common.
//!
//! What a driver can do is which traits it implements. [`Volumes`] is what each can: the life of a volume from
//! start to stop. [`Commit`] is for those that keep versions. Locks are the caller's: whoever calls a method that
//! changes a volume has its VM's lock, unless the method says otherwise.

pub mod dm;
pub mod files;
pub mod linux;
pub mod memory;

pub use crate::volume::Retention;
pub use dm::DmDriver;
pub use files::FileDriver;
pub use linux::LinuxStore;
pub use memory::MemoryStore;

use super::{
    step::Step,
    store::{Inode, Progress},
};
use crate::{
    error::Result,
    name::VolumeId,
    volume::{Files, Revision, Role},
};
use ebbtide_format::units::Bytes;
use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// A volume as its VM's record describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// For messages.
    pub id: VolumeId,
    /// Where it is.
    pub files: Files,
    /// What becomes of it.
    pub role: Role,
    /// The files of the volume that it begins from; `Some` exactly when the role names one.
    pub source: Option<Files>,
    /// How large an empty one is made (`Volatile`; `Origin` when it is created).
    pub size: Bytes,
    /// Which of its versions are kept.
    pub retention: Retention,
}

/// How a volume that begins from another one is given to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read-only, the version itself: the guest puts its own copy-on-write over it.
    Shared,
    /// A writable copy (`root_cow = "host"`), dropped at stop.
    Copy,
}

/// What engines are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// A file with the content of the disk.
    File,
    /// A block device.
    Device,
}

/// A started volume: what the engine attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Which it is.
    pub id: VolumeId,
    /// The file or device.
    pub path: PathBuf,
    /// Which of both it is.
    pub given: Given,
    /// Whether the guest gets it read-only.
    pub read_only: bool,
    /// Its size.
    pub size: Bytes,
}

/// What to do with what a VM wrote to a volume that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The VM ended as it should: what it wrote becomes the new version.
    Commit,
    /// The VM was cut off: what it wrote stays where it is, and the next start goes on from it.
    Keep,
    /// What it wrote is dropped.
    Discard,
}

/// What a stop or a commit came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new version, and this is what its predecessor is kept as (`None`: kept by nobody).
    Committed(Option<Revision>),
    /// Nothing was written: the version is the one that it was.
    Unchanged,
    /// What was written stays beside the version.
    Kept,
    /// What was written is gone.
    Discarded,
    /// It is not a volume that keeps anything.
    Forgotten,
}

/// A device of a pool that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stray {
    /// Nothing in the pool wants it.
    Device {
        /// Its path.
        path: PathBuf,
        /// Whether somebody has it open.
        is_held: bool,
        /// Who, as far as that can be told.
        by: Vec<String>,
    },
    /// A file has more than one loop device.
    Loops {
        /// The file, relative to the pool.
        file: PathBuf,
        /// Their names in `/dev`.
        loops: Vec<String>,
    },
}

/// What is found of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The current version: which file, its size, and what it takes.
    pub current: Option<Version>,
    /// What is written beside it, by a running VM or by one that was cut off.
    pub dirty: Option<Version>,
    /// The source's current version, for roles that have one.
    pub source: Option<Inode>,
    /// The kept versions, oldest first.
    pub revisions: Vec<(Revision, Version)>,
}

/// One file of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Which file it is.
    pub inode: Inode,
    /// Its length.
    pub size: Bytes,
    /// What it takes, shared parts too.
    pub allocated: Bytes,
    /// When it was last written to.
    pub modified: jiff::Timestamp,
}

impl State {
    /// Returns whether the source has another version now than the one that this volume was started on.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        match (self.current, self.source) {
            (Some(current), Some(source)) => current.inode != source,
            _ => false,
        }
    }
}

/// The life of a volume.
pub trait Volumes: fmt::Debug + Send + Sync {
    /// Returns what engines are given of each volume.
    fn given(&self) -> Given;

    /// Returns the devices of the pool that are not as they should be; none where there are no devices.
    fn strays(&self) -> Result<Vec<Stray>> {
        Ok(Vec::new())
    }

    /// Removes those that nobody has open, and returns a sentence for each.
    fn sweep(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Makes the first, empty version of a volume that is kept (`Origin`), of `volume.size`. Nothing for the others.
    fn create(&self, volume: &Volume) -> Result<()>;

    /// Makes the image that was put at the place of a volume's first version that version. Repeatable.
    fn begin(&self, volume: &Volume) -> Result<()>;

    /// Returns what [`Volumes::start`] gives, whether it is started or not.
    ///
    /// # Errors
    /// That is known only when it is started.
    fn disk(&self, volume: &Volume, access: Access) -> Result<Disk>;

    /// Makes it ready for an engine. A volume that was started and not stopped (a crash) goes on from what is there
    /// when it is kept, and begins anew when it is not.
    fn start(&self, volume: &Volume, access: Access) -> Result<Disk>;

    /// Ends what `start` began. Repeatable: a stopped volume is `Unchanged` or `Forgotten`.
    fn stop(&self, volume: &Volume, ending: Ending) -> Result<Outcome>;

    /// Returns what is found. Needs no lock.
    fn state(&self, volume: &Volume) -> Result<State>;

    /// Finishes or undoes what a cut left half done, and returns a sentence for each thing that it did, such as
    /// `commit of debian:root was finished`. What a VM wrote (the dirty image) is not touched. Nothing to do: empty.
    fn recover(&self, volume: &Volume) -> Result<Vec<String>>;

    /// Waits until nobody makes the next image of the volume, which the changes that exclude it do not do: they are made
    /// with the pool locked. Refused after a minute.
    fn wait(&self, volume: &Volume) -> Result<()>;

    /// Removes all files of the volume; files that are not ours stay.
    fn remove(&self, volume: &Volume) -> Result<()>;
}

/// Drivers whose disks can be kept as they are at one instant, beside their versions.
pub trait Instants: Volumes {
    /// Returns how the new file `to` becomes the content of a disk that nobody writes to while that is done, and whether it
    /// is uncommitted; `None` for a disk without content. A clone is not durable by that.
    fn instant(&self, volume: &Volume, to: &Path) -> Result<Option<(Step, bool)>>;

    /// Makes the file `image` of the pool, which nobody writes to, the current version of a disk. What was current is kept
    /// first, the image stays. Repeatable. Refused when there is something uncommitted.
    fn restore(&self, volume: &Volume, image: &Path) -> Result<Outcome>;
}

/// Drivers that keep versions.
pub trait Commit: Volumes {
    /// Returns it as one that can keep instants too.
    fn instants(&self) -> Option<&dyn Instants> {
        None
    }

    /// Makes what was written the new version: for a VM that was cut off (`template commit`).
    fn commit(&self, volume: &Volume) -> Result<Outcome>;

    /// Drops what was written by a VM that was cut off. Returns whether there was anything.
    fn discard(&self, volume: &Volume) -> Result<bool>;

    /// Makes the next dirty image, as far as it is missing, and frees what pruned versions take. Takes the volume's lock by itself, and never the VM's: it
    /// runs in the background, also while the VM is started.
    fn precache(&self, volume: &Volume, progress: &mut dyn Progress) -> Result<()>;

    /// Makes a kept version the current one again. What was current is kept first, the revision stays.
    /// Refused when there is something uncommitted.
    fn revert(&self, volume: &Volume, to: Revision) -> Result<Outcome>;

    /// Copies the content of a file outside of the pool beside the volume, durably, for [`Commit::import_place`]. Refused
    /// when there is something uncommitted.
    fn import_copy(&self, volume: &Volume, file: &Path, progress: &mut dyn Progress) -> Result<()>;

    /// Makes what was copied the new version. What was pinned during the copy is in `volume`.
    fn import_place(&self, volume: &Volume) -> Result<Outcome>;

    /// Makes the content of a file outside of the pool the new version, where nobody pins meanwhile.
    fn import(&self, volume: &Volume, file: &Path, progress: &mut dyn Progress) -> Result<Outcome> {
        self.import_copy(volume, file, progress)?;
        self.wait(volume)?;
        self.import_place(volume)
    }

    /// Returns a path that stays the current version, whatever happens to the volume, until `export_end`.
    /// Needs no VM lock.
    fn export(&self, volume: &Volume) -> Result<(Uuid, PathBuf)>;

    /// Makes a file outside of the pool with the content of the current version, or of a kept one. The file is there when
    /// it is whole, and what becomes of the volume meanwhile is not in it. Needs no VM lock.
    fn copy_out(
        &self,
        volume: &Volume,
        of: Option<Revision>,
        file: &Path,
        progress: &mut dyn Progress,
    ) -> Result<()>;

    /// Opens the content of the current version, or of a kept one, to read. It stays what it is. Needs no VM lock.
    fn open(&self, volume: &Volume, of: Option<Revision>) -> Result<File>;

    /// Ends an export. An unknown one is refused.
    fn export_end(&self, volume: &Volume, id: Uuid) -> Result<()>;

    /// Makes the volume larger. Of a running VM (`running`) it is what it writes to that grows, and the caller tells the
    /// engine; its next version is as large. Shrinking is refused.
    fn resize(&self, volume: &Volume, size: Bytes, running: bool) -> Result<()>;

    /// Gives a new volume the current version of another one, without copying anything where versions are immutable files.
    fn adopt_version(&self, from: &Volume, to: &Volume) -> Result<()>;
}
