//! The end of a VM.

use super::{Allow, Guard, Kind, Vm, record, sweep};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{
        Pool,
        check::REMOVING,
        step::{self, Step},
        store::Unseen,
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
}

/// Removes a VM with all its versions. After its first step the VM is gone, and the next removal, or [`sweep`], goes on
/// where this one was cut.
///
/// # Errors
/// It runs, is the template of others, or a version of it is exported.
pub fn remove(pool: &Pool, name: &VmName) -> Result<Removed> {
    if let Ok(vm) = pool.vm(name) {
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
    let vm = match pool.vm(name) {
        Err(_) if was_begun => return Ok(removed),
        vm => vm?,
    };
    if vm.record.kind == Kind::Template {
        refuse_template(pool, name)?;
    }
    let guard = Guard::take(pool, name, "remove", Allow::Stopped)?;
    removed.said.extend_from_slice(guard.said());
    refuse_exported(pool, guard.vm())?;
    let steps = [
        Step::Rename { from: vm.dir.join(record::FILE), to: vm.dir.join(REMOVING) },
        Step::SyncDir(vm.dir.clone()),
    ];
    step::apply(&steps, pool.store(), &mut Unseen)?;
    removed.left = sweep::clear(pool, &vm.dir)?;
    Ok(removed)
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

/// Refuses to remove a template from which VMs boot, or may.
fn refuse_template(pool: &Pool, name: &VmName) -> Result<()> {
    let vms = pool.vms()?;
    if let Some(error) = vms.unreadable.first() {
        let text = format!("whether a VM boots from {name} is not known: {error}");
        return Err(Refusal::new(RefusalKind::Rule, text)
            .hint(error.hint().unwrap_or("'ebbtide pool check' names what cannot be read"))
            .into());
    }
    let users = vms.vms.iter().filter(|vm| vm.record.template.as_ref() == Some(name));
    let users: Vec<&str> = users.map(|vm| vm.name.as_str()).collect();
    match users.as_slice() {
        [] => Ok(()),
        users => {
            let text = format!("{name} is the template of {}", users.join(", "));
            let hint = "remove these first, or give them another one by 'ebbtide vm set NAME template=OTHER'";
            Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into())
        }
    }
}
