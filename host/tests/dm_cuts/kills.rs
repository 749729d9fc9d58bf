//! Processes that are killed, and hosts that go down.

use crate::{
    acts::{Case, RUNNING, STOPPED},
    contract::app_root,
    seen::Seen,
    world::{World, all, template},
};
use ebbtide::{
    Error,
    error::RefusalKind,
    pool::{
        driver::{Access, Ending, Volumes as _, memory::Fault},
        store::Store as _,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    /// The process is gone, the devices are there and VMs run on.
    Kill,
    /// The host is gone with all devices.
    Crash,
}

/// What may be there after a cut of a command.
struct Cutting<'a> {
    case: &'a Case,
    cut: Cut,
    old: Seen,
    new: Seen,
    /// Files after the next command: those before and those after.
    names: BTreeSet<String>,
    /// Devices then.
    devices: BTreeMap<String, usize>,
    /// Files and devices that the command leaves when it is not cut.
    made: (BTreeSet<String>, BTreeMap<String, usize>),
}

impl Case {
    fn given(&self) -> World {
        let mut world = World::new();
        (self.given)(&mut world);
        world
    }

    /// Returns what a cut before change `changes` leaves; `None` when it has not so many.
    fn cut(&self, cut: Cut, changes: u64) -> Option<World> {
        let mut world = self.given();
        world.budget.set(changes, Fault::Kill);
        let result = (self.act)(&world);
        if !world.budget.revive() {
            result.unwrap();
            return None;
        }
        cut.fall(&mut world);
        Some(world)
    }

    fn settle(&self, cut: Cut, world: &World) -> Result<(), ebbtide::Error> {
        world.end_exports()?;
        match cut {
            Cut::Crash => world.settle(&all()),
            Cut::Kill if self.runs => Ok(()),
            Cut::Kill => {
                // What was read for it is of another volume, whose own next command ends that.
                let others = all().into_iter().filter(|other| {
                    let dirty = world.store.stat(&other.files.dirty()).unwrap();
                    other.role.is_kept() && dirty.is_none()
                });
                world.settle(&others.chain([(self.volume)()]).collect::<Vec<_>>())
            }
        }
    }
}

impl Cut {
    fn fall(self, world: &mut World) {
        if self == Self::Crash {
            world.crash();
        }
    }
}

impl<'a> Cutting<'a> {
    fn new(case: &'a Case, cut: Cut) -> Self {
        let volume = (case.volume)();
        let [mut before, mut after] = [(); 2].map(|()| case.given());
        cut.fall(&mut before);
        case.settle(cut, &before).unwrap();
        (case.act)(&after).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        cut.fall(&mut after);
        case.settle(cut, &after).unwrap();
        let names = before.all_names().union(&after.all_names()).cloned().collect();
        let devices = before.devices();
        assert_eq!(after.devices(), devices, "{}", case.name);
        let (old, mut new) = (before.seen(&volume), after.seen(&volume));
        // And done after a cut that came before it.
        if case.runs && cut == Cut::Crash {
            (case.given)(&mut before);
        }
        (case.act)(&before).unwrap();
        let made = (before.all_names(), before.devices());
        if !volume.role.is_kept() {
            new = before.seen(&volume);
        }
        Self { case, cut, old, new, names, devices, made }
    }

