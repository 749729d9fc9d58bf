//! A VM becomes what it was.

use super::*;
use ebbtide::{Error, pool::driver::Outcome, vm::NEVER_REVERTED};
use ebbtide_format::units::Bytes;

/// A template whose root and private disk are those of a snapshot no more, and whose memory is not either.
fn changed() -> (MemoryStore, Pool, Snapshot) {
    let (store, pool) = written();
    vm::set(&pool, &name("debian"), &[("memory", "1G")]).unwrap();
    let snapshot = take(&pool, "debian").unwrap();
    run(&pool, &store, "debian", "root", b"sys2", Ending::Commit);
    run(&pool, &store, "debian", "private", b"away", Ending::Commit);
    vm::set(&pool, &name("debian"), &[("memory", "2G"), ("keep", "5")]).unwrap();
    (store, pool, snapshot)
}

const DEBIAN: &str = "vm-templates/debian";

fn content(store: &MemoryStore) -> [Vec<u8>; 2] {
    ["root", "private"].map(|disk| version(store, Path::new(DEBIAN), disk))
}

#[test]
fn disks_and_settings_are_as_they_were_and_what_was_current_is_kept() {
    let (store, pool, snapshot) = changed();
    let newer = take(&pool, "debian").unwrap();
    let before = vm_of(&pool, "debian").record;
    let reverted = vm::revert_vm(&pool, &snapshot).unwrap();
    assert_eq!(content(&store), [b"sys1".to_vec(), b"home".to_vec()]);
    let record = vm_of(&pool, "debian").record;
    assert_eq!(reverted.vm.record, record);
    assert_eq!(record.engine.memory, Bytes::gib(1));
    assert_eq!((record.uuid, record.created, record.keep), (before.uuid, before.created, Some(5)));
    assert_eq!(record.parent, Some(snapshot.uuid));
    // What was current is a version, and can be had again.
    for (id, outcome) in &reverted.disks {
        let Outcome::Committed(Some(kept)) = outcome else { panic!("{outcome:?}") };
        let kept = vm::Pick::Number(kept.number.unwrap());
        vm::revert(&pool, id, &kept).unwrap();
    }
    assert_eq!(content(&store), [b"sys2".to_vec(), b"away".to_vec()]);
    // Newer snapshots stay, and the next one comes after the one that was reverted to.
    let next = take(&pool, "debian").unwrap();
    assert_eq!(
        parents(&pool),
        [
            (snapshot.uuid, None),
            (newer.uuid, Some(snapshot.uuid)),
            (next.uuid, Some(snapshot.uuid))
        ]
    );
    // The disks are the same ones.
    let of = |snapshot: &Snapshot| -> Vec<_> {
        snapshot.disks.iter().map(|disk| disk.snapshot_of).collect()
    };
    assert_eq!(of(&next), of(&snapshot));
    vm::revert_vm(&pool, &newer).unwrap();
    assert_eq!(vm_of(&pool, "debian").record.engine.memory, Bytes::gib(2));
    is_sound(&pool);
}

/// Returns all paths but those of the next images, which are made when they are missing.
fn versions(store: &MemoryStore) -> Vec<String> {
    tree(store).into_iter().filter(|path| !path.ends_with("-precache.img")).collect()
}

#[test]
fn a_revert_that_is_cut_is_finished_or_never_was() {
    let (store, _, snapshot) = changed();
    let old = versions(&store);
    let (mut undone, mut finished) = (0, 0);
    let cuts = cut_everywhere(
        &store,
        |pool| vm::revert_vm(pool, &snapshot).map(drop),
        |store, pool| {
            for store in store.power_cuts(8).iter().chain([store]) {
                let pool = &over(store);
                // Whoever takes the VM next settles it.
                let guard = Guard::take(pool, &name("debian"), "start", Allow::Stopped).unwrap();
                let record = vm_of(pool, "debian").record;
                assert_eq!(guard.vm().record, record, "what was read is what is there");
                drop(guard);
                if record.parent == Some(snapshot.uuid) && record.engine.memory == Bytes::gib(1) {
                    assert_eq!(content(store), [b"sys1".to_vec(), b"home".to_vec()]);
                    finished += 1;
                } else {
                    assert_eq!(record.engine.memory, Bytes::gib(2));
                    assert_eq!(content(store), [b"sys2".to_vec(), b"away".to_vec()]);
                    assert_eq!(versions(store), old);
                    undone += 1;
                }
                is_sound(pool);
                assert_eq!(parents(pool), [(snapshot.uuid, None)]);
                // The versions that were kept are kept, whenever it was cut.
                let kept = |disk: &str| {
                    let versions = vm::versions(pool, &id(&format!("debian:{disk}"))).unwrap();
                    versions.kept.len()
                };
                assert!(kept("root") >= 2 && kept("private") >= 2);
            }
            vm::revert_vm(pool, &snapshot).unwrap();
            assert_eq!(content(store), [b"sys1".to_vec(), b"home".to_vec()]);
            is_sound(pool);
        },
    );
    assert!(cuts > 15 && undone > 0 && finished > undone, "{cuts} {undone} {finished}");
}

