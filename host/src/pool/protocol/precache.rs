//! The next dirty image is made before somebody waits for it.
//!
//! Its time becomes the clean image's before it gets its name: that is how it is known as a copy of that version. And it
//! is durable before, so that a start has only to rename it.

use super::{Plan, Seen, clear};
use crate::pool::{driver::Volume, step::Step, store::Inode};

/// What the copy is called.
pub const PURPOSE: &str = "precache";

/// Plans the copy; the outcome is the version that it is of. `None`: there is nothing to do.
#[must_use]
pub fn copy(volume: &Volume, seen: &Seen) -> Option<Plan<Inode>> {
    let clean = seen.clean.filter(|_| volume.role.is_kept())?;
    if seen.precache_is_current() || seen.dirty.is_some() {
        return None;
    }
    let files = &volume.files;
    let to = files.aside(PURPOSE);
    let mut steps: Vec<Step> = clear(volume, seen, PURPOSE).into_iter().collect();
    steps.extend(seen.precache.map(|_| Step::Remove(files.precache())));
    steps.extend([
        Step::CloneImage { from: files.clean(), to: to.clone() },
        Step::SetModified { path: to.clone(), time: clean.modified },
        Step::SyncFile(to),
    ]);
    Some(Plan::new(steps, clean.inode))
}

/// Plans to put the copy of version `of` into place, or to drop it when that is not the current one any more: a commit
/// does not wait.
#[must_use]
pub fn place(volume: &Volume, seen: &Seen, of: Inode) -> Plan<()> {
    let from = volume.files.aside(PURPOSE);
    let is_current = seen.clean.is_some_and(|clean| clean.inode == of);
    let step = if is_current {
        Step::Rename { from, to: volume.files.precache() }
    } else {
        Step::Remove(from)
    };
    Plan::new(vec![step], ())
}
