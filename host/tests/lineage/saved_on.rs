//! What a savestate was taken on is known, and held: also of versioned templates.

use crate::{is_whole, played::take, pools::*};
use ebbtide::{
    VmName,
    pool::{Pool, driver::Ending},
    vm::{
        self,
        savestate::{self, Of},
    },
};

/// A versioned template whose older versions stay or not, and a VM that runs on its first one while there is a second.
fn running_on_the_first(history: &str) -> (Pool, vm::Guard) {
    let (store, pool) = usual();
    let settings = [("versioned", "auto"), ("history", history)];
    vm::set(&pool, &name("debian"), &settings).unwrap();
    let guard = start(&pool, "work").unwrap();
    run(&pool, &store, "debian-next", "root", b"two", Ending::Commit);
    vm::follow_up(&pool).unwrap();
    assert!(pool.vm(&name("debian-v2")).is_ok());
    (pool, guard)
}

fn taken_on(pool: &Pool, guard: &vm::Guard) -> Option<VmName> {
    let id = take(pool, guard, Of::Itself).unwrap();
    savestate::find(pool, &id.to_string()).unwrap().template
}

#[test]
fn a_savestate_is_of_the_version_that_its_machine_runs_on() {
    let (pool, guard) = running_on_the_first("yes");
    assert_eq!(taken_on(&pool, &guard), Some(name("debian-v1")));
    vm::release(&pool, &guard, Ending::Discard).unwrap();
    drop(guard);
    let later = vm::remove(&pool, &name("debian-v1")).unwrap().later;
    assert!(matches!(*later, [vm::Reference::Savestate(_)]), "{later:?}");
    vm::remove(&pool, &name("work")).unwrap();
    assert!(pool.vm(&name("debian-v1")).is_err(), "nothing refers to it any more");
    is_whole(&pool);
}

#[test]
fn a_savestate_of_a_version_that_is_gone_holds_no_other_back() {
    let (pool, guard) = running_on_the_first("no");
    assert!(pool.vm(&name("debian-v1")).is_err());
    assert_eq!(taken_on(&pool, &guard), None);
}
#[test]
fn a_working_vm_keeps_its_name_while_a_savestate_says_it() {
    let (_, pool) = usual();
    vm::set(&pool, &name("debian"), &[("versioned", "auto")]).unwrap();
    vm::set(&pool, &name("work"), &[("template", "debian-next")]).unwrap();
    let guard = start(&pool, "work").unwrap();
    let id = take(&pool, &guard, Of::Itself).unwrap();
    vm::release(&pool, &guard, Ending::Discard).unwrap();
    drop(guard);
    let end = || vm::set(&pool, &name("debian-next"), &[("versioned", "no")]);
    let refused = end().unwrap_err().to_string();
    assert!(refused.contains(&format!("the savestate {id} was taken on it")), "{refused}");
    assert!(pool.vm(&name("debian-next")).unwrap().record.versioned.is_some());
    savestate::remove(&pool, &savestate::find(&pool, &id.to_string()).unwrap()).unwrap();
    end().unwrap();
    is_whole(&pool);
}
