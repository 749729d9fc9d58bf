//! Kills and power cuts.

use crate::{
    acts::{CASES, Case},
    contract::{private, run, template},
    world::{BOOT, Seen, World, all},
};
use ebbtide::pool::{
    driver::{Commit, Ending, Volumes, memory::Fault},
    store::{Store, Unseen},
};

/// How many of the disks that a power cut may leave are looked at.
const MOST: usize = 300;

/// Old and new, and what happened to get there.
struct Cut<'a> {
    case: &'a Case,
    old: Seen,
    new: Seen,
}

impl Cut<'_> {
    /// Asserts what must hold of what a cut has left: once after the next command settled it, and once after the
    /// repeated command.
    fn check(&self, world: &World, torn: bool, when: &str) {
        let when = format!("{}, {when}", self.case.name);
        let volume = (self.case.volume)();
        world.settle_export();
        world.settle();
        let settled = world.seen(&volume);
        if volume.role.is_kept() {
            settled.is_old_or_new(&self.old, &self.new, torn, &when);
        } else {
            assert_eq!(settled, self.old, "{when}");
        }
        (self.case.act)(world).unwrap_or_else(|error| panic!("{when}: {error}"));
        let again = world.seen(&volume);
        // A commit makes the version of what is there to commit, be it torn.
        let torn_commit = torn && self.new.dirty.is_none() && settled.dirty.is_some();
        let wanted = match (&settled.dirty, &self.old.dirty) {
            (Some(dirty), Some(old)) if torn_commit && self.new.clean.as_ref() == Some(old) => {
                Some(dirty.clone())
            }
            _ => self.new.clean.clone(),
        };
        assert_eq!(again.clean, wanted, "{when}, repeated");
        // In another boot nobody knows that nothing was written, and the repeat makes a version of it.
        let unknown = torn && self.case.name == "stop without a write" && settled.dirty.is_some();
        // An import that was done is done again: nobody compares what is imported.
        let unknown =
            unknown || self.case.name.ends_with("import") && settled.clean == self.new.clean;
        let keeps = |(name, image)| again.revisions.get(name) == Some(image);
        assert!(unknown || self.new.revisions.iter().all(keeps), "{when}, repeated: {again:?}");
        // What is pruned waits for the background to free it.
        let left = again.asides.iter().filter(|name| !name.contains(".aside-pruned."));
        assert_eq!(left.count(), 0, "{when}, repeated: {:?}", again.asides);
    }
}

