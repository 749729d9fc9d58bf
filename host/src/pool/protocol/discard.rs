//! What a VM wrote is dropped.

use super::{Plan, Seen, commit::put_back, only_kept, sync_dir};
use crate::{
    error::Refusal,
    pool::{driver::Volume, step::Step},
    volume::FileKind,
};
use std::time::SystemTime;

/// Plans a discard; the outcome is whether there was anything. A commit that was cut off is undone with it.
///
/// # Errors
/// The volume keeps nothing.
pub fn plan(
    volume: &Volume,
    seen: &Seen,
    marker: Option<SystemTime>,
) -> Result<Plan<bool>, Refusal> {
    only_kept(volume, "discarded")?;
    if seen.dirty.is_none() {
        return Ok(Plan::new(vec![sync_dir(volume)], false));
    }
    let mut plan = if seen.is_unwritten(marker) {
        put_back(volume, seen, false)
    } else {
        Plan::new(vec![Step::Remove(volume.files.dirty()), sync_dir(volume)], true)
    };
    if let Some(revision) = seen.leftover(&volume.retention) {
        plan.steps.insert(0, Step::Remove(volume.files.path(&FileKind::Revision(revision))));
    }
    Ok(plan)
}
