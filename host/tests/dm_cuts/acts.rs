//! The commands that are cut, each with what it finds.

use crate::{
    contract::app_root,
    world::{Act, SIZE, World, own, play, private, template, volatile},
};
use ebbtide::{
    Error,
    pool::{
        driver::{Access, Commit as _, Ending, Volume, Volumes as _},
        store::{Store as _, Unseen},
    },
};
use ebbtide_format::units::Bytes;

/// A command on one volume.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) volume: fn() -> Volume,
    /// What is there before.
    pub(crate) given: fn(&mut World),
    pub(crate) act: Act,
    /// Whether its VM runs meanwhile: nobody settles it while it does.
    pub(crate) runs: bool,
}

fn nothing(_: &mut World) {}

fn template_written(world: &mut World) {
    world.write_to(&template(), b'd');
}

fn template_started(world: &mut World) {
    world.driver.start(&template(), Access::Shared).unwrap();
}

fn written(world: &mut World) {
    world.write_to(&private(), b'd');
}

fn grown_and_written(world: &mut World) {
    written(world);
    world.driver.resize(&private(), Bytes(SIZE.0 * 2), true).unwrap();
}

fn written_and_crashed(world: &mut World) {
    written(world);
    world.crash();
}

fn imported(world: &mut World) {
    world.driver.import(&private(), &world.file("short"), &mut Unseen).unwrap();
    world.version(&private(), b'e');
}

fn just_imported(world: &mut World) {
    world.driver.import(&private(), &world.file("short"), &mut Unseen).unwrap();
}

fn pruned(world: &mut World) {
    for letter in [b'd', b'e', b'f'] {
        world.version(&private(), letter);
    }
}

fn pruned_and_written(world: &mut World) {
    pruned(world);
    world.write_to(&private(), b'g');
}

fn shared(world: &mut World) {
    world.driver.start(&app_root(), Access::Shared).unwrap();
}

fn copied(world: &mut World) {
    world.driver.start(&app_root(), Access::Copy).unwrap();
}

fn volatile_started(world: &mut World) {
    world.driver.start(&volatile(), Access::Shared).unwrap();
}

fn own_written(world: &mut World) {
    world.write_to(&own(), b'o');
}

fn revert(world: &World, volume: &Volume, number: u64) -> Result<(), Error> {
    // By its number: a repeat reverts to the same one.
    let state = world.driver.state(volume)?;
    let to = state.revisions.iter().find(|(revision, _)| revision.number == Some(number));
    world.driver.revert(volume, to.unwrap().0).map(drop)
}

fn export(world: &World, volume: &Volume) -> Result<(), Error> {
    let (id, _) = world.driver.export(volume)?;
    world.driver.export_end(volume, id)
}

fn begun_by_hand(world: &mut World) {
    let files = play().files;
    std::fs::copy(world.file("short"), world.store.real(&files.clean())).unwrap();
}

macro_rules! cases {
    ($($name:literal, $volume:ident, $given:ident, $act:expr;)*) => {
        &[$(Case { name: $name, volume: $volume, given: $given, act: $act, runs: false }),*]
    };
}

