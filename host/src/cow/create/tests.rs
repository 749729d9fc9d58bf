use super::*;
use crate::{
    Error,
    cow::marker::{self, Identity, Marker, State},
    error::RefusalKind,
};
use ebbtide_format::units::Bytes;
use jiff::Timestamp;
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use std::{
    fs::{self, File},
    path::PathBuf,
};

/// A directory with a backing of 9 sectors and a bit, and a COW file over it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(place.path("root.img"), [7; 9 * 512 + 100]).unwrap();
        place.create("work.cow", "root.img", false).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn create(&self, cow: &str, backing: &str, force: bool) -> Result<()> {
        let (cow, backing) = (self.path(cow), self.path(backing));
        create(&Options { cow: &cow, backing: &backing, force })
    }

    /// Notes a merge of a COW file into a backing, as it is when it is cut off.
    fn cut_off(&self, cow: &str, backing: &str) {
        let identity = |name| Identity::of(&Disk::open(&self.path(name)).unwrap()).unwrap();
        let marker = Marker {
            state: State::Merging,
            cow: identity(cow),
            format: "COW file".into(),
            backing: identity(backing),
            earlier: Vec::new(),
        };
        marker.write(&marker::of(&self.path(backing)).unwrap()).unwrap();
    }
}

#[track_caller]
fn refused(found: Result<()>, kind: RefusalKind, text: &str) {
    match found.unwrap_err() {
        Error::Refused(refusal) if refusal.kind == kind => {
            assert!(refusal.text.contains(text), "{}", refusal.text);
        }
        other => panic!("{other:?}"),
    }
}

/// Locks a file as user-mode Linux does.
fn locked(path: &Path, kind: i32) -> File {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let lock = libc::flock {
        l_type: i16::try_from(kind).unwrap(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    file
}

#[test]
fn what_somebody_uses_is_neither_replaced_nor_written_over() {
    let place = Place::new();
    let before = fs::read(place.path("work.cow")).unwrap();
    let user = locked(&place.path("work.cow"), libc::F_WRLCK);
    refused(place.create("work.cow", "root.img", true), RefusalKind::Busy, "work.cow");
    drop(user);
    let user = locked(&place.path("root.img"), libc::F_WRLCK);
    refused(place.create("new.cow", "root.img", false), RefusalKind::Busy, "root.img");
    refused(place.create("work.cow", "root.img", true), RefusalKind::Busy, "root.img");
    drop(user);
    assert!(!place.path("new.cow").exists());
    assert_eq!(fs::read(place.path("work.cow")).unwrap(), before);
    place.create("work.cow", "root.img", true).unwrap();
}

#[test]
fn a_backing_in_the_middle_of_a_merge_is_refused() {
    let place = Place::new();
    place.cut_off("work.cow", "root.img");
    refused(place.create("new.cow", "root.img", false), RefusalKind::Rule, "is unfinished");
    assert!(!place.path("new.cow").exists());
}

#[test]
fn what_a_merge_is_finished_with_is_not_replaced() {
    let place = Place::new();
    fs::write(place.path("other.img"), [8; 512]).unwrap();
    place.create("other.cow", "other.img", false).unwrap();
    let before = fs::read(place.path("work.cow")).unwrap();
    place.cut_off("work.cow", "root.img");
    refused(place.create("work.cow", "other.img", true), RefusalKind::Rule, "finished with");
    assert_eq!(fs::read(place.path("work.cow")).unwrap(), before);
    // The merge of another one is none of its business.
    place.create("other.cow", "other.img", true).unwrap();
}

#[test]
fn a_store_is_not_replaced_for_nothing_says_what_needs_it() {
    let place = Place::new();
    let header = [0x7041_6e53_u32, 1, 1, 8].map(u32::to_le_bytes).concat();
    for valid in [1, 0] {
        let mut store = vec![0; 8192];
        store[..16].copy_from_slice(&header);
        store[4] = valid;
        fs::write(place.path("work.store"), &store).unwrap();
        let found = place.create("work.store", "root.img", true);
        refused(found, RefusalKind::Rule, "is an exception store");
        assert_eq!(fs::read(place.path("work.store")).unwrap(), store);
    }
    // What uml_mkcow leaves where it fails.
    fs::write(place.path("work.store"), "").unwrap();
    place.create("work.store", "root.img", true).unwrap();
}

#[test]
fn nothing_is_left_beside_it() {
    let place = Place::new();
    place.create("work.cow", "root.img", true).unwrap();
    place.create("none/new.cow", "root.img", false).unwrap_err();
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 2);
}

#[test]
fn a_device_is_as_large_as_user_mode_linux_can_use() {
    let place = Place::new();
    let mut disk = Disk::open(&place.path("root.img")).unwrap();
    let mut over = |size: u64| {
        disk.size = Bytes(size);
        New::over(&disk).map(|new| new.header().unwrap().data())
    };
    // 2^31 - 4096 is the last offset of data that an int holds.
    let largest = ((1_u64 << 31) - 4096 - 8192) * 8 * 512;
    assert_eq!(over(largest).unwrap(), (1 << 31) - 4096);
    refused(over(largest + 1).map(drop), RefusalKind::Unable, "8 TiB or more");
    refused(over(u64::MAX).map(drop), RefusalKind::Unable, "past what a file has");
}

#[test]
fn times_that_have_no_room_are_refused() {
    let place = Place::new();
    let mut disk = Disk::open(&place.path("root.img")).unwrap();
    for (seconds, is_good) in [(-1, false), (0, true), (0xffff_ffff, true), (1 << 32, false)] {
        disk.modified = (seconds, 5);
        let found = New::over(&disk).map(drop);
        assert_eq!(found.is_ok(), is_good, "{seconds}");
        if !is_good {
            refused(found, RefusalKind::Unable, "from 1970 to 2106");
        }
    }
    assert!(Timestamp::from_second(1 << 32).unwrap().to_string().starts_with("2106-"));
}
