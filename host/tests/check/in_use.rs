//! What somebody uses or builds is left alone.

use crate::{named, tree::Tree};
use ebbtide::pool::{check::check, repair::repair, store::Wait};
use std::path::Path;

const D: &str = "vm-templates/debian";

#[test]
fn leaves_a_vm_that_is_in_use_alone() {
    let tree = Tree::new();
    let pool = tree.pool();
    tree.image("appvms/work/volatile-dirty.img", 9, 9);
    tree.image("appvms/work/private.img.aside-resize", 9, 9);
    tree.image("appvms/play/volatile-dirty.img", 9, 9);
    let running = pool.store().lock(Path::new("appvms/work/.lock"), Wait::No).unwrap();
    let report = check(&pool).unwrap();
    assert_eq!(named(&report.findings).len(), 1, "{:?}", report.findings);
    assert_eq!(report.in_use.len(), 1);
    let before = tree.picture();
    let repaired = repair(&pool).unwrap();
    assert_eq!(repaired.skipped.len(), 1, "{:?}", repaired.skipped);
    assert_eq!(tree.picture().len(), before.len() - 1);
    drop(running);
    repair(&pool).unwrap();
    assert_eq!(tree.picture().len(), before.len() - 3);
}

#[test]
fn leaves_a_volume_that_is_worked_on_alone() {
    let tree = Tree::new();
    let pool = tree.pool();
    tree.image(&format!("{D}/root.img.aside-precache"), 9, 9);
    let making = pool.store().lock(&Path::new(D).join(".root.lock"), Wait::No).unwrap();
    assert!(check(&pool).unwrap().findings.is_empty());
    assert_eq!(repair(&pool).unwrap().done, [] as [String; 0]);
    drop(making);
    assert_eq!(repair(&pool).unwrap().done.len(), 1);
    assert!(repair(&pool).unwrap().is_clean());
}

#[test]
fn leaves_a_directory_that_somebody_builds_alone() {
    let tree = Tree::new();
    let pool = tree.pool();
    tree.image("appvms/.aside-new/private.img", 9, 9);
    let wait = Wait::No;
    let building = pool.store().lock(Path::new("appvms/.aside-new/.lock"), wait).unwrap();
    assert!(check(&pool).unwrap().findings.is_empty());
    assert_eq!(repair(&pool).unwrap().done, [] as [String; 0]);
    drop(building);
    assert_eq!(repair(&pool).unwrap().done.len(), 1);
    assert!(!tree.path("appvms/.aside-new").exists());
}
