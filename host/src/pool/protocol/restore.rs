//! An image that is kept elsewhere in the pool becomes the current version, by a link.

use super::{Plan, Seen, clear, only_committed, only_kept, replace::Replacement};
use crate::{
    error::Refusal,
    pool::{
        driver::{Outcome, Volume},
        step::Step,
        store::Inode,
    },
};
use std::path::Path;

/// Plans that the file `image`, which nobody writes to, becomes the current version. What is current is kept first,
/// whatever the retention says. Repeatable after a cut: what is in place stays in place.
///
/// # Errors
/// Something is uncommitted; the volume keeps nothing.
pub fn plan(
    volume: &Volume,
    seen: &Seen,
    image: &Path,
    inode: Inode,
) -> Result<Plan<Outcome>, Refusal> {
    only_kept(volume, "reverted")?;
    only_committed(volume, seen, "reverted")?;
    let mut steps: Vec<Step> = clear(volume, seen, PURPOSE).into_iter().collect();
    if seen.clean.is_some_and(|clean| clean.inode == inode) {
        steps.push(super::sync_dir(volume));
        return Ok(Plan::new(steps, Outcome::Unchanged));
    }
    let from = volume.files.aside(PURPOSE);
    steps.extend(seen.precache.map(|_| Step::Remove(volume.files.precache())));
    steps.push(Step::Link { from: image.into(), to: from.clone() });
    let retention = volume.retention.at_least(1);
    let replace = Replacement { volume, seen, from, inode, retention }.steps()?;
    steps.extend(replace.replace);
    Ok(Plan { steps, afterwards: replace.prune, outcome: Outcome::Committed(replace.kept) })
}

/// What it is made for, in names.
const PURPOSE: &str = "restore";
