//! What is left when something of a running VM is killed, and who settles it. The machines find nothing to boot, and
//! are up at once.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use machines::{Host, end, is_alive, qemu_is_there};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Output, Stdio},
    thread,
    time::{Duration, SystemTime},
};
use vmtest::require;

/// Writes to a private disk in the place of a guest, so that there is something to lose.
fn write(host: &Host, name: &str) {
    use std::os::unix::fs::FileExt;
    let disk = host.vm(name).join("private-dirty.img");
    let disk = fs::OpenOptions::new().write(true).open(disk).unwrap();
    disk.write_all_at(b"kept on purpose", 4096).unwrap();
}

/// Runs a command for which time goes ten times as fast.
fn hasty(host: &Host, words: &[&str]) -> Output {
    host.command(words).env("EBBTIDE_TIME_SCALE", "0.1").output().unwrap()
}

/// Starts `a` and does not let it run yet: its supervisor, and the end of the pipe by which a starter would tell it to.
fn started_only(host: &Host) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let supervisor =
        host.command(&["supervise", "a"]).stdout(OwnedFd::from(theirs)).spawn().unwrap();
    let mut said = BufReader::new(&ours).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("started")));
    (supervisor, ours)
}

#[test]
fn a_start_that_qemu_refuses_shows_its_words_and_leaves_nothing() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.refuses(&["start", "a", "--", "-device", "nonsense"], &["qemu-system", "nonsense"]);
    assert_eq!(
        (host.state("a").as_str(), host.left("a"), host.sockets()),
        ("stopped", vec![], vec![])
    );

    let said = host.command(&["start", "a"]).env("EBBTIDE_QEMU", "no-such-qemu").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("no-such-qemu is not in PATH"));
    assert_eq!((host.left("a"), host.sockets()), (vec![], vec![]));
    host.must(&["start", "a"]);
    host.must(&["stop", "a", "--force"]);
    assert_eq!((host.left("a"), host.sockets()), (vec![], vec![]));
}

#[test]
fn a_killed_qemu_is_settled_at_once_and_the_next_start_goes_on() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["start", "a"]);
    write(&host, "a");
    end(host.qemu("a"));
    host.until("a", "stopped");
    assert_eq!(host.left("a"), ["private-dirty.img"]);
    let log = fs::read_to_string(host.sockets()[0].join("log")).unwrap();
    assert!(log.contains("signal: 9"), "{log}");

    host.must(&["start", "a"]);
    let said = host.must(&["stop", "a", "--force", "--discard"]);
    assert!(said.out.contains("a:private: what was written is dropped"), "{}", said.out);
    assert_eq!(host.left("a"), Vec::<String>::new());
    host.must(&["pool", "check"]);
}

#[test]
fn a_killed_supervisor_leaves_a_vm_that_runs_and_is_settled_by_the_next_command() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["start", "a"]);
    write(&host, "a");
    let qemu = host.qemu("a");
    end(host.supervisor("a").unwrap());
    assert_eq!((host.state("a").as_str(), is_alive(qemu)), ("running", true));
    host.refuses(&["start", "a"], &["a runs", &qemu.to_string()]);
    host.refuses(&["stop", "a", "--timeout", "1"], &["has not shut down within 1 s", "--force"]);
    host.must(&["volume", "resize", "a:private", "2M"]);

    let said = host.must(&["stop", "a", "--force"]);
    assert!(said.err.contains("a was cut off"), "{}", said.err);
    assert!(said.err.contains("what was written to a:private is kept"), "{}", said.err);
    assert!(!is_alive(qemu));
    assert_eq!(host.left("a"), ["private-dirty.img"]);

    // The same, and nobody asks before QEMU is gone too.
    host.must(&["start", "a"]);
    let qemu = host.qemu("a");
    end(host.supervisor("a").unwrap());
    end(qemu);
    let said = host.must(&["start", "a"]);
    assert!(said.err.contains("a was cut off"), "{}", said.err);
    host.must(&["stop", "a", "--force", "--discard"]);
    assert_eq!((host.left("a"), host.sockets()), (vec![], vec![]));
}

#[test]
fn after_a_new_boot_of_the_host_the_next_command_says_what_was_cut_off() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["start", "a"]);
    let qemu = host.qemu("a");
    end(host.supervisor("a").unwrap());
    end(qemu);
    let file = host.vm("a").join("run.toml");
    let run = fs::read_to_string(&file).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(run.contains(boot.trim()));
    let other = "00000000-0000-4000-8000-000000000000";
    fs::write(&file, run.replace(boot.trim(), other)).unwrap();
    // Each boot has a time of its own for images to which nothing was written.
    let dirty = fs::File::open(host.vm("a").join("private-dirty.img")).unwrap();
    dirty.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(7)).unwrap();

    let said = host.must(&["stop", "a"]);
    assert!(said.err.contains("the machine was started anew since"), "{}", said.err);
    // Nobody knows whether the guest has written to it: it counts as written.
    assert_eq!(host.left("a"), ["private-dirty.img"]);
    host.must(&["volume", "discard", "a:private"]);
    host.must(&["pool", "check"]);
}

