//! Stores that the kernel gave up, as it does when a write to one fails: what was in them is gone. What the base has is not,
//! and neither is a way on from there.

use crate::{
    seen::Image,
    world::{World, private},
};
use ebbtide::{
    Error,
    pool::{
        driver::{Access, Commit as _, Ending, Outcome, Volumes as _, memory::Fault},
        store::Store as _,
    },
};
use std::{fs::File, os::unix::fs::FileExt as _, path::PathBuf};

/// Marks a store as the kernel does: its first chunk is written anew, so nothing else in that is left.
fn give_up(path: &PathBuf) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    let header = [*b"SnAp", [0; 4], 1_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat();
    file.write_all_at(&header, 0).unwrap();
}

fn refused(result: Result<impl std::fmt::Debug, Error>) -> String {
    result.unwrap_err().chain()
}

fn give_up_current(world: &World) {
    give_up(&world.store.real(&private().files.cow().clean()));
}

/// What is written may be committed: that is what there is.
fn goes_on(world: &World, when: &str) {
    let volume = private();
    let written = Image::of(&world.store.real(&volume.files.dirty()));
    let base = world.store.real(&volume.files.clean());
    for _ in 0..2 {
        let text = refused(world.driver.discard(&volume));
        assert!(text.contains("the current version of work:private is lost"), "{text}");
        assert_eq!(Image::of(&base), written, "{when}: nothing of it is dropped");
        assert!(!world.names(&volume.files.dir).iter().any(|name| name.contains(".aside-")));
    }
    assert!(matches!(world.driver.commit(&volume).unwrap(), Outcome::Committed(_)), "{when}");
    assert_eq!(world.current(&volume), Some(written), "{when}");
    world.driver.start(&volume, Access::Shared).unwrap();
    assert_eq!(world.driver.stop(&volume, Ending::Commit).unwrap(), Outcome::Unchanged, "{when}");
}

#[test]
fn what_was_written_since_a_lost_version_is_kept_until_it_is_committed() {
    let mut world = World::new();
    world.write_to(&private(), b'd');
    world.crash();
    give_up_current(&world);
    world.settle(&[private()]).unwrap();
    goes_on(&world, "written");
}

/// Neither what a revert was to bring nor what was there before can be put together.
#[test]
fn what_a_cut_off_revert_has_left_of_a_lost_version_can_be_committed() {
    let mut cut = 0;
    for changes in 0.. {
        let mut world = World::new();
        let (to, _) = world.driver.state(&private()).unwrap().revisions[0];
        world.budget.set(changes, Fault::Kill);
        let _ = world.driver.revert(&private(), to);
        if !world.budget.revive() {
            break;
        }
        world.crash();
        if !world.names(&private().files.dir).contains(&"private.img.aside-revert".to_owned()) {
            continue;
        }
        cut += 1;
        give_up_current(&world);
        world.settle(&[private()]).unwrap();
        goes_on(&world, &format!("before change {changes}"));
    }
    assert!(cut > 2, "{cut}");
}

#[test]
fn a_revert_to_what_is_lost_is_refused_before_anything_is_written() {
    let world = World::new();
    let volume = private();
    let revisions = world.driver.state(&volume).unwrap().revisions;
    let old = world.current(&volume);
    world.budget.take_log();
    let path = volume.files.cow().path(&ebbtide::volume::FileKind::Revision(revisions[1].0));
    give_up(&world.store.real(&path));
    for (revision, _) in &revisions[..2] {
        let text = refused(world.driver.revert(&volume, *revision));
        assert!(text.contains("is lost: the kernel gave up"), "{text}");
    }
    assert_eq!(world.budget.take_log(), [] as [String; 0]);
    assert_eq!(world.current(&volume), old);
}
