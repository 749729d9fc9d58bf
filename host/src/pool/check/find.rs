//! Seen → findings, pure: the tree as a whole. Each VM is looked at in `vms`, each volume in `volumes`.

use super::{
    problem::{Finding, Problem, Remedy},
    seen::{Entry, Life, Seen, SeenVm, is_aside},
    snapshots, vms, volumes,
};
use crate::pool::{driver::Stray, step::Step, store::Kind};
use crate::volume::files::read_name;
use std::path::{Path, PathBuf};

/// Files of a pool's directory, and what each is.
const TOP: [(&str, Kind); 6] = [
    ("pool.toml", Kind::File),
    (".lock", Kind::File),
    (crate::pool::driver::dm::LOCK, Kind::File),
    ("vm-templates", Kind::Directory),
    ("appvms", Kind::Directory),
    ("snapshots", Kind::Directory),
];

/// Returns all that is wrong or worth a note, in the order of the paths.
#[must_use]
pub fn find(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    seen.top.iter().for_each(|entry| top(seen, entry, &mut found));
    seen.others.iter().for_each(|entry| found.push(unknown(entry)));
    found.extend(seen.strays.iter().map(stray));
    snapshots::find(seen, &mut found);
    for vm in &seen.vms {
        if vm.stat.inode.device != seen.root.inode.device {
            found.push(other_file_system(&vm.dir));
        } else if is_aside(&vm.dir) {
            // Who builds one has it locked.
            let is_left = vm.life != Life::InUse;
            found.extend(is_left.then(|| leftover_directory(&vm.dir, &vm.entries)).flatten());
        } else {
            of_vm(seen.root.inode.device, vm, &mut found);
        }
    }
    found.extend(vms::lineage(&seen.vms));
    found.sort_by(|a, b| (&a.at, a.problem.name()).cmp(&(&b.at, b.problem.name())));
    found
}

/// Looks at one VM whose directory is on the pool's file system, `device`, and whose name is final.
pub(in crate::pool) fn of_vm(device: u64, vm: &SeenVm, found: &mut Vec<Finding>) {
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        vm.entries.iter().partition(|entry| entry.stat.inode.device != device);
    found.extend(elsewhere.iter().map(|entry| other_file_system(&entry.path)));
    let mut here = SeenVm { entries: here.into_iter().cloned().collect(), ..vm.clone() };
    here.entries.retain(|entry| match wrong_kind(entry) {
        Some(finding) => {
            found.push(finding);
            false
        }
        None => true,
    });
    vms::find(&here, found);
    volumes::find(&here, found);
}

fn stray(stray: &Stray) -> Finding {
    match stray {
        Stray::Device { path, is_held: false, .. } => {
            Finding { at: path.clone(), problem: Problem::StrayDevice, remedy: Remedy::Devices }
        }
        Stray::Device { path, by, .. } => {
            let by = if by.is_empty() { "somebody".into() } else { by.join(", ") };
            let remedy = Remedy::Human("end that, and check again".into());
            Finding { at: path.clone(), problem: Problem::StrayOpen { by }, remedy }
        }
        Stray::Loops { file, loops } => {
            let loops = loops.iter().map(|name| format!("/dev/{name}")).collect::<Vec<_>>();
            let problem = Problem::TwoLoops { loops: loops.join(", ") };
            let remedy = Remedy::Human("'losetup -d' the one that is not the pool's".into());
            Finding { at: file.clone(), problem, remedy }
        }
    }
}

fn top(seen: &Seen, entry: &Entry, found: &mut Vec<Finding>) {
    let Some((_, wanted)) = TOP.iter().find(|(name, _)| entry.name() == Some(name)) else {
        found.push(unknown_or_leftover(entry));
        return;
    };
    if entry.stat.kind != *wanted {
        found.push(kind(entry, *wanted));
    } else if entry.stat.inode.device != seen.root.inode.device {
        found.push(other_file_system(&entry.path));
    }
}

/// Returns a finding for an entry of a VM's directory that is named like a file of ours and is none.
fn wrong_kind(entry: &Entry) -> Option<Finding> {
    let ours = is_ours(entry.name()?);
    (ours && entry.stat.kind != Kind::File).then(|| kind(entry, Kind::File))
}

fn kind(entry: &Entry, wanted: Kind) -> Finding {
    let text = |kind| match kind {
        Kind::File => "a regular file",
        Kind::Directory => "a directory",
        Kind::Other => "a link or a device",
    };
    Finding {
        at: entry.path.clone(),
        problem: Problem::WrongKind { wanted: text(wanted), found: text(entry.stat.kind) },
        remedy: Remedy::Human("move it elsewhere".into()),
    }
}

/// Returns whether this is a name of ours in a VM's directory: what may be removed with the VM.
#[must_use]
pub(in crate::pool) fn is_ours(name: &str) -> bool {
    matches!(name, "vm.toml" | "run.toml" | "revert.toml" | "kernel" | "initrd")
        || is_lock(name)
        || is_record_aside(name)
        || read_name(name).is_some()
}

/// `.lock` of a VM, `.NAME.lock` of its volumes.
pub(super) fn is_lock(name: &str) -> bool {
    name == ".lock"
        || name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".lock"))
            .is_some_and(|volume| volume.parse::<crate::name::VolumeName>().is_ok())
}

/// A record or a kernel that is being written.
pub(super) fn is_record_aside(name: &str) -> bool {
    name.starts_with(".aside-")
}

fn unknown_or_leftover(entry: &Entry) -> Finding {
    match entry.name() {
        Some(name) if is_record_aside(name) && entry.stat.kind == Kind::File => leftover(entry),
        _ => unknown(entry),
    }
}

pub(super) fn unknown(entry: &Entry) -> Finding {
    Finding { at: entry.path.clone(), problem: Problem::Unknown, remedy: Remedy::Note }
}

pub(super) fn leftover(entry: &Entry) -> Finding {
    Finding { at: entry.path.clone(), problem: Problem::Leftover, remedy: remove(&entry.path) }
}

/// Returns the remedy that a file's name is removed, durably.
pub(super) fn remove(path: &Path) -> Remedy {
    let dir = path.parent().map_or_else(PathBuf::new, Into::into);
    Remedy::Steps(vec![Step::Remove(path.into()), Step::SyncDir(dir)])
}

fn other_file_system(path: &Path) -> Finding {
    Finding {
        at: path.into(),
        problem: Problem::OtherFileSystem,
        remedy: Remedy::Human("make it a pool of its own, or copy it into this one".into()),
    }
}

/// A directory that was being made: what is ours in it goes, what is not keeps it alive.
pub(in crate::pool) fn leftover_directory(dir: &Path, entries: &[Entry]) -> Option<Finding> {
    let (ours, others): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| {
        entry.stat.kind == Kind::File
            && entry
                .name()
                .is_some_and(|name| is_ours(name) || matches!(name, "snapshot.toml" | "memory"))
    });
    let is_only_lock = |entry: &&Entry| entry.name().is_some_and(is_lock);
    if ours.iter().all(is_only_lock) && !others.is_empty() {
        return Some(Finding { at: dir.into(), problem: Problem::Unknown, remedy: Remedy::Note });
    }
    let mut steps: Vec<_> = ours.iter().map(|entry| Step::Remove(entry.path.clone())).collect();
    if others.is_empty() {
        steps.push(Step::RemoveDir(dir.into()));
        steps.extend(dir.parent().map(|parent| Step::SyncDir(parent.into())));
    }
    Some(Finding {
        at: dir.into(),
        problem: Problem::LeftoverDirectory { kept: others.len() },
        remedy: Remedy::Steps(steps),
    })
}
