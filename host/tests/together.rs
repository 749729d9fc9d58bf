//! What somebody else does in the middle of a command, in memory.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod hooked;
mod pools;

use ebbtide::{
    error::{Error, RefusalKind},
    pool::{
        Pool,
        driver::{Ending, Outcome},
        store::{Progress, Store as _, Wait},
    },
    vm::{self, Allow, Guard, Pick},
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
    let (inner, lock) = (store.clone(), root.clone());
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
