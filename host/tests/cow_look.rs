//! What is seen of a COW file before anything is done: what it is, its backing, and who else has that backing.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

use ebbtide::{
    Error,
    cow::{
        Backing, Cow, Disk, State,
        create::{Options, create},
        in_use::{Others, User, hold, user},
        others::{Other, others},
    },
    error::RefusalKind,
};
use ebbtide_format::{
    gpt_table::{Entry, Table},
    guid::{Guid, partition_type},
    uml_cow::{Seen, head},
    units::{Bytes, LogicalBlock},
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// When the backing file of every test was last written to, in seconds since 1970.
const WRITTEN: u32 = 1_700_000_000;
const SIZE: u64 = 100_000;

/// A directory with `root.img`, a backing file, and `a.cow` over it.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        room.backing("root.img");
        room.cow("a.cow", &room.path("root.img"));
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn backing(&self, name: &str) -> PathBuf {
        let file = File::create(self.path(name)).unwrap();
        // Neither zeros nor anything that is known.
        file.write_all_at(&[b'x'; 4096], 0).unwrap();
        file.set_len(SIZE).unwrap();
        written(&file, WRITTEN, 123_456_789);
        self.path(name)
    }

    fn cow(&self, name: &str, backing: &Path) -> PathBuf {
        let header = head(backing.as_os_str().as_bytes(), WRITTEN, Bytes(SIZE)).unwrap();
        let end = Seen::parse(&header).unwrap().believe().unwrap().end();
        let file = File::create(self.path(name)).unwrap();
        file.set_len(end).unwrap();
        file.write_all_at(&header, 0).unwrap();
        self.path(name)
    }

    fn find(&self, given: Option<&Path>) -> Result<Backing, String> {
        let cow = Cow::open(&self.path("a.cow")).unwrap();
        Backing::find(&cow, given).map_err(|error| error.chain())
    }

    /// Returns why `given`, or else the recorded one, is not taken.
    fn refused(&self, given: Option<&Path>) -> String {
        self.find(given).unwrap_err().replace(&self.0.path().display().to_string(), "")
    }

    /// Returns the names of the other COW files of the backing file.
    fn others(&self, dirs: &[PathBuf]) -> Vec<String> {
        let open = |name| Disk::open(&self.path(name)).unwrap();
        let found = others(&open("root.img"), &open("a.cow"), dirs).unwrap();
        let below = |other: &Other| {
            let path = other.path.strip_prefix(self.0.path()).unwrap().display();
            let doubt = if other.doubt.is_some() { "?" } else { "" };
            format!("{path}{doubt}")
        };
        found.iter().map(below).collect()
    }
}

fn written(file: &File, seconds: u32, nanoseconds: u32) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds.into(), nanoseconds);
    file.set_modified(time).unwrap();
}

#[test]
fn the_recorded_backing_is_found_and_its_time_counts_in_whole_seconds() {
    let room = Room::new();
    let found = room.find(None).unwrap();
    assert_eq!((found.disk.path, found.disk.size), (room.path("root.img"), Bytes(SIZE)));
}

#[test]
fn a_backing_of_another_size_or_time_is_refused_wherever_it_comes_from() {
    let room = Room::new();
    let other = room.backing("other.img");
    let file = File::options().write(true).open(&other).unwrap();
    assert!(room.find(Some(&other)).is_ok(), "--backing names it");

    written(&file, WRITTEN + 1, 0);
    let late = "/a.cow was written over a file that was last written to at 2023-11-14T22:13:20Z; \
                /other.img was at 2023-11-14T22:13:21Z";
    assert_eq!(room.refused(Some(&other)), late);
    file.set_len(SIZE - 1).unwrap();
    written(&file, WRITTEN, 0);
    let short = "/a.cow was written over a file of 100000 bytes; /other.img has 99999 bytes";
    assert_eq!(room.refused(Some(&other)), short);
    // The content of the recorded one does not help against that.
    fs::rename(&other, room.path("root.img")).unwrap();
    assert!(room.refused(None).contains("/root.img has 99999 bytes"));
}

