//! Files of a pool on real file systems: what is shared, what is copied, and what a full disk leaves.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod loopfs;

use ebbtide::pool::{
    driver::LinuxStore,
    store::{Store, Unseen},
};
use ebbtide_format::units::Bytes;
use loopfs::{Kind, LoopFs, names};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
};

const TIB: u64 = 1 << 40;
/// Sizes, each with places where there is something.
const IMAGES: [(&str, u64, &[u64]); 6] = [
    ("empty", 0, &[]),
    ("a byte", 1, &[0]),
    ("odd [a-z]*?", 12_345, &[0, 12_344]),
    ("three blocks", 12_288, &[4096]),
    ("-dash \"quote\" $(x)", (3 << 20) + 1, &[1 << 20, 3 << 20]),
    ("three tebibytes", 3 * TIB, &[0, TIB + 5, 3 * TIB - 1]),
];

fn store(fs: &LoopFs) -> LinuxStore {
    if fs.kind() == Kind::Ext4 {
        LinuxStore::copy(&fs.dir())
    } else {
        LinuxStore::reflink(&fs.dir())
    }
}

fn make(path: &Path, size: u64, marks: &[u64]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    marks.iter().for_each(|at| file.write_all_at(b"x", *at).unwrap());
}

/// Checks length, content where it was written and beside it, that holes are holes, and who may read it.
fn is_like(path: &Path, size: u64, marks: &[u64]) {
    let file = File::open(path).unwrap();
    let found = file.metadata().unwrap();
    assert_eq!(found.len(), size, "{}", path.display());
    assert!(found.blocks() * 512 <= marks.len() as u64 * 64 * 1024, "{}", path.display());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    for at in marks {
        for (at, wanted) in [(*at, b'x'), (at.wrapping_sub(1), 0), (at + 1, 0)] {
            let mut byte = [0];
            if at < size && !(wanted == 0 && marks.contains(&at)) {
                file.read_exact_at(&mut byte, at).unwrap();
                assert_eq!(byte[0], wanted, "{} at {at}", path.display());
            }
        }
    }
}

#[test]
fn clones_have_content_and_length_and_are_their_own() {
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let store = store(&fs);
        for (name, size, marks) in IMAGES {
            make(&fs.dir().join(name), size, marks);
            let clone = format!("{name}{}", "c".repeat(200));
            store.clone_image(name.as_ref(), clone.as_ref(), &mut Unseen).unwrap();
            is_like(&fs.dir().join(&clone), size, marks);
            let [from, to] = [name, &clone].map(|name| store.stat(name.as_ref()).unwrap().unwrap());
            assert_ne!(from.inode, to.inode);
            if size > 0 {
                let file = File::options().write(true).open(fs.dir().join(&clone)).unwrap();
                file.write_all_at(b"y", 0).unwrap();
            }
            let error = store.clone_image(name.as_ref(), clone.as_ref(), &mut Unseen).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            if !marks.is_empty() {
                let mut byte = [0];
                let file = File::open(fs.dir().join(name)).unwrap();
                file.read_exact_at(&mut byte, marks[0]).unwrap();
                assert_eq!(byte, *b"x");
            }
        }
    }
}

#[test]
fn images_go_in_and_out_between_file_systems() {
    let outside = LoopFs::new(Kind::Ext4);
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let store = store(&fs);
        for (name, size, marks) in IMAGES {
            for dir in [outside.dir(), fs.dir()] {
                let [from, back] =
                    ["from", "back"].map(|which| dir.join(format!("{name} {which}")));
                make(&from, size, marks);
                store.take_in(&from, name.as_ref(), &mut Unseen).unwrap();
                is_like(&fs.dir().join(name), size, marks);
                store.give_out(name.as_ref(), &back, &mut Unseen).unwrap();
                is_like(&back, size, marks);
                let error = store.give_out(name.as_ref(), &back, &mut Unseen).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                is_like(&back, size, marks);
                fs::remove_file(from).unwrap();
                fs::remove_file(back).unwrap();
                store.remove(name.as_ref()).unwrap();
            }
        }
    }
}

#[test]
fn a_clone_shares_its_extents_and_a_copy_does_not() {
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let store = store(&fs);
        fs::write(fs.dir().join("one"), vec![7; 1 << 20]).unwrap();
        store.clone_image("one".as_ref(), "two".as_ref(), &mut Unseen).unwrap();
        let places = ["one", "two"].map(|name| {
            let file = File::open(fs.dir().join(name)).unwrap();
            let extents = ebbtide_sys::fiemap::extents(&file).unwrap();
            extents.iter().map(|extent| (extent.logical, extent.physical)).collect::<Vec<_>>()
        });
        assert!(!places[0].is_empty());
        assert_eq!(places[0] == places[1], kind != Kind::Ext4, "{kind:?}");
    }
}

