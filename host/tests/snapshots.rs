//! Snapshots of several disks: whole or nothing, and of one instant.

#![allow(clippy::unwrap_used, reason = "a beginning that cannot be made fails its test")]

mod pools;

use ebbtide::{
    pool::{
        Pool,
        driver::{Ending, memory::MemoryStore},
        store::{Store as _, Unseen},
    },
    vm::{self, Allow, Guard, Snapshot},
};
use pools::*;
use std::path::{Path, PathBuf};

fn take(pool: &Pool, vm: &str) -> ebbtide::Result<Snapshot> {
    let guard = Guard::take(pool, &name(vm), "snapshot", Allow::Stopped)?;
    vm::snapshot(pool, &guard, None, None, &mut Unseen)
}

fn dir(snapshot: &Snapshot) -> PathBuf {
    Path::new("snapshots").join(snapshot.uuid.to_string())
}

/// A template with a root and a private disk that were both written to.
fn written() -> (MemoryStore, Pool) {
    let (store, pool) = usual();
    for (disk, bytes) in [("root", b"sys1"), ("private", b"home")] {
        run(&pool, &store, "debian", disk, bytes, Ending::Commit);
    }
    (store, pool)
}

#[test]
fn a_snapshot_that_is_cut_is_whole_or_nothing() {
    let (store, pool) = written();
    // One disk has something uncommitted too.
    let guard = start(&pool, "debian").unwrap();
    pools::write(&store, Path::new("vm-templates/debian"), "root", b"sys2");
    drop(guard);
    drop(Guard::take(&pool, &name("debian"), "settle", Allow::Stopped).unwrap());
    let old = tree(&store);
    let cuts = cut_everywhere(
        &store,
        |pool| take(pool, "debian").map(drop),
        |store, pool| {
            for store in store.power_cuts(20).iter().chain([store]) {
                let pool = &over(store);
                let (found, unreadable) = vm::snapshots(pool).unwrap();
                assert!(unreadable.is_empty(), "{unreadable:?}");
                for snapshot in &found {
                    assert_eq!(version(store, &dir(snapshot), "root"), b"sys2");
                    assert_eq!(store.names(&dir(snapshot)).unwrap().len(), 4);
                }
                vm::sweep(pool).unwrap();
                if found.is_empty() {
                    assert_eq!(tree(store), old);
                }
            }
            take(pool, "debian").unwrap();
        },
    );
    assert!(cuts > 8, "{cuts}");
}

#[test]
fn a_snapshot_outlives_its_disks_and_its_vm() {
    let (store, pool) = written();
    let record = pool.vm(&name("debian")).unwrap().record;
    let snapshot = take(&pool, "debian").unwrap();
    let volumes: Vec<_> =
        snapshot.disks.iter().map(|disk| (disk.volume.as_str(), disk.uncommitted)).collect();
    assert_eq!(volumes, [("root", false), ("private", false)]);
    assert_eq!(snapshot.record, record);
    assert_eq!(pool.vm(&name("debian")).unwrap().record.parent, Some(snapshot.uuid));
    let inode = |path: &Path| store.stat(path).unwrap().unwrap().inode;
    let clean = Path::new("vm-templates/debian/root.img");
    assert_eq!(inode(&dir(&snapshot).join("root.img")), inode(clean), "nothing is copied");
    run(&pool, &store, "debian", "root", b"sys2", Ending::Commit);
    vm::remove(&pool, &name("work")).unwrap();
    vm::remove(&pool, &name("debian")).unwrap();
    assert_eq!(version(&store, &dir(&snapshot), "root"), b"sys1");
    assert_eq!(version(&store, &dir(&snapshot), "private"), b"home");
    assert_eq!(vm::snapshots(&pool).unwrap().0, [snapshot]);
}

#[test]
fn what_is_written_later_is_not_in_it() {
    let (store, pool) = written();
    let guard = start(&pool, "debian").unwrap();
    let files = Path::new("vm-templates/debian");
    pools::write(&store, files, "root", b"sys2");
    // The engine has paused the guest.
    let snapshot = vm::snapshot(&pool, &guard, None, None, &mut Unseen).unwrap();
    assert!(snapshot.disks.iter().all(|disk| disk.uncommitted));
    pools::write(&store, files, "root", b"sys3");
    pools::write(&store, files, "private", b"away");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert_eq!(version(&store, &dir(&snapshot), "root"), b"sys2");
    assert_eq!(version(&store, &dir(&snapshot), "private"), b"home");
}

#[test]
fn an_app_vms_snapshot_has_what_it_keeps() {
    let (store, pool) = written();
    run(&pool, &store, "work", "private", b"mine", Ending::Commit);
    let snapshot = take(&pool, "work").unwrap();
    assert_eq!(snapshot.disks.len(), 1);
    assert_eq!(version(&store, &dir(&snapshot), "private"), b"mine");
}
