//! Versioned VMs: `NAME-next` is worked on, `NAME-vN` are immutable clones of it, and `NAME` means the newest of them.
//!
//! Each change is steps that are durable one after the other, and what is there says what comes next: a VM that is
//! versioned has the name of a working one and a version at least. So the next command goes on after a cut.

use super::{
    Allow, Guard, Vm, copy,
    lineage::{self, Lineage, sentence},
    make::free,
    record::Record,
    rewrite, volatile,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeId},
    pool::{
        Pool,
        step::{self, Step},
        store::{Inode, Lock, Unseen},
    },
};
use std::path::Path;

/// Goes on with a VM whose record says since now that it is versioned. Its name becomes that of its newest version, and it
/// is `NAME-next` itself from then on. Returns what is to be said. The pool is locked.
///
/// # Errors
/// A file operation fails; the next command goes on.
pub(super) fn begin(pool: &Pool, name: &VmName, lock: &Lock) -> Result<Vec<String>> {
    let mut said = settle_one(pool, name, lock)?;
    let next = name.next()?;
    said.push(match pool.named(&next)? {
        Some(_) => format!("{next} is worked on from now on; {name} is its newest version"),
        None => format!("{name} becomes {next} as soon as nobody works on it"),
    });
    Ok(said)
}

/// Makes a versioned VM an ordinary one, with its old name: what is linked to the working VM is linked to that. Its
/// versions go as soon as nothing refers to them.
///
/// # Errors
/// It runs.
pub(super) fn end(pool: &Pool, name: &VmName, lock: &Lock) -> Result<Vec<String>> {
    let guard = Guard::take(pool, name, "end its versions", Allow::Stopped)?;
    let mut vm = guard.vm().clone();
    let Some(old) = name.of_next() else {
        // A cut has left it before it had the name of a working VM.
        vm.record.versioned = None;
        return rewrite(pool, &vm, lock).map(|()| Vec::new());
    };
    // Without its working VM the name means nothing, so the VM has it before it is none any more.
    let target = Path::new(vm.record.kind.directory()).join(&old);
    rename(pool, &vm, &target)?;
    vm = Vm { name: old.clone(), dir: target, ..vm };
    vm.record.versioned = None;
    vm.record.flags.replaces = Some(name.clone());
    rewrite(pool, &vm, lock)?;
    drop(guard);
    for sentence in copy::follow(pool, lock)? {
        log::info!("{sentence}");
    }
    mark_all(pool, &old, lock)?;
    let mut said =
        vec![format!("{old} is no name of versions any more, but the VM that was {name}")];
    said.extend(volatile::sweep(pool, lock)?);
    Ok(said)
}

/// Refuses to end the versions of a VM whose old name another one has, or from which something boots that runs.
pub(super) fn check_end(pool: &Pool, vm: &Vm) -> Result<()> {
    copy::refuse_running(pool, vm)?;
    let Some(old) = vm.name.of_next() else { return Ok(()) };
    let Some(other) = pool.named(&old)? else { return Ok(()) };
    let text = format!("{} cannot have its old name: there is {}", vm.name, other.dir.display());
    Err(Refusal::new(RefusalKind::Exists, text)
        .hint(format!("'ebbtide vm clone {old} OTHER' and 'ebbtide vm remove {old}' free it"))
        .into())
}

/// Makes the next version of a versioned VM, if its disks are others than those of the newest. Returns its name.
///
/// # Errors
/// It is not versioned, or a file operation fails.
pub fn make_version(pool: &Pool, name: &VmName) -> Result<Option<VmName>> {
    let lock = pool.lock()?;
    let vm = itself(pool, name)?;
    if vm.record.versioned.is_none() {
        let text = format!("{name} is not versioned");
        return Err(Refusal::new(RefusalKind::Rule, text)
            .hint(format!("'ebbtide vm set {name} versioned=auto' makes it so"))
            .into());
    }
    let made = match name.of_next() {
        Some(versions) => next_version(pool, &vm, &versions, &lock)?,
        None => None,
    };
    for sentence in volatile::sweep(pool, &lock)? {
        log::info!("{sentence}");
    }
    Ok(made)
}

/// Goes on with what cuts have left of versioned VMs, and makes the versions that are due: of those that make them by
/// themselves, do not run, and have nothing uncommitted. The pool is locked. Returns what was done.
///
/// # Errors
/// A file operation fails.
pub(super) fn settle(pool: &Pool, lock: &Lock) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for vm in pool.vms()?.vms {
        if vm.record.versioned.is_none() && vm.record.flags.version_of.is_none() {
            continue;
        }
        match settle_one(pool, &vm.name, lock) {
            // Others are not kept from their work by one whose version has a record that cannot be read.
            Err(error @ (Error::Refused(_) | Error::Unreadable { .. })) => {
                log::warn!("{}: its versions are left as they are: {}", vm.name, error.chain());
            }
            settled => said.extend(settled?),
        }
    }
    Ok(said)
}

