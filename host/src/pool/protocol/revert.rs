//! A kept version becomes the current one again.

use super::{Plan, Seen, clear, only_committed, only_kept, replace::Replacement};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{
        driver::{Outcome, Volume},
        step::Step,
    },
    volume::{FileKind, Revision},
};
use std::collections::BTreeSet;

/// Plans a revert. What is current is kept first, whatever the retention says, and the revision stays: nothing is lost
/// by a revert that the next revert could not bring back.
///
/// # Errors
/// There is no such revision; something is uncommitted; the volume keeps nothing.
pub fn plan(volume: &Volume, seen: &Seen, to: Revision) -> Result<Plan<Outcome>, Refusal> {
    only_kept(volume, "reverted")?;
    only_committed(volume, seen, "reverted")?;
    let target = seen.revisions.get(&to).ok_or_else(|| no_revision(volume, &seen.numbers(), to))?;
    if seen.clean.is_some_and(|clean| clean.inode == target.inode) {
        return Ok(Plan::new(vec![super::sync_dir(volume)], Outcome::Unchanged));
    }
    let from = volume.files.aside("revert");
    let mut steps: Vec<Step> = clear(volume, seen, "revert").into_iter().collect();
    steps.extend(seen.precache.map(|_| Step::Remove(volume.files.precache())));
    let revision = volume.files.path(&FileKind::Revision(to));
    steps.push(Step::Link { from: revision, to: from.clone() });
    let retention = volume.retention.at_least(1);
    let replace = Replacement { volume, seen, from, inode: target.inode, retention }.steps()?;
    steps.extend(replace.replace);
    Ok(Plan { steps, afterwards: replace.prune, outcome: Outcome::Committed(replace.kept) })
}

/// Returns the refusal of a version that is not kept; `there` are those that are.
pub(in crate::pool) fn no_revision(
    volume: &Volume,
    there: &BTreeSet<Revision>,
    wanted: Revision,
) -> Refusal {
    let there: Vec<String> = there.iter().map(Revision::to_string).collect();
    let there = if there.is_empty() { "none".into() } else { there.join(", ") };
    let text = format!("{} has no kept version {wanted}; it has {there}", volume.id);
    Refusal::new(RefusalKind::Missing, text)
}
