//! COW files as the tools of user-mode Linux make them: ours are the same, byte for byte, and theirs are read as they are.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod flips;

use ebbtide::cow::{
    Cow, Format, State,
    create::{Options, create},
};
use ebbtide_format::uml_cow::Version;
use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _, symlink},
    path::Path,
    process::{Command, Output},
    time::{Duration, UNIX_EPOCH},
};
use vmtest::{Error, require};

/// Runs one of the tools in a directory.
fn tool(name: &'static str, dir: &Path, args: &[&str]) -> vmtest::Result<Output> {
    Command::new(name).args(args).current_dir(dir).output().map_err(|error| Error::Unavailable {
        what: name.into(),
        why: error.to_string(),
        make: "apt-get install uml-utilities".into(),
    })
}

/// Makes a backing of a size, with a time of its own.
fn backing(path: &Path, size: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    file.write_all_at(b"backing", 0).unwrap();
    file.set_len(size).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_millis(1_000_000_000_123 + size)).unwrap();
}

/// Sizes about those at which the bitmap gets a byte more, or the data another place.
fn sizes() -> Vec<u64> {
    let edges = [1, 512, 8 * 512, 9 * 512, 4096 * 8 * 512, 2 * 4096 * 8 * 512, 100_000_000];
    let mut sizes: Vec<u64> =
        edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1, edge + 511]).collect();
    sizes.extend([(1 << 31) + 5, (1 << 32) - 1, (5 << 32) + 12_345, (1 << 40) + 7]);
    sizes.retain(|size| *size != 0);
    sizes
}

fn same(one: &Path, other: &Path) -> bool {
    let (head, rest) = (1 << 20, 64 << 10);
    let open = |path: &Path| {
        let file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        let mut read = vec![0; usize::try_from(length.min(head)).unwrap()];
        file.read_exact_at(&mut read, 0).unwrap();
        // What is in the middle of a large one is a hole.
        let rest = length.min(rest);
        let mut end = vec![0; usize::try_from(rest).unwrap()];
        file.read_exact_at(&mut end, length - rest).unwrap();
        (length, read, end)
    };
    open(one) == open(other)
}

#[test]
fn a_new_file_is_the_one_of_uml_mkcow_for_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for size in sizes() {
        backing(&path("root.img"), size);
        let made = require!(tool("uml_mkcow", dir.path(), &["theirs", "root.img"]));
        assert!(made.status.success(), "{size}: {made:?}");
        create(&Options { cow: &path("ours"), backing: &path("root.img"), force: false }).unwrap();
        assert!(same(&path("ours"), &path("theirs")), "{size}");
        assert!(path("ours").metadata().unwrap().blocks() * 512 < 1 << 20, "{size}: it is sparse");

        let cow = Cow::open(&path("theirs")).unwrap();
        assert_eq!((cow.format(), cow.state()), (Format::Uml(Some(Version::V3)), &State::Valid));
        let recorded = cow.recorded().unwrap();
        assert_eq!(recorded.backing, path("root.img").canonicalize().unwrap());
        assert_eq!(recorded.size.0, size);
        assert_eq!(i64::from(recorded.modified), path("root.img").metadata().unwrap().mtime());
        assert_eq!(cow.runs(recorded.size).unwrap().count(), 0);
        for name in ["ours", "theirs", "root.img"] {
            fs::remove_file(path(name)).unwrap();
        }
    }
}

#[test]
fn a_path_is_recorded_as_uml_mkcow_records_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("a/b")).unwrap();
    backing(&path("a/b/root.img"), 5000);
    symlink("a/b", path("link")).unwrap();
    symlink("root.img", path("a/b/current.img")).unwrap();
    for name in ["a/b/root.img", "link/root.img", "link/../b/./current.img", "a/b//root.img"] {
        let made = require!(tool("uml_mkcow", dir.path(), &["theirs", name]));
        assert!(made.status.success(), "{name}: {made:?}");
        create(&Options { cow: &path("ours"), backing: &path(name), force: false }).unwrap();
        assert!(same(&path("ours"), &path("theirs")), "{name}");
        fs::remove_file(path("ours")).unwrap();
        fs::remove_file(path("theirs")).unwrap();
    }
}

