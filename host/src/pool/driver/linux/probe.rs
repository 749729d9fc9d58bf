//! What a directory's file system can do, found out by doing it.

use super::{inode_of, locked};
use crate::file::{cannot_share, share};
use crate::pool::store::{Unseen, Wait};
use nix::{
    errno::Errno,
    sys::statfs::{self, statfs},
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

/// How much is cloned: more than one piece, and the rest more than a file system keeps within an inode.
const SIZE: usize = share::SMALLEST as usize + (128 << 10);

/// What a directory is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind, as mount(8) names it; its number where that is not known here.
    pub name: String,
    /// Whether two files in this directory can share their extents.
    pub clones: bool,
    /// What it has not, of what every pool needs.
    pub lacks: Vec<&'static str>,
}

/// Clones a file in `dir`, gives one a second name, sets its time and locks it, and looks what came of it. Leaves
/// nothing behind.
///
/// # Errors
/// The directory is missing or cannot be written to, or the disk is full. That the file system cannot do something is
/// no error.
pub fn probe(dir: &Path) -> io::Result<FileSystem> {
    let name = name_of(statfs(dir)?.filesystem_type());
    let names = tempfile::Builder::new().prefix(".ebbtide-probe-").tempdir_in(dir)?;
    let file = names.path().join("file");
    File::create_new(&file)?;
    let lacks = [
        ("hard links", links(&file)?),
        ("times of files in nanoseconds", keeps_times(&file)?),
        ("locks of files", locks(&file)?),
    ];
    let lacks = lacks.into_iter().filter(|(_, has)| !has).map(|(what, _)| what).collect();
    let clones = clones(dir)?;
    names.close()?;
    Ok(FileSystem { name, clones, lacks })
}

/// Returns whether two files without names can share their extents.
fn clones(dir: &Path) -> io::Result<bool> {
    let (from, to) = (tempfile::tempfile_in(dir)?, tempfile::tempfile_in(dir)?);
    let content = vec![0xeb; SIZE];
    from.write_all_at(&content, 0)?;
    match share::share(&from, &to, &mut Unseen) {
        Ok(()) => {
            let mut found = vec![0; SIZE];
            to.read_exact_at(&mut found, 0)?;
            Ok(found == content)
        }
        Err(error) if cannot_share(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a second name leads to the same file, told by its number: versions of a disk are told apart by that.
fn links(file: &Path) -> io::Result<bool> {
    let second = file.with_file_name("second");
    match fs::hard_link(file, &second) {
        Ok(()) => {
            let [one, other] = [file, &second].map(fs::symlink_metadata);
            Ok(inode_of(&one?) == inode_of(&other?))
        }
        Err(error) if is_unable(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a time is kept to the nanosecond, as the one that says that nothing was written has to be.
fn keeps_times(file: &Path) -> io::Result<bool> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(123_456_789);
    match File::open(file)?.set_modified(time) {
        Ok(()) => Ok(fs::symlink_metadata(file)?.modified()? == time),
        Err(error) if is_unable(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a lock keeps others out.
fn locks(file: &Path) -> io::Result<bool> {
    let lock = locked::lock(file, Wait::No);
    let is_held = lock.is_ok() && locked::is_locked(file)?;
    match lock {
        Err(error) if !is_unable(&error) => Err(error),
        _ => Ok(is_held),
    }
}

/// Returns whether the error says that a file system cannot do this at all; every other one is a failure.
fn is_unable(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(
            Errno::EPERM
                | Errno::EINVAL
                | Errno::EMLINK
                | Errno::ENOLCK
                | Errno::ENOSYS
                | Errno::EOPNOTSUPP
        )
    )
}

/// Returns the kind of file system that a directory is in, as in [`FileSystem::name`].
///
/// # Errors
/// The directory is missing.
pub fn name(dir: &Path) -> io::Result<String> {
    Ok(name_of(statfs(dir)?.filesystem_type()))
}

fn name_of(kind: statfs::FsType) -> String {
    // f_type, include/uapi/linux/magic.h; nix has neither bcachefs nor ZFS, whose numbers are their own.
    match kind {
        statfs::BTRFS_SUPER_MAGIC => "btrfs".into(),
        statfs::XFS_SUPER_MAGIC => "xfs".into(),
        statfs::EXT4_SUPER_MAGIC => "ext4".into(),
        statfs::F2FS_SUPER_MAGIC => "f2fs".into(),
        statfs::TMPFS_MAGIC => "tmpfs".into(),
        statfs::OVERLAYFS_SUPER_MAGIC => "overlay".into(),
        statfs::NFS_SUPER_MAGIC => "nfs".into(),
        statfs::FUSE_SUPER_MAGIC => "fuse".into(),
        statfs::MSDOS_SUPER_MAGIC => "vfat".into(),
        statfs::FsType(0xca45_1a4e) => "bcachefs".into(),
        statfs::FsType(0x2fc1_2fc1) => "zfs".into(),
        statfs::FsType(number) => format!("file system {number:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let found = probe(dir.path()).unwrap();
        assert!(!found.name.is_empty());
        assert_eq!(found.lacks, <[&str; 0]>::default());
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        probe(&dir.path().join("missing")).unwrap_err();
    }
}
