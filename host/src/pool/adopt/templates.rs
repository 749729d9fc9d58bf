//! Whose template each AppVM has, and whether its root is its own; else what has to be said.

use super::{found::FoundVm, plan::Adopt, vms::images};
use crate::{
    error::{Refusal, RefusalKind},
    name::{VmName, VolumeName},
    pool::check::seen::Entry,
    vm::record::Kind,
    volume::FileKind as Part,
};
use std::collections::BTreeMap;

pub(super) fn refuse_running(vms: &BTreeMap<VmName, &FoundVm>) -> Result<(), Refusal> {
    let running: Vec<_> =
        vms.iter().filter(|(_, vm)| vm.is_locked && !vm.has_record).map(|(name, _)| name).collect();
    if running.is_empty() {
        return Ok(());
    }
    let text = format!("somebody has these VMs locked: {}", names(running));
    Err(Refusal::new(RefusalKind::Busy, text).hint("stop them first"))
}

fn names<'a>(names: impl IntoIterator<Item = &'a VmName>) -> String {
    let names: Vec<_> = names.into_iter().map(VmName::as_str).collect();
    names.join(", ")
}

/// Refuses options about VMs that are not there.
pub(super) fn refuse_unknown(
    options: &Adopt,
    vms: &BTreeMap<VmName, &FoundVm>,
) -> Result<(), Refusal> {
    let is = |name: &VmName, kind| vms.get(name).is_some_and(|vm| vm.kind == kind);
    let refuse = |text| Err(Refusal::new(RefusalKind::Missing, text));
    for (vm, template) in &options.templates {
        if !is(vm, Kind::AppVm) {
            return refuse(format!("{vm}={template}: there is no AppVM {vm} in the tree"));
        }
        if !is(template, Kind::Template) {
            return refuse(format!("{vm}={template}: there is no template {template} in the tree"));
        }
    }
    let (own, dropped) = (&options.own_root, &options.drop_root);
    if let Some(name) = own.iter().chain(dropped).find(|name| !is(name, Kind::AppVm)) {
        return refuse(format!("there is no AppVM {name} in the tree"));
    }
    match own.intersection(dropped).next() {
        Some(name) => {
            let text = format!("the root of {name} is its own, or it is dropped, and not both");
            Err(Refusal::new(RefusalKind::Invalid, text))
        }
        None => Ok(()),
    }
}

/// Returns the template of each AppVM that has no record.
pub(super) fn choose(
    options: &Adopt,
    vms: &BTreeMap<VmName, &FoundVm>,
    templates: &[&VmName],
) -> Result<BTreeMap<VmName, VmName>, Refusal> {
    let new = || vms.iter().filter(|(_, vm)| vm.kind == Kind::AppVm && !vm.has_record);
    let mut chosen = BTreeMap::new();
    let (mut open, mut whose) = (Vec::new(), Vec::new());
    for (name, vm) in new() {
        let template = match (options.templates.get(name), templates) {
            (Some(template), _) => template,
            (None, [only]) => *only,
            (None, _) => {
                open.push(name);
                continue;
            }
        };
        chosen.insert(name.clone(), template.clone());
        let is_said = has_own_root(name, vm, options) || options.drop_root.contains(name);
        if !is_said && vms.get(template).is_none_or(|template| has_root(vm, template)) {
            whose.push(name);
        }
    }
    if !open.is_empty() {
        let found = match templates {
            [] => "the tree has no template".into(),
            _ => format!("the templates are {}", names(templates.iter().copied())),
        };
        let text =
            format!("whose template these AppVMs have is not known: {}; {found}", names(open));
        return Err(Refusal::new(RefusalKind::Missing, text)
            .hint("name it for each: '--template VM=TEMPLATE'"));
    }
    if !whose.is_empty() {
        let text = format!(
            "these AppVMs have a root.img, which a stopped one has only when its root is its own: {}",
            names(whose)
        );
        return Err(Refusal::new(RefusalKind::Rule, text).hint(
            "'--own-root VM' keeps it; '--drop-root VM' says that a run has left it, and the next start drops it",
        ));
    }
    Ok(chosen)
}

/// Returns whether a VM has a root that is not just another name of its template's.
fn has_root(vm: &FoundVm, template: &FoundVm) -> bool {
    let is_root = |volume: &VolumeName, part: &Part| {
        *volume == VolumeName::root() && matches!(part, Part::Clean | Part::Dirty)
    };
    let of_template = |entry: &Entry| {
        let version = |(volume, part, other): (VolumeName, Part, &Entry)| {
            volume == VolumeName::root()
                && part == Part::Clean
                && other.stat.inode == entry.stat.inode
        };
        images(template).any(version)
    };
    images(vm).any(|(volume, part, entry)| is_root(&volume, &part) && !of_template(entry))
}

pub(super) fn has_own_root(name: &VmName, vm: &FoundVm, options: &Adopt) -> bool {
    let is_version =
        |(volume, part, _)| volume == VolumeName::root() && matches!(part, Part::Revision(_));
    options.own_root.contains(name) || images(vm).any(is_version)
}
