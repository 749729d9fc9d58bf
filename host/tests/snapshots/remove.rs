//! Snapshots are removed, in any order and cut anywhere: what came after them comes after their parent.

use super::*;
use std::collections::BTreeMap;

/// A chain of three snapshots, of which the VM began with the second one again.
fn chain() -> (MemoryStore, Pool, [Snapshot; 3]) {
    let (store, pool) = usual();
    let [first, second, third] =
        [b"one1", b"two2", b"thr3"].map(|bytes| step(&store, &pool, "work", bytes));
    vm::revert_vm(&pool, &second).unwrap();
    (store, pool, [first, second, third])
}

fn remove(pool: &Pool, snapshot: &Snapshot) {
    vm::remove_snapshot(pool, &snapshot.uuid.to_string()).unwrap();
}

#[test]
fn children_come_after_the_parent_of_the_one_that_is_gone() {
    let (store, pool, [first, second, third]) = chain();
    remove(&pool, &second);
    assert_eq!(parents(&pool), [(first.uuid, None), (third.uuid, Some(first.uuid))]);
    assert_eq!(vm_of(&pool, "work").record.parent, Some(first.uuid));
    remove(&pool, &first);
    assert_eq!(parents(&pool), [(third.uuid, None)]);
    assert_eq!(vm_of(&pool, "work").record.parent, None);
    assert_eq!(version(&store, &dir(&third), "private"), b"thr3");
    remove(&pool, &third);
    assert_eq!(store.names(Path::new("snapshots")).unwrap().len(), 0);
    is_sound(&pool);
}

#[test]
fn a_removal_that_is_cut_leaves_a_tree() {
    let (store, _, [first, second, third]) = chain();
    let cuts = cut_everywhere(
        &store,
        |pool| vm::remove_snapshot(pool, &second.uuid.to_string()).map(drop),
        |store, _| {
            for store in store.power_cuts(8).iter().chain([store]) {
                let pool = &over(store);
                let there: BTreeMap<_, _> = parents(pool).into_iter().collect();
                let mut at = vm_of(pool, "work").record.parent;
                assert!(at == Some(second.uuid) || at == Some(first.uuid));
                while let Some(uuid) = at {
                    at = *there.get(&uuid).expect("a parent is there");
                }
                let is_there = there.contains_key(&second.uuid);
                let after = there[&third.uuid];
                assert!(after == Some(first.uuid) || is_there && after == Some(second.uuid));
                if is_there {
                    remove(pool, &second);
                }
                assert_eq!(parents(pool), [(first.uuid, None), (third.uuid, Some(first.uuid))]);
                assert_eq!(vm_of(pool, "work").record.parent, Some(first.uuid));
                is_sound(pool);
                assert_eq!(store.names(Path::new("snapshots")).unwrap().len(), 2);
                assert_eq!(version(store, &dir(&third), "private"), b"thr3");
            }
        },
    );
    assert!(cuts > 10, "{cuts}");
}

#[test]
fn a_vm_is_removed_and_its_snapshots_stay() {
    let (store, pool, [_, second, _]) = chain();
    let before = parents(&pool);
    vm::remove(&pool, &name("work")).unwrap();
    assert_eq!(parents(&pool), before);
    assert_eq!(version(&store, &dir(&second), "private"), b"two2");
    remove(&pool, &second);
    is_sound(&pool);
}

#[test]
fn the_end_of_a_base_is_none_of_what_was_cloned() {
    let (store, pool, [first, second, third]) = chain();
    vm::clone_snapshot(&pool, &first, &name("old")).unwrap();
    for snapshot in [&first, &second, &third] {
        remove(&pool, snapshot);
    }
    assert_eq!(vm_of(&pool, "old").record.parent, None);
    assert_eq!(version(&store, &vm_of(&pool, "old").dir, "private"), b"one1");
    is_sound(&pool);
}
