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
    error::{Refusal, RefusalKind, Result},
    name::VolumeName,
    pool::{
        Pool,
        driver::{Instants, Volume},
        step::{self, Step},
        store::{Progress, Unseen},
    },
    volume::{FileKind, files::file_name},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
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

/// An instant that is being taken: [`Instant::prepare`] while the machine runs, [`Instant::hold`] while it stands still,
/// [`Instant::sync`] when it runs again. What takes long is before and after, so that the machine stands still for no longer
/// than links and clones take, and its memory.
#[derive(Debug)]
pub(super) struct Instant {
    dir: PathBuf,
    /// What is done while the machine stands still.
    hold: Vec<Step>,
    /// What is made durable afterwards.
    sync: Vec<Step>,
    disks: Vec<InstantDisk>,
    memory: Option<Memory>,
}

impl Instant {
    /// Decides what becomes of the disks of a VM in `dir`, a directory that is being built, and writes out what their
    /// clones would be waiting for. Nothing else is changed.
    ///
    /// # Errors
    /// The driver writes disks in place; a file cannot be looked at, or be written out.
    pub(super) fn prepare(pool: &Pool, vm: &Vm, dir: &Path, which: Which) -> Result<Self> {
        let driver = instants(pool, vm)?;
        let dir = dir.to_path_buf();
        let mut instant =
            Self { dir, hold: Vec::new(), sync: Vec::new(), disks: Vec::new(), memory: None };
        for volume in vm.volumes(pool)?.iter().filter(|volume| is_wanted(volume, which)) {
            instant.add(pool, driver, vm, volume)?;
        }
        Ok(instant)
    }

    fn add(&mut self, pool: &Pool, driver: &dyn Instants, vm: &Vm, volume: &Volume) -> Result<()> {
        let name = &volume.id.volume;
        let to = self.dir.join(file_name(name, &FileKind::Clean));
        let Some((step, uncommitted)) = driver.instant(volume, &to)? else { return Ok(()) };
        if let Step::CloneImage { from, .. } = &step {
            // A clone waits until what is in memory of its source is written.
            step::apply(&[Step::SyncFile(from.clone())], pool.store(), &mut Unseen)?;
            self.sync.push(Step::SyncFile(to));
        }
        self.hold.push(step);
        let snapshot_of = Some(disk_uuid(vm.record.uuid, name));
        let (uuid, volume) = (Uuid::new_v4(), name.clone());
        self.disks.push(InstantDisk { uuid, snapshot_of, volume, uncommitted });
        Ok(())
    }

    /// Gives the directory the disks, and the machine's memory where there is an engine that saves it. Nobody writes to the
    /// disks at this moment. Not durable.
    ///
    /// # Errors
    /// A file operation fails; the engine refuses.
    pub(super) fn hold(
        &mut self,
        pool: &Pool,
        still: Option<&mut dyn Still>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        step::apply(&self.hold, pool.store(), progress)?;
        if let Some(still) = still {
            let file = self.dir.join(MEMORY);
            self.memory = Some(still.save(&pool.store().real(&file))?);
            self.sync.push(Step::SyncFile(file));
        }
        Ok(())
    }

    /// Makes what [`Instant::hold`] has made durable but for the names, and returns what it is.
    ///
    /// # Errors
    /// A file cannot be written out.
    pub(super) fn sync(self, pool: &Pool) -> Result<(Vec<InstantDisk>, Option<Memory>)> {
        step::apply(&self.sync, pool.store(), &mut Unseen)?;
        Ok((self.disks, self.memory))
    }
}

fn is_wanted(volume: &Volume, which: Which) -> bool {
    which == Which::All || volume.role.is_kept()
}

/// Returns what takes an instant of disks.
///
/// # Errors
/// The driver writes disks in place: what was not committed cannot be kept beside that.
pub(super) fn instants<'a>(pool: &'a Pool, vm: &Vm) -> Result<&'a dyn Instants> {
    pool.driver().instants().ok_or_else(|| {
        let name = &vm.name;
        let text = format!(
            "{name} cannot have snapshots or savestates: this pool writes its disks in place"
        );
        Refusal::new(RefusalKind::Unable, text)
            .hint("the driver reflink, on btrfs or XFS, can do that")
            .into()
    })
}
