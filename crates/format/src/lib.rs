//! Every byte that Ebbtide puts on a disk or reads from one, and the units to reckon in.
//!
//! In: sizes, identifiers and raw bytes. Out: checked values, and the exact bytes to write. Nothing
//! here opens a file or knows a device; the crate is `no_std` and without `unsafe`. Only the feature
//! `gpt` needs `std`, because the `gpt` crate does.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "gpt")]
extern crate std;

pub mod dm_table;
pub mod exception_store;
pub mod gpt_seen;
#[cfg(feature = "gpt")]
pub mod gpt_table;
pub mod guid;
pub mod signature;
pub mod snapshot_table;
pub mod swap;
pub mod uml_cow;
pub mod units;
pub mod utmp;
