//! The contract of drivers, over exception stores and a device-mapper in this process.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod contract;
mod mapped;

use contract::{
    CASES,
    on_disk::{OnDisk, Versions},
};
use ebbtide::pool::driver::{Commit, DmDriver, LinuxStore, dm};
use mapped::Mapped;
use std::sync::Arc;

fn keeps_to(case: contract::Case) {
    let dir = tempfile::Builder::new().prefix("dm-pool-").tempdir().unwrap();
    let mapped = Arc::new(Mapped::new());
    let devices = Arc::clone(&mapped);
    let driver = |store| Box::new(DmDriver::new(store, devices, dm::CHUNK)) as Box<dyn Commit>;
    let place = OnDisk::new(dir.path(), LinuxStore::copy, driver, Versions::Stores);
    case(&place.flushed(move |disk| mapped.flush(disk)));
}

macro_rules! test_each {
    ($($module:ident::$name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let case = CASES.iter().find(|(name, _)| *name == stringify!($name));
                keeps_to(case.unwrap().1);
            }
        )*
    };
}

every_case!(test_each);
