//! The commands that are cut, each with what it finds.

use crate::{
    contract::{app_root, debian_root, private, template, volume},
    world::{Act, World},
};
use ebbtide::{
    pool::{
        driver::{Access, Commit, Ending, Volume, Volumes},
        store::Unseen,
    },
    volume::Role,
};
use ebbtide_format::units::Bytes;
use std::path::Path;

/// A command on one volume.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) volume: fn() -> Volume,
    /// What is there before.
    pub(crate) given: fn(&World),
    pub(crate) act: Act,
}

fn nothing(_: &World) {}

fn written(world: &World) {
    world.write(&private(), b"mine");
}

fn unwritten(world: &World) {
    world.driver.start(&private(), Access::Shared).unwrap();
}

fn precached(world: &World) {
    world.driver.precache(&private(), &mut Unseen).unwrap();
}

fn other() -> Volume {
    volume("appvms/play", "private", Role::Origin)
}

fn own() -> Volume {
    volume("appvms/work", "own", Role::OriginSnapshot { of: debian_root() })
}

fn volatile() -> Volume {
    volume("appvms/work", "volatile", Role::Volatile)
}

macro_rules! case {
    ($name:literal, $volume:expr, $given:expr, $act:expr) => {
        Case { name: $name, volume: $volume, given: $given, act: $act }
    };
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case!("stop", private, written, |w| w.driver.stop(&private(), Ending::Commit).map(drop)),
    case!("commit", private, written, |w| w.driver.commit(&private()).map(drop)),
    case!(
        "commit beside a next image",
        private,
        |w| {
            precached(w);
            written(w);
            precached(w)
        },
        |w| w.driver.commit(&private()).map(drop)
    ),
    case!("stop without a write", private, unwritten, |w| {
        w.driver.stop(&private(), Ending::Commit).map(drop)
    }),
    case!("stop that drops", private, written, |w| {
        w.driver.stop(&private(), Ending::Discard).map(drop)
    }),
    case!("discard", private, written, |w| w.driver.discard(&private()).map(drop)),
    case!("start", private, nothing, |w| w.driver.start(&private(), Access::Shared).map(drop)),
    case!("start with a next image", private, precached, |w| {
        w.driver.start(&private(), Access::Shared).map(drop)
    }),
    case!("start after a cut", private, written, |w| {
        w.driver.start(&private(), Access::Shared).map(drop)
    }),
    case!("start on a template", app_root, nothing, |w| {
        w.driver.start(&app_root(), Access::Shared).map(drop)
    }),
    case!("start on a copy", app_root, nothing, |w| {
        w.driver.start(&app_root(), Access::Copy).map(drop)
    }),
    case!("start empty", volatile, nothing, |w| {
        w.driver.start(&volatile(), Access::Shared).map(drop)
    }),
    case!("first start of its own", own, nothing, |w| {
        w.driver.start(&own(), Access::Shared).map(drop)
    }),
    case!("import", private, precached, |w| {
        w.driver.import(&private(), Path::new("/outside/file"), &mut Unseen).map(drop)
    }),
    case!("first import", other, nothing, |w| {
        w.driver.import(&other(), Path::new("/outside/file"), &mut Unseen).map(drop)
    }),
    case!("revert", private, precached, |w| {
        let oldest = w.driver.state(&private())?.revisions;
        // By its number: a repeat reverts to the same one.
        let first = oldest.iter().find(|(revision, _)| revision.number == Some(1));
        w.driver.revert(&private(), first.unwrap().0).map(drop)
    }),
    case!("resize", private, precached, |w| { w.driver.resize(&private(), Bytes(3 << 40), false) }),
    case!("resize of what was written", private, written, |w| {
        w.driver.resize(&private(), Bytes::gib(1), false)
    }),
    case!("clone", other, nothing, |w| w.driver.adopt_version(&private(), &other())),
    case!("create", other, nothing, |w| w.driver.create(&other())),
    case!("next image", private, nothing, |w| w.driver.precache(&private(), &mut Unseen)),
    case!("export", template, nothing, |w| {
        let (id, _) = w.driver.export(&template())?;
        w.driver.export_end(&template(), id)
    }),
];