#[test]
fn what_finishes_a_revert_says_so() {
    let (store, _, snapshot) = changed();
    let mut said = std::collections::BTreeSet::new();
    cut_everywhere(
        &store,
        |pool| vm::revert_vm(pool, &snapshot).map(drop),
        |_, pool| {
            let is_begun = check(pool).unwrap().findings.iter().any(|finding| {
                finding.problem.name() == "revert-cut-short"
                    && finding.severity() == Severity::Mendable
            });
            let guard = Guard::take(pool, &name("debian"), "start", Allow::Stopped).unwrap();
            let finished = guard.said().iter().any(|text| text.contains("the revert of debian to"));
            assert_eq!(is_begun, finished, "{:?}", guard.said());
            said.insert(finished);
        },
    );
    assert_eq!(said.len(), 2);
}

#[test]
fn a_snapshot_that_is_gone_half_way_is_told_of_and_nothing_is_lost() {
    let (store, _, snapshot) = changed();
    let (mut refused, mut given_up) = (0, 0);
    cut_everywhere(
        &store,
        |pool| vm::revert_vm(pool, &snapshot).map(drop),
        |store, pool| {
            if store.stat(Path::new(DEBIAN).join("revert.toml").as_path()).unwrap().is_none() {
                return;
            }
            // Ours do not remove it.
            let error = vm::remove_snapshot(pool, &snapshot.uuid.to_string()).unwrap_err();
            assert!(error.to_string().contains("half reverted"), "{error}");
            store.remove(&dir(&snapshot).join("snapshot.toml")).unwrap();
            let before = content(store);
            match Guard::take(pool, &name("debian"), "start", Allow::Stopped) {
                Ok(guard) => {
                    assert!(
                        guard.said().iter().any(|text| text.contains("is given up")),
                        "{:?}",
                        guard.said()
                    );
                    assert_eq!(before, [b"sys2".to_vec(), b"away".to_vec()]);
                    given_up += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("half done"), "{error}");
                    store.remove(&Path::new(DEBIAN).join("revert.toml")).unwrap();
                    drop(Guard::take(pool, &name("debian"), "start", Allow::Stopped).unwrap());
                    refused += 1;
                }
            }
            assert_eq!(content(store), before);
        },
    );
    assert!(refused > 0 && given_up > 0, "{refused} {given_up}");
}

#[test]
fn disks_added_since_stay_and_disks_gone_since_come_again() {
    let (store, pool) = written();
    let file = Path::new(DEBIAN).join("vm.toml");
    let text = String::from_utf8(store.read(&file).unwrap()).unwrap();
    assert!(text.contains("size = \"8M\""));
    let edit = |from: &str, to: &str| {
        let text = String::from_utf8(store.read(&file).unwrap()).unwrap();
        store.remove(&file).unwrap();
        store.write_new(&file, text.replace(from, to).as_bytes()).unwrap();
    };
    edit("size = \"8M\"", "size = \"0\"");
    let without = take(&pool, "debian").unwrap();
    assert_eq!(without.disks.len(), 1);
    edit("size = \"0\"", "size = \"8M\"");
    vm::revert_vm(&pool, &without).unwrap();
    assert_eq!(vm_of(&pool, "debian").record.private.size, SIZE);
    assert_eq!(content(&store)[1], b"home");
    let with = take(&pool, "debian").unwrap();
    edit("size = \"8M\"", "size = \"0\"");
    store.remove(&Path::new(DEBIAN).join("private.img")).unwrap();
    vm::revert_vm(&pool, &with).unwrap();
    assert_eq!(content(&store)[1], b"home");
    is_sound(&pool);
}