/// Does that for one VM, whatever it has become meanwhile.
fn settle_one(pool: &Pool, name: &VmName, lock: &Lock) -> Result<Vec<String>> {
    let Some(vm) = pool.named(name)? else { return Ok(Vec::new()) };
    let Some(versioned) = vm.record.versioned else {
        return give_up_alone(pool, &vm, lock).map(|()| Vec::new());
    };
    let Some(name) = vm.name.of_next() else {
        return become_next(pool, &vm, lock).map(|()| Vec::new());
    };
    let mut said = Vec::new();
    if !versioned.manual || pool.versions_of(&name)?.is_empty() {
        said.extend(due(pool, &vm, &name, lock)?);
    }
    let newest = pool.versions_of(&name)?.pop().map(|(_, newest)| newest.name);
    mark_versions(pool, &name, newest.as_ref(), lock)?;
    Ok(said)
}

/// Marks a version whose working VM is one no more.
fn give_up_alone(pool: &Pool, vm: &Vm, lock: &Lock) -> Result<()> {
    let Some(of) = vm.record.flags.version_of.as_ref().filter(|_| !vm.record.flags.volatile) else {
        return Ok(());
    };
    for name in [of.next()?, of.clone()] {
        if pool.named(&name)?.is_some_and(|found| found.record.versioned.is_some()) {
            return Ok(());
        }
    }
    volatile::mark(pool, vm, lock)
}

/// Gives a versioned VM the name of a working one, after a version of it has the old name.
fn become_next(pool: &Pool, vm: &Vm, lock: &Lock) -> Result<()> {
    let next = vm.name.next()?;
    if let Some(other) = pool.named(&next)? {
        let text = format!("{} cannot become {next}: there is {}", vm.name, other.dir.display());
        let hint = format!("'ebbtide vm set {} versioned=no' makes it an ordinary VM", vm.name);
        return Err(Refusal::new(RefusalKind::Exists, text).hint(hint).into());
    }
    // Somebody works on it: whoever looks next goes on.
    let Ok(guard) = Guard::take(pool, &vm.name, "make it versioned", Allow::Stopped) else {
        return Ok(());
    };
    let vm = guard.vm();
    next_version(pool, vm, &vm.name, lock)?;
    rename(pool, vm, &Path::new(vm.record.kind.directory()).join(&next))?;
    let newest = pool.versions_of(&vm.name)?.pop().map(|(_, newest)| newest.name);
    newest.map_or(Ok(()), |newest| relink(pool, &vm.name, &newest, lock))
}

/// Makes the version of a VM that does not run, and of which nobody made it.
fn due(pool: &Pool, vm: &Vm, name: &VmName, lock: &Lock) -> Result<Option<String>> {
    if lineage::runs(pool, vm)? || has_uncommitted(pool, vm)?.is_some() {
        return Ok(None);
    }
    let made = next_version(pool, vm, name, lock)?;
    Ok(made.map(|made| format!("{made} is the newest version of {}", vm.name)))
}

/// Makes a version of a VM whose disks are not those of the newest one.
fn next_version(pool: &Pool, vm: &Vm, name: &VmName, lock: &Lock) -> Result<Option<VmName>> {
    let mut number = match pool.versions_of(name)?.last() {
        Some((_, newest)) if current(pool, newest)? == current(pool, vm)? => return Ok(None),
        Some((number, _)) => number + 1,
        None => 1,
    };
    // Another VM, or what is not ours, may have the name of a version.
    while !is_free(pool, &vm.record, &name.version(number)?, lock)? {
        number += 1;
    }
    let made = make(pool, vm, name, number, lock)?;
    relink(pool, &vm.name, &made, lock)?;
    mark_versions(pool, name, Some(&made), lock)?;
    Ok(Some(made))
}

fn is_free(pool: &Pool, record: &Record, name: &VmName, lock: &Lock) -> Result<bool> {
    match free(pool, name, &Path::new(record.kind.directory()).join(name), lock) {
        Err(Error::Refused(refusal)) if refusal.kind == RefusalKind::Exists => Ok(false),
        free => free.map(|()| true),
    }
}

/// Makes a version.
fn make(pool: &Pool, vm: &Vm, of: &VmName, number: u64, lock: &Lock) -> Result<VmName> {
    let (name, next) = (of.version(number)?, of.next()?);
    let mut said = Vec::new();
    copy::make(
        pool,
        vm,
        &name,
        |record| {
            record.base = Some(next);
            record.flags.immutable = true;
            record.flags.version_of = Some(of.clone());
        },
        &mut said,
        lock,
    )?;
    said.iter().for_each(|sentence| log::info!("{sentence}"));
    Ok(name)
}

/// Links clones of a VM to another one; not that one itself, nor what boots from the first by its name.
fn relink(pool: &Pool, from: &VmName, to: &VmName, lock: &Lock) -> Result<()> {
    for vm in Lineage::look(pool)?.linked(from) {
        if vm.name != *to && vm.record.base.as_ref() == Some(from) {
            let mut vm = vm.clone();
            vm.record.base = Some(to.clone());
            rewrite(pool, &vm, lock)?;
        }
    }
    Ok(())
}

