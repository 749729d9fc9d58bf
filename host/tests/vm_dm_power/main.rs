//! Power cuts: what a disk has after any of the writes that reached it, under a pool of driver dm. This program runs in
//! user-mode Linux again, as a guest: once to record what a commit, a discard and a revert write, and once to look at the
//! disk as it was after some of these writes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod history;
#[path = "../hooked/mod.rs"]
mod hooked;
mod machine;
mod record;
mod replay;
mod write_log;

use machine::Machine;
use vmtest::{Result, require};

fn loses_nothing(kind: &str) -> Result<()> {
    let machine = require!(Machine::start(kind));
    machine.test("record::recorded_in_the_guest", "")?;
    machine.run("umount /run/disk && dmsetup remove logged")?;
    let said = machine.test("replay::replayed_in_the_guest", "")?;
    println!("{said}");
    assert!(said.contains("looked at"), "{said}");
    assert!(!said.contains("wrong:"), "{said}");
    machine.end()
}

/// One boot.
#[test]
fn a_power_cut_on_ext4_leaves_old_or_new() -> Result<()> {
    loses_nothing("ext4")
}

/// One boot.
#[test]
fn a_power_cut_on_xfs_leaves_old_or_new() -> Result<()> {
    loses_nothing("xfs")
}

/// One boot. Otherwise the tests above would show nothing.
#[test]
fn a_commit_without_the_sync_of_the_base_is_seen() -> Result<()> {
    let machine = require!(Machine::start("ext4"));
    machine.test("record::recorded_in_the_guest", "base")?;
    machine.run("umount /run/disk && dmsetup remove logged")?;
    let said = machine.test("replay::replayed_in_the_guest", "base")?;
    assert!(said.contains("wrong: after commit"), "{said}");
    machine.end()
}
