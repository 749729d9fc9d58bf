//! Each inconsistency is made, seen by its name, mended or left, and nothing else is touched.

#![allow(clippy::unwrap_used, reason = "a test")]

mod cuts;
mod tree;

use ebbtide::pool::{
    check::{Finding, Severity, check},
    repair::repair,
};
use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, time::SystemTime};
use tree::{Tree, at};

/// A damage, what it is called, where it is found, and what a repair does about it.
struct Damage {
    make: fn(&Tree),
    /// Name of the problem and its path.
    found: &'static [(&'static str, &'static str)],
    severity: Severity,
    /// What is gone after a repair.
    gone: &'static [&'static str],
}

const D: &str = "vm-templates/debian";

/// A damage that is mended by removing where it is found.
const fn mended(
    make: fn(&Tree),
    found: &'static [(&'static str, &'static str)],
    gone: &'static [&'static str],
) -> Damage {
    Damage { make, found, severity: Severity::Mendable, gone }
}

/// A damage that needs a decision.
const fn human(make: fn(&Tree), found: &'static [(&'static str, &'static str)]) -> Damage {
    Damage { make, found, severity: Severity::Human, gone: &[] }
}

/// Something that is said, and nothing more.
const fn note(make: fn(&Tree), found: &'static [(&'static str, &'static str)]) -> Damage {
    Damage { make, found, severity: Severity::Note, gone: &[] }
}

fn appvm(tree: &Tree, name: &str, number: u32, template: &str) {
    let rest = format!("kind = \"appvm\"\ntemplate = \"{template}\"\n");
    tree.record(&format!("appvms/{name}"), number, &rest);
    tree.image(&format!("appvms/{name}/private.img"), 6, 2);
}

