//! Who uses a file or a device, by name.

use crate::cow::{Disk, Kind};
use nix::sys::stat;
use std::{fmt, fs, os::unix::fs::MetadataExt as _};

/// Who uses a file or a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// A program.
    Process {
        /// Its number.
        pid: u32,
        /// Its name, if it can be told.
        name: String,
    },
    /// A loop device, or a device that is mapped to it, by its name in `/dev`.
    Device(String),
    /// A file system, by where it is mounted.
    Mount(String),
    /// Somebody who cannot be seen from here.
    Unknown,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, name } if name.is_empty() => write!(f, "process {pid}"),
            Self::Process { pid, name } => write!(f, "{name} (process {pid})"),
            Self::Device(name) => write!(f, "/dev/{name}"),
            Self::Mount(place) => write!(f, "a file system, mounted at {place},"),
            Self::Unknown => f.write_str("somebody"),
        }
    }
}

/// Finds somebody who has it open.
pub(super) fn somebody(disk: &Disk) -> User {
    let found = match disk.kind {
        Kind::File => loop_device(disk),
        Kind::Device => claimant(disk).or_else(|| loop_device(disk)),
    };
    found.or_else(|| opener(disk)).unwrap_or(User::Unknown)
}

/// Finds who has a device for itself.
fn claimant(disk: &Disk) -> Option<User> {
    let device = disk.file.metadata().ok()?.rdev();
    let number = format!("{}:{}", stat::major(device), stat::minor(device));
    let mapped = fs::read_dir(format!("/sys/dev/block/{number}/holders")).ok();
    if let Some(holder) = mapped.and_then(|mut holders| holders.next()?.ok()) {
        return Some(User::Device(holder.file_name().to_string_lossy().into()));
    }
    // The third field is the device, the fifth where it is mounted; proc(5).
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").ok()?;
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mounts.find(|fields| fields.get(2) == Some(&number.as_str()))?;
    mount.get(4).map(|place| User::Mount((*place).into()))
}

pub(super) fn process(pid: i32) -> Option<User> {
    let pid = u32::try_from(pid).ok().filter(|pid| *pid != 0)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(User::Process { pid, name: name.trim_end().into() })
}

/// Finds the loop device that it is behind.
fn loop_device(disk: &Disk) -> Option<User> {
    let devices = fs::read_dir("/sys/block").ok()?.flatten();
    devices.map(|device| device.path()).find_map(|device| {
        let file = fs::read_to_string(device.join("loop/backing_file")).ok()?;
        let found = fs::metadata(file.trim_end_matches('\n')).ok()?;
        disk.is(&found)
            .then(|| User::Device(device.file_name().unwrap_or_default().to_string_lossy().into()))
    })
}

/// Finds another process that has it open, among those whose files we may see.
fn opener(disk: &Disk) -> Option<User> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok()).find_map(
        |pid| {
            if pid == std::process::id() {
                return None;
            }
            let mut files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
            let has_it =
                files.any(|file| fs::metadata(file.path()).is_ok_and(|found| disk.is(&found)));
            has_it.then(|| process(i32::try_from(pid).ok()?)).flatten()
        },
    )
}
