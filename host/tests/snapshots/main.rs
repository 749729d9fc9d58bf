//! Snapshots of VMs: taken, gone back to, cloned and removed, each cut before every change.

#![allow(clippy::unwrap_used, reason = "a test")]

mod clone;
mod remove;
mod revert;
mod taken;
mod tree;

#[path = "../pools/mod.rs"]
mod pools;

use ebbtide::{
    pool::{
        Pool,
        check::{Severity, check},
        driver::{Ending, MemoryStore},
        store::{Store as _, Unseen},
    },
    vm::{self, Allow, Guard, Snapshot, Vm},
};
use pools::*;
use std::path::{Path, PathBuf};
use uuid::Uuid;

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

/// Returns what a VM is now.
fn vm_of(pool: &Pool, text: &str) -> Vm {
    pool.vm(&name(text)).unwrap()
}

/// Writes bytes to the private disk of a VM, commits them, and takes a snapshot.
fn step(store: &MemoryStore, pool: &Pool, text: &str, bytes: &[u8]) -> Snapshot {
    run(pool, store, text, "private", bytes, Ending::Commit);
    take(pool, text).unwrap()
}

/// Returns the UUIDs of all snapshots with their parents, and asserts that all can be read.
fn parents(pool: &Pool) -> Vec<(Uuid, Option<Uuid>)> {
    let (found, unreadable) = vm::snapshots(pool).unwrap();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    found.iter().map(|snapshot| (snapshot.uuid, snapshot.parent)).collect()
}

/// Asserts that a pool has nothing that needs a decision, and nothing at all but notes once it was swept.
fn is_sound(pool: &Pool) {
    vm::sweep(pool).unwrap();
    let mut findings = check(pool).unwrap().findings;
    // The next image is not synced, and nobody believes it after a power cut.
    findings.retain(|finding| finding.problem.name() != "precache-stale");
    assert!(findings.iter().all(|finding| finding.severity() == Severity::Note), "{findings:?}");
}
