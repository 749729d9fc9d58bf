//! A pool in numbers.

use super::{
    Pool,
    config::{self, Config, DriverName},
    create::SNAPSHOTS,
    driver::linux,
    store::{Inode, Store},
};
use crate::{
    error::{Error, Result},
    vm::{Kind, savestate::SAVESTATES},
    volume::files::read_name,
};
use ebbtide_format::units::Bytes;
use nix::sys::statvfs::statvfs;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// A pool in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// How versions share what they have in common.
    pub driver: DriverName,
    /// How many versions of a disk are kept where a VM's record says nothing.
    pub keep: u32,
    /// The file system's name, `btrfs`.
    pub file_system: String,
    /// Its size.
    pub size: Bytes,
    /// What is free for this user.
    pub free: Bytes,
    /// Number of templates.
    pub templates: u64,
    /// Number of AppVMs.
    pub appvms: u64,
    /// Number of snapshots.
    pub snapshots: u64,
    /// Number of savestates.
    pub savestates: u64,
    /// Number of VMs whose record cannot be read.
    pub unreadable: u64,
    /// Number of images, each version once, however many names it has.
    pub images: u64,
    /// What the images hold: the sum of their lengths.
    pub length: Bytes,
    /// What each of them takes, summed up: what they share is counted as often as it is shared.
    pub allocated: Bytes,
}

impl Pool {
    /// Counts what is in the pool.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn info(&self) -> Result<Info> {
        let text = self.store().read(Path::new(config::FILE));
        let text = text.map_err(Error::doing(format!("read {}", config::FILE)))?;
        let config = Config::parse(&text, &self.dir().join(config::FILE))?;
        let looked =
            || Error::doing(format!("look at the file system of {}", self.dir().display()));
        let space = statvfs(self.dir()).map_err(|errno| looked()(errno.into()))?;
        let blocks = |count: u64| Bytes(count.saturating_mul(space.fragment_size()));
        let vms = self.vms()?;
        let count = |kind| vms.vms.iter().filter(|vm| vm.record.kind == kind).count() as u64;
        let mut images = Images::default();
        for vm in &vms.vms {
            images.add(self.store(), &vm.dir)?;
        }
        let snapshots = self.snapshot_dirs()?;
        let savestates = self.uuid_dirs(SAVESTATES)?;
        for dir in snapshots.iter().chain(&savestates) {
            images.add(self.store(), dir)?;
        }
        Ok(Info {
            driver: config.driver,
            keep: config.keep,
            file_system: linux::name(self.dir()).map_err(looked())?,
            size: blocks(space.blocks()),
            free: blocks(space.blocks_available()),
            templates: count(Kind::Template),
            appvms: count(Kind::AppVm),
            snapshots: snapshots.len() as u64,
            savestates: savestates.len() as u64,
            unreadable: vms.unreadable.len() as u64,
            images: images.seen.len() as u64,
            length: images.length,
            allocated: images.allocated,
        })
    }

    /// Returns the directories of finished snapshots.
    pub(crate) fn snapshot_dirs(&self) -> Result<Vec<PathBuf>> {
        self.uuid_dirs(SNAPSHOTS)
    }

    /// Returns what has a UUID as its name in a directory, which may not be there.
    pub(crate) fn uuid_dirs(&self, parent: &str) -> Result<Vec<PathBuf>> {
        let dir = Path::new(parent);
        let names = match self.store().names(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(Error::doing(format!("list {parent}")))?,
        };
        // As it is written, and in no other spelling of the same number.
        let is_uuid = |name: &OsString| {
            name.to_str()
                .is_some_and(|name| name.parse().is_ok_and(|id: Uuid| id.to_string() == name))
        };
        Ok(names.iter().filter(|name| is_uuid(name)).map(|name| dir.join(name)).collect())
    }
}

/// Images that were counted.
#[derive(Default)]
struct Images {
    seen: BTreeSet<Inode>,
    length: Bytes,
    allocated: Bytes,
}

impl Images {
    /// Counts the images of a directory that were not counted under another name.
    fn add(&mut self, store: &dyn Store, dir: &Path) -> Result<()> {
        let names = store.names(dir).map_err(Error::doing(format!("list {}", dir.display())))?;
        for name in names.iter().filter(|name| name.to_str().and_then(read_name).is_some()) {
            let path = dir.join(name);
            let stat = store.stat(&path);
            let stat = stat.map_err(Error::doing(format!("look at {}", path.display())))?;
            if let Some(stat) = stat.filter(|stat| self.seen.insert(stat.inode)) {
                self.length.0 = self.length.0.saturating_add(stat.size.0);
                self.allocated.0 = self.allocated.0.saturating_add(stat.allocated.0);
            }
        }
        Ok(())
    }
}
