//! Clones, starts and versions of each kind of VM, and of names as long as may be.

use crate::{is_whole, pools::*};
use ebbtide::{
    Error,
    error::RefusalKind,
    pool::{Pool, driver::Ending, driver::MemoryStore, store::Store as _},
    vm::{self, Instance, NewVm, Run, record::RootCow},
};
use ebbtide_format::units::Bytes;

/// A template with something in its root, and an AppVM of it that is not the usual one.
fn with(new: NewVm) -> (MemoryStore, Pool) {
    let (store, pool) = empty();
    template(&pool, "debian").unwrap();
    run(&pool, &store, "debian", "root", b"sys", Ending::Commit);
    vm::create(&pool, &name("work"), &NewVm { private: SIZE, ..new }).unwrap();
    (store, pool)
}

fn usual_vm() -> NewVm {
    NewVm::new(name("debian"))
}

fn is_there(store: &MemoryStore, pool: &Pool, vm: &str, file: &str) -> bool {
    store.stat(&dir(pool, vm).join(file)).unwrap().is_some()
}

#[test]
fn a_root_that_the_host_copies_is_no_disk_of_a_clone() {
    let (store, pool) = with(NewVm { root_cow: RootCow::Host, ..usual_vm() });
    run(&pool, &store, "work", "root", b"junk", Ending::Commit);
    vm::clone(&pool, &name("work"), &name("copy")).unwrap();
    assert!(!is_there(&store, &pool, "copy", "root.img"));
    assert_eq!(pool.vm(&name("copy")).unwrap().record.root.cow, RootCow::Host);
    let running = start(&pool, "copy").unwrap();
    assert_eq!(store.bytes(&dir(&pool, "copy").join("root-dirty.img"), 0, 3).unwrap(), b"sys");
    vm::release(&pool, &running, Ending::Commit).unwrap();
    is_whole(&pool);
}

#[test]
fn a_root_of_its_own_is_the_clones_too() {
    let (store, pool) = with(NewVm { own_root: true, ..usual_vm() });
    // Before its first start it has none, and each gets the template's at its own first start.
    vm::clone(&pool, &name("work"), &name("early")).unwrap();
    assert!(!is_there(&store, &pool, "early", "root.img"));
    run(&pool, &store, "work", "root", b"mine", Ending::Commit);
    vm::clone(&pool, &name("work"), &name("late")).unwrap();
    run(&pool, &store, "debian", "root", b"new", Ending::Commit);
    for (of, wanted) in [("early", b"new".as_slice()), ("late", b"mine")] {
        let running = start(&pool, of).unwrap();
        assert_eq!(version(&store, &dir(&pool, of), "root"), wanted, "{of}");
        vm::release(&pool, &running, Ending::Commit).unwrap();
    }
    vm::remove(&pool, &name("work")).unwrap();
    assert_eq!(version(&store, &dir(&pool, "late"), "root"), b"mine");
    is_whole(&pool);
}

#[test]
fn a_vm_without_a_private_disk_has_clones_without_one() {
    let (store, pool) = with(usual_vm());
    let none = NewVm { private: Bytes(0), ..usual_vm() };
    vm::create(&pool, &name("bare"), &none).unwrap();
    vm::set(&pool, &name("bare"), &[("versioned", "auto")]).unwrap();
    let guard = vm::instance(&pool, &name("bare"), Instance::Kept).unwrap();
    assert_eq!(guard.vm().record.base, Some(name("bare-v1")));
    vm::prepare(&pool, &guard, Run::new("qemu").unwrap()).unwrap();
    assert!(!is_there(&store, &pool, "bare-inst1", "private.img"));
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    // It keeps nothing, so no run of it makes another version.
    vm::release(&pool, &start(&pool, "bare-next").unwrap(), Ending::Commit).unwrap();
    vm::follow_up(&pool).unwrap();
    assert!(pool.vm(&name("bare-v1")).is_ok());
    is_whole(&pool);
}

#[test]
fn versions_of_an_app_vm_are_of_what_it_keeps() {
    let (store, pool) = with(usual_vm());
    vm::set(&pool, &name("work"), &[("versioned", "auto")]).unwrap();
    run(&pool, &store, "work-next", "private", b"mine", Ending::Commit);
    vm::follow_up(&pool).unwrap();
    // Its template may go on meanwhile.
    run(&pool, &store, "debian", "root", b"new", Ending::Commit);
    let guard = vm::instance(&pool, &name("work"), Instance::Kept).unwrap();
    vm::prepare(&pool, &guard, Run::new("qemu").unwrap()).unwrap();
    assert_eq!(
        (guard.vm().name.as_str(), guard.vm().dir.parent()),
        ("work-inst1", Some("appvms".as_ref()))
    );
    assert_eq!(version(&store, &guard.vm().dir, "private"), b"mine");
    assert_eq!(version(&store, &guard.vm().dir, "root"), b"new");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    // It refers to its template by its working VM, each version and each start.
    let later = vm::remove(&pool, &name("debian")).unwrap().later;
    assert_eq!(later.len(), 3, "{later:?}");
    vm::remove(&pool, &name("work-inst1")).unwrap();
    vm::remove(&pool, &name("work-next")).unwrap();
    assert_eq!(tree(&store), ["appvms", "snapshots", "vm-templates"]);
}

#[test]
fn names_that_would_be_too_long_are_refused_and_nothing_is_left() {
    let (store, pool) = empty();
    let named = |length: usize| "n".repeat(length);
    for (length, has_instance, has_versions) in
        [(200, false, false), (196, false, false), (195, false, true), (194, true, true)]
    {
        let text = named(length);
        template(&pool, &text).unwrap();
        let before = tree(&store);
        let made = vm::instance(&pool, &name(&text), Instance::Disposable);
        assert_eq!(made.is_ok(), has_instance, "{length}");
        drop(made);
        vm::follow_up(&pool).unwrap();
        assert_eq!(tree(&store), before);
        let set = vm::set(&pool, &name(&text), &[("memory", "2G"), ("versioned", "auto")]);
        if has_versions {
            set.unwrap();
            assert_eq!(pool.vm(&name(&text)).unwrap().name, name(&format!("{text}-v1")));
            is_whole(&pool);
            vm::remove(&pool, &name(&format!("{text}-next"))).unwrap();
        } else {
            assert!(
                matches!(set, Err(Error::Refused(refusal)) if refusal.kind == RefusalKind::Invalid)
            );
            assert_eq!(pool.vm(&name(&text)).unwrap().record.engine, vm::record::Engine::default());
            assert_eq!(tree(&store), before);
            vm::remove(&pool, &name(&text)).unwrap();
        }
    }
    assert_eq!(tree(&store), ["appvms", "snapshots", "vm-templates"]);
}
