//! What is new on the private disk: built where nobody looks, made durable, renamed into place.
//!
//! A run that is cut at any moment leaves the whole of a tree or nothing of it, and a folder that the
//! next run removes.

use super::{open, remove::remove};
use crate::mounts::Volume;
use nix::{
    errno::Errno,
    fcntl::{AtFlags, RenameFlags, renameat2},
    sys::stat::{Mode, fchmod, fstatat, mkdirat},
    unistd::syncfs,
};
use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Where it is, below the private disk's root.
const NAME: &str = ".ebbtide-aside";

/// The folder in which something is built.
#[derive(Debug)]
pub(crate) struct Aside<'v> {
    volume: BorrowedFd<'v>,
    name: String,
    dir: OwnedFd,
    finished: bool,
}

impl<'v> Aside<'v> {
    /// Tells whether a run was cut before it had removed its folder.
    pub(crate) fn is_left(volume: &Volume) -> bool {
        fstatat(volume.root.as_fd(), NAME, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Makes the folder, after the one that a cut run has left is removed. What is not ours or cannot
    /// be removed gets another name, or else the new folder does.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn begin(volume: &'v Volume) -> io::Result<Self> {
        let root = volume.root.as_fd();
        let name = match clear(root) {
            Ok(()) => NAME.to_string(),
            Err(error) => {
                let other = another_name()?;
                match renameat2(root, NAME, root, other.as_str(), RenameFlags::RENAME_NOREPLACE) {
                    Ok(()) => {
                        log::warn!("{NAME} on the private disk is {other} now: {error}");
                        NAME.to_string()
                    }
                    Err(again) => {
                        log::warn!("{NAME} on the private disk is in the way: {error}; {again}");
                        other
                    }
                }
            }
        };
        mkdirat(root, name.as_str(), Mode::S_IRWXU)?;
        let dir = open::directory(root, name.as_str())?;
        fchmod(&dir, Mode::S_IRWXU)?;
        Ok(Self { volume: root, name, dir, finished: false })
    }

    /// Returns the folder.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Removes what could not be built to its end; what cannot be removed now is at the end.
    pub(crate) fn discard(&self, name: &OsStr) {
        if let Err(error) = remove(self.dir.as_fd(), name) {
            log::warn!("{}/{} on the private disk: {error}", self.name, name.display());
        }
    }

    /// Makes everything that was built durable.
    ///
    /// # Errors
    /// When something could not be written.
    pub(crate) fn settle(&self) -> io::Result<()> {
        Ok(syncfs(self.volume)?)
    }

    /// Renames what was built into place, after [`Aside::settle`].
    ///
    /// # Errors
    /// `EEXIST` when there is something; it stays.
    pub(crate) fn publish(
        &self,
        name: &OsStr,
        to_parent: BorrowedFd<'_>,
        to_name: &OsStr,
    ) -> io::Result<()> {
        Ok(renameat2(&self.dir, name, to_parent, to_name, RenameFlags::RENAME_NOREPLACE)?)
    }

    /// Makes what was published durable, and removes the folder with what was not.
    ///
    /// # Errors
    /// When something could not be written; the folder is left then.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.finished = true;
        syncfs(self.volume)?;
        remove(self.volume, OsStr::new(&self.name))
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = remove(self.volume, OsStr::new(&self.name))
        {
            log::warn!("{} on the private disk stays for the next boot: {error}", self.name);
        }
    }
}

/// Removes what a cut run has left. It was a directory, so anything else is not ours.
fn clear(root: BorrowedFd<'_>) -> io::Result<()> {
    match open::directory(root, NAME) {
        Ok(_) => remove(root, OsStr::new(NAME)),
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn another_name() -> io::Result<String> {
    let mut random = [0; 8];
    ebbtide_sys::machine::random_identifier(&mut random)?;
    Ok(format!("{NAME}-{:016x}", u64::from_ne_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::deep;
    use std::{
        fs::{self, File},
        os::unix::fs::symlink,
        path::Path,
    };
    use tempfile::tempdir;

    fn volume(dir: &Path) -> Volume {
        Volume { root: File::open(dir).unwrap().into(), read_only: false }
    }

    #[test]
    fn a_cut_run_leaves_nothing_visible_and_the_next_one_completes() {
        let dir = tempdir().unwrap();
        let volume = volume(dir.path());
        let cut = Aside::begin(&volume).unwrap();
        mkdirat(cut.dir(), "home", Mode::S_IRWXU).unwrap();
        deep::nest(&dir.path().join(NAME), "deep", 1000);
        std::mem::forget(cut);
        assert!(Aside::is_left(&volume) && !dir.path().join("home").exists());

        let next = Aside::begin(&volume).unwrap();
        assert_eq!(fs::read_dir(dir.path().join(NAME)).unwrap().count(), 0);
        mkdirat(next.dir(), "home", Mode::S_IRWXU).unwrap();
        next.settle().unwrap();
        next.publish(OsStr::new("home"), volume.root.as_fd(), OsStr::new("home")).unwrap();
        next.finish().unwrap();
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["home"]);
    }

    #[test]
    fn what_is_there_is_not_replaced() {
        let dir = tempdir().unwrap();
        let volume = volume(dir.path());
        fs::create_dir(dir.path().join("home")).unwrap();
        let aside = Aside::begin(&volume).unwrap();
        mkdirat(aside.dir(), "new", Mode::S_IRWXU).unwrap();
        let home = OsStr::new("home");
        let error = aside.publish(OsStr::new("new"), volume.root.as_fd(), home).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        drop(aside);
        assert!(!Aside::is_left(&volume) && dir.path().join("home").exists());
    }

    #[test]
    fn a_link_in_its_place_is_kept_under_another_name_and_not_followed() {
        let dir = tempdir().unwrap();
        let volume = volume(dir.path());
        fs::create_dir(dir.path().join("target")).unwrap();
        fs::write(dir.path().join("target/kept"), "").unwrap();
        symlink("target", dir.path().join(NAME)).unwrap();
        let aside = Aside::begin(&volume).unwrap();
        assert!(dir.path().join(NAME).symlink_metadata().unwrap().is_dir());
        aside.finish().unwrap();
        assert!(dir.path().join("target/kept").exists());
        let names = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        assert_eq!(names.filter(|path| path.is_symlink()).count(), 1);
    }
}
