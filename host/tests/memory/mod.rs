//! A driver over a store in memory, as a place for the contract and for everything that cuts.

use crate::contract::Place;
use ebbtide::pool::{
    driver::{Commit, FileDriver, MemoryStore, Volume},
    store::Store,
};
use ebbtide::volume::{FileKind, Revision};
use ebbtide_format::units::Bytes;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) store: MemoryStore,
    pub(crate) driver: FileDriver,
}

impl Memory {
    /// Returns the path in the pool of one that the driver has given.
    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.store.real(Path::new(""))).unwrap().to_path_buf()
    }
}

impl Place for Memory {
    fn driver(&self) -> &dyn Commit {
        &self.driver
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn write(&self, disk: &Path, offset: u64, bytes: &[u8]) {
        self.store.write(&self.inside(disk), offset, bytes).unwrap();
    }

    fn read(&self, disk: &Path, offset: u64, count: usize) -> Vec<u8> {
        self.store.bytes(&self.inside(disk), offset, count).unwrap()
    }

    fn version(&self, volume: &Volume, of: Option<Revision>) -> Vec<u8> {
        let kind = of.map_or(FileKind::Clean, FileKind::Revision);
        self.store.bytes(&volume.files.path(&kind), 0, 4).unwrap()
    }

    fn outside(&self, name: &str, size: Bytes, bytes: &[u8]) -> PathBuf {
        let path = Path::new("/outside").join(name);
        self.store.put_outside(&path, size, bytes);
        path
    }
}
