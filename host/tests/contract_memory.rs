//! The contract of drivers, over a store in memory.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod contract;
mod memory;

use contract::CASES;
use ebbtide::pool::driver::{FileDriver, MemoryStore};
use memory::Memory;
use std::sync::Arc;

fn empty() -> Memory {
    let store = MemoryStore::new();
    let driver = FileDriver::new(Arc::new(store.clone()));
    Memory { store, driver }
}

macro_rules! test_each {
    ($($module:ident::$name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let case = CASES.iter().find(|(name, _)| *name == stringify!($name));
                case.unwrap().1(&empty());
            }
        )*
    };
}

every_case!(test_each);
