//! The processes of a VM, for a stop by force that nothing of them answers: known by number, and by the VM's lock.

use crate::{
    error::{Error, Result},
    name::VmName,
    pool::Pool,
    vm::Run,
};
use ebbtide_sys::pidfd;
use nix::errno::Errno;
use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

/// Kills the QEMU of a VM, where it is still there.
///
/// # Errors
/// The kernel refuses.
pub(super) fn kill_qemu(pool: &Pool, name: &VmName, run: &Run) -> Result<()> {
    run.pid.map_or(Ok(()), |pid| kill(pool, name, pid, "QEMU"))
}

/// Kills the supervisor of a VM, where it is still there.
///
/// # Errors
/// The kernel refuses.
pub(super) fn kill_supervisor(pool: &Pool, name: &VmName) -> Result<()> {
    // Whoever took the lock has written its number there.
    let line = fs::read_to_string(lock(pool, name)?).unwrap_or_default();
    let pid = line.split_once(' ').and_then(|(pid, _)| pid.parse().ok());
    pid.map_or(Ok(()), |pid| kill(pool, name, pid, "supervisor"))
}

fn lock(pool: &Pool, name: &VmName) -> Result<PathBuf> {
    Ok(pool.store().real(&pool.vm(name)?.dir.join(".lock")))
}

fn kill(pool: &Pool, name: &VmName, pid: u32, what: &str) -> Result<()> {
    let doing = || format!("kill process {pid}, the {what} of {name}");
    // Opened before it is looked at: another one that gets its number is not the one that is killed.
    let process = match pidfd::open(pid) {
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => return Ok(()),
        opened => opened.map_err(Error::doing(doing()))?,
    };
    let lock = lock(pool, name)?;
    let lock = fs::metadata(&lock).map_err(Error::doing(format!("look at {}", lock.display())))?;
    if !has_open(pid, &lock) {
        return Ok(());
    }
    log::info!("kill process {pid}, the {what} of {name}");
    match pidfd::kill(&process) {
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(()),
        killed => killed.map_err(Error::doing(doing())),
    }
}

/// Returns whether a process has a file open.
fn has_open(pid: u32, file: &Metadata) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| fs::metadata(descriptor.path()).ok())
        .any(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
}
