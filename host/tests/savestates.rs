//! Savestates, with a played machine: whole or nothing, never written to, and known to be of the current versions or not.

#![allow(clippy::unwrap_used, reason = "a beginning that cannot be made fails its test")]

mod pools;

use ebbtide::{
    Error, Result,
    pool::{
        Pool,
        driver::{Ending, memory::MemoryStore},
        store::Store as _,
    },
    vm::{
        self, Allow, Flags, Guard, Memory, Run, Still,
        savestate::{self, Of, Savestate, Taking},
    },
};
use pools::*;
use std::{collections::BTreeSet, path::Path};

/// A machine whose memory is two words.
struct Played<'a>(&'a Pool);

impl Still for Played<'_> {
    fn save(&mut self, file: &Path) -> Result<Memory> {
        let file = file.strip_prefix("/memory").unwrap();
        let written = self.0.store().write_new(file, b"its memory");
        written.map_err(ebbtide::Error::doing("save"))?;
        Ok(Memory { qemu: "7.2.0".into(), machine: vec!["memory 1M".into()] })
    }
}

fn take(pool: &Pool, guard: &Guard, of: Of<'_>) -> Result<Savestate> {
    let mut taking = Taking::begin(pool, guard, of)?;
    match taking.hold(pool, &mut Played(pool)) {
        Ok(()) => taking.finish(pool),
        Err(error) => {
            taking.discard(pool);
            Err(error)
        }
    }
}

/// A template and a VM that were both written to, and another VM.
fn written() -> (MemoryStore, Pool) {
    let (store, pool) = usual();
    run(&pool, &store, "debian", "root", b"sys1", Ending::Commit);
    run(&pool, &store, "work", "private", b"home", Ending::Commit);
    app_vm(&pool, "other", "debian").unwrap();
    (store, pool)
}

/// Starts the VM, which writes more.
fn running(store: &MemoryStore, pool: &Pool) -> Guard {
    let guard = start(pool, "work").unwrap();
    let dir = dir(pool, "work");
    write(store, &dir, "private", b"more");
    write(store, &dir, "volatile", b"swap");
    guard
}

/// Takes a savestate of the VM.
fn taken(store: &MemoryStore, pool: &Pool) -> Savestate {
    let guard = running(store, pool);
    let savestate = take(pool, &guard, Of::Itself).unwrap();
    vm::release(pool, &guard, Ending::Discard).unwrap();
    savestate
}

fn resume(pool: &Pool, text: &str, id: &str) -> Result<Guard> {
    let guard = Guard::take(pool, &name(text), "start", Allow::Stopped)?;
    let source = savestate::source(pool, id)?;
    savestate::prepare_from(pool, &guard, &mut Run::new("qemu")?, &source)?;
    Ok(guard)
}

fn dirty(store: &MemoryStore, pool: &Pool, vm: &str, disk: &str) -> Vec<u8> {
    let file = dir(pool, vm).join(format!("{disk}-dirty.img"));
    store.bytes(&file, 0, 4).unwrap()
}

#[track_caller]
fn is_whole(store: &MemoryStore, savestate: &Savestate) {
    let dir = savestate.dir();
    for (disk, bytes) in [("root", b"sys1"), ("private", b"more")] {
        assert_eq!(version(store, &dir, disk), bytes, "{disk}");
    }
    assert_eq!(store.read(&dir.join("memory")).unwrap(), b"its memory");
    // With its lock, and its record.
    assert_eq!(store.names(&dir).unwrap().len(), 6);
}