#[test]
fn a_backing_that_is_no_backing_is_refused_by_what_it_is() {
    let room = Room::new();
    let second = room.cow("second.cow", &room.path("a.cow"));
    let link = room.path("link.cow");
    fs::hard_link(room.path("a.cow"), &link).unwrap();
    let soft = room.path("soft.cow");
    symlink("a.cow", &soft).unwrap();
    let itself = |name: &str| format!("{name} is /a.cow itself, and cannot be its own backing");
    for (given, wanted) in [
        (room.path("a.cow"), itself("/a.cow")),
        (link, itself("/link.cow")),
        (soft, itself("/soft.cow")),
        (
            second,
            "/second.cow is a COW file of user-mode Linux, and cannot be the backing of /a.cow"
                .into(),
        ),
        (room.path(""), "/ is neither a file nor a block device".into()),
        (room.path("gone"), "cannot open /gone: No such file or directory (os error 2)".into()),
        (room.path("a.cow/x"), "cannot open /a.cow/x: Not a directory (os error 20)".into()),
        (Path::new("/dev/null").into(), "/dev/null is neither a file nor a block device".into()),
    ] {
        assert_eq!(room.refused(Some(&given)), wanted);
    }
}

#[test]
fn a_backing_that_was_moved_away_is_missing_by_name() {
    let room = Room::new();
    fs::rename(room.path("root.img"), room.path("moved.img")).unwrap();
    let cow = Cow::open(&room.path("a.cow")).unwrap();
    let error = Backing::find(&cow, None).unwrap_err();
    assert!(error.to_string().ends_with("/root.img, which is missing"), "{error}");
    assert!(error.hint().unwrap().contains("--backing FILE"));
    assert!(matches!(error, Error::Refused(why) if why.kind == RefusalKind::Missing));
    assert!(room.find(Some(&room.path("moved.img"))).is_ok());
}

#[test]
fn the_recorded_path_may_lead_through_links() {
    let room = Room::new();
    fs::create_dir(room.path("dir")).unwrap();
    fs::rename(room.path("root.img"), room.path("dir/real.img")).unwrap();
    symlink("dir/real.img", room.path("root.img")).unwrap();
    assert!(room.find(None).is_ok());
}

#[test]
fn a_time_past_32_bits_is_compared_by_what_is_recorded_of_it() {
    let room = Room::new();
    let file = File::options().write(true).open(room.path("root.img")).unwrap();
    let late = (1_u64 << 32) + u64::from(WRITTEN);
    // Not all file systems have times so late.
    if file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(late)).is_ok()
        && file.metadata().unwrap().modified().unwrap()
            == SystemTime::UNIX_EPOCH + Duration::from_secs(late)
    {
        assert!(room.find(None).is_ok());
    }
}

