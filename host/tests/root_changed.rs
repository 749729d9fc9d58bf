//! Changed blocks against a plain comparison, on each file system, with whatever it does to extents.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod loopfs;

use ebbtide::{
    pool::{driver::LinuxStore, store::Store as _, store::Unseen},
    volume::changed::changed,
};
use loopfs::{Kind, LoopFs};
use nix::fcntl::{FallocateFlags, fallocate};
use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
};

const BLOCK: usize = 4096;

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Writes, rewrites, punches, preallocates, cuts and lengthens. Some of it reaches the disk at once, some later.
fn edit(file: &File, numbers: &mut Numbers) {
    let size = file.metadata().unwrap().len();
    let at = numbers.below(size.max(1));
    let longest = [300_000, 9000, 9000, 9000][numbers.below(4) as usize];
    let length = 1 + numbers.below(longest);
    let [offset, bytes] = [at, length].map(|value| i64::try_from(value).unwrap());
    match numbers.below(16) {
        0..7 => {
            let byte = u8::try_from(numbers.below(3)).unwrap();
            let content: Vec<u8> =
                (0..length).map(|at| byte.wrapping_mul((at / 700) as u8)).collect();
            file.write_all_at(&content, at).unwrap();
        }
        7..9 => {
            let mut content = vec![0; usize::try_from(length).unwrap()];
            let read = file.read_at(&mut content, at).unwrap();
            file.write_all_at(&content[..read], at).unwrap();
        }
        9..12 => {
            let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(file, punch, offset, bytes).unwrap();
        }
        12 => fallocate(file, FallocateFlags::empty(), offset, bytes).unwrap(),
        13 => file.set_len(size + numbers.below(100_000)).unwrap(),
        14 => file.set_len(size - numbers.below(20_000).min(size)).unwrap(),
        _ => file.sync_all().unwrap(),
    }
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn compared_plainly(one: &Path, other: &Path) -> Vec<Range<u64>> {
    let [mut one, mut other] = [one, other].map(|path| fs::read(path).unwrap());
    let end = one.len().max(other.len());
    one.resize(end, 0);
    other.resize(end, 0);
    let mut found: Vec<Range<u64>> = Vec::new();
    let blocks = one.chunks(BLOCK).zip(other.chunks(BLOCK)).enumerate();
    for (block, _) in blocks.filter(|(_, (one, other))| one != other) {
        let range = block * BLOCK..((block + 1) * BLOCK).min(end);
        let range = range.start as u64..range.end as u64;
        match found.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => found.push(range),
        }
    }
    found
}

fn store(fs: &LoopFs) -> LinuxStore {
    if fs.kind() == Kind::Ext4 {
        LinuxStore::copy(&fs.dir())
    } else {
        LinuxStore::reflink(&fs.dir())
    }
}

fn equals_a_plain_comparison(kind: Kind) {
    let fs = LoopFs::new(kind);
    let store = store(&fs);
    let mut differed = 0;
    for seed in 0..24 {
        let mut numbers = Numbers(seed);
        let names = [format!("a{seed}"), format!("b{seed}")];
        let [one, other] = names.each_ref().map(|name| fs.dir().join(name));
        let base = open(&one);
        base.set_len(numbers.below(3 << 20)).unwrap();
        (0..30).for_each(|_| edit(&base, &mut numbers));
        store.clone_image(names[0].as_ref(), names[1].as_ref(), &mut Unseen).unwrap();
        let clone = open(&other);
        for edits in [0, 1, 3, 40] {
            (0..edits).for_each(|_| edit(&clone, &mut numbers));
            if edits == 40 {
                // What was the base is written to as well, and frees what only the clone has now.
                (0..10).for_each(|_| edit(&base, &mut numbers));
            }
            let found = changed(&open(&one), &open(&other), |_, _| ()).unwrap();
            assert_eq!(
                found,
                compared_plainly(&one, &other),
                "{kind:?}, seed {seed}, {edits} edits"
            );
            differed += usize::from(!found.is_empty());
        }
    }
    assert!(differed > 48, "{differed} of 96 comparisons had anything to find");
}

#[test]
fn equals_a_plain_comparison_on_btrfs() {
    equals_a_plain_comparison(Kind::Btrfs);
}

#[test]
fn equals_a_plain_comparison_on_compressed_btrfs() {
    equals_a_plain_comparison(Kind::CompressedBtrfs);
}

#[test]
fn equals_a_plain_comparison_on_xfs() {
    equals_a_plain_comparison(Kind::Xfs);
}

#[test]
fn equals_a_plain_comparison_on_ext4() {
    equals_a_plain_comparison(Kind::Ext4);
}

/// A compressed extent is one on the disk, whatever part of it a file shows.
#[test]
fn finds_parts_of_one_compressed_extent_that_changed_places() {
    let fs = LoopFs::new(Kind::CompressedBtrfs);
    let [one, other] = ["one", "other"].map(|name| fs.dir().join(name));
    let file = open(&one);
    let content: Vec<u8> = (0..32 * BLOCK).map(|at| (at / BLOCK) as u8 + 1).collect();
    file.write_all_at(&content, 0).unwrap();
    file.sync_all().unwrap();
    let clone = open(&other);
    for block in 0..32_u64 {
        let size = BLOCK as u64;
        let from = (block + 1) % 32 * size;
        ebbtide_sys::reflink::clone_range(&file, from, size, &clone, block * size).unwrap();
    }
    let found = changed(&file, &clone, |_, _| ()).unwrap();
    assert_eq!(found, compared_plainly(&one, &other));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].end, content.len() as u64);
}

#[test]
fn reads_only_what_was_written_since_the_clone() {
    for kind in [Kind::Btrfs, Kind::Xfs] {
        let fs = LoopFs::new(kind);
        let store = store(&fs);
        let [one, other] = ["one", "other"].map(|name| fs.dir().join(name));
        let base = open(&one);
        for at in 0..64 {
            base.write_all_at(&vec![at + 1; 1 << 20], u64::from(at) << 20).unwrap();
        }
        store.clone_image("one".as_ref(), "other".as_ref(), &mut Unseen).unwrap();
        let clone = open(&other);
        clone.write_all_at(b"x", 5 << 20).unwrap();
        clone.write_all_at(&[42; BLOCK], 41 << 20).unwrap();
        let mut compared = 0;
        let found = changed(&base, &clone, |_, whole| compared = whole).unwrap();
        assert_eq!(found.len(), 1, "{kind:?}: {found:?}");
        assert_eq!(found[0].start, 5 << 20);
        // A file system may write more than it is told to, but not much.
        assert!(compared <= 1 << 20, "{kind:?}: {compared} bytes were compared");
    }
}

#[test]
fn compares_files_of_two_file_systems() {
    let (one, other) = (LoopFs::new(Kind::Btrfs), LoopFs::new(Kind::Btrfs));
    let paths = [one.dir().join("image"), other.dir().join("image")];
    let files = paths.each_ref().map(|path| open(path));
    for (file, byte) in files.iter().zip([1, 2]) {
        // The same steps on two new file systems of a kind: the same places.
        file.write_all_at(&vec![byte; 1 << 20], 0).unwrap();
        file.write_all_at(&vec![3; 1 << 20], 2 << 20).unwrap();
    }
    let found = changed(&files[0], &files[1], |_, _| ()).unwrap();
    assert_eq!(found, compared_plainly(&paths[0], &paths[1]));
    assert_eq!(found.len(), 1);
}
