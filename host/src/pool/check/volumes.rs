//! What is wrong with the images in a VM's directory.
//!
//! Of a VM that is in use, only what cannot be the middle of somebody's work is looked at: its kept versions and
//! pins.

use super::{
    find::{leftover, remove},
    mapped,
    problem::{Finding, Problem, Remedy},
    seen::{Entry, Life, SeenVm},
    vms::human,
};
use crate::{
    name::{COW, VolumeName},
    pool::protocol::prune,
    vm::Record,
    volume::{FileKind, Files, Revision, Role},
};
use std::{collections::BTreeMap, path::Path, time::SystemTime};

/// The modification time of a copy that nothing was written to.
const MARKER: SystemTime = SystemTime::UNIX_EPOCH;

/// The files of one volume.
#[derive(Debug, Default)]
pub(super) struct Images<'a> {
    pub(super) clean: Option<&'a Entry>,
    pub(super) dirty: Option<&'a Entry>,
    precache: Option<&'a Entry>,
    /// Oldest first.
    pub(super) revisions: Vec<(Revision, &'a Entry)>,
    pub(super) exports: Vec<&'a Entry>,
    pub(super) asides: Vec<&'a Entry>,
}

/// Looks at all images of a VM.
pub(super) fn find(vm: &SeenVm, found: &mut Vec<Finding>) {
    let Some(record) = vm.read() else { return };
    if vm.entry(super::REMOVING).is_some() {
        return;
    }
    if vm.stores.is_some() {
        vm.volumes.iter().for_each(|(name, role)| mapped::find(vm, name, role, found));
        mapped::unknown(vm, found);
        return pins(vm, record, found);
    }
    let mut volumes: BTreeMap<VolumeName, Images<'_>> = BTreeMap::new();
    for (volume, kind, entry) in vm.images() {
        volumes.entry(volume).or_default().add(&kind, entry);
    }
    for name in vm.volumes.keys() {
        volumes.entry(name.clone()).or_default();
    }
    for (name, mut images) in volumes {
        images.revisions.sort_by_key(|(revision, _)| *revision);
        let one = One { vm, record, name: &name, files: Files::new(&vm.dir, name.clone()), images };
        match vm.volumes.get(&name) {
            Some(role) => one.find(role, found),
            None => one.unknown(found),
        }
    }
    pins(vm, record, found);
}

impl<'a> Images<'a> {
    pub(super) fn add(&mut self, kind: &FileKind, entry: &'a Entry) {
        match kind {
            FileKind::Clean => self.clean = Some(entry),
            FileKind::Dirty => self.dirty = Some(entry),
            FileKind::Precache => self.precache = Some(entry),
            FileKind::Revision(revision) => self.revisions.push((*revision, entry)),
            FileKind::Export(_) => self.exports.push(entry),
            // What is pruned is freed by the next command that has the VM.
            FileKind::Aside(purpose) if prune::is_pruned(purpose) => {}
            FileKind::Aside(_) => self.asides.push(entry),
        }
    }

    /// Returns the clean image and the kept versions: files that are never written to.
    fn versions(&self) -> impl Iterator<Item = &'a Entry> {
        self.clean.into_iter().chain(self.revisions.iter().map(|(_, entry)| *entry))
    }
}

/// One volume of one VM.
struct One<'a> {
    vm: &'a SeenVm,
    record: &'a Record,
    name: &'a VolumeName,
    files: Files,
    images: Images<'a>,
}

