//! Versioned VMs: `NAME-next` is worked on, `NAME-vN` are immutable clones of it, and `NAME` means the newest of them.
//!
//! Each change is steps that are durable one after the other, and what is there says what comes next: a VM that is
//! versioned has the name of a working one and a version at least. So the next command goes on after a cut.

mod due;
mod look;

pub(super) use due::{give_up, settle};
pub(super) use look::{check, check_end, current, has_uncommitted, itself, uncommitted};

use super::{Allow, Guard, Vm, copy, rewrite, volatile};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VmName,
    pool::{
        Pool,
        step::{self, Step},
        store::{Lock, Unseen},
    },
};
use due::{mark_all, next_version, settle_one};
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

fn rename(pool: &Pool, vm: &Vm, target: &Path) -> Result<()> {
    let parent = Path::new(vm.record.kind.directory()).to_path_buf();
    let steps = [Step::Rename { from: vm.dir.clone(), to: target.into() }, Step::SyncDir(parent)];
    step::apply(&steps, pool.store(), &mut Unseen)
}
