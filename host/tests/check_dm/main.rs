//! Each inconsistency of a pool whose versions are exception stores is made, seen by its name, and mended or left.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod damages;
#[path = "../mapped/mod.rs"]
mod mapped;
mod place;

use damages::{DAMAGES, Damage};
use ebbtide::pool::{
    check::{Finding, Severity, check},
    repair::repair,
};
use place::Place;
use std::collections::BTreeSet;

fn named(findings: &[Finding]) -> BTreeSet<(String, String)> {
    let name = |finding: &Finding| {
        let at = finding.at.file_name().unwrap().to_string_lossy().into_owned();
        (finding.problem.name().to_owned(), at)
    };
    findings.iter().map(name).collect()
}

/// Devices and exports have names that nobody knows beforehand.
fn masked((name, at): (String, String)) -> (String, String) {
    let is_device = ["origin-", "snapshot-", "volatile-"].iter().any(|start| at.starts_with(start));
    let at = if is_device || at.contains(".export-") { "*".into() } else { at };
    (name, at)
}

#[test]
fn finds_nothing_in_a_pool_without_a_fault() {
    let place = Place::new();
    assert_eq!(check(&place.pool()).unwrap().findings, []);
    place.prepare("debian");
    place.prepare("work");
    assert_eq!(check(&place.pool()).unwrap().findings, []);
    let repaired = repair(&place.pool()).unwrap();
    assert_eq!((repaired.done.len(), repaired.left.len()), (0, 0), "{:?}", repaired.done);
    assert_eq!(place.mapped.names().len(), 6, "{:?}", place.mapped.names());
}

#[test]
fn names_each_damage_and_mends_what_it_claims() {
    for Damage { name, make, found, severity } in DAMAGES {
        let place = Place::new();
        make(&place);
        let pool = place.pool();
        let findings = check(&pool).unwrap().findings;
        let wanted: BTreeSet<_> =
            found.iter().map(|(name, at)| ((*name).to_owned(), (*at).to_owned())).collect();
        let seen: BTreeSet<_> = named(&findings).into_iter().map(masked).collect();
        assert_eq!(seen, wanted, "{name}");
        let worst = findings.iter().map(Finding::severity).max().unwrap();
        assert_eq!(worst, *severity, "{name}");
        for finding in &findings {
            let text = finding.to_string();
            assert!(text.len() < 240 && !text.ends_with('.'), "{text}");
        }
        let repaired = repair(&pool).unwrap();
        assert_eq!(repaired.done.is_empty(), *severity != Severity::Mendable, "{name}");
        assert!(
            repaired.left.iter().all(|left| left.severity() != Severity::Mendable),
            "{name}: {:?}",
            repaired.left
        );
        assert_eq!(repair(&pool).unwrap().done, [] as [String; 0], "{name}");
        if *severity != Severity::Human {
            let wanted = [b"\0\0\0\0", b"one.", b"two."].map(Vec::from);
            assert_eq!(place.versions(), wanted, "{name}: no version is lost or changed");
        }
    }
}

/// What is left to say is what a human decides: to commit what the base has, or to import a backup.
#[test]
fn a_revert_that_cannot_be_put_back_is_settled_as_what_the_base_has() {
    let place = Place::new();
    damages::lost_in_a_revert(&place);
    let wanted = |wanted: &[(&str, &str)]| -> BTreeSet<_> {
        wanted.iter().map(|(name, at)| ((*name).to_owned(), (*at).to_owned())).collect()
    };
    let found = named(&check(&place.pool()).unwrap().findings);
    let lost = ("store-lost", "root-cow.img");
    assert_eq!(found, wanted(&[("leftover", "root.img.aside-revert"), lost]));
    let repaired = repair(&place.pool()).unwrap();
    assert!(repaired.done[0].ends_with("what the base has is uncommitted now"), "{repaired:?}");
    assert_eq!(named(&repaired.left), wanted(&[("uncommitted", "root-dirty.img"), lost]));
}

#[test]
fn what_was_held_back_when_somebody_was_killed_goes_on() {
    let place = Place::new();
    let disk = place.prepare("debian");
    place.suspend(&disk);
    let repaired = repair(&place.pool()).unwrap();
    assert_eq!(repaired.done.len(), 1, "{:?}", repaired.done);
    assert!(repaired.done[0].ends_with("was held back: it goes on"), "{:?}", repaired.done);
    place.write(&disk, b"more");
}
