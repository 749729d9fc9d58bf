//! What is wrong with volumes whose versions are exception stores.
//!
//! The base is written in place, so what was a fault elsewhere, a written image that is the version too, is how it is here.
//! What was cut off goes on by itself with the next command that has the VM; what only one of two files says is for
//! somebody to decide.

use super::{
    problem::{Finding, Problem, Remedy},
    seen::{Entry, Life, SeenVm, StoreSeen},
    vms::human,
    volumes::{Images, order},
};
use crate::{
    name::{COW, USED, VolumeName},
    pool::driver::dm::is_bridge,
    volume::{FileKind, Files, Role},
};

/// The end of the name that a base has while a revert writes to it, or what was written is put back.
const REVERTING: &str = ".aside-revert";

/// Looks at one volume, which the record describes.
pub(super) fn find(vm: &SeenVm, name: &VolumeName, role: &Role, found: &mut Vec<Finding>) {
    let images = |name: &VolumeName| {
        let mut images = Images::default();
        let of_it = vm.images().filter(|(volume, ..)| volume == name);
        of_it.for_each(|(_, kind, entry)| images.add(&kind, entry));
        images.asides.retain(|entry| !is_bridge(entry.name().unwrap_or_default()));
        images
    };
    let one = One {
        vm,
        files: Files::new(&vm.dir, name.clone()),
        base: images(name),
        cow: images(&name.with(COW)),
        used: images(&name.with(USED)),
    };
    one.find(role, found);
}

/// Looks for images of volumes that the record does not describe.
pub(super) fn unknown(vm: &SeenVm, found: &mut Vec<Finding>) {
    for (name, _, entry) in vm.images() {
        let volume = name.without(COW).or_else(|| name.without(USED)).unwrap_or(name);
        if !vm.volumes.contains_key(&volume) {
            let problem = Problem::UnknownVolume { volume };
            found.push(human(&entry.path, problem, "move it elsewhere, or remove it"));
        }
    }
}

struct One<'a> {
    vm: &'a SeenVm,
    files: Files,
    base: Images<'a>,
    cow: Images<'a>,
    used: Images<'a>,
}

