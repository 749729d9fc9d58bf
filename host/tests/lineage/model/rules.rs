//! The rules, as their pages have them: what each verb does to the VMs of a pool, or that it is refused.

use super::{
    act::Act,
    machine::{Machine, Saved, Shot, Version},
    settings,
};
use ebbtide::{pool::driver::Ending, vm::Instance};
use std::collections::BTreeMap;

/// A pool.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Model {
    pub(crate) vms: BTreeMap<String, Machine>,
    pub(crate) snapshots: BTreeMap<u32, Shot>,
    pub(crate) saved: BTreeMap<u32, Saved>,
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
            Act::RemoveSnapshot(id) => self.remove_snapshot(*id)?,
            Act::Save(name) => self.save(name)?,
            Act::Hot(name) => self.save_hot(name, true)?,
            Act::Unsave(id) => drop(self.saved.remove(id)?),
            Act::From { name, id, locked } => {
                let name = self.resolve(name)?;
                self.start_from(&name, *id)?;
                self.vms.get_mut(&name)?.locked = *locked;
            }
            Act::Resume(name, what) => self.resume(name, *what)?,
            Act::HandOver(name) => self.hand_over(name)?,
        }
        Some(())
    }

    pub(crate) fn blank(&mut self, template: Option<String>, own_root: bool) -> Machine {
        Machine { uuid: self.new_id(), template, own_root, ..Machine::default() }
    }

    pub(crate) fn version(&mut self, byte: u8) -> Version {
        Version { file: self.new_id(), byte }
    }

    /// Returns a VM that does not run and whose disks may change.
    pub(crate) fn still(&mut self, name: &str) -> Option<&mut Machine> {
        let name = self.resolve(name)?;
        self.vms.get_mut(&name).filter(|machine| !machine.runs && !machine.immutable)
    }

    pub(crate) fn running(&mut self, name: &str) -> Option<&mut Machine> {
        self.vms.get_mut(name).filter(|machine| machine.runs)
    }

    pub(crate) fn start(&mut self, name: &str) -> Option<()> {
        let root = match &self.vms[name].template {
            Some(template) => Some(self.vms[&self.resolve(template)?].disks["root"]),
            None => None,
        };
        let machine = self.still(name)?;
        machine.runs = true;
        if machine.own_root {
            machine.disks.entry("root").or_insert(root?);
        } else {
            machine.sees = root;
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
}
