//! In the guest: what is done while the disk is recorded.

use crate::{
    history::{CHUNK, template, written},
    hooked::Hooked,
    machine::{here, pool, run},
};
use ebbtide::pool::driver::{Access, Commit as _, DmDriver, Ending, LinuxStore, Volumes as _, dm};
use std::{fs, fs::File, os::unix::fs::FileExt as _, path::Path, process::Command, sync::Arc};

/// Has the record say what was done so far.
fn mark(name: &str) {
    run(Command::new("dmsetup").args(["message", "logged", "0", "mark", &name.replace(' ', "-")]))
        .unwrap();
}

/// Writes to the disk of a running VM.
fn write(disk: &Path, letter: u8) -> File {
    let file = File::options().write(true).open(disk).unwrap();
    for chunk in written(letter) {
        file.write_all_at(&[letter; CHUNK], (chunk * CHUNK) as u64).unwrap();
    }
    file
}

#[test]
fn recorded_in_the_guest() {
    let Some(forgets) = here() else { return };
    let volume = template();
    fs::create_dir_all(pool().join(&volume.files.dir)).unwrap();
    let mut store = Hooked::new(LinuxStore::copy(pool()), |_, _| Ok(()));
    if forgets == "base" {
        store =
            store.forgetting(|path| path.ends_with("root.img") || path.ends_with("root-dirty.img"));
    }
    let driver = DmDriver::new(Arc::new(store), dm::devices(), dm::CHUNK);
    let start = || driver.start(&volume, Access::Shared).unwrap().path;
    driver.create(&volume).unwrap();
    for letter in *b"ab" {
        write(&start(), letter);
        driver.stop(&volume, Ending::Commit).unwrap();
    }
    let disk = start();
    run(&mut Command::new("sync")).unwrap();
    mark("begin");
    // It flushes nothing: what is not durable yet is for the driver to make so.
    write(&disk, b'c');
    mark("write c");
    driver.stop(&volume, Ending::Commit).unwrap();
    mark("commit");
    // All of it is on the disk when it is dropped.
    write(&start(), b'd').sync_all().unwrap();
    mark("write d");
    driver.stop(&volume, Ending::Discard).unwrap();
    mark("discard");
    let state = driver.state(&volume).unwrap();
    let a = state.revisions.iter().find(|(revision, _)| revision.number == Some(2)).unwrap().0;
    driver.revert(&volume, a).unwrap();
    mark("revert");
}