#[test]
fn a_killed_start_has_started_the_vm_or_nothing() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    for millis in [0, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 400] {
        let mut start = host.command(&["start", "a"]);
        let mut start = start.stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(millis));
        start.kill().unwrap();
        start.wait().unwrap();
        settles(&host, millis);
    }
    host.must(&["pool", "check"]);
}

#[test]
fn a_vm_whose_starter_is_gone_before_it_ran_ends_and_leaves_nothing() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    let (mut supervisor, starter) = started_only(&host);
    assert_eq!(host.state("a"), "running");
    drop(starter);
    assert!(supervisor.wait().unwrap().success());
    let left = (host.state("a"), host.left("a"), host.sockets().len());
    // The log stays: nobody else could say why.
    assert_eq!(left, ("stopped".into(), vec![], 1));
}

#[test]
fn a_supervisor_that_is_killed_at_any_time_leaves_nothing_that_stays() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    for millis in [0, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256] {
        let mut start = host.command(&["start", "a"]);
        let mut start = start.stderr(Stdio::null()).spawn().unwrap();
        let supervisor = loop {
            match (host.supervisor("a"), start.try_wait().unwrap()) {
                (Some(pid), _) => break Some(pid),
                (None, Some(_)) => break None,
                (None, None) => thread::sleep(Duration::from_millis(1)),
            }
        };
        thread::sleep(Duration::from_millis(millis));
        supervisor.into_iter().for_each(end);
        start.wait().unwrap();
        settles(&host, millis);
    }
    host.must(&["pool", "check"]);
}

/// Checks that the VM can be started and stopped, whatever was killed before, and that nothing is left then.
fn settles(host: &Host, millis: u64) {
    // Whoever still works on it may finish.
    while matches!(
        (host.state("a").as_str(), host.supervisor("a")),
        ("busy", _) | ("stopped", Some(_))
    ) {
        thread::sleep(Duration::from_millis(10));
    }
    if host.state("a") == "running" {
        // A supervisor whose start was killed ends its machine; another one has let it run.
        host.run(&["stop", "a", "--force"]);
        host.until("a", "stopped");
    }
    host.must(&["start", "a"]);
    host.must(&["stop", "a", "--force", "--discard"]);
    assert_eq!((host.left("a"), host.sockets()), (vec![], vec![]), "after {millis} ms");
}

#[test]
fn of_two_starts_at_once_one_is_refused() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    let both: Vec<_> = (0..2)
        .map(|_| host.command(&["start", "a"]).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    let mut ended: Vec<_> =
        both.into_iter().map(|mut start| start.wait().unwrap().code()).collect();
    ended.sort();
    assert_eq!((ended, host.state("a").as_str()), (vec![Some(0), Some(1)], "running"));
    host.must(&["stop", "a", "--force"]);
}

#[test]
fn a_vm_whose_sockets_are_gone_is_stopped_by_force() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    for supervised in [true, false] {
        host.must(&["start", "a"]);
        let qemu = host.qemu("a");
        if !supervised {
            end(host.supervisor("a").unwrap());
        }
        fs::remove_dir_all(host.beside("r/ebbtide")).unwrap();
        let said = hasty(&host, &["stop", "a", "--timeout", "1"]);
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(text.contains("sockets are gone") && text.contains("--force"), "{text}");
        assert!(is_alive(qemu));
        let said = hasty(&host, &["stop", "a", "--force"]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        assert_eq!((is_alive(qemu), host.state("a").as_str()), (false, "stopped"));
    }
}

#[test]
fn a_supervisor_that_hangs_does_not_keep_a_vm_from_being_stopped_by_force() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["start", "a"]);
    write(&host, "a");
    let (qemu, supervisor) = (host.qemu("a"), host.supervisor("a").unwrap());
    kill(Pid::from_raw(supervisor), Signal::SIGSTOP).unwrap();
    let said = hasty(&host, &["stop", "a", "--discard"]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(text.contains("does not answer") && text.contains("--force"), "{text}");
    let said = hasty(&host, &["stop", "a", "--force", "--discard"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("a:private: what was written is dropped"), "{text}");
    assert_eq!((is_alive(qemu), is_alive(supervisor)), (false, false));
    assert_eq!(host.left("a"), Vec::<String>::new());
}

#[test]
fn a_qemu_that_nobody_will_let_run_is_ended_by_a_stop() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    let (mut supervisor, _starter) = started_only(&host);
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert_eq!(host.state("a"), "running");
    let started = std::time::Instant::now();
    host.must(&["stop", "a"]);
    assert!(started.elapsed() < Duration::from_secs(10), "the guest was asked");
    assert_eq!((host.state("a").as_str(), host.left("a")), ("stopped", vec![]));
}
