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
    vm::{Vm, aside::Aside, disk_uuid, instant::MEMORY},
    volume::{FileKind, files::file_name},
};
use std::path::Path;
use uuid::Uuid;

/// Gives the VM `to` the savestates of `from`, of which it is a clone. No content is copied.
///
/// # Errors
/// A file operation fails. Those that are there already are whole.
pub fn clone_all(pool: &Pool, from: &Vm, to: &Vm, lock: &Lock) -> Result<()> {
    let all = list(pool)?.0;
    all.iter().filter(|found| found.of == from.record.uuid).try_for_each(|found| {
        make_directory(pool)?;
        clone(pool, found, to, lock)
    })
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
