//! A clone of a VM has the VM's savestates: other names of the same files.

use super::{FILE, Savestate, dir_of, read::list, take::make_directory};
use crate::{
    error::{Error, Result},
    pool::{
        Pool,
        step::{self, Step},
        store::{Lock, Unseen},
    },
    record as text,
    vm::{Vm, aside::Aside, disk_uuid, instant::MEMORY, rewrite},
    volume::{FileKind, files::file_name},
};
use std::path::Path;
use uuid::Uuid;

/// Returns whether a VM has savestates.
pub(in crate::vm) fn has_any(pool: &Pool, vm: &Vm) -> Result<bool> {
    Ok(list(pool)?.0.iter().any(|found| found.of == vm.record.uuid))
}

/// Gives clones the savestates of what they are clones of, where they have not all of them yet, as after a cut. No content is
/// copied.
///
/// # Errors
/// A file operation fails. Those that are there already are whole.
pub(in crate::vm) fn inherit(pool: &Pool, lock: &Lock) -> Result<()> {
    for mut vm in pool.vms()?.vms {
        let Some(of) = vm.record.flags.inherits.take() else { continue };
        let all = list(pool)?.0;
        // One and its copy are of the same moment.
        let has_it = |wanted: &Savestate| {
            all.iter().any(|found| found.of == vm.record.uuid && found.time == wanted.time)
        };
        for wanted in all.iter().filter(|found| found.of == of && !has_it(found)) {
            make_directory(pool)?;
            clone(pool, wanted, &vm, lock)?;
        }
        rewrite(pool, &vm, lock)?;
    }
    Ok(())
}

fn clone(pool: &Pool, savestate: &Savestate, to: &Vm, lock: &Lock) -> Result<()> {
    let old = savestate.dir();
    let mut new = savestate.clone();
    (new.uuid, new.of, new.vm) = (Uuid::new_v4(), to.record.uuid, to.name.clone());
    let aside = Aside::begin(pool, &dir_of(new.uuid), lock)?;
    let images = savestate.disks.iter().map(|disk| file_name(&disk.volume, &FileKind::Clean));
    let steps: Vec<Step> = images
        .chain([MEMORY.into()])
        .map(|name| Step::Link { from: old.join(&name), to: aside.dir.join(name) })
        .collect();
    for disk in &mut new.disks {
        disk.uuid = Uuid::new_v4();
        disk.snapshot_of = Some(disk_uuid(new.of, &disk.volume));
    }
    let made = step::apply(&steps, pool.store(), &mut Unseen)
        .and_then(|()| text::print(&new, Path::new(FILE)))
        .and_then(|record| aside.finish(pool.store(), FILE, record, lock));
    match made {
        // Removed since it was listed.
        Err(Error::Failed { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            aside.discard(pool);
            Ok(())
        }
        Err(error) => {
            aside.discard(pool);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}
