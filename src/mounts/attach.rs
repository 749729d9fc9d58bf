//! The private file system, mounted at its place in the root.
//!
//! The root is trusted as far as it is a template; a link in it is followed, but never out of it.

use super::{Site, Volume, check::Verdict, program};
use crate::{kernel::node, root::named};
use ebbtide_format::signature::{FileSystem, Kind};
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
    found: FileSystem,
    verdict: Verdict,
) -> io::Result<()> {
    let point = site.writing(|| mount_point(site, below(rw)))?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if verdict == Verdict::ReadOnly {
        flags |= MountFlags::RDONLY;
    }
    let kind = found.kind;
    let fstype = if kind.is_ext() { Kind::Ext4.word() } else { kind.word() };
    // By descriptor: nobody can put another directory in its place.
    let target = format!("/proc/self/fd/{}", point.as_raw_fd());
    let attempt = |as_it_is| {
        let data = data(kind, disk.discards, as_it_is);
        let builder = Mount::builder().fstype(fstype).flags(flags).data(&data);
        builder.mount(node(&disk.name), &target).map(drop)
    };
    let mut as_it_is = disk.read_only && !found.clean;
    let mut mounted = attempt(as_it_is);
    if failed_with(&mounted, &[Errno::ENODEV]) {
        // An initramfs may lack what the root has.
        let _ = program::run(site, "modprobe", &["-q", fstype], program::BRIEF);
        mounted = attempt(as_it_is);
    }
    // What ext and XFS say when a log cannot be replayed, and what btrfs says.
    if disk.read_only && !as_it_is && failed_with(&mounted, &[Errno::EROFS, Errno::EIO]) {
        as_it_is = true;
        mounted = attempt(as_it_is);
    }
    let disk = &disk.name;
    mounted.map_err(|error| {
        let text = format!("private disk {disk}: {fstype} not mounted at {rw}: {error}");
        io::Error::new(error.kind(), text)
    })?;
    if as_it_is {
        log::warn!(
            "private disk {disk} was not left in order and cannot be written: what was written last \
             may be missing in it"
        );
    }
    let how = if verdict == Verdict::ReadOnly { ", read-only" } else { "" };
    log::info!("{fstype} on {disk} is mounted at {rw}{how}");
    Ok(())
}

/// Returns the options of a file system; `as_it_is` leaves its log alone, which a disk that cannot be
/// written asks for.
fn data(kind: Kind, discards: bool, as_it_is: bool) -> String {
    let (discard, without_log, always) = match kind {
        // In the background; the other two do it with each commit.
        Kind::Btrfs => ("discard=async", "rescue=nologreplay", ""),
        Kind::Xfs => ("discard", "norecovery", ""),
        // Its own superblock may ask for a panic at the first error.
        _ => ("discard", "noload", "errors=remount-ro"),
    };
    let mut all = always.to_string();
    for (wanted, option) in [(discards, discard), (as_it_is, without_log)] {
        if wanted {
            let comma = if all.is_empty() { "" } else { "," };
            all.push_str(comma);
            all.push_str(option);
        }
    }
    all
}

fn failed_with(mounted: &io::Result<()>, numbers: &[Errno]) -> bool {
    let number = mounted.as_ref().err().and_then(io::Error::raw_os_error);
    numbers.iter().any(|errno| number == Some(*errno as i32))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_superblock_never_says_what_an_error_does() {
        assert_eq!(data(Kind::Ext4, false, false), "errors=remount-ro");
        assert_eq!(data(Kind::Ext2, true, true), "errors=remount-ro,discard,noload");
        assert_eq!(data(Kind::Xfs, false, true), "norecovery");
        assert_eq!(data(Kind::Btrfs, true, true), "discard=async,rescue=nologreplay");
        assert_eq!(data(Kind::Btrfs, false, false), "");
    }
}
