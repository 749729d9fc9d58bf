//! A merge in place is killed before each system call by which anything can change, and each of them fails: the same
//! command then brings it to its end, byte for byte, whatever was there in the middle.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod injected;
mod loopfs;
mod merges;

use injected::{CHANGING, Run, Traced, What, at_each_call};
use loopfs::{Kind, LoopFs};
use merges::{Bench, MODIFIED, Of, old, times};
use serde_json::Value;
use std::{fs, process::Command};

/// What a file system answers an error to.
const FAILING: [&str; 12] = [
    "openat",
    "rename",
    "unlink",
    "ftruncate",
    "fallocate",
    "ioctl",
    "utimensat",
    "fsync",
    "fdatasync",
    "write",
    "pwrite64",
    "copy_file_range",
];

const ANSWERS: [(&str, &str); 2] =
    [("EIO", "Input/output error"), ("ENOSPC", "No space left on device")];

/// A bench on a file system of its own.
struct Room {
    bench: Bench,
    traced: Traced,
    arguments: Vec<String>,
    _fs: LoopFs,
}

impl Room {
    fn new(kind: Kind, of: Of, how: &[&str]) -> Self {
        let fs = LoopFs::in_memory(kind);
        let dir = fs.dir().join("at");
        fs::create_dir(&dir).unwrap();
        let bench = Bench::new(&dir, of);
        let [backing, cow] = [bench.backing(), bench.cow()].map(|path| path.display().to_string());
        let mut arguments: Vec<String> =
            ["cow", "merge", "--in-place", "--backing"].map(String::from).into();
        arguments.extend([backing, cow]);
        arguments.extend(how.iter().map(ToString::to_string));
        let traced = Traced { log: fs.dir().join("strace"), before: Vec::new() };
        let room = Self { bench, traced, arguments, _fs: fs };
        let clones = kind != Kind::Ext4 && how.is_empty();
        assert_eq!(room.succeeds().contains("cloned"), clones, "{kind:?}");
        room
    }

    fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    fn run(&self, syscall: &str, what: What, nth: u32) -> Run {
        self.bench.renew();
        self.traced.run(syscall, what, nth, &self.arguments())
    }

    fn succeeds(&self) -> String {
        said(&self.arguments())
    }

    fn creations(&self) -> Vec<u32> {
        self.bench.renew();
        self.traced.creations(&self.arguments())
    }

    /// Returns how far the merge is, as `cow info` has it.
    fn state(&self, why: &str) -> Option<String> {
        let [backing, cow] =
            [self.bench.backing(), self.bench.cow()].map(|path| path.display().to_string());
        let said = said(&["--json", "cow", "info", "--backing", &backing, &cow]);
        let info: Value = serde_json::from_str(&said).unwrap();
        let merge = &info["backing"]["merge"];
        assert!(merge.is_null() || merge["this"] == true, "{why}: {said}");
        assert_eq!(info["state"], "valid", "{why}: {said}");
        merge["state"].as_str().map(str::to_owned)
    }

    /// Asserts that whatever was cut off is known, and is not taken for anything else. Returns how far it was.
    fn is_known(&self, why: &str) -> Option<String> {
        let (content, state) = (fs::read(self.bench.backing()).unwrap(), self.state(why));
        let (is_old, is_whole) = (content == old(), content == self.bench.merged());
        match state.as_deref() {
            None => assert!(is_old && times(&self.bench.backing()) == MODIFIED, "{why}"),
            Some("merged") => assert!(is_whole, "{why}"),
            Some(_) => {
                let is_its_own = times(&self.bench.backing()) == MODIFIED;
                assert!(!is_its_own || self.bench.of == Of::Store || is_old || is_whole, "{why}");
            }
        }
        state
    }

    /// Brings it to its end.
    fn repeat(&self, why: &str) {
        let cow = fs::read(self.bench.cow()).unwrap();
        self.succeeds();
        self.bench.is_whole(&self.bench.merged(), why);
        assert!(fs::read(self.bench.cow()).unwrap() == cow, "{why}: the COW file was changed");
        assert_eq!(self.state(why).as_deref(), Some("merged"), "{why}");
        assert_eq!(loopfs::names(&self.bench.dir).len(), 3, "{why}: something is left over");
        assert!(self.succeeds().contains("nothing to do"), "{why}");
    }
}

/// Runs the program, which succeeds and leaves nothing in the background.
fn said(arguments: &[&str]) -> String {
    loopfs::run(Command::new(env!("CARGO_BIN_EXE_ebbtide")).args(arguments).env("LC_ALL", "C"))
}

fn killed_anywhere(kind: Kind, of: Of, how: &[&str]) {
    let room = Room::new(kind, of, how);
    let creations = room.creations();
    let mut states = [0; 3];
    let (kills, kinds) = at_each_call(&CHANGING, &creations, |syscall, nth| {
        let why = format!("{kind:?}, {of:?}, {how:?}, killed before {syscall} {nth}");
        let run = room.run(syscall, What::Kill, nth);
        assert_eq!(run.succeeded, !run.was_killed, "{why}: {}", run.said);
        match room.is_known(&why).as_deref() {
            None => states[0] += 1,
            Some("merged") => states[2] += 1,
            Some(_) => states[1] += 1,
        }
        room.repeat(&why);
        run.was_hit
    });
    println!("{kind:?}, {of:?}, {how:?}: {kills} kills at {kinds} kinds of calls left {states:?}");
    assert!(kills >= 18 && kinds >= 6 && states.iter().all(|count| *count >= 2), "{states:?}");
}

