//! A user whose number has changed: what belonged to the old one is given to the new one.

use super::{
    open,
    walk::{Place, Visit, walk},
};
use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::stat::{FileStat, fstat},
    unistd::{Gid, Uid, fchownat, syncfs},
};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// A file system that was made to be walked for ever holds one directory under many names; nobody has
/// this many files in one home.
const MOST_ENTRIES: u64 = 1 << 26;
/// Failures that are told one by one.
const TOLD: u64 = 8;

/// Who owned something, or is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

impl Ids {
    /// Returns the owner of a file.
    pub(crate) const fn of(stat: &FileStat) -> Self {
        Self { uid: stat.st_uid, gid: stat.st_gid }
    }
}

/// What has become of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// How many were given to the new owner.
    pub(crate) changed: u64,
    /// How many could not be, or could not be looked at; the log has the first ones.
    pub(crate) failed: u64,
}

/// Gives what belongs to `from` in and beneath `top` to `to`, user and group each for itself. `top`
/// comes last, so a run that is cut is found to be unfinished by its owner. Files with several names
/// are changed under each; nothing on another mount is.
///
/// # Errors
/// When `top` cannot be read or changed; what fails beneath it is counted.
pub(crate) fn follow(top: BorrowedFd<'_>, from: Ids, to: Ids) -> io::Result<Followed> {
    let mut change = Change { from, to, entries: 0, done: Followed::default() };
    let opened = open::directory(top, ".")?;
    walk(opened.try_clone()?, &mut change)?;
    syncfs(&opened)?;
    change.give(opened.as_fd())?;
    Ok(change.done)
}

struct Change {
    from: Ids,
    to: Ids,
    entries: u64,
    done: Followed,
}

impl Change {
    fn concerns(&self, found: Ids) -> bool {
        found.uid == self.from.uid || found.gid == self.from.gid
    }

    /// Changes what is held, as it is now.
    fn give(&mut self, held: BorrowedFd<'_>) -> nix::Result<()> {
        let found = Ids::of(&fstat(held)?);
        let uid = (found.uid == self.from.uid && found.uid != self.to.uid).then_some(self.to.uid);
        let gid = (found.gid == self.from.gid && found.gid != self.to.gid).then_some(self.to.gid);
        if uid.is_none() && gid.is_none() {
            return Ok(());
        }
        let flags = AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW;
        fchownat(held, c"", uid.map(Uid::from_raw), gid.map(Gid::from_raw), flags)?;
        self.done.changed += 1;
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            let text = format!("more than {MOST_ENTRIES} files, the rest keeps its owner");
            return Err(io::Error::other(text));
        }
        Ok(())
    }
}

impl Visit for Change {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> io::Result<()> {
        self.count()?;
        if !self.concerns(Ids::of(stat)) {
            return Ok(());
        }
        match open::pin(dir, name) {
            Err(Errno::ENOENT) => Ok(()),
            held => Ok(self.give(held?.as_fd())?),
        }
    }

    fn enter(&mut self, _dir: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
        self.count()
    }

    fn leave(
        &mut self,
        _dir: BorrowedFd<'_>,
        _name: &CStr,
        left: BorrowedFd<'_>,
    ) -> io::Result<()> {
        Ok(self.give(left)?)
    }

