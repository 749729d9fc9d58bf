//! A volume that goes.

use crate::world::{World, private, template};
use ebbtide::pool::driver::{Access, Volumes as _, memory::Fault};

#[test]
fn a_removal_that_is_cut_leaves_the_current_version_or_nothing() {
    for (volume, crash, is_started) in [
        (private(), false, false),
        (private(), true, false),
        (private(), false, true),
        (template(), false, false),
        (template(), true, false),
    ] {
        for changes in 0.. {
            let mut world = World::new();
            if is_started {
                world.driver.start(&volume, Access::Shared).unwrap();
            }
            let old = world.current(&volume);
            world.budget.set(changes, Fault::Kill);
            let _ = world.driver.remove(&volume);
            if !world.budget.revive() {
                break;
            }
            if crash {
                world.crash();
            }
            let when = format!("{}, before change {changes}", volume.id);
            // Who runs on a version of it goes on.
            world.runs_on(&when);
            world.settle(std::slice::from_ref(&volume)).unwrap();
            let found = world.current(&volume);
            assert!(found == old || found.is_none(), "{when}: {found:?}");
            world.driver.remove(&volume).unwrap();
            world.runs_on(&when);
            let prefix = format!("{}.", volume.files.name);
            let names = world.names(&volume.files.dir);
            assert!(!names.iter().any(|name| name.starts_with(&prefix)), "{when}: {names:?}");
            assert!(world.devices().is_empty(), "{when}");
        }
    }
}
