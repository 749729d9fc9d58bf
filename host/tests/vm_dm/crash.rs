//! The host crashes while a template is written: an AppVM that is started first sees the committed version, though the
//! base has parts of the next one. What was written is discarded, or committed and reverted, as often as that happens.

use crate::{
    content::Content,
    host::{Host, TEMPLATE, name},
    machine::{Machine, here, on_one},
    mapped::{devices, nothing_is_left, run},
};
use ebbtide::{
    pool::driver::{Ending, Outcome},
    vm::{self, Pick},
};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use vmtest::{Result, require};

const BLOCKS: usize = 512;
const POOL: &str = "crash";
/// For the guest: the file of the shared folder in which it counts what it has written.
const COUNT: &str = "EBBTIDE_TEST_COUNT";
const PATIENCE: Duration = Duration::from_secs(30);

/// Four boots.
#[test]
fn a_version_survives_the_host() -> Result<()> {
    let mut machine = require!(Machine::start("ext4", 128));
    machine.tests(&["crash::begin"])?;
    let (first, next) = (300, 90);
    for (after, blocks) in [
        ("crash::what_was_written_is_discarded", first),
        ("crash::what_was_written_is_committed_and_reverted", next),
        ("crash::what_was_written_is_discarded", next),
    ] {
        let count = machine.folder().join("count");
        let _ = fs::remove_file(&count);
        let shown = count.display().to_string();
        machine.begin("crash::write_until_the_end", &[(COUNT, &shown)])?;
        let begin = Instant::now();
        while fs::metadata(&count).map_or(0, |found| found.len()) < blocks {
            assert!(
                begin.elapsed() < PATIENCE,
                "the guest does not write: {}",
                machine.run("cat /run/said")?
            );
            thread::sleep(Duration::from_millis(5));
        }
        machine = machine.pull_the_plug()?;
        machine.tests(&[after])?;
    }
    machine.end()
}

/// One boot.
#[test]
fn a_version_survives_its_devices() -> Result<()> {
    on_one(require!(Machine::start("ext4", 128)), &["crash::devices_are_gone_again_and_again"])
}

fn committed() -> Content {
    Content::all(BLOCKS, 1)
}

fn host() -> Option<Host> {
    here().map(|dir| Host::open(&dir.join(POOL)))
}

#[test]
fn begin() {
    if let Some(host) = Host::new(POOL, 2, &committed(), &["a", "b"]) {
        nothing_is_left();
        drop(host);
        nix::unistd::sync();
    }
}

/// Runs AppVM `a` and the template, which writes without an end.
#[test]
fn write_until_the_end() {
    let Some((host, count)) = host().zip(std::env::var_os(COUNT)) else { return };
    host.start("a");
    let root = host.start(TEMPLATE);
    let mut written = committed();
    for writing in 2.. {
        for block in (0..BLOCKS).step_by(2) {
            let next = written.with([block, BLOCKS - 1 - block], writing);
            next.write(&root, &written);
            written = next;
            let mut file = fs::File::options().create(true).append(true).open(&count).unwrap();
            std::io::Write::write_all(&mut file, b".").unwrap();
        }
    }
}

/// Starts AppVMs before the template: the one that ran, and another. They see what was committed, the base is another.
fn app_vms_come_first(host: &Host) {
    assert!(host.dirty().is_some(), "something is written beside the version");
    let base = host.of(TEMPLATE).join("root.img");
    assert!(committed().wrong(&base).is_some(), "the base is as it was: nothing is shown");
    for vm in ["a", "b"] {
        committed().is_on(&host.start(vm));
    }
}

fn app_vms_go(host: &Host) {
    let current = host.current();
    for vm in ["a", "b"] {
        committed().is_on(&Path::new("/dev/mapper").join(host.used(vm)));
        host.stop(vm);
    }
    assert!(!devices().contains(&current), "{:?}", devices());
    nothing_is_left();
    // Whoever starts now has what was committed first, whatever was done.
    for vm in [TEMPLATE, "a"] {
        committed().is_on(&host.start(vm));
    }
    host.stop(TEMPLATE);
    host.stop("a");
    nothing_is_left();
}

#[test]
fn what_was_written_is_discarded() {
    let Some(host) = host() else { return };
    app_vms_come_first(&host);
    discard(&host);
    app_vms_go(&host);
}

fn discard(host: &Host) {
    let (_, dropped) = vm::discard(&host.pool, &name(TEMPLATE), None).unwrap();
    assert_eq!(dropped.len(), 1);
    assert!(host.dirty().is_none());
    // Again, there is nothing.
    assert_eq!(vm::discard(&host.pool, &name(TEMPLATE), None).unwrap().1, []);
}

#[test]
fn what_was_written_is_committed_and_reverted() {
    let Some(host) = host() else { return };
    app_vms_come_first(&host);
    let id = format!("{TEMPLATE}:root").parse().unwrap();
    let refused = vm::revert(&host.pool, &id, &Pick::Newest);
    assert!(refused.is_err(), "something is uncommitted");
    let (_, outcomes) = vm::commit(&host.pool, &name(TEMPLATE), None).unwrap();
    assert!(matches!(outcomes[..], [(_, Outcome::Committed(Some(_)))]), "{outcomes:?}");
    let reverted = vm::revert(&host.pool, &id, &Pick::Newest).unwrap();
    assert!(matches!(reverted.outcome, Outcome::Committed(_)), "{reverted:?}");
    let again = vm::revert(&host.pool, &id, &Pick::Number(reverted.to.number.unwrap())).unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
    app_vms_go(&host);
}

/// As after a crash, but without one: nothing is mapped any more, the files are as they were at that moment.
#[test]
fn devices_are_gone_again_and_again() {
    let Some(host) = Host::new("devices", 2, &committed(), &["a", "b"]) else { return };
    for round in 0..8 {
        let root = host.start(TEMPLATE);
        let torn = committed().with((round..BLOCKS).step_by(3), 2 + round as u64);
        torn.write(&root, &committed());
        for device in [host.origin(), host.current()] {
            run("dmsetup", &["remove", &device]);
        }
        // Nobody has noticed: the template's VM counts as running.
        let before = devices();
        committed().is_on(&host.start("a"));
        host.stop("a");
        assert_eq!(devices(), before, "an AppVM leaves nothing");
        host.try_stop(TEMPLATE, Ending::Keep).unwrap();
        assert_eq!(devices(), before);
        app_vms_come_first(&host);
        if round % 2 == 0 {
            discard(&host);
        } else {
            torn.is_on(&host.start(TEMPLATE));
            assert!(matches!(host.stop(TEMPLATE), Outcome::Committed(Some(_))));
            let id = format!("{TEMPLATE}:root").parse().unwrap();
            vm::revert(&host.pool, &id, &Pick::Newest).unwrap();
        }
        app_vms_go(&host);
    }
}
