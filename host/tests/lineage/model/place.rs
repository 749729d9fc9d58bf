//! The rules of a VM's place among others: names, references, clones, versions.

use super::{machine::Machine, rules::Model};
use ebbtide::vm::Instance;

impl Model {
    /// Returns the names of VMs, and those that mean the newest version of one.
    pub(crate) fn names_and_aliases(&self) -> Vec<String> {
        let mut names = self.names();
        let working = self.vms.iter().filter(|(_, vm)| vm.versioned.is_some());
        let aliases: Vec<_> =
            working.filter_map(|(name, _)| Some(name.strip_suffix("-next")?.to_owned())).collect();
        names.extend(aliases);
        names
    }

    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.vms.get(name).is_some_and(|vm| vm.runs)
    }

    /// Returns the VM that a name means.
    pub(crate) fn resolve(&self, name: &str) -> Option<String> {
        if self.vms.contains_key(name) {
            return Some(name.into());
        }
        self.vms.get(&format!("{name}-next"))?.versioned?;
        self.versions(name).pop().map(|(_, newest)| newest)
    }

    /// Returns the versions with a name in common, the oldest first.
    pub(crate) fn versions(&self, of: &str) -> Vec<(u64, String)> {
        let its = self.vms.iter().filter(|(_, vm)| vm.version_of.as_deref() == Some(of));
        let number = |name: &String| name.strip_prefix(of)?.strip_prefix("-v")?.parse().ok();
        let mut found: Vec<_> =
            its.filter_map(|(name, _)| Some((number(name)?, name.clone()))).collect();
        found.sort();
        found
    }

    /// Refuses a name that a VM has, or that means a version.
    pub(crate) fn is_free(&self, name: &str) -> Option<()> {
        let working = self.vms.get(&format!("{name}-next"));
        let is_alias = working.is_some_and(|vm| vm.versioned.is_some());
        (!self.vms.contains_key(name) && !is_alias).then_some(())
    }

    pub(crate) fn is_template(&self, name: &str) -> bool {
        self.resolve(name).is_some_and(|name| self.vms[&name].template.is_none())
    }

    /// Refuses what nothing new may boot from: no template, or one that is to go.
    pub(crate) fn good_template(&self, name: &str) -> Option<()> {
        let found = &self.vms[&self.resolve(name)?];
        (found.template.is_none() && !found.volatile).then_some(())
    }

    /// Returns whether something refers to a VM: it runs, is booted from, a start of it runs, or a savestate was taken on it.
    pub(crate) fn is_referred_to(&self, name: &str) -> bool {
        let boots_from = |template: &String| {
            if self.vms.contains_key(template) {
                return template == name;
            }
            let is_working =
                *name == format!("{template}-next") && self.vms[name].versioned.is_some();
            is_working || self.versions(template).last().is_some_and(|(_, newest)| newest == name)
        };
        self.is_running(name)
            || self.vms.values().any(|vm| vm.template.as_ref().is_some_and(boots_from))
            || self.has_running_start(name)
            || self.is_saved_on(name)
    }

    pub(crate) fn has_running_start(&self, name: &str) -> bool {
        let is_start = |vm: &Machine| vm.instance.is_some() && vm.base.as_deref() == Some(name);
        self.vms.values().any(|vm| is_start(vm) && vm.runs)
    }

    /// Returns a linked clone: it has the versions, and nothing of the place among others.
    fn linked(&mut self, from: &str) -> Machine {
        let base = self.vms[from].clone();
        let new = self.blank(base.template, base.own_root);
        Machine { base: Some(from.into()), disks: base.disks, ..new }
    }

    /// Makes a linked clone, and returns what it is one of.
    pub(crate) fn clone_vm(&mut self, from: &str, to: &str) -> Option<String> {
        let from = self.resolve(from)?;
        self.is_free(to)?;
        let new = self.linked(&from);
        self.copy_saved(self.vms[&from].uuid, new.uuid);
        self.vms.insert(to.into(), new);
        Some(from)
    }

    pub(crate) fn replace(&mut self, from: &str, to: &str) -> Option<()> {
        let from = self.clone_vm(from, to)?;
        if self.vms[&from].versioned.is_some() || self.vms[&from].version_of.is_some() {
            return None;
        }
        let boots = |vm: &Machine| vm.template.as_ref() == Some(&from);
        if self.vms.values().any(|vm| boots(vm) && vm.runs) {
            return None;
        }
        self.relink(&from, to, |name| name != to);
        let others = self.vms.values_mut().filter(|vm| vm.template.as_ref() == Some(&from));
        others.for_each(|vm| vm.template = Some(to.into()));
        Some(())
    }

    /// Links clones of a VM to another one.
    pub(crate) fn relink(&mut self, from: &str, to: &str, which: impl Fn(&String) -> bool) {
        for (_, vm) in self.vms.iter_mut().filter(|(name, _)| which(name)) {
            if vm.base.as_deref() == Some(from) {
                vm.base = Some(to.into());
            }
        }
    }

    /// Makes the clone that a start makes, and returns its name.
    pub(crate) fn instance(&mut self, name: &str, what: Instance) -> Option<String> {
        let from = self.resolve(name)?;
        let is_going = self.vms[&from].volatile
            && matches!(self.vms[&from].instance, None | Some(Instance::Kept));
        if is_going || what == Instance::Kept && !self.vms[&from].immutable {
            return None;
        }
        let kind = match what {
            Instance::Kept => "inst",
            Instance::Disposable | Instance::Ready => "disp",
            Instance::Seed => "seed",
        };
        let free = (1..).map(|number| format!("{name}-{kind}{number}"));
        let free = free.into_iter().find(|free| !self.vms.contains_key(free))?;
        let mut new = self.linked(&from);
        new.instance = Some(what);
        new.volatile = what != Instance::Kept;
        new.internal = matches!(what, Instance::Ready | Instance::Seed);
        self.vms.insert(free.clone(), new);
        Some(free)
    }

    /// Removes a VM, or marks it to go.
    pub(crate) fn remove(&mut self, name: &str) -> Option<()> {
        self.vms.get_mut(name)?.volatile = true;
        // At once, before anything else is looked at.
        self.go();
        Some(())
    }

    /// Removes what is to go and is not referred to.
    fn go(&mut self) {
        let is_free =
            |model: &Self, name: &String| model.vms[name].volatile && !model.is_referred_to(name);
        while let Some(name) = self.names().into_iter().find(|name| is_free(self, name)) {
            let Some(gone) = self.vms.remove(&name) else { return };
            self.saved.retain(|_, saved| saved.of != gone.uuid);
            for vm in self.vms.values_mut().filter(|vm| vm.base.as_ref() == Some(&name)) {
                vm.base.clone_from(&gone.base);
            }
            if let (Some(_), Some(of)) = (gone.versioned, name.strip_suffix("-next")) {
                for (_, version) in self.versions(of) {
                    self.vms.entry(version).and_modify(|vm| vm.volatile = true);
                }
            }
        }
    }

    /// Does what comes by itself after each verb: versions that are due, and the end of what nobody refers to.
    pub(crate) fn settle(&mut self) {
        loop {
            let before = self.clone();
            for name in self.names() {
                self.settle_versions(&name);
            }
            self.go();
            if *self == before {
                return;
            }
        }
    }

    fn settle_versions(&mut self, name: &str) {
        let vm = self.vms[name].clone();
        if let Some((is_manual, _)) = vm.versioned {
            let has_none = self.versions(name.trim_end_matches("-next")).is_empty();
            if !vm.runs && vm.dirty.is_empty() && (has_none || !is_manual) {
                self.make_version(name);
            }
            self.mark_old(name);
        } else if let Some(of) = vm.version_of
            && self.vms.get(&format!("{of}-next")).is_none_or(|vm| vm.versioned.is_none())
        {
            self.vms.entry(name.into()).and_modify(|vm| vm.volatile = true);
        }
    }

    /// Makes a version of a working VM whose disks are not those of the newest one.
    pub(crate) fn make_version(&mut self, next: &str) {
        let of = next.trim_end_matches("-next").to_owned();
        let newest = self.versions(&of).pop();
        let is_same = |newest: &Machine| !newest.volatile && newest.disks == self.vms[next].disks;
        if newest.as_ref().is_some_and(|(_, newest)| is_same(&self.vms[newest])) {
            return;
        }
        // Names that others have are passed over.
        let first = newest.map_or(1, |(number, _)| number + 1);
        let names = (first..).map(|number| format!("{of}-v{number}"));
        let Some(made) = names.into_iter().find(|name| self.is_free(name).is_some()) else {
            return;
        };
        let mut version = self.linked(next);
        version.immutable = true;
        version.version_of = Some(of);
        self.vms.insert(made.clone(), version);
        self.relink(next, &made, |name| *name != made);
        self.mark_old(next);
    }

    fn mark_old(&mut self, next: &str) {
        let has_history = self.vms[next].versioned.is_some_and(|(_, history)| history);
        let mut versions = self.versions(next.trim_end_matches("-next"));
        versions.pop();
        for (_, old) in versions {
            self.vms.entry(old).and_modify(|vm| {
                vm.internal = true;
                vm.volatile |= !has_history;
            });
        }
    }

    /// Returns whether a VM comes from another one.
    pub(crate) fn comes_from(&self, name: &str, ancestor: &str) -> bool {
        let mut at = Some(name.to_owned());
        while let Some(name) = at {
            if name == ancestor {
                return true;
            }
            at = self.vms.get(&name).and_then(|vm| vm.base.clone());
        }
        false
    }
}
