//! Changes of several VMs, cut before each change to a file: the next command comes to the old or the new.

use crate::{is_mended, pools::*};
use ebbtide::{
    Result,
    pool::{
        Pool,
        driver::{Ending, memory::MemoryStore},
    },
    vm,
};

/// What boots from a name, by the content that a start of it gives.
fn boots(store: &MemoryStore, pool: &Pool, text: &str) -> Vec<u8> {
    let guard = start(pool, text).unwrap();
    let content = version(store, &dir(pool, text), "root");
    vm::release(pool, &guard, Ending::Commit).unwrap();
    content
}

fn names(pool: &Pool) -> Vec<String> {
    pool.vms().unwrap().vms.iter().map(|vm| vm.name.to_string()).collect()
}

fn set(pool: &Pool, text: &str, key: &str, value: &str) -> Result<()> {
    vm::set(pool, &name(text), &[(key, value)]).map(drop)
}

/// Cuts, lets the next command go on, and looks at the VMs that are there then: `old` or `new`.
fn old_or_new(
    store: &MemoryStore,
    act: impl Fn(&Pool) -> Result<()>,
    old: &[&str],
    new: &[&str],
    content: &[&[u8]],
) {
    let (mut olds, mut news) = (0, 0);
    let cuts = cut_everywhere(store, &act, |store, _| {
        for store in store.power_cuts(6).iter().chain([store]) {
            let pool = &over(store);
            vm::sweep(pool).unwrap();
            is_mended(pool);
            let found = names(pool);
            if found == new {
                news += 1;
            } else {
                assert_eq!(found, old);
                olds += 1;
                act(pool).unwrap();
                assert_eq!(names(pool), new);
            }
            assert!(content.contains(&&*boots(store, pool, "work")));
            is_mended(pool);
        }
    });
    assert!(cuts > 4 && olds > 0 && news > 0, "{cuts} cuts, {olds} old, {news} new");
}

fn written() -> (MemoryStore, Pool) {
    let (store, pool) = usual();
    run(&pool, &store, "debian", "root", b"one", Ending::Commit);
    (store, pool)
}

#[test]
fn becoming_versioned_is_done_or_not() {
    let (store, _) = written();
    let act = |pool: &Pool| set(pool, "debian", "versioned", "auto");
    old_or_new(&store, act, &["debian", "work"], &["debian-next", "debian-v1", "work"], &[b"one"]);
}

#[test]
fn the_end_of_versions_is_done_or_not() {
    let (store, pool) = written();
    set(&pool, "debian", "versioned", "auto").unwrap();
    let act = |pool: &Pool| set(pool, "debian-next", "versioned", "no");
    old_or_new(&store, act, &["debian-next", "debian-v1", "work"], &["debian", "work"], &[b"one"]);
}

#[test]
fn a_version_is_there_as_a_whole() {
    let (store, pool) = written();
    set(&pool, "debian", "versioned", "manual").unwrap();
    run(&pool, &store, "debian-next", "root", b"two", Ending::Commit);
    let act = |pool: &Pool| vm::make_version(pool, &name("debian-next")).map(drop);
    let old = ["debian-next", "debian-v1", "work"];
    let new = ["debian-next", "debian-v2", "work"];
    cut_everywhere(&store, act, |store, pool| {
        vm::sweep(pool).unwrap();
        is_mended(pool);
        let found = names(pool);
        assert!(found == old || found == new, "{found:?}");
        let content = boots(store, pool, "work");
        assert_eq!(content == b"one", found == old, "{found:?}");
        act(pool).unwrap();
    });
}

#[test]
fn a_version_that_is_due_is_made_by_the_next_command() {
    let (store, pool) = written();
    set(&pool, "debian", "versioned", "auto").unwrap();
    // The commit of a clean stop, and a cut before its version.
    run(&pool, &store, "debian-next", "root", b"two", Ending::Commit);
    assert_eq!(boots(&store, &pool, "work"), b"one");
    let said = vm::follow_up(&pool).unwrap().join(" ");
    assert!(said.contains("debian-v2 is the newest version"), "{said}");
    assert_eq!(boots(&store, &pool, "work"), b"two");
    assert_eq!(names(&pool), ["debian-next", "debian-v2", "work"]);
    assert!(vm::follow_up(&pool).unwrap().is_empty());
}

#[test]
fn a_replacement_that_is_cut_is_finished() {
    let (store, pool) = written();
    vm::clone(&pool, &name("debian"), &name("copy")).unwrap();
    let act = |pool: &Pool| vm::replace(pool, &name("debian"), &name("new")).map(drop);
    let links = |pool: &Pool| {
        let record = |text: &str| pool.vm(&name(text)).unwrap().record;
        (record("work").template.unwrap(), record("copy").base.unwrap())
    };
    let cuts = cut_everywhere(&store, act, |_, pool| {
        vm::sweep(pool).unwrap();
        is_mended(pool);
        let wanted = if pool.vm(&name("new")).is_ok() { "new" } else { "debian" };
        assert_eq!(links(pool), (name(wanted), name(wanted)));
    });
    assert!(cuts > 8, "{cuts}");
}

#[test]
fn a_removal_that_is_cut_leaves_clones_as_they_are() {
    let (store, pool) = written();
    vm::clone(&pool, &name("debian"), &name("copy")).unwrap();
    vm::clone(&pool, &name("copy"), &name("more")).unwrap();
    let act = |pool: &Pool| vm::remove(pool, &name("copy")).map(drop);
    cut_everywhere(&store, act, |store, pool| {
        vm::sweep(pool).unwrap();
        is_mended(pool);
        assert_eq!(version(store, &dir(pool, "more"), "root"), b"one");
        if pool.vm(&name("copy")).is_err() {
            assert_eq!(pool.vm(&name("more")).unwrap().record.base, Some(name("debian")));
        }
    });
}
