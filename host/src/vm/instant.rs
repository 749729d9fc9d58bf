//! All disks of a VM at one instant, in a directory of their own; with a machine's memory, the whole machine.
//!
//! ```text
//! NAME.img    a disk: a link of its version, or a clone of what was written and not committed
//! memory      what QEMU has written of the machine
//! ```
//!
//! Snapshots and savestates are both such directories, beside a record. Versions are immutable inodes, so what is here
//! needs nothing of the VM, its template, or their versions.

use super::Vm;
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VolumeName,
    pool::{
        Pool,
        driver::{Instants, Volume},
        step::{self, Step},
        store::Progress,
    },
    volume::{FileKind, files::file_name},
};
use serde::{Deserialize, Serialize};
use std::path::Path;
use uuid::Uuid;

/// The file of the memory.
pub(crate) const MEMORY: &str = "memory";

/// A disk as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstantDisk {
    /// Its own; stays the same whatever becomes of it.
    pub uuid: Uuid,
    /// The disk of the VM, by that one's identity: see [`disk_uuid`]. `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_of: Option<Uuid>,
    /// Which disk of the VM it is, and its file's name before `.img`.
    pub volume: VolumeName,
    /// Whether it is what was written and not committed; else it is a version.
    pub uncommitted: bool,
}

/// What is known of a machine whose memory was saved: whoever resumes it has to be the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The version of QEMU.
    pub qemu: String,
    /// What the machine was made of, a line each: `memory 512M`, `cpus 1`, `disk root of 1 GiB, read-only`.
    pub machine: Vec<String>,
}

/// An engine whose machine stands still.
pub trait Still {
    /// Writes the machine's memory to a new file, and returns what it is the memory of.
    ///
    /// # Errors
    /// The engine refuses, or the file cannot be written.
    fn save(&mut self, file: &Path) -> Result<Memory>;
}

/// Which disks are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that the VM keeps.
    Kept,
    /// All that a machine has: also a root that is its template's, and the volatile one. For memory.
    All,
}

/// Returns the identity of a disk of a VM, which it has as long as the VM has its own: a UUID of version 5 (RFC 9562)
/// of the VM's, and the name of the disk.
#[must_use]
pub fn disk_uuid(vm: Uuid, volume: &VolumeName) -> Uuid {
    Uuid::new_v5(&vm, volume.as_str().as_bytes())
}

/// Gives a directory that is being built the disks of a VM, and the machine's memory where there is an engine that saves
/// it. Nobody writes to the disks at this moment. Durable but for the names.
///
/// # Errors
/// The driver writes disks in place; a file operation fails; the engine refuses.
pub(super) fn fill(
    pool: &Pool,
    vm: &Vm,
    dir: &Path,
    still: Option<&mut dyn Still>,
    progress: &mut dyn Progress,
) -> Result<(Vec<InstantDisk>, Option<Memory>)> {
    let driver = pool.driver().instants().ok_or_else(|| unable(vm))?;
    let which = if still.is_some() { Which::All } else { Which::Kept };
    let mut disks = Vec::new();
    for volume in vm.volumes(pool)?.iter().filter(|volume| is_wanted(volume, which)) {
        disks.extend(disk(pool, driver, vm, volume, dir, progress)?);
    }
    let Some(still) = still else { return Ok((disks, None)) };
    let file = dir.join(MEMORY);
    let memory = still.save(&pool.store().real(&file))?;
    step::apply(&[Step::SyncFile(file)], pool.store(), progress)?;
    Ok((disks, Some(memory)))
}

fn is_wanted(volume: &Volume, which: Which) -> bool {
    which == Which::All || volume.role.is_kept()
}

fn disk(
    pool: &Pool,
    driver: &dyn Instants,
    vm: &Vm,
    volume: &Volume,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<Option<InstantDisk>> {
    let name = &volume.id.volume;
    let to = dir.join(file_name(name, &FileKind::Clean));
    let Some((steps, uncommitted)) = driver.instant(volume, &to)? else { return Ok(None) };
    step::apply(&steps, pool.store(), progress)?;
    let snapshot_of = Some(disk_uuid(vm.record.uuid, name));
    Ok(Some(InstantDisk { uuid: Uuid::new_v4(), snapshot_of, volume: name.clone(), uncommitted }))
}

/// Refuses where disks are written in place: what was not committed cannot be kept beside that.
pub(super) fn unable(vm: &Vm) -> Error {
    let text = format!("{} cannot have snapshots: this pool writes its disks in place", vm.name);
    Refusal::new(RefusalKind::Unable, text)
        .hint("the driver reflink, on btrfs or XFS, can do that")
        .into()
}
