//! A pool on a file system of this machine, with a directory beside it for files of others.

use super::Place;
use ebbtide::{
    pool::{
        driver::{Commit, FileDriver, LinuxStore, Volume},
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

/// What a version is in its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// A whole image.
    Images,
    /// The exception store of a base.
    Stores,
}

pub(crate) struct OnDisk {
    outside: PathBuf,
    store: Arc<dyn Store>,
    driver: Box<dyn Commit>,
    versions: Versions,
    /// What a guest's flush does.
    flush: Box<dyn Fn(&Path)>,
}

impl OnDisk {
    /// Makes a pool in `dir`, which is made too.
    pub(crate) fn new(
        dir: &Path,
        store: impl FnOnce(&Path) -> LinuxStore,
        driver: impl FnOnce(Arc<dyn Store>) -> Box<dyn Commit>,
        versions: Versions,
    ) -> Self {
        let [pool, outside] = ["pool", "outside"].map(|name| dir.join(name));
        fs::create_dir_all(&pool).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let store: Arc<dyn Store> = Arc::new(store(&pool));
        let driver = driver(Arc::clone(&store));
        let flush = Box::new(|disk: &Path| File::open(disk).unwrap().sync_all().unwrap());
        Self { outside, store, driver, versions, flush }
    }

    /// Has `flush` do what a guest's flush does.
    pub(crate) fn flushed(self, flush: impl Fn(&Path) + 'static) -> Self {
        Self { flush: Box::new(flush), ..self }
    }
}

/// A pool of files.
pub(crate) fn files(dir: &Path, store: fn(&Path) -> LinuxStore) -> OnDisk {
    let driver = |store| Box::new(FileDriver::new(store)) as Box<dyn Commit>;
    OnDisk::new(dir, store, driver, Versions::Images)
}

impl Place for OnDisk {
    fn driver(&self) -> &dyn Commit {
        &*self.driver
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn write(&self, disk: &Path, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(disk).unwrap();
        file.write_all_at(bytes, offset).unwrap();
        (self.flush)(disk);
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
        match self.versions {
            Versions::Images => volume.files.clone(),
            Versions::Stores => volume.files.cow(),
        }
    }

    fn has_whole_versions(&self) -> bool {
        self.versions == Versions::Images
    }

    fn outside(&self, name: &str, size: Bytes, bytes: &[u8]) -> PathBuf {
        let path = self.outside.join(name);
        let file = File::create(&path).unwrap();
        file.set_len(size.0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        path
    }
}
