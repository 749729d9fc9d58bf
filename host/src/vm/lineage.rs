//! Who refers to whom: what keeps a VM from being removed, and what may become its base. Pure, but for [`Lineage::look`].

use super::{
    Kind, Status, Vm,
    record::{Instance, Record},
    savestate, status,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// Something that refers to a VM.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// It runs, or somebody has it prepared.
    Runs,
    /// A VM boots from it, at each start.
    Template(VmName),
    /// A clone that a start of it has made runs.
    Instance(VmName),
    /// A savestate was taken of a VM on it.
    Savestate(Uuid),
}

/// What it does, with the thing that it refers to as `it`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("it runs"),
            Self::Template(vm) => write!(f, "{vm} boots from it"),
            Self::Instance(vm) => write!(f, "{vm}, a start of it, runs"),
            Self::Savestate(id) => write!(f, "the savestate {id} was taken on it"),
        }
    }
}

impl Reference {
    /// Returns what ends it, for a hint.
    pub(super) fn end(&self) -> String {
        match self {
            Self::Runs => "stop it first".into(),
            Self::Template(vm) => {
                format!("'ebbtide vm set {vm} template=…' has it boot from another one")
            }
            Self::Instance(start) => format!("'ebbtide stop {start}' ends it"),
            Self::Savestate(id) => format!("'ebbtide savestate remove {id}' removes that one"),
        }
    }
}

