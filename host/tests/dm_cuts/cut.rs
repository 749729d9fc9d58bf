//! Files and devices whose changes have a budget.

use crate::{budget::Budget, hooked::Hooked, mapped::Mapped};
use ebbtide::pool::{
    driver::{
        LinuxStore,
        dm::{
            devices::{Change, Devices, Found},
            name::Name,
        },
    },
    store::Inode,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What changes nothing.
const READS: [&str; 5] = ["names", "stat", "read", "lock", "is_locked"];

/// Returns the files of a pool.
pub(crate) fn cut_store(dir: &Path, budget: Arc<Budget>) -> Hooked<LinuxStore> {
    Hooked::new(LinuxStore::copy(dir), move |operation, path| {
        if READS.contains(&operation) {
            return Ok(());
        }
        budget.spend(|| format!("{operation} {}", path.display()))
    })
}

/// The devices of a machine.
#[derive(Debug)]
pub(crate) struct CutDevices {
    pub(crate) mapped: Arc<Mapped>,
    pub(crate) budget: Arc<Budget>,
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
