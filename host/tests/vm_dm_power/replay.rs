//! In the guest: the disk as it was after some of the writes, mounted and settled.

use crate::{
    history::{CHUNK, Part, Seen, parts, template},
    machine::{here, pool, run, sectors},
    write_log::{Entry, entries},
};
use ebbtide::pool::{
    driver::{Commit as _, DmDriver, Ending, LinuxStore, Volumes as _, dm},
    store::Store as _,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read as _, Seek as _},
    os::unix::fs::FileExt as _,
    process::Command,
    sync::Arc,
};

/// How many of the points of a part are looked at: after what somebody waited for, and after anything.
const MOST: [usize; 2] = [3, 1];

/// Mounts the disk as it is, has the next command settle the template, and returns what a user sees then. All of that is
/// dropped.
fn look(kind: &str) -> Seen {
    let table = format!("0 {} snapshot /dev/ubdc /dev/ubdd N 8", sectors());
    run(Command::new("dmsetup").args(["create", "cut", "--table", &table])).unwrap();
    run(Command::new("mount").args(["-t", kind, "/dev/mapper/cut", "/run/disk"])).unwrap();
    let seen = settled();
    run(Command::new("umount").arg("/run/disk")).unwrap();
    run(Command::new("dmsetup").args(["remove", "cut"])).unwrap();
    seen
}

fn settled() -> Seen {
    let volume = template();
    let store = Arc::new(LinuxStore::copy(pool()));
    let driver = DmDriver::new(store.clone(), dm::devices(), dm::CHUNK);
    driver.recover(&volume).unwrap();
    if store.stat(&volume.files.dirty()).unwrap().is_some() {
        driver.stop(&volume, Ending::Keep).unwrap();
    }
    let image = |of| {
        let mut file = driver.open(&volume, of).unwrap();
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let letter = |chunk: &[u8]| match chunk[0] {
            letter if chunk.iter().any(|byte| *byte != letter) => '?',
            0 => '.',
            letter => char::from(letter),
        };
        bytes.chunks(CHUNK).map(letter).collect()
    };
    let state = driver.state(&volume).unwrap();
    let revisions = state.revisions.iter().map(|(of, _)| (of.number.unwrap(), image(Some(*of))));
    Seen { current: image(None), revisions: revisions.collect() }
}

/// Looks at the disk in the middle of a part, or at its end.
fn check(kind: &str, part: &Part, point: usize, is_end: bool) {
    let found = look(kind);
    let is_right = found == part.new || found == part.old && !is_end;
    if !is_right {
        let when = if is_end { "after" } else { "in" };
        println!("wrong: {when} {}, write {point}: {found:#?}", part.name);
    }
}

/// Returns after how many writes of a part the disk is looked at, but for its end.
fn points(writes: &[&Entry]) -> BTreeSet<usize> {
    let numbers = || (1..).zip(writes).filter(|(n, _)| *n < writes.len());
    let is_barrier = |entry: &Entry| matches!(entry, Entry::Write { is_barrier: true, .. });
    let barriers: Vec<usize> =
        numbers().filter(|(_, entry)| is_barrier(entry)).map(|(n, _)| n).collect();
    let all: Vec<usize> = numbers().map(|(n, _)| n).collect();
    let some = |of: Vec<usize>, most: usize| {
        let every = of.len().div_ceil(most).max(1);
        of.into_iter().skip(every / 2).step_by(every)
    };
    some(barriers, MOST[0]).chain(some(all, MOST[1])).collect()
}

#[test]
fn replayed_in_the_guest() {
    let Some(forgets) = here() else { return };
    let kind = fs::read_to_string("/run/kind").unwrap();
    let log = File::open("/dev/ubdb").unwrap();
    let disk = File::options().write(true).open("/dev/ubdc").unwrap();
    let mut buffer = Vec::new();
    let mut apply = |entry: &Entry| {
        if let Entry::Write { to, from, length, .. } = entry {
            buffer.resize(*length as usize, 0);
            log.read_exact_at(&mut buffer, *from).unwrap();
            disk.write_all_at(&buffer, *to).unwrap();
        }
    };
    let entries = entries(&log);
    let is_mark = |entry: &Entry, name: &str| matches!(entry, Entry::Mark(mark) if *mark == name);
    let mut rest = entries.iter();
    rest.by_ref().take_while(|entry| !is_mark(entry, "begin")).for_each(&mut apply);
    for part in parts() {
        let mark = part.name.replace(' ', "-");
        let writes: Vec<_> = rest.by_ref().take_while(|entry| !is_mark(entry, &mark)).collect();
        let points = if forgets.is_empty() { points(&writes) } else { BTreeSet::new() };
        for (n, write) in (1..).zip(&writes) {
            apply(write);
            if points.contains(&n) {
                disk.sync_all().unwrap();
                check(kind.trim(), &part, n, false);
            }
        }
        disk.sync_all().unwrap();
        check(kind.trim(), &part, writes.len(), true);
        println!("{}: {} writes, looked at after {points:?}, and all", part.name, writes.len());
        if !forgets.is_empty() && part.name == "commit" {
            return;
        }
    }
}