/// All of them whose VM does not run.
pub(crate) const STOPPED: &[Case] = cases![
    "stop", private, written, |w| w.driver.stop(&private(), Ending::Commit).map(drop);
    "stop of a template", template, template_written, |w| {
        w.driver.stop(&template(), Ending::Commit).map(drop)
    };
    "stop of what has grown", private, grown_and_written, |w| {
        w.driver.stop(&private(), Ending::Commit).map(drop)
    };
    "stop without a write", template, template_started, |w| {
        w.driver.stop(&template(), Ending::Commit).map(drop)
    };
    "stop that keeps", template, template_written, |w| {
        w.driver.stop(&template(), Ending::Keep).map(drop)
    };
    "stop that drops", template, template_written, |w| {
        w.driver.stop(&template(), Ending::Discard).map(drop)
    };
    "stop that drops growth too", private, grown_and_written, |w| {
        w.driver.stop(&private(), Ending::Discard).map(drop)
    };
    "stop that prunes", private, pruned_and_written, |w| {
        w.driver.stop(&private(), Ending::Commit).map(drop)
    };
    "commit after a crash", private, written_and_crashed, |w| {
        w.driver.commit(&private()).map(drop)
    };
    "discard after a crash", private, written_and_crashed, |w| {
        w.driver.discard(&private()).map(drop)
    };
    "start", private, nothing, |w| w.driver.start(&private(), Access::Shared).map(drop);
    "start of a template", template, nothing, |w| {
        w.driver.start(&template(), Access::Shared).map(drop)
    };
    "start after a crash", private, written_and_crashed, |w| {
        w.driver.start(&private(), Access::Shared).map(drop)
    };
    "start on a template", app_root, nothing, |w| {
        w.driver.start(&app_root(), Access::Shared).map(drop)
    };
    "start on a template that runs", app_root, template_written, |w| {
        w.driver.start(&app_root(), Access::Shared).map(drop)
    };
    "start on a copy", app_root, nothing, |w| {
        w.driver.start(&app_root(), Access::Copy).map(drop)
    };
    "start on a copy of a template that runs", app_root, template_written, |w| {
        w.driver.start(&app_root(), Access::Copy).map(drop)
    };
    "start after a cut", app_root, copied, |w| {
        w.driver.start(&app_root(), Access::Shared).map(drop)
    };
    "stop of a user", app_root, shared, |w| {
        w.driver.stop(&app_root(), Ending::Commit).map(drop)
    };
    "stop of a copy", app_root, copied, |w| {
        w.driver.stop(&app_root(), Ending::Commit).map(drop)
    };
    "start empty", volatile, nothing, |w| {
        w.driver.start(&volatile(), Access::Shared).map(drop)
    };
    "stop of what is empty", volatile, volatile_started, |w| {
        w.driver.stop(&volatile(), Ending::Commit).map(drop)
    };
    "first start of its own", own, nothing, |w| {
        w.driver.start(&own(), Access::Shared).map(drop)
    };
    "stop of its own", own, own_written, |w| {
        w.driver.stop(&own(), Ending::Commit).map(drop)
    };
    "import", template, nothing, |w| {
        w.driver.import(&template(), &w.file("short"), &mut Unseen).map(drop)
    };
    "import of the same size", private, nothing, |w| {
        w.driver.import(&private(), &w.file("file"), &mut Unseen).map(drop)
    };
    "first import", play, nothing, |w| {
        w.driver.import(&play(), &w.file("file"), &mut Unseen).map(drop)
    };
    "revert", template, nothing, |w| revert(w, &template(), 2);
    "revert over an import", private, imported, |w| revert(w, &private(), 4);
    "revert over an import, put together", private, just_imported, |w| revert(w, &private(), 3);
    "revert to the version before", private, nothing, |w| revert(w, &private(), 3);
    "resize", template, nothing, |w| {
        w.driver.resize(&template(), Bytes(SIZE.0 * 3), false)
    };
    "resize of what was written", private, written_and_crashed, |w| {
        w.driver.resize(&private(), Bytes(SIZE.0 * 2), false)
    };
    "clone", play, nothing, |w| w.driver.adopt_version(&private(), &play());
    "create", play, nothing, |w| w.driver.create(&play());
    "begin", play, begun_by_hand, |w| w.driver.begin(&play());
    "precache", private, pruned, |w| w.driver.precache(&private(), &mut Unseen);
    "export", private, nothing, |w| export(w, &private());
];

/// A command while the VM runs.
pub(crate) const RUNNING: &[Case] = &[
    Case {
        name: "resize of what runs",
        volume: template,
        given: template_written,
        act: |w| w.driver.resize(&template(), Bytes(SIZE.0 * 2), true),
        runs: true,
    },
    Case {
        name: "export of what is written",
        volume: template,
        given: template_written,
        act: |w| export(w, &template()),
        runs: true,
    },
    Case {
        name: "export of a user",
        volume: app_root,
        given: shared,
        act: |w| export(w, &app_root()),
        runs: true,
    },
];
