//! What a VM wrote becomes the new version.
//!
//! SyncDirty → KeepRevision → ReplaceClean → SyncDir → Prune. Before ReplaceClean a cut leaves the old version and the
//! dirty image, and at most a second name of the old version; after it the new version.

use super::{Plan, Seen, only_kept, replace::Replacement, sync_dir};
use crate::{
    error::Refusal,
    pool::{
        driver::{Outcome, Volume},
        step::Step,
    },
};
use std::time::{Duration, SystemTime};

/// Plans a commit of a kept volume. `marker` is the time that a start in this boot of the machine gives to what is not
/// written yet. What is not written becomes the next dirty image again.
///
/// # Errors
/// The volume keeps nothing; the numbers of revisions are used up.
pub fn plan(
    volume: &Volume,
    seen: &Seen,
    marker: Option<SystemTime>,
    now: SystemTime,
) -> Result<Plan<Outcome>, Refusal> {
    only_kept(volume, "committed")?;
    let Some(dirty) = seen.dirty else {
        // A repeat makes durable what a cut one may have left undone.
        return Ok(Plan::new(vec![sync_dir(volume)], Outcome::Unchanged));
    };
    if seen.is_unwritten(marker) {
        return Ok(put_back(volume, seen, Outcome::Unchanged));
    }
    let from = volume.files.dirty();
    let mut steps = Vec::new();
    if is_marked(dirty.modified) {
        // Marked in another boot: whether it was written is not known, and the version's time is not 1970.
        steps.push(Step::SetModified { path: from.clone(), time: now });
    }
    steps.push(Step::SyncFile(from.clone()));
    let retention = volume.retention.clone();
    let replace = Replacement { volume, seen, from, inode: dirty.inode, retention }.steps()?;
    steps.extend(replace.replace);
    let mut afterwards = replace.prune;
    if seen.precache.is_some() && !seen.precaching {
        afterwards.push(Step::Remove(volume.files.precache()));
    }
    Ok(Plan { steps, afterwards, outcome: Outcome::Committed(replace.kept) })
}

/// Returns whether a time is the marker of this or another boot: within the first second of 1970.
fn is_marked(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since < Duration::from_secs(1))
}

/// Plans the end of a start after which nothing was written: the dirty image is the next one again.
///
/// It gets the time of the clean image last, and after its old name is durably gone: a dirty image with that time would
/// count as written, and a commit of it would push out a version for nothing.
pub(super) fn put_back<T>(volume: &Volume, seen: &Seen, outcome: T) -> Plan<T> {
    let (dirty, precache) = (volume.files.dirty(), volume.files.precache());
    match seen.clean {
        Some(clean) if !seen.precaching && !seen.precache_is_current() => Plan {
            steps: vec![Step::Rename { from: dirty, to: precache.clone() }, sync_dir(volume)],
            afterwards: vec![Step::SetModified { path: precache, time: clean.modified }],
            outcome,
        },
        _ => Plan::new(vec![Step::Remove(dirty), sync_dir(volume)], outcome),
    }
}