#[test]
fn a_savestate_that_is_cut_is_whole_or_nothing() {
    let (store, pool) = written();
    // It was cut off, and goes on from what it wrote.
    drop(running(&store, &pool));
    store.sync_file(Path::new("appvms/work/private-dirty.img")).unwrap();
    drop(Guard::take(&pool, &name("work"), "settle", Allow::Stopped).unwrap());
    let mut whole = 0;
    let cuts = cut_everywhere(
        &store,
        |pool| take(pool, &start(pool, "work")?, Of::Itself).map(drop),
        |store, _| {
            for store in store.power_cuts(5).iter().chain([store]) {
                let pool = &over(store);
                let (found, unreadable) = savestate::list(pool).unwrap();
                assert!(unreadable.is_empty(), "{unreadable:?}");
                found.iter().for_each(|found| is_whole(store, found));
                whole += found.len();
                vm::sweep(pool).unwrap();
                let left = store.names(Path::new("savestates")).unwrap_or_default();
                assert_eq!(left.len(), found.len(), "{left:?}");
                drop(Guard::take(pool, &name("work"), "settle", Allow::Stopped).unwrap());
                assert_eq!(version(store, &dir(pool, "work"), "private"), b"home");
                assert_eq!(dirty(store, pool, "work", "private"), b"more");
            }
        },
    );
    assert!(cuts > 20 && whole > 0, "{cuts} {whole}");
}

#[test]
fn a_resume_that_is_cut_changes_neither_versions_nor_the_savestate() {
    let (store, pool) = written();
    let savestate = taken(&store, &pool);
    let id = savestate.uuid.to_string();
    let cuts = cut_everywhere(
        &store,
        |pool| resume(pool, "work", &id).map(drop),
        |store, _| {
            for store in store.power_cuts(5).iter().chain([store]) {
                let pool = &over(store);
                is_whole(store, &savestate);
                // Nobody let it run, so nothing of the other machine is this one's.
                drop(Guard::take(pool, &name("work"), "settle", Allow::Stopped).unwrap());
                assert_eq!(version(store, &dir(pool, "work"), "private"), b"home");
                assert_eq!(store.stat(&dir(pool, "work").join("private-dirty.img")).unwrap(), None);
                let guard = resume(pool, "work", &id).unwrap();
                assert_eq!(dirty(store, pool, "work", "private"), b"more");
                vm::release(pool, &guard, Ending::Commit).unwrap();
                assert_eq!(version(store, &dir(pool, "work"), "private"), b"more");
            }
        },
    );
    assert!(cuts > 5, "{cuts}");
}

#[test]
fn what_was_not_committed_is_never_taken_for_that_of_a_machine_that_stood() {
    let (store, pool) = written();
    let id = taken(&store, &pool).uuid.to_string();
    let guard = start(&pool, "work").unwrap();
    write(&store, &dir(&pool, "work"), "private", b"mine");
    store.sync_file(Path::new("appvms/work/private-dirty.img")).unwrap();
    drop(guard);
    let is_there = |store: &MemoryStore, pool: &Pool| {
        drop(Guard::take(pool, &name("work"), "settle", Allow::Stopped).unwrap());
        assert_eq!(dirty(store, pool, "work", "private"), b"mine");
    };
    is_there(&store, &pool);
    let refused = |pool: &Pool| match resume(pool, "work", &id) {
        Err(Error::Refused(refusal)) => {
            assert!(refusal.to_string().contains("work:private cannot be resumed"), "{refusal}");
            Ok(())
        }
        other => other.map(drop),
    };
    cut_everywhere(&store, refused, |store, _| is_there(store, &over(store)));
    is_there(&store, &pool);
}

#[test]
fn a_machine_that_went_on_keeps_what_it_has_when_it_is_cut_off() {
    let (store, pool) = written();
    let id = taken(&store, &pool).uuid.to_string();
    let cuts = cut_everywhere(
        &store,
        |pool| vm::goes_on(pool, &resume(pool, "work", &id)?),
        |store, _| {
            // Before it was told, it was never let run.
            let pool = &over(store);
            let told = store.read(&dir(pool, "work").join("run.toml")).unwrap_or_default();
            let went = !told.is_empty() && !String::from_utf8_lossy(&told).contains("stands");
            let guard = Guard::take(pool, &name("work"), "settle", Allow::Stopped).unwrap();
            let said = guard.said().join("; ");
            assert_eq!(said.contains("is kept beside its version"), went, "{said}");
            assert_eq!(
                store.stat(&dir(pool, "work").join("private-dirty.img")).unwrap().is_some(),
                went
            );
        },
    );
    assert!(cuts > 5, "{cuts}");
    let guard = resume(&pool, "work", &id).unwrap();
    vm::goes_on(&pool, &guard).unwrap();
    drop(guard);
    drop(Guard::take(&pool, &name("work"), "settle", Allow::Stopped).unwrap());
    assert_eq!(dirty(&store, &pool, "work", "private"), b"more");
}