impl World {
    /// Whoever exported is gone, and ends the export before anything else.
    fn settle_export(&self) {
        for volume in all() {
            let names = self.store.names(&volume.files.dir).unwrap();
            let prefix = format!("{}.img.export-", volume.files.name);
            let ids = names.iter().filter_map(|name| name.to_str()?.strip_prefix(&prefix));
            for id in ids {
                self.driver.export_end(&volume, id.parse().unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn old_or_new_when_cut_before_any_change() {
    let mut cuts = 0;
    for case in CASES {
        let base = World::new();
        (case.given)(&base);
        let volume = (case.volume)();
        let done = base.fork();
        (case.act)(&done).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let cut = Cut { case, old: base.seen(&volume), new: done.seen(&volume) };
        for changes in 0.. {
            let world = base.fork();
            world.store.budget(changes, Fault::Kill);
            let result = (case.act)(&world);
            let came = world.store.revive();
            if !came {
                break;
            }
            assert!(result.is_err() || !cut.new.asides.is_empty() || changes > 0, "{}", case.name);
            cuts += 1;
            for (number, store) in (0..).zip(world.store.power_cuts(MOST)) {
                cuts += 1;
                // The machine has started again: nothing is known of what was written.
                let world = World::over(store, BOOT + 1);
                cut.check(&world, true, &format!("power cut {number} before change {changes}"));
            }
            cut.check(&world, false, &format!("killed before change {changes}"));
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn what_was_done_outlives_a_power_cut() {
    for case in CASES {
        let world = World::new();
        (case.given)(&world);
        (case.act)(&world).unwrap();
        let volume = (case.volume)();
        let new = world.seen(&volume);
        for (number, store) in (0..).zip(world.store.power_cuts(MOST)) {
            let after = World::over(store, BOOT + 1);
            after.settle();
            let found = after.seen(&volume);
            if volume.role.is_kept() {
                let when = format!("{}, power cut {number}", case.name);
                assert_eq!(found.clean, new.clean, "{when}");
                let torn_dirty = case.name == "start after a cut";
                assert!(found.dirty == new.dirty || torn_dirty && found.dirty.is_some(), "{when}");
                assert!(
                    new.revisions.keys().all(|kept| found.revisions.contains_key(kept)),
                    "{when}"
                );
            }
        }
    }
}

#[test]
fn a_removal_that_is_cut_leaves_the_current_version_or_nothing() {
    let base = World::new();
    base.driver.precache(&private(), &mut Unseen).unwrap();
    let old = base.seen(&private());
    for changes in 0.. {
        let world = base.fork();
        world.store.budget(changes, Fault::Kill);
        let _ = world.driver.remove(&private());
        if !world.store.revive() {
            break;
        }
        let killed = [World::over(world.store.fork(), BOOT)];
        let cuts =
            world.store.power_cuts(MOST).into_iter().map(|store| World::over(store, BOOT + 1));
        for world in killed.into_iter().chain(cuts) {
            world.settle();
            let seen = world.seen(&private());
            assert!(seen.clean == old.clean || seen.clean.is_none() && seen.revisions.is_empty());
            world.driver.remove(&private()).unwrap();
            let names = world.store.names(&private().files.dir).unwrap();
            let left = names.iter().filter_map(|name| name.to_str());
            assert_eq!(left.filter(|name| name.contains("private")).count(), 0, "{names:?}");
        }
    }
}

#[test]
fn commits_that_are_cut_again_and_again_push_nothing_out() {
    let base = World::new();
    base.write(&private(), b"mine");
    let old = base.seen(&private());
    for changes in 0..4 {
        let world = base.fork();
        for _ in 0..10 {
            world.store.budget(changes, Fault::Kill);
            let _ = world.driver.commit(&private());
            if !world.store.revive() || world.seen(&private()).dirty.is_none() {
                break;
            }
            if changes % 2 == 0 {
                world.settle();
            }
        }
        let seen = world.seen(&private());
        let lost: Vec<_> =
            old.revisions.keys().filter(|name| !seen.revisions.contains_key(*name)).collect();
        assert!(lost.len() <= usize::from(seen.dirty.is_none()), "{changes}: lost {lost:?}");
    }
}

#[test]
fn a_start_that_is_cut_and_a_stop_without_a_write_push_nothing_out() {
    let base = World::new();
    let old = base.seen(&private());
    for precached in [false, true] {
        for changes in 0.. {
            let world = base.fork();
            if precached {
                world.driver.precache(&private(), &mut Unseen).unwrap();
            }
            world.store.budget(changes, Fault::Kill);
            let _ = world.driver.start(&private(), ebbtide::pool::driver::Access::Shared);
            if !world.store.revive() {
                break;
            }
            world.settle();
            world.driver.start(&private(), ebbtide::pool::driver::Access::Shared).unwrap();
            world.driver.stop(&private(), Ending::Commit).unwrap();
            assert_eq!(world.seen(&private()), old, "change {changes}");
        }
    }
}

#[test]
fn after_another_boot_it_counts_as_written() {
    let world = World::new();
    world.driver.start(&private(), ebbtide::pool::driver::Access::Shared).unwrap();
    let next = World::over(world.store.fork(), BOOT + 1);
    let outcome = next.driver.commit(&private()).unwrap();
    assert!(matches!(outcome, ebbtide::pool::driver::Outcome::Committed(Some(_))), "{outcome:?}");
    let modified = next.driver.state(&private()).unwrap().current.unwrap().modified;
    assert!(modified.as_second() > 1_000_000, "the version is not of 1970: {modified}");
    run(&next, &template(), b"more");
}
