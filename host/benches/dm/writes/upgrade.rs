//! A system of small files, and an upgrade of some of its packages, written as dpkg does: each file beside the old one,
//! flushed, and renamed over it.

use super::super::Result;
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGES: u64 = 200;
const FILES: u64 = 12;
/// Every so manieth package has a new version.
const UPGRADED: usize = 4;

/// Makes a file system with all packages in an image.
pub(super) fn install(dir: &Path, image: &Path) -> Result<()> {
    // What the kernel would write later is there, or it would be counted.
    let whole = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
    done(Command::new("mkfs.ext4").args(whole).arg(image))?;
    mounted(dir, image, |root| {
        for package in 0..PACKAGES {
            fs::create_dir(root.join(package.to_string()))?;
            for file in 0..FILES {
                fs::write(path(root, package, file), content(package, file, 1))?;
            }
        }
        Ok(())
    })
}

/// Upgrades some of them on a device, to its end on the disk.
pub(super) fn upgrade(dir: &Path, device: &Path) -> Result<()> {
    mounted(dir, device, |root| {
        for package in (0..PACKAGES).step_by(UPGRADED) {
            for number in 0..FILES {
                let path = path(root, package, number);
                let mut file = File::create(path.with_extension("dpkg-new"))?;
                file.write_all(&content(package, number, 2))?;
                file.sync_all()?;
            }
            for number in 0..FILES {
                let path = path(root, package, number);
                fs::rename(path.with_extension("dpkg-new"), path)?;
            }
        }
        Ok(())
    })
}

fn path(root: &Path, package: u64, file: u64) -> PathBuf {
    root.join(package.to_string()).join(file.to_string())
}

/// Returns a file of 1 to 32 KiB; a new version of it has another length.
fn content(package: u64, file: u64, version: u64) -> Vec<u8> {
    let length = 1024 + (package * 7919 + file * 104_729 + version * 331) % (31 * 1024);
    vec![version as u8 | 0x40; length as usize]
}

fn mounted(dir: &Path, device: &Path, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let root = dir.join("mounted");
    fs::create_dir_all(&root)?;
    let mut mount = Command::new("mount");
    done(mount.args(["-t", "ext4"]).arg(device).arg(&root))?;
    let worked = work(&root);
    done(Command::new("umount").arg(&root))?;
    worked
}

fn done(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
