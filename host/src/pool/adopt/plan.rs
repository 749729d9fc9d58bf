//! Found → what is written, pure but for the new UUIDs.

use super::found::{Found, FoundVm, OLD_TEMPLATES};
use crate::{
    error::{Refusal, RefusalKind},
    name::{VmName, VolumeName},
    pool::{
        check::{REMOVING, seen::Entry},
        step::Step,
        store::Kind as FileKind,
    },
    vm::record::{FILE, Kind, Record},
    volume::{FileKind as Part, files::read_name},
};
use ebbtide_format::units::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
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

/// Returns the name of the VM in a directory, or why there is none.
fn named(found: &Found, vm: &FoundVm) -> Result<VmName, &'static str> {
    let name = vm.dir.name().ok_or("its name is no text")?;
    let name = name.parse().map_err(|_| "its name cannot be that of a VM")?;
    let has = |wanted: fn(&Part) -> bool, volume: Option<&str>| {
        images(vm).any(|(name, part, _)| {
            wanted(&part) && volume.is_none_or(|volume| name.as_str() == volume)
        })
    };
    if vm.dir.stat.inode.device != found.root.inode.device {
        Err("it is on another file system")
    } else if vm.entries.iter().any(|entry| entry.name() == Some(REMOVING)) {
        Err("it is being removed")
    } else if vm.has_record {
        Ok(name)
    } else if vm.kind == Kind::Template && !has(|part| *part == Part::Clean, Some("root")) {
        Err("it is no template: it has no root.img")
    } else if !has(|part| !matches!(part, Part::Aside(_)), None) {
        Err("it has no image")
    } else {
        Ok(name)
    }
}

fn images(vm: &FoundVm) -> impl Iterator<Item = (VolumeName, Part, &Entry)> {
    vm.entries.iter().filter(|entry| entry.stat.kind == FileKind::File).filter_map(|entry| {
        let (volume, part) = read_name(entry.name()?)?;
        Some((volume, part, entry))
    })
}

fn unique<'a>(
    vms: &mut BTreeMap<VmName, &'a FoundVm>,
    name: &VmName,
    vm: &'a FoundVm,
) -> Result<(), Refusal> {
    let Some(other) = vms.insert(name.clone(), vm) else { return Ok(()) };
    let (one, two) = (other.dir.path.display(), vm.dir.path.display());
    let text = format!("two VMs have the name {name}: {one} and {two}; a name is that of one VM");
    Err(Refusal::new(RefusalKind::Exists, text).hint("rename one of the two directories"))
}

fn refuse_running(vms: &BTreeMap<VmName, &FoundVm>) -> Result<(), Refusal> {
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
fn refuse_unknown(options: &Adopt, vms: &BTreeMap<VmName, &FoundVm>) -> Result<(), Refusal> {
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
fn choose(
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

fn has_own_root(name: &VmName, vm: &FoundVm, options: &Adopt) -> bool {
    let is_version =
        |(volume, part, _)| volume == VolumeName::root() && matches!(part, Part::Revision(_));
    options.own_root.contains(name) || images(vm).any(is_version)
}

/// Gives directories of older trees their names of today.
fn moves(found: &Found, vms: &BTreeMap<VmName, &FoundVm>) -> Vec<Step> {
    let new = Kind::Template.directory();
    let has = |name| found.top.iter().any(|entry: &Entry| entry.name() == Some(name));
    let mut moves = Vec::new();
    if has(OLD_TEMPLATES) && !has(new) {
        moves.push(Step::Rename { from: OLD_TEMPLATES.into(), to: new.into() });
    } else {
        let old = vms.values().filter(|vm| vm.dir.path.starts_with(OLD_TEMPLATES));
        for vm in old {
            moves.push(Step::Rename { from: vm.dir.path.clone(), to: dir(vm) });
        }
        if !moves.is_empty() {
            moves.extend([Step::SyncDir(new.into()), Step::SyncDir(OLD_TEMPLATES.into())]);
        }
    }
    for name in [new, Kind::AppVm.directory(), "snapshots"] {
        let is_moved = name == new && has(OLD_TEMPLATES);
        if !has(name) && !is_moved {
            moves.push(Step::MakeDir(name.into()));
        }
    }
    if !moves.is_empty() {
        moves.push(Step::SyncDir(PathBuf::new()));
    }
    moves
}

/// Returns where a VM is in a pool.
fn dir(vm: &FoundVm) -> PathBuf {
    Path::new(vm.kind.directory()).join(vm.dir.path.file_name().unwrap_or_default())
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
