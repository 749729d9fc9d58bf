//! What has to be true of a VM before its versions begin or end.

use crate::{
    error::{Refusal, RefusalKind, Result},
    name::{VmName, VolumeId},
    pool::{
        Pool,
        store::{Inode, Lock},
    },
    vm::{
        Reference, Vm, copy,
        lineage::{Lineage, sentence},
        make::free,
    },
};

use std::path::Path;

/// Returns which files the current versions of a VM's kept disks are.
pub(in crate::vm) fn current(pool: &Pool, vm: &Vm) -> Result<Vec<Option<Inode>>> {
    let kept = vm.volumes(pool)?.into_iter().filter(|volume| volume.role.is_kept());
    kept.map(|volume| Ok(pool.driver().state(&volume)?.current.map(|version| version.inode)))
        .collect()
}

/// Returns a kept disk of a VM to which something is written that is in no version.
pub(in crate::vm) fn has_uncommitted(pool: &Pool, vm: &Vm) -> Result<Option<VolumeId>> {
    for volume in vm.volumes(pool)?.into_iter().filter(|volume| volume.role.is_kept()) {
        if pool.driver().state(&volume)?.dirty.is_some() {
            return Ok(Some(volume.id));
        }
    }
    Ok(None)
}

pub(in crate::vm) fn uncommitted(volume: &VolumeId) -> Refusal {
    Refusal::new(RefusalKind::Rule, format!("{volume} has something uncommitted")).hint(format!(
        "'ebbtide volume commit {volume}' commits it, 'ebbtide volume discard {volume}' drops it"
    ))
}

/// Returns the VM that has a name itself.
pub(in crate::vm) fn itself(pool: &Pool, name: &VmName) -> Result<Vm> {
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

/// Refuses a VM that cannot become versioned. Its lock is taken.
pub(in crate::vm) fn check(pool: &Pool, vm: &Vm, lock: &Lock) -> Result<()> {
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
        .filter(|reference| !matches!(reference, Reference::Template(_)))
        .collect();
    match running.as_slice() {
        [] => Ok(()),
        running => {
            let text =
                format!("{name} cannot be versioned, and be called {next}: {}", sentence(running));
            Err(Refusal::new(RefusalKind::Rule, text).hint(running[0].end()).into())
        }
    }
}

/// Refuses to end the versions of a VM whose old name another one has, from which something boots that runs, or on which a
/// savestate was taken.
pub(in crate::vm) fn check_end(pool: &Pool, vm: &Vm) -> Result<()> {
    copy::refuse_running(pool, vm)?;
    let mut references = Lineage::look(pool)?.references(vm);
    // A savestate names what it was taken on, and nobody writes to it.
    references.retain(|reference| matches!(reference, Reference::Savestate(_)));
    if !references.is_empty() {
        let text = format!("{} cannot have its old name: {}", vm.name, sentence(&references));
        return Err(Refusal::new(RefusalKind::Rule, text)
            .hint("'ebbtide savestate remove' removes a savestate")
            .into());
    }
    let Some(old) = vm.name.of_next() else { return Ok(()) };
    let Some(other) = pool.named(&old)? else { return Ok(()) };
    let text = format!("{} cannot have its old name: there is {}", vm.name, other.dir.display());
    Err(Refusal::new(RefusalKind::Exists, text)
        .hint(format!("'ebbtide vm clone {old} OTHER' and 'ebbtide vm remove {old}' free it"))
        .into())
}
