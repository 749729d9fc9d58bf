//! What is wrong with a VM's record, and with the records together.

use super::{
    find::{is_ours, is_record_aside, leftover, unknown},
    problem::{Finding, Problem, Remedy},
    seen::{Life, SeenVm, Text, is_aside},
};
use crate::{
    name::VmName,
    vm::record::{Kind, Record},
    volume::FileKind,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Looks at one VM's directory, but for its images.
pub(super) fn find(vm: &SeenVm, found: &mut Vec<Finding>) {
    if vm.entry(super::REMOVING).is_some() {
        let is_exported = vm.images().any(|(_, part, _)| matches!(part, FileKind::Export(_)));
        let is_again = vm.entry("vm.toml").is_some();
        found.push(match is_exported {
            _ if is_again => human(
                &vm.dir,
                Problem::RemovalCutShort,
                "it has a vm.toml again: remove vm.toml.removing to keep the VM, or vm.toml to remove it",
            ),
            true => human(
                &vm.dir,
                Problem::RemovalCutShort,
                "remove the exports in it when nobody reads them, then repair again",
            ),
            false => settle(&vm.dir, Problem::RemovalCutShort),
        });
    } else {
        record(vm, found);
    }
    if let Some(journal) = vm.entry("revert.toml")
        && vm.life != Life::InUse
    {
        found.push(settle(&journal.path, Problem::RevertCutShort));
    }
    match &vm.life {
        Life::CutOff => found.push(settle(&vm.dir, Problem::CutOff)),
        Life::Unclear(problem) => found.push(human(
            &vm.dir.join("run.toml"),
            Problem::RunUnreadable(problem.clone()),
            "remove it when the VM does not run",
        )),
        Life::Stopped | Life::InUse => {}
    }
    for entry in &vm.entries {
        match entry.name() {
            Some(name) if is_record_aside(name) && vm.life != Life::InUse => {
                found.push(leftover(entry));
            }
            Some(name) if is_ours(name) || name == super::REMOVING => {}
            _ => found.push(unknown(entry)),
        }
    }
    if let (Some(initrd), None) = (vm.entry("initrd"), vm.entry("kernel")) {
        let at = initrd.path.clone();
        found.push(Finding { at, problem: Problem::InitrdAlone, remedy: Remedy::Note });
    }
}

fn record(vm: &SeenVm, found: &mut Vec<Finding>) {
    let file = vm.dir.join("vm.toml");
    match &vm.record {
        Text::Missing if vm.images().next().is_some() => found.push(human(
            &vm.dir,
            Problem::RecordMissing,
            "write one by 'ebbtide pool adopt', or move the images elsewhere",
        )),
        Text::Missing => {}
        Text::Unreadable(problem) => found.push(human(
            &file,
            Problem::RecordUnreadable(problem.clone()),
            "correct it with an editor",
        )),
        Text::Read(_) => {}
    }
}

/// Looks at what records say of each other.
pub(super) fn lineage(vms: &[SeenVm]) -> Vec<Finding> {
    let vms: Vec<_> = vms.iter().filter(|vm| !is_aside(&vm.dir)).collect();
    let mut found = twice(&vms);
    // Templates last: of two with one name, the template is meant.
    let named: BTreeMap<VmName, &SeenVm> = [Kind::AppVm, Kind::Template]
        .into_iter()
        .flat_map(|kind| vms.iter().filter(move |vm| vm.kind == kind))
        .filter_map(|vm| Some((vm.name()?, *vm)))
        .collect();
    let named = with_versions(named);
    for vm in &vms {
        if let (Some(name), Some(record)) = (vm.name(), vm.read()) {
            found.extend(base(&vm.dir.join("vm.toml"), &name, record, &named));
            found.extend(
                template(&name, record, &named)
                    .map(|(problem, hint)| human(&vm.dir.join("vm.toml"), problem, hint)),
            );
        }
    }
    found
}

/// Adds the names that mean the newest version of a versioned VM.
fn with_versions(mut named: BTreeMap<VmName, &SeenVm>) -> BTreeMap<VmName, &SeenVm> {
    let versioned = |vm: &&SeenVm| vm.read().is_some_and(|record| record.versioned.is_some());
    let names: Vec<VmName> = named
        .iter()
        .filter(|(_, vm)| versioned(vm))
        .filter_map(|(name, _)| name.of_next())
        .filter(|name| !named.contains_key(name))
        .collect();
    for name in names {
        let newest = named
            .iter()
            .filter(|(_, vm)| {
                vm.read().is_some_and(|record| record.flags.version_of.as_ref() == Some(&name))
            })
            .filter_map(|(version, vm)| Some((name.version_number(version)?, *vm)))
            .max_by_key(|(number, _)| *number);
        named.extend(newest.map(|(_, vm)| (name, vm)));
    }
    named
}

/// Finds what is wrong with the base that a record names. Nothing is lost by it: a clone has its versions itself.
fn base(
    at: &Path,
    name: &VmName,
    record: &Record,
    named: &BTreeMap<VmName, &SeenVm>,
) -> Option<Finding> {
    let first = record.base.as_ref()?;
    let choose = "run 'ebbtide vm set NAME base=OTHER', or 'base=' for none";
    if !named.contains_key(first) {
        return Some(Finding {
            at: at.into(),
            problem: Problem::BaseMissing { base: first.clone() },
            remedy: Remedy::Note,
        });
    }
    let way = if first == name {
        Some(vec![first.clone()])
    } else {
        cycle(name, first, named, |record| record.base.clone())
    };
    way.map(|through| human(at, Problem::BaseCycle { through }, choose))
}

/// Finds names and UUIDs that two VMs have.
fn twice(vms: &[&SeenVm]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut names: BTreeMap<_, &Path> = BTreeMap::new();
    let mut uuids: BTreeMap<_, &Path> = BTreeMap::new();
    for vm in vms {
        if let Some(other) = names.insert(&vm.file_name, &vm.dir) {
            let problem = Problem::NameTwice { other: other.into() };
            found.push(human(&vm.dir, problem, "rename one of the two directories"));
        }
        if let Some(record) = vm.read()
            && let Some(other) = uuids.insert(record.uuid, &vm.dir)
        {
            let problem = Problem::UuidTwice { uuid: record.uuid, other: other.into() };
            found.push(human(&vm.dir, problem, "write a new 'uuid' into the vm.toml of the copy"));
        }
    }
    found
}

/// Finds what is wrong with the template that a record names.
fn template(
    name: &VmName,
    record: &Record,
    named: &BTreeMap<VmName, &SeenVm>,
) -> Option<(Problem, &'static str)> {
    let choose = "run 'ebbtide vm set NAME template TEMPLATE'";
    match (record.kind, &record.template) {
        (Kind::Template, _) | (Kind::AppVm, None) => None,
        (Kind::AppVm, Some(template)) if template == name => {
            Some((Problem::TemplateIsItself, choose))
        }
        (Kind::AppVm, Some(template)) => match named.get(template) {
            None => Some((Problem::TemplateMissing { template: template.clone() }, choose)),
            Some(vm) if vm.kind == Kind::Template => None,
            Some(_) => Some(match cycle(name, template, named, |record| record.template.clone()) {
                Some(through) => (Problem::TemplateCycle { through }, choose),
                None => (Problem::TemplateIsNone { template: template.clone() }, choose),
            }),
        },
    }
}

/// Follows links from `name`, and returns the way if it leads back.
fn cycle(
    name: &VmName,
    first: &VmName,
    named: &BTreeMap<VmName, &SeenVm>,
    link: impl Fn(&Record) -> Option<VmName>,
) -> Option<Vec<VmName>> {
    let mut way = vec![first.clone()];
    let mut met = BTreeSet::from([first.clone()]);
    loop {
        let next = link(named.get(way.last()?)?.read()?)?;
        if next == *name {
            way.push(next);
            return Some(way);
        }
        if !met.insert(next.clone()) {
            return None;
        }
        way.push(next);
    }
}

fn settle(dir: &Path, problem: Problem) -> Finding {
    Finding { at: dir.into(), problem, remedy: Remedy::Settle }
}

pub(super) fn human(at: &Path, problem: Problem, hint: impl Into<String>) -> Finding {
    Finding { at: PathBuf::from(at), problem, remedy: Remedy::Human(hint.into()) }
}
