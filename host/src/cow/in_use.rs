//! Whether somebody else uses a COW file or a backing file, and keeping others from it for a while.
//!
//! | who | says so by |
//! |---|---|
//! | user-mode Linux | a POSIX lock of the whole file: to write on a COW file, to read on its backing (arch/um/os-Linux/file.c, `os_lock_file`); none with the flag `c` |
//! | QEMU | OFD locks to read of byte 100 + p for what it does, 200 + p for what it allows nobody else (block/file-posix.c) |
//! | a loop device | nothing: it has the file open |
//! | a mount, a mapped device | having the device for itself (`O_EXCL`) |
//!
//! POSIX and OFD locks see each other; those of a device are of its node, and not seen by another node of it. What we hold is an OFD lock: it goes with the opening, and only then.

use super::{Disk, Kind};
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use ebbtide_sys::lease;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
    sys::stat,
};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
};

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

/// What others may do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Read it.
    MayRead,
    /// Nothing. The disk must be open to be written, and nowhere else in this program.
    MayNot,
}

/// Others are kept away until this and the disk that it was taken of are dropped.
#[derive(Debug)]
#[must_use]
pub struct Held {
    /// The opening that has the device for itself.
    _device: Option<File>,
}

/// Keeps others away from it.
///
/// A lock is of the opening, `disk.file`: who drops that gives it back.
///
/// # Errors
/// Busy: somebody uses it in a way that does not go with this; it is named where that can be told.
pub fn hold(disk: &Disk, others: Others) -> Result<Held> {
    let busy = |user| Err(refusal(disk, &user, others).into());
    if let Some(user) = user(disk, others)? {
        return busy(user);
    }
    // Who opened a device to write has it for itself already.
    let is_to_claim = disk.kind == Kind::Device && others == Others::MayRead;
    let device = is_to_claim.then(|| claimed(disk).map_err(failed(disk))).transpose()?;
    for (from, length, kind) in others.locks() {
        match lock(&disk.file, *from, *length, *kind) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return busy(somebody(disk)),
            Err(errno) if has_no_locks(errno) => {
                log::warn!(
                    "{} cannot be locked ({}): nobody may use it now",
                    disk.path.display(),
                    errno.desc()
                );
            }
            Err(errno) => return Err(failed(disk)(errno.into())),
        }
    }
    Ok(Held { _device: device })
}

/// Returns who uses it in a way that does not go with what others may do. That nobody has a device for himself is looked
/// at only where others may read it: who opened it to write has it himself.
///
/// # Errors
/// The kernel's.
pub fn user(disk: &Disk, others: Others) -> Result<Option<User>> {
    for (from, length, kind) in others.tests() {
        match locked(&disk.file, *from, *length, *kind) {
            Ok(None) => {}
            Ok(Some(pid)) => return Ok(Some(process(pid).unwrap_or_else(|| somebody(disk)))),
            Err(errno) if has_no_locks(errno) => {}
            Err(errno) => return Err(failed(disk)(errno.into())),
        }
    }
    match (disk.kind, others) {
        (Kind::File, _) => has_it_open(disk, others),
        (Kind::Device, Others::MayNot) => Ok(None),
        (Kind::Device, Others::MayRead) => match claimed(disk) {
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(Some(somebody(disk))),
            Err(error) => Err(failed(disk)(error)),
        },
    }
}

/// Returns who has a file open without a lock, in a way that does not go with what others may do.
fn has_it_open(disk: &Disk, others: Others) -> Result<Option<User>> {
    let is_open = match others {
        Others::MayRead => lease::is_written(&disk.file),
        Others::MayNot => lease::is_opened(&disk.file),
    };
    match is_open {
        Ok(true) => Ok(Some(somebody(disk))),
        Ok(false) => Ok(None),
        Err(error) => {
            log::debug!("who has {} open cannot be told: {error}", disk.path.display());
            Ok(None)
        }
    }
}

/// From, length (0: to the end), kind.
type Lock = (i64, i64, i32);

/// QEMU's bits: it reads consistent content, it writes, it resizes.
const QEMU_READS: i64 = 0;
const QEMU_WRITES: i64 = 1;
const QEMU_RESIZES: i64 = 3;
const QEMU_DOES: i64 = 100;
const QEMU_FORBIDS: i64 = 200;

impl Others {
    /// What we lock. With a read lock anywhere user-mode Linux gets no lock to write; these bytes tell QEMU that we read and
    /// want nobody to write, and so let it read.
    const fn locks(self) -> &'static [Lock] {
        match self {
            Self::MayRead => &[
                (QEMU_DOES + QEMU_READS, 1, libc::F_RDLCK),
                (QEMU_FORBIDS + QEMU_WRITES, 1, libc::F_RDLCK),
                (QEMU_FORBIDS + QEMU_RESIZES, 1, libc::F_RDLCK),
            ],
            Self::MayNot => &[(0, 0, libc::F_WRLCK)],
        }
    }

    /// What nobody may have locked against a lock of that kind.
    const fn tests(self) -> &'static [Lock] {
        match self {
            Self::MayRead => &[
                (0, 0, libc::F_RDLCK),
                (QEMU_DOES + QEMU_WRITES, 1, libc::F_WRLCK),
                (QEMU_DOES + QEMU_RESIZES, 1, libc::F_WRLCK),
                (QEMU_FORBIDS + QEMU_READS, 1, libc::F_WRLCK),
            ],
            Self::MayNot => &[(0, 0, libc::F_WRLCK)],
        }
    }
}

fn flock((from, length, kind): Lock) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: from,
        l_len: length,
        l_pid: 0,
    }
}

fn lock(file: &File, from: i64, length: i64, kind: i32) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&flock((from, length, kind)))).map(drop)
}

/// Returns the process that has a lock in the way; 0 or -1 for one that cannot be told.
fn locked(file: &File, from: i64, length: i64, kind: i32) -> nix::Result<Option<i32>> {
    let mut asked = flock((from, length, kind));
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked))?;
    // A lock of all bytes to read is not one of QEMU's, though theirs are among them.
    let is_for_qemu = from >= QEMU_DOES && asked.l_start < QEMU_DOES;
    let is_free = i32::from(asked.l_type) == libc::F_UNLCK;
    let is_reader = i32::from(asked.l_type) == libc::F_RDLCK && is_for_qemu;
    Ok((!is_free && !is_reader).then_some(asked.l_pid))
}

/// Some network file systems have none.
const fn has_no_locks(errno: Errno) -> bool {
    matches!(errno, Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL)
}

/// Opens a device once more, for ourselves alone.
fn claimed(disk: &Disk) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_EXCL | libc::O_NONBLOCK).open(&disk.path)
}

fn failed(disk: &Disk) -> impl FnOnce(io::Error) -> Error {
    Error::doing(format!("lock {}", disk.path.display()))
}

fn refusal(disk: &Disk, user: &User, others: Others) -> Refusal {
    let does = if others == Others::MayRead { "writes to" } else { "uses" };
    let text = format!("{user} {does} {}", disk.path.display());
    Refusal::new(RefusalKind::Busy, text).hint("stop it first")
}

/// Finds somebody who has it open.
fn somebody(disk: &Disk) -> User {
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

fn process(pid: i32) -> Option<User> {
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
