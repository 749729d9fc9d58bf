//! Random commands and cuts against a small model.

use crate::{
    contract::private,
    world::{BOOT, World},
};
use ebbtide::{
    Error,
    pool::{
        driver::{Access, Commit, Ending, Outcome, Volume, Volumes, memory::Fault},
        store::{Store, Unseen},
    },
    volume::{FileKind, Revision},
};
use ebbtide_format::units::Bytes;
use nix::errno::Errno;
use proptest::prelude::*;
use std::path::Path;

/// A command.
#[derive(Debug, Clone, Copy)]
enum Command {
    Write(u8),
    Start,
    Stop(Ending),
    Commit,
    Discard,
    Revert(usize),
    Import(u8),
    Grow,
    Precache,
    Pin(usize),
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Well,
    Killed(u64),
    PowerCut(u64, usize),
    Failed(u64),
}

/// What a user believes: the first byte of the current version, and of what is uncommitted.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Model {
    clean: u8,
    dirty: Option<u8>,
}

impl Model {
    /// The same after a command that was done. `None`: it is refused.
    fn after(self, command: Command, target: Option<u8>) -> Option<Self> {
        let Self { clean, dirty } = self;
        match command {
            Command::Start => Some(Self { clean, dirty: dirty.or(Some(clean)) }),
            Command::Write(byte) => Some(Self { clean, dirty: Some(byte) }),
            // Nothing was written, or what was written changed nothing: whether it is kept is for others to ask.
            Command::Stop(Ending::Keep) => Some(self),
            Command::Stop(Ending::Discard) | Command::Discard => Some(Self { clean, dirty: None }),
            Command::Stop(Ending::Commit) | Command::Commit => {
                Some(Self { clean: dirty.unwrap_or(clean), dirty: None })
            }
            Command::Import(_) | Command::Revert(_) if dirty.is_some() => None,
            Command::Import(byte) => Some(Self { clean: byte, dirty }),
            Command::Revert(_) => Some(Self { clean: target.unwrap_or(clean), dirty }),
            Command::Grow | Command::Precache | Command::Pin(_) => Some(self),
        }
    }

    /// Returns whether this may be what is found where `self` is believed: a dirty image that nobody has written to is
    /// as good as none, and a power cut may take what a guest wrote and did not flush.
    fn allows(self, found: Self, torn: bool) -> bool {
        let same =
            |a: Option<u8>, b: Option<u8>| a.unwrap_or(self.clean) == b.unwrap_or(found.clean);
        self.clean == found.clean && (torn || same(self.dirty, found.dirty))
    }
}

fn commands() -> impl Strategy<Value = (Command, End)> {
    let command = prop_oneof![
        4 => any::<u8>().prop_map(Command::Write),
        2 => Just(Command::Start),
        4 => prop_oneof![Just(Ending::Commit), Just(Ending::Keep), Just(Ending::Discard)]
            .prop_map(Command::Stop),
        2 => Just(Command::Commit),
        1 => Just(Command::Discard),
        3 => (0..4usize).prop_map(Command::Revert),
        2 => any::<u8>().prop_map(Command::Import),
        1 => Just(Command::Grow),
        2 => Just(Command::Precache),
        1 => (0..4usize).prop_map(Command::Pin),
    ];
    let end = prop_oneof![
        3 => Just(End::Well),
        2 => (0..9u64).prop_map(End::Killed),
        2 => (0..9u64, any::<usize>()).prop_map(|(at, which)| End::PowerCut(at, which)),
        1 => (0..9u64).prop_map(End::Failed),
    ];
    (command, end)
}

/// A pool, and the volume as its record has it.
struct Bench {
    world: World,
    volume: Volume,
    boot: u128,
}

impl Bench {
    fn revisions(&self) -> Vec<(Revision, u8)> {
        let state = self.world.driver.state(&self.volume).unwrap();
        let read = |revision| self.byte(&FileKind::Revision(revision)).unwrap();
        state.revisions.iter().map(|(revision, _)| (*revision, read(*revision))).collect()
    }

    /// What a file holds, by its first byte.
    fn byte(&self, kind: &FileKind) -> Option<u8> {
        let bytes = self.world.store.bytes(&self.volume.files.path(kind), 0, 1).ok()?;
        bytes.first().copied()
    }