#[test]
fn a_file_that_is_replaced_holds_nothing_where_uml_mkcow_leaves_what_was_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    backing(&path("root.img"), 1_000_001);
    let changed = || {
        let cow = Cow::open(&path("work.cow")).unwrap();
        cow.runs(cow.recorded().unwrap().size).unwrap().map(|run| run.unwrap().length).sum::<u64>()
    };
    create(&Options { cow: &path("work.cow"), backing: &path("root.img"), force: false }).unwrap();
    File::options().write(true).open(path("work.cow")).unwrap().write_all_at(&[3], 8192).unwrap();
    assert_eq!(changed(), 1024);
    let made = require!(tool("uml_mkcow", dir.path(), &["-f", "work.cow", "root.img"]));
    assert!(made.status.success(), "{made:?}");
    assert_eq!(changed(), 1024, "why ours makes a new file");
    create(&Options { cow: &path("work.cow"), backing: &path("root.img"), force: true }).unwrap();
    assert_eq!(changed(), 0);
}

#[test]
fn the_last_sectors_of_an_old_file_are_nobodys() {
    // Version 2 over 9 sectors: one byte of bitmap, and the bit of the last would be in the next.
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    backing(&path("root.img"), 9 * 512);
    let modified = u32::try_from(path("root.img").metadata().unwrap().mtime()).unwrap();
    let mut head = [0x4f4f_4f4d_u32.to_be_bytes(), 2_u32.to_be_bytes()].concat();
    head.extend(path("root.img").to_str().unwrap().as_bytes());
    head.resize(8 + 4096, 0);
    head.extend(modified.to_be_bytes());
    head.extend((9_u64 * 512).to_be_bytes());
    head.extend(512_u32.to_be_bytes());
    head.extend([0b1000_0001, 1]);
    let cow = File::create(path("old.cow")).unwrap();
    cow.set_len(4608 + 9 * 512).unwrap();
    cow.write_all_at(&head, 0).unwrap();
    cow.write_all_at(&[0xee; 9 * 512], 4608).unwrap();

    let merged = require!(tool("uml_moo", dir.path(), &["old.cow", "merged.img"]));
    assert!(merged.status.success(), "{merged:?}");
    let (before, after) =
        (fs::read(path("root.img")).unwrap(), fs::read(path("merged.img")).unwrap());
    let theirs: Vec<u64> = (0..9)
        .filter(|sector| {
            let bytes = sector * 512..sector * 512 + 512;
            before[bytes.clone()] != after[bytes]
        })
        .map(|sector| sector as u64)
        .collect();
    let cow = Cow::open(&path("old.cow")).unwrap();
    let runs = cow.runs(cow.recorded().unwrap().size).unwrap();
    let ours: Vec<u64> = runs.map(|run| run.unwrap()).map(|run| run.at / 512).collect();
    assert_eq!(ours, [0, 7]);
    assert_eq!(ours, theirs);
}

#[test]
fn a_file_of_uml_mkcow_with_a_flipped_bit_is_an_error_or_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let size = 100 * 512 + 13;
    backing(&path("root.img"), size);
    let made = require!(tool("uml_mkcow", dir.path(), &["work.cow", "root.img"]));
    assert!(made.status.success(), "{made:?}");
    // The first sector, some in the middle, and the last.
    let cow = File::options().write(true).open(path("work.cow")).unwrap();
    cow.write_all_at(&[1, 0, 0, 0b0011_1000, 0, 0, 0xff, 0, 0, 0, 0, 0, 0b1_0000], 8192).unwrap();
    let sectors: Vec<u8> = (0..size).map(|at| (at / 512 + 1) as u8).collect();
    cow.write_all_at(&sectors, 12288).unwrap();
    drop(cow);
    flips::is_an_error_or_right(&path("work.cow"), &path("root.img"), 101);
}
