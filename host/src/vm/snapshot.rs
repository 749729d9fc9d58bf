//! A snapshot of a VM: the disks that it keeps, of one instant, and its whole record.
//!
//! ```text
//! snapshots/UUID/snapshot.toml    whose, when, which disks, and the record as it was; written last
//! snapshots/UUID/NAME.img         a disk: a link of its version, or a clone of what was not committed
//! ```
//! It is a directory that is renamed into place, so it is there as a whole or not at all. Versions are immutable: it
//! outlives its disks, its VM, and whatever becomes of them.

use super::{Guard, Record, aside::Aside, sweep};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, SNAPSHOTS, step, store::Progress},
    record as text,
    volume::{FileKind, files::file_name},
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
    /// The VM's name at that time; who it is says the record.
    pub vm: VmName,
    /// When it was taken.
    pub time: Timestamp,
    /// The disks that it has.
    pub disks: Vec<SnapshotDisk>,
    /// The VM's record.
    pub record: Record,
}

/// A disk of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotDisk {
    /// Stays the same whatever becomes of it.
    pub uuid: Uuid,
    /// Which disk of the VM it is, and its file's name before `.img`.
    pub volume: String,
    /// Whether it is what was written and not committed; else it is a version.
    pub uncommitted: bool,
}

/// Takes a snapshot of the disks that a VM keeps. Whoever has the VM's lock takes it, so the disks are of one instant: of a
/// VM that does not run, or whose engine has paused it. Durable when it returns.
///
/// # Errors
/// A file operation fails; nothing is there then, or the next command that makes or removes a VM removes it.
pub fn snapshot(pool: &Pool, guard: &Guard, progress: &mut dyn Progress) -> Result<Snapshot> {
    if pool.driver().instants().is_none() {
        return Err(unable(&guard.vm().name).into());
    }
    let uuid = Uuid::new_v4();
    let target = Path::new(SNAPSHOTS).join(uuid.to_string());
    let aside = {
        let lock = pool.lock()?;
        for sentence in sweep::asides(pool, &lock)? {
            log::warn!("{sentence}");
        }
        Aside::begin(pool, &target, &lock)?
    };
    let made = fill(pool, guard, uuid, &aside.dir, progress).and_then(|snapshot| {
        let lock = pool.lock()?;
        let record = text::print(&snapshot, Path::new(FILE))?;
        aside.finish(pool.store(), FILE, record, &lock)?;
        Ok(snapshot)
    });
    if made.is_err() {
        aside.discard(pool);
    }
    made
}

/// Gives a snapshot its disks.
fn fill(
    pool: &Pool,
    guard: &Guard,
    uuid: Uuid,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<Snapshot> {
    let vm = pool.vm(&guard.vm().name)?;
    let driver = pool.driver().instants().ok_or_else(|| unable(&vm.name))?;
    let mut snapshot = Snapshot {
        format: FORMAT,
        uuid,
        vm: vm.name.clone(),
        time: Timestamp::now(),
        disks: Vec::new(),
        record: vm.record.clone(),
    };
    for volume in vm.volumes(pool)?.iter().filter(|volume| volume.role.is_kept()) {
        let to = dir.join(file_name(&volume.id.volume, &FileKind::Clean));
        let Some((steps, uncommitted)) = driver.instant(volume, &to)? else { continue };
        step::apply(&steps, pool.store(), progress)?;
        let volume = volume.id.volume.to_string();
        snapshot.disks.push(SnapshotDisk { uuid: Uuid::new_v4(), volume, uncommitted });
    }
    Ok(snapshot)
}

/// Refuses where disks are written in place: what was not committed cannot be kept beside that.
fn unable(vm: &VmName) -> Refusal {
    let text = format!("{vm} cannot have snapshots: this pool writes its disks in place");
    Refusal::new(RefusalKind::Unable, text).hint("the driver reflink, on btrfs or XFS, can do that")
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
