//! Savestates go: by a person's wish, with their VM, or when there is a newer hot one.

use super::{Kind, SAVESTATES, Savestate, read::list};
use crate::{
    error::Result,
    pool::{
        Pool,
        step::{self, Step},
        store::{Lock, Unseen},
    },
    vm::{aside, sweep},
};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Removes a savestate. Machines that went on from it go on: they have disks of their own. Returns files in it that are not
/// ours; they stay.
///
/// # Errors
/// Somebody has the pool locked; a file operation fails. The savestate is gone when it has another name, and the next command
/// that makes or removes a VM removes the rest.
pub fn remove(pool: &Pool, savestate: &Savestate) -> Result<Vec<PathBuf>> {
    let lock = pool.lock()?;
    take_away(pool, savestate, &lock)
}

/// Removes all savestates of a VM, by its UUID.
///
/// # Errors
/// As for [`remove`].
pub fn remove_all(pool: &Pool, vm: Uuid, lock: &Lock) -> Result<()> {
    remove_those(pool, lock, |found| found.of == vm)
}

/// Removes the hot savestates of a VM, which wants none any more.
///
/// # Errors
/// As for [`remove`].
pub fn remove_hot(pool: &Pool, vm: Uuid, lock: &Lock) -> Result<()> {
    remove_those(pool, lock, |found| found.of == vm && found.kind == Kind::Hot)
}

/// Removes the hot savestates of a VM that are older than `newest`.
///
/// # Errors
/// As for [`remove`].
pub fn replace_hot(pool: &Pool, newest: &Savestate) -> Result<()> {
    let lock = pool.lock()?;
    remove_those(pool, &lock, |found| {
        found.of == newest.of
            && found.kind == Kind::Hot
            && (found.time, found.uuid) < (newest.time, newest.uuid)
    })
}

fn remove_those(pool: &Pool, lock: &Lock, is_one: impl Fn(&Savestate) -> bool) -> Result<()> {
    for savestate in list(pool)?.0.iter().filter(|found| is_one(found)) {
        for left in take_away(pool, savestate, lock)? {
            log::warn!("{} is not ours, and stays", left.display());
        }
    }
    Ok(())
}

/// Takes the name of a savestate away, by which it is gone, and then what is in it.
fn take_away(pool: &Pool, savestate: &Savestate, _pool_is_locked: &Lock) -> Result<Vec<PathBuf>> {
    let parent = Path::new(SAVESTATES);
    let aside = parent.join(format!("{}{}", aside::PREFIX, Uuid::new_v4()));
    let steps =
        [Step::Rename { from: savestate.dir(), to: aside.clone() }, Step::SyncDir(parent.into())];
    step::apply(&steps, pool.store(), &mut Unseen)?;
    sweep::clear(pool, &aside)
}
