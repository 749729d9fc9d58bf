//! Whether a directory's file system clones files, found out by doing it.

use super::{cannot_share, share};
use crate::pool::store::Unseen;
use nix::sys::statfs::{self, statfs};
use std::{io, os::unix::fs::FileExt as _, path::Path};

/// What is written to the file that is cloned: more than a file system keeps within an inode.
static CONTENT: [u8; 128 << 10] = [0xeb; 128 << 10];

/// What a directory is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind, as mount(8) names it; its number where that is not known here.
    pub name: String,
    /// Whether two files in this directory can share their extents.
    pub clones: bool,
}

/// Clones a small file in `dir`, and looks whether the clone has its content. Leaves nothing behind: the files have no
/// names.
///
/// # Errors
/// The directory is missing or cannot be written to, or the disk is full. That the file system does not clone is no
/// error.
pub fn probe(dir: &Path) -> io::Result<FileSystem> {
    let name = name_of(statfs(dir)?.filesystem_type());
    let (from, to) = (tempfile::tempfile_in(dir)?, tempfile::tempfile_in(dir)?);
    from.write_all_at(&CONTENT, 0)?;
    let clones = match share(&from, &to, &mut Unseen) {
        Ok(()) => {
            let mut content = vec![0; CONTENT.len()];
            to.read_exact_at(&mut content, 0)?;
            content == CONTENT
        }
        Err(error) if cannot_share(&error) => false,
        Err(error) => return Err(error),
    };
    Ok(FileSystem { name, clones })
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
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        probe(&dir.path().join("missing")).unwrap_err();
    }
}
