//! Machines whose guests have QEMU's agent: what it holds for a snapshot, what becomes of one that hangs, and the clock.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use ::qemu::{Agent, Deadline};
use machines::{
    Host,
    asked::{LIMIT, ask, hot, run, until},
    end, qemu_is_there,
};
use serde_json::json;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};
use vmtest::{Guest, Image, Result, require};

/// Returns the VMs of an image with the agent; each has an ext4 on its private disk, which its guest mounts.
fn host(vms: &[&str]) -> Result<Host> {
    let image = Image::named("stage-agent")?;
    let host = Host::new().booting(&image, vms);
    let private = host.beside("private");
    File::create(&private).unwrap().set_len(64 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&private).status();
    assert!(made.unwrap().success());
    for vm in vms {
        host.must(&["vm", "set", vm, "memory=192M"]);
        host.must(&["volume", "import", &format!("{vm}:private"), private.to_str().unwrap()]);
    }
    Ok(host)
}

/// Waits until the agent has its port open, and the supervisor knows.
fn agent_is_there(host: &Host, name: &str) {
    let is_open = || {
        let all = ask(host, name, "query-chardev", &json!({}));
        let all = all.as_array().unwrap();
        all.iter().any(|one| one["label"] == "qga" && one["frontend-open"] == true)
    };
    until("the agent", is_open);
    // QEMU tells of a port once in a second at most.
    thread::sleep(Duration::from_millis(1100));
}

/// Goes on with a VM from a savestate, with its command channel.
fn start_from(host: &Host, name: &str, id: &str, scale: &str) -> Guest {
    let socket = host.beside(&format!("agent-{name}"));
    let arguments = Guest::arguments(&socket);
    let mut words = vec!["start", name, "--from", id, "--"];
    words.extend(arguments.iter().map(String::as_str));
    let started = host.command(&words).env("EBBTIDE_TIME_SCALE", scale).status().unwrap();
    assert!(started.success());
    Guest::resumed(&socket).unwrap()
}

/// Takes a snapshot, and returns its image of the private disk, and what whoever took it is told.
fn snapshot(host: &Host, name: &str) -> (PathBuf, String) {
    let said = host.must(&["snapshot", "create", name]);
    (host.pool().join("snapshots").join(said.out.trim()).join("private.img"), said.err)
}

