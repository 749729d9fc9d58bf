//! Who uses a COW file or a backing, when that is the kernel: loop devices, mounts, mapped devices.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod loopfs;

use ebbtide::cow::{
    Disk,
    in_use::{Others, User, hold, user},
};
use loopfs::{Kind, LoopFs, run};
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
        drop(held);
        let disk = Disk::open_to_write(path).unwrap();
        let _held = hold(&disk, Others::MayNot).unwrap();
        assert!(seen(path, Others::MayRead).is_some());
    }
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
