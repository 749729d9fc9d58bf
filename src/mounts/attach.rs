//! The private file system, mounted at its place in the root.
//!
//! The root is trusted as far as it is a template; a link in it is followed, but never out of it.

use super::{Site, Volume, check::Verdict, program};
use crate::{kernel::node, root::named};
use ebbtide_format::signature::Kind;
use ebbtide_init::private_volume::PrivateDisk;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::{
        stat::{Mode, mkdirat},
        statvfs::{FsFlags, fstatvfs},
    },
};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};
use sys_mount::{Mount, MountFlags};

/// Mounts a file system at `rw` of the root.
///
/// # Errors
/// When there is no directory to mount on, and what the mount fails with.
pub(crate) fn mount(
    rw: &str,
    site: &Site,
    disk: &PrivateDisk,
    kind: Kind,
    verdict: Verdict,
) -> io::Result<()> {
    let point = site.writing(|| mount_point(site, below(rw)))?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if verdict == Verdict::ReadOnly {
        flags |= MountFlags::RDONLY;
    }
    let fstype = if kind.is_ext() { Kind::Ext4.word() } else { kind.word() };
    let discard = match kind {
        _ if !disk.discards => "",
        // In the background; the other two do it with each commit.
        Kind::Btrfs => "discard=async",
        _ => "discard",
    };
    // By descriptor: nobody can put another directory in its place.
    let target = format!("/proc/self/fd/{}", point.as_raw_fd());
    let attempt = || {
        let builder = Mount::builder().fstype(fstype).flags(flags).data(discard);
        builder.mount(node(&disk.name), &target).map(drop)
    };
    let mut mounted = attempt();
    if mounted.as_ref().is_err_and(|error| error.raw_os_error() == Some(Errno::ENODEV as i32)) {
        // An initramfs may lack what the root has.
        let _ = program::run(site, "modprobe", &["-q", fstype]);
        mounted = attempt();
    }
    mounted.map_err(|error| {
        let disk = &disk.name;
        io::Error::new(
            error.kind(),
            format!("private disk {disk}: {fstype} not mounted at {rw}: {error}"),
        )
    })?;
    let how = if verdict == Verdict::ReadOnly { ", read-only" } else { "" };
    log::info!("{fstype} on {} is mounted at {}{how}", disk.name, rw);
    Ok(())
}

/// Returns an absolute path relative to its root.
pub(crate) fn below(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// Opens a path of the root; a link in it leads to where it leads for a process of the root.
pub(super) fn open_below(site: &Site, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(site.root(), path, how)
}

/// Opens the directory that is mounted on, and makes what of it is not there.
pub(super) fn mount_point(site: &Site, path: &str) -> io::Result<OwnedFd> {
    let mut opened = open_below(site, Path::new("."), OFlag::O_PATH)?;
    let mut so_far = PathBuf::new();
    for part in path.split('/') {
        so_far.push(part);
        opened = match open_below(site, &so_far, OFlag::O_PATH) {
            Err(Errno::ENOENT) => {
                mkdirat(&opened, part, Mode::from_bits_truncate(0o755))?;
                open_below(site, &so_far, OFlag::O_PATH)
            }
            other => other,
        }
        .map_err(|errno| named(&so_far, &errno.into()))?;
    }
    Ok(opened)
}

/// Opens what is mounted at its place.
///
/// # Errors
/// When there is no directory.
pub(crate) fn open(site: &Site, rw: &str) -> io::Result<Volume> {
    let root = open_below(site, Path::new(below(rw)), OFlag::O_RDONLY)?;
    let read_only = fstatvfs(&root)?.flags().contains(FsFlags::ST_RDONLY);
    Ok(Volume { root, read_only })
}
