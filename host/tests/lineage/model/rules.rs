//! The rules, as their pages have them: what each verb does to the VMs of a pool, or that it is refused.

use super::{act::Act, settings};
use ebbtide::{pool::driver::Ending, vm::Instance};
use std::collections::BTreeMap;

/// A version: which file, and its first byte.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Version {
    pub(crate) file: u32,
    pub(crate) byte: u8,
}

/// Disks by their names.
pub(crate) type Disks = BTreeMap<&'static str, Version>;

/// A VM.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub(crate) uuid: u32,
    /// `None`: it is a template.
    pub(crate) template: Option<String>,
    pub(crate) own_root: bool,
    pub(crate) base: Option<String>,
    /// Current versions of the disks that it keeps.
    pub(crate) disks: Disks,
    /// What is written and not committed.
    pub(crate) dirty: BTreeMap<&'static str, u8>,
    pub(crate) runs: bool,
    /// Whether its engine has its lock.
    pub(crate) locked: bool,
    /// What a running one sees of its template's root.
    pub(crate) sees: Option<u8>,
    /// The snapshot that it began with.
    pub(crate) parent: Option<u32>,
    pub(crate) immutable: bool,
    pub(crate) volatile: bool,
    pub(crate) internal: bool,
    pub(crate) instance: Option<Instance>,
    pub(crate) version_of: Option<String>,
    /// Of a working VM: whether by hand, and whether with history.
    pub(crate) versioned: Option<(bool, bool)>,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shot {
    pub(crate) parent: Option<u32>,
    pub(crate) disks: Disks,
    /// The VM as it was.
    pub(crate) of: Machine,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Model {
    pub(crate) vms: BTreeMap<String, Machine>,
    pub(crate) snapshots: BTreeMap<u32, Shot>,
    next: u32,
}

impl Model {
    pub(crate) fn new_id(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.vms.keys().cloned().collect()
    }

    /// Does a verb, or returns that it is refused, and then nothing is changed.
    pub(crate) fn apply(&mut self, act: &Act) -> bool {
        let before = self.clone();
        let is_done = self.try_to(act).is_some();
        if !is_done {
            *self = before;
        }
        is_done
    }

    fn try_to(&mut self, act: &Act) -> Option<()> {
        match act {
            Act::Template(name) => {
                self.is_free(name)?;
                let mut new = self.blank(None, false);
                new.disks = ["root", "private"].map(|disk| (disk, self.version(0))).into();
                self.vms.insert(name.clone(), new);
            }
            Act::AppVm { name, template, own_root, private } => {
                self.is_free(name)?;
                self.good_template(template)?;
                let mut new = self.blank(Some(template.clone()), *own_root);
                new.disks.extend(private.then(|| ("private", self.version(0))));
                self.vms.insert(name.clone(), new);
            }
            Act::Start { name, locked } => {
                let name = self.resolve(name)?;
                self.start(&name)?;
                self.vms.get_mut(&name)?.locked = *locked;
            }
            Act::Write { name, disk, byte } => {
                let machine = self.running(name)?;
                machine.disks.get(disk)?;
                machine.dirty.insert(disk, *byte);
            }
            Act::Stop(name, ending) => self.stop(name, *ending)?,
            Act::CutOff(name) => {
                self.running(name).filter(|machine| machine.locked)?;
                self.stop(name, Ending::Keep)?;
            }
            Act::Commit(name) => {
                self.still(name)?;
                self.commit(name);
            }
            Act::Discard(name) => self.still(name)?.dirty.clear(),
            Act::Instance(name, what) => {
                let new = self.instance(name, *what)?;
                let is_started = self.start(&new).is_some();
                self.vms.get_mut(&new)?.locked = is_started && *what == Instance::Disposable;
            }
            Act::Clone(from, to) => drop(self.clone_vm(from, to)?),
            Act::Replace(from, to) => self.replace(from, to)?,
            Act::Remove(name) => self.remove(name)?,
            Act::Set(name, changes) => settings::set(self, name, changes)?,
            Act::Version(name) => {
                self.vms.get(name)?.versioned?;
                self.make_version(name);
            }
            Act::Snapshot(name) => self.snapshot(name)?,
            Act::Revert(id) => self.revert(*id)?,
            Act::CloneSnapshot(id, name) => self.clone_snapshot(*id, name)?,
            Act::RemoveSnapshot(id) => {
                let gone = self.snapshots.remove(id)?.parent;
                let parents = self.snapshots.values_mut().map(|child| &mut child.parent);
                let parents = parents.chain(self.vms.values_mut().map(|vm| &mut vm.parent));
                parents.filter(|parent| **parent == Some(*id)).for_each(|parent| *parent = gone);
            }
        }
        Some(())
    }

    fn blank(&mut self, template: Option<String>, own_root: bool) -> Machine {
        Machine {
            uuid: self.new_id(),
            template,
            own_root,
            base: None,
            disks: Disks::new(),
            dirty: BTreeMap::new(),
            runs: false,
            locked: false,
            sees: None,
            parent: None,
            immutable: false,
            volatile: false,
            internal: false,
            instance: None,
            version_of: None,
            versioned: None,
        }
    }

    pub(crate) fn version(&mut self, byte: u8) -> Version {
        Version { file: self.new_id(), byte }
    }

    /// Returns a VM that does not run and whose disks may change.
    fn still(&mut self, name: &str) -> Option<&mut Machine> {
        let name = self.resolve(name)?;
        self.vms.get_mut(&name).filter(|machine| !machine.runs && !machine.immutable)
    }

    fn running(&mut self, name: &str) -> Option<&mut Machine> {
        self.vms.get_mut(name).filter(|machine| machine.runs)
    }

    fn start(&mut self, name: &str) -> Option<()> {
        let root = match &self.vms[name].template {
            Some(template) => Some(self.vms[&self.resolve(template)?].disks["root"]),
            None => None,
        };
        let machine = self.still(name)?;
        machine.runs = true;
        if machine.own_root {
            machine.disks.entry("root").or_insert(root?);
        } else {
            machine.sees = root.map(|root| root.byte);
        }
        Some(())
    }

    fn stop(&mut self, name: &str, ending: Ending) -> Option<()> {
        let machine = self.running(name)?;
        (machine.runs, machine.locked) = (false, false);
        machine.sees = None;
        match ending {
            Ending::Commit => self.commit(name),
            Ending::Keep => {}
            Ending::Discard => machine.dirty.clear(),
        }
        Some(())
    }

    fn commit(&mut self, name: &str) {
        let Some(machine) = self.vms.get_mut(name) else { return };
        for (disk, byte) in std::mem::take(&mut machine.dirty) {
            self.next += 1;
            machine.disks.insert(disk, Version { file: self.next, byte });
        }
    }

    fn snapshot(&mut self, name: &str) -> Option<()> {
        let name = self.resolve(name)?;
        let of = self.vms[&name].clone();
        let mut disks = of.disks.clone();
        for (disk, version) in &mut disks {
            // What runs may be written to, so it is a copy.
            if of.runs || of.dirty.contains_key(disk) {
                *version = self.version(of.dirty.get(disk).copied().unwrap_or(version.byte));
            }
        }
        let id = self.new_id();
        self.vms.get_mut(&name)?.parent = Some(id);
        self.snapshots.insert(id, Shot { parent: of.parent, disks, of });
        Some(())
    }

    fn revert(&mut self, id: u32) -> Option<()> {
        let shot = self.snapshots.get(&id)?.clone();
        let its = |(_, vm): &(&String, &Machine)| vm.uuid == shot.of.uuid;
        let name = self.vms.iter().find(its)?.0.clone();
        let template = shot.of.template.filter(|template| self.is_template(template));
        let machine = self.still(&name)?;
        if shot.disks.keys().any(|disk| machine.dirty.contains_key(disk)) {
            return None;
        }
        machine.disks.extend(shot.disks);
        machine.template = template.or(machine.template.take());
        machine.parent = Some(id);
        Some(())
    }

    fn clone_snapshot(&mut self, id: u32, name: &str) -> Option<()> {
        let shot = self.snapshots.get(&id)?.clone();
        self.is_free(name)?;
        if shot.of.template.as_ref().is_some_and(|template| !self.is_template(template)) {
            return None;
        }
        let mut new = self.blank(shot.of.template, shot.of.own_root);
        (new.disks, new.parent) = (shot.disks, Some(id));
        self.vms.insert(name.into(), new);
        Some(())
    }
}
