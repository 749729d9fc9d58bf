//! A COW file and its backing become a new file, which is what a naive merge makes of them, and nothing else stays.

#![allow(clippy::unwrap_used, reason = "a test")]

mod overlays;
mod stores;

use ebbtide::{
    Error, Result,
    cow::{
        Sharing, export,
        merge::{Merged, Options, merge},
    },
    error::RefusalKind,
    file::{Progress, Unseen},
};
use ebbtide_format::units::Bytes;
use overlays::{Overlay, Write};
use proptest::prelude::*;
use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::Path,
};
use stores::Store;

const SHARING: [Sharing; 2] = [Sharing::WhereItCan, Sharing::Never];

fn to(cow: &Path, backing: Option<&Path>, out: &Path, sharing: Sharing) -> Result<Merged> {
    merge(&Options { cow, backing, out, sharing, force: false }, &mut Unseen)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let write = (0_u64..1200, 1_u64..60, 0_u8..3)
        .prop_map(|(at, sectors, byte)| Write { sectors: at..at + sectors, byte });
    prop::collection::vec(write, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_cow_file_of_any_version_is_merged(
        version in 1_u8..4, size in 1_u64..600_000, writes in writes(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let Overlay { cow, wanted, .. } = Overlay::new(dir.path(), version, size, &writes);
        for (sharing, name) in SHARING.into_iter().zip(["out", "copy"]) {
            let out = dir.path().join(name);
            let merged = to(&cow, None, &out, sharing).unwrap();
            prop_assert!(fs::read(&out).unwrap() == wanted);
            prop_assert_eq!(merged.size, Bytes(size));
        }
        // And what is exported is the same device.
        let (out, again) = (dir.path().join("exported"), dir.path().join("again"));
        let sharing = Sharing::WhereItCan;
        let options = export::Options { cow: &cow, backing: None, out: &out, sharing };
        let exported = export::uml(&options, &mut Unseen).unwrap();
        let merged = to(&out, None, &again, sharing).unwrap();
        prop_assert_eq!(exported.done.bytes(), merged.done.bytes());
        prop_assert!(fs::read(&again).unwrap() == wanted);
    }

    #[test]
    fn a_store_is_merged(
        shift in 0_u32..6, size in 1_u64..600_000, olds in prop::collection::vec(0_u64..1200, 0..90),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        let mut wanted = overlays::backing(&path("backing"), size);
        let chunks = size.div_ceil(512 << shift);
        let store = Store::written(1 << shift, size, olds.into_iter().map(|old| old % chunks));
        store.put(&File::create_new(path("store")).unwrap(), 0, 7);
        store.merge(&mut wanted, 7);
        let (cow, backing, out) = (path("store"), path("backing"), path("out"));
        to(&cow, Some(&backing), &out, Sharing::WhereItCan).unwrap();
        prop_assert!(fs::read(&out).unwrap() == wanted);
        let (out, again) = (path("exported"), path("again"));
        let sharing = Sharing::Never;
        let options = export::Options { cow: &cow, backing: Some(&backing), out: &out, sharing };
        export::uml(&options, &mut Unseen).unwrap();
        to(&out, None, &again, sharing).unwrap();
        prop_assert!(fs::read(&again).unwrap() == wanted);
    }
}

/// A COW file of 24 MiB, of which every second MiB is written.
fn large(dir: &Path) -> Overlay {
    let mib = |n: u64| Write { sectors: n * 2048..(n + 1) * 2048, byte: 9 };
    let writes: Vec<_> = (0..24).step_by(2).map(mib).collect();
    Overlay::new(dir, 3, 24 << 20, &writes)
}

/// Somebody who does something once all has begun.
struct Somebody<F: FnMut()>(F);

impl<F: FnMut()> Progress for Somebody<F> {
    fn bytes(&mut self, done: Bytes, whole: Bytes) {
        if done < whole {
            (self.0)();
        }
    }
}

fn beside(overlay: &Overlay, out: &Path, act: impl FnMut()) -> Result<Merged> {
    let (cow, sharing) = (overlay.cow.as_path(), Sharing::Never);
    let options = Options { cow, backing: None, out, sharing, force: false };
    merge(&options, &mut Somebody(act))
}

#[test]
fn zeros_become_holes_whoever_wrote_them() {
    let dir = tempfile::tempdir().unwrap();
    let zeros = Write { sectors: 0..40_000, byte: 0 };
    let Overlay { cow, wanted, .. } = Overlay::new(dir.path(), 3, 24 << 20, &[zeros]);
    let out = dir.path().join("out");
    let merged = to(&cow, None, &out, Sharing::Never).unwrap();
    assert_eq!(merged.done.copied, Bytes(40_000 * 512));
    assert!(fs::read(&out).unwrap() == wanted);
    assert!(out.metadata().unwrap().blocks() * 512 <= (24 << 20) - 40_000 * 512 + 65536);
}

#[test]
fn a_backing_that_is_written_to_meanwhile_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = large(dir.path());
    let out = dir.path().join("out");
    for changed in [&overlay.backing, &overlay.cow] {
        let before = fs::metadata(changed).unwrap().modified().unwrap();
        let error = beside(&overlay, &out, || {
            let file = File::options().append(true).open(changed).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        })
        .unwrap_err();
        assert!(error.to_string().contains("somebody writes to"), "{error}");
        File::options().append(true).open(changed).unwrap().set_modified(before).unwrap();
        assert_eq!(names(dir.path()), ["backing", "cow"]);
    }
    beside(&overlay, &out, || {}).unwrap();
    assert!(fs::read(&out).unwrap() == overlay.wanted);
}

#[test]
fn a_cow_file_that_becomes_shorter_meanwhile_is_named_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = large(dir.path());
    let out = dir.path().join("out");
    let shorten =
        || File::options().write(true).open(&overlay.cow).unwrap().set_len(1 << 20).unwrap();
    let error = beside(&overlay, &out, shorten).unwrap_err();
    let (text, cow) = (error.to_string(), overlay.cow.display());
    assert!(text.contains(&format!("read 1048576 bytes of {cow} at ")), "{text}");
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::UnexpectedEof));
    assert_eq!(names(dir.path()), ["backing", "cow"]);
}

#[test]
fn a_file_that_came_meanwhile_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = large(dir.path());
    let out = dir.path().join("out");
    let error = beside(&overlay, &out, || fs::write(&out, "mine").unwrap()).unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.kind == RefusalKind::Exists));
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    assert_eq!(names(dir.path()), ["backing", "cow", "out"]);
}

#[test]
fn a_new_file_is_of_now() {
    let dir = tempfile::tempdir().unwrap();
    let Overlay { cow, backing, .. } = Overlay::new(dir.path(), 3, 5000, &[]);
    let old = std::time::SystemTime::UNIX_EPOCH;
    let time = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let (before, out) = (time(&backing), dir.path().join("out"));
    File::options().append(true).open(&cow).unwrap().set_modified(old).unwrap();
    to(&cow, None, &out, Sharing::WhereItCan).unwrap();
    assert!(time(&out) >= before);
}
