//! The modules disk, at `/lib/modules/VERSION` of the root.
//!
//! In: a disk that the host attached, if it did. Out: its modules for the running kernel, where the
//! root has none of its own; writable as long as the machine runs, where the kernel has overlays.
//! The disk is mounted below `/run`, which goes over to the real system with everything in it.

use super::{Site, Tally, attach, look};
use crate::{failure::Failure, kernel::node, observe, patience::Patience, root::Root, root::named};
use ebbtide_format::{
    signature::{Content, Kind},
    units::Bytes,
};
use ebbtide_init::{
    discover::{self, Device},
    observed::{Observed, Usage},
    options::{Choice, Options},
    refusal::Refusal,
    role::Role,
    step::MARKERS,
};
use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    mount::MsFlags,
};
use std::{
    fs::{DirBuilder, File},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

/// What the host gives is for the kernel to load, and nothing else.
const HARMLESS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

/// Mounts the modules of the running kernel, when there is a disk with them and the root has none.
pub(crate) fn set_up(options: &Options, observed: &Observed, site: &Site, tally: &mut Tally) {
    if let Err(failure) = find_and_mount(options, observed, site) {
        tally.fail(&failure);
    }
}

/// Finds the disk; one that the options name is waited for.
fn find_and_mount(options: &Options, observed: &Observed, site: &Site) -> Result<(), Failure> {
    let mut patience = Patience::new(options.timeout);
    let mut again = None;
    loop {
        match discover::find(Role::Modules, options, again.as_ref().unwrap_or(observed)) {
            Ok(device) => return mount(&device, site),
            Err(Refusal::Missing { choice: Choice::Auto, .. }) => return Ok(()),
            Err(refusal) if refusal.may_pass() && patience.look_again(Role::Modules)? => {
                again = Some(observe::observe(&Root::at("/"), options)?);
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
}

fn mount(device: &Device<'_>, site: &Site) -> Result<(), Failure> {
    let version = nix::sys::utsname::uname().map_err(io::Error::from)?;
    let version = Path::new(version.release());
    let place = Path::new("lib/modules").join(version);
    if attach::open_below(site, &place.join("kernel"), OFlag::O_PATH).is_ok() {
        log::info!("modules of the root itself are used, in /{}", place.display());
        return Ok(());
    }
    let disk = Path::new(MARKERS).join("modules/disk");
    mount_disk(device, &disk)?;
    let modules = directory(&disk, version)?;
    let target = site
        .writing(|| attach::mount_point(site, &place.to_string_lossy()))
        .map_err(|error| named(&site.path().join(&place), &error))?;
    let how = match overlay(&modules, &target) {
        Ok(()) => "writable for as long as the machine runs".to_string(),
        Err(error) => {
            bind(&modules, &target)?;
            format!("read-only, for there is no overlay: {error}")
        }
    };
    log::info!("modules of {} are in /{}, {how}", device.name(), place.display());
    Ok(())
}

/// Mounts the disk itself, where nobody looks.
fn mount_disk(device: &Device<'_>, disk: &Path) -> io::Result<()> {
    match device.usage() {
        None => {}
        // A run that was cut.
        Some(Usage::MountedAt(place)) if Path::new(place) == disk => return Ok(()),
        Some(usage) => {
            let text = format!("modules disk {} is {usage}; wanted it unused", device.name());
            return Err(io::Error::other(text));
        }
    }
    if let Some(private) = disk.parent() {
        folder(private, 0o700)?;
    }
    folder(disk, 0o755)?;
    let node = node(device.name());
    let kind = kind(&node, device.size().bytes())?;
    let flags = HARMLESS | MsFlags::MS_RDONLY;
    nix::mount::mount(Some(&node), disk, Some(kind), flags, None::<&str>)
        .map_err(|error| named(&node, &error.into()))
}

/// Returns the driver for the file system on a device. Trying one after the other would leave a
/// complaint of each in the log.
fn kind(node: &Path, size: Bytes) -> io::Result<&'static str> {
    match look::look(node, size)? {
        Content::FileSystem(found) if found.kind.is_ext() => Ok(Kind::Ext4.word()),
        Content::FileSystem(found) => Ok(found.kind.word()),
        _ => {
            let text = format!("modules disk {}: wanted a file system; found none", node.display());
            Err(io::Error::other(text))
        }
    }
}

/// Returns the directory with the modules of a version: of that name, or as in a root, or the top.
fn directory(disk: &Path, version: &Path) -> io::Result<PathBuf> {
    let top = File::open(disk).map_err(|error| named(disk, &error))?;
    let below = [version.to_owned(), Path::new("lib/modules").join(version), PathBuf::from(".")];
    let is_there = |below: &&PathBuf| {
        // The path is used once more, by name: the disk is read-only, so it stays what it is.
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let known = if below.as_os_str() == "." { "modules.dep" } else { "" };
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve);
        openat2(&top, &below.join(known), how).is_ok()
    };
    below.iter().find(is_there).map(|below| disk.join(below)).ok_or_else(|| {
        let text = format!(
            "modules disk: wanted {0}, lib/modules/{0} or modules.dep on it; found none of them",
            version.display()
        );
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// Puts an overlay in place: what is written goes into memory.
fn overlay(modules: &Path, target: &OwnedFd) -> io::Result<()> {
    let private = Path::new(MARKERS).join("modules");
    let (upper, work) = (private.join("upper"), private.join("work"));
    folder(&upper, 0o755)?;
    folder(&work, 0o700)?;
    let data = format!(
        "lowerdir={},upperdir={},workdir={}",
        modules.display(),
        upper.display(),
        work.display()
    );
    let kind = Some("overlay");
    Ok(nix::mount::mount(kind, &by_descriptor(target), kind, HARMLESS, Some(data.as_str()))?)
}

/// Puts the modules in place as they are; a bind takes the flags of what it binds.
fn bind(modules: &Path, target: &OwnedFd) -> io::Result<()> {
    let none = None::<&str>;
    nix::mount::mount(Some(modules), &by_descriptor(target), none, MsFlags::MS_BIND, none)
        .map_err(|error| named(modules, &error.into()))
}

/// Returns the path of what is open, whatever its name leads to by now.
fn by_descriptor(target: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", target.as_raw_fd()))
}

fn folder(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(named(path, &error)),
        _ => Ok(()),
    }
}
