//! Merges on file systems of their own: what is cloned and what is copied, devices, no room, faults, and memory.

#![allow(clippy::unwrap_used, reason = "a test")]

mod loopfs;
mod overlays;
mod stores;

use ebbtide::{
    Result,
    cow::{
        Cow, Sharing,
        merge::{FromBacking, Merged, Options, merge},
    },
    file::Unseen,
};
use ebbtide_format::units::Bytes;
use loopfs::{Kind, LoopFs, names, run};
use nix::sys::resource::{UsageWho, getrusage};
use overlays::{Overlay, Write};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use stores::Store;

const SIZE: u64 = (6 << 20) + 512;

fn to(overlay: &Overlay, out: &Path, sharing: Sharing) -> Result<Merged> {
    let cow = &overlay.cow;
    merge(&Options { cow, backing: None, out, sharing, force: false }, &mut Unseen)
}

/// Writes of whole blocks of 4 KiB, each a run of its own.
fn blocks() -> Vec<Write> {
    (0..700).step_by(9).map(|at| Write { sectors: at * 16..at * 16 + 8, byte: 7 }).collect()
}

fn runs(overlay: &Overlay) -> u64 {
    let runs: Result<Vec<_>, _> =
        Cow::open(&overlay.cow).unwrap().runs(Bytes(SIZE)).unwrap().collect();
    runs.unwrap().len() as u64
}

#[test]
fn whole_blocks_are_cloned_by_one_call_a_run_and_nothing_is_copied() {
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let overlay = Overlay::new(&fs.dir(), 3, SIZE, &blocks());
        let out = fs.dir().join("out");
        let merged = to(&overlay, &out, Sharing::WhereItCan).unwrap();
        assert!(fs::read(&out).unwrap() == overlay.wanted, "{kind:?}");
        let changed = Bytes(blocks().len() as u64 * 4096);
        if kind == Kind::Ext4 {
            assert_eq!((merged.done.cloned, merged.done.copied), (Bytes(0), changed));
            assert!(matches!(merged.backing, FromBacking::Copied(_)));
        } else {
            assert_eq!(merged.done.clones, runs(&overlay), "{kind:?}");
            assert_eq!((merged.done.cloned, merged.done.copied), (changed, Bytes(0)), "{kind:?}");
            assert_eq!(merged.backing, FromBacking::Cloned);
        }
        let copy = fs.dir().join("copy");
        let merged = to(&overlay, &copy, Sharing::Never).unwrap();
        assert_eq!((merged.done.clones, merged.done.copied), (0, changed), "{kind:?}");
        assert!(fs::read(&copy).unwrap() == overlay.wanted, "{kind:?}");
    }
}

#[test]
fn parts_of_blocks_are_copied_beside_clones() {
    let write = |at: u64| Write {
        sectors: at * 32 + at % 8..at * 32 + 12 + at % 19,
        byte: if at.is_multiple_of(5) { 0 } else { 5 },
    };
    let mut writes: Vec<_> = (0..380).map(write).collect();
    // The last sector, which is in the last block alone.
    writes.push(Write { sectors: SIZE / 512..SIZE / 512 + 1, byte: 0 });
    for kind in [Kind::Btrfs, Kind::CompressedBtrfs, Kind::Xfs] {
        for version in [1, 2, 3] {
            let fs = LoopFs::new(kind);
            let overlay = Overlay::new(&fs.dir(), version, SIZE, &writes);
            let out = fs.dir().join("out");
            let merged = to(&overlay, &out, Sharing::WhereItCan).unwrap();
            assert!(fs::read(&out).unwrap() == overlay.wanted, "{kind:?} {version}");
            assert!(merged.done.copied > Bytes(0), "{kind:?} {version}");
            assert_eq!(merged.done.clones > 100, version == 3, "{kind:?} {version}");
        }
    }
}

