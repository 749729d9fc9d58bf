//! Versions that are too many go: out of sight at once, and from the disk in the background.
//!
//! With the last name of a file, its extents are freed: on btrfs 100,000 of them take half a second, in which whoever
//! commits would wait, and the pool be locked.

use super::{Plan, Seen};
use crate::{
    pool::{driver::Volume, step::Step},
    volume::{FileKind, Files, Revision},
};

/// What a version that goes is called, with its number and time behind it.
const PURPOSE: &str = "pruned";

/// Returns the step that takes a version away.
pub(super) fn step(files: &Files, revision: Revision) -> Step {
    let from = files.path(&FileKind::Revision(revision));
    Step::Rename { from, to: files.aside(&name(revision)) }
}

/// Returns what a version is set aside for that goes.
pub(crate) fn name(revision: Revision) -> String {
    format!("{PURPOSE}{revision}")
}

/// Returns whether what was set aside for this purpose is a version that goes.
#[must_use]
pub fn is_pruned(purpose: &str) -> bool {
    purpose.starts_with(PURPOSE)
}

/// Plans to free what versions that go take. It needs no flush: one that comes back with a power cut goes again.
#[must_use]
pub fn plan(volume: &Volume, seen: &Seen) -> Plan<()> {
    let pruned = seen.asides.iter().filter(|purpose| is_pruned(purpose));
    Plan::new(pruned.map(|purpose| Step::Remove(volume.files.aside(purpose))).collect(), ())
}
