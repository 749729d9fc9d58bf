//! Mends what a check finds and what needs no decision.
//!
//! In: a pool. Out: what was done, a sentence each, and what is left. Locks are taken in the order pool, VM, volume. A
//! VM that is in use is skipped. What is done to a VM is decided anew under its lock, so what was found before is only
//! where to look. Each removal stands for itself: a repair that is cut off is finished by the next one.

use super::{
    Pool,
    check::{
        self, Finding, Problem, Remedy, Severity,
        find::{find, leftover_directory, of_vm},
        observe,
        seen::{Life, Seen, SeenVm, is_aside},
    },
    step,
    store::{Lock, Unseen, Wait},
};
use crate::{
    error::{Error, RefusalKind, Result},
    vm::{self, Allow, Guard},
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
    let mut repaired = Repaired::default();
    let is_half_removed = {
        let _making = pool.lock()?;
        let seen = observe::observe(pool)?;
        all(pool, &seen, &mut repaired)?;
        find(&seen).iter().any(|finding| finding.problem == Problem::RemovalCutShort)
    };
    repaired.done.extend(pool.driver().sweep()?);
    if is_half_removed {
        repaired.done.extend(vm::sweep(pool)?);
    }
    // What was settled may have been what others waited for: a disposable that the host took down with it.
    match vm::follow_up(pool) {
        Ok(said) => repaired.done.extend(said),
        Err(error) => log::warn!("{}", error.chain()),
    }
    repaired.left = check::check(pool)?.findings;
    Ok(repaired)
}

/// Mends everything but removals that were cut short; the pool is locked.
fn all(pool: &Pool, seen: &Seen, repaired: &mut Repaired) -> Result<()> {
    let device = seen.root.inode.device;
    let vms: Vec<_> =
        seen.vms.iter().filter(|vm| !is_aside(&vm.dir) && vm.stat.inode.device == device).collect();
    for finding in find(seen) {
        if matches!(finding.problem, Problem::LeftoverDirectory { .. }) {
            half_made(pool, &finding.at, repaired)?;
        } else if !vms.iter().any(|vm| finding.at.starts_with(&vm.dir)) {
            mend(pool, &finding, repaired)?;
        }
    }
    vms.into_iter().try_for_each(|vm| of_one(pool, vm, device, repaired))
}

/// Removes a directory that was being made, if nobody builds it any more: who builds one has it locked.
fn half_made(pool: &Pool, dir: &Path, repaired: &mut Repaired) -> Result<()> {
    let Some(_its) = try_lock(pool, &dir.join(".lock"))? else { return Ok(()) };
    match leftover_directory(dir, &observe::list(pool.store(), dir)?) {
        Some(finding) => mend(pool, &finding, repaired),
        None => Ok(()),
    }
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
    let _vm = match take(pool, seen, device, repaired)? {
        Ok(lock) => lock,
        Err(why) => {
            repaired.skipped.push((seen.dir.clone(), why));
            return Ok(());
        }
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
    let now = observe::held(pool, seen)?;
    if now.life != Life::Stopped {
        let why = match now.life {
            Life::Unclear(_) => "whether it runs is not known",
            _ => "it is in use",
        };
        repaired.skipped.push((seen.dir.clone(), why.into()));
        return Ok(());
    }
    for finding in findings(&now, device) {
        mend(pool, &finding, repaired)?;
    }
    Ok(())
}

/// Takes a VM's lock, or says why not. Of one that was cut off, or whose disks are put right that way, the run is settled
/// with it, as by every command that changes the VM; of others nothing is settled, because that goes by the record alone,
/// and this by what is found.
fn take(
    pool: &Pool,
    seen: &SeenVm,
    device: u64,
    repaired: &mut Repaired,
) -> Result<Result<Box<dyn fmt::Debug>, String>> {
    let in_use = || String::from("it is in use");
    // A removal that was cut short has no VM any more whose lock would settle it.
    let is_settled = |finding: &Finding| {
        finding.remedy == Remedy::Settle && finding.problem != Problem::RemovalCutShort
    };
    let is_to_settle = seen.life == Life::CutOff || findings(seen, device).iter().any(is_settled);
    let name = seen.name().filter(|_| is_to_settle);
    let Some(name) = name else {
        let lock = try_lock(pool, &seen.dir.join(".lock"))?;
        return Ok(lock.map(|lock| Box::new(lock) as Box<dyn fmt::Debug>).ok_or_else(in_use));
    };
    match Guard::take(pool, &name, "repair", Allow::Stopped) {
        Ok(guard) => {
            repaired.done.extend(guard.said().iter().cloned());
            Ok(Ok(Box::new(guard)))
        }
        Err(Error::Refused(refusal)) if refusal.kind == RefusalKind::Busy => Ok(Err(in_use())),
        // Of a revert whose snapshot is gone.
        Err(Error::Refused(refusal)) if refusal.kind == RefusalKind::Rule => Ok(Err(refusal.text)),
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
