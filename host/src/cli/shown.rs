//! Versions and states as they are printed.

use super::{failure, human};
use ebbtide::{Error, Result, pool::driver::Version, vm::Status, volume::Revision};
use serde::Serialize;

/// A version: its file and sizes, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct VersionShown {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) allocated: u64,
    /// Nothing for an image that was started and not written to.
    pub(crate) modified: Option<jiff::Timestamp>,
}

impl From<Version> for VersionShown {
    fn from(version: Version) -> Self {
        Self {
            inode: version.inode.number,
            size: version.size.0,
            allocated: version.allocated.0,
            // Whoever starts a volume sets the time of what it writes to back, to see whether it does.
            modified: Some(version.modified).filter(|time| time.as_second() != 0),
        }
    }
}

/// A kept version's number and time.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct RevisionShown {
    pub(crate) number: Option<u64>,
    pub(crate) time: jiff::Timestamp,
}

impl From<Revision> for RevisionShown {
    fn from(revision: Revision) -> Self {
        Self { number: revision.number, time: revision.time }
    }
}

/// Returns how a kept version is called.
pub(crate) fn revision_name(revision: impl Into<RevisionShown>) -> String {
    let revision = revision.into();
    match revision.number {
        Some(number) => format!("revision {number}"),
        None => format!("the revision of {}", human::time(revision.time)),
    }
}

/// Returns the word for a state.
pub(crate) fn state(status: &Status) -> &'static str {
    match status {
        Status::Stopped => "stopped",
        Status::Running(_) => "running",
        Status::Prepared(_) => "prepared",
        Status::Elsewhere(_) => "elsewhere",
        Status::Busy { .. } => "busy",
        Status::CutOff(_) => "cut off",
    }
}

/// Says which VMs cannot be shown.
///
/// # Errors
/// The last of them.
pub(crate) fn unreadable(mut errors: Vec<Error>) -> Result<()> {
    let last = errors.pop();
    errors.iter().for_each(failure::tell);
    last.map_or(Ok(()), Err)
}

/// Returns the state for a table.
pub(crate) fn state_cell(state: &str, uncommitted: bool) -> String {
    if uncommitted { format!("{state}, uncommitted") } else { state.to_owned() }
}

/// Returns when a version was written, for a table.
pub(crate) fn written(version: &VersionShown) -> String {
    version.modified.map_or("not yet".into(), human::time)
}