#[test]
fn other_cow_files_are_found_by_what_they_record() {
    let room = Room::new();
    let root = room.path("root.img");
    assert_eq!(room.others(&[]), [""; 0]);
    for dir in ["far", "through"] {
        fs::create_dir(room.path(dir)).unwrap();
    }
    symlink("../root.img", room.path("through/link.img")).unwrap();
    room.cow("b.cow", &root);
    room.cow("by-link.cow", &room.path("through/link.img"));
    room.cow("relative.cow", Path::new("root.img"));
    room.cow("moved.cow", Path::new("/gone/before/root.img"));
    room.cow("far/c.cow", &root);
    // None of these is one.
    room.cow("of-another.cow", &room.backing("other.img"));
    fs::write(room.path("short"), "MOO").unwrap();
    fs::write(room.path("empty"), "").unwrap();
    symlink("nowhere", room.path("broken-link")).unwrap();
    symlink("a.cow", room.path("same.cow")).unwrap();
    fs::hard_link(room.path("a.cow"), room.path("again.cow")).unwrap();
    nix::unistd::mkfifo(&room.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();

    let here = ["b.cow", "by-link.cow", "moved.cow", "relative.cow"];
    assert_eq!(room.others(&[]), here);
    let with_far = ["b.cow", "by-link.cow", "far/c.cow", "moved.cow", "relative.cow"];
    assert_eq!(room.others(&[room.path("far"), room.path("")]), with_far);
    let open = |name| Disk::open(&room.path(name)).unwrap();
    others(&open("root.img"), &open("a.cow"), &[room.path("gone")]).unwrap_err();
}

#[test]
fn a_damaged_cow_file_of_the_backing_is_found_and_one_of_nobody_knows_what_is_named() {
    let room = Room::new();
    let root = room.path("root.img");
    let damaged = |name: &str, backing: &Path, at: u64, bytes: &[u8]| {
        let path = room.cow(name, backing);
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(bytes, at).unwrap();
    };
    // The sector size; the version; the size, of one whose backing is not to be found; the path.
    damaged("sector.cow", &root, 20, &[9; 4]);
    damaged("version.cow", &root, 4, &[9; 4]);
    damaged("size.cow", Path::new("/gone/root.img"), 12, &[0xff; 12]);
    damaged("of-another.cow", &room.backing("other.img"), 20, &[9; 4]);
    damaged("path.cow", &root, 33, &[0; 4]);
    assert_eq!(room.others(&[]), ["path.cow", "sector.cow", "size.cow?", "version.cow?"]);
}

#[test]
fn a_directory_is_searched_though_the_backing_is_named_by_a_link_to_it() {
    let room = Room::new();
    fs::create_dir(room.path("elsewhere")).unwrap();
    symlink("../root.img", room.path("elsewhere/root.img")).unwrap();
    room.cow("b.cow", &room.path("root.img"));
    let cow = room.cow("elsewhere/own.cow", &room.path("root.img"));
    let open = |path: &Path| Disk::open(path).unwrap();
    let found = others(&open(&room.path("elsewhere/root.img")), &open(&cow), &[]).unwrap();
    let mut names: Vec<_> = found.iter().map(|other| other.path.file_name().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["a.cow", "b.cow"]);
}

#[test]
fn whoever_has_it_open_to_write_is_named_though_nothing_is_locked() {
    let room = Room::new();
    let path = room.path("root.img");
    let writer = || Command::new("sleep").arg("60").stdout(append(&path)).spawn().unwrap();
    let seen = |others| user(&Disk::open(&path).unwrap(), others).unwrap();
    assert_eq!((seen(Others::MayRead), seen(Others::MayNot)), (None, None));

    let mut sleep = writer();
    let name =
        |user: Option<User>| matches!(user, Some(User::Process { pid, .. }) if pid == sleep.id());
    assert!(name(seen(Others::MayRead)) && name(seen(Others::MayNot)));
    let error = hold(&Disk::open(&path).unwrap(), Others::MayRead).unwrap_err().to_string();
    assert!(error.contains(&format!("(process {}) writes to ", sleep.id())), "{error}");
    sleep.kill().unwrap();
    sleep.wait().unwrap();

    let mut sleep =
        Command::new("sleep").arg("60").stdin(File::open(&path).unwrap()).spawn().unwrap();
    assert_eq!(seen(Others::MayRead), None);
    let read = seen(Others::MayNot);
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert!(matches!(read, Some(User::Process { pid, .. }) if pid == sleep.id()), "{read:?}");
}

fn append(path: &Path) -> File {
    File::options().append(true).open(path).unwrap()
}

#[test]
fn two_of_us_may_read_together_and_none_beside_one_who_changes_it() {
    let room = Room::new();
    let path = room.path("root.img");
    let (one, two) = (Disk::open(&path).unwrap(), Disk::open(&path).unwrap());
    let held = (hold(&one, Others::MayRead).unwrap(), hold(&two, Others::MayRead).unwrap());
    drop((held, one, two));
    let alone = Disk::open_to_write(&path).unwrap();
    let _held = hold(&alone, Others::MayNot).unwrap();
    let error = hold(&Disk::open(&path).unwrap(), Others::MayRead).unwrap_err();
    assert!(matches!(error, Error::Refused(why) if why.kind == RefusalKind::Busy));
}

#[test]
fn a_path_that_is_not_text_is_a_path() {
    let room = Room::new();
    let name = OsStr::from_bytes(b"\xff\x1b[31m.img");
    let path = room.0.path().join(name);
    fs::rename(room.path("root.img"), &path).unwrap();
    let cow = Cow::open(&room.cow("b.cow", &path)).unwrap();
    assert_eq!(cow.recorded().unwrap().backing, path);
    assert_eq!((Backing::find(&cow, None).unwrap().disk.path, cow.state()), (path, &State::Valid));
}

/// Makes a volatile disk of 8 MiB, whose store is from byte 1 MiB to byte 6 MiB.
fn volatile(path: &Path) -> File {
    let entry = Entry {
        number: 2,
        type_guid: partition_type::COW,
        guid: Guid([2; 16]),
        first: 2048,
        last: 6 * 2048 - 1,
        name: "cow",
    };
    let (disk, block, blocks) = (Guid([1; 16]), LogicalBlock::B512, 8 * 2048);
    // What follows the last partition would belong to it, had the disk grown.
    let last = Entry { number: 3, first: 6 * 2048, last: 7 * 2048 - 1, ..entry };
    let last = Entry { type_guid: partition_type::SWAP, guid: Guid([3; 16]), ..last };
    let ends = Table { disk, block, blocks, entries: vec![entry, last] }.build().unwrap();
    let file = File::create(path).unwrap();
    file.set_len(8 << 20).unwrap();
    file.write_all_at(&ends.head, 0).unwrap();
    file.write_all_at(&ends.tail, ends.tail_at).unwrap();
    file
}

#[test]
fn what_holds_a_store_is_no_backing_and_any_other_disk_is() {
    let room = Room::new();
    let header = [0x7041_6e53_u32, 1, 1, 8].map(u32::to_le_bytes).concat();
    let disk = room.path("disk");
    let tried = || room.refused(Some(&disk));
    let refused = |what: &str| format!("/disk is {what}, and cannot be the backing of /a.cow");
    let file = volatile(&disk);
    // The size comes after what it is.
    let fits = || tried().contains("was written over a file of");
    assert!(fits(), "a disk with a table, and nothing in it");
    file.write_all_at(&header, 1 << 20).unwrap();
    assert_eq!(tried(), refused("a volatile disk with an exception store in it"));
    let new = room.path("new.cow");
    let error = create(&Options { cow: &new, backing: &disk, force: false }).unwrap_err();
    assert!(error.to_string().contains("is a volatile disk with"), "{error}");
    // The table, and its backup.
    file.write_all_at(b"x", 1024).unwrap();
    file.write_all_at(&[0; 512], (8 << 20) - 512).unwrap();
    assert!(fits(), "a disk with a table that is damaged");
    file.write_all_at(&header, 0).unwrap();
    assert_eq!(tried(), refused("an exception store"));
}

#[test]
fn a_volatile_disk_is_shown_by_the_store_in_it() {
    let room = Room::new();
    let file = volatile(&room.path("volatile.img"));
    let shown = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
        let output =
            command.args(["cow", "info", "--json"]).arg(room.path("volatile.img")).output();
        let value: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        assert_eq!(value["inside"], serde_json::json!({"start": 1 << 20, "length": 5 << 20}));
        ["format", "state", "changed", "runs"].map(|name| value[name].to_string())
    };
    assert_eq!(shown(), ["\"store\"", "\"empty\"", "0", "0"]);

    // One chunk of 4 KiB: old 5 is new 2.
    let header = [0x7041_6e53_u32, 1, 1, 8].map(u32::to_le_bytes).concat();
    file.write_all_at(&header, 1 << 20).unwrap();
    file.write_all_at(&[5_u64, 2].map(u64::to_le_bytes).concat(), (1 << 20) + 4096).unwrap();
    assert_eq!(shown(), ["\"store\"", "\"valid\"", "4096", "1"]);
    let cow = Cow::open(&room.path("volatile.img")).unwrap();
    let runs: Vec<_> = cow.runs(Bytes(1 << 20)).unwrap().map(|run| run.unwrap()).collect();
    assert_eq!((runs[0].at, runs[0].from, runs.len()), (5 * 4096, (1 << 20) + 2 * 4096, 1));

    // The first chunk that was copied, and no header.
    file.write_all_at(&[b'x'; 4096], 1 << 20).unwrap();
    assert_eq!(shown(), ["\"transient-store\"", "\"no-table\"", "null", "null"]);
    let error = Cow::open(&room.path("volatile.img")).unwrap_err().to_string();
    assert!(error.contains("keeps no table (N), or an encrypted one"), "{error}");
    // A first chunk of zeros is not nothing.
    file.write_all_at(&[0; 4096], 1 << 20).unwrap();
    file.write_all_at(b"x", (6 << 20) - 1).unwrap();
    assert_eq!(shown()[1], "\"no-table\"");
}

#[test]
fn only_zeros_from_beginning_to_end_are_an_empty_store() {
    let room = Room::new();
    let path = room.path("disk.img");
    let file = File::create(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    assert_eq!(*Cow::look(&path).unwrap().state(), State::Empty);
    file.write_all_at(&[0; 8192], 700 << 20).unwrap();
    assert_eq!(*Cow::look(&path).unwrap().state(), State::Empty);

    let cases = [(500 << 20, "it begins with zeros"), ((1 << 30) - 1, "nothing that is known")];
    for (at, wanted) in cases {
        file.write_all_at(b"x", at).unwrap();
        let error = Cow::look(&path).unwrap_err().to_string();
        assert!(error.contains("is no COW file: ") && error.contains(wanted), "{error}");
        file.write_all_at(&[0], at).unwrap();
    }
}
