//! Merges in place where the file system or the machine is in the way, and into block devices.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod injected;
mod loopfs;
mod merges;

use injected::{Traced, What};
use loopfs::{Kind, LoopFs};
use merges::{Bench, MODIFIED, Of, old, times};
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
    sys::stat::{self, major, minor},
};
use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::SystemTime,
};

/// Runs a merge in place, and returns its exit status and all that it said.
fn merge(bench: &Bench, how: &[&str]) -> (Option<i32>, String) {
    into(&bench.backing(), &bench.cow(), how)
}

fn into(backing: &Path, cow: &Path, how: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    command.args(["cow", "merge", "--in-place", "--backing"]).arg(backing).arg(cow).args(how);
    let Output { status, stdout, stderr } = command.env("LC_ALL", "C").output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn bench(fs: &LoopFs, of: Of) -> Bench {
    let dir = fs.dir().join("at");
    fs::create_dir_all(&dir).unwrap();
    Bench::new(&dir, of)
}

/// Asserts that nothing was changed.
fn is_untouched(bench: &Bench) {
    assert!(fs::read(bench.backing()).unwrap() == old());
    assert_eq!(times(&bench.backing()), MODIFIED);
    assert_eq!(loopfs::names(&bench.dir), ["root.img", "work.cow"]);
}

#[test]
fn a_file_system_without_room_is_refused_before_anything_is_changed() {
    let fs = LoopFs::of_mib(Kind::Ext4, 32);
    for of in Of::ALL {
        let bench = bench(&fs, of);
        let fill = fs.dir().join("fill");
        let mut file = File::create(&fill).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        drop(file);
        let (status, said) = merge(&bench, &[]);
        assert!(said.contains("has holes, and its file system has "), "{said}");
        assert_eq!(status, Some(1));
        is_untouched(&bench);
        fs::remove_file(fill).unwrap();
        assert_eq!(merge(&bench, &[]).0, Some(0));
        bench.is_whole(&bench.merged(), "with room");
    }
}

/// Writes until there is no room.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let _ = file.sync_all();
}

#[test]
fn what_is_written_over_shared_extents_needs_room() {
    let fs = LoopFs::of_mib(Kind::Xfs, 300);
    let bench = bench(&fs, Of::Uml);
    let (from, to) = (bench.backing(), fs.dir().join("shares"));
    loopfs::run(Command::new("cp").arg("--reflink=always").args([from, to]));
    fill(&fs.dir().join("fill"));
    let (status, said) = merge(&bench, &["--copy"]);
    assert!(status == Some(1) && said.contains("need new room"), "{said}");
    is_untouched(&bench);
    fs::remove_file(fs.dir().join("fill")).unwrap();
    assert_eq!(merge(&bench, &["--copy"]).0, Some(0));
    bench.is_whole(&bench.merged(), "with room");
}

/// A btrfs with a COW file of 95 MiB of data over a backing, and less room than that.
fn narrow_btrfs(is_nocow: bool, is_hole: bool) -> (LoopFs, [PathBuf; 2]) {
    const LARGE: u64 = 95 << 20;
    let fs = LoopFs::of_mib(Kind::Btrfs, 256);
    let [backing, cow, more] = ["root.img", "work.cow", "more"].map(|name| fs.dir().join(name));
    let file = File::create(&backing).unwrap();
    if is_nocow {
        loopfs::run(Command::new("chattr").arg("+C").arg(&backing));
    }
    file.set_len(LARGE).unwrap();
    drop(file);
    let data = vec![7; LARGE as usize];
    // It takes its room in either case.
    fs::write(if is_hole { &more } else { &backing }, &data).unwrap();
    let mut create = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    loopfs::run(create.args(["cow", "create", "--format", "uml"]).args([&cow, &backing]));
    let file = OpenOptions::new().write(true).open(&cow).unwrap();
    let bitmap = LARGE / 512 / 8;
    file.write_all_at(&vec![0xff; bitmap as usize], 8192).unwrap();
    file.write_all_at(&data, 8192 + bitmap.next_multiple_of(4096)).unwrap();
    loopfs::run(Command::new("sync").arg("-f").arg(fs.dir()));
    (fs, [backing, cow])
}

#[test]
fn what_is_written_over_on_btrfs_needs_room_unless_it_is_shared_or_stays_in_its_place() {
    let (_fs, [backing, cow]) = narrow_btrfs(false, false);
    let (status, said) = into(&backing, &cow, &["--copy"]);
    assert!(status == Some(1) && said.contains("need new room"), "{said}");
    let (status, said) = into(&backing, &cow, &[]);
    assert_eq!(status, Some(0), "clones need none: {said}");
    let (_fs, [backing, cow]) = narrow_btrfs(true, false);
    let (status, said) = into(&backing, &cow, &[]);
    assert_eq!(status, Some(0), "it stays where it is: {said}");
}

