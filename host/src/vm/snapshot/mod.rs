//! A snapshot of a VM: the disks that it keeps, of one instant, and its whole record.
//!
//! ```text
//! snapshots/UUID/snapshot.toml    whose, when, which disks, and the record as it was; written last
//! snapshots/UUID/NAME.img         a disk: a link of its version, or a clone of what was not committed
//! snapshots/UUID/memory           the machine's, of a snapshot that has it
//! snapshots/UUID/kernel, initrd   of a template that has them
//! ```
//! It is a directory that is renamed into place, so it is there as a whole or not at all. Versions are immutable: it
//! outlives its disks, its VM, and whatever becomes of them.

mod clone;
mod create;
mod journal;
pub(crate) mod lineage;
mod load;
mod merge;
mod pick;
mod remove;
mod revert;

pub use clone::clone_snapshot;
pub use create::{Taking, snapshot};
pub(super) use journal::{FILE as JOURNAL, settle};
pub(crate) use load::read_unrelated;
pub use load::snapshots;
pub use merge::NEVER_REVERTED;
pub use pick::{Whose, find_snapshot, snapshots_of};
pub use remove::{RemovedSnapshot, remove_snapshot};
pub use revert::{RevertedVm, revert_vm, vm_of};

use super::{
    Record,
    instant::{InstantDisk, Memory},
};
use crate::{
    name::VmName,
    pool::SNAPSHOTS,
    volume::{FileKind, files::file_name},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The record's file in the directory of a snapshot.
pub(super) const FILE: &str = "snapshot.toml";
/// The version of the format that this program writes and reads.
const FORMAT: u32 = 1;

/// A snapshot of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The version of the format.
    pub format: u32,
    /// Its own.
    pub uuid: Uuid,
    /// The VM's name at that time.
    pub vm: VmName,
    /// The VM, by its UUID. `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_of: Option<Uuid>,
    /// The snapshot that the VM's disks had begun with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Uuid>,
    /// What a person calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was taken.
    pub time: Timestamp,
    /// What the machine whose memory it has was; `None` for one without memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The disks that it has.
    pub disks: Vec<InstantDisk>,
    /// The VM's record.
    pub record: Record,
}

impl Snapshot {
    /// Returns its directory, relative to the pool.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        Path::new(SNAPSHOTS).join(self.uuid.to_string())
    }

    /// Returns the file of one of its disks, relative to the pool.
    #[must_use]
    pub fn image(&self, disk: &InstantDisk) -> PathBuf {
        self.dir().join(file_name(&disk.volume, &FileKind::Clean))
    }

    /// Returns what it is called in messages: its label, or its UUID.
    #[must_use]
    pub fn called(&self) -> String {
        match &self.label {
            Some(label) => format!("snapshot {label:?} of {}", self.vm),
            None => format!("snapshot {} of {}", self.uuid, self.vm),
        }
    }
}
