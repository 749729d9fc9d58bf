//! Found → what is written, pure but for the new UUIDs.

use super::{
    found::{Found, FoundVm, OLD_TEMPLATES},
    moves::{dir, moves},
    templates::{choose, has_own_root, refuse_running, refuse_unknown},
    vms::{images, named, unique},
};
use crate::{
    error::Refusal,
    name::{VmName, VolumeName},
    pool::{check::seen::Entry, step::Step, store::Kind as FileKind},
    vm::record::{FILE, Kind, Record},
    volume::FileKind as Part,
};
use ebbtide_format::units::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// What is to be known beside the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// The template of AppVMs, where there is more than one to choose from.
    pub templates: BTreeMap<VmName, VmName>,
    /// AppVMs whose root is their own (standalone VMs). One with kept versions of its root is known to be.
    pub own_root: BTreeSet<VmName>,
    /// AppVMs whose root a run has left: the next start drops it.
    pub drop_root: BTreeSet<VmName>,
    /// Whether versions that share nothing are better than no pool.
    pub allow_copy: bool,
    /// How many versions of a disk are kept.
    pub keep: u32,
}

impl Default for Adopt {
    fn default() -> Self {
        Self {
            templates: BTreeMap::new(),
            own_root: BTreeSet::new(),
            drop_root: BTreeSet::new(),
            allow_copy: false,
            keep: crate::pool::config::KEEP,
        }
    }
}

/// What became of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedVm {
    /// Its name.
    pub name: VmName,
    /// Where it is now.
    pub dir: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Whether it had a record, which was kept.
    pub already: bool,
    /// Its template.
    pub template: Option<VmName>,
    /// Whether its root is its own, though it has a template.
    pub own_root: bool,
    /// Kept versions of all its volumes.
    pub versions: usize,
    /// Volumes with something that is in no version; the next start goes on from it.
    pub uncommitted: Vec<VolumeName>,
    /// Files that a run has left; `pool check` names what becomes of them.
    pub of_run: Vec<PathBuf>,
}

/// Something that is not adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub why: &'static str,
}

/// What is done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Directories that get the names that they have in a pool.
    pub moves: Vec<Step>,
    /// Records to write.
    pub records: Vec<(PathBuf, Record)>,
    /// What to say of each VM.
    pub vms: Vec<AdoptedVm>,
    /// What is left alone.
    pub left: Vec<Left>,
}

/// Decides what is written.
///
/// # Errors
/// A VM runs; a name is that of two; the template of an AppVM, or whose its root is, is not known; an option names a VM
/// that is not there.
pub fn plan(found: &Found, options: &Adopt) -> Result<Plan, Refusal> {
    let mut plan = Plan::default();
    plan.left
        .extend(found.top.iter().filter(|entry| !is_top(entry)).map(|entry| left(entry, OTHER)));
    plan.left.extend(found.strays.iter().map(|entry| left(entry, OTHER)));
    let mut vms = BTreeMap::new();
    for vm in &found.vms {
        match named(found, vm) {
            Err(why) => plan.left.push(left(&vm.dir, why)),
            Ok(name) => unique(&mut vms, &name, vm)?,
        }
    }
    refuse_running(&vms)?;
    let templates: Vec<_> =
        vms.iter().filter(|(_, vm)| vm.kind == Kind::Template).map(|(name, _)| name).collect();
    refuse_unknown(options, &vms)?;
    let chosen = choose(options, &vms, &templates)?;
    plan.moves = moves(found, &vms);
    for (name, vm) in &vms {
        one(name, vm, options, chosen.get(name), &mut plan);
    }
    plan.left.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(plan)
}

const OTHER: &str = "it is no file of a pool";

fn left(entry: &Entry, why: &'static str) -> Left {
    Left { path: entry.path.clone(), why }
}

fn is_top(entry: &Entry) -> bool {
    let directory = ["vm-templates", "appvms", "snapshots", OLD_TEMPLATES];
    match entry.stat.kind {
        FileKind::Directory => entry.name().is_some_and(|name| directory.contains(&name)),
        FileKind::File => matches!(entry.name(), Some("pool.toml" | ".lock" | ".aside-pool.toml")),
        FileKind::Other => false,
    }
}

/// Decides about one VM.
fn one(name: &VmName, vm: &FoundVm, options: &Adopt, template: Option<&VmName>, plan: &mut Plan) {
    let at = dir(vm);
    let own_root = vm.kind == Kind::AppVm && has_own_root(name, vm, options);
    if !vm.has_record {
        let mut record = Record::new(vm.kind, template.cloned());
        record.private.size = private(vm);
        record.root.own = own_root;
        plan.records.push((at.join(FILE), record));
    }
    let is_kept = |volume: &VolumeName| match volume.as_str() {
        "root" => vm.kind == Kind::Template || own_root,
        "volatile" => false,
        _ => true,
    };
    let mut adopted = AdoptedVm {
        name: name.clone(),
        dir: at.clone(),
        kind: vm.kind,
        already: vm.has_record,
        template: template.cloned(),
        own_root,
        versions: 0,
        uncommitted: Vec::new(),
        of_run: Vec::new(),
    };
    for (volume, part, entry) in images(vm) {
        let path = || at.join(entry.path.file_name().unwrap_or_default());
        match part {
            Part::Revision(_) => adopted.versions += 1,
            Part::Clean | Part::Dirty if !is_kept(&volume) => adopted.of_run.push(path()),
            Part::Dirty => adopted.uncommitted.push(volume),
            _ => {}
        }
    }
    plan.vms.push(adopted);
    for entry in &vm.entries {
        let is_ours = entry.stat.kind == FileKind::File
            && entry.name().is_some_and(crate::pool::check::find::is_ours);
        if !is_ours {
            plan.left.push(Left {
                path: at.join(entry.path.file_name().unwrap_or_default()),
                why: OTHER,
            });
        }
    }
}

/// Returns the size of the private disk: what its image has; 0 for none.
fn private(vm: &FoundVm) -> Bytes {
    let sizes = images(vm).filter_map(|(volume, part, entry)| {
        let rank = match part {
            Part::Clean => 2,
            Part::Dirty => 1,
            _ => 0,
        };
        (volume == VolumeName::private()).then_some((rank, entry.stat.size))
    });
    sizes.max().map_or(Bytes(0), |(_, size)| size)
}
