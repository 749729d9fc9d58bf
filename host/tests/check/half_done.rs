//! Removals and runs that were cut off: finished, settled, or asked about.

use crate::{named, tree::Tree};
use ebbtide::pool::{
    check::{Severity, check},
    repair::repair,
};
use std::{collections::BTreeSet, path::Path};

#[test]
fn finishes_a_removal_that_was_cut_short() {
    let tree = Tree::new();
    let pool = tree.pool();
    tree.rename("appvms/work/vm.toml", "appvms/work/vm.toml.removing");
    tree.write("appvms/play/mine", "mine");
    tree.rename("appvms/play/vm.toml", "appvms/play/vm.toml.removing");
    let found = named(&check(&pool).unwrap().findings);
    let names: Vec<_> = found.iter().map(|(name, at)| (name.as_str(), at.as_str())).collect();
    assert_eq!(
        names,
        [
            ("removal-cut-short", "appvms/play"),
            ("removal-cut-short", "appvms/work"),
            ("unknown-file", "appvms/play/mine")
        ]
    );
    let repaired = repair(&pool).unwrap();
    assert_eq!(repaired.done.len(), 2, "{:?}", repaired.done);
    assert!(repaired.is_clean());
    assert!(!tree.path("appvms/work").exists());
    assert!(tree.path("appvms/play/mine").exists());
    assert_eq!(repair(&pool).unwrap().done, [] as [String; 0]);
}

#[test]
fn asks_about_a_vm_that_is_removed_and_has_a_record() {
    let tree = Tree::new();
    tree.write("appvms/work/vm.toml.removing", "format = 1");
    let repaired = repair(&tree.pool()).unwrap();
    let found = named(&repaired.left);
    assert_eq!(found, BTreeSet::from([("removal-cut-short".into(), "appvms/work".into())]));
    assert_eq!(repaired.left[0].severity(), Severity::Human);
    ebbtide::vm::remove(&tree.pool(), &"play".parse().unwrap()).unwrap();
    assert!(tree.path("appvms/work/private.img").exists());
}

#[test]
fn settles_a_run_that_was_cut_off_and_keeps_what_was_written() {
    let tree = Tree::new();
    let pool = tree.pool();
    let run = "format = 1\nengine = \"qemu\"\nboot = \"00000000-0000-4000-8000-000000000001\"\nsince = \"2026-11-20T10:00:00Z\"\n";
    tree.write("appvms/work/run.toml", run);
    tree.link("vm-templates/debian/root.img", "appvms/work/root.img");
    tree.image("appvms/work/private-dirty.img", 8, 9);
    tree.image("appvms/work/volatile-dirty.img", 9, 9);
    let mut wanted = tree.picture();
    let report = check(&pool).unwrap();
    assert_eq!(named(&report.findings), BTreeSet::from([("cut-off".into(), "appvms/work".into())]));
    let repaired = repair(&pool).unwrap();
    assert!(repaired.is_clean());
    assert_eq!(named(&repaired.left).len(), 1, "{:?}", repaired.left);
    for gone in ["run.toml", "root.img", "volatile-dirty.img"] {
        wanted.remove(&Path::new("appvms/work").join(gone));
    }
    assert_eq!(tree.picture(), wanted);
    assert_eq!(repair(&pool).unwrap().done, [] as [String; 0]);
}

#[test]
fn asks_about_a_run_that_cannot_be_read() {
    let tree = Tree::new();
    tree.write("appvms/work/run.toml", "half");
    let before = tree.picture();
    let found = named(&repair(&tree.pool()).unwrap().left);
    assert_eq!(found, BTreeSet::from([("run-unreadable".into(), "appvms/work/run.toml".into())]));
    assert_eq!(tree.picture(), before);
}

#[test]
fn removes_nothing_of_a_run_that_cannot_be_read() {
    let tree = Tree::new();
    tree.write("appvms/work/run.toml", "half");
    tree.link("vm-templates/debian/root.img", "appvms/work/root.img");
    tree.image("appvms/work/volatile-dirty.img", 7, 2);
    tree.write("appvms/work/.aside-vm.toml", "half");
    let repaired = repair(&tree.pool()).unwrap();
    assert_eq!(repaired.done, [] as [String; 0]);
    assert!(repaired.skipped[0].1.contains("not known"), "{:?}", repaired.skipped);
    assert!(tree.path("appvms/work/root.img").exists());
    assert!(tree.path("appvms/work/volatile-dirty.img").exists());
}