const DAMAGES: &[Damage] = &[
    // Files.
    note(
        |tree| {
            tree.write("notes.txt", "mine");
            tree.write("vm-templates/README", "mine");
            tree.write("appvms/work/firewall.xml", "mine");
            tree.write("appvms/work/root.img~", "mine");
            tree.write("snapshots/list", "mine");
        },
        &[
            ("unknown-file", "notes.txt"),
            ("unknown-file", "vm-templates/README"),
            ("unknown-file", "appvms/work/firewall.xml"),
            ("unknown-file", "appvms/work/root.img~"),
            ("unknown-file", "snapshots/list"),
        ],
    ),
    human(
        |tree| {
            fs::create_dir(tree.path("appvms/work/root.img")).unwrap();
            tree.write("appvms/work/root.img/mine", "mine");
        },
        &[("wrong-kind", "appvms/work/root.img")],
    ),
    human(
        |tree| {
            tree.remove("vm-templates/debian/kernel");
            symlink("/vmlinuz", tree.path("vm-templates/debian/kernel")).unwrap();
        },
        &[("wrong-kind", "vm-templates/debian/kernel")],
    ),
    human(
        |tree| {
            let aside = tree.path("vm-templates/debian/root.img.aside-import");
            symlink("root.img", aside).unwrap();
        },
        &[("wrong-kind", "vm-templates/debian/root.img.aside-import")],
    ),
    human(|tree| tree.write("snapshots", "mine"), &[("wrong-kind", "snapshots")]),
    mended(
        |tree| tree.image("vm-templates/debian/root.img.aside-import", 9, 9),
        &[("leftover", "vm-templates/debian/root.img.aside-import")],
        &["vm-templates/debian/root.img.aside-import"],
    ),
    mended(
        |tree| tree.write("appvms/work/.aside-vm.toml", "half"),
        &[("leftover", "appvms/work/.aside-vm.toml")],
        &["appvms/work/.aside-vm.toml"],
    ),
    mended(
        |tree| {
            tree.write("appvms/.aside-new/vm.toml", "half");
            tree.image("appvms/.aside-new/private.img", 9, 9);
        },
        &[("leftover-directory", "appvms/.aside-new")],
        &["appvms/.aside-new", "appvms/.aside-new/vm.toml", "appvms/.aside-new/private.img"],
    ),
    Damage {
        make: |tree| {
            tree.image("appvms/.aside-new/private.img", 9, 9);
            tree.write("appvms/.aside-new/mine", "mine");
        },
        found: &[("leftover-directory", "appvms/.aside-new")],
        severity: Severity::Mendable,
        gone: &["appvms/.aside-new/private.img"],
    },
    // VMs.
    human(|tree| tree.remove("appvms/work/vm.toml"), &[("record-missing", "appvms/work")]),
    human(
        |tree| tree.write("appvms/work/vm.toml", "format = 1\ncolour = \"red\"\n"),
        &[("record-unreadable", "appvms/work/vm.toml")],
    ),
    human(
        |tree| tree.record("appvms/work", 2, "kind = \"template\"\n"),
        &[("record-unreadable", "appvms/work/vm.toml")],
    ),
    human(
        |tree| appvm(tree, "debian", 9, "debian"),
        &[("name-twice", "appvms/debian"), ("template-is-itself", "appvms/debian/vm.toml")],
    ),
    human(|tree| appvm(tree, "copy", 2, "debian"), &[("uuid-twice", "appvms/work")]),
    human(|tree| appvm(tree, "me", 9, "me"), &[("template-is-itself", "appvms/me/vm.toml")]),
    human(
        |tree| appvm(tree, "orphan", 9, "fedora"),
        &[("template-missing", "appvms/orphan/vm.toml")],
    ),
    human(|tree| appvm(tree, "child", 9, "work"), &[("template-is-none", "appvms/child/vm.toml")]),
    human(
        |tree| {
            appvm(tree, "a", 7, "b");
            appvm(tree, "b", 8, "c");
            appvm(tree, "c", 9, "a");
        },
        &[
            ("template-cycle", "appvms/a/vm.toml"),
            ("template-cycle", "appvms/b/vm.toml"),
            ("template-cycle", "appvms/c/vm.toml"),
        ],
    ),
    human(
        |tree| tree.record("vm-templates/debian", 1, "kind = \"template\"\ntemplate = \"x\"\n"),
        &[("record-unreadable", "vm-templates/debian/vm.toml")],
    ),
    human(
        |tree| tree.record("appvms/work", 2, "kind = \"appvm\"\n"),
        &[("record-unreadable", "appvms/work/vm.toml")],
    ),
    note(
        |tree| tree.rename("vm-templates/debian/kernel", "vm-templates/debian/initrd"),
        &[("initrd-alone", "vm-templates/debian/initrd")],
    ),
    // Volumes.
    human(
        |tree| {
            tree.image("appvms/work/data.img", 9, 9);
            tree.image("appvms/work/data-dirty.img", 9, 9);
        },
        &[
            ("unknown-volume", "appvms/work/data.img"),
            ("unknown-volume", "appvms/work/data-dirty.img"),
        ],
    ),
    human(
        |tree| tree.remove("appvms/work/private.img"),
        &[("clean-missing", "appvms/work/private.img")],
    ),
    human(
        |tree| tree.rename("appvms/work/private.img", "appvms/work/private-dirty.img"),
        &[("dirty-without-clean", "appvms/work/private-dirty.img")],
    ),
    note(
        |tree| tree.image("appvms/work/private-dirty.img", 9, 9),
        &[("uncommitted", "appvms/work/private-dirty.img")],
    ),
    human(
        |tree| tree.sized("appvms/work/private-dirty.img", 9, 4096, at(9)),
        &[("dirty-smaller", "appvms/work/private-dirty.img")],
    ),
    mended(
        |tree| tree.link("appvms/work/private.img", "appvms/work/private-dirty.img"),
        &[("linked-to-version", "appvms/work/private-dirty.img")],
        &["appvms/work/private-dirty.img"],
    ),
    mended(
        |tree| {
            tree.remove("vm-templates/debian/root-precache.img");
            tree.link("vm-templates/debian/root.img", "vm-templates/debian/root-precache.img");
        },
        &[("linked-to-version", "vm-templates/debian/root-precache.img")],
        &["vm-templates/debian/root-precache.img"],
    ),
    mended(
        |tree| tree.image("vm-templates/debian/root-precache.img", 3, 3),
        &[("precache-stale", "vm-templates/debian/root-precache.img")],
        &["vm-templates/debian/root-precache.img"],
    ),
    mended(
        |tree| tree.sized("vm-templates/debian/root-precache.img", 3, 4096, at(2)),
        &[("precache-stale", "vm-templates/debian/root-precache.img")],
        &["vm-templates/debian/root-precache.img"],
    ),
    mended(
        |tree| tree.image("appvms/work/volatile-dirty.img", 9, 9),
        &[("leftover-of-run", "appvms/work/volatile-dirty.img")],
        &["appvms/work/volatile-dirty.img"],
    ),
    mended(
        |tree| tree.link("vm-templates/debian/root.img", "appvms/work/root.img"),
        &[("leftover-of-run", "appvms/work/root.img")],
        &["appvms/work/root.img"],
    ),
    mended(
        |tree| {
            tree.sized("appvms/work/root-dirty.img", 3, 65536, SystemTime::UNIX_EPOCH);
        },
        &[("leftover-of-run", "appvms/work/root-dirty.img")],
        &["appvms/work/root-dirty.img"],
    ),
    human(
        |tree| {
            tree.image("appvms/work/root.img", 9, 9);
            tree.image("appvms/play/root-dirty.img", 9, 9);
        },
        &[("own-content", "appvms/work/root.img"), ("own-content", "appvms/play/root-dirty.img")],
    ),
    // Versions.
    note(
        |tree| {
            tree.link(
                "vm-templates/debian/root.img",
                "vm-templates/debian/root.img.3@2026-11-20T12:00:00Z",
            );
            let pins = "kind = \"template\"\n[pins.root]\ngood = 3\n";
            tree.record("vm-templates/debian", 1, pins);
        },
        &[],
    ),
    mended(
        |tree| {
            tree.link(
                "vm-templates/debian/root.img",
                "vm-templates/debian/root.img.3@2026-11-20T12:00:00Z",
            );
        },
        &[("leftover-revision", "vm-templates/debian/root.img.3@2026-11-20T12:00:00Z")],
        &["vm-templates/debian/root.img.3@2026-11-20T12:00:00Z"],
    ),
    human(
        |tree| tree.image("appvms/work/root.img.1@2026-11-20T10:00:00Z", 9, 0),
        &[("revision-of-unkept", "appvms/work/root.img.1@2026-11-20T10:00:00Z")],
    ),
    human(
        |tree| tree.image("vm-templates/debian/root.img.2@2026-11-20T11:30:00Z", 9, 1),
        &[("number-twice", "vm-templates/debian/root.img.2@2026-11-20T11:30:00Z")],
    ),
    note(
        |tree| {
            tree.link(
                "vm-templates/debian/root.img.1@2026-11-20T10:00:00Z",
                "vm-templates/debian/root.img.3@2026-11-20T10:00:00Z",
            );
        },
        &[
            ("same-version", "vm-templates/debian/root.img.3@2026-11-20T10:00:00Z"),
            ("revision-order", "vm-templates/debian/root.img.3@2026-11-20T10:00:00Z"),
        ],
    ),
    note(
        |tree| {
            tree.rename(
                "vm-templates/debian/root.img.2@2026-11-20T11:00:00Z",
                "vm-templates/debian/root.img.5@2026-11-20T11:00:00Z",
            );
        },
        &[("revision-gap", "vm-templates/debian/root.img.5@2026-11-20T11:00:00Z")],
    ),
    human(
        |tree| {
            let pins = "kind = \"template\"\n[pins.root]\ngood = 2\nold = 9\n";
            tree.record("vm-templates/debian", 1, pins);
        },
        &[("pin-gone", "vm-templates/debian/vm.toml")],
    ),
    note(
        |tree| {
            let export = "private.img.export-00000000-0000-4000-8000-000000000001";
            tree.link("appvms/work/private.img", &format!("appvms/work/{export}"));
        },
        &[("export", "appvms/work/private.img.export-00000000-0000-4000-8000-000000000001")],
    ),
    // Snapshots.
    human(
        |tree| {
            fs::create_dir_all(tree.path("snapshots/00000000-0000-4000-8000-000000000001"))
                .unwrap();
        },
        &[
            ("snapshot-without-record", "snapshots/00000000-0000-4000-8000-000000000001"),
            ("snapshot-without-images", "snapshots/00000000-0000-4000-8000-000000000001"),
        ],
    ),
    mended(
        |tree| tree.image("snapshots/.aside-1/root.img", 9, 9),
        &[("leftover-directory", "snapshots/.aside-1")],
        &["snapshots/.aside-1", "snapshots/.aside-1/root.img"],
    ),
];

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
    for damage in DAMAGES {
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
    for damage in DAMAGES {
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
fn leaves_a_vm_that_is_in_use_alone() {
    let tree = Tree::new();
    let pool = tree.pool();
    tree.image("appvms/work/volatile-dirty.img", 9, 9);
    tree.image("appvms/work/private.img.aside-resize", 9, 9);
    tree.image("appvms/play/volatile-dirty.img", 9, 9);
    let running =
        pool.store().lock(Path::new("appvms/work/.lock"), ebbtide::pool::store::Wait::No).unwrap();
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
    let making = pool
        .store()
        .lock(&Path::new(D).join(".root.lock"), ebbtide::pool::store::Wait::No)
        .unwrap();
    assert!(check(&pool).unwrap().findings.is_empty());
    assert_eq!(repair(&pool).unwrap().done, [] as [String; 0]);
    drop(making);
    assert_eq!(repair(&pool).unwrap().done.len(), 1);
    assert!(repair(&pool).unwrap().is_clean());
}

#[test]
fn every_sentence_names_the_thing_and_fits_a_line() {
    for damage in DAMAGES {
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
fn leaves_a_directory_that_somebody_builds_alone() {
    let tree = Tree::new();
    let pool = tree.pool();
    tree.image("appvms/.aside-new/private.img", 9, 9);
    let wait = ebbtide::pool::store::Wait::No;
    let building = pool.store().lock(Path::new("appvms/.aside-new/.lock"), wait).unwrap();
    assert!(check(&pool).unwrap().findings.is_empty());
    assert_eq!(repair(&pool).unwrap().done, [] as [String; 0]);
    drop(building);
    assert_eq!(repair(&pool).unwrap().done.len(), 1);
    assert!(!tree.path("appvms/.aside-new").exists());
}

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
