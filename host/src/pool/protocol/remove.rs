//! All files of a volume go.

use super::{Plan, Seen, seen::lock_name};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{driver::Volume, step::Step},
    volume::FileKind,
};

/// Plans to remove a volume's files: the current version last, so that a cut leaves a volume.
///
/// # Errors
/// A version is exported.
pub fn plan(volume: &Volume, seen: &Seen) -> Result<Plan<()>, Refusal> {
    let files = &volume.files;
    if let Some(id) = seen.exports.first() {
        let path = files.path(&FileKind::Export(*id));
        return Err(Refusal::new(
            RefusalKind::Busy,
            format!("{} cannot be removed: somebody exports it, as {}", volume.id, path.display()),
        )
        .hint("end the export first"));
    }
    let asides = seen.asides.iter().map(|purpose| FileKind::Aside(purpose.clone()));
    let revisions = seen.revisions.keys().map(|revision| FileKind::Revision(*revision));
    let mut kinds: Vec<FileKind> = asides.collect();
    kinds.extend(seen.precache.map(|_| FileKind::Precache));
    kinds.extend(revisions);
    kinds.extend(seen.dirty.map(|_| FileKind::Dirty));
    kinds.extend(seen.clean.map(|_| FileKind::Clean));
    let mut steps: Vec<Step> = kinds.iter().map(|kind| Step::Remove(files.path(kind))).collect();
    if seen.lock {
        steps.push(Step::Remove(files.dir.join(lock_name(volume))));
    }
    steps.push(super::sync_dir(volume));
    Ok(Plan::new(steps, ()))
}