#[test]
fn a_store_is_cloned_by_chunks() {
    for kind in [Kind::Btrfs, Kind::Xfs] {
        for sectors in [1, 8, 32] {
            let fs = LoopFs::new(kind);
            let path = |name| fs.dir().join(name);
            let mut wanted = overlays::backing(&path("backing"), SIZE);
            let chunks = SIZE.div_ceil(sectors * 512);
            let store = Store::written(sectors, SIZE, (0..chunks).rev().step_by(3));
            store.put(&File::create_new(path("store")).unwrap(), 0, 3);
            store.merge(&mut wanted, 3);
            let (cow, backing, out) = (path("store"), path("backing"), path("out"));
            let sharing = Sharing::WhereItCan;
            let options =
                Options { cow: &cow, backing: Some(&backing), out: &out, sharing, force: false };
            let merged = merge(&options, &mut Unseen).unwrap();
            assert!(fs::read(&out).unwrap() == wanted, "{kind:?} {sectors}");
            assert_eq!(merged.done.cloned > Bytes(0), sectors >= 8, "{kind:?} {sectors}");
        }
    }
}

/// A loop device over a file, gone when it is dropped.
struct Loop(PathBuf);

impl Loop {
    fn over(file: &Path) -> Self {
        let said = run(Command::new("losetup").args(["--find", "--show"]).arg(file));
        Self(said.trim().into())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run(Command::new("losetup").arg("--detach").arg(&self.0));
    }
}

#[test]
fn devices_are_read_and_written_over_on_purpose_only() {
    let fs = LoopFs::new(Kind::Ext4);
    let overlay = Overlay::new(&fs.dir(), 3, SIZE, &blocks());
    let path = |name| fs.dir().join(name);
    let filled = |name, size: u64| {
        fs::write(path(name), vec![0xee; usize::try_from(size).unwrap()]).unwrap();
        Loop::over(&path(name))
    };
    let (backing, cow) = (Loop::over(&overlay.backing), Loop::over(&overlay.cow));
    let (target, small) = (filled("target", SIZE + 4096), filled("small", SIZE - 512));
    let over = |backing: &Loop, out: &Path, force| {
        let (cow, backing, sharing) =
            (cow.0.as_path(), Some(backing.0.as_path()), Sharing::WhereItCan);
        merge(&Options { cow, backing, out, sharing, force }, &mut Unseen)
    };
    let time = fs::metadata(&overlay.backing).unwrap().modified().unwrap();
    let refused = |result: Result<Merged>, wanted: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(wanted), "{text}");
    };
    // The node is of another time than the COW file records.
    refused(over(&backing, &path("out"), false), "last written to");
    File::open(&backing.0).unwrap().set_modified(time).unwrap();
    refused(over(&backing, &target.0, false), "is a block device");
    refused(over(&backing, &small.0, true), "the merged image has");
    refused(over(&backing, &backing.0, true), "is the backing");
    refused(over(&backing, &cow.0, true), "is the COW file itself");

    over(&backing, &path("out"), false).unwrap();
    assert!(fs::read(path("out")).unwrap() == overlay.wanted);
    over(&backing, &target.0, true).unwrap();
    drop((target, small));
    let target = fs::read(path("target")).unwrap();
    let (image, behind) = target.split_at(usize::try_from(SIZE).unwrap());
    assert!(image == overlay.wanted);
    assert!(behind.iter().all(|byte| *byte == 0xee));
    assert!(fs::read(path("small")).unwrap().iter().all(|byte| *byte == 0xee));
}

#[test]
fn room_is_looked_for_before_anything_is_written() {
    let here = tempfile::tempdir().unwrap();
    let writes = [Write { sectors: 0..60_000, byte: 3 }];
    let overlay = Overlay::new(here.path(), 3, 64 << 20, &writes);
    let fs = LoopFs::of_mib(Kind::Ext4, 32);
    let before = names(&fs.dir());
    let error = to(&overlay, &fs.dir().join("out"), Sharing::WhereItCan).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(" needs ") && text.contains(" free"), "{text}");
    assert!(error.hint().is_some_and(|hint| hint.contains("room")));
    assert_eq!(names(&fs.dir()), before);
    // Zeros that were written need none.
    let other = tempfile::tempdir().unwrap();
    let zeros = [Write { sectors: 0..90_000, byte: 0 }];
    let overlay = Overlay::new(other.path(), 3, 64 << 20, &zeros);
    to(&overlay, &fs.dir().join("out"), Sharing::Never).unwrap();
    assert!(fs::read(fs.dir().join("out")).unwrap() == overlay.wanted);
    // What is cloned needs none either.
    let fs = LoopFs::of_mib(Kind::Xfs, 320);
    let overlay = Overlay::new(&fs.dir(), 3, 120 << 20, &[Write { sectors: 0..200_000, byte: 3 }]);
    let error = to(&overlay, &fs.dir().join("copy"), Sharing::Never).unwrap_err();
    assert!(error.to_string().contains(" needs "), "{error}");
    let merged = to(&overlay, &fs.dir().join("out"), Sharing::WhereItCan).unwrap();
    assert_eq!(merged.done.copied, Bytes(0));
    assert!(fs::read(fs.dir().join("out")).unwrap() == overlay.wanted);
}

