//! The root, mounted aside.

use super::SYSROOT;
use crate::{failure::Failure, root::named};
use ebbtide_init::boot_words::{BootWords, MountWord, ROOT_TYPES};
use nix::{errno::Errno, mount::MsFlags};
use std::{fs, io, path::Path};
use sys_mount::{Mount, MountFlags};

const DEVICE: &str = "/dev/mapper/dmroot";

/// Mounts it as the command line says.
///
/// # Errors
/// When it cannot be mounted, with the types that were tried.
pub(super) fn mount(boot: &BootWords) -> Result<(), Failure> {
    match fs::create_dir(SYSROOT) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(named(Path::new(SYSROOT), &error).into());
        }
        _ => {}
    }
    if boot.types.is_empty() {
        return first_that_mounts(&ROOT_TYPES, boot);
    }
    let types: Vec<&str> = boot.types.iter().map(String::as_str).collect();
    first_that_mounts(&types, boot)
}

fn first_that_mounts(types: &[&str], boot: &BootWords) -> Result<(), Failure> {
    let mut flags = flags(boot);
    if types.len() > 1 {
        // A wrong guess is no news.
        flags |= MountFlags::SILENT;
    }
    let mut found = String::new();
    for kind in types {
        let builder = Mount::builder().fstype(*kind).flags(flags).data(&boot.data);
        let Err(error) = builder.mount(DEVICE, SYSROOT) else {
            return Ok(());
        };
        // Not of this type; or the kernel does not know it.
        let goes_on = [Errno::EINVAL, Errno::ENODEV];
        let goes_on = goes_on.iter().any(|errno| error.raw_os_error() == Some(*errno as i32));
        if !found.is_empty() {
            found.push_str(", ");
        }
        found.push_str(&format!("{kind}: {error}"));
        if !goes_on {
            break;
        }
    }
    Err(Failure::Boot {
        said: format!(
            "{DEVICE}: wanted it mounted {}; found {found}",
            if boot.writable { "read-write" } else { "read-only" }
        ),
        hint: "does the initramfs hold the module of its file system? rootfstype= and rootflags= on \
               the kernel command line are used as they are",
    })
}

fn flags(boot: &BootWords) -> MountFlags {
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, !boot.writable);
    for word in &boot.flags {
        flags |= match word {
            MountWord::NoDev => MountFlags::NODEV,
            MountWord::NoSuid => MountFlags::NOSUID,
            MountWord::NoExec => MountFlags::NOEXEC,
            MountWord::NoAtime => MountFlags::NOATIME,
            MountWord::NoDirAtime => MountFlags::NODIRATIME,
            MountWord::StrictAtime => MountFlags::STRICTATIME,
            MountWord::Sync => MountFlags::SYNCHRONOUS,
            MountWord::DirSync => MountFlags::DIRSYNC,
            // sys-mount has no name for it.
            MountWord::LazyTime => MountFlags::from_bits_retain(MsFlags::MS_LAZYTIME.bits()),
        };
    }
    flags
}
