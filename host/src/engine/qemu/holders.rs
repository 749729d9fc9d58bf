//! The processes of a VM, for a stop by force that nothing of them answers: known by number, and by the VM's lock.

use super::readable::is_readable;
use crate::{
    error::{Error, Result},
    name::VmName,
    pool::Pool,
    vm::Run,
};
use ebbtide_sys::pidfd;
use nix::errno::Errno;
use qemu::Deadline;
use std::{
    fs::{self, Metadata},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::PathBuf,
};

/// A process that has the lock of a VM.
pub(super) struct Holder {
    process: OwnedFd,
    /// Its number and what it is.
    called: String,
}

impl Holder {
    /// Finds the QEMU of a VM, where it is still there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn qemu(pool: &Pool, name: &VmName, run: &Run) -> Result<Option<Self>> {
        run.pid.map_or(Ok(None), |pid| Self::find(pool, name, pid, "QEMU"))
    }

    /// Finds the supervisor of a VM, where it is still there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn supervisor(pool: &Pool, name: &VmName) -> Result<Option<Self>> {
        // Whoever took the lock has written its number there.
        let line = fs::read_to_string(lock(pool, name)?).unwrap_or_default();
        let pid = line.split_once(' ').and_then(|(pid, _)| pid.parse().ok());
        pid.map_or(Ok(None), |pid| Self::find(pool, name, pid, "supervisor"))
    }

    fn find(pool: &Pool, name: &VmName, pid: u32, what: &str) -> Result<Option<Self>> {
        let called = format!("process {pid}, the {what} of {name}");
        // Opened before it is looked at: another one that gets its number is not the one that is meant.
        let process = match pidfd::open(pid) {
            Err(error) if is_gone(&error) => return Ok(None),
            opened => opened.map_err(Error::doing(format!("open {called}")))?,
        };
        let lock = lock(pool, name)?;
        let lock =
            fs::metadata(&lock).map_err(Error::doing(format!("look at {}", lock.display())))?;
        Ok(has_open(pid, &lock).then_some(Self { process, called }))
    }

    /// Kills it, and waits for its end.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn kill(&self, deadline: Deadline) -> Result<()> {
        log::info!("kill {}", self.called);
        match pidfd::kill(&self.process) {
            Err(error) if is_gone(&error) => {}
            killed => killed.map_err(Error::doing(format!("kill {}", self.called)))?,
        }
        self.wait(deadline);
        Ok(())
    }

    /// Waits for its end. It may give its lock back before: a process that ends closes its files first.
    pub(super) fn wait(&self, deadline: Deadline) {
        if !is_readable(&self.process, deadline) {
            log::warn!("{} does not end", self.called);
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ESRCH as i32)
}

fn lock(pool: &Pool, name: &VmName) -> Result<PathBuf> {
    Ok(pool.store().real(&pool.vm(name)?.dir.join(".lock")))
}

/// Returns whether a process has a file open.
fn has_open(pid: u32, file: &Metadata) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| fs::metadata(descriptor.path()).ok())
        .any(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
}
