//! The lock of a VM, and what was settled when it was taken.

use super::{
    Status, Vm, run, settle,
    status::{self, lock_file},
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{
        Pool,
        store::{Lock, Wait},
    },
};
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Which VMs may be worked on, beside those that are stopped or were cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allow {
    /// No others.
    Stopped,
    /// Those that are prepared for an engine that is not ours.
    Prepared,
}

/// A VM that nobody else works on, for as long as this lives or an engine has inherited its lock.
#[derive(Debug)]
pub struct Guard {
    vm: Vm,
    said: Vec<String>,
    is_prepared: bool,
    lock: Lock,
}

impl Guard {
    /// Takes the lock of a VM, and settles what a cut has left. `purpose` is what others are told: `start`.
    ///
    /// # Errors
    /// The VM runs, is prepared and that is not allowed, or somebody works on it.
    pub fn take(pool: &Pool, name: &VmName, purpose: &str, allow: Allow) -> Result<Self> {
        Self::take_waiting(pool, name, purpose, allow, Wait::Briefly)
    }

    /// Does what [`Guard::take`] does, and waits for others who work on the VM as `wait` says.
    ///
    /// # Errors
    /// As for that.
    pub fn take_waiting(
        pool: &Pool,
        name: &VmName,
        purpose: &str,
        allow: Allow,
        wait: Wait,
    ) -> Result<Self> {
        let (vm, lock) = lock_vm(pool, name, wait)?;
        tell(&lock, purpose);
        let run = match run::read_run(pool, &vm) {
            Err(Error::Unreadable { path, problem }) => return Err(unknown(&vm, &path, &problem)),
            run => run?,
        };
        let status = status::decide(false, run, run::boot_id()?, || (None, String::new()));
        let is_prepared = matches!(status, Status::Prepared(_));
        let said = match &status {
            Status::Elsewhere(_) => return Err(refusal(pool, &vm, &status).into()),
            Status::Prepared(_) if allow == Allow::Prepared => Vec::new(),
            Status::Prepared(_) => return Err(refusal(pool, &vm, &status).into()),
            Status::CutOff(run) => settle::settle(pool, &vm, Some(run))?,
            _ => settle::settle(pool, &vm, None)?,
        };
        // What was settled may have changed its record.
        let vm = if said.is_empty() { vm } else { pool.vm(name)? };
        Ok(Self { vm, said, is_prepared, lock })
    }

    /// Returns that of a VM that was just made, with the lock that its builder has.
    pub(super) fn of_new(vm: Vm, said: Vec<String>, lock: Lock, purpose: &str) -> Self {
        tell(&lock, purpose);
        Self { vm, said, is_prepared: false, lock }
    }

    /// Returns what was settled, a sentence for each thing.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// Returns whether the VM was prepared for an engine that is not ours, and was not cut off.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.is_prepared
    }

    /// Returns the VM, with the record as it was when the lock was taken.
    #[must_use]
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Returns the open file that carries the lock: an engine that inherits it keeps the VM locked.
    ///
    /// # Errors
    /// The pool's locks are no files.
    pub fn lock_file(&self) -> Result<&File> {
        self.lock.file().ok_or_else(|| {
            Refusal::new(RefusalKind::Unable, "locks of this pool are no files to inherit").into()
        })
    }
}

/// Locks a VM, and reads its record again: while the lock was waited for, the VM may have been removed, and another one
/// of that name have been made.
fn lock_vm(pool: &Pool, name: &VmName, wait: Wait) -> Result<(Vm, Lock)> {
    loop {
        let vm = pool.vm(name)?;
        let file = lock_file(&vm);
        let lock = match pool.store().lock(&file, wait) {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) =>
            {
                let status = status::status(pool, &vm)?;
                return Err(refusal(pool, &vm, &status).into());
            }
            // The directory is gone with its VM.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            lock => lock.map_err(Error::doing(format!("lock {}", file.display())))?,
        };
        return Ok((pool.vm(name)?, lock));
    }
}

/// Writes who has the lock, and what for, to its file. It is for messages alone, so a failure is no more than that.
fn tell(lock: &Lock, purpose: &str) {
    let Some(file) = lock.file() else { return };
    let line = format!("{} {purpose}\n", std::process::id());
    if let Err(error) = file.set_len(0).and_then(|()| file.write_all_at(line.as_bytes(), 0)) {
        log::warn!("cannot write who has a lock: {error}");
    }
}

/// Returns the refusal of a VM that somebody else has.
fn refusal(pool: &Pool, vm: &Vm, status: &Status) -> Refusal {
    let name = &vm.name;
    let busy = |text| Refusal::new(RefusalKind::Busy, text);
    match status {
        Status::Running(run) => {
            let process = run.pid.map_or(String::new(), |pid| format!(", process {pid}"));
            busy(format!("{name} runs: {}{process}, since {:.0}", run.engine, run.since))
                .hint(format!("run 'ebbtide stop {name}' first"))
        }
        Status::Prepared(run) => {
            busy(format!("{name} is prepared for an engine since {:.0}", run.since))
                .hint(format!("stop that engine, and run 'ebbtide vm release {name}' first"))
        }
        Status::Elsewhere(run) => {
            let host = run.host.as_deref().unwrap_or("another machine");
            let file = pool.store().real(&vm.dir.join(run::FILE));
            busy(format!("{name} runs on {host}: {}, since {:.0}", run.engine, run.since)).hint(
                format!(
                    "stop it there; when nothing there uses its disks, remove {}",
                    file.display()
                ),
            )
        }
        Status::Busy { purpose, pid } => {
            let purpose = if purpose.is_empty() { "something" } else { purpose };
            let process = pid.map_or(String::new(), |pid| format!(", process {pid}"));
            busy(format!("somebody works on {name}: {purpose}{process}"))
                .hint("try again when that is done")
        }
        Status::Stopped | Status::CutOff(_) => {
            busy(format!("somebody was working on {name} until now")).hint("try again")
        }
    }
}

/// Returns the refusal of a VM of which nobody knows whether something uses its disks.
fn unknown(vm: &Vm, file: &std::path::Path, problem: &str) -> Error {
    let text = format!("whether {} runs is not known: {}: {problem}", vm.name, file.display());
    Refusal::new(RefusalKind::Rule, text)
        .hint(format!("see that nothing uses its disks, then remove {}", file.display()))
        .into()
}
