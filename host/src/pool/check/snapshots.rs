//! What is wrong with a snapshot, and with what snapshots and VMs say of each other.

use super::{
    find::{is_lock, is_record_aside, leftover, leftover_directory, unknown},
    problem::{Finding, Problem, Remedy},
    seen::{Seen, SeenSnapshot, Text, is_aside},
    vms::human,
};
use crate::{
    name::VolumeName,
    pool::store::Kind,
    vm::{
        Snapshot,
        snapshot_lineage::{Fault, Link, faults},
    },
    volume::{FileKind, files::read_name},
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What is to be done about one of which something is missing.
const REMOVE: &str = "'ebbtide snapshot remove UUID' when nobody needs it";

/// Looks at all snapshots, and at the VMs that began with one.
pub(super) fn find(seen: &Seen, found: &mut Vec<Finding>) {
    for snapshot in &seen.snapshots {
        if is_aside(&snapshot.dir.path) {
            found.extend(leftover_directory(&snapshot.dir.path, &snapshot.entries));
        } else if snapshot.dir.stat.kind == Kind::Directory && is_named(snapshot) {
            one(snapshot, found);
        } else {
            found.push(unknown(&snapshot.dir));
        }
    }
    tree(seen, found);
}

fn is_named(snapshot: &SeenSnapshot) -> bool {
    snapshot.dir.name().is_some_and(|name| name.parse::<Uuid>().is_ok())
}

/// Looks at a snapshot by itself.
fn one(seen: &SeenSnapshot, found: &mut Vec<Finding>) {
    let dir = &seen.dir.path;
    let images: BTreeSet<VolumeName> = seen.entries.iter().filter_map(image).collect();
    match &seen.record {
        Text::Missing => found.push(human(dir, Problem::SnapshotWithoutRecord, REMOVE)),
        Text::Unreadable(problem) => found.push(human(
            &dir.join("snapshot.toml"),
            Problem::SnapshotUnreadable(problem.clone()),
            format!("correct it with an editor, or {REMOVE}"),
        )),
        Text::Read(record) => content(seen, record, &images, found),
    }
    let has_none = matches!(&seen.record, Text::Read(record) if record.disks.is_empty());
    if images.is_empty() && !has_none {
        found.push(human(dir, Problem::SnapshotWithoutImages, REMOVE));
    }
    for entry in &seen.entries {
        match entry.name() {
            Some(name) if is_record_aside(name) => found.push(leftover(entry)),
            Some("snapshot.toml" | "memory" | "kernel" | "initrd") => {}
            Some(name) if is_lock(name) || image(entry).is_some() => {}
            _ => found.push(unknown(entry)),
        }
    }
}

fn image(entry: &super::seen::Entry) -> Option<VolumeName> {
    match read_name(entry.name()?)? {
        (volume, FileKind::Clean) if entry.stat.kind == Kind::File => Some(volume),
        _ => None,
    }
}

/// Compares what a record names with what is there.
fn content(
    seen: &SeenSnapshot,
    record: &Snapshot,
    images: &BTreeSet<VolumeName>,
    found: &mut Vec<Finding>,
) {
    let dir = &seen.dir.path;
    let named: BTreeSet<VolumeName> = record.disks.iter().map(|disk| disk.volume.clone()).collect();
    // Of one without any image that is said once.
    for volume in named.difference(images).filter(|_| !images.is_empty()) {
        let at = dir.join(format!("{volume}.img"));
        found.push(human(&at, Problem::SnapshotImageMissing, REMOVE));
    }
    let memory = seen.entries.iter().find(|entry| entry.name() == Some("memory"));
    match (&record.memory, memory) {
        (Some(_), None) => {
            found.push(human(&dir.join("memory"), Problem::SnapshotMemoryMissing, REMOVE));
        }
        (None, Some(memory)) => found.push(unnamed(memory)),
        _ => {}
    }
    let is_unnamed = |volume: &VolumeName| !named.contains(volume);
    let entries = seen.entries.iter();
    found.extend(entries.filter(|entry| image(entry).is_some_and(|v| is_unnamed(&v))).map(unnamed));
}

fn unnamed(entry: &super::seen::Entry) -> Finding {
    let at = entry.path.clone();
    Finding { at, problem: Problem::SnapshotFileUnnamed, remedy: Remedy::Note }
}

/// Looks at what snapshots say of others, and VMs of snapshots.
fn tree(seen: &Seen, found: &mut Vec<Finding>) {
    let read = |seen: &SeenSnapshot| match &seen.record {
        Text::Read(record) => Some((seen.dir.path.join("snapshot.toml"), Link::from(record))),
        _ => None,
    };
    let (files, links): (Vec<_>, Vec<_>) = seen.snapshots.iter().filter_map(read).unzip();
    let faults = faults(&links);
    let there: BTreeSet<Uuid> =
        seen.snapshots.iter().filter_map(|snapshot| snapshot.dir.name()?.parse().ok()).collect();
    for (file, link) in files.iter().zip(&links) {
        let edit = "correct it with an editor, or 'ebbtide snapshot remove UUID'";
        match (faults.get(&link.uuid), link.parent) {
            (Some(Fault::OfItself), _) => {
                found.push(human(file, Problem::SnapshotOfItself, edit));
            }
            (Some(Fault::OwnParent), _) => {
                found.push(human(file, Problem::SnapshotOwnParent, edit));
            }
            (Some(Fault::Cycle(way)), _) => {
                found.push(human(file, Problem::SnapshotCycle { through: way.clone() }, edit));
            }
            (None, Some(parent)) if !there.contains(&parent) => found.push(gone(file, parent)),
            _ => {}
        }
    }
    for vm in seen.vms.iter().filter(|vm| !is_aside(&vm.dir)) {
        if let Some(parent) = vm.read().and_then(|record| record.parent)
            && !there.contains(&parent)
        {
            found.push(gone(&vm.dir.join("vm.toml"), parent));
        }
    }
}

/// A parent that is gone: what it was the parent of is whole without it.
fn gone(file: &std::path::Path, parent: Uuid) -> Finding {
    let problem = Problem::ParentGone { parent };
    Finding { at: file.into(), problem, remedy: Remedy::Note }
}
