//! Start and stop: a VM's volumes made ready for an engine, and ended.

use super::{Guard, Run, Vm, run, settle};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeId, VolumeName},
    pool::{
        Pool,
        driver::{Disk, Ending, Outcome, Volume},
        store::Unseen,
    },
};

/// Makes the volumes of a VM ready, in the order `root`, `private`, `volatile`, and writes who runs it. When one fails,
/// those that were made ready are ended again. Durable is `run.toml` alone: what a cut leaves is settled without it.
///
/// # Errors
/// The template is missing. Names the volume, and what could not be ended again.
pub fn prepare(pool: &Pool, guard: &Guard, run: Run) -> Result<Vec<Disk>> {
    let access = guard.vm().root_access();
    prepare_by(pool, guard, run, &|volume| pool.driver().start(volume, access))
}

/// Does what [`prepare`] does, with what makes one volume ready. That a machine stands is durable before the first one is.
pub(super) fn prepare_by(
    pool: &Pool,
    guard: &Guard,
    run: Run,
    start: &dyn Fn(&Volume) -> Result<Disk>,
) -> Result<Vec<Disk>> {
    let vm = guard.vm();
    vm.changeable()?;
    if let Some(template) = &vm.record.template {
        pool.vm(template)?;
    }
    if run::read_run(pool, vm)?.is_some() {
        let text = format!("{} is prepared already", vm.name);
        return Err(Refusal::new(RefusalKind::Busy, text).into());
    }
    let mut started = Vec::new();
    let announced = if run.stands { run::write_run(pool, guard, &run) } else { Ok(()) };
    let disks = announced.and_then(|()| start_all(pool, vm, start, &mut started));
    let prepared = disks.and_then(|disks| {
        let mut run = run;
        run.disks =
            disks.iter().map(|disk| (disk.id.volume.to_string(), disk.path.clone())).collect();
        run::write_run(pool, guard, &run)?;
        Ok(disks)
    });
    prepared.map_err(|error| undo(pool, vm, &started, error))
}

/// A volume that was made ready, and how it ends when the VM does not start.
struct Started {
    volume: Volume,
    ending: Ending,
}

/// Makes one volume after the other ready.
fn start_all(
    pool: &Pool,
    vm: &Vm,
    start: &dyn Fn(&Volume) -> Result<Disk>,
    started: &mut Vec<Started>,
) -> Result<Vec<Disk>> {
    let mut disks = Vec::new();
    for name in vm.shown().chain([VolumeName::volatile()]) {
        // The volatile disk is as large as the root needs that was started, whatever the template's is by now.
        let volume = vm.volume(pool, &name)?;
        let dirty = volume.files.dirty();
        let went_on = pool.store().stat(&dirty);
        let went_on = went_on.map_err(Error::doing(format!("look at {}", dirty.display())))?;
        // What was there before stays there when the VM does not start.
        let ending = if went_on.is_some() { Ending::Keep } else { Ending::Discard };
        log::info!("start {}", volume.id);
        // Before it is tried: a start that fails may leave something too.
        started.push(Started { volume: volume.clone(), ending });
        disks.push(start(&volume)?);
    }
    Ok(disks)
}

/// Ends what was made ready, and returns why, with what could not be ended.
fn undo(pool: &Pool, vm: &Vm, started: &[Started], error: Error) -> Error {
    let mut failed = Vec::new();
    for Started { volume, ending } in started.iter().rev() {
        if let Err(second) = pool.driver().stop(volume, *ending) {
            failed.push(format!("{}: {}", volume.id, second.chain()));
        }
    }
    // It may have its name although it could not be made durable.
    if let Err(second) = settle::forget(pool, vm) {
        failed.push(second.chain());
    }
    if failed.is_empty() {
        return error;
    }
    let text =
        format!("{}; and what was made ready is not ended: {}", error.chain(), failed.join("; "));
    Refusal::new(RefusalKind::Unable, text).hint("the next command for this VM tries again").into()
}

/// Ends the volumes of a VM whose engine is gone, all of them also when one fails, and forgets who ran it. Repeatable.
///
/// # Errors
/// The first failure; the next command that takes the VM's lock goes on.
pub fn release(pool: &Pool, guard: &Guard, ending: Ending) -> Result<Vec<(VolumeId, Outcome)>> {
    let mut unwritten = Vec::new();
    if ending == Ending::Commit {
        // The long part, before the pool is locked; what the commit syncs again is little.
        for volume in guard.vm().volumes(pool)?.iter().filter(|volume| volume.role.is_kept()) {
            if let Err(error) = sync_dirty(pool, volume) {
                unwritten.push((volume.id.clone(), error));
            }
        }
    }
    // What others read of several volumes, and write of pins, they do with the pool locked.
    let lock = pool.lock_at_last()?;
    let vm = pool.vm(&guard.vm().name)?;
    let mut outcomes = Vec::new();
    let mut first = None;
    for volume in vm.volumes(pool)? {
        let stopped = match unwritten.iter().position(|(id, _)| *id == volume.id) {
            Some(place) => Err(unwritten.swap_remove(place).1),
            None => pool.driver().stop(&volume, ending),
        };
        match stopped {
            Ok(outcome) => outcomes.push((volume.id, outcome)),
            Err(error) if first.is_none() => first = Some(error),
            Err(error) => log::warn!("{}: {}", volume.id, error.chain()),
        }
    }
    drop(lock);
    match first {
        Some(error) => Err(error),
        None => {
            settle::forget(pool, &vm)?;
            Ok(outcomes)
        }
    }
}

/// Makes what was written to a volume durable. The kernel tells a failed write once, so this failure is believed.
pub(super) fn sync_dirty(pool: &Pool, volume: &Volume) -> Result<()> {
    let dirty = volume.files.dirty();
    let found = pool.store().stat(&dirty);
    if found.map_err(Error::doing(format!("look at {}", dirty.display())))?.is_none() {
        return Ok(());
    }
    log::info!("sync {}", dirty.display());
    pool.store().sync_file(&dirty).map_err(Error::doing(format!("sync {}", dirty.display())))
}

/// Makes the next dirty images of a VM, as far as they are missing: for a process in the background. Takes no lock of the
/// VM.
///
/// # Errors
/// The first failure; a start makes what is missing.
pub fn precache(pool: &Pool, name: &VmName) -> Result<()> {
    let volumes = pool.vm(name)?.volumes(pool)?;
    volumes
        .iter()
        .filter(|volume| volume.role.is_kept())
        .try_for_each(|volume| pool.driver().precache(volume, &mut Unseen))
}
