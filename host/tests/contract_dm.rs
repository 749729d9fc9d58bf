//! The contract of drivers, over exception stores and a device-mapper in this process.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod contract;
mod dm_place;
mod mapped;

use contract::CASES;
use dm_place::DmPlace;

macro_rules! test_each {
    ($($module:ident::$name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let case = CASES.iter().find(|(name, _)| *name == stringify!($name));
                let place = DmPlace::new();
                case.unwrap().1(&place);
            }
        )*
    };
}

every_case!(test_each);