fn failed_anywhere(kind: Kind, of: Of, how: &[&str]) {
    let room = Room::new(kind, of, how);
    let creations = room.creations();
    let (mut failures, mut goes_on) = (0, 0);
    for (errno, said) in ANSWERS {
        at_each_call(&FAILING, &creations, |syscall, nth| {
            let why = format!("{kind:?}, {of:?}, {how:?}, {errno} at {syscall} {nth}");
            let run = room.run(syscall, What::Fail(errno), nth);
            let state = room.is_known(&why);
            if run.succeeded {
                goes_on += usize::from(run.was_hit);
                assert_eq!(state.as_deref(), Some("merged"), "{why}");
            } else {
                failures += 1;
                assert!(run.was_hit && run.said.contains(said), "{why}: {}", run.said);
            }
            room.repeat(&why);
            run.was_hit
        });
    }
    println!("{kind:?}, {of:?}, {how:?}: {failures} failures, {goes_on} went on all the same");
    assert!(failures >= 30, "{failures}");
}

// Of kills, each two of file system, kind of COW file, and way come together; a store differs in that no time is set.

#[test]
fn a_killed_merge_of_clones_on_btrfs_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Btrfs, Of::Uml, &[]);
}

#[test]
fn a_killed_merge_of_clones_on_btrfs_with_a_store_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Btrfs, Of::Store, &[]);
}

#[test]
fn a_killed_merge_of_copies_on_btrfs_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Btrfs, Of::Uml, &["--copy"]);
}

#[test]
fn a_killed_merge_of_clones_on_xfs_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Xfs, Of::Uml, &[]);
}

#[test]
fn a_killed_merge_of_clones_on_xfs_with_a_store_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Xfs, Of::Store, &[]);
}

#[test]
fn a_killed_merge_of_copies_on_xfs_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Xfs, Of::Uml, &["--copy"]);
}

#[test]
fn a_killed_merge_on_ext4_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Ext4, Of::Uml, &[]);
}

#[test]
fn a_killed_merge_on_ext4_with_a_store_is_finished_by_the_same_command() {
    killed_anywhere(Kind::Ext4, Of::Store, &[]);
}

#[test]
fn a_failed_merge_of_clones_on_btrfs_is_finished_by_the_same_command() {
    failed_anywhere(Kind::Btrfs, Of::Uml, &[]);
}

#[test]
fn a_failed_merge_of_clones_on_btrfs_with_a_store_is_finished_by_the_same_command() {
    failed_anywhere(Kind::Btrfs, Of::Store, &[]);
}

#[test]
fn a_failed_merge_of_clones_on_xfs_is_finished_by_the_same_command() {
    failed_anywhere(Kind::Xfs, Of::Uml, &[]);
}

#[test]
fn a_failed_merge_on_ext4_is_finished_by_the_same_command() {
    failed_anywhere(Kind::Ext4, Of::Uml, &[]);
}

#[test]
fn a_failed_merge_on_ext4_with_a_store_is_finished_by_the_same_command() {
    failed_anywhere(Kind::Ext4, Of::Store, &[]);
}

/// Calls that change a file or make it durable.
const DURABLE: [&str; 12] = [
    "fsync",
    "fdatasync",
    "write",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "ioctl",
    "copy_file_range",
    "utimensat",
    "rename",
    "renameat",
    "renameat2",
];

/// Returns what is done to what, in order; data that goes into the backing is one step, however many calls that takes.
fn steps(calls: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for line in calls.lines().filter(|line| !line.contains(" resumed>")) {
        let Some((call, rest)) = line.split_once('(') else { continue };
        let call = call.rsplit(' ').next().unwrap_or_default();
        let first = rest.split(',').next().unwrap_or_default();
        let file = match first {
            _ if first.contains(".aside-root.img.ebbtide-merge") => "marker",
            _ if first.contains("/at/root.img>") => "backing",
            _ if first.contains("/at/work.cow>") => "COW file",
            _ if first.contains("/at>") => "names",
            _ if first.contains("/at/") => first,
            _ => continue,
        };
        let step = match call {
            "fsync" | "fdatasync" => format!("sync {file}"),
            "write" if file == "marker" => "write marker".into(),
            "utimensat" => format!("time of {file}"),
            "rename" | "renameat" | "renameat2" => format!("rename {file}"),
            _ => format!("data to {file}"),
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    steps
}

#[test]
fn each_step_is_durable_before_the_next() {
    let marker = ["write marker", "sync marker", "rename marker", "sync names"];
    // What goes into the backing is not to be lost where it came from.
    let source = ["sync COW file"];
    let begun = ["time of backing", "sync backing"];
    let data = ["data to backing", "sync backing"];
    let ended = ["time of backing", "sync backing"];
    for (kind, how) in [(Kind::Btrfs, &[][..]), (Kind::Ext4, &["--copy"])] {
        for of in Of::ALL {
            let room = Room::new(kind, of, how);
            room.bench.renew();
            let steps = steps(&room.traced.calls(&DURABLE, &room.arguments()));
            let wanted: Vec<&str> = match of {
                // First it is tried whether the time may be set: to what it is.
                Of::Uml => [&begun[..1], &source, &marker, &begun, &data, &ended, &marker].concat(),
                Of::Store => [&source[..], &marker, &data, &marker].concat(),
            };
            assert_eq!(steps, wanted, "{kind:?}, {of:?}");
        }
    }
}
