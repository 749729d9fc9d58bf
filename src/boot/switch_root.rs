//! From the initramfs into the root.

use super::{SYSROOT, disposal};
use crate::root::named;
use nix::{
    mount::{MsFlags, mount},
    unistd::{chdir, chroot},
};
use std::{fs::File, io, path::Path};

/// What goes along: device nodes and markers must be the same ones afterwards.
const KEPT: [&str; 4] = ["dev", "proc", "sys", "run"];

/// Makes the root the root, and empties the initramfs, whose memory is then free.
///
/// # Errors
/// When a mount cannot be moved; nothing of the initramfs is gone then.
pub(super) fn switch() -> io::Result<()> {
    let initramfs = File::open("/").map_err(|error| named(Path::new("/"), &error))?;
    let to = |name: &str| Path::new(SYSROOT).join(name);
    for path in KEPT.map(to) {
        if !path.is_dir() {
            let text = format!("root: wanted a folder at {}; found none", path.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
    }
    for name in KEPT {
        shift(&Path::new("/").join(name), &to(name))?;
    }
    chdir(SYSROOT)?;
    shift(Path::new("."), Path::new("/"))?;
    chroot(".")?;
    chdir("/")?;
    match disposal::empty(&initramfs) {
        Ok(files) => log::info!("boot: {files} files of the initramfs are gone"),
        Err(error) => log::warn!("the initramfs stays in memory: {error}"),
    }
    Ok(())
}

fn shift(from: &Path, to: &Path) -> io::Result<()> {
    let none = None::<&str>;
    mount(Some(from), to, none, MsFlags::MS_MOVE, none).map_err(|errno| {
        let text = format!("mount {} moved to {}: {errno}", from.display(), to.display());
        io::Error::other(text)
    })
}
