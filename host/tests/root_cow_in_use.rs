//! Who uses a COW file or a backing, when that is the kernel: loop devices, mounts, mapped devices.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod loopfs;

use ebbtide::cow::{
    Disk,
    in_use::{Others, User, hold, user},
};
use loopfs::{Kind, LoopFs, run};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};
use std::{fs::File, path::Path, process::Command};

/// A loop device, gone when it is dropped.
struct Loop(String);

impl Loop {
    fn new(file: &Path, options: &[&str]) -> Self {
        let mut command = Command::new("losetup");
        Self(run(command.args(options).args(["--find", "--show"]).arg(file)).trim().into())
    }

    fn name(&self) -> String {
        self.0.trim_start_matches("/dev/").into()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run(Command::new("losetup").args(["--detach", &self.0]));
    }
}

fn seen(path: &Path, others: Others) -> Option<User> {
    user(&Disk::open(path).unwrap(), others).unwrap()
}

#[test]
fn a_file_behind_a_loop_device_is_in_use() {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    File::create(&file).unwrap().set_len(1 << 20).unwrap();
    assert_eq!(seen(&file, Others::MayNot), None);
    let device = Loop::new(&file, &[]);
    let it = Some(User::Device(device.name()));
    assert_eq!((seen(&file, Others::MayRead), seen(&file, Others::MayNot)), (it.clone(), it));

    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    File::create(&file).unwrap().set_len(1 << 20).unwrap();
    let device = Loop::new(&file, &["--read-only"]);
    assert_eq!(seen(&file, Others::MayRead), None);
    assert_eq!(seen(&file, Others::MayNot), Some(User::Device(device.name())));
    let refused = hold(&Disk::open_to_write(&file).unwrap(), Others::MayNot).unwrap_err();
    assert!(refused.to_string().starts_with(&device.0), "{refused}");
}

#[test]
fn a_device_is_ours_until_it_is_given_back() {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    File::create(&file).unwrap().set_len(1 << 20).unwrap();
    let device = Loop::new(&file, &[]);
    let path = Path::new(&device.0);
    for _ in 0..2 {
        let disk = Disk::open(path).unwrap();
        let held = hold(&disk, Others::MayRead).unwrap();
        assert!(seen(path, Others::MayRead).is_some());
        Disk::open_to_write(path).unwrap_err();
        drop((held, disk));
        let disk = Disk::open_to_write(path).unwrap();
        let _held = hold(&disk, Others::MayNot).unwrap();
        assert!(seen(path, Others::MayRead).is_some());
    }
}

/// Locks bytes by an opening of its own, which is returned; a length of 0 is to the end.
fn locked(path: &Path, kind: i32, bytes: &[(i64, i64)]) -> nix::Result<File> {
    let file = File::options().read(true).write(true).open(path).unwrap();
    for (from, length) in bytes {
        let lock = libc::flock {
            l_type: i16::try_from(kind).unwrap(),
            l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
            l_start: *from,
            l_len: *length,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock))?;
    }
    Ok(file)
}

/// All bytes, as user-mode Linux locks them.
const WHOLE: [(i64, i64); 1] = [(0, 0)];
/// What QEMU locks to read on what it writes to: it reads, it writes, and nobody else is to resize it.
const WRITES: [(i64, i64); 3] = [(100, 1), (101, 1), (203, 1)];
/// The same of what it reads only: nobody else is to write to it, or to resize it.
const READS: [(i64, i64); 3] = [(100, 1), (201, 1), (203, 1)];

#[test]
fn who_locks_a_device_uses_it() {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    File::create(&file).unwrap().set_len(1 << 20).unwrap();
    let device = Loop::new(&file, &[]);
    let path = Path::new(&device.0);
    let cases = [
        (libc::F_WRLCK, &WHOLE[..], [true, true]),
        (libc::F_RDLCK, &WHOLE, [false, true]),
        (libc::F_RDLCK, &WRITES, [true, true]),
        (libc::F_RDLCK, &READS, [false, true]),
    ];
    for (kind, bytes, wanted) in cases {
        let user = locked(path, kind, bytes).unwrap();
        for (others, is_used) in [Others::MayRead, Others::MayNot].into_iter().zip(wanted) {
            assert_eq!(seen(path, others).is_some(), is_used, "{kind} {bytes:?} {others:?}");
            let disk = match others {
                Others::MayRead => Disk::open(path).unwrap(),
                Others::MayNot => Disk::open_to_write(path).unwrap(),
            };
            assert_eq!(hold(&disk, others).is_err(), is_used, "{kind} {bytes:?} {others:?}");
        }
        drop(user);
    }
    assert_eq!(seen(path, Others::MayNot), None);
}

#[test]
fn a_device_that_is_held_cannot_be_locked_by_others() {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    File::create(&file).unwrap().set_len(1 << 20).unwrap();
    let device = Loop::new(&file, &[]);
    let path = Path::new(&device.0);
    let taken = |kind, bytes: &[(i64, i64)]| match locked(path, kind, bytes) {
        Err(Errno::EAGAIN) => false,
        found => found.is_ok(),
    };
    let disk = Disk::open(path).unwrap();
    let held = hold(&disk, Others::MayRead).unwrap();
    assert!(!taken(libc::F_WRLCK, &WHOLE) && taken(libc::F_RDLCK, &WHOLE));
    // QEMU asks by a lock to write whether others forbid that.
    assert!(!taken(libc::F_WRLCK, &[(201, 1)]) && taken(libc::F_WRLCK, &[(200, 1)]));
    drop((held, disk));
    let disk = Disk::open_to_write(path).unwrap();
    let held = hold(&disk, Others::MayNot).unwrap();
    assert!(!taken(libc::F_RDLCK, &WHOLE) && !taken(libc::F_RDLCK, &READS));
    drop((held, disk));
    assert!(taken(libc::F_WRLCK, &WHOLE));
}

#[test]
fn a_mounted_device_is_refused_by_where_it_is_mounted() {
    let fs = LoopFs::new(Kind::Ext4);
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(fs.dir().to_str().unwrap())).unwrap();
    let source = mount.split(" - ").nth(1).unwrap().split(' ').nth(1).unwrap();
    let path = Path::new(source);
    let found = seen(path, Others::MayRead);
    assert_eq!(found, Some(User::Mount(fs.dir().to_str().unwrap().into())));
    let refused = hold(&Disk::open(path).unwrap(), Others::MayRead).unwrap_err().to_string();
    assert!(refused.contains("mounted at"), "{refused}");
    Disk::open_to_write(path).unwrap_err();
}
