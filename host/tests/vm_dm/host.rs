//! A host in the guest: a pool of driver dm, and hands that start and stop what is in it.

use crate::{content::Content, machine::here};
use ebbtide::{
    Error, Result, VmName,
    name::VolumeName,
    pool::{
        Create, DriverName, Pool,
        driver::{Disk, Ending, Outcome, Version},
        store::Unseen,
    },
    vm::{self, Allow, Guard, NewTemplate, NewVm, PREPARE, RootSource, Run},
};
use ebbtide_format::units::Bytes;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The template of every pool.
pub(crate) const TEMPLATE: &str = "debian";

/// A pool, and its directory.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) dir: PathBuf,
    pub(crate) pool: Pool,
}

pub(crate) fn name(text: &str) -> VmName {
    text.parse().unwrap()
}

impl Host {
    /// Makes a pool of this name on the guest's disk, with a template that keeps `keep` versions and has this content, and
    /// these AppVMs. `None` where this is no guest.
    pub(crate) fn new(called: &str, keep: u32, content: &Content, apps: &[&str]) -> Option<Self> {
        let dir = here()?.join(called);
        let options = Create { driver: Some(DriverName::Dm), ..Create::default() };
        let host = Self { pool: Pool::create(&dir, &options).unwrap(), dir };
        let mut new = NewTemplate::new(RootSource::Blank(content.size()));
        (new.private, new.swap, new.keep) = (Bytes(0), Bytes(0), Some(keep));
        vm::create_template(&host.pool, &name(TEMPLATE), &new, &mut Unseen).unwrap();
        for app in apps {
            let mut new = NewVm::new(name(TEMPLATE));
            (new.private, new.swap) = (Bytes(0), Bytes(0));
            vm::create(&host.pool, &name(app), &new).unwrap();
        }
        host.commit(&Content::zeros(content.blocks()), content);
        Some(host)
    }

    pub(crate) fn open(dir: &Path) -> Self {
        Self { dir: dir.into(), pool: Pool::open(dir).unwrap() }
    }

    /// Starts a VM as a script of somebody's does, and returns its disks.
    pub(crate) fn disks(&self, vm: &str) -> Result<Vec<Disk>> {
        let guard = Guard::take(&self.pool, &name(vm), "start", Allow::Stopped)?;
        vm::prepare(&self.pool, &guard, Run::new(PREPARE)?)
    }

    /// Starts a VM, and returns its root.
    pub(crate) fn start(&self, vm: &str) -> PathBuf {
        let disks = self.disks(vm).unwrap_or_else(|error| panic!("{vm}: {}", error.chain()));
        disks[0].path.clone()
    }

    /// Stops a VM, and returns what became of its root.
    pub(crate) fn try_stop(&self, vm: &str, ending: Ending) -> Result<Outcome> {
        let guard = Guard::take(&self.pool, &name(vm), "stop", Allow::Prepared)?;
        Ok(vm::release(&self.pool, &guard, ending)?[0].1)
    }

    pub(crate) fn stop(&self, vm: &str) -> Outcome {
        let stopped = self.try_stop(vm, Ending::Commit);
        stopped.unwrap_or_else(|error| panic!("{vm}: {}", error.chain()))
    }

    /// Runs the template, which writes what is not there yet, and commits that.
    pub(crate) fn commit(&self, from: &Content, to: &Content) {
        let root = self.start(TEMPLATE);
        to.write(&root, from);
        assert!(matches!(self.stop(TEMPLATE), Outcome::Committed(_)));
    }

    /// Returns what is written beside the template's version.
    pub(crate) fn dirty(&self) -> Option<Version> {
        let vm = self.pool.vm(&name(TEMPLATE)).unwrap();
        let volume = vm.volume(&self.pool, &VolumeName::root()).unwrap();
        self.pool.driver().state(&volume).unwrap().dirty
    }

    /// Returns the directory of a VM.
    pub(crate) fn of(&self, vm: &str) -> PathBuf {
        let kind = if vm == TEMPLATE { "vm-templates" } else { "appvms" };
        self.dir.join(kind).join(vm)
    }

    /// Returns the names in the directory of a VM, without locks.
    pub(crate) fn names(&self, vm: &str) -> Vec<String> {
        let names = fs::read_dir(self.of(vm)).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".lock")).collect();
        names.sort();
        names
    }

    /// Returns the name of the device of a version: of the base and the store that have these paths.
    pub(crate) fn snapshot(base: &Path, store: &Path) -> String {
        format!("snapshot-{}-{}", inode(base), inode(store))
    }

    /// Returns the name of the device that the template writes to.
    pub(crate) fn origin(&self) -> String {
        format!("origin-{}", inode(&self.of(TEMPLATE).join("root.img")))
    }

    /// Returns the name of the device of the current version.
    pub(crate) fn current(&self) -> String {
        let of = |file| self.of(TEMPLATE).join(file);
        Self::snapshot(&of("root.img"), &of("root-cow.img"))
    }

    /// Returns the name of the device of the version that an AppVM was started on.
    pub(crate) fn used(&self, vm: &str) -> String {
        Self::snapshot(&self.of(vm).join("root.img"), &self.of(vm).join("root-snap.img"))
    }
}

/// Returns file system and number, as device names have them.
pub(crate) fn inode(path: &Path) -> String {
    let found = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    format!("{:x}:{}", found.dev(), found.ino())
}

/// Returns everything that an error says.
pub(crate) fn said<T>(result: Result<T>) -> String {
    result.map(drop).map_err(|error: Error| error.chain()).expect_err("a refusal")
}