    fn failed(&mut self, place: Place<'_>, error: io::Error) -> io::Result<()> {
        if self.entries > MOST_ENTRIES {
            return Err(error);
        }
        self.done.failed += 1;
        if self.done.failed <= TOLD {
            log::warn!("keeps its owner: {}", place.name(&error));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::deep;
    use std::{
        fs::{self, File},
        os::unix::fs::{MetadataExt, lchown, symlink},
        path::Path,
    };
    use tempfile::tempdir;

    const OLD: Ids = Ids { uid: 1000, gid: 1000 };
    const NEW: Ids = Ids { uid: 2000, gid: 2001 };

    fn owner(path: &Path) -> (u32, u32) {
        let found = fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid())
    }

    fn is_root() -> bool {
        let root = nix::unistd::geteuid().is_root();
        if !root {
            println!("skipped: only root can give files away");
        }
        root
    }

    fn follow_at(path: &Path) -> Followed {
        follow(File::open(path).unwrap().as_fd(), OLD, NEW).unwrap()
    }

    #[test]
    fn user_and_group_are_followed_each_for_itself_and_links_are_not() {
        if !is_root() {
            return;
        }
        let dir = tempdir().unwrap();
        let (home, outside) = (dir.path().join("home"), dir.path().join("outside"));
        fs::create_dir_all(home.join("a")).unwrap();
        fs::create_dir(&outside).unwrap();
        for name in ["mine", "group", "else"] {
            fs::write(home.join("a").join(name), "").unwrap();
        }
        fs::write(outside.join("file"), "").unwrap();
        symlink(&outside, home.join("link")).unwrap();
        nix::unistd::mkfifo(&home.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (path, uid, gid) in [
            ("home", 1000, 1000),
            ("home/a", 1000, 1000),
            ("home/a/mine", 1000, 1000),
            ("home/a/group", 5, 1000),
            ("home/a/else", 5, 6),
            ("home/link", 1000, 1000),
            ("home/pipe", 1000, 7),
            ("outside", 1000, 1000),
            ("outside/file", 1000, 1000),
        ] {
            lchown(dir.path().join(path), Some(uid), Some(gid)).unwrap();
        }
        assert_eq!(follow_at(&home), Followed { changed: 6, failed: 0 });
        for (path, wanted) in [
            ("home", (2000, 2001)),
            ("home/a", (2000, 2001)),
            ("home/a/mine", (2000, 2001)),
            ("home/a/group", (5, 2001)),
            ("home/a/else", (5, 6)),
            ("home/link", (2000, 2001)),
            ("home/pipe", (2000, 7)),
            ("outside", (1000, 1000)),
            ("outside/file", (1000, 1000)),
        ] {
            assert_eq!(owner(&dir.path().join(path)), wanted, "{path}");
        }
        assert_eq!(follow_at(&home).changed, 0);
    }

    #[test]
    fn of_10000_levels_the_deep_ones_are_told_and_the_rest_is_done() {
        if !is_root() {
            return;
        }
        let dir = tempdir().unwrap();
        let home = dir.path().join("home");
        deep::nest(dir.path(), "home", 10_000);
        let mut path = home.clone();
        for _ in 0..=crate::tree::walk::DEEPEST {
            lchown(&path, Some(1000), Some(1000)).unwrap();
            path.push("d");
        }
        let wanted = crate::tree::walk::DEEPEST as u64 + 1;
        assert_eq!(follow_at(&home), Followed { changed: wanted, failed: 1 });
        assert_eq!(owner(&home), (2000, 2001));
        crate::tree::remove::remove(
            File::open(dir.path()).unwrap().as_fd(),
            std::ffi::OsStr::new("home"),
        )
        .unwrap();
    }

    #[test]
    fn a_folder_of_100000_files_is_done_too() {
        if !is_root() {
            return;
        }
        let dir = tempdir().unwrap();
        for n in 0..100_000 {
            File::create(dir.path().join(n.to_string())).unwrap();
        }
        lchown(dir.path().join("99999"), Some(1000), Some(0)).unwrap();
        let from = Ids { uid: 0, gid: 0 };
        let top = File::open(dir.path()).unwrap();
        let done = follow(top.as_fd(), from, NEW).unwrap();
        assert_eq!(done, Followed { changed: 100_001, failed: 0 });
        assert_eq!(owner(&dir.path().join("0")), (2000, 2001));
        assert_eq!(owner(&dir.path().join("99999")), (1000, 2001));
    }

    /// While the walk goes on, somebody swaps names for links to what is not theirs.
    #[test]
    fn names_that_are_swapped_for_links_give_nothing_else_away() {
        use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
        if !is_root() {
            return;
        }
        let dir = tempdir().unwrap();
        let (home, outside) = (dir.path().join("home"), dir.path().join("outside"));
        fs::create_dir_all(home.join("d")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("f"), "").unwrap();
        for path in [outside.clone(), outside.join("f")] {
            lchown(path, Some(1000), Some(1000)).unwrap();
        }
        fs::write(home.join("f"), "").unwrap();
        fs::write(home.join("d/f"), "").unwrap();
        symlink(&outside, home.join("to-dir")).unwrap();
        symlink(outside.join("f"), home.join("to-file")).unwrap();
        let (stop, began) = (AtomicBool::new(false), std::time::Instant::now());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use nix::fcntl::{RenameFlags, renameat2};
                let dir = File::open(&home).unwrap();
                while !stop.load(Relaxed) {
                    for (one, other) in [("d", "to-dir"), ("f", "to-file")] {
                        renameat2(&dir, one, &dir, other, RenameFlags::RENAME_EXCHANGE).unwrap();
                    }
                }
            });
            let mut changed = 0;
            while began.elapsed() < std::time::Duration::from_secs(2) {
                for path in ["", "d", "to-dir", "f", "to-file"] {
                    let _ = lchown(home.join(path), Some(1000), Some(1000));
                }
                changed += follow_at(&home).changed;
            }
            stop.store(true, Relaxed);
            assert!(changed > 100, "{changed}");
        });
        assert_eq!(owner(&outside), (1000, 1000));
        assert_eq!(owner(&outside.join("f")), (1000, 1000));
    }
}
