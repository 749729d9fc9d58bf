//! Pools in memory with a template and its VMs.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a beginning that cannot be made fails its test")]

use ebbtide::{
    Result, VmName,
    name::VolumeId,
    pool::{
        Pool,
        driver::{
            Ending, Outcome,
            files::FileDriver,
            memory::{Fault, MemoryStore},
        },
        store::{Store as _, Unseen},
    },
    vm::{self, Allow, Guard, NewTemplate, NewVm, RootSource, Run},
};
use ebbtide_format::units::Bytes;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Size of roots and private disks.
pub(crate) const SIZE: Bytes = Bytes::mib(8);

pub(crate) fn name(text: &str) -> VmName {
    text.parse().unwrap()
}

pub(crate) fn id(text: &str) -> VolumeId {
    text.parse().unwrap()
}

/// Returns a pool over the files of a store.
pub(crate) fn over(store: &MemoryStore) -> Pool {
    let store = Arc::new(store.clone());
    let driver = Box::new(FileDriver::new(Arc::clone(&store) as _));
    Pool::with("/pool".into(), 2, store, driver)
}

/// Returns an empty pool.
pub(crate) fn empty() -> (MemoryStore, Pool) {
    let store = MemoryStore::new();
    for dir in ["vm-templates", "appvms", "snapshots"] {
        store.make_dir(Path::new(dir)).unwrap();
    }
    store.sync_dir(Path::new("")).unwrap();
    let pool = over(&store);
    (store, pool)
}

pub(crate) fn template(pool: &Pool, text: &str) -> Result<()> {
    let new = NewTemplate { private: SIZE, ..NewTemplate::new(RootSource::Blank(SIZE)) };
    vm::create_template(pool, &name(text), &new, &mut Unseen)
}

pub(crate) fn app_vm(pool: &Pool, text: &str, template: &str) -> Result<()> {
    let new = NewVm { private: SIZE, ..NewVm::new(name(template)) };
    vm::create(pool, &name(text), &new)
}

/// Returns a pool with the template `debian` and the VM `work`.
pub(crate) fn usual() -> (MemoryStore, Pool) {
    let (store, pool) = empty();
    template(&pool, "debian").unwrap();
    app_vm(&pool, "work", "debian").unwrap();
    let _ = store.take_log();
    (store, pool)
}

/// Takes a VM's lock and prepares it, as an engine does.
pub(crate) fn start(pool: &Pool, text: &str) -> Result<Guard> {
    let guard = Guard::take(pool, &name(text), "start", Allow::Stopped)?;
    vm::prepare(pool, &guard, Run::new("qemu")?)?;
    Ok(guard)
}

/// Runs a VM that writes bytes to a disk, and ends it.
pub(crate) fn run(
    pool: &Pool,
    store: &MemoryStore,
    text: &str,
    disk: &str,
    bytes: &[u8],
    ending: Ending,
) -> Vec<(VolumeId, Outcome)> {
    let guard = start(pool, text).unwrap();
    write(store, &dir(pool, text), disk, bytes);
    vm::release(pool, &guard, ending).unwrap()
}

pub(crate) fn dir(pool: &Pool, text: &str) -> PathBuf {
    pool.vm(&name(text)).unwrap().dir
}

pub(crate) fn write(store: &MemoryStore, dir: &Path, disk: &str, bytes: &[u8]) {
    store.write(&dir.join(format!("{disk}-dirty.img")), 0, bytes).unwrap();
}

/// Returns the first bytes of the current version of a disk.
pub(crate) fn version(store: &MemoryStore, dir: &Path, disk: &str) -> Vec<u8> {
    let bytes = store.bytes(&dir.join(format!("{disk}.img")), 0, 4).unwrap();
    bytes.into_iter().take_while(|byte| *byte != 0).collect()
}

/// Returns all paths of the pool but for files of locks.
pub(crate) fn tree(store: &MemoryStore) -> Vec<String> {
    fn walk(store: &MemoryStore, dir: &Path, found: &mut Vec<String>) {
        for name in store.names(dir).unwrap() {
            let path = dir.join(&name);
            let is_dir = store.names(&path).is_ok();
            if !name.to_string_lossy().ends_with("lock") {
                found.push(path.display().to_string());
            }
            if is_dir {
                walk(store, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(store, Path::new(""), &mut found);
    found
}

/// Does something again and again on the same beginning, killed before each of its changes, and lets `check` look at what
/// is left, with whether it came to its end. Returns how many cuts there were.
pub(crate) fn cut_everywhere(
    beginning: &MemoryStore,
    act: impl Fn(&Pool) -> Result<()>,
    mut check: impl FnMut(&MemoryStore, &Pool),
) -> u64 {
    for changes in 0.. {
        let store = beginning.fork();
        let pool = over(&store);
        store.budget(changes, Fault::Kill);
        let done = act(&pool);
        if !store.revive() {
            done.unwrap();
            return changes;
        }
        // What the process held is gone with it.
        let store = store.fork();
        check(&store, &over(&store));
    }
    unreachable!()
}
