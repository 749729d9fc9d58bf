//! Clones that a start makes.

use crate::{is_whole, pools::*};
use ebbtide::{
    Error,
    error::RefusalKind,
    pool::{driver::Ending, repair},
    vm::{self, Instance, Run},
};

fn started(pool: &ebbtide::pool::Pool, of: &str, what: Instance) -> vm::Guard {
    let guard = vm::instance(pool, &name(of), what).unwrap();
    vm::prepare(pool, &guard, Run::new("qemu").unwrap()).unwrap();
    guard
}

#[test]
fn disposables_begin_with_what_the_vm_keeps_and_leave_nothing() {
    let (store, pool) = usual();
    run(&pool, &store, "work", "private", b"mine", Ending::Commit);
    let before = tree(&store);
    let one = started(&pool, "work", Instance::Disposable);
    let two = started(&pool, "work", Instance::Disposable);
    let names = [&one, &two].map(|guard| guard.vm().name.to_string());
    assert_eq!(names, ["work-disp1", "work-disp2"]);
    write(&store, &one.vm().dir, "private", b"one!");
    write(&store, &two.vm().dir, "private", b"two!");
    // The VM itself runs beside them, and is removed only after them.
    let itself = start(&pool, "work").unwrap();
    vm::release(&pool, &itself, Ending::Commit).unwrap();
    drop(itself);
    assert_eq!(vm::remove(&pool, &name("work")).unwrap().later.len(), 2);
    vm::set(&pool, &name("work"), &[("volatile", "no")]).unwrap();
    for guard in [one, two] {
        vm::release(&pool, &guard, Ending::Discard).unwrap();
        drop(guard);
        vm::follow_up(&pool).unwrap();
        is_whole(&pool);
    }
    assert_eq!(version(&store, &dir(&pool, "work"), "private"), b"mine");
    let mut after = tree(&store);
    after.retain(|path| !path.ends_with("-precache.img"));
    assert_eq!(after, before);
}

#[test]
fn a_disposable_that_is_about_to_start_is_nobodys_leftover() {
    let (_, pool) = usual();
    let guard = vm::instance(&pool, &name("work"), Instance::Disposable).unwrap();
    vm::sweep(&pool).unwrap();
    assert!(pool.vm(&name("work-disp1")).is_ok());
    drop(guard);
    // Its starter is gone.
    vm::sweep(&pool).unwrap();
    assert!(pool.vm(&name("work-disp1")).is_err());
}

#[test]
fn a_disposable_that_went_down_with_the_host_goes_by_a_repair() {
    let (store, pool) = usual();
    let before = tree(&store);
    let guard = started(&pool, "work", Instance::Disposable);
    write(&store, &guard.vm().dir, "private", b"one!");
    drop(guard);
    let repaired = repair::repair(&pool).unwrap();
    assert!(repaired.is_clean(), "{:?}", repaired.left);
    assert!(repaired.done.iter().any(|said| said.contains("work-disp1")), "{:?}", repaired.done);
    assert_eq!(tree(&store), before);
}

#[test]
fn an_immutable_vm_is_started_as_clones_that_stay() {
    let (store, pool) = usual();
    vm::set(&pool, &name("work"), &[("immutable", "yes")]).unwrap();
    let refused = start(&pool, "work").unwrap_err();
    assert!(matches!(refused, Error::Refused(refusal) if refusal.kind == RefusalKind::Rule));
    let guard = started(&pool, "work", Instance::Kept);
    assert_eq!(guard.vm().name, name("work-inst1"));
    let refused = vm::set(&pool, &name("work"), &[("immutable", "no")]).unwrap_err();
    assert!(refused.to_string().contains("work-inst1, a start of it, runs"), "{refused}");
    write(&store, &guard.vm().dir, "private", b"kept");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    vm::set(&pool, &name("work"), &[("immutable", "no")]).unwrap();
    assert_eq!(version(&store, &dir(&pool, "work-inst1"), "private"), b"kept");
    assert_eq!(version(&store, &dir(&pool, "work"), "private"), b"");
    is_whole(&pool);
}

#[test]
fn by_the_name_of_versions_it_is_the_newest() {
    let (store, pool) = usual();
    vm::set(&pool, &name("debian"), &[("versioned", "auto")]).unwrap();
    run(&pool, &store, "debian-next", "root", b"two", Ending::Commit);
    vm::follow_up(&pool).unwrap();
    let guard = started(&pool, "debian", Instance::Disposable);
    assert_eq!(guard.vm().name, name("debian-disp1"));
    assert_eq!(guard.vm().record.base, Some(name("debian-v2")));
    assert_eq!(version(&store, &guard.vm().dir, "root"), b"two");
    // It can be worked on meanwhile, and what has started keeps its version.
    run(&pool, &store, "debian-next", "root", b"tre", Ending::Commit);
    vm::follow_up(&pool).unwrap();
    assert!(pool.vm(&name("debian-v2")).is_ok(), "a start of it runs");
    vm::release(&pool, &guard, Ending::Discard).unwrap();
    drop(guard);
    vm::follow_up(&pool).unwrap();
    assert!(pool.vm(&name("debian-v2")).is_err());
    is_whole(&pool);
}

#[test]
fn nothing_is_started_of_a_start_that_is_to_go() {
    let (_, pool) = usual();
    vm::set(&pool, &name("work"), &[("immutable", "yes")]).unwrap();
    let kept = started(&pool, "work", Instance::Kept);
    vm::remove(&pool, &name("work-inst1")).unwrap();
    vm::instance(&pool, &name("work-inst1"), Instance::Disposable).unwrap_err();
    // But of one that goes when it stops, which nobody has asked for.
    let one = started(&pool, "work", Instance::Disposable);
    let of_it = started(&pool, "work-disp1", Instance::Disposable);
    assert_eq!(of_it.vm().record.base, Some(name("work-disp1")));
    for guard in [kept, one] {
        vm::release(&pool, &guard, Ending::Discard).unwrap();
        drop(guard);
        vm::follow_up(&pool).unwrap();
    }
    assert!(pool.vm(&name("work-inst1")).is_err());
    assert!(pool.vm(&name("work-disp1")).is_ok(), "a start of it runs");
    drop(of_it);
    vm::follow_up(&pool).unwrap();
    assert_eq!(pool.vms().unwrap().vms.len(), 2);
    is_whole(&pool);
}

#[test]
fn an_old_version_that_is_to_go_is_not_what_a_vm_that_is_versioned_again_is_started_as() {
    let (_, pool) = usual();
    vm::set(&pool, &name("work"), &[("versioned", "auto")]).unwrap();
    let guard = started(&pool, "work", Instance::Kept);
    vm::set(&pool, &name("work-next"), &[("versioned", "no")]).unwrap();
    vm::set(&pool, &name("work"), &[("versioned", "auto")]).unwrap();
    assert!(pool.vm(&name("work-v1")).unwrap().record.flags.volatile, "a start of it runs");
    let base = |vm: &str| pool.vm(&name(vm)).unwrap().record.base.unwrap().to_string();
    assert_eq!((base("work-v1"), base("work-v2")), ("work-v2".into(), "work-next".into()));
    let second = started(&pool, "work", Instance::Kept);
    assert_eq!(second.vm().record.base, Some(name("work-v2")));
    for guard in [guard, second] {
        vm::release(&pool, &guard, Ending::Discard).unwrap();
    }
    vm::follow_up(&pool).unwrap();
    assert!(pool.vm(&name("work-v1")).is_err());
    is_whole(&pool);
}
