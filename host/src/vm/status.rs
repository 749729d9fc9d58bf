//! Whether a VM runs.

use super::{Run, Vm, run};
use crate::{
    error::{Error, Result},
    pool::Pool,
};
use std::path::PathBuf;
use uuid::Uuid;

/// Whether a VM runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nobody has anything to do with it.
    Stopped,
    /// Its engine lives.
    Running(Run),
    /// Its disks are made ready for an engine that is not ours.
    Prepared(Run),
    /// Another machine that has the same pool runs it, or did when it went down.
    Elsewhere(Run),
    /// Somebody works on it.
    Busy {
        /// What for, as `start` or `import of root`; empty when that is not known.
        purpose: String,
        /// The process.
        pid: Option<u32>,
    },
    /// Its engine or the machine ended without stopping it; the next command that changes it settles that.
    CutOff(Run),
}

/// The file of a VM's lock, with one line about who has it: the process, and what for.
pub(crate) fn lock_file(vm: &Vm) -> PathBuf {
    vm.dir.join(".lock")
}

/// Returns whether a VM runs. Takes no lock.
///
/// # Errors
/// A file cannot be read.
pub fn status(pool: &Pool, vm: &Vm) -> Result<Status> {
    let lock = lock_file(vm);
    let held = pool.store().is_locked(&lock);
    let held = held.map_err(Error::doing(format!("look at {}", lock.display())))?;
    let run = run::read_run(pool, vm)?;
    let holder = || {
        let line = pool.store().read(&lock).unwrap_or_default();
        read_holder(&String::from_utf8_lossy(&line))
    };
    Ok(decide(held, run, run::boot_id()?, holder))
}

/// Returns whether a VM runs whose lock the caller has.
pub(crate) fn status_of_locked(pool: &Pool, vm: &Vm) -> Result<Status> {
    Ok(decide(false, run::read_run(pool, vm)?, run::boot_id()?, || (None, String::new())))
}

/// Decides from what was seen.
pub(super) fn decide(
    held: bool,
    run: Option<Run>,
    boot: Uuid,
    holder: impl FnOnce() -> (Option<u32>, String),
) -> Status {
    match (held, run) {
        (_, Some(run)) if run.is_elsewhere() => Status::Elsewhere(run),
        (true, Some(run)) => Status::Running(run),
        (true, None) => {
            let (pid, purpose) = holder();
            Status::Busy { purpose, pid }
        }
        (false, Some(run)) if run.is_of_others() && run.boot == boot => Status::Prepared(run),
        (false, Some(run)) => Status::CutOff(run),
        (false, None) => Status::Stopped,
    }
}

/// Reads `PID PURPOSE`.
fn read_holder(line: &str) -> (Option<u32>, String) {
    let line = line.lines().next().unwrap_or_default();
    match line.split_once(' ') {
        Some((pid, purpose)) => (pid.parse().ok(), purpose.into()),
        None => (None, line.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_and_the_boot_decide() {
        let boot = Uuid::from_u128(1);
        let run = |engine: &str, boot| Run {
            boot,
            ..Run { engine: engine.into(), ..Run::new("").unwrap() }
        };
        let qemu_of = |machine: Option<String>| {
            let run = run("qemu", Uuid::from_u128(1));
            Run { machine: machine.or_else(|| run.machine.clone()), ..run }
        };
        let nobody = || (Some(7), String::from("start"));
        let qemu = run("qemu", boot);
        assert_eq!(decide(true, Some(qemu.clone()), boot, nobody), Status::Running(qemu.clone()));
        assert_eq!(decide(false, Some(qemu.clone()), boot, nobody), Status::CutOff(qemu));
        let prepared = run(run::PREPARE, boot);
        assert_eq!(
            decide(false, Some(prepared.clone()), boot, nobody),
            Status::Prepared(prepared.clone())
        );
        let rebooted = Uuid::from_u128(2);
        assert_eq!(
            decide(false, Some(prepared.clone()), rebooted, nobody),
            Status::CutOff(prepared)
        );
        if qemu_of(None).machine.is_some() {
            let theirs = qemu_of(Some("of another one".into()));
            let elsewhere = Status::Elsewhere(theirs.clone());
            assert_eq!(decide(false, Some(theirs.clone()), boot, nobody), elsewhere);
            assert_eq!(decide(true, Some(theirs), rebooted, nobody), elsewhere);
        }
        let busy = Status::Busy { purpose: "start".into(), pid: Some(7) };
        assert_eq!(decide(true, None, boot, nobody), busy);
        assert_eq!(decide(false, None, boot, nobody), Status::Stopped);
    }

    #[test]
    fn reads_who_has_the_lock() {
        assert_eq!(read_holder("12 import of root\n"), (Some(12), "import of root".into()));
        assert_eq!(read_holder(""), (None, String::new()));
    }
}
