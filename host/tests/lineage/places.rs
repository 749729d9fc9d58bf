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
fn settings_are_changed_all_or_none() {
    let (_, pool) = usual();
    let record = |text: &str| pool.vm(&name(text)).unwrap().record;
    let before = record("debian");
    for settings in [
        [("immutable", "yes"), ("versioned", "auto")],
        [("volatile", "yes"), ("versioned", "auto")],
        [("memory", "2G"), ("ready", "3")],
    ] {
        set(&pool, "debian", &settings).unwrap_err();
        assert_eq!(record("debian"), before, "{settings:?}");
    }
    let running = start(&pool, "debian").unwrap();
    let settings = [("memory", "2G"), ("versioned", "auto")];
    is_refused(set(&pool, "debian", &settings), RefusalKind::Busy);
    assert_eq!(record("debian"), before);
    vm::release(&pool, &running, Ending::Discard).unwrap();
    drop(running);
    set(&pool, "debian", &settings).unwrap();
    let before = record("debian-next");
    assert_ne!(before.engine, vm::record::Engine::default());
    // The same for the end of its versions.
    let _running = start(&pool, "debian-next").unwrap();
    let settings = [("memory", "1G"), ("versioned", "no")];
    is_refused(set(&pool, "debian-next", &settings), RefusalKind::Busy);
    assert_eq!(record("debian-next"), before);
}

#[test]
fn a_setting_after_a_revert_that_was_cut_off_keeps_what_was_reverted() {
    let (store, pool) = usual();
    let guard = Guard::take(&pool, &name("work"), "snapshot", Allow::Stopped).unwrap();
    let snapshot = vm::snapshot(&pool, &guard, None, None, &mut Unseen).unwrap();
    drop(guard);
    set(&pool, "work", &[("memory", "2G")]).unwrap();
    run(&pool, &store, "work", "private", b"new", Ending::Commit);
    let act = |pool: &Pool| vm::revert_vm(pool, &snapshot).map(drop);
    cut_everywhere(&store, act, |store, pool| {
        set(pool, "work", &[("immutable", "yes")]).unwrap();
        let record = pool.vm(&name("work")).unwrap().record;
        let is_reverted = version(store, &dir(pool, "work"), "private").is_empty();
        assert_eq!(record.engine == vm::record::Engine::default(), is_reverted);
        assert!(record.flags.immutable);
    });
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
fn versions_pass_over_names_that_others_have() {
    let (store, pool) = usual();
    template(&pool, "debian-v1").unwrap();
    app_vm(&pool, "debian-v3", "debian").unwrap();
    store.make_dir(Path::new("vm-templates/debian-v4")).unwrap();
    store.write_new(Path::new("vm-templates/debian-v4/mine.txt"), b"mine").unwrap();
    set(&pool, "debian", &[("versioned", "auto")]).unwrap();
    run(&pool, &store, "debian-next", "root", b"two", Ending::Commit);
    vm::follow_up(&pool).unwrap();
    assert_eq!(pool.vm(&name("debian")).unwrap().name, name("debian-v5"));
    let names = names(&pool);
    assert_eq!(names, ["debian-next", "debian-v1", "debian-v3", "debian-v5", "work"]);
}

#[test]
fn a_version_that_cannot_be_read_keeps_nobody_else_from_work() {
    let (store, pool) = history();
    template(&pool, "other").unwrap();
    app_vm(&pool, "play", "other").unwrap();
    run(&pool, &store, "debian-next", "root", b"four", Ending::Commit);
    spoil(&store, "vm-templates/debian-v2");
    vm::follow_up(&pool).unwrap();
    vm::clone(&pool, &name("other"), &name("copy")).unwrap();
    set(&pool, "play", &[("memory", "1G")]).unwrap();
    drop(vm::instance(&pool, &name("play"), Instance::Disposable).unwrap());
    // Nothing is made or removed of those that it is one of.
    let found = names(&pool).into_iter().filter(|name| name.starts_with("debian"));
    assert_eq!(found.collect::<Vec<_>>(), ["debian-next", "debian-v1", "debian-v3"]);
}

#[test]
fn the_name_of_versions_is_nobody_elses_even_without_one() {
    let (_, pool) = empty();
    template(&pool, "debian").unwrap();
    set(&pool, "debian", &[("versioned", "manual")]).unwrap();
    let running = start(&pool, "debian-next").unwrap();
    vm::remove(&pool, &name("debian-v1")).unwrap();
    assert_eq!(names(&pool), ["debian-next"]);
    is_refused(template(&pool, "debian"), RefusalKind::Exists);
    is_refused(vm::clone(&pool, &name("debian-next"), &name("debian")), RefusalKind::Exists);
    vm::release(&pool, &running, Ending::Commit).unwrap();
    drop(running);
    vm::follow_up(&pool).unwrap();
    assert_eq!(names(&pool), ["debian-next", "debian-v1"]);
    // What has the name of a working VM already is not given that of one more.
    template(&pool, "play-next").unwrap();
    is_refused(set(&pool, "play-next", &[("versioned", "auto")]), RefusalKind::Rule);
}

#[test]
fn what_boots_from_the_working_vm_itself_goes_with_its_name() {
    let (_, pool) = usual();
    set(&pool, "debian", &[("versioned", "auto")]).unwrap();
    set(&pool, "work", &[("template", "debian-next")]).unwrap();
    vm::clone(&pool, &name("debian-next"), &name("copy")).unwrap();
    let running = start(&pool, "work").unwrap();
    is_refused(set(&pool, "debian-next", &[("versioned", "no")]), RefusalKind::Busy);
    vm::release(&pool, &running, Ending::Commit).unwrap();
    drop(running);
    set(&pool, "debian-next", &[("versioned", "no")]).unwrap();
    assert_eq!(names(&pool), ["copy", "debian", "work"]);
    let record = |text: &str| pool.vm(&name(text)).unwrap().record;
    assert_eq!(record("work").template, Some(name("debian")));
    assert_eq!(record("copy").base, Some(name("debian")));
    is_whole(&pool);
}

#[test]
fn nothing_new_boots_from_what_is_to_go() {
    let (_, pool) = usual();
    template(&pool, "fedora").unwrap();
    vm::remove(&pool, &name("debian")).unwrap();
    app_vm(&pool, "play", "fedora").unwrap();
    is_refused(set(&pool, "play", &[("template", "debian")]), RefusalKind::Rule);
    is_refused(app_vm(&pool, "more", "debian"), RefusalKind::Rule);
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

#[test]
fn a_version_that_waits_to_go_is_seen_however_that_came() {
    for settings in [Some([("versioned", "no")]), None] {
        let (_, pool) = history();
        let started = vm::instance(&pool, &name("debian"), Instance::Kept).unwrap();
        match settings {
            Some(settings) => drop(set(&pool, "debian-next", &settings).unwrap()),
            None => drop(vm::remove(&pool, &name("debian-next")).unwrap()),
        }
        let flags = pool.vm(&name("debian-v3")).unwrap().record.flags;
        assert_eq!((flags.volatile, flags.internal), (true, false));
        drop(started);
        vm::follow_up(&pool).unwrap();
        assert!(pool.vm(&name("debian-v3")).is_err());
    }
}
