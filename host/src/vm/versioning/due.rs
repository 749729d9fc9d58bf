//! What is due of versioned VMs, by what is there: a name, a version, marks on older ones. Also what a cut has left.

use super::{current, has_uncommitted, rename};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, store::Lock},
    vm::{
        Allow, Guard, Vm, copy,
        lineage::{self, Lineage},
        make::free,
        record::Record,
        rewrite, volatile,
    },
};
use std::path::Path;

/// Goes on with what cuts have left of versioned VMs, and makes the versions that are due: of those that make them by
/// themselves, do not run, and have nothing uncommitted. The pool is locked. Returns what was done.
///
/// # Errors
/// A file operation fails.
pub(in crate::vm) fn settle(pool: &Pool, lock: &Lock) -> Result<Vec<String>> {
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
pub(super) fn settle_one(pool: &Pool, name: &VmName, lock: &Lock) -> Result<Vec<String>> {
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

/// Makes a version of a VM whose disks are not those of the newest one. One that is to go is none to be started.
pub(super) fn next_version(
    pool: &Pool,
    vm: &Vm,
    name: &VmName,
    lock: &Lock,
) -> Result<Option<VmName>> {
    let mut number = match pool.versions_of(name)?.last() {
        Some((_, newest))
            if !newest.record.flags.volatile && current(pool, newest)? == current(pool, vm)? =>
        {
            return Ok(None);
        }
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
pub(in crate::vm) fn give_up(pool: &Pool, vm: &Vm, lock: &Lock) -> Result<()> {
    match vm.record.versioned.and_then(|_| vm.name.of_next()) {
        Some(name) => mark_all(pool, &name, lock),
        None => Ok(()),
    }
}

/// Marks all versions to go. Those that something refers to stay in lists until then.
pub(super) fn mark_all(pool: &Pool, name: &VmName, lock: &Lock) -> Result<()> {
    let versions = pool.versions_of(name)?;
    versions.iter().try_for_each(|(_, version)| volatile::mark(pool, version, lock))
}
