//! What a power cut may leave.
//!
//! Of the changes of names in a directory that no sync covers, any first few survive. Of the changes to a file's
//! content, length and time, all survive, or none, or the length and the time with half of the content.

use super::{
    content::Content,
    disk::{Disk, Id},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What becomes of the unsynced content of a file.
const FATES: usize = 3;

/// Returns the disks that a power cut may leave: all of them, or `most` of them evenly chosen.
pub(super) fn cuts(disk: &Disk, most: usize) -> Vec<Disk> {
    let dirs = pending_of_dirs(disk);
    let unsynced: Vec<Id> = disk
        .files
        .iter()
        .filter(|(_, file)| file.live != file.durable)
        .map(|(id, _)| *id)
        .collect();
    let choices: Vec<usize> =
        dirs.values().map(|count| count + 1).chain(unsynced.iter().map(|_| FATES)).collect();
    let all =
        choices.iter().try_fold(1usize, |all, next| all.checked_mul(*next)).unwrap_or(usize::MAX);
    let stride = (all / most.max(1)).max(1);
    // Odd, and so no multiple of the directories' choices: all of those are met.
    let stride = if stride > 1 { stride | 1 } else { 1 };
    (0..all)
        .step_by(stride)
        .map(|mut number| {
            let mut choose = |among: usize| {
                let choice = number % among;
                number /= among;
                choice
            };
            let prefixes = dirs.iter().map(|(dir, count)| (*dir, choose(count + 1))).collect();
            let fates = unsynced.iter().map(|id| (*id, choose(FATES))).collect();
            cut(disk, prefixes, &fates)
        })
        .collect()
}

/// Returns how many changes each directory has that no sync covers.
fn pending_of_dirs(disk: &Disk) -> BTreeMap<Id, usize> {
    let mut count = BTreeMap::new();
    for entries in &disk.pending {
        for dir in entries.iter().map(|(dir, ..)| *dir).collect::<BTreeSet<_>>() {
            *count.entry(dir).or_default() += 1;
        }
    }
    count
}

/// Returns the disk after one of the cuts.
fn cut(disk: &Disk, mut left: BTreeMap<Id, usize>, fates: &BTreeMap<Id, usize>) -> Disk {
    let mut after = disk.clone();
    let mut survivors = Vec::new();
    for entries in std::mem::take(&mut after.pending) {
        let dirs: BTreeSet<Id> = entries.iter().map(|(dir, ..)| *dir).collect();
        if dirs.iter().all(|dir| left.get(dir).is_some_and(|left| *left > 0)) {
            dirs.iter().for_each(|dir| *left.entry(*dir).or_default() -= 1);
            survivors.push(entries);
        } else {
            // What is lost in one directory is lost in the other, with all that came later.
            dirs.iter().for_each(|dir| *left.entry(*dir).or_default() = 0);
        }
    }
    after.make_durable(survivors);
    for dir in after.dirs.values_mut() {
        dir.live = dir.durable.clone();
    }
    for (id, file) in &mut after.files {
        let found = match fates.get(id) {
            Some(0) => file.durable.clone(),
            Some(1) => Arc::new(torn(&file.durable, &file.live)),
            _ => file.live.clone(),
        };
        file.live = found.clone();
        file.durable = found;
    }
    after
}

/// Returns the length and the time of the new content, with every other changed byte of it.
fn torn(old: &Content, new: &Content) -> Content {
    let mut bytes = old.bytes.clone();
    let offsets: BTreeSet<u64> = old.bytes.keys().chain(new.bytes.keys()).copied().collect();
    let changed = offsets.into_iter().filter(|at| old.bytes.get(at) != new.bytes.get(at));
    // The first is lost: a file with one byte is torn too.
    for at in changed.skip(1).step_by(2) {
        match new.bytes.get(&at) {
            Some(byte) => bytes.insert(at, *byte),
            None => bytes.remove(&at),
        };
    }
    bytes.retain(|at, _| *at < new.size);
    Content { size: new.size, bytes, modified: new.modified }
}
