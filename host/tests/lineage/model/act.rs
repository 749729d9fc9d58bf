//! The verbs, chosen so that most of them mean something.

use super::rules::Model;
use ebbtide::{pool::driver::Ending, vm::Instance};

/// What a case says of one verb: which, and what of.
pub(crate) type Raw = (u8, u8, u8, u8, u8);

/// A verb.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Template(String),
    AppVm {
        name: String,
        template: String,
        own_root: bool,
        private: bool,
    },
    /// Its engine is one of others, or one that has the lock.
    Start {
        name: String,
        locked: bool,
    },
    Write {
        name: String,
        disk: &'static str,
        byte: u8,
    },
    Stop(String, Ending),
    /// The engine that has the lock ends without a word.
    CutOff(String),
    Commit(String),
    Discard(String),
    Instance(String, Instance),
    Clone(String, String),
    Replace(String, String),
    Remove(String),
    Set(String, Vec<(&'static str, String)>),
    Version(String),
    Snapshot(String),
    Revert(u32),
    CloneSnapshot(u32, String),
    RemoveSnapshot(u32),
    /// A savestate of a VM that runs.
    Save(String),
    /// A hot one, of a clone that is made for it.
    Hot(String),
    Unsave(u32),
    /// Its machine goes on from a savestate.
    From {
        name: String,
        id: u32,
        locked: bool,
    },
    /// A clone of it goes on from its hot savestate.
    Resume(String, Instance),
    /// One that stands ready is taken.
    HandOver(String),
}

impl Act {
    /// Returns whether it is known what a cut of it may leave. Of a run it may leave some disks of each, and what comes next
    /// goes on.
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(
            self,
            Self::Start { .. }
                | Self::Write { .. }
                | Self::Stop(..)
                | Self::CutOff(_)
                | Self::Commit(_)
                | Self::Discard(_)
                | Self::Instance(..)
                | Self::Snapshot(_)
                | Self::From { .. }
                | Self::Resume(..)
        )
    }
}

/// How many kinds of verbs a case can mean.
const KINDS: u8 = 52;

/// New names: also those that versions and starts of `a` would have.
const NEW: [&str; 9] = ["c", "d", "e", "f", "a", "a-next", "a-v2", "a-inst1", "b-v1"];

/// Returns the verb that a case means here.
pub(crate) fn choose(model: &Model, (kind, one, two, three, byte): Raw) -> Act {
    let names = model.names_and_aliases();
    let old = |which: u8| names.get(usize::from(which) % names.len().max(1)).cloned();
    let among = |which: u8, is_meant: &dyn Fn(&str) -> bool| {
        let all: Vec<_> = names.iter().filter(|name| is_meant(name)).collect();
        all.get(usize::from(which) % all.len().max(1)).map(|name| (*name).clone())
    };
    // Who takes the lock of one that an engine has waits for it in vain, and some of that is enough.
    let free = |which: u8| {
        let free = |name: &str| !model.vms.get(name).is_some_and(|vm| vm.locked);
        among(which, &free).filter(|_| !which.is_multiple_of(8))
    };
    let one_of = |which: u8| free(which).or_else(|| old(which)).unwrap_or_else(|| "a".into());
    let new = |which: u8| match which % 16 {
        15 => one_of(which / 16),
        which => NEW[usize::from(which) % NEW.len()].to_owned(),
    };
    let running = |which: u8| among(which, &|name| model.is_running(name));
    let working = |which: u8| {
        let working =
            among(which, &|name| model.vms.get(name).is_some_and(|vm| vm.versioned.is_some()));
        working.filter(|_| !which.is_multiple_of(4)).unwrap_or_else(|| one_of(which))
    };
    let snapshot = |which: u8| {
        let all: Vec<u32> = model.snapshots.keys().copied().collect();
        all.get(usize::from(which) % all.len().max(1)).copied()
    };
    let saved = |which: u8| {
        let all: Vec<u32> = model.saved.keys().copied().collect();
        all.get(usize::from(which) % all.len().max(1)).copied()
    };
    let bootable =
        |which: u8| among(which, &|name| model.is_template(name)).unwrap_or_else(|| one_of(which));
    let needed = |which: u8| {
        let needed =
            among(which, &|name| model.vms.contains_key(name) && model.is_referred_to(name));
        needed.filter(|_| three % 2 == 0).unwrap_or_else(|| one_of(which))
    };
    // Many VMs show nothing that few do not, and take long.
    let kind = match kind % KINDS {
        0..=3 | 17..=22 | 36 | 49..=50 if names.len() > 8 => 23,
        40..=44 if model.saved.len() > 5 => 45,
        kind => kind,
    };
    if kind >= 40 {
        return of_savestates(
            model,
            (kind, saved(two), running(one)),
            (one, three),
            &one_of,
            &among,
        );
    }
    match (kind, snapshot(two), running(one)) {
        (0, ..) => Act::Template(new(one)),
        (1..=3, ..) => Act::AppVm {
            name: new(one),
            template: if byte % 8 == 0 { one_of(two) } else { bootable(two) },
            own_root: three % 3 == 0,
            private: three % 4 > 0,
        },
        // What cannot be without something that runs is a start.
        (4..=7, ..) | (8..=14, _, None) => Act::Start { name: one_of(one), locked: three % 8 == 0 },
        (8..=11, _, Some(name)) => {
            let has_root = model.vms[&name].disks.contains_key("root");
            let disk = if two % 2 == 0 && has_root { "root" } else { "private" };
            Act::Write { name, disk, byte: byte.max(1) }
        }
        (12..=14, _, Some(name)) => match three % 6 {
            0 => Act::Stop(name, Ending::Keep),
            1 => Act::Stop(name, Ending::Discard),
            2 => Act::CutOff(name),
            _ => Act::Stop(name, Ending::Commit),
        },
        (15, ..) if byte % 4 == 0 => Act::Stop(one_of(one), Ending::Commit),
        (15, ..) if three % 2 == 0 => Act::Discard(one_of(one)),
        (15, ..) => Act::Commit(one_of(one)),
        (16, ..) => Act::Version(working(one)),
        (17, ..) => Act::Instance(one_of(one), Instance::Kept),
        (18, ..) => Act::Instance(one_of(one), Instance::Disposable),
        (19..=20, ..) => Act::Clone(one_of(one), new(two)),
        (21..=22, ..) => Act::Replace(needed(one), new(two)),
        (23..=24, ..) => Act::Remove(needed(one)),
        (25..=33, ..) => {
            let first = setting(two, one_of(byte));
            let second = (three % 3 == 0).then(|| setting(three / 3, one_of(byte)));
            let name = if first.0.ends_with('y') || first.0 == "versioned" {
                working(one)
            } else {
                one_of(one)
            };
            Act::Set(name, std::iter::once(first).chain(second).collect())
        }
        (34..=35, ..) | (_, None, _) => Act::Snapshot(one_of(one)),
        (36, Some(id), _) => Act::CloneSnapshot(id, new(one)),
        (37, Some(id), _) => Act::RemoveSnapshot(id),
        (_, Some(id), _) => Act::Revert(id),
    }
}

