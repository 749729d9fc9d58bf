//! A new VM that begins as a snapshot.

use super::{
    Snapshot, load,
    revert::{gone, missing},
};
use crate::{
    error::Result,
    name::{VmName, VolumeId},
    pool::{
        Pool,
        driver::{Retention, Volume},
        step::{self, Step},
        store::Unseen,
    },
    vm::{
        Vm,
        aside::Aside,
        make::free,
        record::{self, Ahead, Flags, Record},
        set::is_template,
        sweep,
    },
    volume::{Files, Role},
};
use ebbtide_format::units::Bytes;
use jiff::Timestamp;
use std::path::Path;
use uuid::Uuid;

/// Makes a VM with the disks and the settings of a snapshot, copying no disk. What the VM of the snapshot is among others
/// it is not: it has no flags, no base, and no pins. Returns what was settled. Durable when it returns.
///
/// # Errors
/// The name is taken; the snapshot is gone, or an image of it; the template of the snapshot is not there.
pub fn clone_snapshot(pool: &Pool, snapshot: &Snapshot, name: &VmName) -> Result<Vec<String>> {
    let lock = pool.lock()?;
    let said = sweep::asides(pool, &lock)?;
    let snapshot = &load::read(pool, &snapshot.dir())?.ok_or_else(|| gone(snapshot))?;
    if let Some(template) = &snapshot.record.template {
        is_template(pool, template)?;
    }
    let record = Record {
        uuid: Uuid::new_v4(),
        created: Timestamp::now(),
        base: None,
        parent: Some(snapshot.uuid),
        flags: Flags::default(),
        versioned: None,
        ahead: Ahead::default(),
        pins: Default::default(),
        ..snapshot.record.clone()
    };
    let target = Path::new(record.kind.directory()).join(name);
    free(pool, name, &target, &lock)?;
    let aside = Aside::begin(pool, &target, &lock)?;
    let vm = Vm { name: name.clone(), dir: aside.dir.clone(), record };
    let made = fill(pool, snapshot, &vm)
        .and_then(|()| vm.record.print())
        .and_then(|text| aside.finish(pool.store(), record::FILE, text, &lock));
    if made.is_err() {
        aside.discard(pool);
    }
    made.map(|()| said)
}

/// Gives the new VM the disks that it keeps, and the kernel.
fn fill(pool: &Pool, snapshot: &Snapshot, vm: &Vm) -> Result<()> {
    for disk in &snapshot.disks {
        let to = vm.volume(pool, &disk.volume)?;
        if !to.role.is_kept() {
            continue;
        }
        if !sweep::is_there(pool, &snapshot.image(disk))? {
            return Err(missing(snapshot, &to.id).into());
        }
        let from = Volume {
            id: VolumeId { vm: snapshot.vm.clone(), volume: disk.volume.clone() },
            files: Files::new(&snapshot.dir(), disk.volume.clone()),
            role: Role::Origin,
            source: None,
            size: Bytes(0),
            retention: Retention::default(),
        };
        pool.driver().adopt_version(&from, &to)?;
    }
    copy_kernel(pool, &snapshot.dir(), &vm.dir)
}

/// Copies the kernel and its initial file system from one directory to another, where there are such.
pub(super) fn copy_kernel(pool: &Pool, from: &Path, to: &Path) -> Result<()> {
    for name in ["kernel", "initrd"] {
        let (from, to) = (from.join(name), to.join(name));
        if sweep::is_there(pool, &from)? {
            let steps = [Step::CloneImage { from, to: to.clone() }, Step::SyncFile(to)];
            step::apply(&steps, pool.store(), &mut Unseen)?;
        }
    }
    Ok(())
}
