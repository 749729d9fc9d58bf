//! Names that others have, marks, settings that are refused, and records that nobody can read.

use crate::{is_mended, is_whole, pools::*};
use ebbtide::{
    Error, Result,
    error::RefusalKind,
    pool::{
        Pool,
        driver::{Ending, MemoryStore},
        store::{Store as _, Unseen},
    },
    vm::{self, Allow, Guard, Instance},
};
use std::path::Path;

fn set(pool: &Pool, text: &str, settings: &[(&str, &str)]) -> Result<Vec<String>> {
    vm::set(pool, &name(text), settings)
}

fn names(pool: &Pool) -> Vec<String> {
    pool.vms().unwrap().vms.iter().map(|vm| vm.name.to_string()).collect()
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(result: Result<T>, wanted: RefusalKind) {
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.kind == wanted), "{error}");
}

/// `debian`, versioned with history, with versions `1` to `3`; nothing boots from it.
fn history() -> (MemoryStore, Pool) {
    let (store, pool) = empty();
    template(&pool, "debian").unwrap();
    set(&pool, "debian", &[("versioned", "auto"), ("history", "yes")]).unwrap();
    for content in [b"two", b"tre"] {
        run(&pool, &store, "debian-next", "root", content, Ending::Commit);
        vm::follow_up(&pool).unwrap();
    }
    assert_eq!(names(&pool), ["debian-next", "debian-v1", "debian-v2", "debian-v3"]);
    (store, pool)
}

/// Makes the record of a VM one that nobody can read.
fn spoil(store: &MemoryStore, dir: &str) {
    store.write(&Path::new(dir).join("vm.toml"), 0, b"format = what?\n").unwrap();
}

#[test]
fn a_removal_takes_the_versions_along_at_once() {
    let (_, pool) = history();
    vm::remove(&pool, &name("debian-next")).unwrap();
    assert!(names(&pool).is_empty(), "{:?}", names(&pool));
}

#[test]
fn a_removal_that_is_cut_off_leaves_all_of_the_history_or_none() {
    let (store, pool) = history();
    let all = names(&pool);
    let (mut olds, mut news) = (0, 0);
    let act = |pool: &Pool| vm::remove(pool, &name("debian-next")).map(drop);
    cut_everywhere(&store, act, |_, pool| {
        vm::sweep(pool).unwrap();
        is_mended(pool);
        match names(pool) {
            left if left.is_empty() => news += 1,
            left => {
                assert_eq!(left, all);
                olds += 1;
            }
        }
    });
    assert!(olds > 1 && news > 1, "{olds} old, {news} new");
}

#[test]
fn a_template_that_is_to_go_stays_while_a_record_cannot_be_read() {
    let (store, pool) = usual();
    assert_eq!(vm::remove(&pool, &name("debian")).unwrap().later.len(), 1);
    let record = store.read(Path::new("appvms/work/vm.toml")).unwrap();
    spoil(&store, "appvms/work");
    vm::follow_up(&pool).unwrap();
    vm::sweep(&pool).unwrap();
    assert_eq!(names(&pool), ["debian"]);
    store.write(Path::new("appvms/work/vm.toml"), 0, &record).unwrap();
    vm::remove(&pool, &name("work")).unwrap();
    assert!(names(&pool).is_empty());
}

#[test]
fn what_is_immutable_is_not_reverted() {
    let (store, pool) = usual();
    let guard = Guard::take(&pool, &name("work"), "snapshot", Allow::Stopped).unwrap();
    let snapshot = vm::snapshot(&pool, &guard, None, None, &mut Unseen).unwrap();
    drop(guard);
    run(&pool, &store, "work", "private", b"new", Ending::Commit);
    set(&pool, "work", &[("immutable", "yes")]).unwrap();
    is_refused(vm::revert_vm(&pool, &snapshot), RefusalKind::Rule);
    assert_eq!(version(&store, &dir(&pool, "work"), "private"), b"new");
}

#[test]
fn a_replacement_that_was_cut_off_waits_for_what_was_started_since() {
    let (store, _) = usual();
    let act = |pool: &Pool| vm::replace(pool, &name("debian"), &name("new")).map(drop);
    let mut waited = 0;
    cut_everywhere(&store, act, |_, pool| {
        let template = || pool.vm(&name("work")).unwrap().record.template.unwrap();
        let before = template();
        let running = start(pool, "work").unwrap();
        vm::sweep(pool).unwrap();
        assert_eq!(template(), before, "a template is one of a VM that is stopped");
        vm::release(pool, &running, Ending::Commit).unwrap();
        drop(running);
        vm::follow_up(pool).unwrap();
        waited += u32::from(template() != before);
        let wanted = if pool.vm(&name("new")).is_ok() { "new" } else { "debian" };
        assert_eq!(template(), name(wanted));
        is_mended(pool);
    });
    assert!(waited > 0);
}