impl One<'_> {
    fn find(&self, role: &Role, found: &mut Vec<Finding>) {
        for entry in &self.base.exports {
            let clean = self.base.clean.map(|clean| clean.stat.inode);
            let problem = Problem::Export { current: clean == Some(entry.stat.inode) };
            found.push(Finding { at: entry.path.clone(), problem, remedy: Remedy::Note });
        }
        let mut versions = self.base.revisions.clone();
        versions.extend(self.cow.revisions.iter().copied());
        versions.sort_by_key(|(revision, _)| *revision);
        if role.is_kept() {
            order(self.vm, &self.files.name, &versions, found);
        } else {
            for (_, entry) in &versions {
                let problem = Problem::RevisionOfUnkept { volume: self.files.name.clone() };
                found.push(human(&entry.path, problem, "move it elsewhere, or remove it"));
            }
        }
        if self.vm.life != Life::Stopped {
            return;
        }
        for entry in self.base.asides.iter().chain(&self.cow.asides).chain(&self.used.asides) {
            found.push(settle(entry, Problem::Leftover));
        }
        match role {
            Role::Origin | Role::OriginSnapshot { .. } => self.kept(role, found),
            Role::Snapshot { .. } | Role::Volatile => self.unkept(found),
        }
    }

    fn unkept(&self, found: &mut Vec<Finding>) {
        let entries = [self.base.clean, self.base.dirty, self.used.clean, self.cow.clean];
        for entry in entries.into_iter().flatten() {
            let problem = Problem::LeftoverOfRun { volume: self.files.name.clone() };
            found.push(settle(entry, problem));
        }
    }

    fn kept(&self, role: &Role, found: &mut Vec<Finding>) {
        let versions = || !self.base.revisions.is_empty() || !self.cow.revisions.is_empty();
        match (self.base.clean, self.cow.clean) {
            (Some(base), Some(cow)) => self.pair(base, cow, found),
            (Some(base), None) if self.base.dirty.is_some() => {
                let problem = Problem::StoreMissing;
                let to_do =
                    "remove the name that says that it is written to if its content is good";
                found.push(human(&base.path, problem, to_do));
            }
            // What is not written to is its version, and gets a store at its next start.
            (Some(_), None) => {}
            (None, Some(cow)) => {
                let to_do = "bring its base back, or remove it";
                found.push(human(&cow.path, Problem::StoreWithoutBase, to_do));
            }
            (None, None) => {
                let is_first = matches!(role, Role::OriginSnapshot { .. });
                if versions() || !is_first {
                    let problem =
                        Problem::CleanMissing { volume: self.files.name.clone(), newest: None };
                    let to_do = "import an image, or remove the VM";
                    found.push(human(&self.files.clean(), problem, to_do));
                }
            }
        }
        for (clean, revisions) in
            [(self.base.clean, &self.base.revisions), (self.cow.clean, &self.cow.revisions)]
        {
            if let (Some(clean), Some((_, newest))) = (clean, revisions.last())
                && clean.stat.inode == newest.stat.inode
            {
                found.push(settle(newest, Problem::LeftoverRevision));
            }
        }
        for (_, entry) in &self.cow.revisions {
            self.store(entry, found);
        }
    }

    /// Returns what a store says, after it was said that it cannot be read.
    fn store(&self, entry: &Entry, found: &mut Vec<Finding>) -> Option<StoreSeen> {
        let stores = self.vm.stores.as_ref()?;
        match stores.get(&entry.path)? {
            Err(problem) => {
                let problem = Problem::StoreUnreadable(problem.clone());
                let to_do =
                    "the version that it keeps, and all older ones, cannot be had without it";
                found.push(human(&entry.path, problem, to_do));
                None
            }
            Ok(seen) if seen.is_lost => {
                let to_do = "the version that it keeps, and all older ones, are lost; those after it are whole";
                found.push(human(&entry.path, Problem::StoreLost, to_do));
                None
            }
            Ok(seen) => Some(*seen),
        }
    }

    /// Returns whether a name says that the base is not its version.
    fn is_written(&self) -> bool {
        let is_reverted =
            |entry: &&Entry| entry.name().is_some_and(|name| name.ends_with(REVERTING));
        self.base.dirty.is_some() || self.base.asides.iter().any(is_reverted)
    }

    fn pair(&self, base: &Entry, cow: &Entry, found: &mut Vec<Finding>) {
        // Of what is not written to, the base is the version, and it gets another store.
        let is_lost =
            |seen: &Result<StoreSeen, String>| seen.as_ref().is_ok_and(|seen| seen.is_lost);
        let stores = self.vm.stores.as_ref();
        if !self.is_written()
            && stores.and_then(|stores| stores.get(&cow.path)).is_some_and(is_lost)
        {
            return;
        }
        let seen = self.store(cow, found);
        match self.base.dirty {
            Some(dirty) if dirty.stat.inode != base.stat.inode => {
                let problem = Problem::DirtyElsewhere { base: base.path.clone() };
                let to_do = "move it elsewhere: what a VM writes here is the base itself";
                found.push(human(&dirty.path, problem, to_do));
            }
            Some(dirty) => {
                let problem = Problem::Uncommitted;
                found.push(Finding { at: dirty.path.clone(), problem, remedy: Remedy::Note });
            }
            None => {}
        }
        let Some(seen) = seen else { return };
        if base.stat.size < seen.device {
            let (found_size, wanted) = (base.stat.size.0, seen.device.0);
            let problem = Problem::BaseShort { found: found_size, wanted };
            found.push(human(&base.path, problem, "import an image of that version"));
        }
        if self.is_written() {
            return;
        }
        if base.stat.size > seen.device {
            found.push(settle(base, Problem::BaseLong { version: seen.device.0 }));
        }
        if seen.is_written {
            let id = format!("{}:{}", self.vm.file_name.to_string_lossy(), self.files.name);
            let to_do = format!(
                "link {} to it as {}, then 'ebbtide volume commit {id}' or 'discard {id}'",
                base.path.display(),
                self.files.path(&FileKind::Dirty).display()
            );
            found.push(human(&cow.path, Problem::WrittenUnsaid, to_do));
        }
    }
}

fn settle(entry: &Entry, problem: Problem) -> Finding {
    Finding { at: entry.path.clone(), problem, remedy: Remedy::Settle }
}
