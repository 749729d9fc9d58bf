//! A pool of driver dm over a device-mapper in this process.

#![allow(dead_code, clippy::unwrap_used, reason = "tests; each program uses what it needs")]

use crate::{contract::Place, mapped::Mapped};
use ebbtide::{
    pool::{
        driver::{Commit, DmDriver, LinuxStore, Volume, dm},
        store::Store,
    },
    volume::{Files, Revision},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

pub(crate) struct DmPlace {
    pub(crate) dir: TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) mapped: Arc<Mapped>,
    pub(crate) driver: DmDriver,
}

impl DmPlace {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("dm-pool-").tempdir().unwrap();
        let pool = dir.path().join("pool");
        fs::create_dir(&pool).unwrap();
        let store: Arc<dyn Store> = Arc::new(LinuxStore::copy(&pool));
        Self::over(dir, store, Arc::new(Mapped::new()))
    }

    pub(crate) fn over(dir: TempDir, store: Arc<dyn Store>, mapped: Arc<Mapped>) -> Self {
        let driver = DmDriver::new(Arc::clone(&store), mapped.clone(), dm::CHUNK);
        Self { dir, store, mapped, driver }
    }
}

impl Place for DmPlace {
    fn driver(&self) -> &dyn Commit {
        &self.driver
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn write(&self, disk: &Path, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(disk).unwrap();
        file.write_all_at(bytes, offset).unwrap();
        self.mapped.flush(disk);
    }

    fn read(&self, disk: &Path, offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = File::open(disk).unwrap().read_at(&mut bytes, offset).unwrap();
        bytes.truncate(read);
        bytes
    }

    fn version(&self, volume: &Volume, of: Option<Revision>) -> Vec<u8> {
        let mut bytes = [0; 4];
        self.driver.open(volume, of).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes.into()
    }

    fn versions(&self, volume: &Volume) -> Files {
        volume.files.cow()
    }

    fn has_whole_versions(&self) -> bool {
        false
    }

    fn outside(&self, name: &str, size: Bytes, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(size.0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        path
    }
}
