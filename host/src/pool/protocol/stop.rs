//! What a start began is ended.

use super::{Plan, Seen, commit, discard};
use crate::{
    error::Refusal,
    pool::{
        driver::{Ending, Outcome, Volume},
        step::Step,
    },
};
use std::time::SystemTime;

/// Plans a stop. What is kept ends as `ending` says, unless nothing was written; everything else is removed.
///
/// # Errors
/// The numbers of revisions are used up.
pub fn plan(
    volume: &Volume,
    seen: &Seen,
    ending: Ending,
    marker: Option<SystemTime>,
    now: SystemTime,
) -> Result<Plan<Outcome>, Refusal> {
    if !volume.role.is_kept() {
        return Ok(Plan::new(forget(volume, seen), Outcome::Forgotten));
    }
    if seen.dirty.is_none() || seen.is_unwritten(marker) {
        return commit::plan(volume, seen, marker, now);
    }
    match ending {
        Ending::Commit => commit::plan(volume, seen, marker, now),
        Ending::Keep => Ok(Plan::new(Vec::new(), Outcome::Kept)),
        Ending::Discard => {
            let plan = discard::plan(volume, seen, marker)?;
            Ok(Plan::new(plan.steps, Outcome::Discarded))
        }
    }
}

/// The copy first: the link tells which version it was of.
fn forget(volume: &Volume, seen: &Seen) -> Vec<Step> {
    let dirty = seen.dirty.map(|_| Step::Remove(volume.files.dirty()));
    let clean = seen.clean.map(|_| Step::Remove(volume.files.clean()));
    dirty.into_iter().chain(clean).collect()
}
