//! Disposables: from the beginning, from a hot savestate, and those that stand ready. The machines find nothing to boot.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod machines;

use machines::{Host, end, is_gone, qemu_is_there};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How long something in the background may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for something that is done in the background.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Returns a member of `vm show`.
fn shown(host: &Host, vm: &str, member: &str) -> String {
    let json = host.must(&["vm", "show", vm, "--json"]).out;
    let line = json.lines().find_map(|line| line.trim().strip_prefix(&format!("\"{member}\": ")));
    line.unwrap_or_default().trim_end_matches(',').trim_matches('"').to_owned()
}

fn names(host: &Host) -> Vec<String> {
    let listed = host.must(&["vm", "list", "--all"]).out;
    listed.lines().skip(1).filter_map(|line| Some(line.split_whitespace().next()?.into())).collect()
}

/// Returns the savestate that a VM's machine goes on from.
fn resumed(host: &Host, vm: &str) -> Option<String> {
    let run = fs::read_to_string(host.vm(vm).join("run.toml")).unwrap();
    run.lines().find_map(|line| line.strip_prefix("resumed = ")).map(str::to_owned)
}

fn disposable(host: &Host, of: &str) -> String {
    host.must(&["start", of, "--disposable"]).out.trim().to_owned()
}

fn has_hot(host: &Host, vm: &str) -> bool {
    let listed = host.must(&["savestate", "list", vm]).out;
    listed.contains("hot") && listed.contains("current")
}

#[test]
fn an_amnesiac_app_vm_leaves_nothing() -> vmtest::Result<()> {
    qemu_is_there()?;
    let host = Host::new().blank(&["work"]);
    let (one, two) = (disposable(&host, "work"), disposable(&host, "work"));
    assert_eq!((&*one, &*two), ("work-disp1", "work-disp2"));
    assert!(resumed(&host, &one).is_none());
    host.must(&["start", "work"]);
    // What is to be removed waits for what was started of it.
    let said = host.must(&["vm", "remove", "work"]).err;
    assert!(said.contains("it runs, work-disp1, a start of it, runs"), "{said}");
    host.must(&["stop", "work", "--force"]);
    host.must(&["stop", &one, "--force"]);
    assert_eq!(names(&host), ["work", "work-disp2"]);
    host.must(&["stop", &two, "--force"]);
    assert!(names(&host).is_empty());
    assert!(is_gone(&host.vm("work")) && host.sockets().is_empty());
    Ok(())
}

#[test]
fn one_that_stays_is_made_of_an_immutable_vm() -> vmtest::Result<()> {
    qemu_is_there()?;
    let host = Host::new().blank(&["work"]);
    host.must(&["vm", "set", "work", "immutable=yes"]);
    assert_eq!(host.must(&["start", "work"]).out, "work-inst1\n");
    host.refuses(&["vm", "set", "work", "immutable=no"], &["work-inst1, a start of it, runs"]);
    host.must(&["stop", "work-inst1", "--force"]);
    assert_eq!(names(&host), ["work", "work-inst1"]);
    // It is a VM as any other: its next start is its own.
    host.must(&["start", "work-inst1"]);
    assert_eq!(host.state("work-inst1"), "running");
    Ok(())
}

#[test]
fn those_that_stand_ready_are_handed_over_once_and_failed_ones_never() -> vmtest::Result<()> {
    qemu_is_there()?;
    let host = Host::new().blank(&["work"]);
    host.refuses(&["vm", "set", "work", "ready=2"], &["no hot savestates"]);
    host.must(&["vm", "set", "work", "hot=0s", "ready=2", "memory=32M"]);
    let stand = |count: &str| shown(&host, "work", "standing") == count;
    until("two stand ready", || stand("2"));
    // They are nobody's yet.
    assert_eq!(host.must(&["vm", "list"]).out.lines().count(), 2);
    // One is killed while it stands there: it is gone, and another one is made.
    end(host.qemu("work-disp1"));
    let told = || shown(&host, "work", "ahead_failed");
    until("it is told", || told().starts_with("work-disp1 stood ready, and has ended"));
    until("another one stands there", || stand("2"));
    // Two people at once.
    let (one, two) = thread::scope(|scope| {
        let start = || scope.spawn(|| disposable(&host, "work"));
        let (one, two) = (start(), start());
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_ne!(one, two);
    for name in [&one, &two] {
        assert_eq!(host.state(name), "running", "{name}");
        assert!(resumed(&host, name).is_some(), "{name} goes on from the savestate");
        assert_eq!(shown(&host, name, "instance"), "disposable");
    }
    until("they are made again", || stand("2"));
    // A newer version of the VM has newer ones.
    let before = resumed(&host, &one);
    host.must(&["vm", "set", "work", "swap=2M"]);
    until("they are of the newer savestate", || {
        stand("2") && has_hot(&host, "work") && resumed(&host, &disposable(&host, "work")) != before
    });
    host.must(&["vm", "set", "work", "ready=0", "hot=no"]);
    until("none stand ready", || stand("0"));
    for name in names(&host).iter().filter(|name| name.contains("-disp")) {
        host.must(&["stop", name, "--force"]);
    }
    assert_eq!(names(&host), ["work"]);
    host.must(&["pool", "check"]);
    Ok(())
}

#[test]
fn a_versioned_vm_is_a_factory_of_disposables() -> vmtest::Result<()> {
    qemu_is_there()?;
    let host = Host::new().blank(&["work"]);
    host.must(&["vm", "set", "work", "memory=32M", "hot=0s", "versioned=auto"]);
    until("the first version has a savestate", || has_hot(&host, "work-v1"));
    let one = disposable(&host, "work");
    assert_eq!(one, "work-disp1");
    assert!(resumed(&host, &one).is_some());
    // It is worked on meanwhile; what is imported is new as what a guest writes is.
    fs::write(host.beside("new"), vec![b'x'; 1 << 20]).unwrap();
    host.must(&["volume", "import", "work-next:private", host.beside("new").to_str().unwrap()]);
    host.must(&["vm", "commit", "work-next"]);
    until("the second version has a savestate", || has_hot(&host, "work-v2"));
    let two = disposable(&host, "work");
    assert_eq!(
        (shown(&host, &one, "base"), shown(&host, &two, "base")),
        ("work-v1".into(), "work-v2".into())
    );
    let private = |vm: &str| fs::read(host.vm(vm).join("private-dirty.img")).unwrap()[0];
    assert_eq!((private(&one), private(&two)), (0, b'x'));
    // The first version goes with the last that was started of it, and its savestate with it.
    host.must(&["stop", &one, "--force"]);
    assert_eq!(names(&host), ["work-disp2", "work-next", "work-v2"]);
    assert_eq!(fs::read_dir(host.pool().join("savestates")).unwrap().count(), 1);
    host.must(&["pool", "check"]);
    Ok(())
}
