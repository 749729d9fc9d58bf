//! A VM becomes what it was: its disks and its record are those of a snapshot.

use super::{Snapshot, journal, load, merge::merge};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    file,
    name::VolumeId,
    pool::{
        Pool,
        driver::Volume,
        record as small,
        step::{self, Step},
        store::Unseen,
    },
    vm::{
        Allow, Guard, Outcomes, Vm, instant::instants, record, set::is_template, sweep::is_there,
    },
};
use std::path::Path;

/// What a revert came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertedVm {
    /// The VM.
    pub vm: Vm,
    /// What became of each disk, and as what its former version is kept.
    pub disks: Outcomes,
    /// What was settled first, and what could not be as it was.
    pub said: Vec<String>,
}

/// Returns the VM whose snapshot it is.
///
/// # Errors
/// It is gone, or is not known.
pub fn vm_of(pool: &Pool, snapshot: &Snapshot) -> Result<Vm> {
    let vms = pool.vms()?;
    let is_its = |vm: &Vm| Some(vm.record.uuid) == snapshot.snapshot_of;
    let found = vms.vms.into_iter().find(is_its);
    found.ok_or_else(|| {
        let text = format!("the VM of the {} is not there", snapshot.called());
        Refusal::new(RefusalKind::Missing, text)
            .hint(format!("'ebbtide snapshot clone {} NAME' makes a VM of it", snapshot.uuid))
            .into()
    })
}

/// Makes a VM what it was: each disk of the snapshot is its disk again, and what it was until now is kept as a version. The
/// settings are the snapshot's but for [`NEVER_REVERTED`](super::NEVER_REVERTED); disks that the VM has got since, and
/// snapshots that were taken since, stay. When it is cut off, whoever has the VM's lock next finishes it.
///
/// # Errors
/// The VM is gone, runs, or is immutable; something of it is not committed; an image of the snapshot is missing.
pub fn revert_vm(pool: &Pool, snapshot: &Snapshot) -> Result<RevertedVm> {
    let name = vm_of(pool, snapshot)?.name;
    let guard = Guard::take(pool, &name, "revert", Allow::Stopped)?;
    for volume in guard.vm().volumes(pool)? {
        pool.driver().wait(&volume)?;
    }
    let lock = pool.lock()?;
    // Others may have removed it, or given it another parent.
    let snapshot = &load::read(pool, &snapshot.dir())?.ok_or_else(|| gone(snapshot))?;
    let vm = pool.vm(&name)?;
    if vm.record.flags.immutable {
        return Err(immutable(&vm, snapshot).into());
    }
    let mut said = guard.said().to_vec();
    let to = target(pool, &vm, snapshot)?.0;
    for (volume, image) in disks(pool, &to, snapshot)? {
        if pool.driver().state(&volume)?.dirty.is_some() {
            return Err(uncommitted(&volume.id).into());
        }
        if !is_there(pool, &image)? {
            return Err(missing(snapshot, &volume.id).into());
        }
    }
    journal::begin(pool, &vm, snapshot)?;
    let reverted = finish(pool, &vm, snapshot)?;
    drop(lock);
    said.extend(reverted.said);
    Ok(RevertedVm { said, ..reverted })
}

/// Does what the journal of a VM says, from wherever it was cut off.
pub(super) fn finish(pool: &Pool, vm: &Vm, snapshot: &Snapshot) -> Result<RevertedVm> {
    let _lock = pool.lock_unless_locked()?;
    let (to, said) = target(pool, &pool.vm(&vm.name)?, snapshot)?;
    let driver = instants(pool, vm)?;
    let mut outcomes = Vec::new();
    for (volume, image) in disks(pool, &to, snapshot)? {
        let outcome = driver.restore(&volume, &image)?;
        outcomes.push((volume.id, outcome));
    }
    for name in ["kernel", "initrd"] {
        restore_file(pool, &snapshot.dir().join(name), &vm.dir.join(name))?;
    }
    let content = to.record.print()?;
    small::replace(pool.store(), &to.dir.join(record::FILE), content)?;
    journal::end(pool, vm)?;
    Ok(RevertedVm { vm: to, disks: outcomes, said })
}