#[test]
fn two_machines_from_one_savestate_write_to_disks_of_their_own() {
    let (store, pool) = written();
    let savestate = taken(&store, &pool);
    let id = savestate.uuid.to_string();
    let (one, two) =
        (resume(&pool, "work", &id[..6]).unwrap(), resume(&pool, "other", &id).unwrap());
    for (vm, bytes) in [("work", b"one."), ("other", b"two.")] {
        assert_eq!(dirty(&store, &pool, vm, "private"), b"more");
        assert_eq!(dirty(&store, &pool, vm, "volatile"), b"swap");
        for disk in ["private", "volatile"] {
            write(&store, &dir(&pool, vm), disk, bytes);
        }
    }
    is_whole(&store, &savestate);
    assert_eq!(version(&store, &savestate.dir(), "volatile"), b"swap");
    for (vm, guard, bytes) in [("work", one, b"one."), ("other", two, b"two.")] {
        vm::release(&pool, &guard, Ending::Commit).unwrap();
        assert_eq!(version(&store, &dir(&pool, vm), "private"), bytes);
        assert_eq!(store.stat(&dir(&pool, vm).join("volatile-dirty.img")).unwrap(), None);
    }
    savestate::remove(&pool, &savestate).unwrap();
    assert!(store.names(Path::new("savestates")).unwrap().is_empty());
}

