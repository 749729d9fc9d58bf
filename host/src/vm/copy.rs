//! A VM with the disks of another one: linked clones.
//!
//! A clone has the versions of its base, not copies of them, so either may be removed first. Its record names the base.

use super::{
    Allow, Flags, Guard, Record, Vm, aside::Aside, lineage::Lineage, make::free, record, rewrite,
    savestate, sweep,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{
        Pool,
        step::{self, Step},
        store::{Lock, Unseen},
    },
};
use jiff::Timestamp;
use std::path::Path;
use uuid::Uuid;

/// Makes a VM with the disks and the settings of another one, copying no disk. Of a VM that runs it is the last version
/// of each, all of one instant. Returns what is to be said about that. Kept versions and their pins are not its.
///
/// # Errors
/// The name is taken; the other one is missing.
pub fn clone(pool: &Pool, source: &VmName, name: &VmName) -> Result<Vec<String>> {
    linked(pool, source, name, false)
}

/// Makes a replacement clone: what was linked to the other VM is linked to the clone from then on, clones of it and VMs
/// that boot from it.
///
/// # Errors
/// As for [`clone`], and one that boots from it runs, or it is a version, or what versions are made of.
pub fn replace(pool: &Pool, source: &VmName, name: &VmName) -> Result<Vec<String>> {
    linked(pool, source, name, true)
}

fn linked(pool: &Pool, source: &VmName, name: &VmName, replaces: bool) -> Result<Vec<String>> {
    // A release has the pool locked too, so the versions are of one instant.
    let lock = pool.lock()?;
    let mut said = sweep::tidy(pool, &lock)?;
    let (from, guard) = settled(pool, source, &mut said)?;
    if replaces {
        refuse_versions(&from)?;
        refuse_running(pool, &from)?;
    }
    let inherits = savestate::has_any(pool, &from)?.then_some(from.record.uuid);
    let adjust = |record: &mut Record| {
        record.flags.inherits = inherits;
        record.flags.replaces = replaces.then(|| from.name.clone());
    };
    let made = make(pool, &from, name, adjust, &mut said, &lock)?;
    // The clone is there as soon as it has its name; what cannot be done now, the next command does.
    drop((guard, made));
    savestate::inherit(pool, &lock)?;
    said.extend(follow(pool, &lock)?);
    Ok(said)
}

/// Takes the lock of a VM that is cloned, if nobody has it, which settles what a cut left.
pub(super) fn settled(
    pool: &Pool,
    source: &VmName,
    said: &mut Vec<String>,
) -> Result<(Vm, Option<Guard>)> {
    let guard = match Guard::take(pool, source, "clone", Allow::Prepared) {
        Err(Error::Refused(Refusal { kind: RefusalKind::Busy, .. })) => None,
        guard => Some(guard?),
    };
    said.extend(guard.iter().flat_map(|guard| guard.said().to_vec()));
    Ok((pool.vm(source)?, guard))
}

/// Makes a linked clone, and returns it with its lock: nobody takes it before the caller lets it go. `adjust` changes its
/// record. The pool is locked.
pub(super) fn make(
    pool: &Pool,
    from: &Vm,
    name: &VmName,
    adjust: impl FnOnce(&mut Record),
    said: &mut Vec<String>,
    lock: &Lock,
) -> Result<(Vm, Lock)> {
    let mut record = from.record.clone();
    record.uuid = Uuid::new_v4();
    record.created = Timestamp::now();
    record.pins.clear();
    record.base = Some(from.name.clone());
    record.parent = None;
    record.flags = Flags::default();
    record.versioned = None;
    adjust(&mut record);
    let target = Path::new(record.kind.directory()).join(name);
    free(pool, name, &target, lock)?;
    let aside = Aside::begin(pool, &target, lock)?;
    let to = Vm { name: name.clone(), dir: aside.dir.clone(), record };
    let made = fill(pool, from, &to, said)
        .and_then(|()| to.record.print())
        .and_then(|text| aside.finish(pool.store(), record::FILE, text, lock));
    match made {
        Ok(()) => Ok((Vm { dir: target, ..to }, aside.into_lock())),
        Err(error) => {
            aside.discard(pool);
            Err(error)
        }
    }
}

