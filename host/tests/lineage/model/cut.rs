//! A verb that is cut, and what it may leave.

use super::{act::Act, rules::Model, world::World};
use ebbtide::{
    pool::driver::memory::Fault,
    vm::{self, Allow, Guard},
};

impl World {
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
        let Err(new) = compare(models[1]) else { return };
        let Err(old) = compare(models[0]) else { return };
        let mut between = between(act, models[0]);
        if matches!(act, Act::RemoveSnapshot(_)) {
            // What came after it is its parent's one by one; the next removal goes on.
            self.over(&world.store).act(act, models[0], models[1]).unwrap();
            between.push(models[1].clone());
        }
        assert!(
            between.iter().any(|model| compare(model).is_ok()),
            "cut at {changes}: not the old: {old}; not the new: {new}; the last of {:?}",
            self.done
        );
    }
}

/// Returns what a cut of a verb may leave that is neither the old nor the new.
fn between(act: &Act, old: &Model) -> Vec<Model> {
    match act {
        // The new one is there before the older ones go.
        Act::Hot(name) => {
            let mut both = old.clone();
            both.save_hot(name, false);
            both.settle();
            vec![both]
        }
        _ => Vec::new(),
    }
}
