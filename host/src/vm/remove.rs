//! The end of a VM.

use super::{
    Allow, Guard, Kind, Vm,
    lineage::{Lineage, Reference},
    record, rewrite, savestate, sweep, versioning, volatile,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{
        Pool,
        check::REMOVING,
        step::{self, Step},
        store::{Lock, Unseen},
    },
    volume::{FileKind, files::read_name},
};
use std::path::PathBuf;

/// What a removal came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// What was settled first.
    pub said: Vec<String>,
    /// Files that are not ours, absolute: they stay, and so does their directory.
    pub left: Vec<PathBuf>,
    /// What still refers to the VM: it is marked, and goes with the last of them.
    pub later: Vec<Reference>,
}

/// Removes a VM with all its versions, or marks it to go when nothing refers to it any more: it runs, or others boot from
/// it. After its first step the VM is gone, and the next removal, or [`sweep`], goes on where this one was cut.
///
/// # Errors
/// Somebody works on it, or a version of it is exported; the name is that of a versioned VM's newest version.
pub fn remove(pool: &Pool, name: &VmName) -> Result<Removed> {
    if let Some(vm) = pool.named(name)? {
        let volumes = vm.volumes(pool)?;
        volumes.iter().try_for_each(|volume| pool.driver().wait(volume))?;
    }
    let lock = pool.lock()?;
    let mut removed = Removed { said: sweep::asides(pool, &lock)?, ..Removed::default() };
    let mut was_begun = false;
    for (vm, sentence, left) in sweep::removals(pool, &lock)? {
        if vm == *name {
            was_begun = true;
            removed.left = left;
        } else {
            removed.said.push(sentence);
        }
    }
    let vm = match pool.named(name)? {
        Some(vm) => vm,
        None if was_begun => return Ok(removed),
        None => return Err(no_vm_itself(pool, name)?),
    };
    let lineage = Lineage::look(pool)?;
    if vm.record.kind == Kind::Template {
        lineage.is_known(name)?;
    }
    removed.later = lineage.references(&vm);
    if removed.later.is_empty() {
        let guard = Guard::take(pool, name, "remove", Allow::Stopped)?;
        removed.said.extend_from_slice(guard.said());
        let savestates = savestate::list(pool)?.0;
        let its = savestates.iter().filter(|savestate| savestate.of == vm.record.uuid);
        removed.said.extend(its.map(|savestate| format!("its savestate {} goes", savestate.uuid)));
        removed.left = take_away(pool, &guard, &lineage, &lock)?;
    } else {
        volatile::mark(pool, &vm, &lock)?;
    }
    removed.said.extend(volatile::sweep(pool, &lock)?);
    Ok(removed)
}

/// Removes a VM to which nothing refers. Clones of it are linked to its own base first, and its versions are marked to go
/// after it. Returns files that stay.
pub(super) fn take_away(
    pool: &Pool,
    guard: &Guard,
    lineage: &Lineage,
    lock: &Lock,
) -> Result<Vec<PathBuf>> {
    let vm = guard.vm();
    refuse_exported(pool, vm)?;
    let clones = lineage.linked(&vm.name).into_iter();
    let clones: Vec<_> =
        clones.filter(|vm| vm.record.base.as_ref() == Some(&guard.vm().name)).collect();
    if !clones.is_empty() && !vm.record.flags.volatile {
        // From here on it goes, also when this is cut off: its clones are not linked to it any more.
        volatile::mark(pool, vm, lock)?;
    }
    for clone in clones {
        let mut clone = clone.clone();
        clone.record.base.clone_from(&vm.record.base);
        rewrite(pool, &clone, lock)?;
    }
    let steps = [
        Step::Rename { from: vm.dir.join(record::FILE), to: vm.dir.join(REMOVING) },
        Step::SyncDir(vm.dir.clone()),
    ];
    step::apply(&steps, pool.store(), &mut Unseen)?;
    // Not before: a VM whose removal was cut off keeps its history. After a cut here the versions are alone.
    versioning::give_up(pool, vm, lock)?;
    savestate::remove_all(pool, vm.record.uuid, lock)?;
    sweep::clear(pool, &vm.dir)
}

/// Returns the refusal of a name that no VM has itself.
fn no_vm_itself(pool: &Pool, name: &VmName) -> Result<Error> {
    // Nothing at all of that name: the usual refusal.
    let newest = match pool.vm(name) {
        Ok(newest) => newest.name,
        Err(error) => return Ok(error),
    };
    let text = format!("{name} is the name of the newest version of a versioned VM, {newest}");
    let refusal = Refusal::new(RefusalKind::Rule, text);
    let next = name.next()?;
    Ok(refusal.hint(format!("'ebbtide vm remove {next}' removes that VM with its versions")).into())
}

/// Refuses to remove a VM of which somebody reads a version. The pool is locked, so no export begins meanwhile.
fn refuse_exported(pool: &Pool, vm: &Vm) -> Result<()> {
    let names = pool.store().names(&vm.dir);
    for name in names.map_err(Error::doing(format!("list {}", vm.dir.display())))? {
        if let Some((volume, FileKind::Export(id))) = name.to_str().and_then(read_name) {
            let text = format!("{0} cannot be removed: {0}:{volume} is exported", vm.name);
            let hint = format!("run 'ebbtide volume export-end {}:{volume} {id}' first", vm.name);
            return Err(Refusal::new(RefusalKind::Busy, text).hint(hint).into());
        }
    }
    Ok(())
}
