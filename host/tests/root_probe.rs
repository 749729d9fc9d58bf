//! What is found out about a directory's file system.
#![allow(missing_docs, reason = "tests")]

mod loopfs;

use ebbtide::pool::driver::linux::probe;
use loopfs::{Kind, LoopFs};

#[test]
fn tells_whether_files_are_cloned_and_leaves_nothing_behind() {
    for (kind, name, clones) in
        [(Kind::Btrfs, "btrfs", true), (Kind::Xfs, "xfs", true), (Kind::Ext4, "ext4", false)]
    {
        let fs = LoopFs::new(kind);
        let before = loopfs::names(&fs.dir());
        let found = probe(&fs.dir()).unwrap();
        assert_eq!((found.name.as_str(), found.clones), (name, clones));
        assert!(found.lacks.is_empty(), "{kind:?}: {:?}", found.lacks);
        assert_eq!(loopfs::names(&fs.dir()), before);
    }
}

#[test]
fn names_what_a_file_system_lacks() {
    let fs = LoopFs::new(Kind::SecondsExt4);
    let found = probe(&fs.dir()).unwrap();
    assert_eq!((found.lacks, found.clones), (vec!["times of files in nanoseconds"], false));
}
