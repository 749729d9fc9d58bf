//! What every later part takes for granted: `/proc`, `/sys`, `/dev`, `/run`, and a console.

use crate::root::named;
use nix::{errno::Errno, unistd};
use std::{
    fs::{self, File},
    io,
    path::Path,
};
use sys_mount::{Mount, MountFlags};

const MOUNTS: [(&str, &str, MountFlags, &str); 4] = [
    ("proc", "/proc", MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC), ""),
    ("sysfs", "/sys", MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC), ""),
    ("devtmpfs", "/dev", MountFlags::NOSUID, "mode=0755"),
    ("tmpfs", "/run", MountFlags::NOSUID.union(MountFlags::NODEV), "mode=0755"),
];

/// Mounts them, and opens the console in the places 0 to 2.
///
/// # Errors
/// When one cannot be mounted. A machine without a console is fine.
pub(super) fn mount_and_open() -> io::Result<()> {
    for (kind, at, flags, data) in MOUNTS {
        mount(kind, Path::new(at), flags, data)?;
        if at == "/dev" {
            open_console();
        }
    }
    Ok(())
}

fn mount(kind: &str, at: &Path, flags: MountFlags, data: &str) -> io::Result<()> {
    match fs::create_dir(at) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(named(at, &error));
        }
        _ => {}
    }
    match Mount::builder().fstype(kind).flags(flags).data(data).mount(kind, at) {
        // It is there already.
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => Ok(()),
        done => done.map(drop).map_err(|error| named(at, &error)),
    }
}

/// The kernel has opened what `/dev/console` was in the archive, if there was one.
fn open_console() {
    for path in ["/dev/console", "/dev/null"] {
        if let Ok(console) = File::options().read(true).write(true).open(path) {
            let _ = unistd::dup2_stdin(&console);
            let _ = unistd::dup2_stdout(&console);
            let _ = unistd::dup2_stderr(&console);
            return;
        }
    }
}
