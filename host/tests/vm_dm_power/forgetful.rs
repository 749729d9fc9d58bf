//! Files of a pool whose base is not made durable when that is asked for, to show that it is seen.

use ebbtide::pool::{
    driver::LinuxStore,
    store::{Lock, Progress, Stat, Store, Wait},
};
use ebbtide_format::units::Bytes;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

#[derive(Debug)]
pub(crate) struct Forgetful {
    pub(crate) files: LinuxStore,
    /// Whether it forgets anything.
    pub(crate) forgets: bool,
}

impl Store for Forgetful {
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str());
        match name {
            Some("root.img" | "root-dirty.img") if self.forgets => Ok(()),
            _ => self.files.sync_file(path),
        }
    }

    fn real(&self, path: &Path) -> PathBuf {
        self.files.real(path)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.files.names(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.files.stat(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }

    fn lock(&self, path: &Path, wait: Wait) -> io::Result<Lock> {
        self.files.lock(path, wait)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.files.is_locked(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.files.make_dir(path)
    }

    fn make_image(&self, path: &Path, size: Bytes) -> io::Result<()> {
        self.files.make_image(path, size)
    }

    fn clone_image(&self, from: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        self.files.clone_image(from, to, progress)
    }

    fn take_in(&self, outside: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        self.files.take_in(outside, to, progress)
    }

    fn give_out(&self, from: &Path, outside: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        self.files.give_out(from, outside, progress)
    }

    fn write_new(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.files.write_new(path, content)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.files.remove_dir(path)
    }

    fn grow(&self, path: &Path, size: Bytes) -> io::Result<()> {
        self.files.grow(path, size)
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.files.set_modified(path, time)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.files.sync_dir(path)
    }
}