    fn do_it(&self, command: Command) -> Result<(), Error> {
        let (driver, volume) = (&self.world.driver, &self.volume);
        match command {
            Command::Write(byte) => {
                driver.start(volume, Access::Shared)?;
                self.world.store.write(&volume.files.dirty(), 0, &[byte]).unwrap();
                Ok(())
            }
            Command::Start => driver.start(volume, Access::Shared).map(drop),
            Command::Stop(ending) => driver.stop(volume, ending).map(|_: Outcome| ()),
            Command::Commit => driver.commit(volume).map(|_: Outcome| ()),
            Command::Discard => driver.discard(volume).map(drop),
            Command::Revert(which) => match self.target(which) {
                Some((revision, _)) => driver.revert(volume, revision).map(|_: Outcome| ()),
                None => Ok(()),
            },
            Command::Import(byte) => {
                let path = Path::new("/outside/import");
                self.world.store.put_outside(path, volume.size, &[byte]);
                driver.import(volume, path, &mut Unseen).map(|_: Outcome| ())
            }
            Command::Grow => {
                let state = driver.state(volume)?;
                let size = state.dirty.or(state.current).unwrap().size;
                driver.resize(volume, Bytes(size.0 + 1), false)
            }
            Command::Precache => driver.precache(volume, &mut Unseen),
            Command::Pin(_) => Ok(()),
        }
    }

    fn target(&self, which: usize) -> Option<(Revision, u8)> {
        let revisions = self.revisions();
        revisions.get(which % revisions.len().max(1)).copied()
    }

    /// Does a command with its end, and holds what is found against what is believed.
    fn step(&mut self, old: Model, command: Command, end: End) -> Model {
        let target = match command {
            Command::Revert(which) | Command::Pin(which) => self.target(which),
            _ => None,
        };
        if let (Command::Pin(_), Some((revision, _))) = (command, target) {
            self.volume.retention.pinned.insert(revision.number.unwrap(), "pin".into());
        }
        let wanted = match (command, target) {
            (Command::Revert(_), None) => Some(old),
            _ => old.after(command, target.map(|(_, content)| content)),
        };
        let new = wanted.unwrap_or(old);
        let before = self.revisions();
        match end {
            End::Well => {}
            End::Killed(at) | End::PowerCut(at, _) => self.world.store.budget(at, Fault::Kill),
            End::Failed(at) => self.world.store.budget(at, Fault::Error(Errno::ENOSPC)),
        }
        let result = self.do_it(command);
        let came = self.world.store.revive() && !matches!(end, End::Well);
        let torn = matches!(end, End::PowerCut(..));
        if let End::PowerCut(_, which) = end {
            let cuts = self.world.store.power_cuts(64);
            self.boot += 1;
            self.world = World::over(cuts[which % cuts.len()].fork(), self.boot);
        }
        if came || torn {
            self.world.driver.recover(&self.volume).unwrap();
            // What a command that did not end well has changed becomes durable some time later.
            self.world.store.sync_dir(&self.volume.files.dir).unwrap();
        } else {
            assert_eq!(result.is_ok(), wanted.is_some(), "{command:?}: {result:?}");
        }
        let clean = self.byte(&FileKind::Clean).unwrap();
        let found = Model { clean, dirty: self.byte(&FileKind::Dirty) };
        assert!(
            new.allows(found, torn) || came && old.allows(found, torn),
            "{command:?} {end:?}: {found:?}, believed {old:?}, wanted {new:?}"
        );
        self.check_kept(&before, clean, old, command);
        found
    }

    /// No pinned version and not the newest ones are lost, and none is changed.
    fn check_kept(&self, before: &[(Revision, u8)], clean: u8, old: Model, command: Command) {
        let after = self.revisions();
        for (revision, content) in before {
            let found = after.iter().find(|(kept, _)| kept == revision);
            let is_pinned = self.volume.retention.is_pinned(*revision);
            assert!(found.is_some() || !is_pinned, "{command:?}: {revision} was pinned");
            assert!(
                found.is_none_or(|(_, kept)| kept == content),
                "{command:?}: {revision} changed"
            );
        }
        if clean != old.clean {
            assert!(
                after.iter().any(|(_, kept)| *kept == old.clean),
                "{command:?}: predecessor lost"
            );
        }
        let gone =
            before.iter().filter(|(revision, _)| !after.iter().any(|(kept, _)| kept == revision));
        let gone: Vec<_> = gone.filter(|(_, content)| *content != clean).collect();
        let unpinned =
            after.iter().filter(|(revision, _)| !self.volume.retention.is_pinned(*revision));
        let keep = self.volume.retention.keep as usize;
        assert!(
            gone.is_empty() || unpinned.count() >= keep,
            "{command:?}: {gone:?} went too early"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_commands_and_cuts_lose_nothing(list in proptest::collection::vec(commands(), 1..25)) {
        let mut bench = Bench { world: World::new(), volume: private(), boot: BOOT };
        let clean = bench.byte(&FileKind::Clean).unwrap();
        let mut model = Model { clean, dirty: None };
        for (command, end) in list {
            model = bench.step(model, command, end);
        }
        bench.world.driver.recover(&bench.volume).unwrap();
        prop_assert!(bench.world.seen(&bench.volume).asides.is_empty());
        bench.world.driver.remove(&bench.volume).unwrap();
        let seen = bench.world.seen(&bench.volume);
        prop_assert!(seen.clean.is_none() && seen.revisions.is_empty());
    }
}
