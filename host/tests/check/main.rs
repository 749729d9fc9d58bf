//! Each inconsistency is made, seen by its name, mended or left, and nothing else is touched.

#![allow(clippy::unwrap_used, reason = "a test")]

mod cuts;
mod damage;
mod files;
mod half_done;
mod in_use;
mod snapshots;
mod tree;
mod volumes;

use damage::Damage;
use ebbtide::pool::{
    check::{Finding, Severity, check},
    repair::repair,
};
use std::{collections::BTreeSet, os::unix::fs::symlink, path::Path};
use tree::Tree;

fn damages() -> impl Iterator<Item = &'static Damage> {
    let of_volumes = [volumes::VOLUMES, volumes::VERSIONS, snapshots::SNAPSHOTS];
    [files::FILES, files::VMS].into_iter().chain(of_volumes).flatten()
}

fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(Finding::severity).max().unwrap_or(Severity::Note)
}

fn named(findings: &[Finding]) -> BTreeSet<(String, String)> {
    let name =
        |finding: &Finding| (finding.problem.name().to_owned(), finding.at.display().to_string());
    findings.iter().map(name).collect()
}

#[test]
fn finds_nothing_in_a_pool_without_a_fault() {
    let tree = Tree::new();
    let before = tree.picture();
    let report = check(&tree.pool()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.vms, 3);
    assert!(report.is_clean());
    assert_eq!(tree.picture(), before, "a check changes nothing");
    assert!(!tree.path("appvms/work/.lock").exists(), "a check makes nothing");
}

#[test]
fn names_each_damage_and_no_other() {
    for damage in damages() {
        let tree = Tree::new();
        (damage.make)(&tree);
        let findings = check(&tree.pool()).unwrap().findings;
        let wanted: BTreeSet<_> =
            damage.found.iter().map(|(name, at)| (name.to_string(), at.to_string())).collect();
        let mut found = named(&findings);
        // What a VM wrote is said beside what is wrong with it.
        found.retain(|(name, _)| name != "uncommitted" || wanted.iter().any(|(n, _)| n == name));
        assert_eq!(found, wanted);
        assert_eq!(worst(&findings), damage.severity, "{wanted:?}");
    }
}

#[test]
fn mends_what_it_claims_and_touches_nothing_else() {
    for damage in damages() {
        let tree = Tree::new();
        (damage.make)(&tree);
        let mut wanted = tree.picture();
        let pool = tree.pool();
        let repaired = repair(&pool).unwrap();
        for gone in damage.gone {
            assert!(wanted.remove(Path::new(gone)).is_some(), "{gone} was there");
        }
        assert_eq!(tree.picture(), wanted, "{:?}", damage.found);
        assert_eq!(repaired.done.is_empty(), damage.gone.is_empty(), "{:?}", repaired.done);
        assert!(repaired.left.iter().all(|finding| finding.severity() != Severity::Mendable));
        let again = repair(&pool).unwrap();
        assert_eq!(again.done, [] as [String; 0]);
        assert_eq!(again.left, repaired.left);
        assert_eq!(named(&check(&pool).unwrap().findings), named(&again.left));
    }
}

#[test]
fn every_sentence_names_the_thing_and_fits_a_line() {
    for damage in damages() {
        let tree = Tree::new();
        (damage.make)(&tree);
        for finding in check(&tree.pool()).unwrap().findings {
            let text = finding.to_string();
            assert!(text.starts_with(&finding.at.display().to_string()), "{text}");
            assert!(text.len() < 240 && !text.ends_with('.'), "{text}");
        }
    }
}

#[test]
fn a_link_to_a_vm_is_no_vm() {
    let tree = Tree::new();
    symlink("work", tree.path("appvms/alias")).unwrap();
    let (pool, alias) = (tree.pool(), "alias".parse().unwrap());
    let before = tree.picture();
    assert!(pool.vm(&alias).is_err());
    assert_eq!(pool.vms().unwrap().vms.len(), 3);
    ebbtide::vm::remove(&pool, &alias).unwrap_err();
    assert_eq!(tree.picture(), before);
}
