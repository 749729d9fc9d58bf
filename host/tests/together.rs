//! What somebody else does in the middle of a command, in memory.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod hooked;
mod pools;

use ebbtide::{
    error::{Error, RefusalKind},
    pool::{
        Pool,
        driver::{Ending, Outcome},
        repair::repair,
        store::{Progress, Store as _, Wait},
    },
    vm::{self, Allow, Guard, Pick, Run, Status},
};
use ebbtide_format::units::Bytes;
use hooked::hooked;
use pools::*;
use std::{
    io,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

const DEBIAN: &str = "vm-templates/debian";

/// Returns a pool with three versions of a root: the kept ones are 1 and 2.
fn with_versions() -> (ebbtide::pool::driver::memory::MemoryStore, Pool) {
    let (store, pool) = usual();
    for bytes in [b"one", b"two"] {
        run(&pool, &store, "debian", "root", bytes, Ending::Commit);
    }
    (store, pool)
}

fn kept(pool: &Pool) -> Vec<u64> {
    let versions = vm::versions(pool, &id("debian:root")).unwrap();
    versions.kept.iter().filter_map(|kept| kept.revision.number).collect()
}

struct Pins<'a>(&'a Pool);

impl Progress for Pins<'_> {
    fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
        match vm::pin(self.0, &id("debian:root"), 1, "good") {
            Ok(()) => {}
            Err(error) => assert!(error.to_string().contains("already"), "{error}"),
        }
    }
}

#[test]
fn keeps_a_version_that_is_pinned_while_an_import_copies() {
    let (store, pool) = with_versions();
    assert_eq!(kept(&pool), [1, 2]);
    store.put_outside(Path::new("/image"), SIZE, b"new");
    let guard = Guard::take(&pool, &name("debian"), "import", Allow::Stopped).unwrap();
    let root = "root".parse().unwrap();
    let outcome = vm::import(&pool, &guard, &root, Path::new("/image"), &mut Pins(&pool)).unwrap();
    assert!(matches!(outcome, Outcome::Committed(Some(_))), "{outcome:?}");
    assert_eq!(kept(&pool), [1, 2, 3]);
    assert_eq!(version(&store, Path::new(DEBIAN), "root"), b"new");
}

/// A guest that has shut down has its writes committed, however long a removal or a repair has the pool.
#[test]
fn a_release_waits_for_the_pool_longer_than_others_do() {
    let (store, _) = usual();
    let refused = AtomicU32::new(0);
    let is_on = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = is_on.clone();
    let pool = hooked(&store, move |operation, path| {
        let is_pool = operation == "lock" && path == Path::new(".lock");
        if is_pool && seen.load(Ordering::SeqCst) && refused.fetch_add(1, Ordering::SeqCst) < 3 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    });
    let guard = start(&pool, "debian").unwrap();
    write(&store, Path::new(DEBIAN), "root", b"new");
    is_on.store(true, Ordering::SeqCst);
    let outcomes = vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert!(matches!(outcomes[0].1, Outcome::Committed(_)), "{outcomes:?}");
}

/// Others wait for the pool meanwhile, such as a stop.
#[test]
fn nobody_waits_for_a_copy_with_the_pool_locked() {
    let (store, _) = with_versions();
    let root = Path::new(DEBIAN).join(".root.lock");
    let held = Mutex::new(None);
    let (inner, lock) = (store.clone(), root);
    let pool = hooked(&store, move |operation, path| {
        if operation == "lock" && path == Path::new(".lock") {
            *held.lock().unwrap() = Some(inner.lock(&lock, Wait::No).unwrap());
        }
        Ok(())
    });
    let before = std::time::Instant::now();
    let error = vm::revert(&pool, &id("debian:root"), &Pick::Newest).unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.kind == RefusalKind::Busy));
    assert!(before.elapsed().as_secs() < 30, "{:?}", before.elapsed());
    assert_eq!(kept(&pool), [1, 2]);
}

const WORK: &str = "appvms/work";

#[test]
fn a_repair_leaves_a_vm_that_is_prepared_meanwhile() {
    let (store, _) = usual();
    store.make_image(Path::new("appvms/work/private.img.aside-import"), SIZE).unwrap();
    let (inner, once) = (store.clone(), AtomicU32::new(0));
    let pool = hooked(&store, move |operation, path| {
        let is_its = operation == "lock" && path == Path::new("appvms/work/.lock");
        if is_its && once.fetch_add(1, Ordering::SeqCst) == 0 {
            let pool = over(&inner);
            let guard = Guard::take(&pool, &name("work"), "prepare", Allow::Stopped).unwrap();
            inner.make_image(Path::new("appvms/work/private.img.aside-import"), SIZE).unwrap();
            vm::prepare(&pool, &guard, Run::new(vm::PREPARE).unwrap()).unwrap();
        }
        Ok(())
    });
    let repaired = repair(&pool).unwrap();
    for file in ["root.img", "private-dirty.img", "volatile-dirty.img"] {
        assert!(store.stat(&Path::new(WORK).join(file)).unwrap().is_some(), "{repaired:?}");
    }
}