impl One<'_> {
    fn unknown(&self, found: &mut Vec<Finding>) {
        let images = &self.images;
        let written = images.dirty.into_iter().chain(images.precache);
        let beside = images.exports.iter().chain(&images.asides).copied();
        for entry in images.versions().chain(written).chain(beside) {
            let problem = Problem::UnknownVolume { volume: self.name.clone() };
            found.push(human(&entry.path, problem, "move it elsewhere, or remove it"));
        }
    }

    fn find(&self, role: &Role, found: &mut Vec<Finding>) {
        self.exports(found);
        if role.is_kept() {
            order(self.vm, self.name, &self.images.revisions, found);
        } else {
            self.unkept_versions(found);
        }
        if self.vm.life != Life::Stopped {
            return;
        }
        if !self.vm.locked.contains(self.name) {
            found.extend(self.images.asides.iter().map(|entry| leftover(entry)));
            self.precache(role, found);
        }
        match role {
            Role::Volatile => self.volatile(found),
            Role::Snapshot { .. } => self.snapshot(found),
            Role::Origin | Role::OriginSnapshot { .. } => self.kept(role, found),
        }
    }

    fn kept(&self, role: &Role, found: &mut Vec<Finding>) {
        let Images { clean, dirty, revisions, .. } = &self.images;
        let first_start_to_come =
            matches!(role, Role::OriginSnapshot { .. }) && dirty.is_none() && revisions.is_empty();
        let wanted = *self.name != VolumeName::private() || self.record.private.size.0 != 0;
        match (clean, dirty) {
            (None, Some(dirty)) => found.push(human(
                &dirty.path,
                Problem::DirtyWithoutClean,
                "copy it elsewhere, or rename it to the clean image when its content is good",
            )),
            (None, None) if first_start_to_come => {}
            (None, None) if wanted || !revisions.is_empty() => self.clean_missing(found),
            (Some(clean), Some(dirty)) => self.dirty(clean, dirty, found),
            _ => {}
        }
        self.leftover_revision(found);
    }

    fn clean_missing(&self, found: &mut Vec<Finding>) {
        let newest = self.images.revisions.last().map(|(revision, _)| revision.to_string());
        let hint = match &newest {
            Some(_) => "link that version to the missing name",
            None => "import an image, or remove the VM",
        };
        let problem = Problem::CleanMissing { volume: self.name.clone(), newest };
        found.push(human(&self.files.clean(), problem, hint));
    }

    fn dirty(&self, clean: &Entry, dirty: &Entry, found: &mut Vec<Finding>) {
        if let Some(version) = self.version_of(dirty) {
            found.push(linked(dirty, version));
            return;
        }
        if dirty.stat.size < clean.stat.size {
            let (dirty_size, clean_size) = (dirty.stat.size.0, clean.stat.size.0);
            let problem = Problem::DirtySmaller { dirty: dirty_size, clean: clean_size };
            let id = self.id();
            let hint = format!("look at it, then run 'ebbtide volume discard {id}'");
            found.push(human(&dirty.path, problem, hint));
        }
        let (at, problem) = (dirty.path.clone(), Problem::Uncommitted);
        found.push(Finding { at, problem, remedy: Remedy::Note });
    }

    /// Returns the version that this file is a name of, too.
    fn version_of(&self, entry: &Entry) -> Option<&Entry> {
        self.images.versions().find(|version| version.stat.inode == entry.stat.inode)
    }

    fn precache(&self, role: &Role, found: &mut Vec<Finding>) {
        let Some(precache) = self.images.precache else { return };
        if let Some(version) = self.version_of(precache) {
            found.push(linked(precache, version));
            return;
        }
        let valid = role.is_kept()
            && self.images.clean.is_some_and(|clean| {
                (clean.stat.size, clean.stat.modified)
                    == (precache.stat.size, precache.stat.modified)
            });
        if !valid {
            found.push(Finding {
                at: precache.path.clone(),
                problem: Problem::PrecacheStale,
                remedy: remove(&precache.path),
            });
        }
    }

    fn volatile(&self, found: &mut Vec<Finding>) {
        let Images { clean, dirty, .. } = &self.images;
        for entry in clean.iter().chain(dirty) {
            found.push(self.leftover_of_run(entry));
        }
    }

    /// A version that has other names loses nothing with this one; a copy that was not written to, neither.
    fn snapshot(&self, found: &mut Vec<Finding>) {
        let Images { clean, dirty, .. } = &self.images;
        let own = |entry: &Entry| {
            let problem = Problem::OwnContent { volume: self.name.clone() };
            human(&entry.path, problem, "copy it elsewhere if it is needed, then remove it")
        };
        found.extend(clean.map(|clean| match clean.stat.links {
            0 | 1 => own(clean),
            _ => self.leftover_of_run(clean),
        }));
        found.extend(dirty.map(|dirty| match dirty.stat.modified == MARKER {
            true => self.leftover_of_run(dirty),
            false => own(dirty),
        }));
    }

    fn leftover_of_run(&self, entry: &Entry) -> Finding {
        Finding {
            at: entry.path.clone(),
            problem: Problem::LeftoverOfRun { volume: self.name.clone() },
            remedy: remove(&entry.path),
        }
    }

    fn leftover_revision(&self, found: &mut Vec<Finding>) {
        let (Some(clean), Some((revision, newest))) =
            (self.images.clean, self.images.revisions.last())
        else {
            return;
        };
        let Some(number) = revision.number else { return };
        if newest.stat.inode == clean.stat.inode && !self.is_pinned(number) {
            found.push(Finding {
                at: newest.path.clone(),
                problem: Problem::LeftoverRevision,
                remedy: remove(&newest.path),
            });
        }
    }

    fn is_pinned(&self, number: u64) -> bool {
        is_pinned(self.record, self.name, number)
    }

    fn unkept_versions(&self, found: &mut Vec<Finding>) {
        for (_, entry) in &self.images.revisions {
            let problem = Problem::RevisionOfUnkept { volume: self.name.clone() };
            found.push(human(&entry.path, problem, "move it elsewhere, or remove it"));
        }
    }

    fn exports(&self, found: &mut Vec<Finding>) {
        for entry in &self.images.exports {
            let clean = self.images.clean.map(|clean| clean.stat.inode);
            let problem = Problem::Export { current: clean == Some(entry.stat.inode) };
            found.push(Finding { at: entry.path.clone(), problem, remedy: Remedy::Note });
        }
    }

    /// Returns how the command line names it.
    fn id(&self) -> String {
        format!("{}:{}", self.vm.file_name.to_string_lossy(), self.name)
    }
}

