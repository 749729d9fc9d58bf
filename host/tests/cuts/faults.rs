//! Changes that fail.

use crate::{acts::CASES, world::World};
use ebbtide::{Error, pool::driver::memory::Fault};
use nix::errno::Errno;

#[test]
fn a_change_that_fails_leaves_the_target_untouched_and_names_the_cause() {
    for case in CASES {
        let base = World::new();
        (case.given)(&base);
        let volume = (case.volume)();
        let old = base.seen(&volume);
        let done = base.fork();
        (case.act)(&done).unwrap();
        let new = done.seen(&volume);
        for errno in [Errno::ENOSPC, Errno::EIO, Errno::EDQUOT] {
            for changes in 0.. {
                let when = format!("{}, {errno} at change {changes}", case.name);
                let world = base.fork();
                world.store.budget(changes, Fault::Error(errno));
                let result = (case.act)(&world);
                if !world.store.revive() {
                    break;
                }
                let found = world.seen(&volume);
                match result {
                    Err(Error::Failed { doing, source }) => {
                        assert_eq!(source.raw_os_error(), Some(errno as i32), "{when}");
                        // The step itself is named, with its file.
                        assert!(
                            doing.contains(".img") || doing.starts_with("sync dir"),
                            "{when}: {doing}"
                        );
                        let begun =
                            case.name == "first start of its own" && doing.starts_with("rename");
                        if doing.starts_with("sync dir") || case.name == "export" || begun {
                            world.settle();
                        } else if volume.role.is_kept() {
                            assert_eq!(found.clean, old.clean, "{when}: {doing}");
                            let written = old.dirty.is_none() || found.dirty == old.dirty;
                            assert!(written || new.dirty.is_some(), "{when}: {doing}");
                            assert_eq!(found.revisions, old.revisions, "{when}: {doing}");
                            assert!(found.asides.is_empty(), "{when}: {:?}", found.asides);
                        } else {
                            assert_eq!(found, old, "{when}: {doing}");
                        }
                    }
                    Err(other) => panic!("{when}: {other}"),
                    // Only what is done afterwards may fail without a word of the result.
                    Ok(()) => {
                        found.is_old_or_new(&old, &new, false, &when);
                        assert_eq!(found.clean, new.clean, "{when}");
                    }
                }
                if case.name != "export" {
                    (case.act)(&world).unwrap_or_else(|error| panic!("{when}: {error}"));
                    assert_eq!(world.seen(&volume).clean, new.clean, "{when}, repeated");
                }
            }
        }
    }
}
