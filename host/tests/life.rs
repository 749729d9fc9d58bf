//! VMs from start to stop, in memory.

#![allow(clippy::unwrap_used, reason = "a beginning that cannot be made fails its test")]

mod pools;

use ebbtide::{
    error::{Error, RefusalKind},
    pool::{
        driver::{Ending, Outcome},
        store::Store as _,
    },
    vm::{self, Allow, Guard, Pick, Run, Status},
};
use ebbtide_format::units::Bytes;
use pools::*;
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const WORK: &str = "appvms/work";
const DEBIAN: &str = "vm-templates/debian";

fn refused<T: std::fmt::Debug>(result: ebbtide::Result<T>, kind: RefusalKind) -> String {
    match result.unwrap_err() {
        Error::Refused(refusal) if refusal.kind == kind => {
            format!("{refusal} {}", refusal.hint.as_deref().unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_to_the_private_disk_is_kept_and_nothing_else() {
    let (store, pool) = usual();
    let before = tree(&store);
    let guard = start(&pool, "work").unwrap();
    write(&store, Path::new(WORK), "private", b"home");
    write(&store, Path::new(WORK), "volatile", b"cow");
    let outcomes = vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert!(matches!(outcomes[1].1, Outcome::Committed(_)), "{outcomes:?}");
    assert_eq!(outcomes[0].1, Outcome::Forgotten);
    assert_eq!(version(&store, Path::new(WORK), "private"), b"home");
    let after = tree(&store);
    let new: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
    assert!(new.iter().all(|path| path.contains("private.img.1@")), "{new:?}");
}

#[test]
fn a_root_is_the_templates_version_of_the_start_and_becomes_outdated() {
    let (store, pool) = usual();
    run(&pool, &store, "debian", "root", b"one", Ending::Commit);
    let guard = start(&pool, "work").unwrap();
    let look = |name: &str| vm::look(&pool, pool.vm(&pools::name(name)).unwrap()).unwrap();
    assert!(!look("work").outdated);
    run(&pool, &store, "debian", "root", b"two", Ending::Commit);
    assert!(look("work").outdated);
    assert_eq!(version(&store, Path::new(WORK), "root"), b"one");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    let _guard = start(&pool, "work").unwrap();
    assert!(!look("work").outdated);
    assert_eq!(version(&store, Path::new(WORK), "root"), b"two");
}

/// Facts §8.1.
#[test]
fn stopping_one_vm_leaves_its_templates_version_to_others() {
    let (store, pool) = usual();
    app_vm(&pool, "mail", "debian").unwrap();
    let template = start(&pool, "debian").unwrap();
    let work = start(&pool, "work").unwrap();
    write(&store, Path::new(DEBIAN), "root", b"torn");
    vm::release(&pool, &work, Ending::Commit).unwrap();
    let mail = start(&pool, "mail").unwrap();
    assert_eq!(version(&store, Path::new("appvms/mail"), "root"), b"");
    vm::release(&pool, &template, Ending::Commit).unwrap();
    assert_eq!(version(&store, Path::new("appvms/mail"), "root"), b"");
    assert_eq!(version(&store, Path::new(DEBIAN), "root"), b"torn");
    vm::release(&pool, &mail, Ending::Commit).unwrap();
}

/// Facts §8.2: here the VM is prepared and no engine has opened its disks yet.
#[test]
fn stopping_a_template_leaves_a_prepared_vm_its_root() {
    let (store, pool) = usual();
    let template = start(&pool, "debian").unwrap();
    let guard = Guard::take(&pool, &name("work"), "prepare", Allow::Stopped).unwrap();
    let disks = vm::prepare(&pool, &guard, Run::new(vm::PREPARE).unwrap()).unwrap();
    drop(guard);
    write(&store, Path::new(DEBIAN), "root", b"new");
    vm::release(&pool, &template, Ending::Commit).unwrap();
    assert!(disks[0].path.ends_with("appvms/work/root.img") && disks[0].read_only);
    assert_eq!(version(&store, Path::new(WORK), "root"), b"");
    let status = vm::status(&pool, &pool.vm(&name("work")).unwrap()).unwrap();
    assert!(matches!(status, Status::Prepared(_)), "{status:?}");
    let text =
        refused(Guard::take(&pool, &name("work"), "start", Allow::Stopped), RefusalKind::Busy);
    assert!(text.contains("vm release work"), "{text}");
    let guard = Guard::take(&pool, &name("work"), "release", Allow::Prepared).unwrap();
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert!(!tree(&store).iter().any(|path| path.ends_with("run.toml")));
}

/// Facts §8.6.
#[test]
fn a_start_and_stop_without_a_write_keeps_every_revision() {
    let (store, pool) = usual();
    for bytes in [b"one", b"two", b"six"] {
        run(&pool, &store, "debian", "root", bytes, Ending::Commit);
    }
    let before = vm::versions(&pool, &id("debian:root")).unwrap();
    assert_eq!(before.kept.len(), 2);
    for _ in 0..5 {
        let guard = start(&pool, "debian").unwrap();
        let outcomes = vm::release(&pool, &guard, Ending::Commit).unwrap();
        assert_eq!(outcomes[0].1, Outcome::Unchanged);
    }
    assert_eq!(vm::versions(&pool, &id("debian:root")).unwrap(), before);
}

#[test]
fn a_vm_that_was_cut_off_goes_on_from_what_it_wrote() {
    let (store, pool) = usual();
    let guard = start(&pool, "work").unwrap();
    write(&store, Path::new(WORK), "private", b"half");
    // The engine dies: its lock is gone, and nobody has released anything.
    drop(guard);
    let vm = pool.vm(&name("work")).unwrap();
    assert!(matches!(vm::status(&pool, &vm).unwrap(), Status::CutOff(_)));
    let guard = Guard::take(&pool, &name("work"), "start", Allow::Stopped).unwrap();
    let said = guard.said().join("\n");
    assert!(said.contains("work was cut off: qemu") && said.contains("work:private"), "{said}");
    assert!(said.contains("what was left of work:volatile"), "{said}");
    assert_eq!(vm::status(&pool, &vm).unwrap(), Status::Busy { purpose: String::new(), pid: None });
    drop(guard);
    assert!(vm::look(&pool, vm).unwrap().uncommitted);
    let guard = start(&pool, "work").unwrap();
    assert!(guard.said().is_empty(), "{:?}", guard.said());
    assert_eq!(store.bytes(Path::new("appvms/work/private-dirty.img"), 0, 4).unwrap(), b"half");
    // Nothing more is written, and what was is not forgotten.
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert_eq!(version(&store, Path::new(WORK), "private"), b"half");
}

#[test]
fn what_a_cut_left_is_committed_or_dropped_on_demand() {
    for commit in [true, false] {
        let (store, pool) = usual();
        let guard = start(&pool, "debian").unwrap();
        write(&store, Path::new(DEBIAN), "root", b"new");
        drop(guard);
        let said = if commit {
            vm::commit(&pool, &name("debian"), None).unwrap().0
        } else {
            let (said, dropped) = vm::discard(&pool, &name("debian"), None).unwrap();
            assert!(dropped.contains(&id("debian:root")), "{dropped:?}");
            said
        };
        assert!(said.join(" ").contains("cut off"), "{said:?}");
        let wanted: &[u8] = if commit { b"new" } else { b"" };
        assert_eq!(version(&store, Path::new(DEBIAN), "root"), wanted);
        assert!(!vm::look(&pool, pool.vm(&name("debian")).unwrap()).unwrap().uncommitted);
    }
}

#[test]
fn a_running_vm_keeps_others_away() {
    let (_store, pool) = usual();
    let guard = start(&pool, "work").unwrap();
    let text = refused(start(&pool, "work"), RefusalKind::Busy);
    assert!(text.contains("qemu") && text.contains("ebbtide stop work"), "{text}");
    // It is not removed either, but marked; and that is taken back.
    assert_eq!(vm::remove(&pool, &name("work")).unwrap().later, [vm::Reference::Runs]);
    vm::set(&pool, &name("work"), &[("volatile", "no")]).unwrap();
    refused(vm::set(&pool, &name("work"), &[("root-cow", "host")]), RefusalKind::Busy);
    vm::set(&pool, &name("work"), &[("memory", "1G")]).unwrap();
    refused(vm::discard(&pool, &name("work"), None), RefusalKind::Busy);
    vm::release(&pool, &guard, Ending::Commit).unwrap();
}

/// Facts §8.5, the half of it that locks decide.
#[test]
fn a_start_is_refused_while_somebody_imports() {
    let (_store, pool) = usual();
    let _import = Guard::take(&pool, &name("work"), "import of private", Allow::Stopped).unwrap();
    let text = refused(start(&pool, "work"), RefusalKind::Busy);
    assert!(text.contains("somebody works on work"), "{text}");
}

#[test]
fn a_start_that_fails_leaves_what_was_there() {
    let (store, pool) = usual();
    let guard = start(&pool, "work").unwrap();
    write(&store, Path::new(WORK), "private", b"half");
    drop(guard);
    drop(Guard::take(&pool, &name("work"), "settle", Allow::Stopped).unwrap());
    let before = tree(&store);
    let mut failures = 0;
    for changes in 0.. {
        let store = store.fork();
        let pool = over(&store);
        let guard = Guard::take(&pool, &name("work"), "start", Allow::Stopped).unwrap();
        store.budget(
            changes,
            ebbtide::pool::driver::memory::Fault::Error(nix::errno::Errno::ENOSPC),
        );
        let prepared = vm::prepare(&pool, &guard, Run::new("qemu").unwrap());
        if !store.revive() {
            prepared.unwrap();
            break;
        }
        // A failure of something that can wait, such as a sync after the last rename, may be none.
        if let Err(error) = prepared {
            failures += 1;
            assert!(error.to_string().contains("cannot"), "{error}");
            drop(guard);
            drop(Guard::take(&pool, &name("work"), "settle", Allow::Stopped).unwrap());
            assert_eq!(tree(&store), before, "after {changes}");
            let dirty = Path::new("appvms/work/private-dirty.img");
            assert_eq!(store.bytes(dirty, 0, 4).unwrap(), b"half");
        }
    }
    assert!(failures > 3, "{failures}");
}

#[test]
fn a_release_that_is_cut_anywhere_loses_nothing() {
    let (store, pool) = usual();
    let guard = start(&pool, "work").unwrap();
    write(&store, Path::new(WORK), "private", b"done");
    drop(guard);
    let act = |pool: &ebbtide::pool::Pool| {
        // The lock would settle it: whoever released it had the lock all the time.
        let guard = Guard::take(pool, &name("work"), "release", Allow::Stopped)?;
        vm::release(pool, &guard, Ending::Commit).map(drop)
    };
    let cuts = cut_everywhere(&store, act, |store, pool| {
        drop(Guard::take(pool, &name("work"), "settle", Allow::Stopped).unwrap());
        vm::commit(pool, &name("work"), None).unwrap();
        assert_eq!(version(store, Path::new(WORK), "private"), b"done");
        let left = tree(store);
        let stray = |path: &&String| {
            path.contains("volatile") || path.contains("run.toml") || path.contains("aside")
        };
        assert_eq!(left.iter().find(stray), None);
        let versions = vm::versions(pool, &id("work:private")).unwrap();
        assert_eq!(versions.kept.len(), 1, "{versions:?}");
    });
    assert!(cuts > 5, "{cuts}");
}

#[test]
fn the_volatile_disk_has_room_for_the_root_as_it_is_now() {
    use ebbtide_format::units::Bytes;
    let (_store, pool) = usual();
    let volatile = |name: &str| {
        let vm = pool.vm(&pools::name(name)).unwrap();
        vm.volumes(&pool).unwrap().pop().unwrap().size
    };
    let before = volatile("work");
    assert!(before.0 > SIZE.0 + Bytes::gib(1).0, "{before}");
    let root =
        pool.vm(&name("debian")).unwrap().kept_volume(&pool, &"root".parse().unwrap()).unwrap();
    pool.driver().resize(&root, Bytes::gib(3), false).unwrap();
    assert!(volatile("work").0 > Bytes::gib(4).0);
    vm::set(&pool, &name("work"), &[("swap", "0")]).unwrap();
    assert!(volatile("work").0 < Bytes::gib(4).0);
}

#[test]
fn a_private_disk_of_no_bytes_is_none() {
    let (store, pool) = usual();
    let mut new = vm::NewVm::new(name("debian"));
    new.private = ebbtide_format::units::Bytes(0);
    vm::create(&pool, &name("bare"), &new).unwrap();
    let guard = Guard::take(&pool, &name("bare"), "start", Allow::Stopped).unwrap();
    let disks = vm::prepare(&pool, &guard, Run::new("qemu").unwrap()).unwrap();
    let serials: Vec<_> = disks.iter().map(|disk| disk.id.volume.as_str()).collect();
    assert_eq!(serials, ["root", "volatile"]);
    assert!(!tree(&store).iter().any(|path| path.starts_with("appvms/bare/private")));
}

#[test]
fn a_version_that_is_pinned_while_its_template_runs_is_kept() {
    let (store, pool) = usual();
    let disk = id("debian:root");
    run(&pool, &store, "debian", "root", b"one", Ending::Commit);
    run(&pool, &store, "debian", "root", b"two", Ending::Commit);
    let guard = start(&pool, "debian").unwrap();
    vm::pin(&pool, &disk, 1, "first").unwrap();
    write(&store, Path::new(DEBIAN), "root", b"six");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    for bytes in [b"abc", b"def", b"ghi"] {
        run(&pool, &store, "debian", "root", bytes, Ending::Commit);
    }
    let labels = |pool| -> Vec<_> {
        let versions = vm::versions(pool, &disk).unwrap();
        versions.kept.into_iter().map(|kept| (kept.revision.number.unwrap(), kept.label)).collect()
    };
    assert_eq!(labels(&pool), [(1, Some("first".into())), (5, None), (6, None)]);
    refused(vm::pin(&pool, &disk, 1, "again"), RefusalKind::Exists);
    refused(vm::pin(&pool, &disk, 5, "first"), RefusalKind::Exists);
    refused(vm::pin(&pool, &disk, 9, "nine"), RefusalKind::Missing);
    assert_eq!(vm::unpin(&pool, &disk, "first").unwrap(), 1);
    refused(vm::unpin(&pool, &disk, "first"), RefusalKind::Missing);
}

/// Facts §8.8.
#[test]
fn a_revert_keeps_what_was_current_newer_versions_and_the_version_itself() {
    let (store, pool) = usual();
    let disk = id("debian:root");
    for bytes in [b"one", b"two", b"six"] {
        run(&pool, &store, "debian", "root", bytes, Ending::Commit);
    }
    vm::pin(&pool, &disk, 2, "good").unwrap();
    let reverted = vm::revert(&pool, &disk, &"good".parse::<Pick>().unwrap()).unwrap();
    assert_eq!(reverted.to.number, Some(2));
    assert_eq!(version(&store, Path::new(DEBIAN), "root"), b"one");
    let versions = vm::versions(&pool, &disk).unwrap();
    let numbers: Vec<_> = versions.kept.iter().filter_map(|kept| kept.revision.number).collect();
    assert!(numbers.contains(&2) && numbers.contains(&3) && numbers.contains(&4), "{numbers:?}");
    vm::revert(&pool, &disk, &Pick::Newest).unwrap();
    assert_eq!(version(&store, Path::new(DEBIAN), "root"), b"six");
    refused(vm::revert(&pool, &id("work:root"), &Pick::Newest), RefusalKind::Rule);
    let text = refused(vm::revert(&pool, &id("work:root"), &Pick::Newest), RefusalKind::Rule);
    assert!(text.contains("debian:root"), "{text}");
}

#[test]
fn a_precache_is_taken_by_the_next_start() {
    let (store, pool) = usual();
    run(&pool, &store, "debian", "root", b"one", Ending::Commit);
    vm::precache(&pool, &name("debian")).unwrap();
    let precache = Path::new("vm-templates/debian/root-precache.img");
    let made = store.stat(precache).unwrap().unwrap().inode;
    let _guard = start(&pool, "debian").unwrap();
    let dirty = store.stat(Path::new("vm-templates/debian/root-dirty.img")).unwrap().unwrap();
    assert_eq!(dirty.inode, made);
}

#[test]
fn a_root_cow_of_the_host_is_a_writable_copy_that_is_dropped() {
    let (store, pool) = usual();
    vm::set(&pool, &name("work"), &[("root-cow", "host")]).unwrap();
    let guard = Guard::take(&pool, &name("work"), "start", Allow::Stopped).unwrap();
    let disks = vm::prepare(&pool, &guard, Run::new("qemu").unwrap()).unwrap();
    assert!(!disks[0].read_only);
    let file = disks[0].path.strip_prefix(pool.store().real(Path::new(""))).unwrap().to_path_buf();
    store.write(&file, 0, b"mess").unwrap();
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert_eq!(version(&store, Path::new(DEBIAN), "root"), b"");
    assert!(!tree(&store).iter().any(|path| path.starts_with("appvms/work/root")));
}

#[test]
fn a_run_that_is_not_understood_is_not_guessed_about() {
    let (store, pool) = usual();
    store.write_new(Path::new("appvms/work/run.toml"), b"form").unwrap();
    let text = refused(start(&pool, "work"), RefusalKind::Rule);
    assert!(text.contains("run.toml") && text.contains("line 1"), "{text}");
}

#[test]
fn a_disk_that_grows_becomes_no_version_until_its_engine_was_told() {
    let (store, pool) = usual();
    let guard = start(&pool, "work").unwrap();
    let told = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let size = Bytes::mib(16);
        vm::resize(&pool, &id("work:private"), size, |_| {
            // It stops meanwhile, and has time for it.
            scope.spawn(|| {
                vm::release(&pool, &guard, Ending::Commit).unwrap();
                assert!(told.load(Ordering::SeqCst), "the release did not wait");
            });
            std::thread::sleep(Duration::from_millis(200));
            assert!(tree(&store).iter().any(|path| path.ends_with("private-dirty.img")));
            told.store(true, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
    });
    let clean = store.stat(Path::new("appvms/work/private.img")).unwrap().unwrap();
    assert_eq!(clean.size, Bytes::mib(16));
}
