//! What is found in a pool, held against the model.

use super::{
    machine::{Machine, Version},
    rules::Model,
    world::World,
};
use ebbtide::{
    pool::store::Store as _,
    vm::{self, HowVersioned, Kind, Vm},
};
use std::{collections::BTreeMap, path::Path};
use uuid::Uuid;

impl World {
    /// Returns a difference between what is there and the model.
    pub(crate) fn compare(&mut self, model: &Model) -> std::result::Result<(), String> {
        let vms = self.pool.vms().map_err(|error| error.to_string())?.vms;
        let names: Vec<_> = vms.iter().map(|vm| vm.name.to_string()).collect();
        same("VMs", &names, &model.names())?;
        let (snapshots, unreadable) = vm::snapshots(&self.pool).map_err(|e| e.to_string())?;
        same("unreadable", &unreadable.len(), &0)?;
        same("snapshots", &snapshots.len(), &model.snapshots.len())?;
        for (vm, machine) in vms.iter().zip(model.vms.values()) {
            let uuid = *self.uuids.entry(machine.uuid).or_insert(vm.record.uuid);
            same("UUID", &uuid, &vm.record.uuid)?;
            self.compare_vm(vm, machine).map_err(|what| format!("{}: {what}", vm.name))?;
        }
        for (id, shot) in &model.snapshots {
            let found = snapshots.iter().find(|found| found.uuid == self.uuids[id]);
            let found = found.ok_or_else(|| format!("no snapshot {id}"))?;
            same("snapshot of", &found.snapshot_of, &self.uuids.get(&shot.of.uuid).copied())?;
            same("its parent", &found.parent, &self.uuid(shot.parent))?;
            let files = |disk: &str| self.byte(&found.dir().join(format!("{disk}.img")));
            compare_disks(&shot.disks, files, "snapshot")?;
        }
        self.compare_saved(&vms, model)
    }

    fn uuid(&self, id: Option<u32>) -> Option<Uuid> {
        id.and_then(|id| self.uuids.get(&id).copied())
    }

    fn compare_vm(&self, vm: &Vm, machine: &Machine) -> std::result::Result<(), String> {
        let (record, flags) = (&vm.record, &vm.record.flags);
        let text = |name: &Option<ebbtide::VmName>| name.as_ref().map(ToString::to_string);
        same("kind", &(record.kind == Kind::Template), &machine.template.is_none())?;
        same("template", &text(&record.template), &machine.template)?;
        same("base", &text(&record.base), &machine.base)?;
        same("immutable", &flags.immutable, &machine.immutable)?;
        same("volatile", &flags.volatile, &machine.volatile)?;
        same("internal", &flags.internal, &machine.internal)?;
        same("instance", &flags.instance, &machine.instance)?;
        same("version of", &text(&flags.version_of), &machine.version_of)?;
        same("replaces", &flags.replaces, &None)?;
        same("inherits", &flags.inherits, &None)?;
        let how = machine.versioned.map(|(manual, history)| HowVersioned { manual, history });
        same("versioned", &record.versioned, &how)?;
        same("parent", &record.parent, &self.uuid(machine.parent))?;
        compare_disks(&machine.disks, |disk| self.byte_of(vm, disk), "version")?;
        for (disk, version) in &machine.disks {
            let there = machine.dirty.get(disk).copied();
            let wanted = there.or(machine.runs.then_some(version.byte));
            same(disk, &self.byte_of(vm, &format!("{disk}-dirty")), &wanted)?;
        }
        if machine.template.is_some() && !machine.own_root {
            same("what it sees", &self.byte_of(vm, "root"), &machine.sees.map(|root| root.byte))?;
        }
        Ok(())
    }

    fn byte_of(&self, vm: &Vm, file: &str) -> Option<u8> {
        self.byte(&vm.dir.join(format!("{file}.img")))
    }

    pub(super) fn byte(&self, file: &Path) -> Option<u8> {
        self.store.stat(file).unwrap()?;
        self.store.bytes(file, 0, 1).ok()?.first().copied()
    }
}

pub(super) fn compare_disks(
    disks: &BTreeMap<&'static str, Version>,
    found: impl Fn(&str) -> Option<u8>,
    what: &str,
) -> std::result::Result<(), String> {
    for (disk, version) in disks {
        same(&format!("{what} of {disk}"), &found(disk), &Some(version.byte))?;
    }
    Ok(())
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    wanted: &T,
) -> std::result::Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}"))
}
