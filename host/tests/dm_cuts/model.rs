//! Random commands, kills, crashes and failures against a small model of a template and a VM that uses it.

use crate::{
    contract::app_root,
    seen::{Image, Seen},
    world::{CHUNK, World, all, pattern, template},
};
use ebbtide::{
    Error,
    pool::driver::{Access, Commit as _, Ending, Outcome, Volume, Volumes as _, memory::Fault},
    pool::store::Unseen,
    volume::Revision,
};
use ebbtide_format::units::Bytes;
use nix::errno::Errno;
use proptest::prelude::*;

/// A command on the template, or on the VM that uses it.
#[derive(Debug, Clone, Copy)]
enum Command {
    Write(u8),
    Stop(Ending),
    Revert(usize),
    Import(&'static str),
    Grow,
    Precache,
    Pin(usize),
    Use,
    EndUse,
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Well,
    Killed(u64),
    Crashed(u64),
    Failed(u64),
}

fn commands() -> impl Strategy<Value = (Command, End)> {
    let ending = prop_oneof![Just(Ending::Commit), Just(Ending::Keep), Just(Ending::Discard)];
    let command = prop_oneof![
        5 => (b'e'..b'q').prop_map(Command::Write),
        5 => ending.prop_map(Command::Stop),
        2 => (0..4usize).prop_map(Command::Revert),
        2 => prop_oneof![Just("file"), Just("short")].prop_map(Command::Import),
        1 => Just(Command::Grow),
        1 => Just(Command::Precache),
        1 => (0..4usize).prop_map(Command::Pin),
        2 => Just(Command::Use),
        1 => Just(Command::EndUse),
    ];
    let end = prop_oneof![
        3 => Just(End::Well),
        2 => (0..12u64).prop_map(End::Killed),
        2 => (0..12u64).prop_map(End::Crashed),
        1 => (0..12u64).prop_map(End::Failed),
    ];
    (command, end)
}

/// A pool, the template as its record has it, and what the VM that uses it reads.
struct Bench {
    world: World,
    volume: Volume,
    used: Option<Image>,
}

impl Bench {
    fn seen(&self) -> Seen {
        self.world.seen(&self.volume)
    }

    fn revision(&self, which: usize) -> Option<(Revision, u64)> {
        let kept = self.world.driver.state(&self.volume).unwrap().revisions;
        let (revision, _) = kept.get(which % kept.len().max(1))?;
        Some((*revision, revision.number.unwrap()))
    }

    /// What is current and what is dirty after a command that was done. `None`: it is refused.
    fn after(&self, old: &Seen, command: Command) -> Option<(Option<Image>, Option<Image>)> {
        let (current, dirty) = (old.current.clone(), old.dirty.clone());
        let is_dirty = self.volume_is_written();
        match command {
            Command::Write(letter) => {
                let mut image = dirty.or_else(|| current.clone())?;
                for (n, byte) in pattern(letter) {
                    let chunks = image.bytes.chunks_mut(CHUNK).nth(n);
                    chunks.into_iter().for_each(|chunk| chunk.fill(byte));
                }
                let dirty = Some(image).filter(|dirty| Some(dirty) != current.as_ref());
                Some((current, dirty))
            }
            Command::Stop(Ending::Commit) => Some((dirty.or(current), None)),
            Command::Stop(Ending::Discard) => Some((current, None)),
            Command::Revert(_) | Command::Import(_) if is_dirty => None,
            Command::Revert(which) => {
                let number = self.revision(which).map(|(_, number)| number);
                let Some(mut image) = number.map(|number| old.revisions[&number].clone()) else {
                    return Some((current, dirty));
                };
                // A disk does not shrink.
                let size = current.map_or(0, |current| current.bytes.len());
                let length = size.max(image.bytes.len());
                image.bytes.resize(length, 0);
                Some((Some(image), dirty))
            }
            Command::Import(name) => {
                let mut image = Image::of(&self.world.file(name));
                let whole = image.bytes.len().next_multiple_of(512);
                image.bytes.resize(whole, 0);
                Some((Some(image), dirty))
            }
            Command::Grow => {
                let grown = |mut image: Image| {
                    let size = image.bytes.len() + CHUNK;
                    image.bytes.resize(size, 0);
                    image
                };
                if is_dirty {
                    let grown = dirty.or_else(|| current.clone()).map(grown);
                    return Some((current, grown));
                }
                Some((current.map(grown), dirty))
            }
            _ => Some((current, dirty)),
        }
    }

    fn volume_is_written(&self) -> bool {
        self.world.driver.state(&self.volume).unwrap().dirty.is_some()
    }

    fn do_it(&self, command: Command) -> Result<(), Error> {
        let (driver, volume) = (&self.world.driver, &self.volume);
        match command {
            Command::Write(letter) => {
                driver.start(volume, Access::Shared)?;
                // What a guest writes is no change that is counted.
                self.world.budget.revive();
                self.world.write_to(volume, letter);
                Ok(())
            }
            Command::Stop(ending) => driver.stop(volume, ending).map(|_: Outcome| ()),
            Command::Revert(which) => match self.revision(which) {
                Some((revision, _)) => driver.revert(volume, revision).map(|_: Outcome| ()),
                None => Ok(()),
            },
            Command::Import(name) => {
                driver.import(volume, &self.world.file(name), &mut Unseen).map(|_: Outcome| ())
            }
            Command::Grow => {
                let state = driver.state(volume)?;
                let size = state.dirty.or(state.current).unwrap().size;
                let runs = self.world.devices().contains_key("origin");
                driver.resize(volume, Bytes(size.0 + CHUNK as u64), runs)
            }
            Command::Precache => driver.precache(volume, &mut Unseen),
            Command::Pin(_) => Ok(()),
            Command::Use => driver.start(&app_root(), Access::Shared).map(drop),
            Command::EndUse => driver.stop(&app_root(), Ending::Commit).map(drop),
        }
    }

