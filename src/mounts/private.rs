//! The private disk: looked at, formatted when blank, checked, mounted, grown.

use super::{
    Site, Tally, Volume, check,
    check::Verdict,
    format::{self, Making},
    grow, look, program,
};
use crate::{failure::Failure, kernel::node, observe, patience::Patience, root::Root};
use ebbtide_format::signature::{Content, FileSystem, Kind};
use ebbtide_init::{
    observed::{Observed, Usage},
    options::Options,
    private_volume::{self, Decision, PrivateDisk, Refusal, Why},
    role::Role,
};
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
    path::Path,
};
use sys_mount::{Mount, MountFlags};

/// Mounts the private disk at its place; `None` when there is none, or when it cannot be used, which
/// has been told then.
pub(crate) fn set_up(
    options: &Options,
    observed: &Observed,
    site: &Site,
    tally: &mut Tally,
) -> Option<Volume> {
    match volume(options, observed, site, tally) {
        Ok(None) => None,
        Ok(Some(volume)) => Some(volume),
        Err(failure) => {
            tally.fail(&format_args!("{failure}; the boot goes on without {}", options.rw));
            None
        }
    }
}

fn volume(
    options: &Options,
    observed: &Observed,
    site: &Site,
    tally: &mut Tally,
) -> Result<Option<Volume>, Failure> {
    let Some(disk) = find(options, observed)? else {
        log::info!("no private disk, so nothing at {}", options.rw);
        return Ok(None);
    };
    if let Some(place) = &disk.mounted_at {
        // An earlier run was cut after this.
        return if *place == site.path().join(below(&options.rw)).to_string_lossy() {
            Ok(Some(open(site, &options.rw)?))
        } else {
            let why = Why::InUse(Usage::MountedAt(place.clone()));
            Err(Refusal::Disk { disk: disk.name, size: disk.size, why }.into())
        };
    }
    let content = look::look(&node(&disk.name), disk.size)?;
    let (found, grows) = match private_volume::decide(&disk, content, options)? {
        Decision::Leave => {
            let name = &disk.name;
            log::warn!("private disk {name} is blank and stays so, as ebbtide.format=no asks for");
            return Ok(None);
        }
        Decision::Use { file_system, grow } => (file_system, grow),
        Decision::Format { kind, size, again } => {
            if again {
                log::warn!(
                    "formatting {} was cut before anybody used it; it begins anew",
                    disk.name
                );
            }
            (make(options, site, &disk, kind, size)?, false)
        }
    };
    let verdict = match disk.read_only {
        true => Verdict::ReadOnly,
        false if found.kind.is_ext() => check::ext(site, &node(&disk.name), tally),
        false => Verdict::Writable,
    };
    mount(options, site, &disk, found.kind, verdict)?;
    let volume = open(site, &options.rw)?;
    if grows && !volume.read_only {
        grow::grow(&volume.root, found, &disk.name, disk.size);
    }
    Ok(Some(volume))
}

/// Finds the disk; one that the options name is waited for.
fn find(options: &Options, observed: &Observed) -> Result<Option<PrivateDisk>, Failure> {
    let mut patience = Patience::new(options.timeout);
    let mut found = private_volume::disk(options, observed);
    loop {
        match found {
            Err(refusal) if refusal.may_pass() && patience.look_again(Role::Private)? => {
                let observed = observe::observe(&Root::at("/"), options)?;
                found = private_volume::disk(options, &observed);
            }
            decided => return Ok(decided?),
        }
    }
}

/// Makes a file system, and looks whether it is there.
fn make(
    options: &Options,
    site: &Site,
    disk: &PrivateDisk,
    kind: Kind,
    size: ebbtide_format::units::Bytes,
) -> Result<FileSystem, Failure> {
    let (name, word) = (&disk.name, kind.word());
    log::info!("private disk {name} ({}) is blank and gets {word}", disk.size);
    let (node, disposable) = (node(name), options.disposable);
    let making = Making { disk: &node, disk_size: disk.size, kind, size, disposable };
    let failed = |why: &dyn std::fmt::Display| {
        io::Error::other(format!("private disk {name}: wanted {word} on it; {why}"))
    };
    format::format(site, &making).map_err(|error| failed(&error))?;
    match look::look(&node, disk.size)? {
        Content::FileSystem(found) => Ok(found),
        _ => Err(failed(&"mkfs reported none, and there is none").into()),
    }
}

fn mount(
    options: &Options,
    site: &Site,
    disk: &PrivateDisk,
    kind: Kind,
    verdict: Verdict,
) -> io::Result<()> {
    let point = site.writing(|| mount_point(site, below(&options.rw)))?;
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
        let (disk, rw) = (&disk.name, &options.rw);
        io::Error::new(
            error.kind(),
            format!("private disk {disk}: {fstype} not mounted at {rw}: {error}"),
        )
    })?;
    let how = if verdict == Verdict::ReadOnly { ", read-only" } else { "" };
    log::info!("{fstype} on {} is mounted at {}{how}", disk.name, options.rw);
    Ok(())
}

/// Returns an absolute path relative to its root.
fn below(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// Opens a path of the root; a link in it leads to where it leads for a process of the root.
fn open_below(site: &Site, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(site.root(), path, how)
}

/// Opens the directory that is mounted on, and makes what of it is not there.
fn mount_point(site: &Site, path: &str) -> io::Result<OwnedFd> {
    let mut opened = open_below(site, Path::new("."), OFlag::O_PATH)?;
    let mut so_far = std::path::PathBuf::new();
    for part in path.split('/') {
        so_far.push(part);
        opened = match open_below(site, &so_far, OFlag::O_PATH) {
            Err(Errno::ENOENT) => {
                mkdirat(&opened, part, Mode::from_bits_truncate(0o755))?;
                open_below(site, &so_far, OFlag::O_PATH)
            }
            other => other,
        }
        .map_err(|errno| crate::root::named(&so_far, &errno.into()))?;
    }
    Ok(opened)
}

/// Opens what is mounted at its place.
fn open(site: &Site, rw: &str) -> io::Result<Volume> {
    let root = open_below(site, Path::new(below(rw)), OFlag::O_RDONLY)?;
    let read_only = fstatvfs(&root)?.flags().contains(FsFlags::ST_RDONLY);
    Ok(Volume { root, read_only })
}