/// What can be written to must not be a version. Its content stays, as the version has it.
fn linked(entry: &Entry, version: &Entry) -> Finding {
    Finding {
        at: entry.path.clone(),
        problem: Problem::LinkedToVersion { of: version.path.clone() },
        remedy: remove(&entry.path),
    }
}

fn is_pinned(record: &Record, volume: &VolumeName, number: u64) -> bool {
    let pins = record.pins.get(volume.as_str());
    pins.is_some_and(|pins| pins.values().any(|pinned| *pinned == number))
}

/// Versions of which two have a number, or the same file, or of which numbers and times disagree.
pub(super) fn order(
    vm: &SeenVm,
    name: &VolumeName,
    revisions: &[(Revision, &Entry)],
    found: &mut Vec<Finding>,
) {
    let note = |at: &Path, problem| Finding { at: at.into(), problem, remedy: Remedy::Note };
    for pair in revisions.windows(2) {
        let [(before, a), (after, b)] = pair else { continue };
        if let (Some(low), Some(high)) = (before.number, after.number) {
            if low == high {
                let problem = Problem::NumberTwice { number: low, other: a.path.clone() };
                found.push(human(&b.path, problem, "rename one to a number that is free"));
            } else if high > low + 1
                && !vm.read().is_some_and(|record| is_pinned(record, name, low))
            {
                let problem = Problem::RevisionGap { after: low, next: high };
                found.push(note(&b.path, problem));
            }
        }
        if after.time < before.time {
            found.push(note(&b.path, Problem::RevisionOrder { earlier: a.path.clone() }));
        }
    }
    for (index, (_, entry)) in revisions.iter().enumerate() {
        let earlier = revisions.iter().take(index);
        let same = earlier.rev().find(|(_, other)| other.stat.inode == entry.stat.inode);
        if let Some((_, other)) = same {
            found.push(note(&entry.path, Problem::SameVersion { other: other.path.clone() }));
        }
    }
}

fn pins(vm: &SeenVm, record: &Record, found: &mut Vec<Finding>) {
    for (volume, labels) in &record.pins {
        for (label, number) in labels {
            let there = vm.images().any(|(name, kind, _)| {
                let is_delta = vm.stores.is_some() && name.without(COW).is_some();
                let name = if is_delta { name.without(COW).unwrap_or(name) } else { name };
                name.as_str() == volume
                    && matches!(kind, FileKind::Revision(revision) if revision.number == Some(*number))
            });
            if !there {
                let (volume, label, number) = (volume.clone(), label.clone(), *number);
                let problem = Problem::PinGone { volume, label, number };
                let at = vm.dir.join("vm.toml");
                found.push(human(&at, problem, "remove the pin from it"));
            }
        }
    }
}