#[test]
fn a_backing_without_checksums_is_promised_no_clones() {
    let (_fs, [backing, cow]) = narrow_btrfs(true, true);
    let (status, said) = into(&backing, &cow, &[]);
    assert!(status == Some(1) && said.contains("has holes"), "{said}");
}

#[test]
fn a_file_system_that_cannot_be_written_to_is_named() {
    let fs = LoopFs::in_memory(Kind::Ext4);
    let bench = bench(&fs, Of::Uml);
    loopfs::run(Command::new("mount").args(["-o", "remount,ro"]).arg(fs.dir()));
    let (status, said) = merge(&bench, &[]);
    assert!(status == Some(1) && said.contains("root.img: Read-only file system"), "{said}");
    is_untouched(&bench);
}

#[test]
fn a_file_system_with_whole_seconds_is_enough() {
    let fs = LoopFs::in_memory(Kind::SecondsExt4);
    for of in Of::ALL {
        let bench = bench(&fs, of);
        assert_eq!(times(&bench.backing()), (MODIFIED.0, 0));
        assert_eq!(merge(&bench, &[]).0, Some(0));
        assert!(fs::read(bench.backing()).unwrap() == bench.merged());
        assert!(of == Of::Store || times(&bench.backing()) == (MODIFIED.0, 0));
        let (status, said) = merge(&bench, &[]);
        assert!(status == Some(0) && said.contains("nothing to do"), "{said}");
    }
}

#[test]
fn whoever_may_not_set_the_time_is_refused_before_anything_is_changed() {
    let fs = LoopFs::in_memory(Kind::Ext4);
    let bench = bench(&fs, Of::Uml);
    let traced = Traced { log: fs.dir().join("strace"), before: Vec::new() };
    let [backing, cow] = [bench.backing(), bench.cow()].map(|path| path.display().to_string());
    let merge = ["cow", "merge", "--in-place", "--backing", &backing, &cow];
    let run = traced.run("utimensat", What::Fail("EPERM"), 1, &merge);
    assert!(!run.succeeded && run.said.contains("belongs to somebody else"), "{}", run.said);
    is_untouched(&bench);
}

/// A loop device, gone when it is dropped.
struct Loop(String);

impl Loop {
    fn new(file: &Path) -> Self {
        let name = loopfs::run(Command::new("losetup").args(["--show", "-f"]).arg(file));
        Self(name.trim().to_owned())
    }

    fn path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        loopfs::run(Command::new("losetup").args(["-d", &self.0]));
    }
}

