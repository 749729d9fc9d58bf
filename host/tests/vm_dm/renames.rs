//! What is mapped goes by files, whatever they and their directories are called by now.

use crate::{
    content::Content,
    host::{Host, TEMPLATE},
    machine::{Machine, on_one},
    mapped::{devices, nothing_is_left},
};
use std::{fs, os::unix::fs::symlink};
use vmtest::{Result, require};

const BLOCKS: usize = 64;

/// One boot.
#[test]
fn devices_stay_what_they_are_when_directories_are_renamed() -> Result<()> {
    on_one(
        require!(Machine::start("ext4", 128)),
        &[
            "renames::a_pool_that_is_renamed",
            "renames::a_vm_s_directory_that_is_renamed",
            "renames::a_link_to_a_vm_s_directory_is_no_other_user",
        ],
    )
}

#[test]
fn a_pool_that_is_renamed() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("before", 2, &first, &["a", "b"]) else { return };
    let version = host.start("a");
    let root = host.start(TEMPLATE);
    let before = devices();
    let moved = host.dir.with_file_name("after the move");
    fs::rename(&host.dir, &moved).unwrap();
    let host = Host::open(&moved);
    assert_eq!(host.start("b"), version);
    assert_eq!(devices(), before);
    let second = first.with(0..BLOCKS, 2);
    second.write(&root, &first);
    first.is_on(&version);
    host.stop("a");
    host.stop(TEMPLATE);
    first.is_on(&version);
    // The old name leads to it.
    let old = host.dir.with_file_name("before");
    symlink(&moved, &old).unwrap();
    let host = Host::open(&old);
    second.is_on(&host.start("a"));
    host.stop("a");
    host.stop("b");
    nothing_is_left();
}

#[test]
fn a_vm_s_directory_that_is_renamed() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("vms", 2, &first, &["a", "b"]) else { return };
    let version = host.start("a");
    let before = devices();
    fs::rename(host.of("a"), host.of("c")).unwrap();
    assert_eq!(host.start("b"), version);
    assert_eq!(devices(), before);
    host.stop("b");
    first.is_on(&version);
    assert_eq!(host.start(TEMPLATE), std::path::Path::new("/dev/mapper").join(host.origin()));
    host.stop("c");
    host.stop(TEMPLATE);
    nothing_is_left();
}

/// It is the same use by another path, and ends with that.
#[test]
fn a_link_to_a_vm_s_directory_is_no_other_user() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("linked", 2, &first, &["a"]) else { return };
    symlink("a", host.of("d")).unwrap();
    symlink(TEMPLATE, host.of(TEMPLATE).with_file_name("another")).unwrap();
    let version = host.start("a");
    let root = host.start(TEMPLATE);
    let second = first.with(0..BLOCKS, 2);
    second.write(&root, &first);
    host.stop(TEMPLATE);
    first.is_on(&version);
    host.stop("a");
    nothing_is_left();
}