#[test]
fn what_is_not_committed_is_not_lost_by_a_revert() {
    let (store, pool, snapshot) = changed();
    let guard = start(&pool, "debian").unwrap();
    pools::write(&store, Path::new(DEBIAN), "private", b"new!");
    let error = vm::revert_vm(&pool, &snapshot).unwrap_err();
    assert!(error.to_string().contains("runs"), "{error}");
    drop(guard);
    drop(Guard::take(&pool, &name("debian"), "settle", Allow::Stopped).unwrap());
    let old = tree(&store);
    let error = vm::revert_vm(&pool, &snapshot).unwrap_err();
    assert!(error.to_string().contains("nobody committed"), "{error}");
    assert_eq!(tree(&store), old);
    vm::commit(&pool, &name("debian"), None).unwrap();
    vm::revert_vm(&pool, &snapshot).unwrap();
    assert_eq!(content(&store), [b"sys1".to_vec(), b"home".to_vec()]);
}

#[test]
fn an_immutable_vm_is_not_reverted() {
    let (store, pool, snapshot) = changed();
    let file = Path::new(DEBIAN).join("vm.toml");
    let mut record = vm_of(&pool, "debian").record;
    record.flags.immutable = true;
    store.remove(&file).unwrap();
    store.write_new(&file, &record.print().unwrap()).unwrap();
    let old = tree(&store);
    let error = vm::revert_vm(&pool, &snapshot).unwrap_err();
    assert!(error.to_string().contains("immutable"), "{error}");
    assert_eq!((tree(&store), content(&store)), (old, [b"sys2".to_vec(), b"away".to_vec()]));
}

#[test]
fn a_template_that_is_gone_is_not_reverted_to() {
    let (store, pool) = usual();
    let snapshot = step(&store, &pool, "work", b"mine");
    template(&pool, "fedora").unwrap();
    vm::set(&pool, &name("work"), &[("template", "fedora")]).unwrap();
    vm::remove(&pool, &name("debian")).unwrap();
    run(&pool, &store, "work", "private", b"late", Ending::Commit);
    let reverted = vm::revert_vm(&pool, &snapshot).unwrap();
    assert!(reverted.said[0].contains("no template debian any more"), "{:?}", reverted.said);
    let vm = vm_of(&pool, "work");
    assert_eq!(vm.record.template, Some(name("fedora")));
    assert_eq!(version(&store, &vm.dir, "private"), b"mine");
    is_sound(&pool);
}

#[test]
fn a_missing_image_or_vm_is_told_of_before_anything_is_changed() {
    let (store, pool, snapshot) = changed();
    store.remove(&snapshot.image(&snapshot.disks[1])).unwrap();
    let old = tree(&store);
    let error = vm::revert_vm(&pool, &snapshot).unwrap_err();
    assert!(error.to_string().contains("has no image of private"), "{error}");
    assert_eq!((tree(&store), content(&store)), (old, [b"sys2".to_vec(), b"away".to_vec()]));
    vm::remove(&pool, &name("work")).unwrap();
    vm::remove(&pool, &name("debian")).unwrap();
    let error = vm::revert_vm(&pool, &snapshot).unwrap_err();
    assert!(error.hint().unwrap().contains("snapshot clone"), "{error}");
}

#[test]
fn a_half_reverted_vm_is_finished_by_whoever_has_the_pool_too() {
    let (store, _, snapshot) = changed();
    cut_everywhere(
        &store,
        |pool| vm::revert_vm(pool, &snapshot).map(drop),
        |store, pool| {
            // A clone takes the pool's lock first, and then the VM's.
            vm::clone(pool, &name("debian"), &name("copy")).unwrap();
            let dir = pool.vm(&name("copy")).unwrap().dir;
            assert_eq!(version(store, &dir, "root"), content(store)[0]);
            is_sound(pool);
        },
    );
}

#[test]
fn every_field_that_is_never_reverted_is_one_of_the_record() {
    let (_, pool, snapshot) = changed();
    for field in NEVER_REVERTED {
        let known = ["base", "flags", "versioned", "ahead", "pins", "keep", "parent"];
        let text = String::from_utf8(snapshot.record.print().unwrap()).unwrap();
        let is_printed = text.lines().any(|line| line.starts_with(&format!("{field} = ")));
        assert!(is_printed || known.contains(field), "{field}");
    }
    assert!(matches!(pool.vm(&name("nobody")), Err(Error::Refused(_))));
}
