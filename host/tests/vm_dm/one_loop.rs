//! One loop device for each file, whatever it is called and whoever made the device: two of them bypass each other's copies.

use crate::{
    content::Content,
    host::{Host, TEMPLATE, inode, said},
    machine::{Machine, on_one},
    mapped::{devices, loops, nothing_is_left, run},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use vmtest::{Result, require};

const BLOCKS: usize = 64;

/// One boot.
#[test]
fn a_file_has_one_loop_device() -> Result<()> {
    on_one(
        require!(Machine::start("ext4", 256)),
        &[
            "one_loop::by_whatever_name_a_file_is_found",
            "one_loop::a_loop_device_of_somebody_else_is_used",
            "one_loop::a_loop_device_over_less_than_the_file_is_refused",
            "one_loop::two_loop_devices_of_somebody_else_are_refused",
            "one_loop::a_file_that_has_grown_is_mapped_whole",
        ],
    )
}

fn one_for_each() {
    for (file, over) in loops() {
        assert_eq!(over.len(), 1, "file {file}: {over:?}");
    }
}

/// Puts a loop device over a file, as somebody else does.
fn somebody_s(file: &Path, how: &[&str]) -> String {
    let file = file.display().to_string();
    run("losetup", &[how, &["--find", "--show", &file]].concat())
}

/// Another path to the pool, a link to the base, and the links of the AppVMs are all the same file.
#[test]
fn by_whatever_name_a_file_is_found() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("found", 2, &first, &["a", "b"]) else { return };
    let by_link = host.dir.with_file_name("link");
    symlink(&host.dir, &by_link).unwrap();
    let other = Host::open(&by_link);
    let version = other.start("a");
    let root = host.start(TEMPLATE);
    assert_eq!(other.start("b"), version);
    one_for_each();
    let second = Content::all(BLOCKS, 2);
    second.write(&root, &first);
    first.is_on(&version);
    other.stop(TEMPLATE);
    host.stop("a");
    first.is_on(&version);
    second.is_on(&other.start(TEMPLATE));
    one_for_each();
    host.stop(TEMPLATE);
    host.stop("b");
    nothing_is_left();
}

/// Somebody looks into the base by another name of it. What that one reads is the base, and no version is harmed.
#[test]
fn a_loop_device_of_somebody_else_is_used() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("theirs", 2, &first, &["a"]) else { return };
    let base = host.of(TEMPLATE).join("root.img");
    let linked = host.dir.with_file_name("a name of theirs");
    fs::hard_link(&base, &linked).unwrap();
    let theirs = somebody_s(&linked, &[]);
    let version = host.start("a");
    let root = host.start(TEMPLATE);
    let over = loops();
    let found = over.get(&losetup_s(&base));
    assert_eq!(found, Some(&vec![theirs.clone()]), "{over:?}");
    one_for_each();
    let second = Content::all(BLOCKS, 2);
    second.write(&root, &first);
    first.is_on(&version);
    second.is_on(&PathBuf::from(&theirs));
    host.stop(TEMPLATE);
    host.stop("a");
    assert!(devices().is_empty());
    assert_eq!(loops().len(), 1, "theirs is theirs to detach");
    run("losetup", &["--detach", &theirs]);
    nothing_is_left();
}

/// Returns how losetup names a file.
fn losetup_s(file: &Path) -> String {
    let of = inode(file);
    let (device, number) = of.split_once(':').unwrap();
    let device = u64::from_str_radix(device, 16).unwrap();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    format!("{major}:{minor} {number}")
}

/// The refusal names the device and the file, and changes nothing.
#[test]
fn a_loop_device_over_less_than_the_file_is_refused() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("less", 2, &first, &["a"]) else { return };
    let files = ["root.img", "root-cow.img"].map(|file| host.of(TEMPLATE).join(file));
    let ways = [
        (vec!["--offset", "4096"], "over a part of it"),
        (vec!["--sizelimit", "8192"], "over a part of it"),
        (vec!["--read-only"], "read-only"),
    ];
    for (file, (how, why)) in files.iter().flat_map(|file| ways.iter().map(move |way| (file, way)))
    {
        let theirs = somebody_s(file, how);
        for vm in ["a", TEMPLATE] {
            let before = [host.names("a"), host.names(TEMPLATE)];
            let refusal = said(host.disks(vm));
            let name = file.file_name().unwrap().to_str().unwrap();
            for wanted in [theirs.as_str(), why, name, "whole file"] {
                assert!(refusal.contains(wanted) || wanted == name, "{wanted}: {refusal}");
            }
            assert_eq!([host.names("a"), host.names(TEMPLATE)], before, "{refusal}");
            assert!(devices().is_empty(), "{refusal}");
            assert_eq!(loops().len(), 1, "{refusal}");
        }
        run("losetup", &["--detach", &theirs]);
    }
    first.is_on(&host.start("a"));
    first.is_on(&host.start(TEMPLATE));
    host.stop(TEMPLATE);
    host.stop("a");
    nothing_is_left();
}

#[test]
fn two_loop_devices_of_somebody_else_are_refused() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("two", 2, &first, &["a"]) else { return };
    let base = host.of(TEMPLATE).join("root.img");
    let theirs = [somebody_s(&base, &[]), somebody_s(&base, &[])];
    let refusal = said(host.disks(TEMPLATE));
    assert!(theirs.iter().all(|name| refusal.contains(name.as_str())), "{refusal}");
    assert!(devices().is_empty());
    run("losetup", &["--detach", &theirs[1]]);
    first.is_on(&host.start(TEMPLATE));
    host.stop(TEMPLATE);
    run("losetup", &["--detach", &theirs[0]]);
    nothing_is_left();
}

/// Their device knows the length that the file had when it was made.
#[test]
fn a_file_that_has_grown_is_mapped_whole() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("grown", 2, &first, &["a"]) else { return };
    let theirs = somebody_s(&host.of(TEMPLATE).join("root.img"), &[]);
    let longer = Content::zeros(2 * BLOCKS).with(0..BLOCKS, 1);
    let id = format!("{TEMPLATE}:root").parse().unwrap();
    ebbtide::vm::resize(&host.pool, &id, longer.size(), |_| Ok(())).unwrap();
    longer.is_on(&host.start("a"));
    let root = host.start(TEMPLATE);
    longer.is_on(&root);
    let all = Content::all(2 * BLOCKS, 2);
    all.write(&root, &longer);
    host.stop(TEMPLATE);
    host.stop("a");
    all.is_on(&host.start("a"));
    host.stop("a");
    run("losetup", &["--detach", &theirs]);
    nothing_is_left();
}
