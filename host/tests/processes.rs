//! VMs whose lock is held by processes, in a directory of this machine.

#![allow(clippy::unwrap_used, reason = "a beginning that cannot be made fails its test")]

use ebbtide::{
    VmName,
    engine::qemu::{self, Stop},
    pool::{Create, Pool, driver::Ending, store::Unseen},
    vm::{self, Allow, Guard, NewTemplate, NewVm, RootSource, Run, Status},
};
use ebbtide_format::units::Bytes;
use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

fn pool() -> (TempDir, Pool, VmName) {
    let dir = tempfile::tempdir().unwrap();
    let options = Create { allow_copy: true, ..Create::default() };
    let pool = Pool::create(&dir.path().join("pool"), &options).unwrap();
    let (debian, work): (VmName, VmName) = ("debian".parse().unwrap(), "work".parse().unwrap());
    let new = NewTemplate::new(RootSource::Blank(Bytes::mib(8)));
    vm::create_template(&pool, &debian, &new, &mut Unseen).unwrap();
    vm::create(&pool, &work, &NewVm { private: Bytes::mib(4), ..NewVm::new(debian) }).unwrap();
    (dir, pool, work)
}

#[test]
fn a_vm_runs_exactly_while_its_engine_lives() {
    let (_dir, pool, work) = pool();
    let status = || vm::status(&pool, &pool.vm(&work).unwrap()).unwrap();
    assert_eq!(status(), Status::Stopped);
    let guard = Guard::take(&pool, &work, "start", Allow::Stopped).unwrap();
    let busy = Status::Busy { purpose: "start".into(), pid: Some(std::process::id()) };
    assert_eq!(status(), busy);
    let disks = vm::prepare(&pool, &guard, Run::new("qemu").unwrap()).unwrap();
    // The engine inherits the lock, and whoever started it is gone.
    let lock = guard.lock_file().unwrap().try_clone().unwrap();
    let mut engine = Command::new("sleep").arg("600").stdin(Stdio::from(lock)).spawn().unwrap();
    drop(guard);
    assert!(matches!(status(), Status::Running(_)));
    let refused = Guard::take(&pool, &work, "start", Allow::Stopped).unwrap_err();
    assert!(refused.to_string().contains("work runs: qemu"), "{refused}");
    engine.kill().unwrap();
    engine.wait().unwrap();
    assert!(matches!(status(), Status::CutOff(_)));
    fs::write(&disks[1].path, "home").unwrap();
    let guard = Guard::take(&pool, &work, "start", Allow::Stopped).unwrap();
    assert!(guard.said()[0].contains("cut off"), "{:?}", guard.said());
    let disks = vm::prepare(&pool, &guard, Run::new("qemu").unwrap()).unwrap();
    assert_eq!(fs::read(&disks[1].path).unwrap(), b"home");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    assert_eq!(status(), Status::Stopped);
    let clean = pool.dir().join("appvms/work/private.img");
    assert_eq!(fs::read(clean).unwrap(), b"home");
}

#[test]
fn a_vm_is_stopped_when_its_engine_has_ended_and_not_when_its_lock_is_free() {
    let (dir, pool, work) = pool();
    let guard = Guard::take(&pool, &work, "start", Allow::Stopped).unwrap();
    let mut run = Run::new(qemu::ENGINE).unwrap();
    vm::prepare(&pool, &guard, run.clone()).unwrap();
    let lock = guard.lock_file().unwrap().try_clone().unwrap();
    // A process that ends closes its files, and is there for some time yet.
    let ends = r#"until test -e "$0"; do sleep 0.02; done; exec </dev/null; sleep 0.5"#;
    let go = dir.path().join("go");
    let started = Command::new("sh").args(["-c", ends]).arg(&go).stdin(Stdio::from(lock)).spawn();
    let mut engine = started.unwrap();
    run.pid = Some(engine.id());
    run.sockets = ["supervisor", "qmp"].map(|name| (name.into(), "/nonexistent".into())).into();
    vm::write_run(&pool, &guard, &run).unwrap();
    drop(guard);
    let how = Stop { discard: false, force: true, limit: Duration::from_secs(1) };
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        fs::write(go, "").unwrap();
    });
    drop(qemu::settle(&pool, &work, &run, how).unwrap());
    assert_eq!(engine.try_wait().unwrap().and_then(|status| status.code()), Some(0));
}

#[test]
fn a_preparation_ends_with_the_boot_of_the_machine() {
    let (_dir, pool, work) = pool();
    let status = || vm::status(&pool, &pool.vm(&work).unwrap()).unwrap();
    let guard = Guard::take(&pool, &work, "prepare", Allow::Stopped).unwrap();
    let mut run = Run::new(vm::PREPARE).unwrap();
    vm::prepare(&pool, &guard, run.clone()).unwrap();
    drop(guard);
    assert!(matches!(status(), Status::Prepared(_)));
    let guard = Guard::take(&pool, &work, "release", Allow::Prepared).unwrap();
    run.boot = uuid::Uuid::from_u128(1);
    vm::write_run(&pool, &guard, &run).unwrap();
    drop(guard);
    assert!(matches!(status(), Status::CutOff(_)));
    let guard = Guard::take(&pool, &work, "start", Allow::Stopped).unwrap();
    assert!(guard.said()[0].contains("machine was started anew"), "{:?}", guard.said());
}

#[test]
fn whoever_only_looks_keeps_nobody_away() {
    let (_dir, pool, work) = pool();
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            for _ in 0..2000 {
                vm::status(&pool, &pool.vm(&work).unwrap()).unwrap();
            }
        });
        while !looking.is_finished() {
            drop(Guard::take(&pool, &work, "start", Allow::Stopped).unwrap());
        }
    });
}

#[test]
fn the_pool_is_told_in_numbers() {
    let (_dir, pool, _) = pool();
    let info = pool.info().unwrap();
    assert_eq!((info.templates, info.appvms, info.snapshots, info.unreadable), (1, 1, 0, 0));
    assert_eq!(info.images, 3);
    assert_eq!(info.length, Bytes(Bytes::mib(12).0 + Bytes::gib(2).0));
    assert!(info.size > info.free && info.free > Bytes(0), "{info:?}");
}

#[test]
fn a_directory_that_is_no_pool_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = Pool::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("no pool.toml"), "{error}");
    assert!(error.hint().unwrap().contains("pool create"));
    fs::create_dir(dir.path().join("appvms")).unwrap();
    assert!(Pool::open(dir.path()).unwrap_err().hint().unwrap().contains("pool adopt"));
    fs::write(dir.path().join("pool.toml"), "format = 9\n").unwrap();
    let error = Pool::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("newer ebbtide"), "{error}");
}