/// Gives the new VM the versions of the other one, and its kernel.
fn fill(pool: &Pool, from: &Vm, to: &Vm, said: &mut Vec<String>) -> Result<()> {
    for name in from.shown() {
        let (old, new) = (from.volume(pool, &name)?, to.volume(pool, &name)?);
        if !old.role.is_kept() {
            continue;
        }
        let state = pool.driver().state(&old)?;
        if state.current.is_some() {
            pool.driver().adopt_version(&old, &new)?;
        }
        if state.dirty.is_some() {
            said.push(format!(
                "{} has the last version of {}: what is written to that and not committed is not in it",
                to.name, old.id
            ));
        }
    }
    for name in ["kernel", "initrd"] {
        let (old, new) = (from.dir.join(name), to.dir.join(name));
        if sweep::is_there(pool, &old)? {
            let steps = [Step::CloneImage { from: old, to: new.clone() }, Step::SyncFile(new)];
            step::apply(&steps, pool.store(), &mut Unseen)?;
        }
    }
    Ok(())
}

/// Refuses to replace what others mean by a name that goes to the newest version.
fn refuse_versions(from: &Vm) -> Result<(), Refusal> {
    let next = from.record.versioned.and_then(|_| from.name.of_next());
    let Some(of) = from.record.flags.version_of.clone().or(next) else { return Ok(()) };
    let name = &from.name;
    let text = format!(
        "{name} cannot be replaced: what boots from {of} has its newest version, and no clone takes that over"
    );
    let hint = "clone it without '--replacement', and 'ebbtide vm set VM template=CLONE' for each VM that is to boot from that";
    Err(Refusal::new(RefusalKind::Rule, text).hint(hint))
}

/// Refuses to give what boots from a template another one while it runs.
pub(super) fn refuse_running(pool: &Pool, from: &Vm) -> Result<()> {
    let lineage = Lineage::look(pool)?;
    lineage.is_known(&from.name)?;
    let boots = |vm: &&Vm| vm.record.template.as_ref() == Some(&from.name);
    let running =
        lineage.linked(&from.name).into_iter().filter(boots).filter(|vm| lineage.runs(&vm.name));
    let running: Vec<_> = running.map(|vm| vm.name.as_str()).collect();
    if running.is_empty() {
        return Ok(());
    }
    let text =
        format!("{} cannot be replaced: {} boots from it, and runs", from.name, running.join(", "));
    Err(Refusal::new(RefusalKind::Busy, text).hint("stop that first").into())
}

/// Links what was linked to a VM to the clone that replaces it, also where a cut has left that half done. Returns a
/// sentence for each that was linked anew.
pub(super) fn follow(pool: &Pool, lock: &Lock) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for vm in pool.vms()?.vms {
        let Some(of) = &vm.record.flags.replaces else { continue };
        let lineage = Lineage::look(pool)?;
        let mut is_done = true;
        for other in lineage.linked(of).into_iter().filter(|other| other.name != vm.name) {
            // Started since a cut: it ends with the template that it was started with.
            let Some((mut other, guard)) = linkable(pool, other, of, lineage.runs(&other.name))?
            else {
                is_done = false;
                continue;
            };
            for link in [&mut other.record.base, &mut other.record.template] {
                if link.as_ref() == Some(of) {
                    *link = Some(vm.name.clone());
                }
            }
            rewrite(pool, &other, lock)?;
            said.extend(guard.iter().flat_map(|guard| guard.said().to_vec()));
            said.push(format!("{} is linked to {} now", other.name, vm.name));
        }
        if is_done && let Some(mut done) = pool.named(&vm.name)? {
            done.record.flags.replaces = None;
            rewrite(pool, &done, lock)?;
        }
    }
    Ok(said)
}

/// Returns a VM that is linked to `of` as it is now, with its lock where it boots from that; `None` while it runs.
fn linkable(pool: &Pool, vm: &Vm, of: &VmName, runs: bool) -> Result<Option<(Vm, Option<Guard>)>> {
    if vm.record.template.as_ref() != Some(of) {
        return Ok(Some((vm.clone(), None)));
    }
    if runs {
        return Ok(None);
    }
    match Guard::take(pool, &vm.name, "link to another template", Allow::Stopped) {
        Err(Error::Refused(refusal)) => {
            log::warn!("{} still boots from {of}: {refusal}", vm.name);
            Ok(None)
        }
        guard => guard.map(|guard| Some((guard.vm().clone(), Some(guard)))),
    }
}
