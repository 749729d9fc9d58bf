//! What a machine that runs is asked: who runs it, what QEMU knows of it, and what its guest's agent is told to do.

use super::Host;
use ::qemu::{Agent, Deadline};
use ebbtide::{
    engine::qemu,
    pool::Pool,
    vm::{Run, Status, status},
};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long something in the background, or a guest, may take, beside machines of other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Opens the pool.
pub(crate) fn pool(host: &Host) -> Pool {
    Pool::open(&host.pool()).unwrap()
}

/// Returns who runs a VM.
#[track_caller]
pub(crate) fn run(host: &Host, name: &str) -> Run {
    let pool = pool(host);
    let vm = pool.vm(&name.parse().unwrap()).unwrap();
    match status(&pool, &vm).unwrap() {
        Status::Running(run) => run,
        other => panic!("{name} does not run: {other:?}"),
    }
}

/// Asks the QEMU of a VM.
pub(crate) fn ask(host: &Host, name: &str, command: &str, arguments: &Value) -> Value {
    qemu::monitor(&run(host, name)).unwrap().execute(command, arguments).unwrap()
}

/// Returns the address of a machine's network card.
pub(crate) fn address(host: &Host, name: &str) -> String {
    let nic = json!({"path": "/machine/peripheral/nic", "property": "mac"});
    ask(host, name, "qom-get", &nic).as_str().unwrap().to_owned()
}

/// Returns the id by which a guest knows that it is another machine than it was.
pub(crate) fn generation(host: &Host, name: &str) -> String {
    let found = ask(host, name, "query-vm-generation-id", &json!({}));
    found["guid"].as_str().unwrap().to_owned()
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < LIMIT, "{what} has not come");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for the savestate of a VM that has one and where it is current, and returns its UUID.
#[track_caller]
pub(crate) fn hot(host: &Host, name: &str) -> String {
    let mut found = Value::Null;
    until("the hot savestate", || {
        let listed = host.must(&["--json", "savestate", "list", name]).out;
        found = serde_json::from_str::<Value>(&listed).unwrap()[0].clone();
        found["is_current"] == true
    });
    found["uuid"].as_str().unwrap().to_owned()
}

/// Has a guest's shell do something, by the agent, and returns what it printed.
#[track_caller]
pub(crate) fn agent_runs(host: &Host, name: &str, script: &str) -> String {
    // QEMU takes one client at a time, and the supervisor is one for a moment.
    let mut agent = Agent::connect(&run(host, name).sockets["agent"]).unwrap();
    let deadline = Deadline::after(LIMIT);
    agent.wait(deadline).unwrap();
    let words = json!({"path": "/bin/sh", "arg": ["-c", script], "capture-output": true});
    let pid = agent.execute("guest-exec", &words, deadline).unwrap()["pid"].clone();
    let mut ended = Value::Null;
    until(script, || {
        ended = agent.execute("guest-exec-status", &json!({"pid": pid}), deadline).unwrap();
        ended["exited"] == true
    });
    assert_eq!(ended["exitcode"], 0, "{script}: {ended}");
    decoded(ended["out-data"].as_str().unwrap_or_default())
}

/// Returns what Base64 stands for.
fn decoded(text: &str) -> String {
    let mut decoder = Command::new("base64")
        .arg("-d")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    decoder.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(decoder.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}