    /// Asserts what must hold of what a cut has left: once after the next command settled it, and once after the repeated
    /// command. Returns what it took to settle it.
    fn check(&self, mut world: World, when: &str) -> Vec<String> {
        let (case, cut) = (self.case, self.cut);
        let when = format!("{}, {cut:?} {when}", case.name);
        let volume = (case.volume)();
        world.runs_on(&when);
        let _ = world.budget.take_log();
        case.settle(cut, &world).unwrap_or_else(|error| panic!("{when}: {error}"));
        let log = world.budget.take_log().iter().map(|line| without_numbers(line)).collect();
        if !case.runs {
            world.is_not_held_back(&when);
            assert_eq!(world.devices(), self.devices, "{when}");
        }
        let names = world.all_names();
        // A running template's own next command ends a copy of it that was killed.
        let is_running = world.store.stat(&template().files.dirty()).unwrap().is_some();
        let is_read = |name: &str| is_running && name.contains(".aside-read-");
        let left: Vec<_> = names.difference(&self.names).filter(|name| !is_read(name)).collect();
        assert!(left.is_empty(), "{when}: left over: {left:?}");
        let settled = world.seen(&volume);
        if volume.role.is_kept() {
            settled.is_old_or_new(&self.old, &self.new, &when);
        } else {
            assert_eq!(settled, self.old, "{when}");
        }
        world.runs_on(&when);

        if case.runs && cut == Cut::Crash {
            (case.given)(&mut world);
        }
        match (case.act)(&world) {
            // What is there was copied, and nobody can tell.
            Err(Error::Refused(refusal)) if refusal.kind == RefusalKind::Exists => {
                assert_eq!((case.name, &settled.current), ("clone", &self.new.current), "{when}");
            }
            done => done.unwrap_or_else(|error| panic!("{when}, repeated: {error}")),
        }
        let when = format!("{when}, repeated");
        world.is_not_held_back(&when);
        world.runs_on(&when);
        assert_eq!(world.devices(), self.made.1, "{when}");
        // An import that was done is done again: nobody compares what is imported.
        let twice = case.name.contains("import") && settled.current == self.new.current;
        let names = world.all_names();
        let is_known = |name: &str| self.made.0.contains(name) || self.names.contains(name);
        let left: Vec<_> = names.iter().filter(|name| !is_known(name)).collect();
        let is_pruned = |name: &str| name.contains(".aside-pruned");
        assert!(twice || left.iter().all(|name| is_pruned(name)), "{when}: left over: {left:?}");
        assert_eq!(world.current(&volume), self.new.current, "{when}");
        let state = world.driver.state(&volume).unwrap();
        let numbers: Vec<_> = state.revisions.iter().filter_map(|kept| kept.0.number).collect();
        assert!(twice || self.new.revisions.keys().all(|kept| numbers.contains(kept)), "{when}");
        world.runs_on(&when);
        log
    }
}

/// Returns a change without what is another one in each world.
fn without_numbers(line: &str) -> String {
    line.split(".export-").next().unwrap().replace(|c: char| c.is_ascii_digit(), "")
}

/// Cuts commands before each of their changes.
fn every_cut(
    cut: Cut,
    which: impl Fn(&Case) -> bool,
    mut check: impl FnMut(&Cutting<'_>, u64, World),
) {
    for case in STOPPED.iter().chain(RUNNING).filter(|case| which(case)) {
        let cutting = Cutting::new(case, cut);
        let mut count = 0;
        while let Some(world) = case.cut(cut, count) {
            check(&cutting, count, world);
            count += 1;
        }
        assert_ne!(count, 0, "{} changes nothing", case.name);
    }
}

/// Checks every cut, and every cut of what settles it.
fn check_all(cut: Cut) {
    let mut settled = BTreeSet::new();
    every_cut(
        cut,
        |_| true,
        |cutting, count, world| {
            let case = cutting.case;
            let log = cutting.check(world, &format!("before change {count}"));
            // What is settled as another cut was is cut as that one was.
            if !settled.insert(log) {
                return;
            }
            for second in 0.. {
                let mut world = case.cut(cut, count).unwrap();
                world.budget.set(second, Fault::Kill);
                let _ = case.settle(cut, &world);
                if !world.budget.revive() {
                    break;
                }
                cut.fall(&mut world);
                let when = format!("before change {count}, and {second} of what settles it");
                cutting.check(world, &when);
            }
        },
    );
}

#[test]
fn old_or_new_when_the_process_is_killed_before_any_change() {
    check_all(Cut::Kill);
}

#[test]
fn old_or_new_when_the_host_goes_down_before_any_change() {
    check_all(Cut::Crash);
}

#[test]
fn who_starts_on_a_template_that_was_cut_off_gets_the_old_version_or_the_new_one() {
    for cut in [Cut::Kill, Cut::Crash] {
        let is_template = |case: &Case| (case.volume)() == template();
        every_cut(cut, is_template, |cutting, count, world| {
            let when = format!("{}, {cut:?} before change {count}", cutting.case.name);
            let root = app_root();
            world.driver.start(&root, Access::Shared).unwrap();
            let found = world.seen(&root).current;
            let is_one = found == cutting.old.current || found == cutting.new.current;
            assert!(is_one, "{when}: {found:?}, {:?}, {:?}", cutting.old, cutting.new);
            // It is one still when the template was settled.
            world.end_exports().unwrap();
            if !(cutting.case.runs && cut == Cut::Kill) {
                world.settle(&[template()]).unwrap();
            }
            assert_eq!(world.seen(&root).current, found, "{when}");
            world.driver.stop(&root, Ending::Commit).unwrap();
            cutting.check(world, &format!("before change {count}, after another start"));
        });
    }
}
