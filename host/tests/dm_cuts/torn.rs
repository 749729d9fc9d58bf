//! Writes that are cut in the middle: what is put back into a base, and what a revert brings to one. Any part of the
//! chunks may be written.

use crate::{
    acts::{Case, STOPPED},
    seen::{Image, Seen},
    world::{CHUNK, World, all},
};
use ebbtide::pool::{
    driver::{Commit as _, memory::Fault},
    store::Store as _,
};
use std::{fs, fs::File, os::unix::fs::FileExt as _, path::Path};

/// Which chunks are as they were.
const MASKS: [fn(usize) -> bool; 2] = [|n| n % 2 == 0, |n| n >= 8];

fn case(name: &str) -> &'static Case {
    STOPPED.iter().find(|case| case.name == name).unwrap()
}

fn given(case: &Case) -> World {
    let mut world = World::new();
    (case.given)(&mut world);
    world
}

/// Gives some chunks of a file back what they had.
fn tear(path: &Path, old: &Image, which: fn(usize) -> bool) {
    let file = File::options().write(true).open(path).unwrap();
    for (n, chunk) in old.bytes.chunks(CHUNK).enumerate().filter(|(n, _)| which(*n)) {
        file.write_all_at(chunk, (n * CHUNK) as u64).unwrap();
    }
}

fn after(case: &Case, crash: bool) -> Seen {
    let mut world = given(case);
    (case.act)(&world).unwrap();
    if crash {
        world.crash();
    }
    world.settle(&all()).unwrap();
    world.seen(&(case.volume)())
}

/// A volume of which a part was put back has no content that anybody wrote: it goes on, and nothing starts from it.
#[test]
fn a_discard_that_is_cut_in_the_middle_is_finished() {
    for name in ["stop that drops", "stop that drops growth too", "discard after a crash"] {
        let case = case(name);
        let volume = (case.volume)();
        for (crash, mask) in [true, false].into_iter().flat_map(|crash| MASKS.map(|m| (crash, m))) {
            let new = after(case, crash);
            let old = given(case).seen(&volume);
            for changes in 0.. {
                let mut world = given(case);
                let base = world.store.real(&volume.files.clean());
                let before = Image::of(&base);
                world.budget.set(changes, Fault::Kill);
                let _ = (case.act)(&world);
                if !world.budget.revive() {
                    break;
                }
                let is_merged = Image::of(&base) != before;
                if is_merged
                    && world.names(&volume.files.dir).iter().any(|n| n.contains("aside-discard"))
                {
                    tear(&base, &before, mask);
                }
                if crash {
                    world.crash();
                }
                world.settle(&all()).unwrap();
                let when = format!("{name}, before change {changes}");
                world.seen(&volume).is_old_or_new(&old, &new, &when);
                world.driver.discard(&volume).unwrap();
                assert_eq!(world.seen(&volume), new, "{when}, repeated");
                world.runs_on(&when);
            }
        }
    }
}

#[test]
fn a_revert_gives_back_all_of_what_was_larger_than_an_import() {
    for (name, number) in [("revert over an import", 4), ("revert over an import, put together", 3)]
    {
        let case = case(name);
        let world = given(case);
        let old = world.seen(&(case.volume)());
        (case.act)(&world).unwrap();
        assert_eq!(world.current(&(case.volume)()).as_ref(), old.revisions.get(&number), "{name}");
    }
}

/// What a revert has written is in the file of the origin, or in the base; the store has what was there before.
#[test]
fn a_revert_that_is_cut_in_the_middle_is_undone() {
    for name in ["revert", "revert over an import"] {
        let case = case(name);
        let volume = (case.volume)();
        let old = given(case).seen(&volume);
        for mask in MASKS {
            for (crash, is_flushed) in [(false, true), (true, true), (true, false)] {
                for changes in 0.. {
                    let mut world = given(case);
                    world.budget.set(changes, Fault::Kill);
                    let _ = (case.act)(&world);
                    if !world.budget.revive() {
                        break;
                    }
                    let origins = world.origins();
                    let before = Image::of(&world.store.real(&volume.files.clean()));
                    for origin in &origins {
                        tear(origin, &before, mask);
                        if is_flushed {
                            world.mapped.flush(origin);
                        }
                    }
                    if crash {
                        world.crash();
                    }
                    world.settle(&all()).unwrap();
                    let when = format!("{name}, before change {changes}");
                    let found = world.seen(&volume);
                    if !origins.is_empty() {
                        assert_eq!(found, old, "{when}");
                    }
                    (case.act)(&world).unwrap();
                    world.runs_on(&when);
                }
            }
        }
    }
}

impl World {
    /// Returns the files of what is written to.
    fn origins(&self) -> Vec<std::path::PathBuf> {
        let dir = self.dir.path();
        let mapped = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mapped = mapped
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("mapped-"));
        let files =
            mapped.flat_map(|dir| fs::read_dir(dir).unwrap()).map(|file| file.unwrap().path());
        files
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("origin-"))
            .collect()
    }
}
