//! The contract of drivers, over real devices on ext4, XFS and btrfs.

use crate::{
    contract::{CASES, Place},
    machine::{Machine, here},
};
use ebbtide::{
    pool::{
        driver::{
            Commit, DmDriver, LinuxStore, Volume,
            dm::{self, devices::Devices},
        },
        store::Store,
    },
    volume::{Files, Revision},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};
use vmtest::{Result, require};

/// A pool's directory, and one beside it for files of others.
pub(crate) struct Real {
    outside: PathBuf,
    store: Arc<dyn Store>,
    driver: DmDriver,
}

impl Real {
    fn new(dir: &Path, devices: Arc<dyn Devices>) -> Self {
        let [pool, outside] = ["pool", "outside"].map(|name| dir.join(name));
        fs::create_dir_all(&pool).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let store: Arc<dyn Store> = Arc::new(LinuxStore::copy(&pool));
        let driver = DmDriver::new(Arc::clone(&store), devices, dm::CHUNK);
        Self { outside, store, driver }
    }
}

impl Place for Real {
    fn driver(&self) -> &dyn Commit {
        &self.driver
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn write(&self, disk: &Path, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(disk).unwrap();
        file.write_all_at(bytes, offset).unwrap();
        file.sync_all().unwrap();
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
        let path = self.outside.join(name);
        let file = File::create(&path).unwrap();
        file.set_len(size.0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        path
    }
}

/// In the guest: each case in a pool of its own, and all that fail are named. What a case leaves started is ended, as
/// at the end of a test of files nothing has to be.
#[test]
fn contract_in_the_guest() {
    let Some(disk) = here() else { return };
    let devices: Arc<dyn Devices> = dm::devices();
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let dir = disk.join(name);
        let place = Real::new(&dir, Arc::clone(&devices));
        if catch_unwind(AssertUnwindSafe(|| case(&place))).is_err() {
            failed.push(*name);
        }
        for found in devices.found(&|_| true).unwrap().iter().rev() {
            let _ = devices.apply(&dm::devices::Change::Remove(found.name));
        }
        for found in devices.found(&|_| true).unwrap() {
            devices.apply(&dm::devices::Change::Remove(found.name)).unwrap();
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(failed.is_empty(), "{failed:?}");
}

fn keeps_the_contract(kind: &'static str) -> Result<()> {
    let machine = require!(Machine::start(kind, 512));
    let name = "keeps_contract::contract_in_the_guest";
    println!("{}", machine.test(name, &[])?);
    machine.end()
}

/// One boot.
#[test]
fn dm_on_ext4_keeps_the_contract() -> Result<()> {
    keeps_the_contract("ext4")
}

/// One boot.
#[test]
fn dm_on_xfs_keeps_the_contract() -> Result<()> {
    keeps_the_contract("xfs")
}

/// One boot.
#[test]
fn dm_on_btrfs_keeps_the_contract() -> Result<()> {
    keeps_the_contract("btrfs")
}
