//! The first, empty version.

use super::{Plan, Seen, clear, sync_dir};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{driver::Volume, step::Step},
    volume::Role,
};
use ebbtide_format::units::Bytes;

/// Plans the first version of a volume that is its own from the beginning; for others there is nothing to do.
///
/// # Errors
/// It has a version already, and not the one that a cut has left.
pub fn plan(volume: &Volume, seen: &Seen) -> Result<Plan<()>, Refusal> {
    if volume.role != Role::Origin {
        return Ok(Plan::new(Vec::new(), ()));
    }
    let size = volume.size;
    let clean = volume.files.clean();
    if let Some(found) = seen.clean {
        let is_fresh = found.size == size && found.allocated == Bytes(0);
        if is_fresh && seen.dirty.is_none() && seen.revisions.is_empty() {
            return Ok(Plan::new(vec![sync_dir(volume)], ()));
        }
        let text = format!("{} cannot be created: {} is there", volume.id, clean.display());
        return Err(Refusal::new(RefusalKind::Exists, text));
    }
    let aside = volume.files.aside("create");
    let mut steps: Vec<Step> = clear(volume, seen, "create").into_iter().collect();
    steps.extend([
        Step::MakeImage { path: aside.clone(), size },
        Step::SyncFile(aside.clone()),
        Step::Rename { from: aside, to: clean },
        sync_dir(volume),
    ]);
    Ok(Plan::new(steps, ()))
}