#[test]
fn the_marker_of_a_device_lies_beside_the_cow_file() {
    let fs = LoopFs::in_memory(Kind::Ext4);
    let bench = bench(&fs, Of::Store);
    let device = Loop::new(&bench.backing());
    let (status, said) = into(device.path(), &bench.cow(), &[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(fs::read(device.path()).unwrap() == bench.merged());
    assert_eq!(loopfs::names(&bench.dir), ["root.img", "work.cow", "work.cow.ebbtide-merge"]);
    let (status, said) = into(device.path(), &bench.cow(), &[]);
    assert!(status == Some(0) && said.contains("nothing to do"), "{said}");
    let (status, said) = into(device.path(), &bench.cow(), &["--force"]);
    assert!(status == Some(0) && !said.contains("nothing to do"), "{said}");
}

#[test]
fn a_device_is_one_by_whatever_node() {
    let fs = LoopFs::in_memory(Kind::Ext4);
    let bench = bench(&fs, Of::Store);
    let device = Loop::new(&bench.backing());
    let node = bench.dir.join("node");
    let number = fs::metadata(device.path()).unwrap().rdev();
    let [major, minor] = [major(number), minor(number)].map(|number| number.to_string());
    loopfs::run(Command::new("mknod").arg(&node).args(["b", &major, &minor]));
    let mut create = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    let other = bench.dir.join("other.cow");
    loopfs::run(create.args(["cow", "create", "--format", "uml"]).args([&other, &node]));
    let (status, said) = into(device.path(), &bench.cow(), &[]);
    assert!(status == Some(1) && said.contains("worthless after the merge: "), "{said}");
    assert!(said.contains(other.to_str().unwrap()), "{said}");
    assert!(fs::read(device.path()).unwrap() == old());

    let cow = Loop::new(&bench.cow());
    let number = fs::metadata(cow.path()).unwrap().rdev();
    fs::remove_file(&node).unwrap();
    let minor = stat::minor(number).to_string();
    loopfs::run(Command::new("mknod").arg(&node).args(["b", &major, &minor]));
    let (status, said) = into(&node, cow.path(), &[]);
    assert!(status == Some(1) && said.contains("cannot be its own backing"), "{said}");
}

#[test]
fn a_merge_of_another_cow_file_into_a_device_is_seen_by_its_marker() {
    let fs = LoopFs::in_memory(Kind::Ext4);
    let bench = bench(&fs, Of::Store);
    let device = Loop::new(&bench.backing());
    let away = bench.dir.join("away");
    fs::create_dir(&away).unwrap();
    let other = away.join("other.cow");
    bench.put_cow(&other);
    // Its last write comes after none of the merges.
    File::open(&other).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(into(device.path(), &bench.cow(), &[]).0, Some(0));
    let marker = bench.dir.join("work.cow.ebbtide-merge");
    let search = ["--search", bench.dir.to_str().unwrap()];
    let forced = [&search[..], &["--force"]].concat();
    let (status, said) = into(device.path(), &other, &search);
    assert!(status == Some(1) && said.contains("after the last write"), "{said}");

    let text = fs::read_to_string(&marker).unwrap();
    let end = text.find("[after]").unwrap();
    let begun = text[..end].lines().filter(|line| !line.starts_with("at = "));
    let begun = begun.collect::<Vec<_>>().join("\n").replacen("\"merged\"", "\"merging\"", 1);
    fs::write(&marker, begun).unwrap();
    for how in [&search[..], &forced] {
        let (status, said) = into(device.path(), &other, how);
        assert!(status == Some(1) && said.contains("is unfinished"), "{said}");
        assert!(said.contains(marker.to_str().unwrap()), "{said}");
    }
    // Beside the marker nothing has to be said, and a new file is refused too.
    let near = bench.dir.join("near.cow");
    fs::rename(&other, &near).unwrap();
    assert!(into(device.path(), &near, &["--force"]).1.contains("is unfinished"));
    let out = bench.dir.join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    command.args(["cow", "merge", "--backing"]).arg(device.path()).args([&near, &out]);
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(1) && said.contains("is unfinished"), "{said}");
    assert!(!out.exists());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    command.args(["cow", "create", "--format", "uml"]).arg(&out).arg(device.path());
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(1) && said.contains("is unfinished"), "{said}");
    // The one that was cut off is finished, and then the other one may go over it on purpose.
    let (status, said) = into(device.path(), &bench.cow(), &[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(into(device.path(), &near, &[]).0, Some(1));
    assert_eq!(into(device.path(), &near, &["--force"]).0, Some(0));
}

#[test]
fn two_devices_need_a_place_for_the_marker() {
    let fs = LoopFs::in_memory(Kind::Ext4);
    let bench = bench(&fs, Of::Store);
    let [backing, cow] = [bench.backing(), bench.cow()].map(|file| Loop::new(&file));
    let (status, said) = into(backing.path(), cow.path(), &[]);
    assert!(status == Some(2) && said.contains("give --marker FILE"), "{said}");
    assert!(fs::read(backing.path()).unwrap() == old());
    let marker = bench.dir.join("marker").display().to_string();
    let (status, said) = into(backing.path(), cow.path(), &["--marker", &marker]);
    assert_eq!(status, Some(0), "{said}");
    assert!(fs::read(backing.path()).unwrap() == bench.merged());
    let (status, said) = into(backing.path(), cow.path(), &["--marker", &marker]);
    assert!(status == Some(1) && said.contains("cannot be seen"), "{said}");
}

#[test]
fn a_device_that_somebody_has_for_himself_is_busy() {
    let fs = LoopFs::in_memory(Kind::Ext4);
    let bench = bench(&fs, Of::Store);
    let device = Loop::new(&bench.backing());
    let owner = OpenOptions::new().read(true).custom_flags(libc::O_EXCL).open(device.path());
    let (status, said) = into(device.path(), &bench.cow(), &[]);
    assert!(status == Some(1) && said.contains("busy"), "{said}");
    drop(owner);
    // As user-mode Linux does.
    let owner = File::options().read(true).write(true).open(device.path()).unwrap();
    let lock = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&owner, FcntlArg::F_SETLK(&lock)).unwrap();
    let pid = format!("(process {}) uses {}", std::process::id(), device.0);
    let (status, said) = into(device.path(), &bench.cow(), &[]);
    assert!(status == Some(1) && said.contains(&pid), "{said}");
    let out = bench.dir.join("out");
    File::create(&out).unwrap().set_len(merges::SIZE).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    command.args(["cow", "merge", "--force", "--backing"]).arg(&out).arg(bench.cow());
    let Output { status, stderr, .. } = command.arg(device.path()).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(1) && said.contains(&pid), "{said}");
    drop(owner);
    fs::remove_file(out).unwrap();
    let busy = merge(&bench, &[]);
    assert!(busy.0 == Some(1) && busy.1.contains(&device.0), "a loop device has it: {}", busy.1);
    assert!(fs::read(device.path()).unwrap() == old());
}
