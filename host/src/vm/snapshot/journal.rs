//! `revert.toml`: a VM is being reverted, disk after disk. Whoever has its lock next finishes that.
//!
//! ```text
//! revert.toml is written        nothing is changed
//! each disk, the kernel         the old one is kept as a version, the snapshot's is the current one
//! vm.toml                       the snapshot's, but for what is never reverted
//! revert.toml is removed        it is done
//! ```
//! Each step is durable before the next one begins, and is done again without harm.

use super::{Snapshot, load, revert};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    file,
    name::VolumeName,
    pool::{
        Pool, SNAPSHOTS, record as small,
        step::{self, Step},
        store::Unseen,
    },
    record as text,
    vm::Vm,
    volume::Files,
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The file's name in the directory of the VM.
pub(crate) const FILE: &str = "revert.toml";
/// The version of the format that this program writes and reads.
const FORMAT: u32 = 1;

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    format: u32,
    /// What the VM is being reverted to.
    pub(super) snapshot: Uuid,
    /// The disks that are changed.
    #[serde(default)]
    disks: Vec<Before>,
}

/// A disk before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    volume: VolumeName,
    /// The number of the inode that was its version. `None`: it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
}

/// Writes durably that a VM is being reverted.
pub(super) fn begin(pool: &Pool, vm: &Vm, snapshot: &Snapshot) -> Result<()> {
    let disks = snapshot.disks.iter().map(|disk| {
        let inode = current(pool, vm, &disk.volume)?;
        Ok(Before { volume: disk.volume.clone(), inode })
    });
    let disks = disks.collect::<Result<_>>()?;
    let journal = Journal { format: FORMAT, snapshot: snapshot.uuid, disks };
    let file = vm.dir.join(FILE);
    small::replace(pool.store(), &file, text::print(&journal, &file)?)
}

/// Reads what is being done to a VM.
pub(super) fn read(pool: &Pool, vm: &Vm) -> Result<Option<Journal>> {
    let file = vm.dir.join(FILE);
    let content = match pool.store().read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(Error::doing(format!("read {}", file.display())))?,
    };
    text::parse(&content, &pool.store().real(&file), FORMAT).map(Some)
}

/// Says durably that it is done, or that it was not begun.
pub(super) fn end(pool: &Pool, vm: &Vm) -> Result<()> {
    let steps = [Step::Remove(vm.dir.join(FILE)), Step::SyncDir(vm.dir.clone())];
    step::apply(&steps, pool.store(), &mut Unseen)
}

/// Finishes a revert that was cut off, and returns a sentence about it. When its snapshot is gone, it is undone where
/// nothing was changed yet. The caller has the VM's lock; its record is to be read again after this.
///
/// # Errors
/// The snapshot is gone, and something was changed already; a file operation fails.
pub(crate) fn settle(pool: &Pool, vm: &Vm) -> Result<Option<String>> {
    clear_aside(pool, vm)?;
    let Some(journal) = read(pool, vm)? else { return Ok(None) };
    let dir = Path::new(SNAPSHOTS).join(journal.snapshot.to_string());
    match load::read(pool, &dir) {
        Ok(Some(snapshot)) => {
            let name = &vm.name;
            let mut said = format!("the revert of {name} to {} was finished", snapshot.called());
            for more in revert::finish(pool, vm, &snapshot)?.said {
                said = format!("{said}; {more}");
            }
            Ok(Some(said))
        }
        Ok(None) | Err(Error::Unreadable { .. }) if !is_begun(pool, vm, &journal)? => {
            end(pool, vm)?;
            Ok(Some(format!(
                "the revert of {} to the snapshot {}, which is gone, is given up: nothing was changed",
                vm.name, journal.snapshot
            )))
        }
        Ok(None) | Err(Error::Unreadable { .. }) => Err(lost(pool, vm, &journal).into()),
        Err(error) => Err(error),
    }
}

/// Removes a journal that was being written: nothing was begun.
fn clear_aside(pool: &Pool, vm: &Vm) -> Result<()> {
    let aside = file::aside(&vm.dir.join(FILE));
    let left = pool.store().stat(&aside);
    if left.map_err(Error::doing(format!("look at {}", aside.display())))?.is_none() {
        return Ok(());
    }
    step::apply(&[Step::Remove(aside)], pool.store(), &mut Unseen)
}

/// Returns whether a disk has another version than the one before the revert.
fn is_begun(pool: &Pool, vm: &Vm, journal: &Journal) -> Result<bool> {
    for before in &journal.disks {
        if current(pool, vm, &before.volume)? != before.inode {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the number of the inode that is a disk's version.
fn current(pool: &Pool, vm: &Vm, volume: &VolumeName) -> Result<Option<u64>> {
    let clean: PathBuf = Files::new(&vm.dir, volume.clone()).clean();
    let found = pool.store().stat(&clean);
    let found = found.map_err(Error::doing(format!("look at {}", clean.display())))?;
    Ok(found.map(|found| found.inode.number))
}

/// Returns the refusal of a VM that is half of a snapshot that is gone.
fn lost(pool: &Pool, vm: &Vm, journal: &Journal) -> Refusal {
    let file = pool.store().real(&vm.dir.join(FILE));
    let text = format!(
        "the revert of {} to the snapshot {} was cut off half done, and the snapshot is gone",
        vm.name, journal.snapshot
    );
    Refusal::new(RefusalKind::Rule, text).hint(format!(
        "remove {} to keep the disks as they are; what each was before is its newest kept version",
        file.display()
    ))
}