/// Returns one of the names that are meant.
type Among<'a> = dyn Fn(u8, &dyn Fn(&str) -> bool) -> Option<String> + 'a;

/// Returns the verb of savestates that is meant: of one, and of a VM that runs.
fn of_savestates(
    model: &Model,
    (kind, saved, running): (u8, Option<u32>, Option<String>),
    (one, three): (u8, u8),
    one_of: &dyn Fn(u8) -> String,
    among: &Among<'_>,
) -> Act {
    let with_hot = |which| among(which, &|name| model.hot_of(name).is_some());
    match (kind, saved, running) {
        (40..=42, _, Some(running)) => Act::Save(running),
        (43..=44, ..) => Act::Hot(one_of(one)),
        (45, Some(id), _) => Act::Unsave(id),
        (46..=48, Some(id), _) => {
            let fits = |name: &str| {
                model.vms.get(name).is_some_and(|vm| {
                    let is_free = !vm.runs && !vm.immutable && vm.dirty.is_empty();
                    is_free && vm.shown().iter().eq(model.saved[&id].disks.keys())
                })
            };
            let name = among(one, &fits).filter(|_| !three.is_multiple_of(4));
            Act::From { name: name.unwrap_or_else(|| one_of(one)), id, locked: three % 8 == 1 }
        }
        (49..=50, ..) => {
            let what = if kind == 49 { Instance::Disposable } else { Instance::Ready };
            Act::Resume(with_hot(one).unwrap_or_else(|| one_of(one)), what)
        }
        (51, ..) => {
            let is_ready = |name: &str| model.vms.get(name).is_some_and(|vm| vm.stands_ready());
            Act::HandOver(among(one, &is_ready).unwrap_or_else(|| one_of(one)))
        }
        _ => Act::Start { name: one_of(one), locked: three % 8 == 0 },
    }
}

fn setting(which: u8, other: String) -> (&'static str, String) {
    let yes = if which & 1 == 0 { "yes" } else { "no" };
    match which / 2 % 9 {
        0 => ("immutable", yes.into()),
        1 => ("volatile", yes.into()),
        2 => ("internal", yes.into()),
        3 => ("history", yes.into()),
        4 => ("base", if which & 1 == 0 { other } else { String::new() }),
        5 => ("template", other),
        6 => ("versioned", "manual".into()),
        7 if which & 1 == 0 => ("versioned", "no".into()),
        _ => ("versioned", "auto".into()),
    }
}
