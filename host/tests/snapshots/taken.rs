//! Snapshots of several disks: whole or nothing, and of one instant.

use super::*;
use ebbtide::{
    Result,
    error::{Refusal, RefusalKind},
};

/// An engine whose machine stands still, and what its memory is.
struct Engine<'a>(&'a MemoryStore, &'static [u8]);

impl vm::Still for Engine<'_> {
    fn save(&mut self, file: &Path) -> Result<vm::Memory> {
        if self.1.is_empty() {
            let text = "the machine cannot be saved";
            return Err(Refusal::new(RefusalKind::Unable, text).into());
        }
        self.0.write_new(file.strip_prefix("/memory").unwrap(), self.1).unwrap();
        Ok(vm::Memory { qemu: "7.2".into(), machine: vec!["memory 512M".into()] })
    }
}

#[test]
fn a_snapshot_that_is_cut_is_whole_or_nothing() {
    let (store, pool) = written();
    // One disk has something uncommitted too.
    let guard = start(&pool, "debian").unwrap();
    pools::write(&store, Path::new("vm-templates/debian"), "root", b"sys2");
    drop(guard);
    drop(Guard::take(&pool, &name("debian"), "settle", Allow::Stopped).unwrap());
    let old = tree(&store);
    let cuts = cut_everywhere(
        &store,
        |pool| take(pool, "debian").map(drop),
        |store, pool| {
            for store in store.power_cuts(20).iter().chain([store]) {
                let pool = &over(store);
                let (found, unreadable) = vm::snapshots(pool).unwrap();
                assert!(unreadable.is_empty(), "{unreadable:?}");
                for snapshot in &found {
                    assert_eq!(version(store, &dir(snapshot), "root"), b"sys2");
                    assert_eq!(store.names(&dir(snapshot)).unwrap().len(), 4);
                }
                vm::sweep(pool).unwrap();
                if found.is_empty() {
                    assert_eq!(tree(store), old);
                }
            }
            take(pool, "debian").unwrap();
        },
    );
    assert!(cuts > 8, "{cuts}");
}

#[test]
fn a_snapshot_outlives_its_disks_and_its_vm() {
    let (store, pool) = written();
    let record = pool.vm(&name("debian")).unwrap().record;
    let snapshot = take(&pool, "debian").unwrap();
    let volumes: Vec<_> =
        snapshot.disks.iter().map(|disk| (disk.volume.as_str(), disk.uncommitted)).collect();
    assert_eq!(volumes, [("root", false), ("private", false)]);
    assert_eq!(snapshot.record, record);
    assert_eq!(pool.vm(&name("debian")).unwrap().record.parent, Some(snapshot.uuid));
    let inode = |path: &Path| store.stat(path).unwrap().unwrap().inode;
    let clean = Path::new("vm-templates/debian/root.img");
    assert_eq!(inode(&dir(&snapshot).join("root.img")), inode(clean), "nothing is copied");
    run(&pool, &store, "debian", "root", b"sys2", Ending::Commit);
    vm::remove(&pool, &name("work")).unwrap();
    vm::remove(&pool, &name("debian")).unwrap();
    assert_eq!(version(&store, &dir(&snapshot), "root"), b"sys1");
    assert_eq!(version(&store, &dir(&snapshot), "private"), b"home");
    assert_eq!(vm::snapshots(&pool).unwrap().0, [snapshot]);
}

#[test]
fn what_is_written_later_is_not_in_it() {
    let (store, pool) = written();
    let guard = start(&pool, "debian").unwrap();
    let files = Path::new("vm-templates/debian");
    pools::write(&store, files, "root", b"sys2");
    // The engine has paused the guest.
    let snapshot = vm::snapshot(&pool, &guard, None, None, &mut Unseen).unwrap();
    assert!(snapshot.disks.iter().all(|disk| disk.uncommitted));
    pools::write(&store, files, "root", b"sys3");
    pools::write(&store, files, "private", b"away");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    assert_eq!(version(&store, &dir(&snapshot), "root"), b"sys2");
    assert_eq!(version(&store, &dir(&snapshot), "private"), b"home");
}

#[test]
fn an_app_vms_snapshot_has_what_it_keeps() {
    let (store, pool) = written();
    run(&pool, &store, "work", "private", b"mine", Ending::Commit);
    let snapshot = take(&pool, "work").unwrap();
    assert_eq!(snapshot.disks.len(), 1);
    assert_eq!(version(&store, &dir(&snapshot), "private"), b"mine");
}

#[test]
fn the_vm_says_which_snapshot_it_began_with_and_so_does_the_next_one() {
    let (store, pool) = written();
    let first = take(&pool, "debian").unwrap();
    assert_eq!((first.parent, first.record.parent), (None, None));
    assert_eq!(vm_of(&pool, "debian").record.parent, Some(first.uuid));
    let second = step(&store, &pool, "debian", b"next");
    assert_eq!((second.parent, second.record.parent), (Some(first.uuid), Some(first.uuid)));
}

#[test]
fn a_checkpoint_has_all_that_the_machine_has_and_a_refused_one_leaves_nothing() {
    let (store, pool) = usual();
    let guard = start(&pool, "work").unwrap();
    let old = tree(&store);
    let mut refuses = Engine(&store, b"");
    vm::snapshot(&pool, &guard, None, Some(&mut refuses), &mut Unseen).unwrap_err();
    assert_eq!(tree(&store), old);
    let mut saves = Engine(&store, b"bits");
    let snapshot = vm::snapshot(&pool, &guard, None, Some(&mut saves), &mut Unseen).unwrap();
    let disks: Vec<_> = snapshot.disks.iter().map(|disk| disk.volume.as_str()).collect();
    assert_eq!(disks, ["root", "private", "volatile"]);
    assert_eq!(snapshot.memory.as_ref().unwrap().qemu, "7.2");
    assert_eq!(store.read(&dir(&snapshot).join("memory")).unwrap(), b"bits");
    vm::release(&pool, &guard, Ending::Commit).unwrap();
    drop(guard);
    is_sound(&pool);
    vm::remove_snapshot(&pool, &snapshot.uuid.to_string()).unwrap();
    assert_eq!(store.names(Path::new("snapshots")).unwrap().len(), 0);
}

#[test]
fn nothing_is_synced_while_the_machine_stands_still() {
    let (store, pool) = written();
    let guard = start(&pool, "debian").unwrap();
    let mut taking = vm::Taking::begin(&pool, &guard, None, true).unwrap();
    let _ = store.take_log();
    taking.hold(&pool, None, &mut Unseen).unwrap();
    let held = store.take_log();
    assert!(!held.is_empty() && held.iter().all(|line| !line.starts_with("sync")), "{held:?}");
    taking.finish(&pool).unwrap();
    assert!(store.take_log().iter().any(|line| line.starts_with("sync")));
}

#[test]
fn a_label_is_one_line_and_no_uuid() {
    let (store, pool) = usual();
    let old = tree(&store);
    let guard = Guard::take(&pool, &name("work"), "snapshot", Allow::Stopped).unwrap();
    for label in ["", "two\nlines", "00000000-0000-4000-8000-000000000001"] {
        vm::snapshot(&pool, &guard, Some(label), None, &mut Unseen).unwrap_err();
    }
    assert_eq!(tree(&store), old);
    let kept = vm::snapshot(&pool, &guard, Some("before that"), None, &mut Unseen).unwrap();
    assert_eq!(kept.label.as_deref(), Some("before that"));
}
