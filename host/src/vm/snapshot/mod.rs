//! A snapshot of a VM: the disks that it keeps, of one instant, and its whole record.
//!
//! ```text
//! snapshots/UUID/snapshot.toml    whose, when, which disks, and the record as it was; written last
//! snapshots/UUID/NAME.img         a disk: a link of its version, or a clone of what was not committed
//! snapshots/UUID/memory           the machine's, of a snapshot that has it
//! ```
//! It is a directory that is renamed into place, so it is there as a whole or not at all. Versions are immutable: it
//! outlives its disks, its VM, and whatever becomes of them.

mod create;

pub use create::{Taking, snapshot};

use super::{
    Record,
    instant::{InstantDisk, Memory},
};
use crate::{
    error::{Error, Result},
    name::VmName,
    pool::Pool,
    record as text,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{io, path::Path};
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

/// Returns the snapshots of a pool, oldest first, and why others cannot be read.
///
/// # Errors
/// The directory cannot be read.
pub fn snapshots(pool: &Pool) -> Result<(Vec<Snapshot>, Vec<Error>)> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for dir in pool.snapshot_dirs()? {
        match read(pool, &dir) {
            Ok(snapshot) => found.push(snapshot),
            Err(error) => unreadable.push(error),
        }
    }
    found.sort_by_key(|snapshot: &Snapshot| (snapshot.time, snapshot.uuid));
    Ok((found, unreadable))
}

fn read(pool: &Pool, dir: &Path) -> Result<Snapshot> {
    let file = dir.join(FILE);
    let real = pool.store().real(&file);
    let content = match pool.store().read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Unreadable { path: real, problem: "it is missing".into() });
        }
        content => content.map_err(Error::doing(format!("read {}", file.display())))?,
    };
    text::parse(&content, &real, FORMAT)
}
