//! The contract of drivers, over a store in memory.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod contract;

use contract::{CASES, Place};
use ebbtide::pool::{
    driver::{Commit, FileDriver, MemoryStore},
    store::Store,
};
use ebbtide_format::units::Bytes;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug)]
struct Memory {
    store: MemoryStore,
    driver: FileDriver,
}

impl Memory {
    fn new() -> Self {
        let store = MemoryStore::new();
        let driver = FileDriver::new(Arc::new(store.clone()));
        Self { store, driver }
    }
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

macro_rules! test_each {
    ($($module:ident::$name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let case = CASES.iter().find(|(name, _)| *name == stringify!($name));
                case.unwrap().1(&Memory::new());
            }
        )*
    };
}

every_case!(test_each);
