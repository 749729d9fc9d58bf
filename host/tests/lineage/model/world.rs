//! The verbs done with a pool in memory, and what is found in it.

use super::{act::Act, rules::Model};
use crate::pools::{SIZE, empty, name, over, template, tree};
use ebbtide::{
    Error, Result,
    error::{Refusal, RefusalKind},
    pool::{Pool, driver::MemoryStore, store::Unseen},
    vm::{self, Allow, Guard, NewVm, PREPARE, Run, Snapshot},
};
use ebbtide_format::units::Bytes;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(super) pool: Pool,
    /// Engines that have their VM's lock.
    pub(super) engines: BTreeMap<String, Guard>,
    /// Which VM, snapshot and savestate of the model is which.
    pub(super) uuids: BTreeMap<u32, Uuid>,
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
            of_savestates => return self.act_saved(of_savestates, old, new),
        }
        Ok(())
    }

    fn start(&mut self, guard: Guard, locked: bool) -> Result<()> {
        vm::prepare(&self.pool, &guard, run_by(locked)?)?;
        self.keep(guard, locked);
        Ok(())
    }

    /// Keeps the lock of a VM for its engine, where that is one that has it.
    pub(super) fn keep(&mut self, guard: Guard, locked: bool) {
        if locked {
            self.engines.insert(guard.vm().name.to_string(), guard);
        }
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

    pub(super) fn over(&self, store: &MemoryStore) -> Self {
        let (store, pool) = (store.clone(), over(store));
        Self { store, pool, engines: BTreeMap::new(), uuids: self.uuids.clone(), done: Vec::new() }
    }

    pub(crate) fn is_empty(&self) {
        let mut left = tree(&self.store);
        left.retain(|path| !path.starts_with("snapshots/") && path != "savestates");
        assert_eq!(left, ["appvms", "snapshots", "vm-templates"]);
    }
}

/// Returns who runs a VM: an engine that has its lock, or one of others.
pub(super) fn run_by(locked: bool) -> Result<Run> {
    Run::new(if locked { "qemu" } else { PREPARE })
}

/// What the model refuses and no verb does: a test's own request that makes no sense.
pub(super) fn refused() -> Error {
    Refusal::new(RefusalKind::Rule, "there is no such thing here").into()
}
