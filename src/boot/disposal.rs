//! What is left of an initramfs after the switch of the root: its files hold memory until they are
//! removed.

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag},
    sys::{
        stat::{Mode, SFlag, fstat, fstatat},
        statfs::{FsType, TMPFS_MAGIC, fstatfs, statfs},
    },
    unistd::{UnlinkatFlags, unlinkat},
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

/// `RAMFS_MAGIC` in include/uapi/linux/magic.h.
const RAMFS: i64 = 0x8584_58f6;
/// No initramfs is deeper.
const DEEPEST: u8 = 64;

/// Tells whether a path is on a file system that is nowhere but in memory, as an initramfs is.
pub(super) fn is_in_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| is_memory(found.filesystem_type()))
}

fn is_memory(kind: FsType) -> bool {
    kind == TMPFS_MAGIC || kind.0 == RAMFS as _
}

/// Removes everything on the file system of `root` that is below it, and nothing that is mounted there.
/// Returns how many files there were.
///
/// # Errors
/// When `root` is not in memory: then it is not an initramfs, and stays as it is. Or the first failure,
/// after which the rest has been removed all the same.
pub(super) fn empty(root: &File) -> io::Result<u32> {
    if !is_memory(fstatfs(root)?.filesystem_type()) {
        return Err(io::Error::other("wanted a root in memory; found another file system"));
    }
    let mut emptying = Emptying { device: fstat(root)?.st_dev, files: 0, failed: None };
    emptying.folder(root.as_fd(), DEEPEST);
    emptying.failed.map_or(Ok(emptying.files), |error| Err(error.into()))
}

struct Emptying {
    device: u64,
    files: u32,
    failed: Option<Errno>,
}

impl Emptying {
    fn folder(&mut self, folder: BorrowedFd<'_>, deeper: u8) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        // A description of its own: the reading has a place in it.
        let mut listing = match Dir::openat(folder, ".", flags, Mode::empty()) {
            Ok(listing) => listing,
            Err(error) => return self.note(error),
        };
        for entry in listing.iter() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.note(error),
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let found = match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(found) if found.st_dev == self.device => found,
                Ok(_) => continue,
                Err(error) => {
                    self.note(error);
                    continue;
                }
            };
            let is_folder = found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
            let mut how = UnlinkatFlags::NoRemoveDir;
            if is_folder {
                how = UnlinkatFlags::RemoveDir;
                if deeper > 0
                    && let Ok(below) = Dir::openat(folder, name, flags, Mode::empty())
                {
                    self.folder(below.as_fd(), deeper - 1);
                }
            }
            match unlinkat(folder, name, how) {
                Ok(()) => self.files += u32::from(!is_folder),
                Err(error) => self.note(error),
            }
        }
    }

    fn note(&mut self, error: Errno) {
        self.failed.get_or_insert(error);
    }
}