#[test]
fn a_store_that_shares_copies_nothing_within_the_pool() {
    let fs = LoopFs::new(Kind::Ext4);
    let store = LinuxStore::reflink(&fs.dir());
    fs::write(fs.dir().join("one"), "content").unwrap();
    let before = names(&fs.dir());
    let error = store.clone_image("one".as_ref(), "two".as_ref(), &mut Unseen).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EOPNOTSUPP));
    assert_eq!(names(&fs.dir()), before);
}

#[test]
fn a_disk_is_taken_in() {
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let image = fs.dir().join("disk");
        make(&image, 9 << 20, &[0, 5 << 20, (9 << 20) - 1]);
        let disk = loopfs::run(
            std::process::Command::new("losetup").args(["--find", "--show"]).arg(&image),
        );
        let taken = store(&fs).take_in(disk.trim().as_ref(), "taken".as_ref(), &mut Unseen);
        loopfs::run(std::process::Command::new("losetup").args(["--detach", disk.trim()]));
        taken.unwrap();
        is_like(&fs.dir().join("taken"), 9 << 20, &[0, 5 << 20, (9 << 20) - 1]);
    }
}

#[test]
fn a_rename_onto_another_name_of_the_file_leaves_one() {
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let store = store(&fs);
        store.make_dir("dir".as_ref()).unwrap();
        store.write_new("one".as_ref(), b"content").unwrap();
        let inode = |name: &str| store.stat(name.as_ref()).unwrap().map(|stat| stat.inode);
        let one = inode("one");
        for (from, to) in [("one", "two"), ("two", "dir/one"), ("dir/one", "dir/two")] {
            store.link(from.as_ref(), to.as_ref()).unwrap();
            store.rename(from.as_ref(), to.as_ref()).unwrap();
            assert_eq!((inode(from), inode(to)), (None, one));
        }
        for same in ["dir/two", "./dir/two", "dir/./two"] {
            store.rename("dir/two".as_ref(), same.as_ref()).unwrap();
            assert_eq!(inode("dir/two"), one);
        }
        store.write_new("other".as_ref(), b"other").unwrap();
        store.rename("dir/two".as_ref(), "other".as_ref()).unwrap();
        assert_eq!((inode("dir/two"), inode("other")), (None, one));
    }
}

/// Fills a file system to the last block.
fn fill(fs: &LoopFs) {
    // What was removed is free only then.
    loopfs::run(std::process::Command::new("sync").arg("--file-system").arg(fs.dir()));
    let mut file = File::options().write(true).open(fs.dir().join("filler")).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0x5a; size]).is_ok() && file.sync_data().is_ok() {}
    }
}

#[test]
fn a_full_disk_leaves_no_part_of_a_copy() {
    for kind in Kind::ALL {
        let (fs, outside) = (LoopFs::of_mib(kind, 320), LoopFs::of_mib(Kind::Ext4, 600));
        let store = store(&fs);
        let large = outside.dir().join("large");
        let mut file = File::create(&large).unwrap();
        (1..=400).for_each(|byte| file.write_all(&vec![byte as u8 | 1; 1 << 20]).unwrap());
        // Made while there is room for a name.
        File::create(fs.dir().join("filler")).unwrap();
        store.write_new("image".as_ref(), &vec![7; 1 << 20]).unwrap();
        store.sync_file("image".as_ref()).unwrap();
        let before = names(&fs.dir());
        let error = store.take_in(&large, "in".as_ref(), &mut Unseen).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{kind:?}: {error}");
        assert_eq!(names(&fs.dir()), before);

        fill(&fs);
        let before = names(&fs.dir());
        match store.clone_image("image".as_ref(), "clone".as_ref(), &mut Unseen) {
            // A clone may find room where data finds none.
            Ok(()) => assert!(kind != Kind::Ext4, "a copy onto a full disk"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{kind:?}: {error}");
                assert_eq!(names(&fs.dir()), before, "{kind:?}");
            }
        }
    }
}

#[test]
fn a_file_system_that_can_only_be_read_is_named_by_its_error() {
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let store = store(&fs);
        fs::write(fs.dir().join("one"), "content").unwrap();
        loopfs::run(std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(fs.dir()));
        let error = store.clone_image("one".as_ref(), "two".as_ref(), &mut Unseen).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
        let error = store.make_image("two".as_ref(), Bytes::mib(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    }
}
