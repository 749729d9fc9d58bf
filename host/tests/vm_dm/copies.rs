//! A copy of a version keeps it as long as the copy lives, and no longer: also when it is killed.

use crate::{
    content::Content,
    host::{Host, TEMPLATE, name},
    machine::{Machine, here, on_one},
    mapped::{devices, nothing_is_left},
};
use ebbtide::{
    name::VolumeName,
    pool::{driver::Volume, store::Progress},
    vm::{Allow, Guard},
};
use ebbtide_format::units::Bytes;
use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
};
use vmtest::{Result, require};

const BLOCKS: usize = 512;
/// For the other process: which VM's root it copies.
const VM: &str = "EBBTIDE_TEST_COPIED";
const BEGUN: &str = "the copy is begun";

/// One boot.
#[test]
fn a_copy_leaves_nothing() -> Result<()> {
    on_one(require!(Machine::start("ext4", 128)), &["copies::a_killed_copy_is_ended"])
}

fn root(host: &Host, vm: &str) -> Volume {
    host.pool.vm(&name(vm)).unwrap().volume(&host.pool, &VolumeName::root()).unwrap()
}

/// Copies no more than it has when it is asked how far it is.
struct Stuck;

impl Progress for Stuck {
    fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
        println!("{BEGUN}");
        loop {
            thread::park();
        }
    }
}

/// The other process.
#[test]
fn copy_without_an_end() {
    let (Some(dir), Some(vm)) = (here(), env::var_os(VM)) else { return };
    let host = Host::open(&dir.join("copied"));
    let volume = root(&host, vm.to_str().unwrap());
    let _ = host.pool.driver().copy_out(&volume, None, &dir.join("out"), &mut Stuck);
}

fn begin(vm: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "copies::copy_without_an_end", "--nocapture"]).env(VM, vm);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(BEGUN)));
    child
}

#[test]
fn a_killed_copy_is_ended() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("copied", 2, &first, &["a"]) else { return };
    let second = Content::all(BLOCKS, 2);
    let whole = |vm: &str| {
        let names = host.names(vm);
        !names.iter().any(|name| name.contains("aside"))
    };
    for vm in [TEMPLATE, "a"] {
        let mut copy = begin(vm);
        let kept = host.current();
        // It lives: its version stays, whatever comes and goes over that base.
        first.is_on(&host.start("a"));
        host.stop("a");
        host.commit(&first, &second);
        drop(Guard::take(&host.pool, &name(vm), "settle", Allow::Stopped).unwrap());
        assert!(devices().contains(&kept) && !whole(vm), "{:?}", host.names(vm));
        first.is_on(&std::path::Path::new("/dev/mapper").join(&kept));
        copy.kill().unwrap();
        copy.wait().unwrap();
        let guard = Guard::take(&host.pool, &name(vm), "settle", Allow::Stopped).unwrap();
        assert!(guard.said().iter().any(|said| said.contains("cut off")), "{:?}", guard.said());
        drop(guard);
        nothing_is_left();
        assert!(whole(vm), "{:?}", host.names(vm));
        host.commit(&second, &first);
    }
    fs::remove_dir_all(&host.dir).unwrap();
}
