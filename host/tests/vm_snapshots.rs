//! Snapshots and machines that run.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use machines::{Host, hears_its_power_button, is_gone, qemu_is_there};
use std::fs;
use vmtest::{Image, Result, require};

const MARK: &str = "echo kept on purpose | dd of=/dev/vdb bs=512 seek=100 conv=fsync 2>&1";

/// Returns whether the mark is on the private disk of `a`.
fn is_marked(host: &Host) -> bool {
    let disk = fs::read(host.vm("a").join("private.img")).unwrap();
    disk[100 * 512..].starts_with(b"kept on purpose")
}

#[test]
fn a_vm_that_runs_is_shut_down_and_what_it_wrote_is_a_version() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().booting(&require!(Image::named("stage")), &["a"]);
    host.must(&["snapshot", "create", "a", "--name", "empty"]);
    let a = host.start("a");
    a.run(MARK)?;
    hears_its_power_button(&a)?;
    let said = host.must(&["snapshot", "revert", "empty"]);
    assert!(said.err.contains("a runs, and is shut down first"), "{}", said.err);
    assert!(said.out.contains("the version before is kept as revision 2"), "{}", said.out);
    assert_eq!((host.state("a").as_str(), is_marked(&host)), ("stopped", false));
    assert!(is_gone(&host.vm("a").join("private-dirty.img")));
    host.must(&["volume", "revert", "a:private", "2"]);
    assert!(is_marked(&host));
    host.must(&["pool", "check"]);
    Ok(())
}

#[test]
fn a_vm_that_does_not_shut_down_goes_on_and_is_not_reverted() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    host.must(&["snapshot", "create", "a", "--name", "empty"]);
    let before = fs::read(host.vm("a").join("vm.toml")).unwrap();
    host.must(&["start", "a"]);
    host.refuses(&["snapshot", "revert", "empty", "--timeout", "1"], &["has not shut down"]);
    assert_eq!(host.state("a"), "running");
    assert_eq!(fs::read(host.vm("a").join("vm.toml")).unwrap(), before);
    host.must(&["stop", "a", "--force", "--discard"]);
    host.must(&["pool", "check"]);
}

#[test]
fn a_tree_has_snapshots_of_the_vm_stopped_running_and_as_a_whole_machine() {
    require!(qemu_is_there());
    let host = Host::new().blank(&["a"]);
    let take = |name: &str, more: &[&str]| {
        host.must(&[&["snapshot", "create", "a", "--name", name][..], more].concat());
    };
    take("stopped", &[]);
    host.refuses(&["snapshot", "create", "a", "--memory"], &["does not run"]);
    host.must(&["start", "a"]);
    take("running", &[]);
    take("machine", &["--memory"]);
    assert_eq!(host.state("a"), "running", "it went on");
    host.must(&["stop", "a", "--force"]);
    host.must(&["snapshot", "revert", "stopped"]);
    take("other way", &[]);
    let drawn = host.must(&["snapshot", "tree", "a"]).out;
    let shape: Vec<String> = drawn
        .lines()
        .map(|line| {
            let label = ["stopped", "running", "machine", "other way", "now"];
            let label = label.into_iter().find(|label| line.contains(label)).unwrap_or("a");
            format!(
                "{}{label}",
                " ".repeat(
                    line.chars().position(|c| c.is_alphanumeric() || c == '*').unwrap_or(0) / 3
                )
            )
        })
        .collect();
    assert_eq!(
        shape,
        ["a", " stopped", "  running", "   machine", "  other way", "   now"],
        "{drawn}"
    );
    // The whole machine goes on as another VM, beside the VM itself.
    host.must(&["snapshot", "clone", "machine", "b"]);
    host.must(&["start", "a"]);
    host.must(&["start", "b", "--from", "machine"]);
    assert_eq!((host.state("a"), host.state("b")), ("running".into(), "running".into()));
    for name in ["a", "b"] {
        host.must(&["stop", name, "--force", "--discard"]);
    }
    host.must(&["pool", "check"]);
}
