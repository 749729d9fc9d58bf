//! Where the directories of a tree are in a pool.

use super::found::{Found, FoundVm, OLD_TEMPLATES};
use crate::{
    name::VmName,
    pool::{check::seen::Entry, step::Step},
    vm::record::Kind,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Gives directories of older trees their names of today.
pub(super) fn moves(found: &Found, vms: &BTreeMap<VmName, &FoundVm>) -> Vec<Step> {
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
pub(super) fn dir(vm: &FoundVm) -> PathBuf {
    Path::new(vm.kind.directory()).join(vm.dir.path.file_name().unwrap_or_default())
}
