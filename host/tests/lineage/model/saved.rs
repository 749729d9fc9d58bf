//! The rules of savestates: whose one is, what it holds and holds back, and who goes on from it.

use super::{
    machine::{Disks, Machine, Saved},
    rules::Model,
};
use ebbtide::vm::Instance;

impl Model {
    /// Takes a savestate of a VM that runs, for somebody.
    pub(crate) fn save(&mut self, name: &str) -> Option<()> {
        self.running(name)?;
        self.take(name, name, false);
        Some(())
    }

    /// Makes the hot savestate of a VM, of a clone that goes then; those before it go too, unless it is cut before that.
    pub(crate) fn save_hot(&mut self, name: &str, are_replaced: bool) -> Option<()> {
        let owner = self.resolve(name)?;
        let seed = self.instance(&owner, Instance::Seed)?;
        self.start(&seed)?;
        let id = self.take(&seed, &owner, true);
        self.vms.remove(&seed);
        let of = self.saved[&id].of;
        self.saved.retain(|other, saved| {
            !are_replaced || *other == id || saved.of != of || !saved.is_hot
        });
        Some(())
    }

    fn take(&mut self, runs: &str, owner: &str, is_hot: bool) -> u32 {
        let machine = self.vms[runs].clone();
        let owner = self.vms[owner].clone();
        let began = self.begins_with(&machine);
        let mut disks = began.clone();
        // What is not kept is a link of what it began with; everything else may be written to.
        for (disk, version) in disks.iter_mut().filter(|(disk, _)| machine.keeps(disk)) {
            *version = self.version(machine.byte(disk).unwrap_or(version.byte));
        }
        let on = self.ran_on(&machine);
        let id = self.new_id();
        let (of, boots) = (owner.uuid, owner.template);
        self.saved.insert(id, Saved { of, is_hot, on, boots, began, disks, taken: id });
        id
    }

    /// Returns the versions that a VM runs on, or would begin with.
    fn begins_with(&self, machine: &Machine) -> Disks {
        let source = machine.template.as_ref().and_then(|template| self.resolve(template));
        let source = source.map(|template| self.vms[&template].disks["root"]);
        let mut disks = machine.disks.clone();
        if !machine.own_root {
            disks.extend(machine.sees.or(source).map(|root| ("root", root)));
        } else if let Some(root) = source {
            disks.entry("root").or_insert(root);
        }
        disks
    }

    /// Returns the template that a running VM was started on, where it is still there: of a versioned one the version.
    fn ran_on(&self, machine: &Machine) -> Option<String> {
        let template = machine.template.as_ref()?;
        let now = self.resolve(template)?;
        if machine.own_root || self.vms.contains_key(template) {
            return Some(now);
        }
        let versions = self.versions(template).into_iter().rev().map(|(_, version)| version);
        let has_it =
            |version: &String| self.vms[version].disks.get("root").copied() == machine.sees;
        versions.into_iter().find(has_it)
    }

    /// Returns the hot savestate of a VM, as long as it is of what the VM begins with.
    pub(crate) fn hot_of(&self, name: &str) -> Option<u32> {
        let mut vm = self.vms[&self.resolve(name)?].clone();
        // Whatever one that runs was started on, a disposable of it begins with the last versions.
        vm.sees = None;
        let on = vm.template.as_ref().and_then(|template| self.resolve(template));
        let (boots, began) = (vm.template.clone(), self.begins_with(&vm));
        let is_current = |saved: &&Saved| {
            saved.of == vm.uuid
                && saved.is_hot
                && (&saved.on, &saved.boots, &saved.began) == (&on, &boots, &began)
        };
        let hot = self.saved.values().filter(is_current).map(|saved| saved.taken).max()?;
        self.saved
            .iter()
            .find(|(_, saved)| saved.of == vm.uuid && saved.taken == hot)
            .map(|(id, _)| *id)
    }

    /// Starts a VM from a savestate: what is kept counts as written.
    pub(crate) fn start_from(&mut self, name: &str, id: u32) -> Option<()> {
        let saved = self.saved.get(&id)?.clone();
        if let Some(template) = self.vms[name].template.clone() {
            self.resolve(&template)?;
        }
        let machine = self.still(name)?;
        if !machine.dirty.is_empty() || !machine.shown().iter().eq(saved.disks.keys()) {
            return None;
        }
        machine.runs = true;
        for (disk, version) in &saved.disks {
            if machine.keeps(disk) {
                // A root that it has never had is its own from now on.
                machine.disks.entry(disk).or_insert(*version);
                machine.dirty.insert(disk, version.byte);
            } else {
                machine.sees = Some(*version);
            }
        }
        Some(())
    }

    /// Makes a disposable of a VM that goes on from the VM's hot savestate.
    pub(crate) fn resume(&mut self, name: &str, what: Instance) -> Option<()> {
        let hot = self.hot_of(name)?;
        let new = self.instance(name, what)?;
        self.start_from(&new, hot)?;
        self.vms.get_mut(&new)?.locked = true;
        Some(())
    }

    /// Gives one that stands ready to somebody.
    pub(crate) fn hand_over(&mut self, name: &str) -> Option<()> {
        let ready = self.running(name).filter(|vm| vm.stands_ready())?;
        (ready.instance, ready.internal) = (Some(Instance::Disposable), false);
        Some(())
    }

    /// Gives a clone the savestates of its base.
    pub(crate) fn copy_saved(&mut self, from: u32, to: u32) {
        let mut its: Vec<_> =
            self.saved.values().filter(|saved| saved.of == from).cloned().collect();
        its.sort_by_key(|saved| saved.taken);
        for saved in its {
            let id = self.new_id();
            self.saved.insert(id, Saved { of: to, ..saved });
        }
    }

    pub(crate) fn is_saved_on(&self, name: &str) -> bool {
        self.saved.values().any(|saved| saved.on.as_deref() == Some(name))
    }
}
