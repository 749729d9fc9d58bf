//! A small pool in memory, and what of it a user would see.

pub(crate) use crate::memory::Memory as World;

use crate::contract::{directories, private, run, template, volume};
use ebbtide::{
    Error,
    pool::{
        driver::{Access, Ending, FileDriver, MemoryStore, Volume, Volumes},
        store::Store,
    },
    volume::{FileKind, Role},
};
use ebbtide_format::units::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// A boot of the machine.
pub(crate) const BOOT: u128 = 0x1234_5678_9abc_def0_1234_5678_9abc_def0;

impl World {
    pub(crate) fn over(store: MemoryStore, boot: u128) -> Self {
        let boot = Some(uuid::Uuid::from_u128(boot));
        let driver = FileDriver::in_boot(Arc::new(store.clone()), boot);
        Self { store, driver }
    }

    /// A template and a private volume, each with a current version and two that are kept, all durable.
    pub(crate) fn new() -> Self {
        let world = Self::over(MemoryStore::new(), BOOT);
        directories(&world);
        for volume in [template(), private()] {
            world.driver.create(&volume).unwrap();
            for bytes in [b"one.", b"two."] {
                run(&world, &volume, bytes);
            }
        }
        world.store.put_outside(Path::new("/outside/file"), Bytes(5000), b"new!");
        for dir in
            ["vm-templates/debian", "appvms/work", "appvms/play", "appvms", "vm-templates", ""]
        {
            world.store.sync_dir(Path::new(dir)).unwrap();
        }
        world
    }

    pub(crate) fn fork(&self) -> Self {
        Self::over(self.store.fork(), BOOT)
    }

    /// Starts the private volume and writes, without a flush: a power cut may take what is written.
    pub(crate) fn write(&self, volume: &Volume, bytes: &[u8]) {
        self.driver.start(volume, Access::Shared).unwrap();
        self.store.write(&volume.files.dirty(), 0, bytes).unwrap();
    }

    pub(crate) fn seen(&self, volume: &Volume) -> Seen {
        let read = |kind: &FileKind| {
            let path = volume.files.path(kind);
            let stat = self.store.stat(&path).unwrap()?;
            Some((stat.size.0, self.store.bytes(&path, 0, 16).unwrap()))
        };
        let state = self.driver.state(volume).unwrap();
        let revisions = state.revisions.iter().map(|(revision, _)| {
            (revision.to_string(), read(&FileKind::Revision(*revision)).unwrap())
        });
        let names = self.store.names(&volume.files.dir).unwrap().into_iter();
        Seen {
            clean: read(&FileKind::Clean),
            dirty: read(&FileKind::Dirty),
            revisions: revisions.collect(),
            asides: names
                .map(|name| name.into_string().unwrap())
                .filter(|name| name.contains(".aside-") || name.contains(".export-"))
                .collect(),
        }
    }

    /// What the next command does before anything else.
    pub(crate) fn settle(&self) {
        for volume in all() {
            self.driver.recover(&volume).unwrap();
            if !volume.role.is_kept() {
                self.driver.stop(&volume, Ending::Keep).unwrap();
            }
            assert!(self.driver.recover(&volume).unwrap().is_empty(), "once is enough");
        }
    }
}

/// Length and first bytes of an image.
pub(crate) type Image = (u64, Vec<u8>);

/// What a user sees of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) clean: Option<Image>,
    pub(crate) dirty: Option<Image>,
    pub(crate) revisions: BTreeMap<String, Image>,
    pub(crate) asides: BTreeSet<String>,
}

impl Seen {
    /// Asserts that this is `old` or `new`, or `new` with a revision that was yet to be pruned. `torn`: a power cut, which
    /// may take what a guest wrote and did not flush.
    pub(crate) fn is_old_or_new(&self, old: &Self, new: &Self, torn: bool, when: &str) {
        assert!(self.asides.is_empty(), "{when}: left over: {:?}", self.asides);
        let is_new = self.clean == new.clean
            && (self.dirty == new.dirty || torn && self.dirty.is_some() == new.dirty.is_some())
            && new.revisions.iter().all(|kept| self.revisions.get(kept.0) == Some(kept.1))
            && self.revisions.iter().all(|(name, image)| {
                new.revisions.get(name).or(old.revisions.get(name)) == Some(image)
            });
        let is_old = self.clean == old.clean
            && (self.dirty == old.dirty || torn && self.dirty.is_some() == old.dirty.is_some())
            && self.revisions == old.revisions;
        // The first start of a volume that begins from another: begun, and ended without a write.
        let is_begun = old.clean.is_none() && self.clean == new.clean && self.dirty.is_none();
        assert!(
            is_old || is_new || is_begun,
            "{when}: neither old nor new: {self:?}\nold {old:?}\nnew {new:?}"
        );
    }
}

/// All volumes of the pool.
pub(crate) fn all() -> [Volume; 6] {
    [
        template(),
        private(),
        crate::contract::app_root(),
        volume("appvms/work", "volatile", Role::Volatile),
        volume("appvms/work", "own", Role::OriginSnapshot { of: crate::contract::debian_root() }),
        volume("appvms/play", "private", Role::Origin),
    ]
}

/// A change and its name.
pub(crate) type Act = fn(&World) -> Result<(), Error>;
