//! Which directories are VMs, and which images they have.

use super::found::{Found, FoundVm};
use crate::{
    error::{Refusal, RefusalKind},
    name::{VmName, VolumeName},
    pool::{
        check::{REMOVING, seen::Entry},
        store::Kind as FileKind,
    },
    vm::record::Kind,
    volume::{FileKind as Part, files::read_name},
};
use std::collections::BTreeMap;

/// Returns the name of the VM in a directory, or why there is none.
pub(super) fn named(found: &Found, vm: &FoundVm) -> Result<VmName, &'static str> {
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

pub(super) fn images(vm: &FoundVm) -> impl Iterator<Item = (VolumeName, Part, &Entry)> {
    vm.entries.iter().filter(|entry| entry.stat.kind == FileKind::File).filter_map(|entry| {
        let (volume, part) = read_name(entry.name()?)?;
        Some((volume, part, entry))
    })
}

pub(super) fn unique<'a>(
    vms: &mut BTreeMap<VmName, &'a FoundVm>,
    name: &VmName,
    vm: &'a FoundVm,
) -> Result<(), Refusal> {
    let Some(other) = vms.insert(name.clone(), vm) else { return Ok(()) };
    let (one, two) = (other.dir.path.display(), vm.dir.path.display());
    let text = format!("two VMs have the name {name}: {one} and {two}; a name is that of one VM");
    Err(Refusal::new(RefusalKind::Exists, text).hint("rename one of the two directories"))
}
