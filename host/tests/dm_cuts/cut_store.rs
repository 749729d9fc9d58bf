//! Files and devices whose changes have a budget. Nothing is flushed: here no power fails.

use crate::{budget::Budget, mapped::Mapped};
use ebbtide::pool::{
    driver::{
        LinuxStore,
        dm::{
            devices::{Change, Devices, Found},
            name::Name,
        },
    },
    store::{Inode, Lock, Progress, Stat, Store, Wait},
};
use ebbtide_format::units::Bytes;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// The files of a pool.
#[derive(Debug)]
pub(crate) struct CutStore {
    pub(crate) files: LinuxStore,
    pub(crate) budget: Arc<Budget>,
}

/// The devices of a machine.
#[derive(Debug)]
pub(crate) struct CutDevices {
    pub(crate) mapped: Arc<Mapped>,
    pub(crate) budget: Arc<Budget>,
}

impl CutStore {
    fn spend(&self, verb: &str, path: &Path) -> io::Result<()> {
        self.budget.spend(|| format!("{verb} {}", path.display()))
    }
}

impl Store for CutStore {
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
        self.spend("make directory", path)?;
        self.files.make_dir(path)
    }

    fn make_image(&self, path: &Path, size: Bytes) -> io::Result<()> {
        self.spend("make image", path)?;
        self.files.make_image(path, size)
    }

    fn clone_image(&self, from: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        self.spend("clone to", to)?;
        self.files.clone_image(from, to, progress)
    }

    fn take_in(&self, outside: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        self.spend("copy to", to)?;
        self.files.take_in(outside, to, progress)
    }

    fn give_out(&self, from: &Path, outside: &Path, progress: &mut dyn Progress) -> io::Result<()> {
        self.spend("copy out", from)?;
        self.files.give_out(from, outside, progress)
    }

    fn write_new(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.spend("write", path)?;
        self.files.write_new(path, content)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend("link", to)?;
        self.files.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend("rename to", to)?;
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.spend("remove", path)?;
        self.files.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.spend("remove directory", path)?;
        self.files.remove_dir(path)
    }

    fn grow(&self, path: &Path, size: Bytes) -> io::Result<()> {
        self.spend("grow", path)?;
        self.files.grow(path, size)
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.spend("set the time of", path)?;
        self.files.set_modified(path, time)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.spend("sync", path)?;
        self.files.stat(path)?.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.spend("sync directory", path)
    }
}

impl Devices for CutDevices {
    fn found(&self, which: &dyn Fn(&Name) -> bool) -> io::Result<Vec<Found>> {
        self.mapped.found(which)
    }

    fn apply(&self, change: &Change) -> io::Result<()> {
        self.budget.spend(|| change.to_string())?;
        self.mapped.apply(change)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.mapped.path(name)
    }

    fn holders(&self, name: &Name) -> Vec<String> {
        self.mapped.holders(name)
    }

    fn loops(&self, file: Inode) -> io::Result<Vec<String>> {
        self.mapped.loops(file)
    }

    fn files(&self, name: &Name) -> Vec<PathBuf> {
        self.mapped.files(name)
    }
}
