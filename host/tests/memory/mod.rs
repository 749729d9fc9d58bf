//! A driver over a store in memory, as a place for the contract and for everything that cuts.

use crate::contract::Place;
use ebbtide::pool::{
    driver::{Commit, FileDriver, MemoryStore},
    store::Store,
};
use ebbtide_format::units::Bytes;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) store: MemoryStore,
    pub(crate) driver: FileDriver,
}

impl Place for Memory {
    fn driver(&self) -> &dyn Commit {
        &self.driver
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn write(&self, path: &Path, offset: u64, bytes: &[u8]) {
        self.store.write(path, offset, bytes).unwrap();
    }

    fn read(&self, path: &Path, offset: u64, count: usize) -> Vec<u8> {
        self.store.bytes(path, offset, count).unwrap()
    }

    fn outside(&self, name: &str, size: Bytes, bytes: &[u8]) -> PathBuf {
        let path = Path::new("/outside").join(name);
        self.store.put_outside(&path, size, bytes);
        path
    }
}
