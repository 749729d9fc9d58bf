//! The verbs done with a pool in memory, and what is found in it.

use super::{
    act::Act,
    rules::{Machine, Model, Version},
};
use crate::pools::{SIZE, empty, name, over, template, tree};
use ebbtide::{
    Error, Result,
    error::{Refusal, RefusalKind},
    pool::{
        Pool,
        driver::{MemoryStore, memory::Fault},
        store::{Store as _, Unseen},
    },
    vm::{self, Allow, Guard, HowVersioned, Kind, NewVm, PREPARE, Run, Snapshot, Vm},
};
use ebbtide_format::units::Bytes;
use std::{collections::BTreeMap, path::Path};
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pool: Pool,
    /// Engines that have their VM's lock.
    engines: BTreeMap<String, Guard>,
    /// Which VM and which snapshot of the model is which.
    uuids: BTreeMap<u32, Uuid>,
    /// The verbs so far, for whoever looks for what went wrong.
    pub(crate) done: Vec<Act>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (store, pool) = empty();
        Self { store, pool, engines: BTreeMap::new(), uuids: BTreeMap::new(), done: Vec::new() }
    }

    /// Does a verb. `models`: before and after it.
    pub(crate) fn act(&mut self, act: &Act, old: &Model, new: &Model) -> Result<()> {
        let pool = &self.pool;
        match act {
            Act::Template(of) => template(pool, of)?,
            Act::AppVm { name: of, template, own_root, private } => {
                let private = if *private { SIZE } else { Bytes(0) };
                let vm = NewVm { private, own_root: *own_root, ..NewVm::new(name(template)) };
                vm::create(pool, &name(of), &vm)?;
            }
            Act::Start { name: of, locked } => {
                let guard = Guard::take(pool, &name(of), "start", Allow::Stopped)?;
                self.start(guard, *locked)?;
            }
            Act::Write { name: of, disk, byte } => {
                let dir = pool.vm(&name(of))?.dir;
                let file = dir.join(format!("{disk}-dirty.img"));
                let found = old.vms.get(of).filter(|vm| vm.runs && vm.disks.contains_key(disk));
                found.ok_or_else(refused)?;
                self.store.write(&file, 0, &[*byte]).map_err(Error::doing("write"))?;
            }
            Act::Stop(of, ending) => {
                let guard = match self.engines.remove(of) {
                    Some(guard) => guard,
                    None => Guard::take(pool, &name(of), "release", Allow::Prepared)?,
                };
                let is_ours = guard.is_prepared() || old.is_running(of);
                is_ours.then_some(()).ok_or_else(refused)?;
                vm::release(pool, &guard, *ending)?;
            }
            Act::CutOff(of) => {
                drop(self.engines.remove(of).ok_or_else(refused)?);
                drop(Guard::take(pool, &name(of), "settle", Allow::Stopped)?);
            }
            Act::Commit(of) => drop(vm::commit(pool, &name(of), None)?),
            Act::Discard(of) => drop(vm::discard(pool, &name(of), None)?),
            Act::Instance(of, what) => {
                let guard = vm::instance(pool, &name(of), *what)?;
                let is_locked = new.vms.get(guard.vm().name.as_str()).is_some_and(|vm| vm.locked);
                self.start(guard, is_locked)?;
            }
            Act::Clone(from, to) => drop(vm::clone(pool, &name(from), &name(to))?),
            Act::Replace(from, to) => drop(vm::replace(pool, &name(from), &name(to))?),
            Act::Remove(of) => drop(vm::remove(pool, &name(of))?),
            Act::Set(of, settings) => {
                let settings: Vec<_> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
                vm::set(pool, &name(of), &settings)?;
            }
            Act::Version(of) => drop(vm::make_version(pool, &name(of))?),
            Act::Snapshot(of) => {
                let engine = self.engines.get(of);
                let took = match engine {
                    Some(guard) => vm::snapshot(pool, guard, None, None, &mut Unseen)?,
                    None => {
                        let guard = Guard::take(pool, &name(of), "snapshot", Allow::Prepared)?;
                        vm::snapshot(pool, &guard, None, None, &mut Unseen)?
                    }
                };
                self.uuids.extend(new.snapshots.keys().max().map(|id| (*id, took.uuid)));
            }
            Act::Revert(id) => drop(vm::revert_vm(pool, &self.snapshot(*id)?)?),
            Act::CloneSnapshot(id, to) => {
                vm::clone_snapshot(pool, &self.snapshot(*id)?, &name(to))?;
            }
            Act::RemoveSnapshot(id) => {
                vm::remove_snapshot(pool, &self.uuids[id].to_string())?;
            }
        }
        Ok(())
    }

    fn start(&mut self, guard: Guard, locked: bool) -> Result<()> {
        let engine = if locked { "qemu" } else { PREPARE };
        vm::prepare(&self.pool, &guard, Run::new(engine)?)?;
        if locked {
            self.engines.insert(guard.vm().name.to_string(), guard);
        }
        Ok(())
    }

    fn snapshot(&self, id: u32) -> Result<Snapshot> {
        vm::find_snapshot(&self.pool, &self.uuids[&id].to_string())
    }

    pub(crate) fn is_whole(&self) {
        crate::is_whole(&self.pool);
    }

    /// Does what commands do that come later, until there is nothing more to do.
    pub(crate) fn follow_up(&self) {
        let all = (0..9).map(|_| vm::follow_up(&self.pool).unwrap());
        assert!(all.into_iter().any(|said| said.is_empty()), "it has no end");
    }

    /// Does a verb in a copy of the pool and kills it before one of its changes: later commands come to the old or the new.
    pub(crate) fn cut(&self, act: &Act, changes: u64, models: [&Model; 2]) {
        if !self.engines.is_empty() {
            return;
        }
        let store = self.store.fork();
        let mut world = self.over(&store);
        store.budget(changes, Fault::Kill);
        let _ = world.act(act, models[0], models[1]);
        if !store.revive() {
            return;
        }
        // What the process held is gone with it.
        let world = self.over(&store.fork());
        for vm in world.pool.vms().unwrap().vms {
            drop(Guard::take(&world.pool, &vm.name, "settle", Allow::Prepared));
        }
        vm::sweep(&world.pool).unwrap();
        world.follow_up();
        crate::is_mended(&world.pool);
        let compare = |model: &Model| self.over(&world.store).compare(model);
        if let Err(new) = compare(models[1])
            && let Err(old) = compare(models[0])
        {
            panic!(
                "cut at {changes}: not the old: {old}; not the new: {new}; the last of {:?}",
                self.done
            );
        }
    }

    fn over(&self, store: &MemoryStore) -> Self {
        let (store, pool) = (store.clone(), over(store));
        Self { store, pool, engines: BTreeMap::new(), uuids: self.uuids.clone(), done: Vec::new() }
    }

    pub(crate) fn is_empty(&self) {
        let left: Vec<_> =
            tree(&self.store).into_iter().filter(|path| !path.starts_with("snapshots/")).collect();
        assert_eq!(left, ["appvms", "snapshots", "vm-templates"]);
    }

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
        Ok(())
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
            same("what it sees", &self.byte_of(vm, "root"), &machine.sees)?;
        }
        Ok(())
    }

    fn byte_of(&self, vm: &Vm, file: &str) -> Option<u8> {
        self.byte(&vm.dir.join(format!("{file}.img")))
    }

    fn byte(&self, file: &Path) -> Option<u8> {
        self.store.stat(file).unwrap()?;
        self.store.bytes(file, 0, 1).ok()?.first().copied()
    }
}

fn compare_disks(
    disks: &BTreeMap<&'static str, Version>,
    found: impl Fn(&str) -> Option<u8>,
    what: &str,
) -> std::result::Result<(), String> {
    for (disk, version) in disks {
        same(&format!("{what} of {disk}"), &found(disk), &Some(version.byte))?;
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    wanted: &T,
) -> std::result::Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}"))
}

/// What the model refuses and no verb does: a test's own request that makes no sense.
fn refused() -> Error {
    Refusal::new(RefusalKind::Rule, "there is no such thing here").into()
}