/// Facts §8.6.
#[test]
fn a_start_that_is_cut_leaves_nothing_that_counts_as_written() {
    let (beginning, _) = usual();
    let mut met = 0;
    cut_everywhere(
        &beginning,
        |pool| start(pool, "work").map(drop),
        |store, pool| {
            let dirty = Path::new(WORK).join("private-dirty.img");
            met += u32::from(store.stat(&dirty).unwrap().is_some());
            drop(Guard::take(pool, &name("work"), "import", Allow::Stopped).unwrap());
            assert!(store.stat(&dirty).unwrap().is_none());
        },
    );
    assert!(met > 3, "{met}");
}

#[test]
fn what_is_not_prepared_has_no_run() {
    let (store, _) = usual();
    let (inner, once) = (store.clone(), AtomicU32::new(0));
    let run = Path::new(WORK).join("run.toml");
    let pool = hooked(&store, move |operation, path| {
        let is_written = inner.stat(&run).unwrap().is_some();
        if operation == "sync_dir"
            && path == Path::new(WORK)
            && is_written
            && once.fetch_add(1, Ordering::SeqCst) == 0
        {
            return Err(io::Error::other("the disk is gone"));
        }
        Ok(())
    });
    let guard = Guard::take(&pool, &name("work"), "prepare", Allow::Stopped).unwrap();
    vm::prepare(&pool, &guard, Run::new(vm::PREPARE).unwrap()).unwrap_err();
    drop(guard);
    let status = vm::status(&pool, &pool.vm(&name("work")).unwrap()).unwrap();
    assert_eq!(status, Status::Stopped);
}

#[test]
fn a_volatile_disk_has_room_for_the_root_that_was_started() {
    let (store, _) = usual();
    let (inner, once) = (store.clone(), AtomicU32::new(0));
    let larger = Bytes::mib(64);
    let pool = hooked(&store, move |operation, path| {
        let root = Path::new(DEBIAN).join("root.img");
        if operation == "link" && path == root && once.fetch_add(1, Ordering::SeqCst) == 0 {
            let pool = over(&inner);
            let volume = pool.vm(&name("debian")).unwrap().volume(&pool, &id("debian:root").volume);
            pool.driver().resize(&volume.unwrap(), larger, false).unwrap();
        }
        Ok(())
    });
    let _guard = start(&pool, "work").unwrap();
    let size = |file: &str| store.stat(&Path::new(WORK).join(file)).unwrap().unwrap().size;
    assert_eq!(size("root.img"), larger);
    let swap = pool.vm(&name("work")).unwrap().record.volatile.swap;
    assert_eq!(size("volatile-dirty.img"), vm::volatile_size(larger, swap));
}

#[test]
fn a_removal_takes_a_lock_that_is_made_meanwhile() {
    let (store, _) = usual();
    let inner = store.clone();
    let pool = hooked(&store, move |operation, path| {
        if operation == "rename" && path == Path::new(WORK) {
            drop(inner.lock(&path.join(".private.lock"), Wait::No).unwrap());
        }
        Ok(())
    });
    let removed = vm::remove(&pool, &name("work")).unwrap();
    assert!(removed.left.is_empty(), "{removed:?}");
    assert!(store.names(Path::new("appvms")).unwrap().is_empty());
}

#[test]
fn a_removal_is_not_finished_of_what_somebody_works_on() {
    let (store, pool) = usual();
    app_vm(&pool, "other", "debian").unwrap();
    let file = Path::new(WORK).join("vm.toml");
    store.rename(&file, &Path::new(WORK).join("vm.toml.removing")).unwrap();
    let lock = store.lock(&Path::new(WORK).join(".lock"), Wait::No).unwrap();
    vm::remove(&pool, &name("other")).unwrap();
    assert!(store.stat(&Path::new(WORK).join("private.img")).unwrap().is_some());
    drop(lock);
    vm::sweep(&pool).unwrap();
    assert!(store.names(Path::new("appvms")).unwrap().is_empty());
}

/// On two hosts a lock may be free and the boot another one, and the disks in use.
#[test]
fn what_another_host_runs_is_left_alone() {
    let (store, pool) = usual();
    for engine in [vm::PREPARE, "qemu"] {
        let guard = Guard::take(&pool, &name("work"), "start", Allow::Stopped).unwrap();
        let mut run = Run::new(engine).unwrap();
        if run.machine.is_none() {
            eprintln!("skipped: this machine has no /etc/machine-id");
            return;
        }
        run.boot = uuid::Uuid::from_u128(1);
        run.machine = Some("0123".into());
        run.host = Some("other-host".into());
        vm::prepare(&pool, &guard, run).unwrap();
        drop(guard);
        let before = tree(&store);
        for allow in [Allow::Stopped, Allow::Prepared] {
            match Guard::take(&pool, &name("work"), "start", allow).unwrap_err() {
                Error::Refused(refusal) => assert!(refusal.text.contains("other-host")),
                error => panic!("{error}"),
            }
        }
        assert_eq!(vm::remove(&pool, &name("work")).unwrap().later, [vm::Reference::Runs]);
        vm::sweep(&pool).unwrap();
        vm::set(&pool, &name("work"), &[("volatile", "no")]).unwrap();
        assert_eq!(tree(&store), before);
        store.remove(&Path::new(WORK).join("run.toml")).unwrap();
    }
}
