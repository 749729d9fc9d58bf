//! VMs that go as soon as nothing refers to them.

use super::{Allow, Guard, Kind, Vm, lineage::Lineage, remove::take_away, rewrite};
use crate::{
    error::{Error, Result},
    pool::{Pool, store::Lock},
};
use std::collections::BTreeSet;

/// Removes the VMs that are marked to go and that nothing refers to any more; also those that are free only then. Returns
/// a sentence for each. The pool is locked.
///
/// # Errors
/// A directory cannot be read. What cannot be removed stays, and the log says why.
pub(super) fn sweep(pool: &Pool, lock: &Lock) -> Result<Vec<String>> {
    let (mut said, mut failed) = (Vec::new(), BTreeSet::new());
    loop {
        if !pool.vms()?.vms.iter().any(|vm| is_going(vm) && !failed.contains(&vm.name)) {
            return Ok(said);
        }
        let lineage = Lineage::look(pool)?;
        let is_free = |vm: &&Vm| {
            is_going(vm) && !failed.contains(&vm.name) && lineage.references(vm).is_empty()
        };
        let Some(vm) = lineage.vms.values().map(|(vm, _)| vm).find(is_free) else {
            return Ok(said);
        };
        match remove(pool, vm, &lineage, lock) {
            Ok(sentences) => said.extend(sentences),
            Err(error) => {
                log::warn!("{} is not removed yet: {}", vm.name, error.chain());
                failed.insert(vm.name.clone());
            }
        }
    }
}

fn is_going(vm: &Vm) -> bool {
    vm.record.flags.volatile
}

fn remove(pool: &Pool, vm: &Vm, lineage: &Lineage, lock: &Lock) -> Result<Vec<String>> {
    // What cannot be read may boot from it.
    if vm.record.kind == Kind::Template {
        lineage.is_known(&vm.name)?;
    }
    let guard = Guard::take(pool, &vm.name, "remove", Allow::Stopped)?;
    // Nobody misses what a one-off has left.
    let is_said = vm.record.flags.instance.is_none();
    let left = take_away(pool, &guard, lineage, lock)?;
    let mut said: Vec<String> = is_said
        .then(|| format!("{} is removed: nothing refers to it any more", vm.name))
        .into_iter()
        .collect();
    said.extend(left.iter().map(|path| format!("{} stays: it is not ebbtide's", path.display())));
    Ok(said)
}

/// Marks a VM to go when nothing refers to it any more. Durable.
pub(super) fn mark(pool: &Pool, vm: &Vm, lock: &Lock) -> Result<(), Error> {
    let mut vm = vm.clone();
    vm.record.flags.volatile = true;
    rewrite(pool, &vm, lock)
}
