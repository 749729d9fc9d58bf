//! What a cut has left of a VM's run, brought to an end by the next command that has the VM's lock.

use super::{Run, Vm, run};
use crate::{
    error::{Error, Result},
    file::aside,
    pool::{
        Pool,
        driver::{Ending, Outcome, Volume},
        step::{self, Step},
        store::Unseen,
    },
};
use std::{fs, os::unix::fs::FileTypeExt as _};

/// Ends what a run has left: half-done protocols are finished or undone, what is never kept is removed, and what was
/// written to kept volumes stays, for the next start to go on from. Returns a sentence for each thing that it did.
/// Repeatable; `run.toml` goes last.
pub(super) fn settle(pool: &Pool, vm: &Vm, run: Option<&Run>) -> Result<Vec<String>> {
    for socket in run.into_iter().flat_map(|run| run.sockets.values()) {
        // Nobody listens any more; what cannot be removed is removed by the next start.
        if fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
            let _ = fs::remove_file(socket);
        }
    }
    let mut said: Vec<String> = run.map(|run| cut_off(vm, run)).transpose()?.into_iter().collect();
    for volume in vm.volumes(pool)? {
        said.extend(pool.driver().recover(&volume)?);
        said.extend(end(pool, &volume, run)?);
    }
    forget(pool, vm)?;
    said.extend(super::snapshot::settle(pool, vm)?);
    Ok(said)
}

/// Says who was cut off.
fn cut_off(vm: &Vm, run: &Run) -> Result<String> {
    let why = if run.boot == run::boot_id()? { "" } else { ", the machine was started anew since" };
    if let (true, Some(from)) = (run.stands, run.resumed) {
        let name = &vm.name;
        return Ok(format!(
            "{name} was cut off before it went on from {from}{why}: its disks are as before"
        ));
    }
    Ok(format!("{} was cut off: {} ran it from {:.0}{why}", vm.name, run.engine, run.since))
}

/// Ends one volume. Without a run, what is written to a kept one was told of before; to what a start has made that was
/// cut before it wrote who runs, nothing is. What a machine has that was never let run is another one's.
fn end(pool: &Pool, volume: &Volume, run: Option<&Run>) -> Result<Option<String>> {
    let id = &volume.id;
    if volume.role.is_kept() {
        let dirty = volume.files.dirty();
        let stat = pool.store().stat(&dirty);
        if stat.map_err(Error::doing(format!("look at {}", dirty.display())))?.is_none() {
            return Ok(None);
        }
        let Some(run) = run else {
            pool.driver().stop(volume, Ending::Keep)?;
            return Ok(None);
        };
        if run.stands {
            pool.driver().stop(volume, Ending::Discard)?;
            return Ok(None);
        }
        let outcome = pool.driver().stop(volume, Ending::Keep)?;
        let verb = match id.volume.as_str() {
            "root" => format!("'ebbtide template commit {}'", id.vm),
            _ => format!("'ebbtide volume commit {id}'"),
        };
        return Ok((outcome == Outcome::Kept).then(|| {
            format!(
                "what was written to {id} is kept beside its version: the next start goes on from it, {verb} commits it, \
                 'ebbtide volume discard {id}' drops it"
            )
        }));
    }
    let mut is_there = false;
    for path in [volume.files.clean(), volume.files.used().clean(), volume.files.dirty()] {
        let stat = pool.store().stat(&path);
        is_there |= stat.map_err(Error::doing(format!("look at {}", path.display())))?.is_some();
    }
    if !is_there {
        return Ok(None);
    }
    pool.driver().stop(volume, Ending::Discard)?;
    Ok(Some(format!("what was left of {id} by a run is removed")))
}

/// Removes what says that a VM runs, durably.
pub(super) fn forget(pool: &Pool, vm: &Vm) -> Result<()> {
    let file = vm.dir.join(run::FILE);
    let mut steps = Vec::new();
    for path in [aside(&file), file] {
        let stat = pool.store().stat(&path);
        if stat.map_err(Error::doing(format!("look at {}", path.display())))?.is_some() {
            steps.push(Step::Remove(path));
        }
    }
    if !steps.is_empty() {
        steps.push(Step::SyncDir(vm.dir.clone()));
    }
    step::apply(&steps, pool.store(), &mut Unseen)
}
