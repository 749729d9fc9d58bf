//! A VM that begins as a snapshot.

use super::*;
use ebbtide::vm::record::Flags;

#[test]
fn a_clone_is_a_vm_of_its_own_also_when_the_vm_is_gone() {
    let (store, pool) = written();
    vm::set(&pool, &name("debian"), &[("memory", "1G")]).unwrap();
    let snapshot = take(&pool, "debian").unwrap();
    vm::remove(&pool, &name("work")).unwrap();
    vm::remove(&pool, &name("debian")).unwrap();
    vm::clone_snapshot(&pool, &snapshot, &name("again")).unwrap();
    let again = vm_of(&pool, "again");
    let record = &again.record;
    assert_eq!(version(&store, &again.dir, "root"), b"sys1");
    assert_eq!(version(&store, &again.dir, "private"), b"home");
    assert_eq!(record.engine, snapshot.record.engine);
    assert_ne!(record.uuid, snapshot.record.uuid);
    assert_eq!((record.parent, &record.base), (Some(snapshot.uuid), &None));
    assert_eq!((record.flags.clone(), record.pins.len()), (Flags::default(), 0));
    let inode = |path: &Path| store.stat(path).unwrap().unwrap().inode;
    let image = snapshot.image(&snapshot.disks[0]);
    assert_eq!(inode(&image), inode(&again.dir.join("root.img")), "nothing is copied");
    run(&pool, &store, "again", "root", b"sys9", Ending::Commit);
    assert_eq!(version(&store, &dir(&snapshot), "root"), b"sys1");
    is_sound(&pool);
    let error = vm::clone_snapshot(&pool, &snapshot, &name("again")).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
}

#[test]
fn a_clone_that_is_cut_is_there_or_not() {
    let (store, pool) = written();
    let snapshot = take(&pool, "debian").unwrap();
    let cuts = cut_everywhere(
        &store,
        |pool| vm::clone_snapshot(pool, &snapshot, &name("again")).map(drop),
        |store, pool| {
            for store in store.power_cuts(8).iter().chain([store]) {
                let pool = &over(store);
                is_sound(pool);
                if pool.vm(&name("again")).is_err() {
                    vm::clone_snapshot(pool, &snapshot, &name("again")).unwrap();
                }
                let again = vm_of(pool, "again");
                assert_eq!(version(store, &again.dir, "root"), b"sys1");
                assert_eq!(version(store, &again.dir, "private"), b"home");
            }
            let _ = pool;
        },
    );
    assert!(cuts > 5, "{cuts}");
}

#[test]
fn an_app_vm_wants_its_template_and_gets_what_it_keeps() {
    let (store, pool) = usual();
    let snapshot = step(&store, &pool, "work", b"mine");
    vm::clone_snapshot(&pool, &snapshot, &name("play")).unwrap();
    assert_eq!(version(&store, &vm_of(&pool, "play").dir, "private"), b"mine");
    for text in ["play", "work", "debian"] {
        vm::remove(&pool, &name(text)).unwrap();
    }
    let old = pools::tree(&store);
    vm::clone_snapshot(&pool, &snapshot, &name("play")).unwrap_err();
    assert_eq!(pools::tree(&store), old);
}

#[test]
fn a_kernel_goes_with_the_snapshot_and_comes_back_with_it() {
    let (store, pool) = written();
    let kernel = Path::new("vm-templates/debian/kernel");
    let put = |text: &[u8]| {
        let _ = store.remove(kernel);
        store.write_new(kernel, text).unwrap();
    };
    put(b"one");
    let snapshot = take(&pool, "debian").unwrap();
    put(b"two");
    vm::clone_snapshot(&pool, &snapshot, &name("again")).unwrap();
    assert_eq!(store.read(Path::new("vm-templates/again/kernel")).unwrap(), b"one");
    vm::revert_vm(&pool, &snapshot).unwrap();
    assert_eq!(store.read(kernel).unwrap(), b"one");
    is_sound(&pool);
    vm::remove_snapshot(&pool, &snapshot.uuid.to_string()).unwrap();
    assert_eq!(store.names(Path::new("snapshots")).unwrap().len(), 0);
}
