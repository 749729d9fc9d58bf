//! What is wrong with a savestate.

use super::{
    find::{is_lock, leftover_directory, unknown},
    problem::{Finding, Problem},
    seen::{Seen, SeenSavestate, Text, is_aside},
    vms::human,
};
use crate::pool::store::Kind;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Looks at all savestates.
pub(super) fn find(seen: &Seen, found: &mut Vec<Finding>) {
    for savestate in &seen.savestates {
        let is_named = savestate.dir.name().is_some_and(|name| name.parse::<Uuid>().is_ok());
        if is_aside(&savestate.dir.path) {
            found.extend(leftover_directory(&savestate.dir.path, &savestate.entries));
        } else if savestate.dir.stat.kind == Kind::Directory && is_named {
            one(savestate, found);
        } else {
            found.push(unknown(&savestate.dir));
        }
    }
}

fn one(seen: &SeenSavestate, found: &mut Vec<Finding>) {
    let there: BTreeSet<&str> = seen.entries.iter().filter_map(|entry| entry.name()).collect();
    let mut named = BTreeSet::from(["savestate.toml".to_owned(), "memory".to_owned()]);
    let why = match &seen.record {
        Text::Missing => Some("it has no savestate.toml".into()),
        Text::Unreadable(problem) => Some(format!("savestate.toml: {problem}")),
        Text::Read(record) => {
            named.extend(record.disks.iter().map(|disk| format!("{}.img", disk.volume)));
            let missing = named.iter().filter(|name| !there.contains(name.as_str()));
            let missing: Vec<&str> = missing.map(String::as_str).collect();
            (!missing.is_empty()).then(|| format!("it has no {}", missing.join(", ")))
        }
    };
    let is_whole = why.is_none();
    found.extend(why.map(|why| {
        let hint = "remove the directory, or the savestate by 'ebbtide savestate remove': nothing else needs it";
        human(&seen.dir.path, Problem::SavestateBroken(why), hint)
    }));
    // Of one that is broken nobody knows what belongs to it.
    let is_unknown = |name: &str| is_whole && !named.contains(name) && !is_lock(name);
    let unknown_ones = seen.entries.iter().filter(|entry| entry.name().is_none_or(is_unknown));
    found.extend(unknown_ones.map(unknown));
}