/// Returns what a program of e2fsprogs says of an image.
fn says(program: &str, options: &[&str], image: &Path) -> (bool, String) {
    let output = Command::new(program).args(options).arg(image).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns whether a file system was in use: it is whole only with what its journal has.
fn needs_its_journal(image: &Path) -> bool {
    let (_, said) = says("dumpe2fs", &["-h"], image);
    let features = said.lines().find(|line| line.starts_with("Filesystem features:")).unwrap();
    features.contains("needs_recovery")
}

/// Returns the number in a file of an image.
fn number(image: &Path, file: &str) -> u64 {
    let (_, said) = says("debugfs", &["-R", &format!("cat {file}")], image);
    said.trim().parse().unwrap()
}

/// Counts in two files, each number durable in the first one before it is in the second one.
const WRITES: &str = "\
    put() { printf '%08d\\n' $i | dd of=/mnt/$1 conv=notrunc,fsync 2>/dev/null; }
    i=10000000; put first; put second
    (while sleep 0.05; do i=$((i + 1)); put first; put second; done) </dev/null >/dev/null 2>&1 &";

fn second(guest: &Guest) -> Result<u64> {
    // Reading goes on in a file system that is held.
    Ok(guest.run("cat /mnt/second")?.trim().parse().unwrap())
}

#[track_caller]
fn goes_on_writing(guest: &Guest) {
    let then = second(guest).unwrap();
    until("a write", || second(guest).unwrap() > then + 2);
}

/// Returns how many seconds a guest's clock is off.
fn clock_is_off(guest: &Guest) -> u64 {
    let then: u64 = guest.run("date +%s").unwrap().parse().unwrap();
    now().abs_diff(then)
}

/// Returns the seconds of the host's clock.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Returns what the supervisors of the VMs that run have logged.
fn logs(host: &Host) -> String {
    let logs = host.sockets().into_iter().map(|dir| fs::read_to_string(dir.join("log")));
    logs.map(std::result::Result::unwrap_or_default).collect()
}

#[test]
fn what_a_guest_writes_is_whole_without_its_journal_while_its_agent_holds_it() -> Result<()> {
    require!(qemu_is_there());
    let host = require!(host(&["a", "b", "c"]));
    let a = host.start("a");
    a.run(WRITES)?;
    agent_is_there(&host, "a");
    let before = second(&a)?;
    let (held, told) = snapshot(&host, "a");
    assert_eq!(told, "");
    goes_on_writing(&a);
    assert!(!needs_its_journal(&held), "{}", logs(&host));
    let (is_whole, found) = says("e2fsck", &["-fn"], &held);
    assert!(is_whole, "{found}");
    let (first, second) = (number(&held, "first"), number(&held, "second"));
    assert!(second >= before && (first == second || first == second + 1), "{first} {second}");

    // A memory is saved as it is: its guest would wait for ever.
    a.run("date -s @1000000000")?;
    let id = host.must(&["savestate", "create", "a"]).out.trim().to_owned();
    assert!(clock_is_off(&a) > 1000, "nobody sets the clock of one that was there all the time");
    goes_on_writing(&a);
    whoever_is_killed_leaves_nothing_held(&host, &a);
    host.must(&["stop", "a", "--force", "--discard"]);

    let b = start_from(&host, "b", &id, "1");
    until("the time", || clock_is_off(&b) <= 2);
    goes_on_writing(&b);
    host.must(&["stop", "b", "--force", "--discard"]);

    let c = start_from(&host, "c", &id, "0.2");
    goes_on_writing(&c);
    one_that_hangs_is_not_waited_for_and_holds_nothing(&host, &c)
}

/// A supervisor that is killed in mid-snapshot.
fn whoever_is_killed_leaves_nothing_held(host: &Host, guest: &Guest) {
    let mut agent = Agent::connect(&run(host, "a").sockets["agent"]).unwrap();
    agent.wait(Deadline::after(LIMIT)).unwrap();
    agent.freeze(Deadline::after(LIMIT)).unwrap();
    drop(agent);
    // The next one knows, where it keeps its state.
    guest.run("kill -KILL $(pidof qemu-ga)").unwrap();
    end(host.supervisor("a").unwrap());
    thread::sleep(Duration::from_millis(500));
    let then = second(guest).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(second(guest).unwrap(), then, "it is held");
    host.refuses(&["stop", "a", "--timeout", "1"], &["has not shut down within 1 s"]);
    goes_on_writing(guest);
}

/// How long the supervisor of a machine with a fifth of the limits waits for an agent.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a snapshot may take beside that.
const SLACK: Duration = Duration::from_secs(15);

/// An agent that hangs before it is told to hold, or by that.
fn one_that_hangs_is_not_waited_for_and_holds_nothing(host: &Host, guest: &Guest) -> Result<()> {
    agent_is_there(host, "c");
    guest.run("kill -STOP $(pidof qemu-ga)")?;
    let started = Instant::now();
    let (image, told) = snapshot(host, "c");
    assert!(needs_its_journal(&image));
    assert!(started.elapsed() < PATIENCE + SLACK, "{:?}", started.elapsed());
    let said = logs(host);
    for said in [&said, &told] {
        let wanted =
            "does not hold its file systems: the guest's agent: does not answer guest-sync";
        assert!(said.contains(wanted), "{said}");
    }
    assert!(!said.contains("may hold"), "it was told nothing: {said}");
    guest.run("kill -CONT $(pidof qemu-ga)")?;
    goes_on_writing(guest);

    guest.run(&format!("{HANGS}; kill -KILL $(pidof qemu-ga)"))?;
    until("an agent with a hook", || guest.run(HAS_HOOK).is_ok());
    agent_is_there(host, "c");
    let started = Instant::now();
    let (image, told) = snapshot(host, "c");
    assert!(needs_its_journal(&image));
    assert!(told.contains("the guest does not hold its file systems"), "{told}");
    assert!(started.elapsed() < 2 * PATIENCE + SLACK, "{:?}", started.elapsed());
    assert_eq!(guest.run("cat /run/qga/hooked")?, "freeze");
    let said = logs(host);
    assert!(said.contains("may hold its file systems still: the guest's agent"), "{said}");
    goes_on_writing(guest);
    // It holds when nobody wants that any more, and is told to go on by whoever gave up.
    guest.run("kill -CONT $(pidof qemu-ga)")?;
    until("the thaw", || guest.run("cat /run/qga/hooked").unwrap() == "freeze\nthaw");
    goes_on_writing(guest);
    Ok(())
}

const HAS_HOOK: &str = "grep -q qga/hook /proc/$(pidof qemu-ga)/cmdline";

/// Has the next agent stand still as soon as it is told to hold, and note what it is told.
const HANGS: &str = "\
    printf '#!/bin/sh\\necho $1 >>/run/qga/hooked\\ntest $1 = thaw || kill -STOP $PPID\\n' >/run/qga/hook
    chmod +x /run/qga/hook";

#[test]
fn a_hot_savestate_is_taken_when_the_agent_answers_and_what_goes_on_has_the_time() -> Result<()> {
    require!(qemu_is_there());
    let host = require!(host(&["a"]));
    host.must(&["vm", "set", "a", "hot=agent"]);
    let begun = Instant::now();
    hot(&host, "a");
    let booted = begun.elapsed();
    // By now its time is not that of the host.
    thread::sleep(Duration::from_secs(4));
    host.must(&["start", "a", "--disposable"]);
    let socket = run(&host, "a-disp1").sockets["agent"].clone();
    until("the time", || {
        // QEMU takes one client at a time, and the supervisor is one.
        let mut agent = Agent::connect(&socket).unwrap();
        // It answered when the savestate was taken: nothing boots any more.
        agent.wait(Deadline::exactly(booted / 2)).unwrap();
        let time = agent.execute("guest-get-time", &json!({}), Deadline::after(LIMIT)).unwrap();
        now().abs_diff(time.as_u64().unwrap() / 1_000_000_000) <= 2
    });
    Ok(())
}
