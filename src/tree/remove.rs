//! Removing a tree, however deep it is.

use super::{
    open,
    walk::{Visit, walk},
};
use nix::{
    errno::Errno,
    fcntl::renameat,
    sys::stat::FileStat,
    unistd::{UnlinkatFlags, unlinkat},
};
use std::{
    ffi::{CStr, OsStr},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// A walk brings the next levels of a tree up; so many walks make a million levels.
const MOST_WALKS: usize = 4096;
/// More than a copy of any template's tree has; a boot does not wait for more.
const MOST_ENTRIES: usize = 1_000_000;

/// Removes what is at `name` in `parent`: a tree, or anything else. Nothing is fine.
///
/// # Errors
/// With the path below `name` when something cannot be removed; some of the tree is gone then;
/// and when it has more than a million entries.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    remove_at_most(MOST_ENTRIES, parent, name)
}

fn remove_at_most(most: usize, parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    let (mut raised, mut left) = (0, most);
    for _ in 0..MOST_WALKS {
        let top = open::directory(parent, name)?;
        let mut removal = Removal { top: top.try_clone()?, raised, left };
        walk(top, &mut removal)?;
        (raised, left) = (removal.raised, removal.left);
        match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
            // Something was brought up, or a file system has left an entry out while others went.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            done => return Ok(done?),
        }
    }
    Err(Errno::ENOTEMPTY.into())
}

struct Removal {
    top: OwnedFd,
    /// How many directories have been brought up.
    raised: u64,
    /// How many entries may still be removed.
    left: usize,
}

impl Removal {
    fn count(&mut self) -> io::Result<()> {
        let error = || io::Error::other("there are more entries than a boot removes");
        self.left = self.left.checked_sub(1).ok_or_else(error)?;
        Ok(())
    }
}

impl Visit for Removal {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, _stat: &FileStat) -> io::Result<()> {
        self.count()?;
        Ok(unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn leave(&mut self, dir: BorrowedFd<'_>, name: &CStr, _left: BorrowedFd<'_>) -> io::Result<()> {
        self.count()?;
        match unlinkat(dir, name, UnlinkatFlags::RemoveDir) {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(()),
            done => Ok(done?),
        }
    }

    /// Brings it up to the top, from where the next walk goes on.
    fn deep(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        self.count()?;
        loop {
            self.raised += 1;
            let up = format!(".ebbtide-raised-{}", self.raised);
            match renameat(dir, name, self.top.as_fd(), up.as_str()) {
                // It is somebody else's, and not empty.
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
                done => return Ok(done?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::deep;
    use std::{
        fs::{self, File},
        os::unix::fs::symlink,
    };
    use tempfile::tempdir;

    #[test]
    fn removes_a_tree_and_nothing_that_it_links_to() {
        let dir = tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        symlink("..", tree.join("a/b/up")).unwrap();
        nix::unistd::mkfifo(&tree.join("a/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for n in 0..3000 {
            File::create(tree.join("a/b").join(format!("{n}"))).unwrap();
        }
        let parent = File::open(dir.path()).unwrap();
        remove(parent.as_fd(), OsStr::new("tree")).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read(outside.join("kept")).unwrap(), b"kept");
        remove(parent.as_fd(), OsStr::new("tree")).unwrap();
    }

    #[test]
    fn a_tree_with_more_entries_than_wanted_is_an_error() {
        let dir = tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree/a")).unwrap();
        for n in 0..10 {
            File::create(dir.path().join(format!("tree/a/{n}"))).unwrap();
        }
        let parent = File::open(dir.path()).unwrap();
        let removed = |most| remove_at_most(most, parent.as_fd(), OsStr::new("tree"));
        assert!(removed(6).unwrap_err().to_string().contains("more entries than a boot removes"));
        assert_eq!(fs::read_dir(dir.path().join("tree/a")).unwrap().count(), 4);
        removed(5).unwrap();
        assert!(!dir.path().join("tree").exists());
    }

    #[test]
    fn a_link_is_removed_itself() {
        let dir = tempdir().unwrap();
        fs::create_dir(dir.path().join("kept")).unwrap();
        symlink("kept", dir.path().join("link")).unwrap();
        remove(File::open(dir.path()).unwrap().as_fd(), OsStr::new("link")).unwrap();
        assert!(dir.path().join("kept").exists() && !dir.path().join("link").is_symlink());
    }

    #[test]
    fn a_tree_of_10000_levels_goes_too() {
        let dir = tempdir().unwrap();
        deep::nest(dir.path(), "tree", 10_000);
        fs::create_dir(dir.path().join("tree/.ebbtide-raised-1")).unwrap();
        fs::write(dir.path().join("tree/.ebbtide-raised-1/file"), "").unwrap();
        remove(File::open(dir.path()).unwrap().as_fd(), OsStr::new("tree")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
