//! A volume is made ready for a machine that goes on from where another one stood: with a disk of its own of what that one
//! had.

use super::{Plan, Seen, clear, no_version, only_committed, start::Attach, sync_dir};
use crate::{
    error::Refusal,
    pool::{
        driver::{Access, Volume},
        step::Step,
        store::Stat,
    },
    volume::Role,
};
use std::{path::Path, time::SystemTime};

/// Plans the start of a volume on `from`, a file elsewhere in the pool that nobody ever writes to. What the guest writes goes
/// to a clone. `now` is what tells that it is not the current version: it counts as written.
///
/// # Errors
/// It is a volume that is kept, and has something uncommitted, or no version.
pub fn plan(
    volume: &Volume,
    seen: &Seen,
    (from, found): (&Path, Stat),
    access: Access,
    now: SystemTime,
) -> Result<Plan<Attach>, Refusal> {
    let from = from.to_path_buf();
    let (clean, dirty) = (volume.files.clean(), volume.files.dirty());
    let mut steps = Vec::new();
    let mut attach = Attach { path: dirty.clone(), read_only: false, size: found.size };
    if volume.role.is_kept() {
        only_committed(volume, seen, "resumed")?;
        if seen.clean.is_none() && volume.source.is_none() {
            return Err(no_version(volume));
        }
        steps.extend(clear(volume, seen, "start"));
        let aside = volume.files.aside("start");
        steps.push(Step::CloneImage { from: from.clone(), to: aside.clone() });
        steps.push(Step::SetModified { path: aside.clone(), time: now });
        steps.push(Step::SyncFile(aside.clone()));
        if seen.clean.is_none() {
            // It is its own from now on, and begins with this.
            steps.push(Step::Link { from, to: clean });
        }
        steps.push(Step::Rename { from: aside, to: dirty });
        steps.push(sync_dir(volume));
        return Ok(Plan::new(steps, attach));
    }
    // What is not kept begins anew: what is there is a leftover.
    steps.extend(seen.dirty.map(|_| Step::Remove(dirty.clone())));
    if matches!(volume.role, Role::Snapshot { .. }) {
        if seen.clean.is_none_or(|linked| linked.inode != found.inode) {
            steps.extend(seen.clean.map(|_| Step::Remove(clean.clone())));
            steps.push(Step::Link { from: from.clone(), to: clean.clone() });
        }
        if access == Access::Shared {
            attach = Attach { path: clean, read_only: true, ..attach };
            return Ok(Plan::new(steps, attach));
        }
    }
    steps.push(Step::CloneImage { from, to: dirty });
    Ok(Plan::new(steps, attach))
}
