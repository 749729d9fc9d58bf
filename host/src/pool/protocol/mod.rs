//! What is done to a volume's files, decided from what was seen of them.
//!
//! In: a [`Volume`] and what is [`Seen`] of it. Out: a [`Plan`] or a [`Refusal`]. Nothing here touches a file. A plan
//! that was cut at any step is made again from what is seen then, and comes to the same end; [`recover`] undoes what is
//! half done. What is being made has a name of its own until a rename puts it into place, and what a rename brings
//! into place was made durable before.

pub mod adopt;
pub mod commit;
pub mod create;
pub mod discard;
pub mod export;
pub mod import;
pub mod precache;
pub mod prune;
pub mod recover;
pub mod remove;
mod replace;
pub mod resize;
pub mod restore;
pub mod resume;
pub mod revert;
pub mod seen;
pub mod start;
pub mod stop;

pub use seen::Seen;

use super::{driver::Volume, step::Step};
use crate::{
    error::{Refusal, RefusalKind},
    volume::Role,
};

/// Steps, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<T> {
    /// In this order; the first that fails ends them.
    pub steps: Vec<Step>,
    /// What else is done when they are done. That it fails costs room and nothing else.
    pub afterwards: Vec<Step>,
    /// What is true then.
    pub outcome: T,
}

impl<T> Plan<T> {
    /// Returns a plan without anything afterwards.
    pub(crate) fn new(steps: Vec<Step>, outcome: T) -> Self {
        Self { steps, afterwards: Vec::new(), outcome }
    }
}

/// Returns the step that makes the names of a volume's files durable.
pub(super) fn sync_dir(volume: &Volume) -> Step {
    Step::SyncDir(volume.files.dir.clone())
}

/// Returns the step that makes room for what is made for `purpose`, when a cut has left something there.
fn clear(volume: &Volume, seen: &Seen, purpose: &str) -> Option<Step> {
    seen.asides.contains(purpose).then(|| Step::Remove(volume.files.aside(purpose)))
}

/// Refuses volumes that do not keep anything of their own. `done` is what was wanted: `resized`.
pub(super) fn only_kept(volume: &Volume, done: &str) -> Result<(), Refusal> {
    let id = &volume.id;
    match &volume.role {
        Role::Origin | Role::OriginSnapshot { .. } => Ok(()),
        Role::Snapshot { of } => Err(Refusal::new(
            RefusalKind::Rule,
            format!("{id} cannot be {done}: at every start it is the current version of {of}"),
        )
        .hint(format!("name {of}, of which it gets the new version at its next start"))),
        Role::Volatile => Err(Refusal::new(
            RefusalKind::Rule,
            format!("{id} cannot be {done}: it is empty at every start"),
        )),
    }
}

/// Refuses when there is something that no version has. `done` is what was wanted: `reverted`.
pub(super) fn only_committed(volume: &Volume, seen: &Seen, done: &str) -> Result<(), Refusal> {
    match seen.dirty {
        None => Ok(()),
        Some(_) => Err(uncommitted(volume, done)),
    }
}

/// Refuses that there is something that no version has.
pub(crate) fn uncommitted(volume: &Volume, done: &str) -> Refusal {
    let (dirty, vm) = (volume.files.dirty(), &volume.id.vm);
    let text = format!(
        "{} cannot be {done}: {} has what a VM wrote and nobody committed",
        volume.id,
        dirty.display()
    );
    let hint = format!("start {vm} again and stop it, or commit or discard what it wrote");
    Refusal::new(RefusalKind::Rule, text).hint(hint)
}

/// Refuses that a volume has no version.
pub(super) fn no_version(volume: &Volume) -> Refusal {
    let path = volume.files.clean();
    Refusal::new(
        RefusalKind::Missing,
        format!("{} has no current version: {} is not there", volume.id, path.display()),
    )
}
