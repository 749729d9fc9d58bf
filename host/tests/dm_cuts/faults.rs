//! Changes that fail.

use crate::{
    acts::{Case, RUNNING, STOPPED},
    world::World,
};
use ebbtide::{Error, pool::driver::memory::Fault};
use nix::errno::Errno;

fn given(case: &Case) -> World {
    let mut world = World::new();
    (case.given)(&mut world);
    world
}

/// Returns whether a failed step is one after which the command is done, but for its end.
fn is_end(doing: &str) -> bool {
    // The base of an import is in place before its store.
    let is_placed = doing.contains("-cow.img.aside-import to ");
    is_placed || doing.starts_with("sync directory") || doing.starts_with("remove ")
}

#[test]
fn a_change_that_fails_leaves_the_target_untouched_and_names_the_step() {
    for case in STOPPED.iter().chain(RUNNING) {
        let volume = (case.volume)();
        let (base, done) = (given(case), given(case));
        (case.act)(&done).unwrap();
        let names = base.all_names();
        let (old, new) = (base.seen(&volume), done.seen(&volume));
        {
            for changes in 0.. {
                let errno = if changes % 2 == 0 { Errno::ENOSPC } else { Errno::EIO };
                let when = format!("{}, {errno} at change {changes}", case.name);
                let world = given(case);
                world.budget.set(changes, Fault::Error(errno));
                let result = (case.act)(&world);
                if !world.budget.revive() {
                    break;
                }
                world.runs_on(&when);
                world.is_not_held_back(&when);
                match result {
                    Err(Error::Failed { doing, source }) => {
                        assert_eq!(source.raw_os_error(), Some(errno as i32), "{when}: {doing}");
                        let is_named = [
                            ".img",
                            "sync directory",
                            "origin-",
                            "snapshot-",
                            "copy-",
                            "volatile-",
                        ];
                        assert!(
                            is_named.iter().any(|word| doing.contains(word)),
                            "{when}: {doing}"
                        );
                        let found = world.seen(&volume);
                        // What is put back in part is put back whole.
                        let is_dropped =
                            ["drops", "discard"].iter().any(|word| case.name.contains(word));
                        // What is written to only grows.
                        let is_begun = ["create", "clone", "resize of what", "own"]
                            .iter()
                            .any(|word| case.name.contains(word));
                        if !volume.role.is_kept() {
                            // What is not kept begins anew.
                        } else if is_end(&doing) || is_begun || is_dropped {
                            found.is_old_or_new(&old, &new, &format!("{when}: {doing}"));
                        } else {
                            assert_eq!(found, old, "{when}: {doing}");
                            let known = names.union(&done.all_names()).cloned().collect();
                            let left = world.all_names();
                            let left: Vec<_> =
                                left.difference(&known).filter(|n| !n.contains("export")).collect();
                            assert!(left.is_empty(), "{when}: {doing}: {left:?}");
                        }
                    }
                    Err(other) => panic!("{when}: {other}"),
                    // Only what is done afterwards may fail without a word of the result.
                    Ok(()) => {
                        let found = world.seen(&volume);
                        found.is_old_or_new(&old, &new, &when);
                        assert_eq!(found.current, new.current, "{when}");
                    }
                }
                let again = (case.act)(&world);
                if let (Err(error), false) = (again, case.name == "clone") {
                    panic!("{when}, repeated: {error}");
                }
                assert_eq!(world.current(&volume), new.current, "{when}, repeated");
            }
        }
    }
}