/// Returns the VM as it will be, and what cannot be as it was.
fn target(pool: &Pool, vm: &Vm, snapshot: &Snapshot) -> Result<(Vm, Vec<String>)> {
    let mut said = Vec::new();
    let mut record = merge(&vm.record, &snapshot.record)?;
    record.parent = Some(snapshot.uuid);
    let is_there = match (&vm.record.template, &record.template) {
        (Some(_), Some(template)) => match is_template(pool, template) {
            Err(Error::Refused(_)) => false,
            found => found.map(|_| true)?,
        },
        (now, then) => now == then,
    };
    if !is_there {
        if let (Some(now), Some(then)) = (&vm.record.template, &record.template) {
            said.push(format!("{}: there is no template {then} any more; it stays {now}", vm.name));
        }
        record.template.clone_from(&vm.record.template);
    }
    Ok((Vm { record, ..vm.clone() }, said))
}

/// Returns the disks that are reverted, each with its image: those that the VM keeps. Others are made anew at its start.
fn disks<'a>(
    pool: &'a Pool,
    to: &'a Vm,
    snapshot: &'a Snapshot,
) -> Result<Vec<(Volume, std::path::PathBuf)>> {
    let disks = snapshot.disks.iter();
    let disks = disks.map(|disk| Ok((to.volume(pool, &disk.volume)?, snapshot.image(disk))));
    let disks: Vec<_> = disks.collect::<Result<_>>()?;
    Ok(disks.into_iter().filter(|(volume, _)| volume.role.is_kept()).collect())
}

/// Puts a copy of a file of the snapshot, if it has it, into the place of the VM's.
fn restore_file(pool: &Pool, from: &Path, to: &Path) -> Result<()> {
    if !is_there(pool, from)? {
        return Ok(());
    }
    let aside = file::aside(to);
    let mut steps = Vec::new();
    if is_there(pool, &aside)? {
        steps.push(Step::Remove(aside.clone()));
    }
    steps.extend([
        Step::CloneImage { from: from.into(), to: aside.clone() },
        Step::SyncFile(aside.clone()),
        Step::Rename { from: aside, to: to.into() },
        Step::SyncDir(to.parent().unwrap_or(Path::new("")).into()),
    ]);
    step::apply(&steps, pool.store(), &mut Unseen)
}

pub(super) fn gone(snapshot: &Snapshot) -> Refusal {
    Refusal::new(RefusalKind::Missing, format!("the {} is gone", snapshot.called()))
        .hint("'ebbtide snapshot list' shows what is there")
}

pub(super) fn missing(snapshot: &Snapshot, id: &VolumeId) -> Refusal {
    let text = format!(
        "the {} has no image of {}, and its record names one",
        snapshot.called(),
        id.volume
    );
    Refusal::new(RefusalKind::Missing, text).hint("'ebbtide pool check' names what else is missing")
}

fn immutable(vm: &Vm, snapshot: &Snapshot) -> Refusal {
    let text = format!("{} cannot be reverted: it is immutable", vm.name);
    Refusal::new(RefusalKind::Rule, text)
        .hint(format!("'ebbtide snapshot clone {} NAME' makes another VM of it", snapshot.uuid))
}

fn uncommitted(id: &VolumeId) -> Refusal {
    let text = format!("{} cannot be reverted: {id} has what it wrote and nobody committed", id.vm);
    let verb = match id.volume.as_str() {
        "root" => format!("'ebbtide template commit {}'", id.vm),
        _ => format!("'ebbtide volume commit {id}'"),
    };
    Refusal::new(RefusalKind::Rule, text)
        .hint(format!("{verb} makes it a version, 'ebbtide volume discard {id}' drops it"))
}
