//! The contract of drivers, over real devices on ext4, XFS and btrfs.

use crate::{
    contract::{
        CASES,
        on_disk::{OnDisk, Versions},
    },
    machine::{Machine, here},
};
use ebbtide::pool::driver::{
    Commit, DmDriver, LinuxStore,
    dm::{self, devices::Devices},
};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use vmtest::{Result, require};

/// In the guest: each case in a pool of its own, and all that fail are named. What a case leaves started is ended, as
/// at the end of a test of files nothing has to be.
#[test]
fn contract_in_the_guest() {
    let Some(disk) = here() else { return };
    let devices: Arc<dyn Devices> = dm::devices();
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let dir = disk.join(name);
        let driver = |store| {
            Box::new(DmDriver::new(store, Arc::clone(&devices), dm::CHUNK)) as Box<dyn Commit>
        };
        let place = OnDisk::new(&dir, LinuxStore::copy, driver, Versions::Stores);
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
