//! The contract of drivers over real file systems: clones on btrfs and XFS, copies on ext4.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod contract;
mod loopfs;

use contract::{CASES, on_disk::files};
use ebbtide::pool::driver::LinuxStore;
use loopfs::{Kind, LoopFs};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs each case in a pool of its own, and names all that fail.
fn keeps_the_contract(kind: Kind) {
    let fs = LoopFs::new(kind);
    let store = match kind {
        Kind::Ext4 => LinuxStore::copy,
        _ => LinuxStore::reflink,
    };
    let failed: Vec<_> = CASES
        .iter()
        .filter(|(name, case)| {
            let place = files(&fs.dir().join(name), store);
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