/// Has lists leave out the versions but for the newest, and marks them to go where no history is kept.
fn mark_versions(pool: &Pool, name: &VmName, newest: Option<&VmName>, lock: &Lock) -> Result<()> {
    let next = pool.named(&name.next()?)?;
    let history = next.and_then(|next| next.record.versioned).is_some_and(|how| how.history);
    for (_, mut version) in pool.versions_of(name)? {
        if Some(&version.name) == newest {
            continue;
        }
        let flags = &mut version.record.flags;
        let before = flags.clone();
        flags.internal = true;
        flags.volatile |= !history;
        if *flags != before {
            rewrite(pool, &version, lock)?;
        }
    }
    Ok(())
}

/// Marks the versions of a working VM that is gone.
pub(super) fn give_up(pool: &Pool, vm: &Vm, lock: &Lock) -> Result<()> {
    match vm.record.versioned.and_then(|_| vm.name.of_next()) {
        Some(name) => mark_all(pool, &name, lock),
        None => Ok(()),
    }
}

/// Marks all versions to go. Those that something refers to stay in lists until then.
fn mark_all(pool: &Pool, name: &VmName, lock: &Lock) -> Result<()> {
    let versions = pool.versions_of(name)?;
    versions.iter().try_for_each(|(_, version)| volatile::mark(pool, version, lock))
}

/// Returns which files the current versions of a VM's kept disks are.
pub(super) fn current(pool: &Pool, vm: &Vm) -> Result<Vec<Option<Inode>>> {
    let kept = vm.volumes(pool)?.into_iter().filter(|volume| volume.role.is_kept());
    kept.map(|volume| Ok(pool.driver().state(&volume)?.current.map(|version| version.inode)))
        .collect()
}

/// Returns a kept disk of a VM to which something is written that is in no version.
pub(super) fn has_uncommitted(pool: &Pool, vm: &Vm) -> Result<Option<VolumeId>> {
    for volume in vm.volumes(pool)?.into_iter().filter(|volume| volume.role.is_kept()) {
        if pool.driver().state(&volume)?.dirty.is_some() {
            return Ok(Some(volume.id));
        }
    }
    Ok(None)
}

pub(super) fn uncommitted(volume: &VolumeId) -> Refusal {
    Refusal::new(RefusalKind::Rule, format!("{volume} has something uncommitted")).hint(format!(
        "'ebbtide volume commit {volume}' commits it, 'ebbtide volume discard {volume}' drops it"
    ))
}

/// Returns the VM that has a name itself.
pub(super) fn itself(pool: &Pool, name: &VmName) -> Result<Vm> {
    match pool.named(name)? {
        Some(vm) => Ok(vm),
        None => {
            // The usual refusal, or that of a name that only means a version.
            let newest = pool.vm(name)?.name;
            let text =
                format!("{name} is the name of the newest version of a versioned VM, {newest}");
            let hint = format!("name {}, which is worked on", name.next()?);
            Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into())
        }
    }
}

fn rename(pool: &Pool, vm: &Vm, target: &Path) -> Result<()> {
    let parent = Path::new(vm.record.kind.directory()).to_path_buf();
    let steps = [Step::Rename { from: vm.dir.clone(), to: target.into() }, Step::SyncDir(parent)];
    step::apply(&steps, pool.store(), &mut Unseen)
}

/// Refuses a VM that cannot become versioned. Its lock is taken.
pub(super) fn check(pool: &Pool, vm: &Vm, lock: &Lock) -> Result<()> {
    let name = &vm.name;
    let refuse = |text: String| Err(Refusal::new(RefusalKind::Rule, text).into());
    let flags = &vm.record.flags;
    if let Some(of) = &flags.version_of {
        return refuse(format!("{name} is a version of {of} itself"));
    }
    if flags.immutable || flags.instance.is_some() || flags.volatile {
        return refuse(format!(
            "{name} is immutable, a start of another VM, or to be removed; wanted a VM that is none of these"
        ));
    }
    if pool.driver().instants().is_none() {
        let text =
            format!("{name} cannot be versioned: this pool would copy its disks for each version");
        return Err(Refusal::new(RefusalKind::Unable, text)
            .hint("the driver reflink, on btrfs or XFS, can do that")
            .into());
    }
    if let Some(volume) = has_uncommitted(pool, vm)? {
        return Err(uncommitted(&volume).into());
    }
    if let Some(of) = name.of_next() {
        return refuse(format!(
            "{name} cannot be versioned: it has the name of what is worked on of a versioned {of}"
        ));
    }
    let next = name.next()?;
    free(pool, &next, &Path::new(vm.record.kind.directory()).join(&next), lock)?;
    let references = Lineage::look(pool)?.references(vm);
    let running: Vec<_> = references
        .into_iter()
        .filter(|reference| !matches!(reference, super::Reference::Template(_)))
        .collect();
    match running.as_slice() {
        [] => Ok(()),
        running => refuse(format!("{name} cannot be renamed: {}", sentence(running))),
    }
}
