//! Whether a savestate is of the versions that its VM has by now.

use super::{Kind, Savestate, read::list};
use crate::{
    error::{Error, Result},
    name::{VmName, VolumeName},
    pool::{Pool, store::Inode},
    vm::{Record, Vm},
    volume::{Files, Role},
};
use std::{collections::BTreeMap, time::SystemTime};

/// When a machine begins that versions are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// It has begun, and runs.
    Then,
    /// It would be started now.
    Now,
}

/// Returns which versions the disks of a machine of a VM begin with: text that is the same as long as the version is. A
/// version is an inode; with its time it is known again, also when a number is used twice.
pub(super) fn versions(
    pool: &Pool,
    vm: &Vm,
    begins: Begins,
) -> Result<BTreeMap<VolumeName, String>> {
    let mut versions = BTreeMap::new();
    for volume in vm.volumes(pool)? {
        let own = volume.files.clean();
        let source = volume.source.as_ref().map(Files::clean);
        let places = match (&volume.role, begins) {
            (Role::Volatile, _) => continue,
            // What is linked while it runs goes with the machine.
            (Role::Snapshot { .. }, Begins::Now) => [None, source],
            _ => [Some(own), source],
        };
        for place in places.into_iter().flatten() {
            let stat = pool.store().stat(&place);
            let stat = stat.map_err(Error::doing(format!("look at {}", place.display())))?;
            if let Some(stat) = stat {
                let time = stat.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let text = format!("{}@{}", stat.inode.number, time.as_nanos());
                versions.insert(volume.id.volume.clone(), text);
                break;
            }
        }
    }
    Ok(versions)
}

/// Returns the template that a VM boots from now: of a versioned one the newest version.
pub(super) fn template(pool: &Pool, vm: &Vm) -> Result<Option<VmName>> {
    vm.record.template.as_ref().map(|template| pool.actual(template)).transpose()
}

/// Returns the template that a VM runs on: of a versioned one the version whose root it was started with, the newest of those that
/// share it. `None` where that is gone: what the name means by now may be another one.
pub(super) fn ran_on(pool: &Pool, vm: &Vm) -> Result<Option<VmName>> {
    let Some(name) = &vm.record.template else { return Ok(None) };
    if vm.record.root.own || pool.named(name)?.is_some() {
        return template(pool, vm);
    }
    let root = |vm: &Vm| -> Result<Option<Inode>> {
        let file = vm.volume(pool, &VolumeName::root())?.files.clean();
        let stat = pool.store().stat(&file);
        let stat = stat.map_err(Error::doing(format!("look at {}", file.display())))?;
        Ok(stat.map(|stat| stat.inode))
    };
    let its = root(vm)?;
    for (_, version) in pool.versions_of(name)?.into_iter().rev() {
        if root(&version)? == its {
            return Ok(Some(version.name));
        }
    }
    Ok(None)
}

/// Returns whether a machine of a VM that is started now would begin with the versions that a savestate's has begun with, and
/// have the same settings.
///
/// # Errors
/// A file cannot be looked at.
pub fn is_current(pool: &Pool, vm: &Vm, savestate: &Savestate) -> Result<bool> {
    Ok(savestate.of == vm.record.uuid
        && savestate.template == template(pool, vm)?
        && settings(&savestate.record) == settings(&vm.record)
        && savestate.versions == versions(pool, vm, Begins::Now)?)
}

/// Returns what of a record makes another machine.
fn settings(record: &Record) -> impl PartialEq {
    (record.template.clone(), record.root, record.volatile, record.engine.clone())
}

/// Returns the hot savestate of a VM's current versions, if there is one.
///
/// # Errors
/// The savestates cannot be listed.
pub fn hot_of(pool: &Pool, vm: &Vm) -> Result<Option<Savestate>> {
    let hot = list(pool)?.0.into_iter().rev();
    for savestate in hot.filter(|found| found.of == vm.record.uuid && found.kind == Kind::Hot) {
        if is_current(pool, vm, &savestate)? {
            return Ok(Some(savestate));
        }
    }
    Ok(None)
}

/// Returns the VMs whose hot savestate may have to be made again when `name` has new versions: itself, those that boot from
/// it, and those that were made of it.
///
/// # Errors
/// A directory cannot be read.
pub fn related(pool: &Pool, name: &VmName) -> Result<Vec<Vm>> {
    let mut vms = pool.vms()?.vms;
    vms.retain(|vm| is_related(pool, vm, name));
    Ok(vms)
}

fn is_related(pool: &Pool, vm: &Vm, name: &VmName) -> bool {
    let is_it = |other: &Option<VmName>| other.as_ref() == Some(name);
    // Of a versioned template it is the working VM that has something new, and a version is made of that.
    let of_its_version = || {
        let boots = template(pool, vm).ok().flatten().and_then(|boots| pool.vm(&boots).ok());
        boots.is_some_and(|boots| boots.name == *name || is_it(&boots.record.base))
    };
    let is_version = is_it(&vm.record.flags.version_of);
    vm.name == *name
        || is_version
        || is_it(&vm.record.base)
        || is_it(&vm.record.template)
        || of_its_version()
}
