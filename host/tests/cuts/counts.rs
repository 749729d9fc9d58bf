//! How many operations a command takes: flat, whatever the size.

use crate::{acts::CASES, contract::private, world::World};
use ebbtide::pool::driver::{Access, Commit, Volumes};
use ebbtide_format::units::Bytes;

/// Changes and flushes of each command.
const COUNTS: &[(&str, usize, usize)] = &[
    // Name, changes with flushes, flushes.
    ("stop", 5, 2),
    ("commit", 5, 2),
    ("stop without a write", 3, 1),
    ("discard", 2, 1),
    ("start", 5, 2),
    ("start with a next image", 3, 1),
    ("start on a template", 1, 0),
    ("start on a copy", 2, 0),
    ("start empty", 1, 0),
    ("import", 9, 2),
    ("revert", 5, 1),
    ("resize", 7, 2),
    ("clone", 2, 1),
    ("create", 4, 2),
    ("next image", 4, 1),
    ("export", 3, 1),
];

#[test]
fn each_command_takes_so_many_operations() {
    for (name, changes, flushes) in COUNTS {
        let case = CASES.iter().find(|case| case.name == *name).unwrap();
        let world = World::new();
        (case.given)(&world);
        let _ = world.store.take_log();
        (case.act)(&world).unwrap();
        let log = world.store.take_log();
        let found = log.iter().filter(|change| change.starts_with("sync_")).count();
        assert_eq!((log.len(), found), (*changes, *flushes), "{name}: {log:#?}");
    }
}

#[test]
fn start_and_commit_take_as_many_operations_for_any_size() {
    let count = |size: Bytes| {
        let world = World::new();
        if size > private().size {
            world.driver.resize(&private(), size, false).unwrap();
        }
        let _ = world.store.take_log();
        let before = world.store.looks();
        world.driver.start(&private(), Access::Shared).unwrap();
        for offset in [0, size.0 / 2, size.0 - 1] {
            world.store.write(&private().files.dirty(), offset, b"x").unwrap();
        }
        world.driver.commit(&private()).unwrap();
        (world.store.take_log(), world.store.looks() - before)
    };
    let small = count(private().size);
    assert_eq!(small, count(Bytes::gib(100)));
    assert_eq!(small, count(Bytes(3 << 40)));
}