/// Returns references as part of a sentence.
pub(super) fn sentence(references: &[Reference]) -> String {
    references.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// All VMs, as far as they can be read, and what is known of each.
#[derive(Debug, Default)]
pub struct Lineage {
    /// By name: the record's VM, and whether it runs.
    pub(super) vms: BTreeMap<VmName, (Vm, bool)>,
    /// Savestates, with the template that each was taken on.
    pub(super) savestates: Vec<(Uuid, VmName)>,
    /// Why others cannot be read.
    pub(super) unreadable: Vec<Error>,
}

impl Lineage {
    /// Looks at all VMs of a pool. That it stays so, the pool's lock sees to, but for VMs that stop.
    ///
    /// # Errors
    /// A directory or a lock cannot be looked at.
    pub fn look(pool: &Pool) -> Result<Self> {
        let vms = pool.vms()?;
        let mut lineage = Self { unreadable: vms.unreadable, ..Self::default() };
        for vm in vms.vms {
            let runs = runs(pool, &vm)?;
            lineage.vms.insert(vm.name.clone(), (vm, runs));
        }
        for savestate in savestate::list(pool)?.0 {
            lineage.savestates.extend(savestate.template.map(|on| (savestate.uuid, on)));
        }
        Ok(lineage)
    }

    /// Returns what refers to a VM, so that it cannot be removed. Linked clones do not: the versions that they began with
    /// are theirs too.
    #[must_use]
    pub fn references(&self, vm: &Vm) -> Vec<Reference> {
        let mut found = Vec::new();
        found.extend(self.runs(&vm.name).then_some(Reference::Runs));
        for (name, (other, runs)) in &self.vms {
            let record = &other.record;
            if record.template.as_ref().is_some_and(|template| self.means(template, vm)) {
                found.push(Reference::Template(name.clone()));
            }
            let is_instance = record.flags.instance.is_some() && *runs;
            if is_instance && record.base.as_ref() == Some(&vm.name) {
                found.push(Reference::Instance(name.clone()));
            }
        }
        let savestates = self.savestates.iter().filter(|(_, template)| *template == vm.name);
        found.extend(savestates.map(|(id, _)| Reference::Savestate(*id)));
        found.sort();
        found
    }

    /// Returns the clones that starts of a name have made and that run: of the VM, or of any version of a versioned one.
    /// Those that nobody has asked for yet are left out.
    #[must_use]
    pub fn starts(&self, of: &VmName) -> Vec<VmName> {
        let is_of = |base: &VmName| {
            let version =
                self.vms.get(base).and_then(|(vm, _)| vm.record.flags.version_of.as_ref());
            base == of || version == Some(of)
        };
        let started = self.vms.values().filter(|(vm, runs)| {
            let flags = &vm.record.flags;
            let is_asked_for = flags.instance.is_some() && !flags.internal;
            *runs && is_asked_for && vm.record.base.as_ref().is_some_and(is_of)
        });
        started.map(|(vm, _)| vm.name.clone()).collect()
    }

    /// Returns what is linked to a VM by its record: clones of it, and those that boot from it by its very name.
    pub(super) fn linked(&self, to: &VmName) -> Vec<&Vm> {
        let is_linked = |record: &Record| {
            record.base.as_ref() == Some(to) || record.template.as_ref() == Some(to)
        };
        self.vms.values().map(|(vm, _)| vm).filter(|vm| is_linked(&vm.record)).collect()
    }

    /// Returns why there is a clone that a start has made; `None` for another VM.
    pub(super) fn instance(&self, name: &VmName) -> Option<Instance> {
        self.vms.get(name).and_then(|(vm, _)| vm.record.flags.instance)
    }

    pub(super) fn runs(&self, name: &VmName) -> bool {
        self.vms.get(name).is_some_and(|(_, runs)| *runs)
    }

    /// Returns whether the name of a template means this VM: it has it, or is the newest version of that name, or the
    /// working VM without which the name means nothing.
    fn means(&self, template: &VmName, vm: &Vm) -> bool {
        if self.vms.contains_key(template) {
            return *template == vm.name;
        }
        if vm.record.versioned.is_some() && vm.name.of_next().as_ref() == Some(template) {
            return true;
        }
        vm.record.flags.version_of.as_ref() == Some(template)
            && self.newest(template).is_some_and(|newest| *newest == vm.name)
    }

    fn newest(&self, of: &VmName) -> Option<&VmName> {
        let versions = self.vms.values().map(|(vm, _)| vm);
        versions
            .filter(|vm| vm.record.flags.version_of.as_ref() == Some(of))
            .filter_map(|vm| Some((of.version_number(&vm.name)?, &vm.name)))
            .max()
            .map(|(_, name)| name)
    }

    /// Returns an error where something cannot be read that may refer to `name`.
    ///
    /// # Errors
    /// The first of those.
    pub(super) fn is_known(&self, name: &VmName) -> Result<()> {
        let Some(error) = self.unreadable.first() else { return Ok(()) };
        let text = format!("whether a VM boots from {name} is not known: {error}");
        Err(Refusal::new(RefusalKind::Rule, text)
            .hint(error.hint().unwrap_or("'ebbtide pool check' names what cannot be read"))
            .into())
    }

    /// Refuses a base that is not there, of another kind, the VM itself, or one that comes from it.
    ///
    /// # Errors
    /// Names the VM, the base, and what is wrong with it.
    pub(super) fn check_base(&self, vm: &Vm, base: &VmName) -> Result<(), Refusal> {
        let refuse = |kind, text| Err(Refusal::new(kind, text));
        let Some((found, _)) = self.vms.get(base) else {
            return Err(Refusal::new(RefusalKind::Missing, format!("there is no VM named {base}"))
                .hint("'ebbtide vm list' and 'ebbtide template list' show what is there"));
        };
        if found.record.kind != vm.record.kind {
            let (its, theirs) = (kind_name(vm.record.kind), kind_name(found.record.kind));
            let text =
                format!("{} is {its}; wanted a base that is one too, {base} is {theirs}", vm.name);
            return refuse(RefusalKind::Rule, text);
        }
        let mut way = vec![base.clone()];
        while let Some(last) = way.last() {
            if *last == vm.name {
                let way = way.iter().map(VmName::as_str).collect::<Vec<_>>().join(" → ");
                let text =
                    format!("{base} cannot be the base of {}, which it comes from: {way}", vm.name);
                return refuse(RefusalKind::Rule, text);
            }
            let next = self.vms.get(last).and_then(|(vm, _)| vm.record.base.clone());
            match next.filter(|next| !way.contains(next)) {
                Some(next) => way.push(next),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Template => "a template",
        Kind::AppVm => "an AppVM",
    }
}

/// Returns whether a VM runs, or somebody has it prepared, here or elsewhere.
pub(super) fn runs(pool: &Pool, vm: &Vm) -> Result<bool> {
    let status = match status(pool, vm) {
        // Nobody knows, so it may.
        Err(Error::Unreadable { .. }) => return Ok(true),
        status => status?,
    };
    Ok(match status {
        Status::Running(_) | Status::Prepared(_) | Status::Elsewhere(_) => true,
        // A start of an instance locks it before it is said who runs it.
        Status::Busy { .. } => vm.record.flags.instance.is_some(),
        Status::Stopped | Status::CutOff(_) => false,
    })
}

impl Instance {
    /// Returns what stands behind the name of the VM, before a number, in the name of an instance.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Kept => "-inst",
            Self::Disposable | Self::Ready => "-disp",
            Self::Seed => "-seed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> VmName {
        text.parse().unwrap()
    }

    fn vm(text: &str, template: Option<&str>, base: Option<&str>) -> Vm {
        let kind = if template.is_some() { Kind::AppVm } else { Kind::Template };
        let mut record = Record::new(kind, template.map(name));
        record.base = base.map(name);
        Vm { name: name(text), dir: text.into(), record }
    }

    fn lineage(vms: Vec<(Vm, bool)>) -> Lineage {
        let vms = vms.into_iter().map(|(vm, runs)| (vm.name.clone(), (vm, runs))).collect();
        Lineage { vms, ..Lineage::default() }
    }

    fn references(lineage: &Lineage, of: &str) -> String {
        sentence(&lineage.references(&lineage.vms[&name(of)].0))
    }

    #[test]
    fn what_runs_boots_or_was_saved_on_it_refers_to_it_and_clones_do_not() {
        let mut instance = vm("debian-inst1", None, Some("debian"));
        instance.record.flags.instance = Some(Instance::Kept);
        let mut lineage = lineage(vec![
            (vm("debian", None, None), true),
            (vm("work", Some("debian"), None), false),
            (vm("copy", None, Some("debian")), true),
            (instance, true),
        ]);
        lineage.savestates.push((Uuid::from_u128(7), name("debian")));
        let id = Uuid::from_u128(7);
        assert_eq!(
            references(&lineage, "debian"),
            format!(
                "it runs, work boots from it, debian-inst1, a start of it, runs, the savestate {id} was taken on it"
            )
        );
        assert_eq!(references(&lineage, "work"), "");
    }

    #[test]
    fn starts_are_those_of_any_version_that_run_and_that_somebody_has() {
        let start = |text: &str, base: &str, instance, runs| {
            let mut start = vm(text, None, Some(base));
            start.record.flags.instance = Some(instance);
            start.record.flags.internal = instance == Instance::Ready;
            (start, runs)
        };
        let version = |text: &str| {
            let mut version = vm(text, None, None);
            version.record.flags.version_of = Some(name("d"));
            (version, false)
        };
        let lineage = lineage(vec![
            version("d-v1"),
            version("d-v2"),
            start("d-disp1", "d-v1", Instance::Disposable, true),
            start("d-disp2", "d-v2", Instance::Ready, true),
            start("d-inst1", "d-v2", Instance::Kept, true),
            start("d-inst2", "d-v2", Instance::Kept, false),
            (vm("copy", None, Some("d-v2")), true),
        ]);
        let starts = |of: &str| lineage.starts(&name(of));
        assert_eq!(starts("d"), [name("d-disp1"), name("d-inst1")]);
        assert_eq!(starts("d-v2"), [name("d-inst1")]);
        assert_eq!(starts("copy"), []);
    }

    #[test]
    fn a_name_means_the_newest_version_and_needs_the_working_vm() {
        let version = |number: u64| {
            let mut version = vm(&format!("d-v{number}"), None, None);
            version.record.flags.version_of = Some(name("d"));
            (version, false)
        };
        let mut next = vm("d-next", None, None);
        next.record.versioned = Some(crate::vm::record::Versioned::default());
        let lineage = lineage(vec![
            version(9),
            version(10),
            (next, false),
            (vm("a", Some("d"), None), false),
        ]);
        for (of, wanted) in
            [("d-v9", ""), ("d-v10", "a boots from it"), ("d-next", "a boots from it")]
        {
            assert_eq!(references(&lineage, of), wanted, "{of}");
        }
    }

    #[test]
    fn a_base_is_there_of_the_same_kind_and_no_descendant() {
        let lineage = lineage(vec![
            (vm("a", None, None), false),
            (vm("b", None, Some("a")), false),
            (vm("c", None, Some("b")), false),
            (vm("w", Some("a"), None), false),
        ]);
        let check = |of: &str, base: &str| {
            let of = &lineage.vms[&name(of)].0;
            lineage.check_base(of, &name(base)).map_err(|refusal| refusal.text)
        };
        assert_eq!(check("c", "a"), Ok(()));
        assert!(check("a", "a").unwrap_err().contains("which it comes from: a"));
        assert!(check("a", "c").unwrap_err().ends_with("c → b → a"));
        assert!(check("a", "w").unwrap_err().contains("w is an AppVM"));
        assert!(check("a", "x").unwrap_err().contains("no VM named x"));
    }
}
