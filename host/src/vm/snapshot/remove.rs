//! The end of a snapshot. Its children are then those of its parent.

use super::{
    FILE, Snapshot, journal,
    load::{Loaded, load},
    pick::find_snapshot,
};
use crate::{
    error::{Refusal, RefusalKind, Result},
    pool::{
        Pool, SNAPSHOTS, record as small,
        step::{self, Step},
        store::{Lock, Unseen},
    },
    record as text,
    vm::{aside, rewrite, sweep},
};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a removal came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedSnapshot {
    /// Which snapshot it was.
    pub uuid: Uuid,
    /// What was settled first.
    pub said: Vec<String>,
    /// Files that are not ours, absolute: they stay, in a directory of another name.
    pub left: Vec<PathBuf>,
}

/// Removes the snapshot that is meant by its UUID, the beginning of that, or its label. One that cannot be read goes by its
/// UUID. Repeatable after a cut; what was removed half, the next command that makes or removes a VM removes.
///
/// # Errors
/// There is none, or more than one; a VM is being reverted to it.
pub fn remove_snapshot(pool: &Pool, text: &str) -> Result<RemovedSnapshot> {
    let lock = pool.lock()?;
    let said = sweep::asides(pool, &lock)?;
    let uuid = which(pool, text)?;
    refuse_in_use(pool, uuid)?;
    inherit(pool, uuid, &lock)?;
    let dir = Path::new(SNAPSHOTS).join(uuid.to_string());
    let aside = dir.with_file_name(format!("{}{}", aside::PREFIX, Uuid::new_v4()));
    let steps = [Step::Rename { from: dir, to: aside.clone() }, Step::SyncDir(SNAPSHOTS.into())];
    step::apply(&steps, pool.store(), &mut Unseen)?;
    let left = sweep::clear(pool, &aside)?;
    Ok(RemovedSnapshot { uuid, said, left })
}

fn which(pool: &Pool, text: &str) -> Result<Uuid> {
    if let Ok(uuid) = text.parse::<Uuid>()
        && sweep::is_there(pool, &Path::new(SNAPSHOTS).join(uuid.to_string()))?
    {
        return Ok(uuid);
    }
    find_snapshot(pool, text).map(|snapshot| snapshot.uuid)
}

/// Refuses a snapshot to which a VM is half reverted. The pool is locked, so no revert begins meanwhile.
fn refuse_in_use(pool: &Pool, uuid: Uuid) -> Result<()> {
    for vm in pool.vms()?.vms {
        if journal::read(pool, &vm)?.is_some_and(|journal| journal.snapshot == uuid) {
            let text = format!(
                "the snapshot {uuid} cannot be removed: {} is half reverted to it",
                vm.name
            );
            return Err(Refusal::new(RefusalKind::Busy, text)
                .hint(format!("the next command that changes {} finishes that", vm.name))
                .into());
        }
    }
    Ok(())
}

/// Gives what comes after a snapshot to its parent, each durably.
fn inherit(pool: &Pool, uuid: Uuid, pool_is_locked: &Lock) -> Result<()> {
    // Also of those that have no place in the tree: a cycle ends with one of its members.
    let all = raw(pool)?;
    let parent = all.iter().find(|snapshot| snapshot.uuid == uuid).and_then(|own| own.parent);
    for child in all.iter().filter(|child| child.parent == Some(uuid) && child.uuid != uuid) {
        let parent = parent.filter(|parent| ![uuid, child.uuid].contains(parent));
        let child = Snapshot { parent, ..child.clone() };
        let file = child.dir().join(FILE);
        small::replace(pool.store(), &file, text::print(&child, &file)?)?;
    }
    for mut vm in pool.vms()?.vms {
        if vm.record.parent == Some(uuid) {
            vm.record.parent = parent.filter(|parent| *parent != uuid);
            rewrite(pool, &vm, pool_is_locked)?;
        }
    }
    Ok(())
}

/// Returns all snapshots that can be read by themselves.
fn raw(pool: &Pool) -> Result<Vec<Snapshot>> {
    let Loaded { found: mut all, refused } = load(pool)?;
    for (dir, _) in refused {
        // What cannot be read by itself has no parent either.
        all.extend(super::load::read(pool, &dir).ok().flatten());
    }
    Ok(all)
}