    /// Does a command with its end, and holds what is found against what is believed.
    fn step(&mut self, command: Command, end: End) {
        let when = format!("{command:?} {end:?}");
        let old = self.seen();
        let wanted = self.after(&old, command);
        if let (Command::Pin(which), true) = (command, matches!(end, End::Well))
            && let Some((_, number)) = self.revision(which)
        {
            self.volume.retention.pinned.insert(number, "pin".into());
        }
        match end {
            End::Well => {}
            End::Killed(at) | End::Crashed(at) => self.world.budget.set(at, Fault::Kill),
            End::Failed(at) => self.world.budget.set(at, Fault::Error(Errno::ENOSPC)),
        }
        let result = self.do_it(command);
        let came = self.world.budget.revive();
        self.world.end_exports().unwrap();
        let is_use = matches!(command, Command::Use | Command::EndUse);
        match end {
            End::Crashed(_) => {
                self.world.crash();
                self.world.settle(&all()).unwrap();
            }
            // Somebody else's command leaves a template that runs alone.
            _ if came && is_use => self.world.settle(&[app_root()]).unwrap(),
            _ if came => self.world.settle(std::slice::from_ref(&self.volume)).unwrap(),
            _ => assert_eq!(result.is_ok(), wanted.is_some(), "{when}: {result:?}"),
        }
        self.world.is_not_held_back(&when);
        self.world.runs_on(&when);
        let found = self.seen();
        let is_old = (&found.current, &found.dirty) == (&old.current, &old.dirty);
        let new = wanted.unwrap_or_else(|| (old.current.clone(), old.dirty.clone()));
        let is_new = (&found.current, &found.dirty) == (&new.0, &new.1);
        let is_cut = came || matches!(end, End::Crashed(_));
        assert!(is_new || is_cut && is_old, "{when}: {found:#?}\nold {old:#?}\nwanted {new:#?}");
        self.check_use(command, is_cut, matches!(end, End::Crashed(_)), &found, &when);
        self.check_kept(&old, &found, &when);
    }

    /// The VM that uses a version reads what it read at its start.
    fn check_use(&mut self, command: Command, is_cut: bool, is_gone: bool, now: &Seen, when: &str) {
        let found = self.world.current(&app_root());
        self.used = match command {
            _ if is_gone => None,
            Command::Use if !is_cut => now.current.clone(),
            Command::EndUse if !is_cut => None,
            // Settled, where that came to it.
            Command::Use | Command::EndUse => found.is_some().then(|| self.used.clone()).flatten(),
            _ => self.used.clone(),
        };
        assert_eq!(found, self.used, "{when}: what a VM reads");
    }

    /// No pinned version is lost, none is changed, and the one before the current one is there.
    fn check_kept(&self, old: &Seen, found: &Seen, when: &str) {
        for (number, image) in &old.revisions {
            let kept = found.revisions.get(number);
            let is_pinned = self.volume.retention.pinned.contains_key(number);
            assert!(kept.is_some() || !is_pinned, "{when}: {number} was pinned");
            assert!(kept.is_none_or(|kept| kept == image), "{when}: {number} changed");
        }
        let length = |image: &Option<Image>| image.as_ref().map_or(0, |image| image.bytes.len());
        let is_grown = match (&old.current, &found.current) {
            (Some(old), Some(new)) => new.bytes.starts_with(&old.bytes),
            _ => false,
        };
        let is_kept = found.revisions.values().any(|kept| Some(kept) == old.current.as_ref());
        let is_replaced = found.current != old.current && !is_grown;
        assert!(
            !is_replaced || is_kept,
            "{when}: the predecessor is lost, {}",
            length(&old.current)
        );
    }
}

/// Does these, and then all that is left to do.
fn run(list: Vec<(Command, End)>) {
    let mut bench = Bench { world: World::new(), volume: template(), used: None };
    for (command, end) in list {
        bench.step(command, end);
    }
    bench.world.crash();
    bench.world.settle(&all()).unwrap();
    assert!(bench.world.devices().is_empty());
    bench.world.driver.remove(&bench.volume).unwrap();
    let names = bench.world.names(&bench.volume.files.dir);
    assert!(names.is_empty(), "{names:?}");
}

/// What lies behind the end of a disk that grows does not come to light.
#[test]
fn a_disk_grows_by_zeros() {
    use Command::{Grow, Import, Write};
    let list = [Import("short"), Write(b'h'), Grow, Write(b'f')];
    run(list.map(|command| (command, End::Well)).into());
    let cut = (Write(b'f'), End::Failed(0));
    let list = [Import("short"), Write(b'h'), Grow].map(|command| (command, End::Well));
    run(list.into_iter().chain([cut]).collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_commands_and_cuts_lose_nothing(list in proptest::collection::vec(commands(), 1..16)) {
        run(list);
    }
}
