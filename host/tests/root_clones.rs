//! Clones of a template that take no room, on file systems that share.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod loopfs;

use ebbtide::{
    VmName,
    pool::{Create, Pool, store::Unseen},
    vm::{self, NewTemplate, RootSource},
};
use loopfs::{Kind, LoopFs};
use nix::sys::statvfs::statvfs;
use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
};

/// How much the template has, none of it twice.
const CONTENT: usize = 64 << 20;
/// How many clones are made.
const CLONES: u64 = 20;
/// What a clone may take: a directory, a record, and their part of the file system's trees.
const METADATA: u64 = 64 << 10;

fn name(text: &str) -> VmName {
    text.parse().unwrap()
}

/// Returns what is used of a file system, in bytes, with everything written.
fn used(fs: &LoopFs) -> u64 {
    nix::unistd::sync();
    let stat = statvfs(&fs.dir()).unwrap();
    (stat.blocks() - stat.blocks_free()) * stat.fragment_size()
}

fn clones_take_metadata_alone(kind: Kind) {
    let fs = LoopFs::new(kind);
    let image = fs.dir().join("image");
    // Nothing that a file system could leave out.
    let noise =
        (0..CONTENT as u64 / 8).flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
    File::create(&image).unwrap().write_all(&noise.collect::<Vec<u8>>()).unwrap();
    let pool = Pool::create(&fs.dir().join("pool"), &Create::default()).unwrap();
    let new = NewTemplate {
        private: ebbtide_format::units::Bytes(0),
        ..NewTemplate::new(RootSource::Image(image.clone()))
    };
    vm::create_template(&pool, &name("debian"), &new, &mut Unseen).unwrap();
    let before = used(&fs);
    for number in 0..CLONES {
        vm::clone(&pool, &name("debian"), &name(&format!("clone{number}"))).unwrap();
    }
    let taken = used(&fs).saturating_sub(before);
    assert!(taken < CLONES * METADATA, "{kind:?}: {CLONES} clones of 64 MiB take {taken} bytes");
    // And the base goes, with nothing moved.
    vm::remove(&pool, &name("debian")).unwrap();
    let root = pool.dir().join("vm-templates/clone7/root.img");
    assert_eq!(fs::metadata(&root).unwrap().nlink(), CLONES);
    assert_eq!(fs::read(&root).unwrap(), fs::read(&image).unwrap());
}

#[test]
fn clones_on_btrfs_take_metadata_alone() {
    clones_take_metadata_alone(Kind::Btrfs);
}

#[test]
fn clones_on_xfs_take_metadata_alone() {
    clones_take_metadata_alone(Kind::Xfs);
}
