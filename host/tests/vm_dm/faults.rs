//! What other drivers get wrong, and this one does not: a version goes too early, something stays, a store overflows.

use crate::{
    content::Content,
    host::{Host, TEMPLATE},
    machine::{Machine, on_one},
    mapped::{devices, nothing_is_left, run},
};
use vmtest::{Result, require};

const BLOCKS: usize = 512;

/// One boot.
#[test]
fn faults_of_other_drivers_are_not_ours() -> Result<()> {
    on_one(
        require!(Machine::start("ext4", 256)),
        &[
            "faults::a_version_stays_while_its_template_runs",
            "faults::a_version_that_nobody_has_opened_yet_stays",
            "faults::a_store_never_overflows",
        ],
    )
}

/// The last AppVM goes while the template writes: the next one begins with the same version, not with half of the next.
#[test]
fn a_version_stays_while_its_template_runs() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("shared", 2, &first, &["a", "b"]) else { return };
    let root = host.start(TEMPLATE);
    first.is_on(&host.start("a"));
    let half = first.with(0..BLOCKS / 2, 2);
    half.write(&root, &first);
    host.stop("a");
    assert!(devices().contains(&host.current()), "what keeps the version is gone");
    let second = first.with(0..BLOCKS, 2);
    second.write(&root, &half);
    let version = host.start("b");
    first.is_on(&version);
    second.is_on(&root);
    host.stop(TEMPLATE);
    second.is_on(&host.start("a"));
    first.is_on(&version);
    host.stop("a");
    host.stop("b");
    nothing_is_left();
}

/// The template ends between the moment at which an AppVM's root is made and the one at which its engine opens that.
#[test]
fn a_version_that_nobody_has_opened_yet_stays() {
    let mut now = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("unopened", 2, &now, &["a"]) else { return };
    for (writing, is_started_first) in [(2, true), (3, false)] {
        let early = is_started_first.then(|| host.start("a"));
        let root = host.start(TEMPLATE);
        let made = early.unwrap_or_else(|| host.start("a"));
        let next = now.with((0..BLOCKS).step_by(3), writing);
        next.write(&root, &now);
        host.stop(TEMPLATE);
        assert_eq!(devices().into_iter().collect::<Vec<_>>(), [host.used("a")]);
        now.is_on(&made);
        host.stop("a");
        nothing_is_left();
        now = next;
    }
    // Nothing is written.
    let made = host.start("a");
    host.start(TEMPLATE);
    host.stop(TEMPLATE);
    now.is_on(&made);
    host.stop("a");
    nothing_is_left();
}

/// Every chunk is written, for sizes around those at which a store needs one more area: 256 exceptions of 16 bytes fill
/// one of 4 KiB.
#[test]
fn a_store_never_overflows() {
    for blocks in [1, 255, 256, 257, 512, 1021] {
        let first = Content::all(blocks, 1);
        let called = format!("whole-{blocks}");
        let Some(host) = Host::new(&called, 2, &first, &["a"]) else { return };
        let version = host.start("a");
        let root = host.start(TEMPLATE);
        let second = Content::all(blocks, 2);
        second.write(&root, &first);
        let status = run("dmsetup", &["status", &host.current()]);
        assert!(status.contains('/'), "{blocks} blocks: {status}");
        first.is_on(&version);
        host.stop(TEMPLATE);
        first.is_on(&version);
        host.stop("a");
        second.is_on(&host.start("a"));
        host.stop("a");
        nothing_is_left();
    }
}
