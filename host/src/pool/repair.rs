//! Mends what a check finds and what needs no decision.
//!
//! In: a pool. Out: what was done, a sentence each, and what is left. Locks are taken in the order pool, VM, volume. A
//! VM that is in use is skipped. What is done to a VM is decided anew under its lock, so what was found before is only
//! where to look. Each removal stands for itself: a repair that is cut off is finished by the next one.

use super::{
    Pool,
    check::{
        self, Finding, Remedy, Severity,
        find::{find, of_vm},
        observe,
        seen::{Life, SeenVm, is_aside},
    },
    step,
    store::{Lock, Unseen, Wait},
};
use crate::{
    error::{Error, RefusalKind, Result},
    vm::{Allow, Guard},
};
use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// What a repair did.
#[derive(Debug, Clone, Default)]
pub struct Repaired {
    /// A sentence for each thing.
    pub done: Vec<String>,
    /// Directories of VMs that were not touched, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// What is found afterwards.
    pub left: Vec<Finding>,
}

impl Repaired {
    /// Returns whether nothing is left but notes.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.left.iter().all(|finding| finding.severity() == Severity::Note)
    }
}

/// Mends a pool. Never removes a file that is not ours, nor one with something that is not committed.
///
/// # Errors
/// The pool's lock that is not had within a minute; a file operation that failed: what was done until then stays done.
pub fn repair(pool: &Pool) -> Result<Repaired> {
    let _making = pool.lock()?;
    let seen = observe::observe(pool)?;
    let mut repaired = Repaired::default();
    let device = seen.root.inode.device;
    let (vms, half_made): (Vec<_>, Vec<_>) =
        seen.vms.iter().partition(|vm| !is_aside(&vm.dir) && vm.stat.inode.device == device);
    let of_no_vm = find(&seen).into_iter().filter(|finding| {
        let is_in = |vm: &&&SeenVm| finding.at.starts_with(&vm.dir);
        half_made.iter().any(|vm| is_in(&vm)) || !vms.iter().any(|vm| is_in(&vm))
    });
    for finding in of_no_vm {
        mend(pool, &finding, &mut repaired)?;
    }
    for vm in vms {
        of_one(pool, vm, device, &mut repaired)?;
    }
    repaired.left = check::check(pool)?.findings;
    Ok(repaired)
}

/// Mends one VM, under its locks.
fn of_one(pool: &Pool, seen: &SeenVm, device: u64, repaired: &mut Repaired) -> Result<()> {
    if seen.life == Life::InUse {
        repaired.skipped.push((seen.dir.clone(), "it is in use".into()));
        return Ok(());
    }
    if !is_mendable(seen, device) {
        return Ok(());
    }
    let Some(_vm) = take(pool, seen, repaired)? else {
        repaired.skipped.push((seen.dir.clone(), "it is in use".into()));
        return Ok(());
    };
    let mut locked = Vec::new();
    for volume in seen.volumes.keys() {
        match try_lock(pool, &seen.dir.join(format!(".{volume}.lock")))? {
            Some(lock) => locked.push(lock),
            None => {
                let why = format!("a copy of its {volume} is being made");
                repaired.skipped.push((seen.dir.clone(), why));
                return Ok(());
            }
        }
    }
    for finding in findings(&observe::held(pool, seen)?, device) {
        mend(pool, &finding, repaired)?;
    }
    Ok(())
}

/// Takes a VM's lock. Of one that was cut off the run is settled with it, as by every command that changes the VM; of
/// others nothing is settled, because that goes by the record alone, and this by what is found.
fn take(
    pool: &Pool,
    seen: &SeenVm,
    repaired: &mut Repaired,
) -> Result<Option<Box<dyn fmt::Debug>>> {
    let name = seen.name().filter(|_| seen.life == Life::CutOff);
    let Some(name) = name else {
        let lock = try_lock(pool, &seen.dir.join(".lock"))?;
        return Ok(lock.map(|lock| Box::new(lock) as Box<dyn fmt::Debug>));
    };
    match Guard::take(pool, &name, "repair", Allow::Stopped) {
        Ok(guard) => {
            repaired.done.extend(guard.said().iter().cloned());
            Ok(Some(Box::new(guard)))
        }
        Err(Error::Refused(refusal)) if refusal.kind == RefusalKind::Busy => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_mendable(seen: &SeenVm, device: u64) -> bool {
    findings(seen, device).iter().any(|finding| finding.severity() == Severity::Mendable)
}

fn findings(seen: &SeenVm, device: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    of_vm(device, seen, &mut found);
    found
}

/// Applies a remedy that is steps, and says it.
fn mend(pool: &Pool, finding: &Finding, repaired: &mut Repaired) -> Result<()> {
    let Remedy::Steps(steps) = &finding.remedy else { return Ok(()) };
    step::apply(steps, pool.store(), &mut Unseen)?;
    repaired.done.push(format!("{finding}: removed"));
    Ok(())
}

/// Locks a file, if nobody has it.
fn try_lock(pool: &Pool, path: &Path) -> Result<Option<Lock>> {
    match pool.store().lock(path, Wait::No) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        lock => lock.map(Some).map_err(Error::doing(format_args!("lock {}", path.display()))),
    }
}