#[test]
fn a_machine_that_wrote_nothing_after_it_was_resumed_has_a_new_version_all_the_same() {
    let (store, pool) = written();
    let savestate = taken(&store, &pool);
    let guard = resume(&pool, "other", &savestate.uuid.to_string()).unwrap();
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert_eq!(version(&store, &dir(&pool, "other"), "private"), b"more");
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_changed() {
    let (store, pool) = written();
    let id = taken(&store, &pool).uuid.to_string();
    let refused = |vm: &str, id: &str, text: &str| {
        let before = tree(&store);
        let error = resume(&pool, vm, id).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(tree(&store), before);
    };
    refused("other", "00000000", "there is no savestate and no snapshot 00000000");
    refused("other", &id[..3], "there is no savestate");
    let none =
        vm::NewVm { private: ebbtide_format::units::Bytes(0), ..vm::NewVm::new(name("debian")) };
    vm::create(&pool, &name("small"), &none).unwrap();
    refused(
        "small",
        &id,
        "that machine has the disks root, private, volatile, this one root, volatile",
    );
    drop(start(&pool, "other").unwrap());
    write(&store, &dir(&pool, "other"), "private", b"kept");
    drop(Guard::take(&pool, &name("other"), "settle", Allow::Stopped).unwrap());
    refused("other", &id, "nobody committed");
    assert_eq!(dirty(&store, &pool, "other", "private"), b"kept");
}

#[test]
fn a_savestate_is_current_as_long_as_its_versions_are() {
    let (store, pool) = written();
    let work = || pool.vm(&name("work")).unwrap();
    let savestate = {
        let guard = running(&store, &pool);
        let savestate = take(&pool, &guard, Of::Hot(&work())).unwrap();
        vm::release(&pool, &guard, Ending::Discard).unwrap();
        savestate
    };
    let is_current = || {
        let hot = savestate::hot_of(&pool, &work()).unwrap();
        assert_eq!(hot.is_some(), savestate::is_current(&pool, &work(), &savestate).unwrap());
        hot.is_some()
    };
    assert!(is_current());
    // Also while the machine runs that it is of.
    let guard = start(&pool, "work").unwrap();
    assert!(is_current());
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    assert!(is_current(), "nothing was written");
    run(&pool, &store, "debian", "root", b"sys2", Ending::Commit);
    assert!(!is_current());
    vm::revert(&pool, &id("debian:root"), &vm::Pick::Newest).unwrap();
    assert!(is_current(), "it is the same version again");
    run(&pool, &store, "work", "private", b"away", Ending::Commit);
    assert!(!is_current());
}

#[test]
fn a_newer_hot_one_takes_the_place_of_the_older_and_a_cut_leaves_one_at_least() {
    let (store, pool) = written();
    let hot = |pool: &Pool| -> Result<Savestate> {
        let guard = start(pool, "other")?;
        let owner = pool.vm(&name("work"))?;
        let hot = take(pool, &guard, Of::Hot(&owner))?;
        savestate::replace_hot(pool, &hot)?;
        vm::release(pool, &guard, Ending::Discard)?;
        Ok(hot)
    };
    hot(&pool).unwrap();
    let manual = taken(&store, &pool);
    cut_everywhere(
        &store,
        |pool| hot(pool).map(drop),
        |store, _| {
            for store in store.power_cuts(1).iter().chain([store]) {
                let pool = &over(store);
                let (found, _) = savestate::list(pool).unwrap();
                let kept = found.iter().filter(|found| found.kind == savestate::Kind::Hot);
                assert!(kept.count() > 0, "before the older one goes, the newer one is there");
                drop(Guard::take(pool, &name("other"), "settle", Allow::Stopped).unwrap());
                let new = hot(pool).unwrap();
                let (found, unreadable) = savestate::list(pool).unwrap();
                assert!(unreadable.is_empty(), "{unreadable:?}");
                let found: Vec<_> = found.iter().map(|found| found.uuid).collect();
                assert_eq!(found, [manual.uuid, new.uuid]);
                assert_eq!(store.names(Path::new("savestates")).unwrap().len(), 2);
            }
        },
    );
}

/// Returns the savestates of a VM.
fn savestates_of(pool: &Pool, vm: &str) -> Vec<Savestate> {
    let vm = pool.vm(&name(vm)).unwrap();
    let (found, _) = savestate::list(pool).unwrap();
    found.into_iter().filter(|found| found.of == vm.record.uuid).collect()
}

#[test]
fn a_clone_that_is_cut_has_all_savestates_or_is_not_there() {
    let (store, pool) = written();
    let two = [taken(&store, &pool), taken(&store, &pool)];
    let act = |pool: &Pool| vm::clone(pool, &name("work"), &name("twin")).map(drop);
    let (mut olds, mut news) = (0, 0);
    cut_everywhere(&store, act, |store, _| {
        for store in store.power_cuts(6).iter().chain([store]) {
            let pool = &over(store);
            // What any command does next, if it changes VMs at all.
            vm::follow_up(pool).unwrap();
            if pool.vm(&name("twin")).is_err() {
                olds += 1;
                continue;
            }
            news += 1;
            let twins = savestates_of(pool, "twin");
            let times = |all: &[Savestate]| all.iter().map(|one| one.time).collect::<BTreeSet<_>>();
            assert_eq!((twins.len(), times(&twins)), (2, times(&two)));
            twins.iter().for_each(|twin| is_whole(store, twin));
            assert_eq!(pool.vm(&name("twin")).unwrap().record.flags, Flags::default());
            assert_eq!(savestates_of(pool, "work").len(), 2);
        }
    });
    assert!(olds > 10 && news > 10, "{olds} old, {news} new");
}

#[test]
fn a_clone_has_the_savestates_too_and_they_go_with_their_vm() {
    let (store, pool) = written();
    let savestate = taken(&store, &pool);
    vm::clone(&pool, &name("work"), &name("twin")).unwrap();
    let [twin] = savestates_of(&pool, "twin").try_into().unwrap();
    is_whole(&store, &twin);
    let inode = |of: &Savestate| store.stat(&of.dir().join("memory")).unwrap().unwrap().inode;
    assert_eq!(inode(&twin), inode(&savestate));
    assert_ne!(twin.disks[0].uuid, savestate.disks[0].uuid);
    for vm in ["work", "other"] {
        vm::remove(&pool, &name(vm)).unwrap();
    }
    let left: Vec<_> = savestate::list(&pool).unwrap().0.iter().map(|left| left.uuid).collect();
    assert_eq!(left, [twin.uuid]);
    let guard = resume(&pool, "twin", &twin.uuid.to_string()).unwrap();
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert_eq!(version(&store, &dir(&pool, "twin"), "private"), b"more");
}
