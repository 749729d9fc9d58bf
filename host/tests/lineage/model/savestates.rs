//! Savestates in the pool: taken of a played machine, gone on from, and held against the model.

use super::{
    act::Act,
    compare::{compare_disks, same},
    machine::Saved,
    rules::Model,
    world::{World, refused, run_by},
};
use crate::{
    played::{MEMORY, take},
    pools::name,
};
use ebbtide::{
    Result, VmName,
    engine::qemu,
    pool::{Pool, driver::Ending, store::Store as _},
    vm::{
        self, Allow, Guard, Instance, Vm,
        savestate::{self, Of, Savestate},
    },
};
use uuid::Uuid;

/// Does what the process in the background does.
fn make_hot(pool: &Pool, of: &VmName) -> Result<Uuid> {
    let owner = pool.vm(of)?;
    let seed = vm::instance(pool, &owner.name, Instance::Seed)?;
    vm::prepare(pool, &seed, run_by(true)?)?;
    let hot = take(pool, &seed, Of::Hot(&owner))?;
    vm::release(pool, &seed, Ending::Discard)?;
    drop(seed);
    savestate::replace_hot(pool, &savestate::find(pool, &hot.to_string())?)?;
    Ok(hot)
}

impl World {
    /// Does a verb of savestates.
    pub(super) fn act_saved(&mut self, act: &Act, old: &Model, new: &Model) -> Result<()> {
        let pool = &self.pool;
        match act {
            Act::Save(of) => {
                old.vms.get(of).filter(|vm| vm.runs).ok_or_else(refused)?;
                let took = match self.engines.get(of) {
                    Some(guard) => take(pool, guard, Of::Itself)?,
                    None => {
                        let guard = Guard::take(pool, &name(of), "savestate", Allow::Prepared)?;
                        take(pool, &guard, Of::Itself)?
                    }
                };
                self.took(took, new);
            }
            Act::Hot(of) => {
                let hot = make_hot(pool, &name(of))?;
                self.took(hot, new);
            }
            Act::Unsave(id) => {
                let savestate = savestate::find(pool, &self.uuids[id].to_string())?;
                drop(savestate::remove(pool, &savestate)?);
            }
            Act::From { name: of, id, locked } => {
                let guard = Guard::take(pool, &name(of), "start", Allow::Stopped)?;
                let from = self.uuids[id];
                self.go_on(guard, from, *locked)?;
            }
            Act::Resume(of, what) => {
                let hot = savestate::hot_of(pool, &pool.vm(&name(of))?)?.ok_or_else(refused)?;
                let guard = vm::instance(pool, &name(of), *what)?;
                self.go_on(guard, hot.uuid, true)?;
            }
            Act::HandOver(of) => {
                let is_ready =
                    |vm: &&super::machine::Machine| vm.runs && vm.instance == Some(Instance::Ready);
                old.vms.get(of).filter(is_ready).ok_or_else(refused)?;
                vm::becomes_disposable(pool, &name(of))?;
            }
            other => unreachable!("{other:?} is none of savestates"),
        }
        Ok(())
    }

    /// Has a machine go on from a savestate.
    fn go_on(&mut self, guard: Guard, from: Uuid, locked: bool) -> Result<()> {
        let source = savestate::source(&self.pool, &from.to_string())?;
        savestate::prepare_from(&self.pool, &guard, &mut run_by(locked)?, &source)?;
        vm::goes_on(&self.pool, &guard)?;
        self.keep(guard, locked);
        Ok(())
    }

    /// The savestate that was just taken is the newest one of the model.
    fn took(&mut self, uuid: Uuid, new: &Model) {
        self.uuids.extend(new.saved.keys().max().map(|id| (*id, uuid)));
    }

    /// Returns a difference between the savestates that are there and those of the model, and of what is made of them.
    pub(super) fn compare_saved(
        &mut self,
        vms: &[Vm],
        model: &Model,
    ) -> std::result::Result<(), String> {
        let (found, unreadable) = savestate::list(&self.pool).map_err(|e| e.to_string())?;
        same("unreadable savestates", &unreadable.len(), &0)?;
        same("savestates", &found.len(), &model.saved.len())?;
        let mut saved: Vec<_> = model.saved.iter().collect();
        saved.sort_by_key(|(id, saved)| (saved.taken, **id));
        for (id, saved) in saved {
            let of = self.uuids.get(&saved.of).copied().ok_or("nobody knows the VM of one")?;
            let known = self.uuids.get(id).copied();
            let is_taken = |uuid| self.uuids.values().any(|other| *other == uuid);
            let is_it = |one: &&Savestate| match known {
                Some(uuid) => one.uuid == uuid,
                // Those of a clone, which are in the order of what they are copies of.
                None => one.of == of && !is_taken(one.uuid),
            };
            let one = found.iter().find(is_it).ok_or_else(|| format!("no savestate {id}"))?;
            self.uuids.insert(*id, one.uuid);
            self.compare_one(one, saved, of).map_err(|what| format!("savestate {id}: {what}"))?;
        }
        self.compare_hot(vms, &found, model)
    }

    fn compare_one(&self, one: &Savestate, saved: &Saved, of: Uuid) -> Result<(), String> {
        same("of", &one.of, &of)?;
        same("hot", &(one.kind == savestate::Kind::Hot), &saved.is_hot)?;
        same("taken on", &one.template.as_ref().map(ToString::to_string), &saved.on)?;
        compare_disks(
            &saved.disks,
            |disk| self.byte(&one.dir().join(format!("{disk}.img"))),
            "disk",
        )?;
        let memory = self.store.read(&one.dir().join("memory")).map_err(|e| e.to_string())?;
        same("memory", &memory.as_slice(), &MEMORY)
    }

    /// Compares from what disposables go on, and how many stand ready.
    fn compare_hot(&self, vms: &[Vm], found: &[Savestate], model: &Model) -> Result<(), String> {
        for vm in vms {
            let (of, text) = (&vm.name, vm.name.to_string());
            let its = found.iter().filter(|one| one.of == vm.record.uuid);
            let mut hot = None;
            for one in its.filter(|one| one.kind == savestate::Kind::Hot) {
                let is_it = savestate::is_current(&self.pool, vm, one);
                hot = is_it.map_err(|e| e.to_string())?.then_some(one.uuid).or(hot);
            }
            let wanted = model.hot_of(&text).map(|id| self.uuids[&id]);
            same(&format!("hot one of {of}"), &hot, &wanted)?;
            let ready = model.vms.values().filter(|vm| vm.stands_ready());
            let ready = ready.filter(|vm| vm.base.as_ref() == Some(&text)).count();
            if ready > 0 {
                let found = qemu::count_ready(&self.pool, of).map_err(|e| e.to_string())?;
                same(&format!("ready of {of}"), &found, &ready)?;
            }
        }
        Ok(())
    }
}
