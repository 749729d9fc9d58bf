//! The contract of drivers over real file systems: clones on btrfs and XFS, copies on ext4.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod contract;
mod loopfs;

use contract::{CASES, Place};
use ebbtide::pool::{
    driver::{Commit, FileDriver, LinuxStore, Volume},
    store::Store,
};
use ebbtide::volume::Revision;
use ebbtide_format::units::Bytes;
use loopfs::{Kind, LoopFs};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A pool's directory on a mounted file system, and a directory beside it for files of others.
#[derive(Debug)]
struct Disk {
    outside: PathBuf,
    store: Arc<LinuxStore>,
    driver: FileDriver,
}

impl Disk {
    fn new(kind: Kind, dir: &Path) -> Self {
        let [pool, outside] = ["pool", "outside"].map(|name| dir.join(name));
        fs::create_dir_all(&pool).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let store = Arc::new(match kind {
            Kind::Ext4 => LinuxStore::copy(&pool),
            _ => LinuxStore::reflink(&pool),
        });
        let driver = FileDriver::new(Arc::<LinuxStore>::clone(&store));
        Self { outside, store, driver }
    }
}

impl Place for Disk {
    fn driver(&self) -> &dyn Commit {
        &self.driver
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn write(&self, path: &Path, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    fn read(&self, path: &Path, offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = File::open(path).unwrap().read_at(&mut bytes, offset).unwrap();
        bytes.truncate(read);
        bytes
    }

    fn version(&self, volume: &Volume, of: Option<Revision>) -> Vec<u8> {
        let mut bytes = [0; 4];
        self.driver.open(volume, of).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes.into()
    }

    fn outside(&self, name: &str, size: Bytes, bytes: &[u8]) -> PathBuf {
        let path = self.outside.join(name);
        let file = File::create(&path).unwrap();
        file.set_len(size.0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        path
    }
}

/// Runs each case in a pool of its own, and names all that fail.
fn keeps_the_contract(kind: Kind) {
    let fs = LoopFs::new(kind);
    let failed: Vec<_> = CASES
        .iter()
        .filter(|(name, case)| {
            let place = Disk::new(kind, &fs.dir().join(name));
            catch_unwind(AssertUnwindSafe(|| case(&place))).is_err()
        })
        .map(|(name, _)| name)
        .collect();
    assert!(failed.is_empty(), "{kind:?}: {failed:?}");
}

#[test]
fn reflink_on_btrfs_keeps_the_contract() {
    keeps_the_contract(Kind::Btrfs);
}

#[test]
fn reflink_on_compressed_btrfs_keeps_the_contract() {
    keeps_the_contract(Kind::CompressedBtrfs);
}

#[test]
fn reflink_on_xfs_keeps_the_contract() {
    keeps_the_contract(Kind::Xfs);
}

#[test]
fn copy_on_ext4_keeps_the_contract() {
    keeps_the_contract(Kind::Ext4);
}
