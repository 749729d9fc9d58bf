//! What a supervisor makes of what QEMU says, with a script in the place of QEMU.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use machines::{Host, Said};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// Answers every command; says what is in `cont` after the machine is let run, and what is in `down` when its power button
/// is pressed, and ends then if that says that it shuts down.
const QEMU: &str = r#"#!/bin/bash
for arg; do case $arg in socket,id=supervisor,fd=*) fd=${arg##*=} ;; esac; done
test -n "$fd" || exit 1
here=$(dirname "$0")
while read -r line <&"$fd"; do
    echo "$line" >> "$here/heard"
    if [[ $line =~ \"id\":([0-9]+) ]]; then echo "{\"return\": {}, \"id\": ${BASH_REMATCH[1]}}" >&"$fd"; fi
    case $line in
        *'"cont"'*)
            cat "$here/cont" >&"$fd"
            if grep -q SHUTDOWN "$here/cont"; then exit 0; fi ;;
        *'"quit"'*) echo '{"event": "SHUTDOWN", "data": {"reason": "host-qmp-quit"}}' >&"$fd"; exit 0 ;;
        *'"system_powerdown"'*)
            cat "$here/down" >&"$fd"
            if grep -q SHUTDOWN "$here/down"; then exit 0; fi ;;
    esac
done
"#;

const SHUTDOWN: &str =
    r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#;

/// A pool with a VM `a`, whose QEMU is the script.
struct Played {
    host: Host,
}

impl Played {
    fn new(cont: &str, down: &str) -> Self {
        let host = Host::new().blank(&["a"]);
        let played = Self { host };
        fs::create_dir(played.file("")).unwrap();
        fs::write(played.file("qemu"), QEMU).unwrap();
        fs::set_permissions(played.file("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(played.file("cont"), format!("{cont}\n")).unwrap();
        fs::write(played.file("down"), format!("{down}\n")).unwrap();
        played
    }

    fn file(&self, name: &str) -> PathBuf {
        self.host.beside("played").join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.host.command(words);
        command.env("EBBTIDE_QEMU", self.file("qemu")).env("EBBTIDE_ACCEL", "tcg");
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        Said::new(&self.command(words).output().unwrap())
    }

    /// Starts `a` in a way for which there is no verb. Returns its supervisor, and what that talks to.
    fn supervised(&self, how: &[&str], scale: &str) -> (Child, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = self.command(&["supervise", "a"]);
        command.args(how).env("EBBTIDE_TIME_SCALE", scale).stdout(OwnedFd::from(theirs));
        (command.spawn().unwrap(), ours)
    }

    #[track_caller]
    fn starts(&self) {
        let said = self.run(&["start", "a"]);
        assert_eq!(said.status, Some(0), "{}", said.err);
    }

    /// Waits until the script has heard a command so many times.
    #[track_caller]
    fn hears(&self, command: &str, times: usize) {
        let started = Instant::now();
        loop {
            let heard = fs::read_to_string(self.file("heard")).unwrap_or_default();
            if heard.matches(&format!("\"{command}\"")).count() >= times {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{heard}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the VM is shown with `wanted`: the supervisor hears of it a moment after the start has returned.
    fn shows(&self, wanted: &str) {
        let started = Instant::now();
        loop {
            let shown = self.host.must(&["vm", "show", "a"]).out;
            if shown.contains(wanted) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn failure(node: &str, action: &str, full: bool) -> String {
    let reason = if full { "No space left on device" } else { "Input/output error" };
    format!(
        r#"{{"event": "BLOCK_IO_ERROR", "data": {{"device": "", "node-name": "{node}", "operation": "write",
        "action": "{action}", "nospace": {full}, "reason": "{reason}"}}}}"#
    )
    .replace('\n', "")
}

/// Writes in the place of the guest.
fn write(played: &Played) {
    fs::write(played.host.vm("a").join("private-dirty.img"), "something").unwrap();
}

#[test]
fn a_guest_that_shuts_down_is_committed() {
    let played = Played::new("", SHUTDOWN);
    played.starts();
    write(&played);
    let said = played.host.must(&["stop", "a"]);
    assert!(said.out.contains("a:private: new version"), "{}", said.out);
}

#[test]
fn a_write_that_failed_prevents_the_commit_and_one_to_the_volatile_disk_does_not() {
    let played = Played::new(&failure("private", "report", false), SHUTDOWN);
    played.starts();
    write(&played);
    played.host.refuses(&["stop", "a"], &["a write to private failed: Input/output error"]);
    assert_eq!(played.host.left("a"), ["private-dirty.img"]);

    let said = played.host.must(&["stop", "a", "--discard"]);
    assert!(said.out.contains("a:private: what was written is dropped"), "{}", said.out);
    assert_eq!((played.host.left("a"), played.host.sockets().len()), (vec![], 1));

    fs::write(played.file("cont"), failure("volatile", "report", false) + "\n").unwrap();
    played.starts();
    write(&played);
    let said = played.host.must(&["stop", "a"]);
    assert!(said.out.contains("a:private: new version"), "{}", said.out);
}

#[test]
fn a_vm_that_is_removed_leaves_no_log() {
    let played = Played::new(&failure("private", "report", false), SHUTDOWN);
    played.starts();
    played.host.refuses(&["stop", "a"], &["a write to private failed"]);
    assert_eq!(played.host.sockets().len(), 1);
    played.host.must(&["vm", "remove", "a"]);
    assert_eq!(played.host.sockets(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_machine_without_space_says_so_and_goes_on_by_itself() {
    let played = Played::new(&failure("private", "stop", true), "");
    played.starts();
    played.shows("no space on the host for private");
    let why = "stands still, no space on the host for private";
    played.host.refuses(&["stop", "a", "--timeout", "1"], &[why]);
    // The start, the power button, and by itself.
    played.hears("cont", 3);

    fs::write(played.file("cont"), "{\"event\": \"RESUME\"}\n").unwrap();
    fs::write(played.file("down"), SHUTDOWN).unwrap();
    let said = played.host.must(&["stop", "a"]);
    assert!(said.out.contains("a:private: nothing was written"), "{}", said.out);
}

#[test]
fn a_machine_that_ends_before_it_stands_ready_never_did() {
    let played = Played::new(SHUTDOWN, "");
    let told = played.host.vm("a").join(".ready.lock");
    fs::write(&told, "").unwrap();
    let (mut supervisor, mut asker) = played.supervised(&["--instance", "ready", "--ready"], "1");
    let mut said = String::new();
    asker.read_to_string(&mut said).unwrap();
    assert!(said.contains("\"ended\"") && !said.contains("\"started\""), "{said}");
    assert!(supervisor.wait().unwrap().success());
    // Whoever would be told here makes another one.
    assert_eq!(fs::read_to_string(&told).unwrap(), "");
    assert_eq!(played.host.state("a-disp1"), "missing");
}

#[test]
fn a_machine_that_gets_ready_is_stopped_at_once() {
    let played = Played::new("", "");
    let (mut supervisor, _asker) = played.supervised(&["--ready"], "100");
    played.hears("cont", 1);
    played.host.refuses(&["stop", "a"], &["it was never let run"]);
    assert!(supervisor.wait().unwrap().success());
    let heard = fs::read_to_string(played.file("heard")).unwrap();
    assert!(heard.contains("\"quit\"") && !heard.contains("\"stop\""), "{heard}");
}

#[test]
fn a_supervisor_that_is_told_to_end_has_the_guest_shut_down_and_commits() {
    let played = Played::new("", SHUTDOWN);
    played.starts();
    write(&played);
    // As a host that goes down does it: everybody is told at once.
    let (qemu, supervisor) = (played.host.qemu("a"), played.host.supervisor("a").unwrap());
    for pid in [qemu, supervisor] {
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    }
    played.host.until("a", "stopped");
    assert!(!played.host.vm("a").join("private-dirty.img").exists());
    let content = fs::read(played.host.vm("a").join("private.img")).unwrap();
    assert_eq!(content, b"something");
}

#[test]
fn a_machine_keeps_no_descriptor_of_whoever_starts_it() {
    let played = Played::new("", SHUTDOWN);
    let mut start = Command::new("sh");
    // At the end of its output everybody who could write there is gone.
    start.args(["-c", "exec 9>&1; \"$0\" start a >/dev/null 2>&1", env!("CARGO_BIN_EXE_ebbtide")]);
    let environment = played.command(&[]);
    start.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = start.output().unwrap();
    assert!(said.status.success());
    assert_eq!(played.host.state("a"), "running");
    played.host.must(&["stop", "a"]);
}

/// Plays the agent of the guest: each command of its stands in what the script has heard.
fn agent(played: &Played) {
    let run = fs::read_to_string(played.host.vm("a").join("run.toml")).unwrap();
    let run: toml::Table = run.parse().unwrap();
    let socket = UnixListener::bind(run["sockets"]["agent"].as_str().unwrap()).unwrap();
    let heard = played.file("heard");
    thread::spawn(move || {
        let mut stream = socket.accept().unwrap().0;
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            line.retain(|byte| *byte != 0xff);
            let said: serde_json::Value = serde_json::from_slice(&line).unwrap();
            let mut heard = fs::OpenOptions::new().append(true).open(&heard).unwrap();
            heard.write_all(&line).unwrap();
            let id = &said["arguments"]["id"];
            let answer = if id.is_null() { "1".to_owned() } else { id.to_string() };
            let mark: &[u8] = if id.is_null() { b"" } else { b"\xff" };
            stream
                .write_all(&[mark, format!("{{\"return\": {answer}}}\n").as_bytes()].concat())
                .unwrap();
            line.clear();
        }
    });
}

#[test]
fn a_guest_with_an_agent_holds_its_file_systems_around_a_snapshot() {
    let open = r#"{"event": "VSERPORT_CHANGE", "data": {"id": "qga", "open": true}}"#;
    let played = Played::new(open, SHUTDOWN);
    played.starts();
    agent(&played);
    let pool = ebbtide::pool::Pool::open(&played.host.pool()).unwrap();
    let name = "a".parse().unwrap();
    let vm = pool.vm(&name).unwrap();
    let ebbtide::vm::Status::Running(run) = ebbtide::vm::status(&pool, &vm).unwrap() else {
        panic!("it does not run");
    };
    // That there is an agent, the supervisor hears from QEMU, at some moment after the start.
    let started = Instant::now();
    let heard = loop {
        fs::write(played.file("heard"), "").unwrap();
        ebbtide::engine::qemu::snapshot(&name, &run, None, false, &mut |_| {}).unwrap();
        let heard = fs::read_to_string(played.file("heard")).unwrap();
        if heard.contains("guest-fsfreeze-freeze") || started.elapsed() > Duration::from_secs(20) {
            break heard;
        }
    };
    let words = ["guest-fsfreeze-freeze", "\"stop\"", "\"cont\"", "guest-fsfreeze-thaw"];
    let said = heard.lines().filter_map(|line| words.into_iter().find(|word| line.contains(word)));
    assert_eq!(said.collect::<Vec<&str>>(), words);
}
