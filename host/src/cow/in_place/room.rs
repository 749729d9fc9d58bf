//! Whether there is room for what a merge will newly allocate.

use crate::{
    Error, Result,
    cow::{
        Disk, Kind, Runs, Sharing,
        free::free,
        transfer::{block, split::split},
    },
    error::{Refusal, RefusalKind},
    file::next_data,
};
use ebbtide_format::units::Bytes;
use ebbtide_sys::{
    fiemap::{self, Extent},
    inode_flags, reflink,
};
use nix::{
    libc,
    sys::statfs::{BTRFS_SUPER_MAGIC, fstatfs},
};
use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _};

/// What a merge will bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// All bytes of all runs.
    pub(super) whole: Bytes,
    /// Those of them that go into holes of the backing.
    pub(super) new: Bytes,
    /// Those of them that are copied though the file system clones.
    pub(super) copied: Bytes,
}

impl Wanted {
    /// Returns how much is allocated, if extents are cloned or not, and if what is written over data of the backing goes
    /// elsewhere or where that is.
    fn room(self, is_cloned: bool, is_elsewhere: bool) -> Bytes {
        match (is_cloned, is_elsewhere) {
            (true, true) => self.copied,
            (true, false) => self.copied.min(self.new),
            (false, true) => self.whole,
            (false, false) => self.new,
        }
    }
}

/// Reads all runs, which finds whatever is wrong with any of them while nothing is changed.
///
/// # Errors
/// The first that a run gave; the kernel's.
pub(super) fn wanted(runs: Runs<'_>, cow: &Disk, backing: &Disk) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let block = block(backing)?;
    for run in runs {
        let run = run?;
        wanted.whole.0 += run.length;
        let middle = block.and_then(|block| split(run, block, cow.size, backing.size).middle);
        wanted.copied.0 += run.length - middle.map_or(0, |middle| middle.length);
        if backing.kind == Kind::Device {
            continue;
        }
        let (mut at, end) = (run.at, run.range().end);
        while at < end {
            let data = next_data(&backing.file, at..end)
                .map_err(Error::doing(format!("look for holes of {}", backing.path.display())))?;
            let data = data.unwrap_or(end..end);
            wanted.new.0 += data.start - at;
            at = data.end;
        }
    }
    Ok(wanted)
}

/// Asserts that there is room for what is allocated: what is copied into holes, and on some file systems and over shared
/// extents also what is copied over data.
///
/// # Errors
/// There is less.
pub(super) fn suffices(wanted: Wanted, sharing: Sharing, cow: &Disk, backing: &Disk) -> Result<()> {
    let free = free(backing)?;
    if wanted.whole <= free || backing.kind == Kind::Device {
        return Ok(());
    }
    let is_cloned = sharing == Sharing::WhereItCan && can_clone(cow, backing)?;
    let is_elsewhere = writes_elsewhere(backing)?;
    let room = wanted.room(is_cloned, is_elsewhere);
    if room <= free {
        return Ok(());
    }
    let (cow, path) = (cow.path.display(), backing.path.display());
    let text = if is_cloned || is_elsewhere {
        format!("{room} of {cow} need new room in the file system of {path}, which has {free} free")
    } else {
        format!("{room} of {cow} go where {path} has holes, and its file system has {free} free")
    };
    Err(Refusal::new(RefusalKind::Unable, text).hint("make room first").into())
}

/// Returns whether what is written over data of the backing is allocated anew: btrfs does so by itself, and every file
/// system where others share the extent.
fn writes_elsewhere(backing: &Disk) -> Result<bool> {
    let path = backing.path.display();
    let found = fstatfs(&backing.file).map_err(|errno| {
        Error::doing(format!("look at the file system of {path}"))(errno.into())
    })?;
    if found.filesystem_type() == BTRFS_SUPER_MAGIC && !is_nocow(backing) {
        return Ok(true);
    }
    // A file system that does not say which extents are shared has none.
    let extents = fiemap::extents(&backing.file).unwrap_or_default();
    Ok(extents.iter().any(|extent| extent.flags & Extent::SHARED != 0))
}

fn is_nocow(disk: &Disk) -> bool {
    inode_flags::is_nocow(&disk.file).unwrap_or(false)
}

/// Returns whether a file in the directory of the backing can share extents with the COW file, and the backing itself is
/// no obstacle: without checksums, as by `chattr +C`, btrfs shares extents only with its like.
fn can_clone(cow: &Disk, backing: &Disk) -> Result<bool> {
    let Some(block) = block(backing)?.filter(|_| cow.kind == Kind::File) else { return Ok(false) };
    if is_nocow(cow) != is_nocow(backing) {
        return Ok(false);
    }
    let Ok(real) = std::fs::canonicalize(&backing.path) else { return Ok(false) };
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC);
    let file = options.open(real.parent().unwrap_or(&real));
    // A length of 0 is all of it.
    let length = if cow.size.0 > block { block } else { 0 };
    Ok(file.is_ok_and(|file| reflink::clone_range(&cow.file, 0, length, &file, 0).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_over_counts_where_it_goes_elsewhere() {
        let wanted = Wanted { whole: Bytes(100), new: Bytes(30), copied: Bytes(40) };
        let room = |is_cloned, is_elsewhere| wanted.room(is_cloned, is_elsewhere).0;
        assert_eq!([room(false, false), room(false, true)], [30, 100]);
        assert_eq!([room(true, false), room(true, true)], [30, 40]);
    }
}
