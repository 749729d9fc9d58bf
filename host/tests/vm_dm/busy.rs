//! A device that has to go and is open: the refusal says by whom, nothing is half removed, and it goes when that has ended.

use crate::{
    content::Content,
    host::{Host, TEMPLATE, said},
    machine::{Machine, on_one},
    mapped::{devices, nothing_is_left, run},
};
use ebbtide::pool::driver::{Ending, Outcome};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use vmtest::{Result, require};

const BLOCKS: usize = 64;

/// One boot.
#[test]
fn what_is_open_is_not_removed() -> Result<()> {
    on_one(
        require!(Machine::start("ext4", 128)),
        &[
            "busy::a_program_that_has_a_version_open_is_named",
            "busy::a_device_over_a_version_is_named",
            "busy::a_template_that_is_open_is_not_committed",
            "busy::a_version_that_others_use_may_be_open",
        ],
    )
}

/// Starts a program that has a device open.
fn open(disk: &Path) -> Child {
    let mut sleep = Command::new("sleep");
    let file = std::fs::File::open(disk).unwrap();
    let child = sleep.arg("1000").stdin(Stdio::from(file)).spawn().unwrap();
    // A process runs its program a moment before it has the program's name.
    let name = format!("/proc/{}/comm", child.id());
    let begun = Instant::now();
    while std::fs::read_to_string(&name).unwrap() != "sleep\n" {
        assert!(begun.elapsed() < Duration::from_secs(20), "{name} is not that of sleep");
        std::thread::yield_now();
    }
    child
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_program_that_has_a_version_open_is_named() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("opened", 2, &first, &["a"]) else { return };
    let version = host.start("a");
    let child = open(&version);
    let (names, mapped) = (host.names("a"), devices());
    for _ in 0..2 {
        let refusal = said(host.try_stop("a", Ending::Commit));
        let process = format!("sleep (process {})", child.id());
        assert!(refusal.contains(&process), "{refusal}");
        assert!(refusal.contains(version.to_str().unwrap()), "{refusal}");
        assert_eq!(devices(), mapped);
        // What is no version's goes: the volatile disk has been ended by now.
        let kept: Vec<_> = names.iter().filter(|name| !name.starts_with("volatile")).collect();
        assert_eq!(host.names("a").iter().collect::<Vec<_>>(), kept);
        first.is_on(&version);
    }
    end(child);
    host.stop("a");
    nothing_is_left();
    assert_eq!(host.names("a"), ["vm.toml"]);
}

#[test]
fn a_device_over_a_version_is_named() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("above", 2, &first, &["a"]) else { return };
    let version = host.start("a");
    let table = format!("0 8 linear {} 0", version.display());
    run("dmsetup", &["create", "theirs", "--table", &table]);
    let node = std::fs::read_link("/dev/mapper/theirs").ok();
    let refusal = said(host.try_stop("a", Ending::Commit));
    assert!(refusal.contains("/dev/dm-"), "{node:?}: {refusal}");
    first.is_on(&version);
    run("dmsetup", &["remove", "theirs"]);
    host.stop("a");
    nothing_is_left();
}

/// Whoever has the origin open may still write: there is no new version until that has ended.
#[test]
fn a_template_that_is_open_is_not_committed() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("written", 2, &first, &["a"]) else { return };
    let root = host.start(TEMPLATE);
    let second = first.with(0..8, 2);
    second.write(&root, &first);
    let child = open(&root);
    for ending in [Ending::Commit, Ending::Discard, Ending::Keep] {
        let names = host.names(TEMPLATE);
        let refusal = said(host.try_stop(TEMPLATE, ending));
        assert!(refusal.contains("sleep (process"), "{refusal}");
        let still: Vec<_> = host.names(TEMPLATE);
        let gone: Vec<_> = names.iter().filter(|name| !still.contains(name)).collect();
        assert!(gone.iter().all(|name| name.starts_with("volatile")), "{gone:?}");
        second.is_on(&root);
        first.is_on(&host.start("a"));
        host.stop("a");
    }
    end(child);
    assert!(matches!(host.stop(TEMPLATE), Outcome::Committed(_)));
    second.is_on(&host.start("a"));
    host.stop("a");
    nothing_is_left();
}

/// Only the last user's stop removes a device.
#[test]
fn a_version_that_others_use_may_be_open() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("others", 2, &first, &["a", "b"]) else { return };
    let version = host.start("a");
    host.start("b");
    let child = open(&version);
    host.stop("a");
    first.is_on(&version);
    said(host.try_stop("b", Ending::Commit));
    assert_eq!(devices().into_iter().collect::<Vec<_>>(), [host.used("b")]);
    end(child);
    host.stop("b");
    nothing_is_left();
}