/// Runs the program under strace, which fails the n-th of these calls; nothing if there is no such call.
fn failing(overlay: &Overlay, out: &Path, call: &str, errno: &str, nth: u32) -> Option<String> {
    let log = overlay.cow.with_file_name("strace");
    let Output { status, stderr, .. } = Command::new("strace")
        .args(["-f", "-q", "-e", &format!("trace={call}"), "-o"])
        .arg(&log)
        .args(["-e", &format!("inject={call}:error={errno}:when={nth}"), "--"])
        .arg(env!("CARGO_BIN_EXE_ebbtide"))
        .args(["cow", "merge", "--copy"])
        .args([&overlay.cow, out])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let was_hit = fs::read_to_string(&log).unwrap().contains("(INJECTED)");
    assert_ne!(status.success(), was_hit, "{call} {nth}: {stderr:?}");
    fs::remove_file(log).unwrap();
    was_hit.then(|| String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn a_fault_at_any_call_leaves_nothing_and_is_said() {
    let fs = LoopFs::new(Kind::Ext4);
    let writes: Vec<_> =
        (0..5).map(|n| Write { sectors: n * 4096..n * 4096 + 1024, byte: 9 }).collect();
    let overlay = Overlay::new(&fs.dir(), 3, 10 << 20, &writes);
    let out = fs.dir().join("out");
    let before = names(&fs.dir());
    let (mut hits, mut places) = (0, 0);
    for (call, errno, cause) in [
        ("pread64", "EIO", "Input/output error"),
        ("pwrite64", "ENOSPC", "No space left on device"),
        ("pwrite64", "EIO", "Input/output error"),
        ("fsync", "EIO", "Input/output error"),
        ("ftruncate", "EFBIG", "File too large"),
    ] {
        for nth in 1.. {
            let Some(said) = failing(&overlay, &out, call, errno, nth) else { break };
            hits += 1;
            places += u32::from(said.contains(" at "));
            assert!(said.contains(cause), "{call} {nth}: {said}");
            // The name is there before the directory is synced.
            if !(call == "fsync" && out.exists()) {
                assert_eq!(names(&fs.dir()), before, "{call} {nth}: {said}");
            }
            let _ = fs::remove_file(&out);
        }
        assert!(fs::read(&out).unwrap() == overlay.wanted, "{call}");
        fs::remove_file(&out).unwrap();
    }
    assert!(hits > 20 && places > 10, "{hits} {places}");
}

#[test]
fn a_device_of_16_tib_is_merged_in_little_memory() {
    const DEVICE: u64 = 16 << 40;
    let fs = LoopFs::new(Kind::Xfs);
    let path = |name| fs.dir().join(name);
    File::create_new(path("backing")).unwrap().set_len(DEVICE).unwrap();
    // 64 areas: as many runs, all over the device. All data is holes.
    let step = DEVICE / 4096 / 16_000;
    let store = Store::written(8, DEVICE, (0..16_000).rev().map(|number| number * step));
    store.put_metadata(&File::create_new(path("store")).unwrap(), 0);
    let last = store.exceptions[0];
    let file = File::options().write(true).open(path("store")).unwrap();
    file.write_all_at(b"the last", last.1 * 4096).unwrap();
    drop(file);
    for copy in [false, true] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
        command.args(["cow", "merge", "--backing"]).args([
            path("backing"),
            path("store"),
            path("out"),
        ]);
        run(command.args(copy.then_some("--copy")));
        let out = File::open(path("out")).unwrap();
        assert_eq!(out.metadata().unwrap().len(), DEVICE);
        let mut found = [0; 8];
        out.read_exact_at(&mut found, last.0 * 4096).unwrap();
        assert_eq!(&found, b"the last");
        fs::remove_file(path("out")).unwrap();
    }
    // Of the largest program that was run, in KiB.
    let most = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(most < 64 << 10, "{most} KiB");
}
